"""The train verb."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import tyro
from tyro.conf import OmitArgPrefixes

from autoregress.cli.examples import Examples
from autoregress.cli.options import AtMost1000
from autoregress.cli.recipes import fitted
from autoregress.data.reading import Reading
from autoregress.disk import check_folder
from autoregress.recipes.recipe import Recipe
from autoregress.training.options import Training

if TYPE_CHECKING:
    from autoregress.data import Source
    from autoregress.model import AutoregressiveModel

Config = TypeVar("Config")

# Numbers of levels above which they are rather numbers than categories, and more than ordered ones.
MANY, MOST = 100, 2**16


@dataclass(frozen=True)
class Train(Generic[Config]):
    """Train a model; the same command resumes an interrupted run.

    autoregress train made --data data.npz --run runs/mine

    Args:
        run: The run folder, for configuration, log, best weights and last checkpoint. The same
            command resumes.
        models: Number of independent models of this kind, mixed equally. They take the updates in
            turn, so that n of them need n times the epochs and patience.
        tensorboard: Also write curves for TensorBoard into the run folder.
    """

    examples: OmitArgPrefixes[Examples]
    run: Path
    model: OmitArgPrefixes[Config]
    training: OmitArgPrefixes[Training]
    kind: tyro.conf.Suppress[str]
    chosen: tyro.conf.Suppress[Any]
    models: AtMost1000 = 1
    tensorboard: bool = False

    @classmethod
    def of(cls, recipe: Recipe) -> Train[Any]:
        """A recipe's run, without the options that the user must give."""
        examples = Examples(tyro.MISSING, Reading(**recipe.reading))
        return cls(
            examples, tyro.MISSING, recipe.config, recipe.training, recipe.kind, recipe.config
        )

    def __call__(self) -> None:
        import torch

        from autoregress.devices import resolve_device
        from autoregress.memory import free_memory, weights_within
        from autoregress.mixture import several
        from autoregress.processes import join
        from autoregress.recipes.recipe import build
        from autoregress.training import fit
        from autoregress.training.tensorboard import TensorBoard

        check_folder(self.run)
        processes = join()
        device = resolve_device(self.training.device)
        # The first of several processes decodes videos; the others find them in the cache.
        train, valid = processes.after_first(lambda: self.examples.read(self.training.seed))
        config = fitted(self.model, self.chosen, train.event_shape)
        torch.manual_seed(self.training.seed)
        free, each = free_memory(device), self._bytes_of_a_weight(processes.size)
        advice = _advice(max(train.symbols.levels), config)

        def built() -> AutoregressiveModel:
            with weights_within(free, each, self.models, advice):
                return build(
                    self.kind,
                    config,
                    train.event_shape,
                    train.levels,
                    context=0 if train.context is None else train.context.shape[1],
                    labels=train.labels,
                    columns=train.columns,
                )

        model = several(self.models, built)
        parameters = sum(p.numel() for p in model.parameters())
        print(
            f"{len(train):,} training and {len(valid):,} validation examples of shape "
            f"{train.event_shape}; {parameters:,} parameters"
        )
        with TensorBoard(self.run / "tensorboard") if self.tensorboard else nullcontext() as board:
            result = fit(
                model,
                train,
                valid=valid,
                run=self.run,
                on_epoch=board and board.epoch,
                on_update=board and board.update,
                processes=processes,
                training=self.training,
            )
        print(f"best after epoch {result.best_epoch}: {result.valid} on the validation examples")
        if processes.first and result.valid is not None:
            print(_beside(train, valid, result.valid.bits_per_dim))
        print(f"next: autoregress evaluate {self.run} --data TEST")

    def _bytes_of_a_weight(self, processes: int) -> int:
        """Memory of a weight in training, with its gradient, moments and average."""
        from autoregress.training.optimisation import moments

        if self.training.sharding == "full" and processes > 1:
            return 4
        return 4 * (2 + moments(self.training) + bool(self.training.ema))


def _advice(levels: int, config: object) -> str:
    """What to do about a model that is too large for its number of levels."""
    if levels > MOST:
        return f"train table takes numbers such as {levels - 1:,} as they are, from a .csv"
    if levels > MANY and not getattr(config, "ordered", True):
        return f"--ordered True takes the {levels:,} levels as numbers, not as categories"
    return ""


def _beside(train: Source, valid: Source, bits: float) -> str:
    """The bits/dim of the validation examples without a model, for comparison with the model's."""
    from autoregress.baselines import baselines

    found, count = baselines(train, valid)
    of = "" if count == len(valid) else f" ({count:,} of them)"
    figures = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
    line = f"without a model, in bits/dim of the validation examples{of}: {figures}"
    better = [name for name, value in found.items() if value < bits]
    if better:
        line += f"\nthe model is no better than {' and '.join(better)} yet: train it for longer, "
        line += "or on more examples"
    return line
