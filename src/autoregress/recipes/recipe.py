"""Recipes: a model, how it is trained, and the result."""

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
    """A model and how it is trained; the user provides the data.

    Attributes:
        about: its purpose, in a line and then in detail.
        kind: the family of the model.
        config: the options of that family.
        training: the options of training.
        data: the data on which the figure was measured, and its origin.
        measured: figure, seed and time; None for a recipe that has not been run.
        reading: options for reading the data that differ from the command line's defaults.
        shape, levels: shape and number of levels of an example of that data; by default the
            family's usual ones.
        steps: the number of updates of a paper's run, as recalled; not certain.
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
        """The first line of ``about``."""
        return self.about.strip().partition("\n")[0]

    @property
    def description(self) -> str:
        """Its purpose, the data it was measured on, and the result."""
        measured = f"Measured: {self.measured}." if self.measured else "Not run yet: no figure."
        data = f"Data: {self.data}.\n{measured}" if self.data else ""
        return f"{inspect.cleandoc(self.about)}\n\n{data}".strip()

    def build(
        self, event_shape: Sequence[int], levels: int | Sequence[int], **described: Any
    ) -> AutoregressiveModel:
        """A new model for events of this shape, see :func:`build`."""
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
        kind: the name of the family.
        config: its options.
        event_shape: shape of one example.
        levels: number of levels of every dimension, or one number for each.
        **described: the context, labels and columns of the examples.

    Raises:
        ValueError: there is no such family, or its options do not fit the examples.
    """
    import autoregress.networks  # noqa: F401  # registers the package's own families
    from autoregress.families import find_family

    return find_family(kind)(event_shape, levels, **described, **vars(config))
