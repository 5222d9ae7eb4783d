"""The training loop."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from autoregress.evaluation import Examples, Score, as_examples, evaluate
from autoregress.model import AutoregressiveModel
from autoregress.training.checkpoints import Position, State
from autoregress.training.examples import check_examples, content, fingerprint
from autoregress.training.folder import RunFolder
from autoregress.training.interrupts import Interrupts
from autoregress.training.optimisation import lr_factor, make_average, make_optimiser
from autoregress.training.options import Training
from autoregress.training.progress import Report
from autoregress.training.seeds import Seeds, seed_torch


@dataclass(frozen=True)
class Fit:
    """What came of a run, with all that was done before it was resumed.

    Attributes:
        epochs: how many were trained.
        steps: updates.
        best_epoch: the one, counted from 1, whose weights the model now has.
        valid: their score on the validation examples, if there are any.
        history: the lines of the log, one an epoch.
        seconds: time taken by these epochs.
    """

    epochs: int
    steps: int
    best_epoch: int
    valid: Score | None
    history: list[dict[str, Any]]
    seconds: float


def fit(
    model: AutoregressiveModel,
    train: Examples | np.ndarray[Any, Any],
    *,
    valid: Examples | np.ndarray[Any, Any] | None = None,
    run: str | Path | None = None,
    context: Tensor | None = None,
    valid_context: Tensor | None = None,
    quiet: bool = False,
    training: Training | None = None,
    **changes: Any,
) -> Fit:
    """Trains the model, which in the end has its best weights and is in eval mode.

    The best are those of the epoch with the least validation nats; without validation examples
    those of the last. The result is a function of the model, the data and the options: the same
    call goes on where a run folder was left, even by a kill, and on a CPU (with as many threads)
    arrives at the same weights to the last bit. If nothing is left to do, it returns at once.

    Args:
        train: a tensor, an array or anything else with a length that takes an index (batch,) of
            integers and gives integer symbols (batch, *event_shape).
        valid: validation examples, for choosing the best weights and for stopping early.
        run: the run folder, which ``load`` reads the best weights from; None to write nothing.
        context: (len(train), context) if the model takes one.
        valid_context: (len(valid), context) likewise.
        quiet: show no progress.
        training: the options; its defaults if not given.
        **changes: options to replace by name, such as ``max_epochs=10``.

    Raises:
        ValueError: options or data that make no sense, or a run folder that holds something
            else; TypeError for an option that does not exist.
        FloatingPointError: the loss, or a weight, is no longer finite. The last checkpoint and
            the best weights are those of before.
        KeyboardInterrupt: Ctrl-C, after a checkpoint was written. As after a
            FloatingPointError, the model has the best weights so far, if an epoch was finished.
    """
    options = Training.changed(training, changes)
    train, valid = as_examples(train), None if valid is None else as_examples(valid)
    _move(model, options.device)
    context = check_examples(model, train, context, "training")
    if valid is not None:
        valid_context = check_examples(model, valid, valid_context, "validation")
    folder = None
    if run is not None:
        data = {
            "train": fingerprint(train, context),
            "valid": None if valid is None else fingerprint(valid, valid_context),
        }
        folder = RunFolder(Path(run), model, options, data)

    device, seeds, generator = model.device, Seeds(options.seed), torch.Generator()
    average = make_average(model, options.ema)
    state = State(model, average, make_optimiser(model.parameters(), options))
    best_weights = None if folder is None else folder.resume(state)
    now = state.position
    total = math.ceil(len(train) / options.batch_size) * options.max_epochs
    saved_at = time.monotonic()

    with (
        torch.random.fork_rng(**_generators(device)),
        Interrupts() as interrupts,
        Report(options.max_epochs, total, now.step, quiet=quiet) as report,
    ):
        try:
            while now.epoch < options.max_epochs and not _is_stale(now, options.patience):
                model.train()
                generator.manual_seed(seeds.order(now.epoch))
                order = torch.randperm(len(train), generator=generator)

                for index in order.split(options.batch_size)[now.batch :]:
                    started = time.perf_counter()
                    x = train[index].to(device)
                    if content(train) is None:
                        model.symbols.check(x)
                    part = None if context is None else context[index]

                    generator.manual_seed(seeds.objective(now.step))
                    seed_torch(seeds.noise(now.step), device)
                    state.optimiser.zero_grad()
                    loss_value = 0.0
                    parts = x.chunk(options.accumulate)
                    contexts = repeat(None) if part is None else part.chunk(options.accumulate)
                    for rows, given in zip(parts, contexts, strict=False):
                        with _precision(options, device):
                            nats = model.objective(rows, given, step=now.step, generator=generator)
                        loss = nats.sum() / len(x)
                        loss.backward()
                        loss_value += loss.item()
                    if not math.isfinite(loss_value):
                        raise FloatingPointError(f"the loss is {loss_value} at step {now.step + 1}")
                    if options.clip is not None:
                        norm = nn.utils.clip_grad_norm_(model.parameters(), options.clip)
                        if not norm.isfinite():
                            raise FloatingPointError(
                                f"the gradient's norm is {norm.item()} at step {now.step + 1}"
                            )
                    factor = lr_factor(options.schedule, now.step, total, options.warmup)
                    for group in state.optimiser.param_groups:
                        group["lr"] = options.lr * factor

                    with interrupts.held():
                        state.optimiser.step()
                        if average is not None:
                            average.update_parameters(model)
                        now.step += 1
                        now.batch += 1
                        now.nats += loss_value * len(x)
                        now.seconds += time.perf_counter() - started

                    seen = min(now.batch * options.batch_size, len(train))
                    report.update(now.epoch + 1, now.step, now.nats / seen, seen / now.seconds)
                    if folder and time.monotonic() - saved_at > 60 * options.checkpoint_minutes:
                        folder.checkpoint(state)
                        saved_at = time.monotonic()

                state.require_finite()
                started = time.perf_counter()
                score = None
                if valid is not None:
                    score = _validate(state, valid, valid_context, options.batch_size)
                record = {
                    "epoch": now.epoch + 1,
                    "step": now.step,
                    "train_nats": now.nats / len(train),
                    "valid_nats": None if score is None else score.nats,
                    "valid_bits_per_dim": None if score is None else score.bits_per_dim,
                    "lr": state.optimiser.param_groups[0]["lr"],
                    "seconds": now.seconds + time.perf_counter() - started,
                    "examples_per_second": len(train) / now.seconds,
                }
                with interrupts.held():
                    now.end_epoch(record, score)
                    if now.at_best:
                        best_weights = state.weights()
                if folder is not None:
                    folder.checkpoint(state)
                    folder.log(record)
                    saved_at = time.monotonic()
                report.epoch(record, now.best)
        except FloatingPointError as error:
            raise FloatingPointError(f"{error}; {_advice(folder)}") from None
        except KeyboardInterrupt:
            if folder is not None:
                folder.checkpoint(state)
            raise
        finally:
            if best_weights is not None:
                model.load_state_dict(best_weights)
            model.eval()

    seconds = math.fsum(record["seconds"] for record in now.history)
    return Fit(now.epoch, now.step, now.best_epoch, now.best, now.history, seconds)


def _validate(state: State, valid: Examples, context: Tensor | None, batch_size: int) -> Score:
    # Without gradients an example takes a fraction of the memory, which sufficed for a batch.
    score = evaluate(state.measured, valid, context=context, batch_size=4 * batch_size)
    if not math.isfinite(score.nats):
        after = state.position.step
        raise FloatingPointError(f"the validation nats are {score.nats} after step {after}")
    return score


def _advice(folder: RunFolder | None) -> str:
    advice = "a smaller learning rate or clip may help"
    if folder is None:
        return advice
    return (
        f"the last checkpoint in {folder.path} is from step {folder.step}; "
        f"{advice}, in another run folder"
    )


def _is_stale(now: Position, patience: int) -> bool:
    """Whether the validation nats have not got better for as many epochs as one has patience."""
    return 0 < patience <= now.epoch - now.best_epoch


def _move(model: AutoregressiveModel, device: str | None) -> None:
    if device is None:
        return
    try:
        model.to(device)
    except (RuntimeError, AssertionError) as error:  # torch's words for what is not there
        raise ValueError(f"device {device!r} cannot be used: {error}") from error


def _precision(options: Training, device: torch.device) -> AbstractContextManager[Any]:
    if options.precision == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def _generators(device: torch.device) -> dict[str, Any]:
    """For fork_rng: which generators of torch's own an update draws from."""
    if device.type == "cpu":
        return {"devices": []}
    return {"devices": [device], "device_type": device.type}
