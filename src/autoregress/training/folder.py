"""The folder of a run: its configuration, its best weights and its state.

``config.json`` and ``model.safetensors`` (the best weights) are those of a saved model, which
``README.md`` describes for people; ``last.json`` and a folder beside it are the last checkpoint,
``log.jsonl`` the record of each epoch. Of several processes, each but the first logs its start and
any error in ``logs/rank-1.log`` and so on. ``.lock`` is locked while a process trains.
"""

from __future__ import annotations

import fcntl
import time
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import IO, Any, TypedDict

from torch import Tensor

from autoregress.card import Card
from autoregress.disk import make_folder, naming, write_json
from autoregress.kinds import as_kind
from autoregress.model import AutoregressiveModel
from autoregress.processes import Processes
from autoregress.storage import (
    CONFIG,
    WEIGHTS,
    model_config,
    parameters,
    read_config,
    read_weights,
    write_weights,
)
from autoregress.training.checkpoints import LAST, Position, Snapshot, State
from autoregress.training.log import Log, Record
from autoregress.training.options import Training
from autoregress.version import __version__

LOG = "log.jsonl"
LOCK = ".lock"
# Options that a resumed run may change: they set how far it runs, where, or in how many parts, but
# do not affect its course.
MAY_CHANGE = (
    "max_epochs",
    "patience",
    "accumulate",
    "device",
    "sharding",
    "checkpoint_minutes",
    "async_save",
)


class Examples(TypedDict):
    """What identifies the examples of a run."""

    examples: int
    sha256: str


class Run(TypedDict):
    """The content of a run's ``config.json``."""

    model: dict[str, Any]
    dtype: str
    training: dict[str, Any]
    data: dict[str, Examples | None]


class RunFolder:
    """A folder that holds a run, or is to hold one, as all processes of the run see it.

    Attributes:
        step: the number of updates before the last checkpoint.
    """

    def __init__(
        self,
        path: Path,
        config: Mapping[str, Any],
        parameters: int,
        processes: Processes,
        aside: ThreadPoolExecutor | None,
    ) -> None:
        self.path = path
        self.step = 0
        self._processes = processes
        self._config, self._parameters = config, parameters
        self._model = config["model"]
        self._aside = aside
        self._writing: Future[None] | None = None
        self._writers = processes if aside is None else processes.aside()

    @classmethod
    @contextmanager
    def opened(
        cls,
        path: Path,
        model: AutoregressiveModel,
        options: Training,
        data: Mapping[str, Mapping[str, Any] | None],
        processes: Processes,
    ) -> Iterator[RunFolder]:
        """A context with the folder of a run, in which no other run trains meanwhile.

        When the context is left, the last checkpoint is on disk.

        Args:
            data: fingerprints of the examples, by name.

        Raises:
            ValueError: the folder holds something else, a run that differs in more than the
                options that may change, or one that another process is training.
        """
        config = {
            "autoregress": __version__,
            "model": model_config(model),
            "dtype": str(next(model.parameters()).dtype),
            "training": asdict(options),
            "data": data,
        }
        with ExitStack() as stack:
            processes.from_first(lambda: _set_up(path, config, stack))
            aside = stack.enter_context(ThreadPoolExecutor(1)) if options.async_save else None
            folder = cls(path, config, parameters(model), processes, aside)
            stack.callback(folder._wait)
            try:
                yield folder
            except BaseException:
                folder._note(traceback.format_exc())
                raise

    def resume(self, state: State) -> dict[str, Any] | None:
        """Resumes from the last checkpoint, or writes the first; returns the best weights."""
        first, best = self._processes.from_first, None
        if first(lambda: (self.path / LAST).exists()):
            state.read(self.path)
            self.step = state.position.step
            if state.position.at_best:
                # The run may have been killed before writing them.
                best = state.weights()
                self._write_weights(best)
            elif state.position.best_epoch:
                best = read_weights(self.path / WEIGHTS, self._model)
        else:
            self.checkpoint(state)
        self._log = first(lambda: Log(self.path / LOG, state.position.history))
        self.describe(state.position)
        self._note(f"from step {self.step}")
        return best

    def checkpoint(self, state: State) -> None:
        """Writes a checkpoint, and the best weights if they are the current ones.

        The checkpoint comes first, as the best weights can be restored from it.

        Raises:
            FloatingPointError: the weights are no longer finite; nothing is written.
        """
        state.require_finite()
        self._wait()
        snapshot = state.snapshot(copied=self._aside is not None)
        self.step = state.position.step
        if self._aside is None:
            self._write(snapshot)
        else:
            self._writing = self._aside.submit(self._write, snapshot)

    def _write(self, snapshot: Snapshot) -> None:
        snapshot.write(self.path, self._writers)
        if snapshot.best is not None:
            self._write_weights(snapshot.best)

    def _write_weights(self, weights: dict[str, Tensor]) -> None:
        path = self.path / WEIGHTS
        self._writers.from_first(lambda: write_weights(path, weights, self._model))

    def _wait(self) -> None:
        """Waits until the last checkpoint is on disk; an error in writing it is raised here."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def _note(self, text: str) -> None:
        """Adds a line to the log of a process other than the first."""
        if not self._processes.first:
            path = self.path / "logs" / f"rank-{self._processes.rank}.log"
            make_folder(path.parent)
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}\n")

    def describe(self, position: Position) -> None:
        """Writes the card of the model, with the score of its best weights so far."""
        if not self._processes.first:
            return
        name, scores = self.path.absolute().name, {}
        if position.best is not None:
            measured = f"validation examples, after epoch {position.best_epoch}"
            scores = {measured: position.best}
        card = Card(
            name,
            self._model,
            self._parameters,
            f'model = ar.load("{self.path}")',
            scores=scores,
            data=self._config["data"],
            training=self._config["training"],
        )
        card.write(self.path)

    def log(self, record: Record) -> None:
        """Adds a line to the log of the run."""
        if self._processes.first:
            self._log.append(record)


def _set_up(path: Path, config: dict[str, Any], stack: ExitStack) -> None:
    """Locks the folder for a run, and writes the configuration of the run into it."""
    make_folder(path)
    # An interrupted write of the configuration leaves a file of a similar name.
    names = sorted(i.name for i in path.iterdir() if CONFIG not in i.name and i.name != LOCK)
    if (path / CONFIG).exists():
        _check_same_run(path, config)
    elif names:
        raise ValueError(
            f"{path} is not empty (it holds {names[0]}) and not a run; give another run folder"
        )
    stack.enter_context(_locked(path))
    write_json(path / CONFIG, config)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """A context with a lock on the folder, which the system releases if this process dies."""
    try:
        file = (path / LOCK).open("ab")
    except OSError as error:
        raise ValueError(f"{path / LOCK} cannot be written: {error.strerror or error}") from error
    with file:
        with suppress(OSError):  # the file system may have no locks
            if not _lock(file):
                raise ValueError(f"another process is training in {path}")
        yield


def _lock(file: IO[bytes]) -> bool:
    """Whether a file could be locked; a reader of :func:`is_training` holds it for a moment."""
    for wait in (0.1, 0.1, 0.0):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(wait)
        else:
            return True
    return False


def is_training(path: Path) -> bool:
    """Whether a process is training in a folder at this moment."""
    try:
        with (path / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # it never trained here, or the file system has no locks
        pass
    return False


def _check_same_run(path: Path, config: Mapping[str, Any]) -> None:
    content = read_config(path)
    if content["training"] is None:
        raise ValueError(f"{path} holds a saved model, not a run; give another run folder")
    with naming(path / CONFIG):
        before = as_kind(content, Run)
    if differences := _differences(before, config):
        more = f"; and {len(differences) - 8} more" if len(differences) > 8 else ""
        raise ValueError(
            f"{path} holds another run: {'; '.join(differences[:8])}{more}. Give another run "
            "folder, or the settings and data of that run to resume it"
        )


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The differences between two configurations of a run, in words."""
    found = []
    for one, other in zip(_settings(before), _settings(now), strict=True):
        for key in dict.fromkeys([*one, *other]):
            if one.get(key) != other.get(key):
                values = f"{_short(one.get(key))}, not {_short(other.get(key))}"
                found.append(f"its {key} is {values}")
    for name in ("train", "valid"):
        one, other = (config.get("data", {}).get(name) for config in (before, now))
        if one != other:
            count = "none" if one is None else f"{one['examples']} others"
            found.append(f"its {name} examples are {count}")
    return found


def _settings(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of the model, and those of its training that identify the run."""
    training = {key: value for key, value in config["training"].items() if key not in MAY_CHANGE}
    return {**config.get("model", {}), "dtype": config.get("dtype")}, training


def _short(value: Any, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}…"
