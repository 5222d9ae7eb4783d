"""What a recipe is: a model, how it is trained, and what came of it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from autoregress.training.options import Training

if TYPE_CHECKING:
    from autoregress.model import AutoregressiveModel


@dataclass(frozen=True)
class Recipe:
    """A model and how it is trained; the data is the user's.

    Attributes:
        about: what it is for, in a line, and then in more.
        kind: the family of the model.
        config: the options of that family.
        training: the options of training.
        data: what the figure was measured on, and where that is from.
        measured: figure, seed and time; None for a recipe that has not been run.
        reading: how the data is read, where that differs from the command line's defaults.
        shape, levels: of an example of that data; the family's usual ones by default.
        steps: the number of updates of a paper's run, which is recalled and not certain.
    """

    about: str
    kind: str
    config: Any
    training: Training
    data: str = ""
    measured: str | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] | None = None
    levels: int | None = None
    steps: int | None = None

    @property
    def example(self) -> tuple[tuple[int, ...], int]:
        """The shape and number of levels of an example."""
        shape, levels = self.config.usual
        return self.shape or shape, self.levels or levels

    @property
    def title(self) -> str:
        """The first line of what it is for."""
        return self.about.strip().partition("\n")[0]

    @property
    def description(self) -> str:
        """What it is for, on what data it was measured, and what came of it."""
        measured = f"Measured: {self.measured}." if self.measured else "Not run yet: no figure."
        data = f"Data: {self.data}.\n{measured}" if self.data else ""
        return f"{inspect.cleandoc(self.about)}\n\n{data}".strip()

    def build(
        self, event_shape: Sequence[int], levels: int | Sequence[int], **described: Any
    ) -> AutoregressiveModel:
        """A new model of such events, as :func:`build` makes it."""
        return build(self.kind, self.config, event_shape, levels, **described)


def build(
    kind: str,
    config: Any,
    event_shape: Sequence[int],
    levels: int | Sequence[int],
    **described: Any,
) -> AutoregressiveModel:
    """A new model of a family.

    Args:
        kind: the family.
        config: its options.
        event_shape: shape of one example.
        levels: number of levels of every dimension, or one number for each.
        **described: the context, labels and columns of the examples.

    Raises:
        ValueError: no such family, or options that do not fit the examples.
    """
    import autoregress.networks  # noqa: F401  # so that the package's own families are known
    from autoregress.families import find_family

    return find_family(kind)(event_shape, levels, **described, **vars(config))
