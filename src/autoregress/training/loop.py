"""The training loop."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoregress.devices import resolve_device
from autoregress.evaluation import Score, evaluate
from autoregress.model import AutoregressiveModel, Update
from autoregress.processes import Processes
from autoregress.training.batches import Batch, Batches, Split
from autoregress.training.checkpoints import State
from autoregress.training.distributed import (
    ParallelObjective,
    clip_gradient,
    exchanging,
    parallel_objective,
    shard,
    start_alike,
)
from autoregress.training.folder import RunFolder
from autoregress.training.interrupts import Interrupts
from autoregress.training.log import Record
from autoregress.training.optimisation import lr_factor, make_average, make_optimiser
from autoregress.training.options import Training
from autoregress.training.progress import Report
from autoregress.training.replay import Replay
from autoregress.training.seeds import Seeds, seed_torch

Hook = Callable[[dict[str, Any]], object]

# One epoch in eight, at the end, sees images as they are even if others move them: what the
# places of pixels say is learnt quickly then.
UNMOVED = 8


@dataclass(frozen=True)
class Fit:
    """The result of a run, including what was done before it was resumed.

    Attributes:
        epochs: number of epochs trained.
        steps: number of updates.
        best_epoch: the epoch, counted from 1, whose weights the model now has.
        valid: the score of these weights on the validation examples, if there are any.
        history: the lines of the log, one per epoch.
        seconds: duration of these epochs.

    Example:
        >>> x = torch.randint(2, (100, 4))
        >>> run = ar.fit(ar.MADE(4, hidden=(8,)), x, batch_size=50, max_epochs=3, quiet=True)
        >>> run.epochs, run.steps, len(run.history)
        (3, 6, 3)
    """

    epochs: int
    steps: int
    best_epoch: int
    valid: Score | None
    history: list[dict[str, Any]]
    seconds: float


def fit(
    model: AutoregressiveModel,
    train: Any,
    *,
    valid: Any = None,
    run: str | Path | None = None,
    context: Tensor | None = None,
    valid_context: Tensor | None = None,
    quiet: bool = False,
    on_epoch: Hook | None = None,
    on_update: Hook | None = None,
    processes: Processes | None = None,
    training: Training | None = None,
    **changes: Any,
) -> Fit:
    """Trains the model, and leaves it with its best weights and in eval mode.

    The best weights are those of the epoch with the least validation nats, or of the last epoch
    if there are no validation examples. The result is a function of the model, the data and the
    options: the same call resumes the run in a run folder, even after a kill, and on a CPU (with
    the same number of threads) arrives at the same weights to the last bit. If nothing is left to
    do, it returns at once.

    Several processes train one model if all of them make the same call with ``processes``. Each
    takes its share of every update, so that the result does not depend on their number, except
    for rounding and the noise of dropout; a different number of processes can resume the run. The
    first process alone writes the log, shows progress and calls the hooks.

    Args:
        train: a source, a tensor, an array, nested lists or a torch ``Dataset``, see
            :func:`autoregress.data.as_source`. Examples that are not in memory are read by a
            thread, one batch ahead of the update.
        valid: validation examples, for choosing the best weights and for stopping early.
        run: the run folder, from which ``load`` reads the best weights; None to write nothing.
        context: (len(train), context) if the model takes one; by default that of the examples.
        valid_context: (len(valid), context) likewise.
        quiet: show no progress.
        on_epoch: called after each epoch with its line of the log: epoch, step, train_nats,
            valid_nats, valid_bits_per_dim, lr, seconds and examples_per_second.
        on_update: called after each update with epoch, step, nats (the update's own mean),
            train_nats (the mean of the epoch so far), lr and examples_per_second.
        processes: the processes that train together, as returned by :func:`autoregress.join`; by
            default this process trains alone.
        training: the options; its defaults if not given.
        **changes: options to replace by name, such as ``max_epochs=10``.

    Raises:
        ValueError: invalid options or data, or a run folder that holds something else or in which
            another process is training.
        TypeError: there is no such option.
        FloatingPointError: the loss or a weight is no longer finite. The last checkpoint and the
            best weights are from before that.
        KeyboardInterrupt: Ctrl-C, after a checkpoint has been written. As after a
            FloatingPointError, the model has the best weights so far, if an epoch was finished.

    Example:
        >>> x = torch.randint(2, (200, 1)).expand(200, 6)  # six equal bits
        >>> model = ar.MADE(6, hidden=(16,))
        >>> options = {"run": "run", "max_epochs": 20, "lr": 0.01, "quiet": True}
        >>> run = ar.fit(model, x[:150], valid=x[150:], **options)
        >>> run.valid.nats < 4.0, len(ar.load("run").log_prob(x[:3]))
        (True, 3)
    """
    options, processes = Training.changed(training, changes), processes or Processes()
    device = resolve_device(options.device, model.device)
    if not _is_sharded(options, processes):
        model.to(device)
    train_split = Split.checked(model, train, context, "training")
    valid_split = None
    if valid is None and valid_context is not None:
        raise ValueError("valid_context is given without validation examples")
    if valid is not None:
        valid_split = Split.checked(model, valid, valid_context, "validation")
    with (
        Interrupts() as interrupts,
        _open_folder(run, model, options, train_split, valid_split, processes) as folder,
        torch.random.fork_rng(**_generators(device)),
    ):
        state, objective = _prepare(model, train_split, options, device, processes)
        best = None if folder is None else folder.resume(state)
        seeds = Seeds(options.seed, processes.rank)
        batches = Batches(
            train_split,
            model.symbols,
            options.batch_size,
            options.shift,
            options.max_epochs - options.max_epochs // UNMOVED,
            seeds,
            processes,
            device,
        )
        total = len(batches) * options.max_epochs
        quiet = quiet or not processes.first
        with Report(options.max_epochs, total, state.position, device, quiet=quiet) as report:
            loop = Loop(
                options=options,
                device=device,
                seeds=seeds,
                state=state,
                objective=objective,
                batches=batches,
                valid=valid_split,
                folder=folder,
                interrupts=interrupts,
                best=best,
                on_update=_hooks(processes, report.update, on_update),
                on_epoch=_hooks(processes, report.epoch, on_epoch),
            )
            try:
                loop.run()
            finally:
                if loop.best is not None:
                    model.load_state_dict(loop.best)
                model.eval()
        if folder is not None:
            folder.describe(state.position)

    now = state.position
    seconds = math.fsum(record["seconds"] for record in now.history)
    history = [dict(record) for record in now.history]
    return Fit(now.epoch, now.step, now.best_epoch, now.best, history, seconds)


# Prepare


def _open_folder(
    run: str | Path | None,
    model: AutoregressiveModel,
    options: Training,
    train: Split,
    valid: Split | None,
    processes: Processes,
) -> AbstractContextManager[RunFolder | None]:
    if run is None:
        return nullcontext()
    data = {
        "train": train.fingerprint(),
        "valid": None if valid is None else valid.fingerprint(),
    }
    return RunFolder.opened(Path(run), model, options, data, processes)


def _prepare(
    model: AutoregressiveModel,
    train: Split,
    options: Training,
    device: torch.device,
    processes: Processes,
) -> tuple[State, ParallelObjective]:
    """The state of a new run, and the objective whose gradients the processes share."""
    if options.start == "marginals":
        model.start_from(train.some(model.symbols).to(model.device))
    start_alike(model, processes)
    learner, sharded = model, _is_sharded(options, processes)
    if sharded:
        learner = copy.deepcopy(model)
    average = make_average(learner, options.ema)
    if sharded:
        for each in (learner, *([] if average is None else [average.module])):
            shard(each, device, processes)
    objective = parallel_objective(learner, processes, sharded=sharded)
    optimiser = make_optimiser(learner.parameters(), options)
    return State(learner, average, optimiser, processes), objective


def _hooks(processes: Processes, *hooks: Hook | None) -> list[Hook]:
    """Those that there are, on the first process."""
    return [hook for hook in hooks if hook is not None and processes.first]


def _is_sharded(options: Training, processes: Processes) -> bool:
    return options.sharding == "full" and processes.size > 1


def _generators(device: torch.device) -> dict[str, Any]:
    """Arguments of fork_rng: the torch generators that an update draws from."""
    if device.type == "cpu":
        return {"devices": []}
    return {"devices": [device], "device_type": device.type}


# While not done: an epoch of updates, then a record of it


@dataclass
class Loop:
    """Epochs of updates, from the current state until nothing is left to do.

    Attributes:
        state: the weights and the position of the run; all that changes.
        objective: computes the nats of each example, and exchanges gradients between processes.
        valid: the validation examples, if there are any.
        folder: the run folder, if there is one.
        best: the best weights so far, once an epoch is finished.
        on_update: called with the record of each update.
        on_epoch: called with the record of each epoch.
    """

    options: Training
    device: torch.device
    seeds: Seeds
    state: State
    objective: ParallelObjective
    batches: Batches
    valid: Split | None
    folder: RunFolder | None
    interrupts: Interrupts
    best: dict[str, Tensor] | None
    on_update: list[Hook]
    on_epoch: list[Hook]

    def run(self) -> None:
        """Trains to the end; an interrupted run is left with a checkpoint."""
        self._saved_at = time.monotonic()
        self._replay: Replay | None = None
        alone = self.state.processes.size == 1 and self.options.accumulate == 1
        self._replays = self.state.model.replayable and alone and self.device.type == "cuda"
        try:
            while not self._is_done():
                self._epoch()
                self._end_epoch()
        except FloatingPointError as error:
            raise FloatingPointError(f"{error}; {self._advice()}") from None
        except KeyboardInterrupt:
            self._checkpoint()
            raise

    def _is_done(self) -> bool:
        """Whether all epochs are trained, or the last ``patience`` of them were no better."""
        now, patience = self.state.position, self.options.patience
        return now.epoch >= self.options.max_epochs or 0 < patience <= now.epoch - now.best_epoch

    def _epoch(self) -> None:
        now = self.state.position
        self.state.model.train()
        with closing(self.batches.epoch(now.epoch, start=now.batch)) as batches:
            started = time.perf_counter()
            for batch in batches:
                nats = self._update(batch)
                # Includes the time for reading the batch.
                now.end_update(nats, batch.total, time.perf_counter() - started)
                self._after_update(nats)
                started = time.perf_counter()

    def _update(self, batch: Batch) -> float:
        """Updates the weights; returns the mean nats of the update's examples."""
        step, state, options = self.state.position.step, self.state, self.options
        seed_torch(self.seeds.noise(step), self.device)
        state.optimiser.zero_grad()
        parts, nats = batch.parts(options.accumulate), 0.0
        for part in parts:
            self._stop_if_interrupted()
            with exchanging(self.objective, part is parts[-1]):
                nats += self._gradient(part, step)
        due = time.monotonic() - self._saved_at > 60 * options.checkpoint_minutes
        nats, self._interrupted, self._due = state.processes.sums(
            nats, self.interrupts.pending, due and state.processes.first, device=self.device
        )
        _require_finite("the loss", nats, step)
        if options.clip is not None:
            norm = clip_gradient(state.model.parameters(), options.clip)
            _require_finite("the gradient's norm", norm, step)
        for group in state.optimiser.param_groups:
            group["lr"] = self._lr(step)
        state.optimiser.step()
        if state.average is not None:
            state.average.update_parameters(state.model)
        return nats

    def _gradient(self, part: Batch, step: int) -> float:
        """Adds a part's gradient; returns its contribution to the update's mean nats."""
        generator = torch.Generator().manual_seed(self.seeds.objective(step))
        update = Update(step, generator, part.places, part.total)

        def gradient(x: Tensor, weight: Tensor, context: Tensor | None = None) -> Tensor:
            with _precision(self.options, self.device):
                nats = self.objective(x, context, update)
            loss = (nats * weight).sum()
            # Processes average gradients, but losses are to be summed.
            (loss * self.state.processes.size).backward()
            return loss.detach()

        # The small dtype is transferred.
        inputs = [part.x.to(self.device, non_blocking=True).long(), part.weight.to(self.device)]
        if part.context is not None:
            inputs.append(part.context.to(self.device))
        if not self._replays or len(part.x) != self.options.batch_size:
            return gradient(*inputs).item()
        if self._replay is None:
            self._replay = Replay(gradient, inputs, self.state.model.parameters())
        return self._replay(inputs).item()

    def _after_update(self, nats: float) -> None:
        now = self.state.position
        seen = min(now.batch * self.options.batch_size, len(self.batches.examples))
        record = {
            "epoch": now.epoch + 1,
            "step": now.step,
            "nats": nats,
            "train_nats": now.nats / seen,
            "lr": self._lr(now.step - 1),
            "examples_per_second": seen / now.seconds,
        }
        for hook in self.on_update:
            hook(record)
        if self._interrupted:
            raise KeyboardInterrupt
        if self._due:
            self._checkpoint()

    def _end_epoch(self) -> None:
        """Measures the weights, records the score, and keeps the weights if they are the best."""
        now, examples = self.state.position, len(self.batches.examples)
        self.state.require_finite()
        started = time.perf_counter()
        score = None if self.valid is None else self._validate(self.valid)
        record: Record = {
            "epoch": now.epoch + 1,
            "step": now.step,
            "train_nats": now.nats / examples,
            "valid_nats": None if score is None else score.nats,
            "valid_bits_per_dim": None if score is None else score.bits_per_dim,
            "lr": self._lr(now.step - 1),
            "seconds": now.seconds + time.perf_counter() - started,
            "examples_per_second": examples / now.seconds,
        }
        now.end_epoch(record, score)
        if now.at_best:
            self.best = self.state.weights()
        self._checkpoint()
        if self.folder is not None:
            self.folder.log(record)
        for hook in self.on_epoch:
            hook(dict(record))  # the run keeps its own

    def _validate(self, valid: Split) -> Score:
        score = evaluate(
            self.state.measured,
            valid.examples,
            context=valid.context,
            # An example needs far less memory without gradients than in training.
            batch_size=4 * self.options.batch_size,
            processes=self.state.processes,
            on_batch=self._stop_if_interrupted,
        )
        if not math.isfinite(score.nats):
            step = self.state.position.step
            raise FloatingPointError(f"the validation nats are {score.nats} after step {step}")
        return score

    def _checkpoint(self) -> None:
        if self.folder is not None:
            self.folder.checkpoint(self.state)
            self._saved_at = time.monotonic()

    def _stop_if_interrupted(self, *_: int) -> None:
        """Stops a single process; several stop together, after an update."""
        if self.interrupts.pending and self.state.processes.size == 1:
            raise KeyboardInterrupt

    def _lr(self, step: int) -> float:
        options, total = self.options, len(self.batches) * self.options.max_epochs
        return options.lr * lr_factor(options.schedule, step, total, options.warmup)

    def _advice(self) -> str:
        advice = "a smaller learning rate or clip may help"
        if self.folder is None:
            return advice
        return (
            f"the last checkpoint in {self.folder.path} is from step {self.folder.step}; "
            f"{advice}, in another run folder"
        )


def _require_finite(name: str, value: float, step: int) -> None:
    if not math.isfinite(value):
        raise FloatingPointError(f"{name} is {value} at step {step + 1}")


def _precision(options: Training, device: torch.device) -> AbstractContextManager[Any]:
    if options.precision == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
