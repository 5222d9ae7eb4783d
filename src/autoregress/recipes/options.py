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


@dataclass(frozen=True)
class MADEOptions:
    """Options of :class:`autoregress.MADE`."""

    hidden: tuple[int, ...] = (500,)
    """Width of each hidden layer."""
    orderings: int | Literal["natural", "any"] = "natural"
    """The data's own order of dimensions; a number of random orders, used in turn; or any: a
    fresh one each update, for completing from any subset of dimensions."""
    connectivities: int | Literal["any"] = 1
    """Draws of the masks' inner degrees, used in turn; or any: a fresh one each update."""
    direct: bool = False
    """Connect inputs to outputs directly, beside the hidden layers."""
    conditioning: bool = False
    """Connectivity-conditioning weights: tell each unit what it is connected to."""
    activation: Activation = "relu"
    """Nonlinearity of the hidden units."""
    residual: bool = False
    """The first width is that of a stream, to which each further one adds a block."""
    norm: bool = False
    """Normalise hidden layers, over what comes earlier in the ordering only."""
    dropout: float = 0.0
    """Probability of dropping a hidden unit in training."""

    def build(
        self, event_shape: Sequence[int], symbols: int | Sequence[int], columns: Columns | None
    ) -> MADE:
        return MADE(event_shape, symbols, columns=columns, **asdict(self))
