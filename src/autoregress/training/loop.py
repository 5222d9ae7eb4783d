"""The training loop."""

from __future__ import annotations

import copy
import math
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autoregress.evaluation import Examples, Score, as_examples, evaluate
from autoregress.model import AutoregressiveModel
from autoregress.processes import join
from autoregress.training.checkpoints import Position, State
from autoregress.training.distributed import (
    clip_gradient,
    exchanging,
    parallel_objective,
    shard,
    start_alike,
)
from autoregress.training.examples import check_examples, content, fingerprint, some
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

    Of several processes that torchrun started, all make the same call. Each takes its part of
    every update, so that but for rounding, and for dropout's noise, the result does not depend on
    how many they are; any other number of them can go on with the run. The first alone writes the
    log and shows progress.

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
    options, processes = Training.changed(training, changes), join()
    train, valid = as_examples(train), None if valid is None else as_examples(valid)
    device = _device(model, options.device)
    sharded = options.sharding == "full" and processes.size > 1
    if not sharded:
        model.to(device)
    context = check_examples(model, train, context, "training")
    if valid is not None:
        valid_context = check_examples(model, valid, valid_context, "validation")
    folder = None
    if run is not None:
        data = {
            "train": fingerprint(train, context),
            "valid": None if valid is None else fingerprint(valid, valid_context),
        }
        folder = RunFolder(Path(run), model, options, data, processes)

    seeds, generator = Seeds(options.seed, processes.rank), torch.Generator()
    if options.start == "marginals":
        model.start_from(some(train, model.dims).to(model.device))
    start_alike(model, processes)
    learner = copy.deepcopy(model) if sharded else model
    average = make_average(learner, options.ema)
    if sharded:
        for each in (learner, *([average.module] if average is not None else [])):
            shard(each, device, processes)
    objective = parallel_objective(learner, processes)
    optimiser = make_optimiser(learner.parameters(), options)
    state = State(learner, average, optimiser, processes)
    best_weights = None if folder is None else folder.resume(state)
    now = state.position
    total = math.ceil(len(train) / options.batch_size) * options.max_epochs
    saved_at = time.monotonic()

    with (
        nullcontext() if folder is None else folder.in_use(),
        torch.random.fork_rng(**_generators(device)),
        Interrupts(agreed=processes.size > 1) as interrupts,
        Report(options.max_epochs, total, now.step, quiet=quiet or not processes.first) as report,
    ):
        try:
            while now.epoch < options.max_epochs and not _is_stale(now, options.patience):
                learner.train()
                generator.manual_seed(seeds.order(now.epoch))
                order = torch.randperm(len(train), generator=generator)

                for index in order.split(options.batch_size)[now.batch :]:
                    started = time.perf_counter()
                    places, counted = processes.share(len(index))
                    x = train[index[places]]
                    if content(train) is None:
                        model.symbols.check(x)
                    # What an example counts in the mean over the update's.
                    weight = (torch.arange(len(x)) < counted).double() / len(index)

                    seed_torch(seeds.noise(now.step), device)
                    optimiser.zero_grad()
                    loss_value = 0.0
                    parts = torch.arange(len(x)).chunk(options.accumulate)
                    for part in parts:
                        own = places[part]
                        given = None if context is None else context[index[own]].to(device)
                        generator.manual_seed(seeds.objective(now.step))
                        with exchanging(objective, part is parts[-1]):
                            with _precision(options, device):
                                nats = objective(
                                    x[part].to(device),
                                    given,
                                    step=now.step,
                                    generator=generator,
                                    places=own,
                                    total=len(index),
                                )
                            loss = (nats * weight[part].to(device)).sum()
                            # Gradients are averaged over the processes, and losses added up.
                            (loss * processes.size).backward()
                        loss_value += loss.item()
                    due = time.monotonic() - saved_at > 60 * options.checkpoint_minutes
                    loss_value, interrupted, due = processes.sums(
                        loss_value, interrupts.pending, due and processes.first, device=device
                    )
                    if not math.isfinite(loss_value):
                        raise FloatingPointError(f"the loss is {loss_value} at step {now.step + 1}")
                    if options.clip is not None:
                        norm = clip_gradient(learner.parameters(), options.clip)
                        if not math.isfinite(norm):
                            raise FloatingPointError(
                                f"the gradient's norm is {norm} at step {now.step + 1}"
                            )
                    for group in optimiser.param_groups:
                        group["lr"] = _lr(options, now.step, total)

                    with interrupts.held():
                        optimiser.step()
                        if average is not None:
                            average.update_parameters(learner)
                        now.step += 1
                        now.batch += 1
                        now.nats += loss_value * len(index)
                        now.seconds += time.perf_counter() - started

                    seen = min(now.batch * options.batch_size, len(train))
                    report.update(now.epoch + 1, now.step, now.nats / seen, seen / now.seconds)
                    if interrupted:
                        raise KeyboardInterrupt
                    if folder and due:
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
                    "lr": _lr(options, now.step - 1, total),
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


def _lr(options: Training, step: int, total: int) -> float:
    return options.lr * lr_factor(options.schedule, step, total, options.warmup)


def _is_stale(now: Position, patience: int) -> bool:
    """Whether the validation nats have not got better for as many epochs as one has patience."""
    return 0 < patience <= now.epoch - now.best_epoch


def _device(model: AutoregressiveModel, device: str | None) -> torch.device:
    if device is None:
        return model.device
    try:
        return torch.empty(0, device=device).device
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
