"""The state of a run, and the checkpoint from which it resumes bit for bit.

``last.json`` records the position of the run, the folder of its tensors beside it, and the
checksums of their files. The folder is written first, each process writing its part with
``torch.distributed.checkpoint``, and ``last.json`` atomically once all of it is on disk. Readers
see whole tensors: a different number of processes, or another sharding, reads other parts. The
files are safetensors; nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict, cast, get_args

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from autoregress.disk import make_folder, open_file, parse_json, sync_folder, write_file
from autoregress.evaluation import Score
from autoregress.kinds import as_kind
from autoregress.model import AutoregressiveModel
from autoregress.processes import Processes
from autoregress.training.distributed import is_shared, own_part, whole
from autoregress.training.log import Record, line

LAST = "last.json"
# The folders of the tensors, which checkpoints use in turn.
Folder = Literal["last-0", "last-1"]
FOLDERS: tuple[Folder, ...] = get_args(Folder)


@dataclass
class Position:
    """The progress of a run, apart from its weights.

    Attributes:
        step: number of updates.
        epoch: number of complete epochs.
        batch: number of updates of the current epoch.
        nats: sum of the objective over the examples of that epoch so far.
        seconds: training time of that epoch.
        best_epoch: the epoch with the best weights, counted from 1; 0 before there is one.
        best: the score of these weights on the validation examples, if there are any.
        history: the lines of the log, one per epoch.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    nats: float = 0.0
    seconds: float = 0.0
    best_epoch: int = 0
    best: Score | None = None
    history: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Raises ValueError for numbers that no run has."""
        counts = (self.step, self.epoch, self.batch, self.best_epoch)
        sums = (self.nats, self.seconds)
        if min(counts) < 0 or not all(map(math.isfinite, sums)) or self.seconds < 0:
            raise ValueError("a position has counts from 0 and finite sums")
        if (self.batch > 0) != (self.seconds > 0):
            raise ValueError("a position has the seconds of its updates")

    @property
    def at_best(self) -> bool:
        """Whether the weights are those of the best epoch."""
        return self.batch == 0 and self.best_epoch == self.epoch > 0

    def end_update(self, nats: float, examples: int, seconds: float) -> None:
        """Records an update by the mean nats and the number of its examples and its time."""
        self.step += 1
        self.batch += 1
        self.nats += nats * examples
        self.seconds += seconds

    def end_epoch(self, record: Record, score: Score | None) -> None:
        """Ends the current epoch; without a score it is the best so far."""
        self.epoch += 1
        self.batch, self.nats, self.seconds = 0, 0.0, 0.0
        self.history.append(record)
        if score is None or self.best is None or score.nats < self.best.nats:
            self.best_epoch, self.best = self.epoch, score


class Last(TypedDict):
    """The content of ``last.json``, apart from its own hash.

    Attributes:
        folder: the folder of the tensors.
        files: the hashes of its files, by name.
        position: the position of the run.
    """

    folder: Folder
    files: dict[str, str]
    position: Position


@dataclass(frozen=True)
class Snapshot:
    """The content of a checkpoint, with the weights to keep if they are the best.

    Attributes:
        tensors: all tensors that the run depends on, by name.
        position: the position of the run.
        best: the measured weights, if they are those of the best epoch.
    """

    tensors: dict[str, Tensor]
    position: dict[str, Any]
    best: dict[str, Tensor] | None

    def write(self, run: Path, processes: Processes) -> None:
        """Writes a checkpoint into a run folder, each process its own part.

        Raises:
            ValueError: it cannot be written.
        """
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
        from torch.distributed.checkpoint.state_dict_saver import save

        folder = processes.from_first(lambda: _next_folder(run))
        writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
        try:
            with _plain(processes):
                save(
                    self.tensors,
                    storage_writer=writer,
                    process_group=processes.group,
                    no_dist=processes.size == 1,
                )
        except OSError as error:
            raise ValueError(f"{folder} cannot be written: {error.strerror or error}") from error
        # Only its own files: those written by another computer may not be visible at once.
        own = folder.glob(f"shard-{processes.rank + 1:05}-*")
        digests = processes.from_all({path.name: _file_digest(path) for path in own})
        content = {
            "folder": folder.name,
            "files": {name: digest for files in digests for name, digest in files.items()},
            "position": self.position,
        }
        processes.from_first(lambda: _write_last(run, content))


@dataclass
class State:
    """Everything that the rest of a run depends on, apart from its data and options."""

    model: AutoregressiveModel
    average: AveragedModel | None
    optimiser: torch.optim.Optimizer
    processes: Processes = field(default_factory=Processes)
    position: Position = field(default_factory=Position)

    @property
    def measured(self) -> AutoregressiveModel:
        """The model with the weights that are measured and kept: the average, if there is one."""
        measured = self.model if self.average is None else self.average.module
        assert isinstance(measured, AutoregressiveModel)
        return measured

    def weights(self) -> dict[str, Tensor]:
        """A copy, on the CPU, of the weights that are measured and kept, whole even if sharded."""
        state = self.measured.state_dict()
        return {name: whole(tensor.detach()).to("cpu", copy=True) for name, tensor in state.items()}

    def require_finite(self) -> None:
        """Raises FloatingPointError, in all processes, if a weight is not finite."""
        weights = dict(self.model.named_parameters())
        wrong = [float(not own_part(weight).isfinite().all()) for weight in weights.values()]
        for name, count in zip(weights, self.processes.sums(*wrong), strict=True):
            if count:
                raise FloatingPointError(f"{name} is not finite after step {self.position.step}")

    def snapshot(self, *, copied: bool) -> Snapshot:
        """The content of a checkpoint of the current state, its tensors copied or not."""
        from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions

        tensors = self._tensors()
        if copied:
            options = StagingOptions(
                use_pinned_memory=False,
                use_shared_memory=False,
                use_async_staging=False,
                use_non_blocking_copy=False,
            )
            tensors = cast(dict[str, Tensor], DefaultStager(options).stage(tensors))
        best = self.weights() if self.position.at_best else None
        return Snapshot(tensors, asdict(self.position), best)

    def read(self, run: Path) -> None:
        """Restores the state from a checkpoint, of any number of processes.

        Raises:
            ValueError: the checkpoint is damaged.
        """
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
        from torch.distributed.checkpoint.state_dict_loader import load

        processes = self.processes
        last = processes.from_first(lambda: _read_last(run))
        folder, files = run / last["folder"], last["files"]
        own = sorted(files)[processes.rank :: processes.size]
        wrong = [name for name in own if files[name] != _file_digest(folder / name)]
        if processes.sums(len(wrong)) != [0]:
            raise _damaged(folder)
        reader = HuggingFaceStorageReader(str(folder))
        with _trusting(folder):
            tensors = self._room(reader.read_metadata().state_dict_metadata)
        with _plain(processes):
            load(tensors, storage_reader=reader, no_dist=processes.size == 1)
        with _trusting(folder):
            self._set(tensors)
        self.position = last["position"]

    def _tensors(self) -> dict[str, Tensor]:
        """All tensors that a run depends on, by name; the optimiser's by the name of the weight."""
        tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average.{name}": t for name, t in self.average.state_dict().items()}
        for name, weight in self.model.named_parameters():
            for key, value in self.optimiser.state.get(weight, {}).items():
                if isinstance(value, Tensor):
                    tensors[f"optimiser.{name}.{key}"] = value
        return tensors

    def _room(self, saved: Mapping[str, Any]) -> dict[str, Tensor]:
        """Empty tensors for saved ones, or for this process's parts of them.

        Raises:
            ValueError: they are not those of this model and optimiser.
        """
        layouts = self._tensors()
        if lacking := layouts.keys() - saved.keys():
            raise ValueError(f"{min(lacking)} is missing")
        # Before its first update an optimiser has no state; its layout follows the weights.
        weights = {f"optimiser.{name}": weight for name, weight in self.model.named_parameters()}
        room = {}
        for name, kind in saved.items():
            weight = weights.get(name.rpartition(".")[0])
            layout = layouts.get(name, weight)
            if layout is None or kind.size not in (
                layout.shape,
                *([()] if weight is layout else []),
            ):
                raise ValueError(f"{name} has shape {tuple(kind.size)}")
            if is_shared(layout) and layout.shape == kind.size:
                room[name] = torch.empty_like(layout.detach(), dtype=kind.properties.dtype)
            else:
                room[name] = torch.empty(kind.size, dtype=kind.properties.dtype)
        return room

    def _set(self, tensors: Mapping[str, Tensor]) -> None:
        self.model.load_state_dict(_below("model", tensors))
        if self.average is not None:
            self.average.load_state_dict(_below("average", tensors))
        numbers = {name: n for n, (name, _) in enumerate(self.model.named_parameters())}
        state: dict[int, dict[str, Tensor]] = {}
        for path, tensor in _below("optimiser", tensors).items():
            name, _, key = path.rpartition(".")
            state.setdefault(numbers[name], {})[key] = tensor
        # Groups hold only options, and a learning rate that each update sets.
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, by the rest of the name."""
    return {
        name.removeprefix(f"{prefix}."): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}.")
    }


@contextmanager
def _plain(processes: Processes) -> Iterator[None]:
    """Silences torch's warning about a single process, and raises the original error, Ctrl-C
    included, instead of torch's wrapper.
    """
    from torch.distributed.checkpoint.api import CheckpointException

    with warnings.catch_warnings() if processes.size == 1 else nullcontext():
        if processes.size == 1:
            warnings.filterwarnings("ignore", "torch.distributed is disabled")
        try:
            yield
        except CheckpointException as error:
            reason, _ = next(iter(error.failures.values()))
            raise reason from None


# Files


def _next_folder(run: Path) -> Path:
    """An empty folder, other than the one that ``last.json`` names."""
    taken = _read_last(run)["folder"] if (run / LAST).exists() else None
    folder = run / next(name for name in FOLDERS if name != taken)
    if folder.exists():
        shutil.rmtree(folder)
    make_folder(folder)
    return folder


def _write_last(run: Path, content: dict[str, Any]) -> None:
    """Makes a checkpoint the last one, and removes its predecessor."""
    sync_folder(run / content["folder"])
    write_file(run / LAST, _signed(content).encode())
    for name in FOLDERS:
        if name != content["folder"]:
            shutil.rmtree(run / name, ignore_errors=True)


def _read_last(run: Path) -> Last:
    path = run / LAST
    with open_file(path) as file:
        content = file.read()
    try:
        last = parse_json(content, dict[str, Any])
        del last["sha256"]
        if content == _signed(last).encode():
            checked = as_kind(last, Last)
            for record in checked["position"].history:
                line(record)  # which the log can hold
            return checked
    except (ValueError, KeyError):
        pass
    raise _damaged(path)


@contextmanager
def _trusting(folder: Path) -> Iterator[None]:
    """A context in which tensors are used whose checksums are right; whatever fails, they do."""
    try:
        yield
    except Exception as error:  # safetensors', torch's and a family's, of many kinds
        raise _damaged(folder) from error


def _damaged(path: Path) -> ValueError:
    return ValueError(
        f"{path} is damaged, so this run cannot be resumed; its best weights, if any, are "
        f"still in model.safetensors. Delete {LAST} to train anew"
    )


def _signed(content: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return json.dumps({"sha256": digest, **content})


def _file_digest(path: Path) -> str | None:
    """The hash of a file, None if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
