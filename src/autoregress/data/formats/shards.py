"""Examples of any kind as arrays on disk, of which every process reads the rows it needs.

A folder of shards holds an index, ``shards.json``, and for each split .npy files such as
``train-00000.npy``, ``train-00001.npy``, …: arrays (n, *event_shape) of the smallest unsigned
integers that the symbols fit into. What lies on disk is thus the symbols themselves: they were
decoded, scaled and cut once.

Rows are read by position, those of a batch in the order of the file and announced to the system
beforehand. From the disk this was the fastest way of reading in random order; a memory map, which
waits for a page at a time, took several times as long (docs/results/shards_speed.md). A tar in the
WebDataset layout is read in sequence, which for small records is slower and for clips somewhat
faster, and shuffled in a buffer. The order of examples would then be no function of seed and step
alone, would depend on the number of processes, and could not be taken up in the middle.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from autoregress.data.formats.tables import MAX_CATEGORIES
from autoregress.data.prefetch import ahead
from autoregress.data.source import Data, Source
from autoregress.disk import make_folder, read_json, unreadable, write_json
from autoregress.symbols import Columns, Symbols

INDEX = "shards.json"
# There from the first shard on until the index is: who finds no index knows what happened.
UNFINISHED = "shards.unfinished"
FORMAT = "autoregress shards 1"
MEGABYTES = 256
BLOCK = 2**23  # bytes that are read, and hashed, at once


class Shards:
    """A split of a folder of shards: what ``fit`` and ``evaluate`` take.

    Memory holds no more than the examples asked for, and nothing is read but their bytes.

    Args:
        path: the folder; ``folder:name`` is the split of that name.
        split: "train", "valid" or "test", or None for the only one that there is.

    Attributes:
        event_shape: the shape of one example.
        symbols: the number of levels of every dimension, or one number for each.
        columns: names and labels, when an example is a row of a table.
        digest: tells these examples, in this order, from others, however they are cut into
            shards; it was made of their content when they were written.

    Raises:
        ValueError: no such folder or split, or one that is not whole.
    """

    def __init__(self, path: str | Path, split: str | None = None) -> None:
        self._folder, key = _address(path)
        index = read_index(self._folder)
        try:
            splits = index["splits"]
            self._split = _choose(self._folder, list(splits), key, split)
            self._kind = _kind(index)
            self.digest = splits[self._split]["sha256"]
            self._shards = splits[self._split]["shards"]
            counts = [shard["demo"] for shard in self._shards]
            sizes = [shard["bytes"] for shard in self._shards]
        except (KeyError, TypeError) as error:
            raise ValueError(f"{self._folder / INDEX} is damaged: {error!r}") from error
        self.event_shape, self.columns = self._kind.event_shape, self._kind.columns
        self.symbols = self._kind.levels[0] if self._kind.uniform else self._kind.levels
        self._dtype = _dtype(self._kind)
        self._row = self._dtype.itemsize * self._kind.dims
        self._starts = np.cumsum([0, *counts])
        self._heads = [size - n * self._row for n, size in zip(counts, sizes, strict=True)]
        for n, size in enumerate(sizes):
            path = self._path(n)
            try:
                found = path.stat().st_size
            except OSError as error:
                raise unreadable(path, error) from error
            if found != size:
                raise ValueError(f"{path} is damaged: it has {found} bytes and had {size}")

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: Tensor) -> Tensor:
        """The examples of an index (batch,) of integers: (batch, *event_shape), uint8 or int64.

        Raises:
            IndexError: as for a tensor; −1 is the last example.
            ValueError: a shard has become shorter.
        """
        rows = index.numpy()
        if len(rows) and not -len(self) <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"an index is out of range for {len(self)} examples")
        rows = np.where(rows < 0, rows + len(self), rows)
        content = np.empty((len(rows), self._row), np.uint8)
        order = rows.argsort(kind="stable")
        shards = np.searchsorted(self._starts, rows[order], side="right") - 1
        for shard in np.unique(shards).tolist():
            places = order[shards == shard]
            self._read(shard, rows[places], content, places.tolist())
        x = content.view(self._dtype).reshape(len(rows), *self.event_shape)
        return torch.from_numpy(x if x.dtype == np.uint8 else x.astype(np.int64))

    def _read(self, shard: int, rows: np.ndarray, content: np.ndarray, places: list[int]) -> None:
        """Puts rows of one shard, in ascending order, into their places."""
        offsets = (self._heads[shard] + (rows - self._starts[shard]) * self._row).tolist()
        path = self._path(shard)
        # Opened anew for each batch: thousands of shards need not be open at once, and any thread
        # or process may read.
        file = os.open(path, os.O_RDONLY)
        try:
            if hasattr(os, "posix_fadvise"):  # so that the disk works on all of them at once
                for offset in offsets:
                    os.posix_fadvise(file, offset, self._row, os.POSIX_FADV_WILLNEED)
            for place, offset in zip(places, offsets, strict=True):
                if os.preadv(file, [content[place]], offset) != self._row:
                    raise ValueError(f"{path} is damaged: it is shorter than it was")
        finally:
            os.close(file)

    def _path(self, shard: int) -> Path:
        return _path(self._folder / self._split, shard)

    def data(self) -> Data:
        """All examples, in memory."""
        return Data(self[torch.arange(len(self))], self.symbols, self.columns)

    def require(
        self,
        *,
        frames: int | None = None,
        size: tuple[int, int] | None = None,
        grey: bool | None = None,
        levels: int | Sequence[int] | None = None,
        stride: int = 1,
        step: int | None = None,
        labels_from: Sequence[str | Path] = (),
        max_categories: int = MAX_CATEGORIES,
    ) -> None:
        """Raises ValueError unless the examples are as those of a file or a folder read so."""
        if (stride, step) != (1, None):
            raise ValueError(f"{self._folder} holds clips that were cut when they were prepared")
        if labels_from or max_categories != MAX_CATEGORIES:
            raise ValueError(
                f"{self._folder} has the labels that it was prepared with; labels_from and "
                "max_categories are for tables, as autoregress prepare reads them"
            )
        if levels is not None:
            levels = Symbols(self.event_shape, levels).compact
        shape = self.event_shape
        image = shape[-3:] if len(shape) in (3, 4) else None
        found = {
            "frames": shape[0] if len(shape) == 4 else None,
            "size": image and image[1:],
            "grey": image and image[0] == 1,
            "levels": self._kind.compact,
        }
        wanted = {"frames": frames, "size": size, "grey": grey, "levels": levels}
        for name, value in wanted.items():
            if value is not None and value != found[name]:
                raise ValueError(
                    f"{self._folder} was prepared with {name} {found[name]}, not {value}; prepare "
                    "other shards for that"
                )

    def verify(self) -> None:
        """Reads everything; raises ValueError if a shard is not what was written."""
        for n, shard in enumerate(self._shards):
            with self._path(n).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != shard["sha256"]:
                    raise ValueError(
                        f"{self._path(n)} is damaged: its content is not what was written"
                    )


def holds_shards(path: str | Path) -> bool:
    """Whether a path is a folder of shards, or ``folder:name``, be it whole or not."""
    folder, _ = _address(path)
    return (folder / INDEX).is_file() or (folder / UNFINISHED).is_file()


def holds_part(path: str | Path, split: str) -> bool:
    """Whether a path is a folder of shards that has a split of that name."""
    folder, key = _address(path)
    return key is None and holds_shards(folder) and split in read_index(folder)["splits"]


def check_prepared(folder: Path, made_of: Mapping[str, Any]) -> dict[str, int]:
    """How many examples there are of each split, once all have been read and found whole.

    Raises:
        ValueError: one is not, or the shards were made of something else.
    """
    index = read_index(folder)
    before = index.get("made_of", {})
    differences = [
        f"{name} was {before.get(name)!r}, not {value!r}"
        for name, value in made_of.items()
        if before.get(name) != value
    ]
    if differences:
        raise ValueError(
            f"{folder} was prepared otherwise: {'; '.join(differences)}. Give another folder"
        )
    splits = [Shards(folder, name) for name in index["splits"]]
    for shards in splits:
        shards.verify()
    return {name: len(shards) for name, shards in zip(index["splits"], splits, strict=True)}


def read_index(folder: Path) -> dict[str, Any]:
    """What ``shards.json`` says of a folder of shards.

    Raises:
        ValueError: missing, damaged, or of something else.
    """
    path = folder / INDEX
    if not path.exists() and (folder / UNFINISHED).exists():
        raise ValueError(f"{folder} was not prepared to the end; the same command does it anew")
    index = read_json(path)
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise ValueError(f"{path} is not the index of shards that this version can read")
    return index


def write_shards(
    folder: str | Path,
    splits: Mapping[str, Source],
    *,
    megabytes: float = MEGABYTES,
    workers: int = 1,
    notes: Mapping[str, Any] | None = None,
    quiet: bool = True,
) -> None:
    """Writes examples as shards, which :class:`Shards` reads.

    The index is written last, in one stroke: a kill leaves nothing that is taken for whole, and
    the next call begins anew. Memory holds a few blocks of 8 MB.

    Args:
        folder: is made if need be; else it is empty, or was not finished.
        splits: examples by name, such as train and valid, all of one kind.
        megabytes: about the size of a shard.
        workers: threads that read; what is written does not depend on it.
        notes: what else the index is to say, as JSON.
        quiet: show no progress on standard error.

    Raises:
        ValueError: the folder holds something else, or the examples are not of one kind.
    """
    folder = Path(folder)
    symbols = _one_kind(splits)
    check_free(folder)
    _begin(folder)
    written: dict[str, Any] = {}
    console = Console(stderr=True)
    silent = quiet or not console.is_terminal
    with Progress(console=console, transient=True, disable=silent) as progress:
        task = progress.add_task("Writing shards", total=sum(map(len, splits.values())))
        for name, source in splits.items():
            written[name] = _write_split(
                source,
                symbols,
                folder / name,
                megabytes=megabytes,
                workers=workers,
                advance=partial(progress.advance, task),
            )
    index = {"format": FORMAT, **_description(symbols), "splits": written, **(notes or {})}
    write_json(folder / INDEX, index)
    (folder / UNFINISHED).unlink()


def _write_split(
    source: Source,
    symbols: Symbols,
    stem: Path,
    *,
    megabytes: float,
    workers: int,
    advance: Callable[[int], None],
) -> dict[str, Any]:
    """Writes the shards of one split; returns what the index is to say of them."""
    dtype = _dtype(symbols)
    row = dtype.itemsize * symbols.dims
    per_shard, per_block = max(1, int(megabytes * 2**20) // row), max(1, BLOCK // row)
    cuts = [rows.split(per_block) for rows in torch.arange(len(source)).split(per_shard)]
    content = hashlib.sha256(json.dumps(_description(symbols)).encode())
    shards: list[dict[str, Any]] = []
    # All blocks in one go, so that workers do not wait for one another where a shard ends.
    with closing(ahead(source.__getitem__, chain(*cuts), workers=workers)) as examples:
        for n, cut in enumerate(cuts):
            count = sum(map(len, cut))
            with _path(stem, n).open("wb") as file:
                header = _header(count, symbols)
                file.write(header)
                digest = hashlib.sha256(header)
                for x in islice(examples, len(cut)):
                    symbols.check(x)
                    block = np.ascontiguousarray(x.numpy(), dtype).data
                    file.write(block)
                    digest.update(block)
                    content.update(block)
                    advance(len(x))
                size = file.tell()
                file.flush()
                os.fsync(file.fileno())
            shards.append({"examples": count, "bytes": size, "sha256": digest.hexdigest()})
    return {"sha256": content.hexdigest(), "shards": shards}


def _one_kind(splits: Mapping[str, Source]) -> Symbols:
    """The symbols of all splits; raises ValueError if there is something wrong with one."""
    kinds = list[Symbols]()
    for name, source in splits.items():
        if not re.fullmatch(r"\w+", name):
            raise ValueError(f"the name of a split is letters and digits, not {name!r}")
        if len(source) == 0:
            raise ValueError(f"there are no {name} examples")
        kinds.append(Symbols(source.event_shape, source.symbols, source.columns))
        if _description(kinds[-1]) != _description(kinds[0]):
            raise ValueError(
                f"the {name} examples {source.event_shape} are of another shape than those before, "
                "or have other symbols"
            )
    return kinds[0]


def check_free(folder: Path) -> None:
    """Raises ValueError if a folder is not one that shards can be written to."""
    names = sorted(item.name for item in folder.iterdir()) if folder.is_dir() else []
    if names and (INDEX in names or UNFINISHED not in names):
        raise ValueError(f"{folder} is not empty (it holds {names[0]}); give another folder")


def _begin(folder: Path) -> None:
    """Makes the folder, or clears it of what was not finished."""
    make_folder(folder)
    for path in folder.glob("*-*.npy"):
        path.unlink()
    (folder / UNFINISHED).touch()


def _header(count: int, symbols: Symbols) -> bytes:
    """Of the .npy file of so many examples."""
    header = io.BytesIO()
    shape = (count, *symbols.event_shape)
    description = {"descr": _dtype(symbols).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, description)
    return header.getvalue()


def _description(symbols: Symbols) -> dict[str, Any]:
    """What the index says of the examples, as JSON gives it back."""
    columns = None if symbols.columns is None else vars(symbols.columns)
    description = {
        "event_shape": symbols.event_shape,
        "symbols": symbols.compact,
        "columns": columns,
    }
    return json.loads(json.dumps(description))


def _kind(index: Mapping[str, Any]) -> Symbols:
    """The symbols that the index describes."""
    columns = index["columns"]
    if columns is not None:
        labels = tuple(tuple(column) for column in columns["labels"])
        columns = Columns(tuple(columns["names"]), labels)
    return Symbols(index["event_shape"], index["symbols"], columns)


def _dtype(symbols: Symbols) -> np.dtype[Any]:
    """The smallest unsigned integers that hold the symbols."""
    most = max(symbols.levels)
    return np.dtype("|u1" if most <= 2**8 else "<u2" if most <= 2**16 else "<u4")


def _path(stem: Path, shard: int) -> Path:
    """The file of a shard of the split that its folder / name says."""
    return stem.with_name(f"{stem.name}-{shard:05}.npy")


def _address(path: str | Path) -> tuple[Path, str | None]:
    """``folder:name`` as the folder and the name of a split."""
    folder, colon, name = str(path).rpartition(":")
    if colon and not Path(path).exists():
        return Path(folder), name
    return Path(path), None


def _choose(folder: Path, names: list[str], key: str | None, split: str | None) -> str:
    wanted = key or split
    if wanted in names:
        return wanted
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted is None:
        raise ValueError(f"{folder} has {', '.join(names)}: write {folder}:{names[0]} to choose")
    raise ValueError(
        f"{folder} has no {wanted} examples; it has {', '.join(names)}: write "
        f"{folder}:{names[0]} to choose"
    )
