"""A run is a function of model, data and options, however often it is stopped on its way."""

from __future__ import annotations

import errno
import fcntl
import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Event
from threading import enumerate as threads
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from conftest import run as run_command
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
from torch.nn import functional as F
from training_process import run as run_process

from autoregress.data import Data, Source
from autoregress.devices import resolve_device
from autoregress.evaluation import Score, evaluate
from autoregress.model import Update
from autoregress.networks.made import MADE
from autoregress.processes import Processes
from autoregress.storage import load, save
from autoregress.training import Fit, Training, fit
from autoregress.training.batches import moved
from autoregress.training.checkpoints import Position, State
from autoregress.training.optimisation import lr_factor, make_optimiser
from autoregress.training.progress import Report
from autoregress.training.seeds import Seeds
from autoregress.training.tensorboard import TensorBoard

OBJECTIVE = MADE.objective
TIMES = ("seconds", "examples_per_second")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The last bit depends on the number of threads; and small models are no faster with more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Killed(BaseException):
    """As kill -9: nothing catches it."""


def events(count: int, dims: int = 6, seed: int = 1) -> Tensor:
    """Rows in which there is something to learn."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(0, 2, (count, 1), generator=generator)
    noise = (torch.rand(count, dims, generator=generator) < 0.2).long()
    return (first + noise) % 2


TRAIN, VALID = events(33), events(20, seed=2)


def made(**options: Any) -> MADE:
    torch.manual_seed(3)
    return MADE(6, **{"hidden": (7,), **options})


def train(model: MADE, run: Path | None = None, **options: Any) -> Fit:
    defaults = {"valid": VALID, "batch_size": 8, "max_epochs": 10, "lr": 0.01, "quiet": True}
    return fit(model, TRAIN, run=run, **{**defaults, **options})


def stop_at(step: int, stop: Callable[[], object]) -> Callable[..., Tensor]:
    """An objective that has something else happen at an update, counted from 0."""

    def objective(self: MADE, x: Tensor, context: Tensor | None, update: Update) -> Tensor:
        if update.step == step:
            stop()
        return OBJECTIVE(self, x, context, update)

    return objective


def kill() -> None:
    raise Killed


def without_times(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in TIMES} for line in history]


def same(one: Any, other: Any) -> bool:
    """Whether two nests of dictionaries, lists and tensors are equal to the last bit."""
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def run_state(folder: Path) -> dict[str, Any]:
    """What a checkpoint holds, by name, and where it stands."""
    last = json.loads((folder / "last.json").read_text())
    last["position"]["history"] = without_times(last["position"]["history"])
    del last["position"]["seconds"]
    state: dict[str, Any] = {"position": last["position"]}
    for name in last["files"]:
        state |= load_file(folder / last["folder"] / name)
    return state


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def assert_same_run(folder: Path, other: Path) -> None:
    assert same(run_state(folder), run_state(other))
    assert same(load(folder).state_dict(), load(other).state_dict())
    assert without_times(log(folder)) == without_times(log(other))
    assert [line["epoch"] for line in log(folder)] == list(range(1, len(log(folder)) + 1))


# ---------------------------------------------------------------------------- stop and go on

KINDS = [
    ({}, {}),
    ({"dropout": 0.3}, {"optimiser": "adam", "schedule": "cosine", "warmup": 7}),
    ({"orderings": "any"}, {"optimiser": "rmsprop", "momentum": 0.9, "decay": 0.9, "ema": 0.9}),
    ({"connectivities": "any"}, {"optimiser": "adadelta", "lr": 1.0, "decay": 0.95, "eps": 1e-6}),
    ({"orderings": 3, "connectivities": 2}, {"optimiser": "adagrad", "schedule": "linear"}),
    ({"direct": True, "norm": True}, {"optimiser": "sgd", "momentum": 0.9, "clip": 0.5}),
    ({"orderings": "any", "connectivities": "any", "dropout": 0.1}, {"ema": 0.99, "clip": 1.0}),
    ({"hidden": (7, 7)}, {"precision": "bfloat16", "weight_decay": 0.1}),
    ({"residual": True, "hidden": (5, 5)}, {"valid": None, "batch_size": 100}),
]


@pytest.mark.parametrize(
    ("settings", "options"),
    [*KINDS[:3], *(pytest.param(*kind, marks=pytest.mark.slow) for kind in KINDS[3:])],
)
@pytest.mark.parametrize(
    "dtype", [torch.float32, pytest.param(torch.float64, marks=pytest.mark.slow)]
)
def test_stopping_leaves_no_trace(tmp_path, monkeypatch, settings, options, dtype):
    whole, parts = made(**settings).to(dtype), made(**settings).to(dtype)
    fitted = train(whole, tmp_path / "a", **options)
    per_epoch = fitted.steps // 10
    # In the middle of an epoch, right before its last update, and between two epochs.
    for step in (per_epoch // 2 + 2 * per_epoch, 5 * per_epoch - 1, 7 * per_epoch):
        with monkeypatch.context() as patch:
            patch.setattr(MADE, "objective", stop_at(step, kill))
            with pytest.raises(Killed):
                train(parts, tmp_path / "b", checkpoint_minutes=1e-9, **options)
        parts = made(**settings).to(dtype)  # as a new process would
    resumed = train(parts, tmp_path / "b", **options)
    assert same(whole.state_dict(), parts.state_dict())
    assert_same_run(tmp_path / "a", tmp_path / "b")
    assert without_times(fitted.history) == without_times(resumed.history)
    assert (fitted.best_epoch, fitted.valid) == (resumed.best_epoch, resumed.valid)


def test_images_are_moved_as_before_after_a_stop(tmp_path, monkeypatch):
    images = TRAIN.view(-1, 1, 2, 3)
    options: dict[str, Any] = {"batch_size": 8, "max_epochs": 4, "shift": 1, "quiet": True}

    def fitted(run: Path, model: MADE) -> MADE:
        fit(model, images, run=run, **options)
        return model

    def untrained() -> MADE:
        torch.manual_seed(3)
        return MADE((1, 2, 3), hidden=(7,))

    whole = fitted(tmp_path / "a", untrained())
    with monkeypatch.context() as patch:
        patch.setattr(MADE, "objective", stop_at(7, kill))
        with pytest.raises(Killed):
            fitted(tmp_path / "b", untrained())
    assert same(whole.state_dict(), fitted(tmp_path / "b", untrained()).state_dict())


def test_the_last_eighth_of_the_epochs_sees_images_as_they_are(monkeypatch):
    seen = list[Tensor]()
    usual = MADE.objective

    def objective(model: MADE, x: Tensor, *others: Any) -> Tensor:
        seen.append(x)
        return usual(model, x, *others)

    monkeypatch.setattr(MADE, "objective", objective)
    images = torch.arange(16).view(4, 1, 2, 2)
    model = MADE((1, 2, 2), symbols=16, hidden=(7,))
    fit(model, images, batch_size=4, max_epochs=17, shift=1, quiet=True)
    as_they_are = [same_rows(x, images) for x in seen]
    assert as_they_are == [False] * 15 + [True] * 2


def same_rows(x: Tensor, y: Tensor) -> bool:
    return sorted(x.flatten(1).tolist()) == sorted(y.flatten(1).tolist())


@given(height=st.integers(2, 5), width=st.integers(2, 5), seed=st.integers(0, 2**32 - 1))
def test_a_moved_image_repeats_its_edge(height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(256, (3, 2, 1, height, width), generator=generator, dtype=torch.uint8)
    by = torch.randint(1 - min(height, width), min(height, width), (3, 2), generator=generator)
    for own, result, (down, right) in zip(x, moved(x, by), by.tolist(), strict=True):
        assert result.dtype == torch.uint8
        wide = F.pad(own.float(), (width, width, height, height), mode="replicate")
        rows, columns = height - down, width - right
        cut = wide[..., rows : rows + height, columns : columns + width]
        assert torch.equal(result.float(), cut)


@pytest.mark.parametrize(("shape", "shift"), [((6,), 1), ((2, 3), 1), ((1, 2, 3), 2)])
def test_what_has_no_pixels_is_not_moved(shape, shift):
    with pytest.raises(ValueError, match="cannot be moved"):
        fit(MADE(shape), TRAIN.view(-1, *shape), shift=shift, quiet=True)


def test_more_epochs_go_on_from_fewer(tmp_path):
    whole, parts = made(dropout=0.2), made(dropout=0.2)
    train(whole, tmp_path / "a", ema=0.9)
    for epochs in (5, 7, 10):
        parts = made(dropout=0.2)
        assert train(parts, tmp_path / "b", ema=0.9, max_epochs=epochs).epochs == epochs
    assert same(whole.state_dict(), parts.state_dict())
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_with_or_without_a_folder(tmp_path):
    one, other = made(dropout=0.2), made(dropout=0.2)
    fitted, again = train(one, ema=0.9), train(other, tmp_path, ema=0.9)
    assert same(one.state_dict(), other.state_dict())
    assert without_times(fitted.history) == without_times(again.history)


@pytest.mark.slow
def test_a_kill_at_any_file_operation(tmp_path, monkeypatch):
    options = {"ema": 0.9, "max_epochs": 2, "batch_size": 17, "checkpoint_minutes": 1e-9}
    whole = made()
    train(whole, tmp_path / "whole", **options)
    replace = Path.replace
    countdown = 0

    def replace_and_die(self: Path, target: Path) -> Path:
        nonlocal countdown
        countdown -= 1
        if countdown == 0:
            raise Killed
        result = replace(self, target)
        countdown -= 1
        if countdown == 0:
            raise Killed
        return result

    monkeypatch.setattr(Path, "replace", replace_and_die)
    first, kills = 0, 2
    while kills == 2:  # until a run is done before it is killed
        first += 1
        folder, model, kills = tmp_path / str(first), made(), 0
        for again in (first, 3, 0):  # killed, and once more soon after it went on
            countdown, model = again, made()
            try:
                train(model, folder, **options)
            except Killed:
                kills += 1
        assert same(model.state_dict(), whole.state_dict())
        assert_same_run(tmp_path / "whole", folder)
    assert first > 20


@pytest.mark.slow
def test_kill_9_at_any_moment(tmp_path):
    expected = run_process(None)
    moments = random.Random(0)
    script = [sys.executable, str(Path(__file__).with_name("training_process.py"))]
    for number in range(3):
        with subprocess.Popen([*script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            while not (tmp_path / "last.json").exists():
                time.sleep(0.01)
            if number == 0:  # it was this process that wrote the file
                with pytest.raises(ValueError, match="another process is training in"):
                    run_process(str(tmp_path))
            time.sleep(moments.uniform(0, 1))
            child.kill()
    done = subprocess.run([*script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "ready\ndone\n"
    assert same(expected.state_dict(), load(tmp_path).state_dict())
    assert [line["epoch"] for line in log(tmp_path)] == list(range(1, 41))


def test_a_finished_run_returns_at_once(tmp_path, monkeypatch):
    model, again = made(), made()
    fitted = train(model, tmp_path)
    monkeypatch.setattr(MADE, "objective", stop_at(0, kill))
    assert train(again, tmp_path) == fitted
    assert same(model.state_dict(), again.state_dict())
    assert not again.training
    fewer = train(made(), tmp_path, max_epochs=3)
    assert fewer == fitted


def test_half_a_line_of_the_log_is_mended(tmp_path, monkeypatch):
    train(made(), tmp_path / "a")
    with monkeypatch.context() as patch:
        patch.setattr(MADE, "objective", stop_at(27, kill))
        with pytest.raises(Killed):
            train(made(), tmp_path / "b")
    with (tmp_path / "b" / "log.jsonl").open("a") as file:
        file.write('{"epoch": 6, "st')
    train(made(), tmp_path / "b")
    assert_same_run(tmp_path / "a", tmp_path / "b")


# ---------------------------------------------------------------------------------- the lock


@pytest.mark.slow
def test_a_folder_is_of_one_run_at_a_time(tmp_path):
    def again(record: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=f"another process is training in {tmp_path}$"):
            train(made(), tmp_path)

    train(made(), tmp_path, on_update=again, max_epochs=1)
    assert train(made(), tmp_path, max_epochs=2).epochs == 2


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    assert train(made(), tmp_path, max_epochs=1).epochs == 1


# ------------------------------------------------------------------------------------ Ctrl-C


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.fixture
def own_handler() -> Iterator[None]:
    """Python's own handling of Ctrl-C, which a test runner may have changed."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("own_handler")
@pytest.mark.parametrize(
    ("where", "done"), [("objective", 18), ("first part", 17), ("step", 18), ("measuring", 20)]
)
def test_an_interruption_leaves_a_checkpoint(tmp_path, monkeypatch, where, done):
    options = {"accumulate": 2} if where == "first part" else {}
    train(made(), tmp_path / "a", **options)
    with monkeypatch.context() as patch:
        if where in ("objective", "first part"):
            patch.setattr(MADE, "objective", stop_at(17, interrupt))
        elif where == "measuring":
            log_prob, calls = MADE.log_prob, iter(range(100))

            def measure(self: MADE, *args: Any) -> Tensor:
                if next(calls) == 3:  # in the fourth epoch: a batch each
                    interrupt()
                return log_prob(self, *args)

            patch.setattr(MADE, "log_prob", measure)
        else:
            update, counts = torch.optim.AdamW.step, iter(range(100))

            def step(self: torch.optim.AdamW, *args: Any) -> Any:
                if next(counts) == 17:
                    interrupt()  # before the weights are changed: a half of the update
                return update(self, *args)

            patch.setattr(torch.optim.AdamW, "step", step)
        model = made()
        with pytest.raises(KeyboardInterrupt):
            train(model, tmp_path / "b", **options)
    assert run_state(tmp_path / "b")["position"]["step"] == done
    assert same(model.state_dict(), load(tmp_path / "b").state_dict())  # the best so far
    assert not model.training
    resumed = made()
    train(resumed, tmp_path / "b", **options)
    assert_same_run(tmp_path / "a", tmp_path / "b")


@pytest.mark.slow
@pytest.mark.usefixtures("own_handler")
@pytest.mark.parametrize("async_save", [False, True])
def test_an_interruption_at_any_moment(tmp_path, async_save):
    """At calls of functions spread over a whole run: in checkpoints, in torch, on the way out."""
    options = {"max_epochs": 2, "async_save": async_save}
    calls, moment = 0, -1

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event == "call"
        if calls == moment:
            sys.setprofile(None)
            interrupt()

    def profiled(folder: Path) -> None:
        nonlocal calls
        calls = 0
        sys.setprofile(count)
        try:
            train(made(), folder, **options)
        finally:
            sys.setprofile(None)

    train(made(), tmp_path / "imports all that it needs", **options)
    profiled(tmp_path / "whole")
    for number, moment in enumerate(random.Random(0).sample(range(1, calls - 100), 15)):  # noqa: B007
        with pytest.raises(KeyboardInterrupt):
            profiled(tmp_path / str(number))
        train(made(), tmp_path / str(number), **options)
        assert_same_run(tmp_path / "whole", tmp_path / str(number))


@pytest.mark.usefixtures("own_handler")
def test_an_interruption_of_the_last_write_is_not_lost(tmp_path, monkeypatch):
    write, calls = HuggingFaceStorageWriter.write_data, iter(range(100))

    def interrupted(self: HuggingFaceStorageWriter, *args: Any) -> Any:
        if next(calls) == 10:  # one before the first epoch, and one after each
            interrupt()
        return write(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(HuggingFaceStorageWriter, "write_data", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(made(), tmp_path)
    assert len(log(tmp_path)) == 10
    monkeypatch.setattr(MADE, "objective", stop_at(0, kill))
    assert train(made(), tmp_path).epochs == 10  # nothing is left to do


@pytest.mark.parametrize("async_save", [False, True])
def test_a_checkpoint_that_cannot_be_written(tmp_path, monkeypatch, async_save):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    train(made(), tmp_path, max_epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr(HuggingFaceStorageWriter, "write_data", full)
        with pytest.raises(ValueError, match=r"last-\d cannot be written: No space left"):
            train(made(), tmp_path, max_epochs=2, async_save=async_save)
    assert train(made(), tmp_path, max_epochs=2).epochs == 2


def test_training_goes_on_while_a_checkpoint_is_written(tmp_path, monkeypatch):
    write, calls, later = HuggingFaceStorageWriter.write_data, iter(range(1, 100)), Event()

    def slowly(self: HuggingFaceStorageWriter, *args: Any) -> Any:
        if next(calls) == 2:  # after the first epoch, of five updates
            assert later.wait(60)
        return write(self, *args)

    def objective(self: MADE, x: Tensor, context: Tensor | None, update: Update) -> Tensor:
        if update.step == 8:
            later.set()
            kill()
        return OBJECTIVE(self, x, context, update)

    options = {"ema": 0.9, "async_save": True}
    train(made(), tmp_path / "a", **options, max_epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr(HuggingFaceStorageWriter, "write_data", slowly)
        patch.setattr(MADE, "objective", objective)
        with pytest.raises(Killed):
            train(made(), tmp_path / "b", **options)
    assert_same_run(tmp_path / "a", tmp_path / "b")
    train(made(), tmp_path / "a", **options | {"async_save": False})
    train(made(), tmp_path / "b", **options)
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_a_process_other_than_the_first_notes_what_went_wrong(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(MADE, "objective", stop_at(7, lambda: print("said")))
    second = Processes(rank=1)
    train(made(), tmp_path, processes=second, max_epochs=2)
    assert capsys.readouterr().out == "said\n"  # a call takes no one's output away
    monkeypatch.setattr(MADE, "objective", stop_at(12, kill))
    with pytest.raises(Killed):
        train(made(), tmp_path, processes=second, max_epochs=3)
    notes = (tmp_path / "logs" / "rank-1.log").read_text()
    assert re.findall(r"from step \d+\n", notes) == ["from step 0\n", "from step 10\n"]
    assert "test_training.Killed" in notes


@pytest.mark.usefixtures("own_handler")
def test_another_handler_is_left_alone(monkeypatch):
    seen = []
    signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    monkeypatch.setattr(MADE, "objective", stop_at(3, interrupt))
    assert train(made(), max_epochs=2).epochs == 2
    assert seen == [1]
    signal.signal(signal.SIGINT, signal.default_int_handler)


# ---------------------------------------------------------------------------- what is random


class Recorder(Source):
    """Examples that remember in which order they were asked for."""

    def __init__(self, x: Tensor) -> None:
        super().__init__(x.shape[1:], 2)
        self.x = x
        self.order: list[int] = []

    def __len__(self) -> int:
        return len(self.x)

    def _rows(self, index: Tensor) -> Tensor:
        self.order += index.tolist()
        return self.x[index]


def test_the_order_is_a_function_of_seed_and_epoch():
    orders = []
    for seed, batch_size in ((0, 8), (0, 5), (1, 8)):
        data = Recorder(TRAIN)
        torch.manual_seed(len(orders))
        options = {"max_epochs": 2, "batch_size": batch_size, "start": "random"}
        fit(made(), data, seed=seed, quiet=True, **options)
        orders.append((data.order[:33], data.order[33:]))
        assert sorted(data.order) == sorted([*range(33), *range(33)])  # no example is dropped
    assert orders[0] == orders[1]
    assert len({str(order) for pair in orders for order in pair}) == 4


def test_the_result_is_a_function_of_the_seed_alone():
    options = {"orderings": "any", "dropout": 0.3}
    one, other, third = (made(**options) for _ in range(3))
    train(one, seed=4)
    torch.manual_seed(17)
    train(other, seed=4)
    train(third, seed=5)
    assert same(one.state_dict(), other.state_dict())
    assert not same(one.state_dict(), third.state_dict())


def test_nobody_elses_randomness_is_touched(tmp_path, monkeypatch):
    model = made(dropout=0.3, orderings="any")
    before = torch.get_rng_state(), random.getstate(), str(np.random.get_state())
    train(model, tmp_path, ema=0.9)
    monkeypatch.setattr(MADE, "objective", stop_at(3, kill))
    with pytest.raises(Killed):
        train(model)
    after = torch.get_rng_state(), random.getstate(), str(np.random.get_state())
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


@pytest.mark.parametrize("seed", [0, 1, 12345678901234567890])
def test_seeds_are_distinct(seed):
    seeds = Seeds(seed)
    numbers = [f(n) for f in (seeds.order, seeds.objective, seeds.noise) for n in range(20000)]
    assert len(set(numbers)) == len(numbers)
    assert min(numbers) >= 0
    assert max(numbers) < 2**32
    assert not set(numbers) & {Seeds(seed + 1).order(n) for n in range(100)}


# --------------------------------------------------------------------------------- learning


def test_an_update_takes_the_mean_over_its_batch():
    model, by_hand = made(), made()
    options = {"batch_size": 20, "optimiser": "sgd", "lr": 0.1, "start": "random"}
    fitted = fit(model, TRAIN, max_epochs=1, quiet=True, **options)
    order = torch.randperm(33, generator=torch.Generator().manual_seed(Seeds(0).order(0)))
    optimiser = torch.optim.SGD(by_hand.parameters(), lr=0.1)
    nats = []
    for batch in (TRAIN[order[:20]], TRAIN[order[20:]]):
        losses = -by_hand.log_prob(batch)
        optimiser.zero_grad()
        losses.mean().backward()
        optimiser.step()
        nats += losses.tolist()
    for own, expected in zip(model.parameters(), by_hand.parameters(), strict=True):
        assert torch.allclose(own, expected, atol=1e-7)
    assert fitted.history[0]["train_nats"] == pytest.approx(np.mean(nats), rel=1e-6)
    assert fitted.steps == 2


@pytest.mark.parametrize("parts", [2, 3, 8, 100])
def test_an_update_in_parts_is_the_same_update(parts):
    contexts = torch.randn(len(TRAIN), 2)
    whole, in_parts = made(context=2).double(), made(context=2).double()
    for model, accumulate in ((whole, 1), (in_parts, parts)):
        options = {"valid": None, "max_epochs": 2, "accumulate": accumulate}
        history = train(model, context=contexts, optimiser="sgd", **options).history
        assert history[0]["step"] == 5
    for one, other in zip(whole.parameters(), in_parts.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("optimiser", "lr"),
    [("adamw", 0.03), ("adam", 0.03), ("rmsprop", 0.01), ("adadelta", 1.0), ("adagrad", 0.1),
     ("sgd", 0.3)],
)  # fmt: skip
def test_it_learns(optimiser, lr):
    model, valid = made(), events(100, seed=3)
    before = evaluate(model, valid).nats
    options = {"optimiser": optimiser, "lr": lr, "max_epochs": 15, "batch_size": 20}
    fitted = fit(model, events(200), valid=valid, quiet=True, training=Training(**options))
    assert evaluate(model, valid).nats < before - 0.15
    assert fitted.history[-1]["train_nats"] < fitted.history[0]["train_nats"]


def test_the_best_weights_are_kept(tmp_path):
    model = made(hidden=(50,))
    fitted = train(model, tmp_path, lr=0.1, max_epochs=15)
    nats = [line["valid_nats"] for line in fitted.history]
    assert fitted.best_epoch == 1 + int(np.argmin(nats)) < 15
    assert fitted.valid is not None
    assert fitted.valid.nats == min(nats)
    for best in (model, load(tmp_path)):
        assert evaluate(best, VALID).nats == pytest.approx(min(nats), rel=1e-7)
        assert not best.training


def test_training_stops_when_it_does_not_get_better(tmp_path):
    options = {"lr": 0.1, "max_epochs": 60}
    fitted = train(made(hidden=(50,)), tmp_path, patience=4, **options)
    assert fitted.epochs == fitted.best_epoch + 4 < 60
    assert train(made(hidden=(50,)), tmp_path, patience=4, **options) == fitted
    further = train(made(hidden=(50,)), tmp_path, patience=6, **options)
    assert further.epochs >= fitted.epochs + 2
    assert train(made(hidden=(50,)), patience=0, **options).epochs == 60


def test_without_validation_the_last_epoch_is_best(tmp_path):
    fitted = train(made(), tmp_path, valid=None, max_epochs=3, patience=1)
    assert (fitted.best_epoch, fitted.epochs, fitted.valid) == (3, 3, None)
    assert [line["valid_nats"] for line in log(tmp_path)] == [None] * 3


def test_a_run_of_other_permutations_is_another_run(tmp_path):
    one, other = ([[*range(6)], [5, *range(5)]], [[*range(6)], [4, 5, *range(4)]])
    train(made(orderings=one), tmp_path, max_epochs=1)
    with pytest.raises(ValueError, match="its orderings"):
        train(made(orderings=other), tmp_path, max_epochs=2)
    assert train(made(orderings=one), tmp_path, max_epochs=2).epochs == 2


def test_an_epoch_of_which_only_the_measuring_is_left(tmp_path, monkeypatch, capsys):
    def interrupted(*_: object, **__: object) -> Score:
        raise KeyboardInterrupt

    whole, parts = made(), made()
    train(whole, max_epochs=2)
    with monkeypatch.context() as patch:
        patch.setattr("autoregress.training.loop.evaluate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(parts, tmp_path, max_epochs=2)
    train(parts, tmp_path, max_epochs=2, quiet=False)
    assert "epoch 2/2" in capsys.readouterr().err
    assert all(map(torch.equal, whole.state_dict().values(), parts.state_dict().values()))


def test_the_average_of_the_weights_is_measured():
    plain, averaged = made(), made()
    steps: list[dict[str, Tensor]] = []
    objective = OBJECTIVE

    def remember(self: MADE, *args: Any, **options: Any) -> Tensor:
        steps.append({k: v.detach().clone() for k, v in self.named_parameters()})
        return objective(self, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MADE, "objective", remember)
        train(plain, valid=None, max_epochs=2)
    fitted = train(averaged, ema=0.8, max_epochs=2, valid=None)
    steps = [*steps[1:], dict(plain.named_parameters())]
    for name, own in averaged.named_parameters():
        expected = steps[0][name]
        for n, later in enumerate(steps[1:], start=1):
            decay = min(0.8, (1 + n) / (10 + n))
            expected = decay * expected + (1 - decay) * later[name]
        assert torch.allclose(own, expected, atol=1e-6)
    assert fitted.steps == len(steps) == 10


def test_contexts_go_with_their_examples():
    torch.manual_seed(0)
    context = torch.randn(400, 1).double()
    x = (context > 0).long().expand(-1, 6)
    model = made(context=1)
    fitted = train(
        model, valid=x[300:], context=context[:33], valid_context=context[300:], max_epochs=1
    )
    assert fitted.epochs == 1
    fit(model, x[:300], context=context[:300], max_epochs=20, lr=0.03, quiet=True)
    assert evaluate(model, x[300:], context=context[300:]).nats < 0.5


def test_data_of_any_kind():
    models = [made() for _ in range(4)]
    kinds = (TRAIN, TRAIN.numpy(), Data(TRAIN, 2), Recorder(TRAIN))
    for model, data in zip(models, kinds, strict=True):
        fit(model, data, max_epochs=2, batch_size=8, quiet=True)
        assert same(model.state_dict(), models[0].state_dict())


# ------------------------------------------------------------------------------------- hooks


def test_hooks_are_given_the_records_that_are_made_anyway(tmp_path):
    epochs: list[dict[str, Any]] = []
    updates: list[dict[str, Any]] = []

    def go_on(max_epochs: int) -> Fit:
        return train(
            made(),
            tmp_path,
            on_epoch=epochs.append,
            on_update=updates.append,
            max_epochs=max_epochs,
            schedule="linear",
        )

    fitted = go_on(3)
    assert epochs == fitted.history == log(tmp_path)
    assert [line["step"] for line in updates] == list(range(1, 16))
    assert [line["epoch"] for line in updates] == [n for n in (1, 2, 3) for _ in range(5)]
    for line in epochs:
        own = [update for update in updates if update["epoch"] == line["epoch"]]
        # Of 33 examples the last update has one.
        mean = np.average([update["nats"] for update in own], weights=[8, 8, 8, 8, 1])
        assert line["train_nats"] == own[-1]["train_nats"] == pytest.approx(mean)
        assert line["lr"] == own[-1]["lr"]
    go_on(3)
    assert len(epochs) == 3


def test_a_hook_may_draw_from_the_model_and_stop_the_run(tmp_path):
    def look(model: MADE, record: dict[str, Any]) -> None:
        model.sample(2)
        if record["epoch"] == 4:
            raise KeyboardInterrupt

    one, other = made(dropout=0.2), made(dropout=0.2)
    train(one, tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        train(other, tmp_path / "b", on_epoch=partial(look, other))
    other = made(dropout=0.2)
    train(other, tmp_path / "b", on_epoch=partial(look, made()), max_epochs=3 + 1)
    train(other, tmp_path / "b")
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_curves_in_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for epochs in (2, 3):
        with TensorBoard(tmp_path) as board:
            fitted = train(
                made(),
                tmp_path / "run",
                on_epoch=board.epoch,
                on_update=board.update,
                max_epochs=epochs,
            )
    curves = EventAccumulator(str(tmp_path)).Reload()
    for name in ("train_nats", "valid_nats", "lr"):
        points = [(point.step, point.value) for point in curves.Scalars(f"epoch/{name}")]
        assert points == [
            (line["step"], pytest.approx(line[name], rel=1e-6)) for line in fitted.history
        ]
    assert [point.step for point in curves.Scalars("update/nats")] == list(range(1, 16))


def test_tensorboard_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match=r"pip install 'autoregress\[tensorboard\]'"):
        TensorBoard("anywhere")


def test_the_command_line_writes_curves_if_asked(tmp_path, capsys):
    pytest.importorskip("tensorboard")
    np.save(tmp_path / "x.npy", TRAIN.numpy().astype(np.uint8))
    command = ["train", "made", "--data", tmp_path / "x.npy", "--run", tmp_path / "run"]
    assert run_command(*command, "--max-epochs", 2, "--hidden", 4, "--tensorboard") == 0
    (events_file,) = (tmp_path / "run" / "tensorboard").iterdir()
    assert events_file.stat().st_size > 0
    assert "best after epoch" in capsys.readouterr().out


# ----------------------------------------------------------------------------- reading ahead


class Read(Source):
    """Examples that are read as they are needed; something may happen at the n-th batch."""

    digest = "read"  # pyright: ignore

    def __init__(self, at: int = -1, does: Callable[[], object] = kill) -> None:
        super().__init__(TRAIN.shape[1:], 2)
        self.batches: list[Tensor] = []
        self._at, self._does = at, does

    def __len__(self) -> int:
        return len(TRAIN)

    def _rows(self, index: Tensor) -> Tensor:
        self.batches.append(index)
        if len(self.batches) - 1 == self._at:
            self._does()
        return TRAIN[index]


def fit_read(source: Read, model: MADE | None = None, run: Path | None = None) -> Fit:
    options = {"max_epochs": 3, "batch_size": 8, "start": "random", "quiet": True}
    return fit(model or made(), source, run=run, **options)


def test_the_next_batch_is_read_while_an_update_is_made(monkeypatch):
    updating, reading = Event(), Event()

    def read() -> None:
        reading.set()
        assert updating.wait(60)

    def update() -> None:
        updating.set()
        assert reading.wait(60)

    # Each waits for the other: neither would go on if they took turns.
    monkeypatch.setattr(MADE, "objective", stop_at(1, update))
    assert fit_read(Read(2, read)).steps == 15


def test_reading_ahead_changes_nothing(tmp_path, monkeypatch):
    one, other = made(dropout=0.2), made(dropout=0.2)
    fit(one, TRAIN, run=tmp_path / "a", max_epochs=3, batch_size=8, start="random", quiet=True)
    with monkeypatch.context() as patch:
        patch.setattr(MADE, "objective", stop_at(7, kill))
        with pytest.raises(Killed):
            fit_read(Read(), other, tmp_path / "b")
    source = Read()
    fit_read(source, made(dropout=0.2), tmp_path / "b")
    assert [len(batch) for batch in source.batches] == [8, 8, 8, 8, 1] * 2
    assert same(load(tmp_path / "a").state_dict(), load(tmp_path / "b").state_dict())


def test_what_goes_wrong_in_reading_ahead_is_raised(tmp_path):
    def fail() -> None:
        raise ValueError("shard 3 cannot be read")

    updates: list[dict[str, Any]] = []
    options = {"max_epochs": 3, "batch_size": 8, "start": "random", "quiet": True}
    with pytest.raises(ValueError, match="shard 3 cannot be read"):
        fit(made(), Read(7, fail), on_update=updates.append, **options)
    assert len(updates) == 7  # those before it are done
    assert not any("ahead" in thread.name for thread in threads())


def test_an_early_end_stops_the_reader(monkeypatch):
    monkeypatch.setattr(MADE, "objective", stop_at(2, kill))
    source = Read()
    with pytest.raises(Killed):
        fit_read(source)
    assert not any("ahead" in thread.name for thread in threads())
    assert len(source.batches) <= 5


# ------------------------------------------------------------------------------- what fails


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, monkeypatch):
    def poisoned(self: MADE, x: Tensor, context: Tensor | None, update: Update) -> Tensor:
        nats = OBJECTIVE(self, x, context, update)
        return nats * float("nan") if update.step == 18 else nats

    monkeypatch.setattr(MADE, "objective", poisoned)
    model = made()
    with pytest.raises(FloatingPointError, match=r"the loss is nan at step 19; .* from step 15; "):
        train(model, tmp_path)
    assert run_state(tmp_path)["position"]["step"] == 15
    assert same(load(tmp_path).state_dict(), model.state_dict())
    model = made()
    with pytest.raises(FloatingPointError, match="loss is nan at step 19; a smaller learning rate"):
        train(model)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    monkeypatch.undo()
    train(made(), tmp_path)  # goes on


@pytest.mark.parametrize("options", [{}, {"valid": None}, {"batch_size": 33}, {"clip": 1e30}])
def test_weights_that_are_not_finite_are_never_kept(tmp_path, options):
    options = {"optimiser": "sgd", "lr": 1e30, "checkpoint_minutes": 1e-9, **options}
    with pytest.raises(FloatingPointError, match=r"step \d+; the last checkpoint .* step \d+;"):
        train(made(), tmp_path, **options)
    state = run_state(tmp_path)
    assert all(t.isfinite().all() for t in state.values() if isinstance(t, Tensor))
    if (tmp_path / "model.safetensors").exists():
        assert all(p.isfinite().all() for p in load(tmp_path).parameters())


def test_a_gradient_that_is_not_finite_stops_the_run(tmp_path, monkeypatch):
    def steep(self: MADE, x: Tensor, context: Tensor | None, update: Update) -> Tensor:
        # The root of 0 is 0, and its slope is not finite.
        return OBJECTIVE(self, x, context, update) + (self.output.bias[0] * 0).sqrt()

    monkeypatch.setattr(MADE, "objective", steep)
    with pytest.raises(FloatingPointError, match=r"gradient's norm is (nan|inf) at step 1;"):
        train(made(), tmp_path, clip=1.0)


def test_damage_to_a_checkpoint(tmp_path):
    model = made()
    train(model, tmp_path, max_epochs=1, valid=None)
    state = State(model, None, make_optimiser(model.parameters(), Training()))
    last = tmp_path / "last.json"
    (shard,) = (tmp_path / json.loads(last.read_text())["folder"]).iterdir()
    for path, name in ((last, "last.json"), (shard, shard.parent.name)):
        content = path.read_bytes()
        places = range(len(content))
        if path == shard:
            places = [0, *random.Random(0).sample(places, 30), *places[-10:]]
        flipped = [
            content[:n] + bytes([content[n] ^ 1 << n % 8]) + content[n + 1 :] for n in places
        ]
        cut = [content[:length] for length in (0, 1, 30, len(content) // 2, len(content) - 1)]
        for damaged in flipped + cut:
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match=rf"{name} is damaged, .*Delete last\.json to tra"):
                state.read(tmp_path)
        path.write_bytes(content)
        state.read(tmp_path)


def test_damage_to_a_run(tmp_path):
    train(made(), tmp_path / "a", max_epochs=1, valid=None)
    last = tmp_path / "a" / "last.json"
    (shard,) = (tmp_path / "a" / json.loads(last.read_text())["folder"]).iterdir()
    shard.unlink()
    with pytest.raises(ValueError, match="is damaged"):
        train(made(), tmp_path / "a", max_epochs=1, valid=None)
    last.unlink()
    assert train(made(), tmp_path / "a", max_epochs=1, valid=None).epochs == 1

    options = {"max_epochs": 5, "lr": 0.3, "start": "random"}
    train(made(hidden=(50,)), tmp_path / "b", **options)
    assert run_state(tmp_path / "b")["position"]["best_epoch"] < 5
    (tmp_path / "b" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"there is no file .*model\.safetensors"):
        train(made(hidden=(50,)), tmp_path / "b", **options)


def test_folders_of_something_else(tmp_path):
    train(made(), tmp_path / "run", max_epochs=1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"full is not empty \(it holds notes.txt\) and not a run"):
        train(made(), tmp_path / "full")
    save(made(), tmp_path / "saved")
    with pytest.raises(ValueError, match=r"saved holds a saved model, not a run; give another"):
        train(made(), tmp_path / "saved")
    with pytest.raises(ValueError, match=r"notes.txt cannot be created"):
        train(made(), tmp_path / "full" / "notes.txt")
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "config.json.tmp").touch()
    train(made(), tmp_path / "killed", max_epochs=1)


def test_what_differs_from_the_run_in_the_folder_is_named(tmp_path):
    train(made(), tmp_path, max_epochs=1)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}

    def refused(message: str, model: MADE, **options: Any) -> None:
        with pytest.raises(ValueError, match=rf"holds another run: {message}.*Give another run fo"):
            train(model, tmp_path, **{"max_epochs": 1, **options})

    refused(r"its hidden is \[7\], not \[9\]\.", made(hidden=(9,)))
    refused("its context is 0, not 1; its train examples are 33 others", made(context=1),
            context=torch.zeros(33, 1), valid_context=torch.zeros(20, 1))  # fmt: skip
    refused("its dtype is 'torch.float32', not 'torch.float64'", made().double())
    refused(r"its lr is 0\.01, not 0\.02; its seed is 0, not 1", made(), lr=0.02, seed=1)
    refused("its valid examples are 20 others", made(), valid=VALID.flip(0))
    refused("its valid examples are 20 others", made(), valid=None)
    with pytest.raises(ValueError, match="its train examples are 33 others; its valid examples ar"):
        fit(made(), TRAIN[:32], run=tmp_path, max_epochs=1, batch_size=8, lr=0.01, quiet=True)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.*")}

    free = {"patience": 3, "checkpoint_minutes": 3.0, "device": "cpu", "max_epochs": 2}
    assert train(made(), tmp_path, **free).epochs == 2
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["training"]["patience"] == 3
    assert config["model"]["kind"] == "MADE"
    assert config["data"]["train"]["examples"] == 33


def test_data_that_cannot_be_learnt_from():
    def refused(message: str, data: Any, model: MADE | None = None, **options: Any) -> None:
        with pytest.raises(ValueError, match=message):
            fit(model or made(), data, quiet=True, **options)

    wrong = TRAIN.clone()
    wrong[32, 5] = 2
    refused("the training examples: row 32, column 5 holds 2", wrong)
    refused("the training examples: row 32, column 5 holds 2", wrong.numpy())
    refused("holds 2; its symbols are 0 to 1", Recorder(wrong), batch_size=4)
    refused("the validation examples: row 32, column 5 holds 2", TRAIN, valid=wrong)
    refused("there are no training examples", TRAIN[:0])
    refused("there are no validation examples", TRAIN, valid=TRAIN[:0])
    refused(r"arrays of shape \(batch, 6\), got \(33, 5\)", TRAIN[:, :5])
    refused("symbols are integers, got torch.float32", TRAIN.float())
    refused("training context: context has 32 rows for 33", TRAIN, made(context=2),
            context=torch.zeros(32, 2))  # fmt: skip
    refused("validation context: this model takes a context", TRAIN, made(context=2),
            context=torch.zeros(33, 2), valid=VALID)  # fmt: skip
    known = torch.ones_like(TRAIN, dtype=torch.bool)
    fit(made(), Data(TRAIN, 2, known=known), max_epochs=1, quiet=True)
    known[3, 3] = False
    refused("have unknown entries", Data(TRAIN, 2, known=known))


def test_a_family_of_ones_own_trains_without_a_folder(tmp_path):
    class Mine(MADE):
        pass

    fit(Mine(6, hidden=(3,)), TRAIN, max_epochs=1, quiet=True)
    with pytest.raises(ValueError, match="a Mine cannot be written"):
        fit(Mine(6, hidden=(3,)), TRAIN, run=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


# ---------------------------------------------------------------------------------- options


def test_options_are_replaced_by_name():
    options = Training(lr=0.5, max_epochs=7)
    assert Training.changed(options, {"lr": 0.1}) == Training(lr=0.1, max_epochs=7)
    assert Training.changed(None, {}) == Training()
    with pytest.raises(
        TypeError, match=r"no training option learning_rate; the options are max_epochs, "
    ):
        fit(made(), TRAIN, learning_rate=0.1)
    with pytest.raises(ValueError, match="lr must be above 0, got -1"):
        fit(made(), TRAIN, lr=-1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_epochs": 0}, "max_epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"optimiser": "adma"}, "optimiser must be one of adamw, adam, .*, got 'adma'"),
        ({"lr": float("nan")}, "lr must be above 0, got nan"),
        ({"lr": float("inf")}, "lr must be above 0, got inf"),
        ({"weight_decay": -1}, "weight_decay must be at least 0"),
        ({"momentum": 1, "optimiser": "sgd"}, "momentum must be from 0 to below 1"),
        ({"momentum": 0.9}, "momentum applies to rmsprop and sgd, not adamw"),
        ({"decay": 1.5, "optimiser": "adadelta"}, "decay must be between 0 and 1"),
        ({"decay": 0.9}, "decay applies to adadelta and rmsprop, not adamw"),
        ({"eps": 0.0}, "eps must be above 0"),
        ({"eps": 1e-6, "optimiser": "sgd"}, "eps applies to all optimisers but sgd"),
        ({"schedule": "step"}, "schedule must be one of constant, cosine, linear, got 'step'"),
        ({"warmup": -1}, "warmup must be at least 0"),
        ({"clip": 0.0}, "clip must be above 0"),
        ({"ema": 1.0}, "ema must be from 0 to below 1"),
        ({"precision": "float16"}, "precision must be one of float32, bfloat16"),
        ({"patience": -1}, "patience must be at least 0"),
        ({"checkpoint_minutes": 0.0}, "checkpoint_minutes must be above 0"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        Training(**options)


@pytest.mark.parametrize("device", ["nonsense", "xpu", "meta", "-1"])
def test_devices_that_are_not_there(device):
    with pytest.raises(ValueError, match=rf"^device '{device}' cannot be used: [^\n]*$"):
        train(made(), device=device)


def test_the_device_is_the_accelerator_if_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: None)
    cpu = torch.device("cpu")
    assert resolve_device() == resolve_device("auto", cpu) == resolve_device("cpu") == cpu
    # A model that is on one stays there.
    assert resolve_device("auto", torch.device("cuda", 1)) == torch.device("cuda", 1)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("mps"))
    assert resolve_device() == cpu  # mps has no float64
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("xpu"))
    with pytest.raises(ValueError, match="device 'xpu' cannot be used"):
        resolve_device()


def test_a_device_other_than_the_cpu_is_said(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Abacus")
    for device in (torch.device("cpu"), torch.device("cuda", 0)):
        with Report(1, 1, Position(), device), Report(1, 1, Position(), device, quiet=True):
            pass
    assert capsys.readouterr() == ("", "training on cuda:0 (Abacus)\n")


def test_the_learning_rate():
    rates = [lr_factor("constant", step, 10, 4) for step in range(10)]
    assert rates == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1]
    assert [lr_factor("linear", step, 4) for step in range(4)] == [1, 0.75, 0.5, 0.25]
    assert lr_factor("cosine", 0, 10) == 1
    assert lr_factor("cosine", 5, 10) == pytest.approx(0.5)
    assert lr_factor("cosine", 7, 10, 4) == pytest.approx(0.5)
    assert [lr_factor("cosine", step, 3, 5) for step in range(3)] == [0.2, 0.4, 0.6]


def test_the_learning_rate_is_logged():
    fitted = train(made(), schedule="linear", max_epochs=4, lr=0.5)
    lrs = [line["lr"] for line in fitted.history]
    assert lrs == pytest.approx([0.5 * (1 - (5 * n - 1) / 20) for n in (1, 2, 3, 4)])


def test_optimisers_have_their_settings():
    def settings(**options: Any) -> dict[str, Any]:
        return make_optimiser(made().parameters(), Training(**options)).param_groups[0]

    assert settings(optimiser="adadelta", decay=0.95, eps=1e-6)["rho"] == 0.95
    assert settings(optimiser="adadelta", eps=1e-5)["eps"] == 1e-5
    assert settings(optimiser="rmsprop", decay=0.9, momentum=0.5)["alpha"] == 0.9
    assert settings(optimiser="rmsprop", momentum=0.5)["momentum"] == 0.5
    assert settings(optimiser="adagrad", lr=0.1, weight_decay=0.2)["weight_decay"] == 0.2


# --------------------------------------------------------------------------------- progress


def test_lines_where_there_is_no_terminal(capsys):
    train(made(), max_epochs=3, quiet=False)
    out, err = capsys.readouterr()
    assert out == ""
    first, last = err.splitlines()  # the one between them came too soon after the first
    assert first.startswith("epoch 1/3, step 5  train ")
    assert last.startswith("epoch 3/3, step 15  train ")
    assert "  valid " in last
    assert "examples/s  0:00:00 left" in last
    train(made(), max_epochs=3)
    assert capsys.readouterr() == ("", "")


def test_a_bar_where_there_is_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    train(made(), max_epochs=2, quiet=False)
    err = capsys.readouterr().err
    assert "epoch 1/2, step 1 " in err  # from the first update on
    assert "train" in err
    assert "/s" in err


def test_the_state_of_a_run_is_no_more_than_it_needs(tmp_path):
    model = made()
    train(model, tmp_path, max_epochs=1)
    state = State(model, None, make_optimiser(model.parameters(), Training()))
    state.read(tmp_path)
    assert state.position.epoch == 1
    names = [
        ".lock",
        "README.md",
        "config.json",
        "last-1",
        "last.json",
        "log.jsonl",
        "model.safetensors",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
