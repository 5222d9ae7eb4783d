"""Planning the memory and time of training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from tyro.conf import OmitArgPrefixes, Suppress

from autoregress.cli.options import AboveZero, AtMost1000, Levels, Positive
from autoregress.cli.recipes import fitted
from autoregress.recipes.recipe import Recipe
from autoregress.training.options import Training

Config = TypeVar("Config")


@dataclass(frozen=True)
class Plan(Generic[Config]):
    """Estimate the memory and time of training, without data and without a GPU.

    autoregress plan video-large --devices 128 --batch 64

    Memory is that of tensors, time that of matrix products and convolutions; see docs/scale.md.

    Args:
        shape: Shape of an example; by default that of the recipe's data, or of the family's paper.
        levels: Number of levels of each dimension.
        models: Number of independent models of this kind, mixed equally.
        devices: Number of devices that share each update equally.
        batch: The same as --batch-size.
        peak: Peak floating-point operations a second of a device; by default those of an H100:
            bfloat16 989e12, float32 67e12.
        share: Fraction of the peak that is reached.
        steps: Number of updates to estimate the time of; by default that of the paper's run, where
            it is recalled.
    """

    model: OmitArgPrefixes[Config]
    training: OmitArgPrefixes[Training]
    recipe: Suppress[Any]
    shape: tuple[Positive, ...]
    levels: Levels
    models: AtMost1000 = 1
    devices: Positive = 1
    batch: Positive | None = None
    peak: AboveZero | None = None
    share: float = 0.4
    steps: Positive | None = None

    @classmethod
    def of(cls, recipe: Recipe) -> Plan[Any]:
        """The plan of a recipe as it is."""
        shape, levels = recipe.example
        return cls(recipe.config, recipe.training, recipe, shape, levels)

    def __call__(self) -> None:
        from autoregress.mixture import several
        from autoregress.planning import plan
        from autoregress.recipes.recipe import build

        training = self.training
        if self.batch is not None:
            if training.batch_size not in (self.batch, self.recipe.training.batch_size):
                raise ValueError("--batch is the same as --batch-size; give one of them")
            training = replace(training, batch_size=self.batch)
        config = fitted(self.model, self.recipe.config, self.shape)
        planned = plan(
            lambda: several(
                self.models, lambda: build(self.recipe.kind, config, self.shape, self.levels)
            ),
            training,
            devices=self.devices,
            peak=self.peak,
            share=self.share,
        )
        print(planned)
        steps = self.recipe.steps if self.steps is None else self.steps
        if steps is not None:
            whose = " (the paper's, recalled and not certain)" if self.steps is None else ""
            print(f"{'':12} {_duration(steps * planned.seconds)}, {steps:,} updates{whose}")


def _duration(seconds: float) -> str:
    for unit, length in {"days": 86400, "hours": 3600, "minutes": 60}.items():
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.3g} seconds"
