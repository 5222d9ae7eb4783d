"""What a recipe sets: the options of each family, with the help that the command line shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Generic, Literal, Protocol, TypeVar

from autoregress.model import AutoregressiveModel
from autoregress.networks.made import MADE, Activation
from autoregress.symbols import Columns
from autoregress.training import Training


class FamilyOptions(Protocol):
    """The options of one family of models."""

    def build(
        self, event_shape: Sequence[int], symbols: int | Sequence[int], columns: Columns | None
    ) -> AutoregressiveModel:
        """A new model of this family for such events."""
        ...


Options = TypeVar("Options", bound=FamilyOptions, covariant=True)


@dataclass(frozen=True)
class Recipe(Generic[Options]):
    """A model and how it is trained; the data is the user's."""

    about: str | None
    """The docstring of its file."""
    model: Options
    training: Training

    @property
    def title(self) -> str:
        """Its first line."""
        return (self.about or "").partition("\n")[0]


@dataclass(frozen=True)
class MADEOptions:
    """The model, an ``autoregress.MADE``.

    Args:
        hidden: Width of each hidden layer.
        orderings: The data's own order of dimensions; a number of random orders, used in turn;
            or any: a fresh one each update, for completing from any subset of dimensions.
        evidence: Train for completing from any subset too: every other update some dimensions,
            drawn at random, come first.
        connectivities: Draws of the masks' inner degrees, used in turn; or any: a fresh one each
            update.
        direct: Connect inputs to outputs directly, beside the hidden layers.
        conditioning: Connectivity-conditioning weights: tell each unit what it is connected to.
        activation: Nonlinearity of the hidden units.
        residual: The first width is that of a stream, to which each further one adds a block.
        norm: Normalise hidden layers, over what comes earlier in the ordering only.
        dropout: Probability of dropping a hidden unit in training.
    """

    hidden: tuple[int, ...] = (500,)
    orderings: int | Literal["natural", "any"] = "natural"
    evidence: bool = False
    connectivities: int | Literal["any"] = 1
    direct: bool = False
    conditioning: bool = False
    activation: Activation = "relu"
    residual: bool = False
    norm: bool = False
    dropout: float = 0.0

    def build(
        self, event_shape: Sequence[int], symbols: int | Sequence[int], columns: Columns | None
    ) -> MADE:
        return MADE(event_shape, symbols, columns=columns, **asdict(self))
