"""Training planned on paper."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic

from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes

from autoregress.cli.by_recipe import by_recipe
from autoregress.mixture import several
from autoregress.planning import plan
from autoregress.recipes.options import FamilyOptions, Options, Recipe
from autoregress.training import Training


@dataclass(frozen=True)
class Sheet(Generic[Options]):
    """What is planned, with the options of train.

    Args:
        shape: Of an example; by default as the recipe's data, or the family's paper, has it.
        symbols: Number of levels of its dimensions.
        models: Independent models of this kind, mixed equally.
        devices: How many take equal parts of an update.
        batch: The same as --batch-size.
        peak: Operations a second of a device at best; by default those of an H100, 989e12 in
            bfloat16 and 67e12 in float32.
        share: Of that peak, what is reached.
        steps: Updates to give the time of; by default as many as the paper's run has, where that
            is known.
    """

    model: OmitArgPrefixes[Options]
    training: OmitArgPrefixes[Training]
    shape: tuple[int, ...]
    symbols: int
    models: int = 1
    devices: int = 1
    batch: int | None = None
    peak: float | None = None
    share: float = 0.4
    steps: int | None = None


def _sheet(recipe: Recipe[Options]) -> Sheet[Options]:
    shape, symbols = recipe.example
    return Sheet(recipe.model, recipe.training, shape, symbols, steps=recipe.steps)


if TYPE_CHECKING:
    AnySheet = Sheet[FamilyOptions]
else:
    AnySheet = by_recipe(Sheet, _sheet)


@dataclass(frozen=True)
class PlanTraining:
    """What training takes of memory and time, worked out without data and without a GPU.

    autoregress plan video-large --devices 128 --batch 64

    Memory is that of tensors, and time that of matrix products and convolutions; see docs/scale.md.
    """

    recipe: OmitArgPrefixes[OmitSubcommandPrefixes[AnySheet]]

    def __call__(self) -> None:
        sheet, training = self.recipe, self.recipe.training
        if sheet.batch is not None:
            training = replace(training, batch_size=sheet.batch)
        planned = plan(
            lambda: several(
                sheet.models, lambda: sheet.model.build(sheet.shape, sheet.symbols, None)
            ),
            training,
            devices=sheet.devices,
            peak=sheet.peak,
            share=sheet.share,
        )
        print(planned)
        if sheet.steps is not None:
            print(f"{'':12} {_duration(sheet.steps * planned.seconds)}, {sheet.steps:,} updates")


def _duration(seconds: float) -> str:
    for unit, length in {"days": 86400, "hours": 3600, "minutes": 60}.items():
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.3g} seconds"
