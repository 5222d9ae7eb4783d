"""Training."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic

import torch
import tyro
from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes

from autoregress.cli.by_recipe import by_recipe
from autoregress.cli.examples import Examples
from autoregress.mixture import several
from autoregress.processes import join
from autoregress.recipes.options import FamilyOptions, Options, Recipe
from autoregress.training import Training, fit
from autoregress.training.tensorboard import TensorBoard


@dataclass(frozen=True)
class Job(Generic[Options]):
    """A training run.

    Args:
        run: The run folder: configuration, log, best and last checkpoint. The same command
            resumes.
        models: Independent models of this kind, mixed equally. They take the updates in turn, so
            that n of them need n times the epochs, and patience.
        tensorboard: Write curves for TensorBoard, too, into the run folder.
    """

    examples: OmitArgPrefixes[Examples]
    run: Path
    model: OmitArgPrefixes[Options]
    training: OmitArgPrefixes[Training]
    models: int = 1
    tensorboard: bool = False


def _job(recipe: Recipe[Options]) -> Job[Options]:
    examples = Examples(data=tyro.MISSING, **recipe.data)
    return Job(examples, tyro.MISSING, recipe.model, recipe.training)


if TYPE_CHECKING:
    AnyJob = Job[FamilyOptions]
else:
    AnyJob = by_recipe(Job, _job)


@dataclass(frozen=True)
class Train:
    """Train a model; the same command resumes an interrupted run.

    autoregress train made --data data.npz --run runs/mine

    torchrun --nproc-per-node 2 -m -- autoregress train made --data data.npz --run runs/mine
    """

    recipe: OmitArgPrefixes[OmitSubcommandPrefixes[AnyJob]]

    def __call__(self) -> None:
        job = self.recipe
        processes = join()
        # The first of several processes decodes videos, and the others find them in the cache.
        train, valid = processes.after_first(lambda: job.examples.read(job.training.seed))
        torch.manual_seed(job.training.seed)
        model = several(
            job.models,
            lambda: job.model.build(train.event_shape, train.symbols, train.columns),
        )
        parameters = sum(p.numel() for p in model.parameters())
        print(
            f"{len(train):,} training and {len(valid):,} validation examples of shape "
            f"{train.event_shape}; {parameters:,} parameters"
        )
        with TensorBoard(job.run / "tensorboard") if job.tensorboard else nullcontext() as board:
            result = fit(
                model,
                train,
                valid=valid,
                run=job.run,
                on_epoch=board and board.epoch,
                on_update=board and board.update,
                processes=processes,
                training=job.training,
            )
        print(f"best after epoch {result.best_epoch}: {result.valid} on the validation examples")
        print(f"next: autoregress evaluate {job.run} --data TEST")
