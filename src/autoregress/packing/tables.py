"""Tables in text files, which come back to the byte, and in files of typed columns.

The model codes the symbols of each row. What else its cells say is kept beside each chunk of rows:
where in their bins numbers lie, the columns that the model does not learn, and every cell and line
that is not written as the others are.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import accumulate, chain
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray

from autoregress.archive.manifest import squeezed, unsqueezed
from autoregress.container import Reader, number
from autoregress.data.source import Data, Source
from autoregress.disk import replacing
from autoregress.kinds import as_kind
from autoregress.packing import frames
from autoregress.packing.columns import STYLES, Bins, Label, Style, Way, way_of
from autoregress.packing.lines import Lines, decoded, read_lines, written
from autoregress.packing.packed import Packed
from autoregress.tables import Table
from autoregress.tables.columns import Labels
from autoregress.tables.frames import as_cells, content_of, is_text
from autoregress.tables.numbers import Numbers
from autoregress.tables.texts import dialect_of

KIND = "table"
DAMAGED = "the compressed file is damaged: what it keeps beside its rows is not what was written"
ELSEWHERE = "what the columns mean is not in the compressed file; give the run that compressed it"
OTHER = "the table of this run is not the one that compressed the file"
# The most that the cells of a chunk may become, and between them.
MOST, BETWEEN = 2**28, "\0"
NUMBER = 500  # characters of a number or a date
# How the cells of a column are kept: those that differ from what is predicted, or all.
DIFFERENT, ALL = 0, 1


@dataclass(frozen=True)
class Spoken:
    """A column of a file.

    Attributes:
        dim: place of its symbol in an example; −1 for the label that an example is conditioned
            on; None if the model does not learn it.
        meaning: what its symbols stand for.
        way: how its cells are written.
        name: that of the column of a table that has this meaning, None without a table.
    """

    dim: int | None
    meaning: Label | Bins | None
    way: Way
    name: str | None = None

    @property
    def longest(self) -> int:
        """The largest number of characters of a predicted cell."""
        texts = self.meaning.texts if isinstance(self.meaning, Label) else ("?" * NUMBER,)
        text = len(self.way.before) + len(self.way.after) + max(map(len, texts), default=0)
        return max(text, len(self.way.missing))


class Text:
    """The text of a table: what is the same for all rows.

    Attributes:
        head: what comes before the first row.
        lines: what stands between cells and at the end of a line.
        columns: the columns.
    """

    def __init__(
        self,
        head: str,
        encoding: str,
        lines: tuple[str, str],
        columns: Sequence[Spoken],
    ) -> None:
        self.head, self.encoding, self.lines, self.columns = head, encoding, lines, columns

    def to_json(self, *, short: bool = False) -> dict[str, Any]:
        """The content, from which :meth:`from_json` restores it.

        Args:
            short: leave out what the columns of a table mean, which the table says too.
        """
        columns, checks = [], list[dict[str, Any] | None]()
        for each in self.columns:
            meaning = _as_json(each.meaning)
            if short and each.name is not None:
                checks.append(_plain(meaning))
                meaning = {"column": each.name}
                if isinstance(each.meaning, Bins):
                    meaning["style"] = each.meaning.style
            way = {k: v for k, v in vars(each.way).items() if v != getattr(Way(), k)}
            columns.append([each.dim, meaning, way])
        content = {
            "kind": KIND, "head": self.head, "encoding": self.encoding, "lines": self.lines,
            "columns": columns,
        }  # fmt: skip
        return content | ({"check": _check(checks)} if short else {})

    @classmethod
    def from_json(cls, content: Mapping[str, Any], table: Table | None = None) -> Text:
        """Restores what :meth:`to_json` gave.

        Args:
            table: that of the file, if its columns' meanings were left out.

        Raises:
            ValueError: it is damaged, or is of another table.
        """
        kind = tuple[int | None, dict[str, Any] | None, dict[str, Any]]
        meanings = {} if table is None else _meanings(table)
        columns, checks = list[Spoken](), list[dict[str, Any] | None]()
        for dim, said, way in as_kind(content.get("columns"), list[kind], "columns"):
            meaning: Label | Bins | None = None
            name = None
            if said is not None and "column" in said:
                name = as_kind(said["column"], str, "column")
                meaning = meanings[name][1] if name in meanings else None
                checks.append(_plain(_as_json(meaning)))
                if isinstance(meaning, Bins):
                    meaning = replace(meaning, style=as_kind(said.get("style"), Style, "style"))
            elif said is not None and "width" in said:
                width = as_kind(said["width"], tuple[int, ...], "width")
                first = as_kind(said.get("first"), int, "first")
                if not width or min(width) < 1 or abs(first) + sum(width) >= 2**62:
                    raise ValueError(DAMAGED)
                starts = list(accumulate(width[:-1], initial=first))
                bins = as_kind({**said, "first": starts}, Bins, "bins")
                bins.check()
                meaning = bins
            elif said is not None:
                meaning = as_kind(said, Label, "labels")
            full = {**vars(Way()), **way}
            columns.append(Spoken(dim, meaning, as_kind(full, Way, "way"), name))
        if content.get("check", _check([])) != _check(checks):
            raise ValueError(ELSEWHERE if table is None else OTHER)
        head, encoding = (as_kind(content.get(k), str, k) for k in ("head", "encoding"))
        lines = as_kind(content.get("lines"), tuple[str, str], "lines")
        if encoding not in ("utf-8", "cp1252", "latin-1"):
            raise ValueError(DAMAGED)
        return cls(head, encoding, lines, columns)

    # A chunk of rows

    def predicted(
        self,
        column: Spoken,
        symbols: NDArray[np.int64],
        offsets: NDArray[np.int64] | None,
        start: int,
    ) -> list[str]:
        """The cells of a column, as its symbols tell and as its cells are usually written.

        Args:
            start: the number of the first row, in a column that counts.
        """
        way, meaning = column.way, column.meaning
        if meaning is None:
            if way.counts:
                return [str(start + row) for row in range(len(symbols))]
            return [way.missing] * len(symbols)
        if isinstance(meaning, Label):
            cells = [f"{way.before}{text}{way.after}" for text in meaning.texts]
            known = len(cells)
            return [cells[s] if 0 <= s < known else way.missing for s in symbols.tolist()]
        assert offsets is not None
        text, first = meaning.writer(), meaning.first
        return [
            f"{way.before}{text(first[s] + o)}{way.after}" if s >= 0 else way.missing
            for s, o in zip(symbols.tolist(), offsets.tolist(), strict=True)
        ]

    def pack(
        self,
        x: NDArray[np.int64],
        labels: NDArray[np.int64] | None,
        records: Sequence[str],
        cells: Sequence[list[str] | None],
        numbers: Mapping[int, NDArray[np.int64]],
    ) -> bytes:
        """What is kept beside rows (rows, D) so that their text comes back.

        Args:
            numbers: by dimension, the numbers (rows,) of cells that are numbers.
        """
        rows, width = len(records), len(self.columns)
        even = [own is not None and len(own) == width for own in cells]
        table = [own if fits else [""] * width for own, fits in zip(cells, even, strict=True)]
        places, streams, texts = bytearray(), list[bytes](), list[str]()
        columns = list[list[str]]()
        for place, column in enumerate(self.columns):
            raws = [own[place] for own in table]  # pyright: ignore[reportOptionalSubscript]
            symbols, start = self._symbols(column, x, labels), 0
            offsets, coded = None, b""
            if isinstance(column.meaning, Bins):
                assert column.dim is not None
                offsets, _ = column.meaning.offsets(symbols, numbers[column.dim])
                coded = column.meaning.pack(symbols, offsets)
            if column.way.counts and raws[0].isdecimal() and len(raws[0]) < 16:
                start = int(raws[0])
            cells_of = self.predicted(column, symbols, offsets, start)
            wrong = [row for row in range(rows) if even[row] and cells_of[row] != raws[row]]
            different, everything = (
                BETWEEN.join(each) for each in ([raws[r] for r in wrong], raws)
            )
            # As far as can be said of one column alone.
            cost = len(coded) + 2 * len(wrong) + len(squeezed(different.encode()))
            if (wrong or coded) and len(squeezed(everything.encode())) < cost:
                places += number(ALL)
                texts.append(everything)
                columns.append(raws)
                continue
            places += number(DIFFERENT) + number(start) + number(len(wrong)) + _gaps(wrong)
            streams.append(number(len(coded)) + coded)
            texts.append(different)
            for row in wrong:
                cells_of[row] = raws[row]
            columns.append(cells_of)
        lines = self._joined(columns, rows)
        wrong = [row for row in range(rows) if lines[row] != records[row]]
        places += number(len(wrong)) + _gaps(wrong)
        texts.append(BETWEEN.join(records[row] for row in wrong))
        kept = squeezed(bytes(places) + BETWEEN.join(texts).encode())
        return number(len(places)) + number(len(kept)) + kept + b"".join(streams)

    def unpack(self, x: NDArray[np.int64], labels: NDArray[np.int64] | None, content: bytes) -> str:
        """The text of rows (rows, D), from what was kept beside them.

        Raises:
            ValueError: it is damaged.
        """
        rows, read = len(x), Reader(content)
        length, size = read.number(), read.number()
        kept = unsqueezed(read.take(size), MOST)
        places = Reader(kept[:length])
        try:
            texts = iter(kept[length:].decode().split(BETWEEN))
        except UnicodeDecodeError as error:
            raise ValueError(DAMAGED) from error

        def some(count: int) -> list[str]:
            # No text at all is one empty one.
            found = [text for _, text in zip(range(max(1, count)), texts, strict=False)]
            if len(found) != max(1, count):
                raise ValueError(DAMAGED)
            return found[:count]

        columns = list[list[str]]()
        for column in self.columns:
            if places.number() == ALL:
                columns.append(some(rows))
                continue
            start, wrong = places.number(), _from_gaps(places, rows)
            coded = read.take(read.number())
            symbols, offsets = self._symbols(column, x, labels), None
            if isinstance(column.meaning, Bins):
                if symbols.max(initial=-1) >= len(column.meaning.width):
                    raise ValueError(DAMAGED)
                offsets = column.meaning.unpack(symbols, coded)
            if rows * column.longest > MOST:
                raise ValueError(DAMAGED)
            try:
                cells = self.predicted(column, symbols, offsets, start)
            except (ArithmeticError, ValueError) as error:  # no such number, or no such date
                raise ValueError(DAMAGED) from error
            for row, text in zip(wrong, some(len(wrong)), strict=True):
                cells[row] = text
            columns.append(cells)
        lines = self._joined(columns, rows)
        wrong = _from_gaps(places, rows)
        for row, text in zip(wrong, some(len(wrong)), strict=True):
            lines[row] = text
        read.end()
        return "".join(lines)

    def _joined(self, columns: Sequence[Sequence[str]], rows: int) -> list[str]:
        if not columns:
            return [self.lines[1]] * rows
        return [written(cells, self.lines) for cells in zip(*columns, strict=True)]

    def _symbols(
        self, column: Spoken, x: NDArray[np.int64], labels: NDArray[np.int64] | None
    ) -> NDArray[np.int64]:
        if column.dim is None:
            return np.full(len(x), -1)
        if column.dim < 0:
            if labels is None:
                raise ValueError(DAMAGED)
            return labels
        if column.dim >= x.shape[1]:
            raise ValueError(DAMAGED)
        return x[:, column.dim]


def pack_table(table: Table, path: Path) -> Packed:
    """A file with the columns of a table that was learnt.

    Raises:
        ValueError: it cannot be read, or holds cells that the table's columns cannot have.
    """
    frame = None
    if path.suffix.lower() in frames.SUFFIXES:
        typed, content, frame = frames.as_text(path)
        cells = as_cells(typed)
    else:
        content, cells = content_of(path), as_cells(path)
    encoded = table.schema.encode(cells)
    x = np.stack([each.symbols for each in encoded], 1)
    numbers = dict[int, NDArray[np.int64]]()
    for dim, column in enumerate(table.schema.columns):
        if isinstance(column, Numbers):
            if column.absent:  # what is missing is written as such
                x[x[:, dim] == column.levels - 1, dim] = -1
            if column.name in cells:
                cleaned = table.schema.cleaned(cells[column.name])
                own = np.append(column.numbers(cleaned), 0)[cleaned.codes]
                numbers[dim] = own.round().astype(np.int64)
            else:
                numbers[dim] = np.zeros(len(x), np.int64)
    if frame is None:
        lines, header = _lines(path, content, *dialect_of(decoded(content)[1]), len(x))
        names = _names(lines, header, {name: own.values() for name, own in cells.items()})
    else:
        lines, header = _lines(path, content, ",", '"', len(x))
        names = list(cells)
    meanings = _meanings(table)
    learnt = [meanings.get(name) if name is not None else None for name in names]
    source = Data(torch.from_numpy(x), table.model.symbols.levels, None, torch.from_numpy(x >= 0))
    named = [name if own is not None else None for name, own in zip(names, learnt, strict=True)]
    packed, text = _packed(source, path, lines, header, learnt, numbers, None, named)
    more = {} if frame is None else {"frame": frame}
    packed.manifest, packed.whole = (text.to_json(short=short) | more for short in (True, False))
    return packed


def _meanings(table: Table) -> dict[str, tuple[int, Label | Bins]]:
    """The place of each column of a table, and what its symbols stand for."""
    return {
        column.name: (
            dim,
            Bins.of(column) if isinstance(column, Numbers) else Label(column.labels),
        )
        for dim, column in enumerate(table.schema.columns)
        if isinstance(column, Numbers | Labels)
    }


def _as_json(meaning: Label | Bins | None) -> dict[str, Any] | None:
    if isinstance(meaning, Bins):  # the differences are smaller
        optional = {name for name in ("step", "short") if getattr(meaning, name) is None}
        own = {name: value for name, value in asdict(meaning).items() if name not in optional}
        return {**own, "first": meaning.first[0]}
    return None if meaning is None else asdict(meaning)


def _plain(meaning: dict[str, Any] | None) -> dict[str, Any] | None:
    """A meaning without the way in which its numbers are written, which is that of a file."""
    return meaning and {name: value for name, value in meaning.items() if name != "style"}


def _check(meanings: Sequence[dict[str, Any] | None]) -> int:
    return zlib.crc32(json.dumps(meanings).encode())


def pack_symbols(source: Source, path: Path, condition: str | None) -> Packed:
    """A .csv file of labels or symbols, already read as examples."""
    x = source[:].flatten(1)
    lines, header = _lines(path, content_of(path), ",", '"', len(x))
    columns = source.columns
    texts = (
        [Label(tuple(map(str, range(k)))) for k in source.symbols.levels]
        if columns is None
        else [Label(labels) for labels in columns.labels]
    )
    names = [None if columns is None else name for name in (columns.names if columns else ())]
    head = lines.rows[0] if header else [str(n) for n in range(lines.width)]
    labels = None
    learnt: list[tuple[int, Label | Bins] | None] = []
    if source.context is not None and source.labels is not None:
        labels = source.context.argmax(1).numpy()
    dims = iter(range(len(texts)))
    for name in head:
        if name == condition:
            learnt.append(None if labels is None else (-1, Label(source.labels or ())))
        else:
            dim = names.index(name) if names and header else next(dims)
            learnt.append((dim, texts[dim]))
    return _packed(source, path, lines, header, learnt, {}, labels, [None] * len(learnt))[0]


def restores(manifest: Mapping[str, Any], out: Path) -> bool:
    """Whether a path is one for the table of a manifest."""
    typed = out.suffix.lower() in frames.SUFFIXES
    return manifest.get("kind") == KIND and ("frame" in manifest if typed else is_text(out))


def restore(manifest: Mapping[str, Any], text: Text, rows: Iterable[str], out: Path) -> list[Path]:
    """Writes the text of rows, in order, to a file; or the typed columns that it stands for."""
    parts = (part.encode(text.encoding) for part in chain([text.head], rows))
    suffix = out.suffix.lower()
    with replacing(out) as file:
        if suffix in frames.SUFFIXES:
            frame = as_kind(manifest.get("frame"), dict[str, Any], "frame")
            frames.write(file, suffix, b"".join(parts).decode(), frame)
        else:
            with _packing(file, suffix, out.stem) as inner:
                inner.writelines(parts)
    return [out]


@contextmanager
def _packing(file: IO[bytes], suffix: str, name: str) -> Iterator[IO[bytes]]:
    """What is written to a file, by its suffix compressed."""
    if suffix == ".zip":
        with (
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as folder,
            folder.open(name, "w", force_zip64=True) as inner,
        ):
            yield inner
        return
    kinds: dict[str, Callable[[], Any]] = {
        ".gz": partial(gzip.GzipFile, fileobj=file, mode="wb", mtime=0),
        ".bz2": partial(bz2.BZ2File, file, "wb"),
        ".xz": partial(lzma.LZMAFile, file, "wb"),
    }
    with kinds.get(suffix, partial(nullcontext, file))() as inner:
        yield inner


def _packed(
    source: Source,
    path: Path,
    lines: Lines,
    header: int,
    learnt: Sequence[tuple[int, Label | Bins] | None],
    numbers: Mapping[int, NDArray[np.int64]],
    labels: NDArray[np.int64] | None,
    named: Sequence[str | None],
) -> tuple[Packed, Text]:
    records, cells = lines.records[header:], lines.cells[header:]
    width = len(learnt)
    x = source[:].flatten(1).numpy().astype(np.int64)
    columns = list[Spoken]()
    for place, (own, name) in enumerate(zip(learnt, named, strict=True)):
        raws = [row[place] if row is not None and len(row) == width else None for row in cells]
        if own is None:
            columns.append(Spoken(None, None, way_of(raws, [None] * len(raws), learnt=False)))
            continue
        dim, meaning = own
        symbols = labels if dim < 0 else x[:, dim]
        assert symbols is not None
        if isinstance(meaning, Label):
            texts = [meaning.text(symbol) for symbol in symbols.tolist()]
        else:
            meaning, texts = _styled(meaning, symbols, numbers[dim], raws)
        columns.append(Spoken(dim, meaning, way_of(raws, texts, learnt=True), name))
    text = Text(
        "".join(lines.records[:header]), lines.encoding, (lines.separator, lines.newline), columns
    )

    def beside(first: int, count: int) -> bytes:
        rows = slice(first, first + count)
        own = None if labels is None else labels[rows]
        some = {dim: values[rows] for dim, values in numbers.items()}
        packed = text.pack(x[rows], own, records[rows], cells[rows], some)
        if text.unpack(x[rows], own, packed) != "".join(records[rows]):
            raise ValueError(f"{path}: rows {first} to {first + count - 1} would not come back")
        return packed

    return Packed(source, text.to_json(), beside=beside, files=[path]), text


def _styled(
    meaning: Bins,
    symbols: NDArray[np.int64],
    numbers: NDArray[np.int64],
    raws: Sequence[str | None],
) -> tuple[Bins, list[str | None]]:
    """The way in which numbers are written that fits most cells, and their texts in it."""
    offsets, inside = meaning.offsets(symbols, numbers)
    exact = np.array(meaning.first)[np.maximum(symbols, 0)] + offsets
    best, chosen, texts = -1, meaning, list[str | None]()
    for style in STYLES:
        write = meaning.writer(style)
        own = [
            write(n) if k else None for n, k in zip(exact.tolist(), inside.tolist(), strict=True)
        ]
        fits = sum(
            text is not None and raw is not None and text == raw.strip(" \"'")
            for text, raw in zip(own, raws, strict=True)
        )
        if fits > best:
            best, chosen, texts = fits, replace(meaning, style=style), own
    return chosen, texts


def _lines(path: Path, content: bytes, separator: str, quote: str, rows: int) -> tuple[Lines, int]:
    """The lines of a file, and how many of them are its header."""
    if b"\0" in content:
        raise ValueError(f"{path} is not UTF-8 text; save it as CSV in UTF-8")
    lines = read_lines(content, separator, quote)
    header = len(lines.records) - rows
    if header not in (0, 1):
        raise ValueError(f"{path}: its lines are not its rows; save it as CSV anew")
    return lines, header


def _names(
    lines: Lines, header: int, columns: Mapping[str, Sequence[str | None]]
) -> list[str | None]:
    """The name of each column of a file; None for those that were passed over in reading."""
    names, found = iter(columns.items()), list[str | None]()
    name, values = next(names, (None, ()))
    rows = lines.rows[header:]
    for place in range(lines.width):
        own = [row[place] if place < len(row) else "" for row in rows]
        if name is not None and own == list(values):
            found.append(name)
            name, values = next(names, (None, ()))
        else:
            found.append(None)
    return found


def _gaps(rows: Sequence[int]) -> bytes:
    """Ascending numbers of rows."""
    before = [-1, *rows[:-1]]
    return b"".join(number(b - a - 1) for a, b in zip(before, rows, strict=True)) if rows else b""


def _from_gaps(read: Reader, most: int) -> list[int]:
    count, row = read.number(), -1
    if count > most:
        raise ValueError(DAMAGED)
    rows = list[int]()
    for _ in range(count):
        row += read.number() + 1
        rows.append(row)
    if row >= most:
        raise ValueError(DAMAGED)
    return rows
