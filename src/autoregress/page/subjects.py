"""What a page shows: models of run folders, loaded when asked for, and anew as training goes on."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from autoregress.data.open import open as open_data
from autoregress.data.source import Source
from autoregress.model import AutoregressiveModel
from autoregress.networks.made import MADE
from autoregress.page.arrays import to_text
from autoregress.page.columns import View
from autoregress.storage import CONFIG, WEIGHTS, load, read_config
from autoregress.tables import Schema, Table
from autoregress.tables.table import SCHEMA
from autoregress.training.folder import is_training
from autoregress.training.log import Record, read_log

Kind = Literal["image", "clip", "table", "none"]

# Largest number of pixels that a page paints, and of parameters for which one thread is faster.
LARGEST, SMALL = 2**18, 2_000_000
WIDEST = 64  # the longest vector that is shown as a row of pixels


@dataclass(frozen=True)
class Conditions:
    """The evidence that a model of images or clips takes.

    Attributes:
        anything: whether it takes any pixels.
        first: numbers of rows of an image, or frames of a clip, that it takes, from the first.
        reason: why it takes no others, empty if it does.
    """

    anything: bool
    first: tuple[int, ...]
    reason: str


@dataclass
class Subject:
    """A run, or a saved model.

    Attributes:
        path: its folder.
        name: its name on the page.
        typed: its folder as a person would type it, without the folders of this machine.
        data: the examples to choose from, if any.
    """

    path: Path
    name: str
    typed: str
    data: Path | None = None
    _stamp: int = 0
    _model: AutoregressiveModel | Table | None = field(default=None, repr=False)

    @property
    def run(self) -> Path:
        """The folder of its training."""
        inside = self.path / "training"
        return inside if (inside / CONFIG).exists() else self.path

    @property
    def version(self) -> int:
        """A number that changes with the weights, 0 while there are none."""
        return max(map(_written, self._folders))

    @property
    def _folders(self) -> list[Path]:
        """Folders of weights; those of a table that is still training are below its own."""
        return [self.path, self.run] if self.is_table else [self.path]

    def loaded(self) -> AutoregressiveModel | Table:
        """The model with its newest weights.

        Raises:
            ValueError: there are none yet, or a file is damaged.
        """
        version = self.version
        if not version:
            raise ValueError(f"{self.name} has no weights yet; they follow its first epoch")
        made = self._model
        if made is None or version != self._stamp:
            made = self._load()
            model = made.model if isinstance(made, Table) else made
            if sum(weight.numel() for weight in model.parameters()) <= SMALL:
                torch.set_num_threads(1)
            self._model, self._stamp = made, version
            self.__dict__.pop("conditions", None)
            self.__dict__.pop("views", None)
        return made

    def forget(self) -> None:
        """Frees the memory of the model, which is loaded again when it is asked."""
        self._model = None

    def _load(self) -> AutoregressiveModel | Table:
        newest = max(self._folders, key=_written)
        if not self.is_table:
            return load(newest)
        if newest == self.path:
            return Table.load(newest)
        model = load(newest)
        if not isinstance(model, MADE):
            raise ValueError(f"{self.name} is damaged: it holds no model of a table")
        return Table(Schema.read(self.path / SCHEMA), model)

    @property
    def is_table(self) -> bool:
        return (self.path / SCHEMA).is_file()

    @property
    def table(self) -> Table:
        """The table; raises ValueError if it is a model of something else."""
        table = self.loaded()
        if not isinstance(table, Table):
            raise ValueError(f"{self.name} is not the model of a table")
        return table

    @property
    def model(self) -> AutoregressiveModel:
        """The model of pixels; raises ValueError if it is a table's."""
        model = self.loaded()
        if isinstance(model, Table):
            raise ValueError(f"{self.name} is the model of a table")
        return model

    @cached_property
    def conditions(self) -> Conditions:
        """The evidence that it takes."""
        return _conditions(self.model)

    @cached_property
    def views(self) -> dict[str, View]:
        """The columns of a table, by name."""
        return {column.name: View(column) for column in self.table.schema.columns}

    @cached_property
    def examples(self) -> Source | None:
        """The examples to choose from; None if there are none for this model."""
        if self.data is None:
            return None
        return open_data(self.data, like=self.model.symbols, labels=self.model.labels)

    # Description

    def describe(self) -> dict[str, Any]:
        """All that the page needs to know to show it."""
        found: dict[str, Any] = {
            "name": self.name,
            "typed": self.typed,
            "version": self.version,
            "trained": (self.run / "log.jsonl").exists(),
            "training": is_training(self.run),
        }
        if not self.version:
            return found | {"kind": "none", "reason": f"{self.name} has no weights yet"}
        made = self.loaded()
        model = made.model if isinstance(made, Table) else made
        found |= {
            "family": type(model).__name__,
            "parameters": sum(weight.numel() for weight in model.parameters()),
        }
        if isinstance(made, Table):
            left_out = [{"name": each.name, "why": each.why} for each in made.schema.left_out]
            columns = [view.describe() for view in self.views.values()]
            file = None if self.data is None else self.data.name
            return found | {
                "kind": "table",
                "columns": columns,
                "left_out": left_out,
                "file": file,
            }
        reason = refusal(model)
        if reason:
            return found | {"kind": "none", "reason": f"{self.name}: {reason}"}
        shape = shown_shape(model.event_shape)
        takes = self.conditions
        return found | {
            "kind": "clip" if shape[0] > 1 else "image",
            "shape": shape,
            "levels": model.symbols.levels[0],
            "labels": model.labels,
            "anything": takes.anything,
            "first": takes.first,
            "reason": takes.reason,
            "examples": 0 if self.examples is None else len(self.examples),
        }

    def example(self, number: int) -> dict[str, Any]:
        """An example of the data, or a draw of the model if there is no data."""
        model = self.model
        if self.examples is not None:
            x = self.examples.subset(torch.tensor([number % len(self.examples)])).data().x
        else:
            generator = torch.Generator(model.device).manual_seed(number)
            x = model.sample(1, context_of(model, None), generator=generator)
        return {"x": to_text(x, model.symbols), "drawn": self.examples is None}

    def history(self) -> list[Record]:
        """The epochs of its log so far."""
        try:
            return read_log(self.run / "log.jsonl")
        except ValueError:  # there is none yet
            return []

    def planned(self) -> int | None:
        """The largest number of epochs that its training may take."""
        try:
            options = read_config(self.run)["training"]
        except ValueError:
            return None
        return None if options is None else options.get("max_epochs")


def _written(folder: Path) -> int:
    """The time at which the weights in a folder were written, 0 if there are none."""
    try:
        return (folder / WEIGHTS).stat().st_mtime_ns
    except OSError:
        return 0


def shown_shape(event: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The (T, C, H, W) in which an event is shown; raises ValueError if it is not pixels."""
    match event:
        case (dims,) if math.isqrt(dims) ** 2 == dims:
            return 1, 1, math.isqrt(dims), math.isqrt(dims)
        case (dims,) if dims <= WIDEST:
            return 1, 1, 1, dims
        case (height, width):
            return 1, 1, height, width
        case (1 | 3 as channels, height, width):
            return 1, channels, height, width
        case (frames, 1 | 3 as channels, height, width):
            return frames, channels, height, width
    raise ValueError(f"the page shows images, clips and tables, not events of shape {event}")


def refusal(model: AutoregressiveModel) -> str:
    """Why a page cannot show a model of pixels; empty if it can."""
    try:
        shown_shape(model.event_shape)
    except ValueError as error:
        return str(error)
    if not model.symbols.uniform:
        return "the page shows a vector only if all of its dimensions have as many levels"
    if model.dims > LARGEST:
        return f"the page shows events of at most {LARGEST:,} dimensions, not {model.dims:,}"
    if model.context and model.labels is None:
        return "it is conditioned on numbers, for which the page has no control"
    return ""


def context_of(model: AutoregressiveModel, label: str | None) -> Tensor | None:
    """The context (1, C) of a label, by default of the first one; None if the model takes none.

    Raises:
        ValueError: the model does not know the label.
    """
    if model.labels is None:
        return None
    label = model.labels[0] if label is None else label
    if label not in model.labels:
        raise ValueError(f"there is no label {label!r}, only {', '.join(model.labels[:20])}")
    return torch.eye(len(model.labels))[[model.labels.index(label)]]


def _conditions(model: AutoregressiveModel) -> Conditions:
    frames, channels, height, width = shown_shape(model.event_shape)
    parts = frames if frames > 1 else height
    index = torch.arange(model.dims).view(frames, channels, height, width)
    which = index // (model.dims // frames) if frames > 1 else index // width % height
    which = which.flatten()
    some = torch.arange(model.dims) == model.dims - 1
    anything = not _reason(model, some) and model.dims > 1
    first = [n for n in range(parts + 1) if not _reason(model, which < n)]
    unit = "frames" if frames > 1 else "rows"
    family = type(model).__name__
    if anything:
        reason = ""
    elif len(first) == parts + 1:
        reason = (
            f"A {family} visits the {unit} in order, so it can be given the first ones, and draws "
            "those that follow."
        )
    else:
        reason = (
            f"This {family} can be given the first {' or '.join(map(str, first))} {unit}, "
            "and nothing else."
        )
    return Conditions(anything, tuple(first), reason)


def _reason(model: AutoregressiveModel, known: Tensor) -> str:
    try:
        model.members_given(known)
    except ValueError as error:
        return str(error)
    return ""


def found_in(folders: list[Path], data: Path | None = None) -> list[Subject]:
    """The subjects in folders: each is a run or saved model, or holds some, at any depth.

    Raises:
        ValueError: a folder holds none.
    """
    subjects: list[Subject] = []
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"there is no folder {folder}")
        own = list(_runs(folder))
        if not own:
            raise ValueError(f"{folder} holds no run; autoregress train makes one")
        for path in own:
            name = path.resolve().name if path == folder else str(path.relative_to(folder))
            while any(name == other.name for other in subjects):
                name += "′"
            subjects.append(Subject(path, name, _typed(path, name), data))
    return subjects


def _typed(path: Path, name: str) -> str:
    """A path as it was given, if that says nothing about the machine."""
    outside = path.is_absolute() or ".." in path.parts
    return name if outside else os.path.normpath(path)


def _runs(folder: Path) -> Iterator[Path]:
    if any((folder / name).exists() for name in (CONFIG, SCHEMA, f"training/{CONFIG}")):
        yield folder
        return
    for inside in sorted(folder.iterdir()):
        if inside.is_dir() and not inside.is_symlink() and not inside.name.startswith("."):
            yield from _runs(inside)
