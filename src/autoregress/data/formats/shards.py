"""Examples of any kind as arrays on disk, from which each process reads only the rows it needs.

A folder of shards holds an index, ``shards.json``, and for each split .npy files such as
``train-00000.npy``, ``train-00001.npy``, …: arrays (n, *event_shape) of the smallest unsigned
integers that the symbols fit into. The symbols themselves are thus on disk: examples are decoded,
scaled and cut only once.

Rows are read by position, those of a batch in file order and announced to the operating system
beforehand. This was the fastest way to read from disk in random order; a memory map, which waits
for one page at a time, took several times as long (docs/results/shards_speed.md). A tar in the
WebDataset layout is read sequentially, which is slower for small records and somewhat faster for
clips, and shuffled in a buffer. The order of examples would then not be a function of seed and
step alone, would depend on the number of processes, and could not be resumed in the middle.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from autoregress.data.formats.format import Format, Request
from autoregress.data.formats.npy import read_array
from autoregress.data.prefetch import read_ahead
from autoregress.data.reading import Reading
from autoregress.data.source import (
    BLOCK,
    Source,
    begin_hash,
    check_context,
    description,
    stored,
    stored_as,
)
from autoregress.disk import (
    check_folder,
    make_folder,
    naming,
    open_file,
    read_json,
    unreadable,
    write_file,
    write_json,
)
from autoregress.kinds import Count, as_kind
from autoregress.symbols import Columns, Symbols

INDEX = "shards.json"
# Present from the first shard until the index is written: it marks an unfinished folder.
UNFINISHED = "shards.unfinished"
VERSION = "autoregress shards 1"
MEGABYTES = 256


class Shard(TypedDict):
    """What the index says of a shard."""

    examples: Count
    bytes: Count
    sha256: str


class Split(TypedDict):
    """What the index says of a split.

    Attributes:
        sha256: the hash of all symbols, in order.
        shards: its shards, in order.
        context: the hash of the file of contexts, if there is one.
    """

    sha256: str
    shards: list[Shard]
    context: str | None


class Index(TypedDict):
    """The content of ``shards.json``.

    Attributes:
        format: the version of the format.
        event_shape: the shape of an example.
        symbols: the numbers of levels, in short form.
        columns: names and labels, if an example is a row of a table.
        labels: names of the features of the contexts, if they are one-hot.
        splits: the splits, by name.
        made_of: the settings with which the shards were prepared.
    """

    format: str
    event_shape: tuple[Count, ...]
    symbols: Count | tuple[Count, ...]
    columns: Columns | None
    labels: tuple[str, ...] | None
    splits: dict[str, Split]
    made_of: dict[str, Any] | None


class Shards(Source):
    """A split of a folder of shards, for ``fit`` and ``evaluate``.

    Only the bytes of the requested examples are read, and only these are in memory.

    Args:
        path: the folder; ``folder:name`` is the split of that name.
        split: "train", "valid" or "test", or None for the only one.

    Raises:
        ValueError: no such folder or split, or one that is incomplete.

    Example:
        >>> ar.data.write_shards("shards", {"train": ar.data.as_source([[0, 1], [1, 1]])})
        >>> ar.data.Shards("shards")[1].tolist()
        [1, 1]
    """

    streamed = True

    def __init__(self, path: str | Path, split: str | None = None) -> None:
        self._folder, key = _address(path)
        index = read_index(self._folder)
        self._split = _choose(self._folder, list(index["splits"]), key, split)
        self._entry = index["splits"][self._split]
        for n, shard in enumerate(self._entry["shards"]):
            _check_size(self._path(n), shard["bytes"])
        with naming(self._folder / INDEX):
            symbols, self._heads = _layout(index, self._entry["shards"])
        counts = [shard["examples"] for shard in self._entry["shards"]]
        self._starts = np.cumsum([0, *counts])
        context = None
        if self._entry["context"] is not None:
            context = _read_context(self._context_path, len(self))
        super().__init__(
            symbols.event_shape, symbols.compact, symbols.columns, context, index["labels"]
        )
        self._dtype = stored_as(symbols)
        self._row = self._dtype.itemsize * symbols.dims

    @property
    def digest(self) -> str:
        """A hash of all symbols, in order, however they are cut into shards.

        It was computed when they were written; :meth:`verify` checks that they are unchanged.
        """
        return self._entry["sha256"]

    def __len__(self) -> int:
        return int(self._starts[-1])

    def _rows(self, index: Tensor) -> Tensor:
        rows = index.numpy()
        content = np.empty((len(rows), self._row), np.uint8)
        order = rows.argsort(kind="stable")
        shards = np.searchsorted(self._starts, rows[order], side="right") - 1
        for shard in np.unique(shards).tolist():
            places = order[shards == shard]
            self._read(shard, rows[places], content, places.tolist())
        array = content.view(self._dtype).reshape(len(rows), *self.event_shape)
        x = torch.from_numpy(array if array.dtype == np.uint8 else array.astype(np.int64))
        try:
            self.symbols.check(x)
        except ValueError as error:
            self.verify()  # names the damaged file
            raise ValueError(f"{self._folder} is damaged: {error}") from None
        return x

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

    @property
    def _context_path(self) -> Path:
        return _context_path(self._folder / self._split)

    def verify(self) -> None:
        """Reads everything; raises ValueError if a file differs from what was written."""
        written = {self._path(n): shard["sha256"] for n, shard in enumerate(self._entry["shards"])}
        if self._entry["context"] is not None:
            written[self._context_path] = self._entry["context"]
        for path, digest in written.items():
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    raise ValueError(f"{path} is damaged: its content is not what was written")


class PreparedShards(Format):
    """A folder of shards, or one split of it, ``folder:name`` (:class:`Shards`)."""

    holds_what = "prepared shards"
    names = "prepared shards"
    takes = frozenset({"levels", "size", "grey", "frames"})

    def holds(self, path: Path, *, clips: bool) -> bool:
        folder, _ = _address(path)
        return (folder / INDEX).is_file() or (folder / UNFINISHED).is_file()

    def open(self, path: Path, request: Request) -> Source:
        shards = Shards(path, request.split)
        own, like = shards.symbols, request.like
        if like is None:
            _check_prepared_so(path, own, request.reading)
            return shards
        if own.event_shape != like.event_shape:
            raise ValueError(
                f"{path} holds examples {own.event_shape}; this model takes {like.event_shape}"
            )
        if own.levels != like.levels:
            both = [s.compact if s.uniform else "varying numbers of" for s in (own, like)]
            raise ValueError(
                f"{path} was prepared with {both[0]} levels; this model takes {both[1]} levels"
            )
        if own.columns != like.columns:
            raise ValueError(f"{path} was prepared with other labels than the model's")
        if request.labels is not None and shards.labels not in (None, request.labels):
            raise ValueError(f"{path} was prepared with other conditions than the model's")
        return shards

    def splits(self, path: Path) -> Sequence[str]:
        folder, key = _address(path)
        return () if key is not None else list(read_index(folder)["splits"])


FORMAT = PreparedShards()


def _check_prepared_so(path: Path, symbols: Symbols, reading: Reading) -> None:
    """Raises ValueError unless the examples were prepared with these reading options."""
    shape = symbols.event_shape
    image = shape[-3:] if len(shape) in (3, 4) else None
    levels = reading.levels
    found = {
        "frames": shape[0] if len(shape) == 4 else None,
        "size": image and image[1:],
        "grey": image and image[0] == 1,
        "levels": symbols.compact,
    }
    wanted = {
        "frames": reading.frames,
        "size": reading.size,
        "grey": reading.grey,
        "levels": None if levels is None else Symbols(shape, levels).compact,
    }
    for name, value in wanted.items():
        if value is not None and value != found[name]:
            raise ValueError(
                f"{path} was prepared with {name} {found[name]}, not {value}; prepare new shards "
                "for that"
            )


def check_prepared(folder: Path, made_of: Mapping[str, Any]) -> dict[str, int]:
    """The number of examples of each split, after a check that all files are unchanged.

    Raises:
        ValueError: a file is damaged, or the shards were prepared with other settings.
    """
    index = read_index(folder)
    before = index["made_of"] or {}
    differences = [
        f"{name} was {before.get(name)!r}, not {value!r}"
        for name, value in made_of.items()
        if before.get(name) != value
    ]
    if differences:
        raise ValueError(
            f"{folder} was prepared differently: {'; '.join(differences)}. Give another folder"
        )
    splits = [Shards(folder, name) for name in index["splits"]]
    for shards in splits:
        shards.verify()
    return {name: len(shards) for name, shards in zip(index["splits"], splits, strict=True)}


def read_index(folder: Path) -> Index:
    """The content of ``shards.json`` in a folder of shards.

    Raises:
        ValueError: it is missing, damaged, or not an index of shards.
    """
    path = folder / INDEX
    if not path.exists() and (folder / UNFINISHED).exists():
        raise ValueError(f"{folder} is unfinished; run the same command again to prepare it anew")
    content = read_json(path, dict[str, Any])
    if content.get("format") != VERSION:
        raise ValueError(f"{path} is not an index of shards that this version can read")
    with naming(path):
        index = as_kind(content, Index)
        for name in index["splits"]:
            _check_name(name)
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

    The index is written last, atomically: after a kill the folder is recognised as unfinished,
    and the next call begins anew. Memory holds a few blocks of 8 MB.

    Args:
        folder: created if need be; an existing one must be empty or unfinished.
        splits: examples by name, such as train and valid, all of one kind; their contexts are
            written too.
        megabytes: approximate size of a shard.
        workers: number of threads that read; it does not affect what is written.
        notes: further entries of the index, as JSON.
        quiet: show no progress on standard error.

    Raises:
        ValueError: the folder holds something else, or the examples are not of one kind.

    Example:
        >>> rows = ar.data.as_source(torch.randint(2, (20, 5)))
        >>> ar.data.write_shards("prepared", dict(zip(("train", "valid"), rows.split(0.1, seed=0))))
        >>> len(ar.data.open("prepared:valid"))
        2
    """
    folder = Path(folder)
    symbols = _one_kind(splits)
    check_free(folder)
    _begin(folder)
    written: dict[str, Any] = {}
    console = Console(stderr=True)
    silent = quiet or not console.is_terminal
    progress = Progress(console=console, transient=True, disable=silent)
    # Even a disabled bar, started and stopped, leaves an empty line in old versions of rich.
    with nullcontext() if silent else progress:
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
    labels = next(iter(splits.values())).labels
    index = {
        "format": VERSION,
        **description(symbols),
        **({} if labels is None else {"labels": labels}),
        "splits": written,
        **(notes or {}),
    }
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
    """Writes the shards of one split; returns their entry in the index."""
    row = stored_as(symbols).itemsize * symbols.dims
    per_shard, per_block = max(1, int(megabytes * 2**20) // row), max(1, BLOCK // row)
    cuts = [rows.split(per_block) for rows in torch.arange(len(source)).split(per_shard)]
    content = begin_hash(symbols)
    shards: list[dict[str, Any]] = []
    # One iterator over all blocks, so that workers do not wait for one another between shards.
    with closing(read_ahead(source.__getitem__, chain(*cuts), workers=workers)) as examples:
        for n, cut in enumerate(cuts):
            count = sum(map(len, cut))
            with _path(stem, n).open("wb") as file:
                header = _header(count, symbols)
                file.write(header)
                digest = hashlib.sha256(header)
                for x in islice(examples, len(cut)):
                    symbols.check(x)
                    block = stored(x, symbols).data
                    file.write(block)
                    digest.update(block)
                    content.update(block)
                    advance(len(x))
                size = file.tell()
                file.flush()
                os.fsync(file.fileno())
            shards.append({"examples": count, "bytes": size, "sha256": digest.hexdigest()})
    written = {"sha256": content.hexdigest(), "shards": shards}
    if source.context is not None:
        written["context"] = _write_context(_context_path(stem), source.context)
    return written


def _one_kind(splits: Mapping[str, Source]) -> Symbols:
    """The symbols of all splits; raises ValueError if they differ or a split is unsuitable."""
    kinds = list[tuple[Symbols, int, tuple[str, ...] | None]]()
    for name, source in splits.items():
        _check_name(name)
        if len(source) == 0:
            raise ValueError(f"there are no {name} examples")
        kinds.append((source.symbols, source.features, source.labels))
        if description(source.symbols) != description(kinds[0][0]) or kinds[-1][1:] != kinds[0][1:]:
            raise ValueError(
                f"the {name} examples {source.event_shape} have another shape than those of the "
                "other splits, or other levels or conditions"
            )
    return kinds[0][0]


def _check_name(split: str) -> None:
    if not re.fullmatch(r"\w+", split):
        raise ValueError(f"the name of a split must be letters and digits, not {split!r}")


def check_free(folder: Path) -> None:
    """Raises ValueError if shards cannot be written to a folder."""
    check_folder(folder)
    names = sorted(item.name for item in folder.iterdir()) if folder.is_dir() else []
    if names and (INDEX in names or UNFINISHED not in names):
        raise ValueError(f"{folder} is not empty (it holds {names[0]}); give another folder")


def _begin(folder: Path) -> None:
    """Creates the folder, or clears it of unfinished shards."""
    make_folder(folder)
    for path in folder.glob("*-*.npy"):
        path.unlink()
    (folder / UNFINISHED).touch()


def _header(count: int, symbols: Symbols) -> bytes:
    """The header of the .npy file of ``count`` examples."""
    header = io.BytesIO()
    shape = (count, *symbols.event_shape)
    description = {"descr": stored_as(symbols).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, description)
    return header.getvalue()


def _layout(index: Index, shards: Sequence[Shard]) -> tuple[Symbols, list[int]]:
    """The symbols that the index describes, and the sizes in bytes of the shards' headers.

    Raises:
        ValueError: shards of these sizes hold another number of examples.
    """
    dims = math.prod(index["event_shape"])
    # Before anything of the size of an example is allocated.
    if not shards or any(not 0 < dims * s["examples"] <= s["bytes"] for s in shards):
        raise ValueError("its numbers of examples do not fit the sizes of its files")
    symbols = Symbols(index["event_shape"], index["symbols"], index["columns"])
    row = stored_as(symbols).itemsize * symbols.dims
    heads = [len(_header(shard["examples"], symbols)) for shard in shards]
    if any(head + s["examples"] * row != s["bytes"] for head, s in zip(heads, shards, strict=True)):
        raise ValueError("its numbers of examples do not fit the sizes of its files")
    return symbols, heads


def _check_size(path: Path, size: int) -> None:
    """Raises ValueError unless a file has that many bytes."""
    try:
        found = path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from error
    if found != size:
        raise ValueError(f"{path} is damaged: it has {found} bytes instead of {size}")


def _path(stem: Path, shard: int) -> Path:
    """The file of a shard of a split, whose folder / name is the stem."""
    return stem.with_name(f"{stem.name}-{shard:05}.npy")


def _context_path(stem: Path) -> Path:
    """The file of the contexts of a split."""
    return stem.with_name(f"{stem.name}-context.npy")


def _write_context(path: Path, context: Tensor) -> str:
    """Writes contexts; returns the hash of the file."""
    content = io.BytesIO()
    np.save(content, context.cpu().numpy().astype(np.float32), allow_pickle=False)
    write_file(path, content.getbuffer())
    return hashlib.sha256(content.getbuffer()).hexdigest()


def _read_context(path: Path, count: int) -> Tensor:
    with open_file(path) as file:
        array = read_array(file, path.stat().st_size, path)
    if array.dtype != np.float32:
        raise ValueError(f"{path} is damaged: it holds {array.dtype}, not float32")
    context = torch.from_numpy(array)
    with naming(path):
        check_context(context, count)
    return context


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
