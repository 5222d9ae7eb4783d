"""Tables of categories in CSV files, and back: symbol s of a column is its label s."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autoregress.brief import brief
from autoregress.data.conditions import from_labels, in_order
from autoregress.data.formats.format import Extra, Format, Request
from autoregress.data.source import Data, Source
from autoregress.disk import open_file, replacing
from autoregress.symbols import Columns, Symbols

MOST_SYMBOLS = 2**16
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
MISSING = frozenset({"", "?", "nan", "NaN"})
# "01" is a code and not the number 1, "1.0" is what a table with gaps makes of 1.
WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})(\.0*)?", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class Tables(Format):
    """A CSV file (UTF-8, commas): x (N, D), every column a category.

    The first row is the header, unless its cells are all numbers or missing: then the columns
    are called "0", "1", … Cells are compared as text, stripped of surrounding spaces.

    A column's labels are its distinct texts, in order. Whole numbers (1.0 is 1) are sorted as
    numbers, and all those between the least and the greatest are labels too, unless there would
    be more than ``max_categories``; other numbers are sorted as numbers, all else as text. The
    labels of the files ``labels_from``, which have the same columns, are added.

    With ``levels``, or a model without columns, the cells are the symbols themselves. A model
    with columns fixes their labels, and their names, which the header may list in any order.

    In partial data an empty cell, "?" or "nan" marks an unknown, which becomes symbol 0 and known
    = False; in other data it is refused. A ``condition`` names a column, which is then not part
    of the example.
    """

    holds_what = "a table"
    names = ".csv"
    takes = frozenset({"levels", "labels_from", "max_categories", "condition"})
    says_what_is_known = True
    writes = (".csv",)

    def holds(self, path: Path, *, clips: bool) -> bool:
        return path.suffix.lower() == ".csv" and path.is_file()

    def open(self, path: Path, request: Request) -> Source:
        reading, like = request.reading, request.like
        columns = None if like is None else like.columns
        levels = reading.levels if like is None else like.levels
        if like is None and levels is not None:
            for option in {"labels_from", "max_categories"} & {*reading.given}:
                raise ValueError(
                    f"{path}: with levels the cells are symbols, not labels, to which {option} "
                    "does not apply"
                )
        expected = None if columns is None else columns.names
        table = _read(path, expected, reading.condition)
        further = [
            _read(Path(other), table.names, reading.condition) for other in reading.labels_from
        ]
        context, labels = None, request.labels
        if table.conditions:
            if labels is None and further:
                labels = in_order({text for each in (table, *further) for text in each.conditions})
            context, labels = from_labels(table.conditions, labels, str(path))
        if columns is not None:
            texts, meaning = table.ordered(columns.names, "the model's"), columns
        elif levels is not None:
            texts, meaning = table.texts, _numbers(path, table.names, levels)
        else:
            texts = table.texts
            others = [each.ordered(table.names, f"those of {path}") for each in further]
            meaning = Columns(
                table.names,
                tuple(
                    _labels(path, name, set().union(*same), reading.max_categories)
                    for name, *same in zip(table.names, texts, *others, strict=True)
                ),
            )
        x, known = _encode(table, texts, meaning, columns, partial=request.partial)
        if columns is None and levels is not None:
            return Data(x, meaning.levels, None, known, context, labels)
        return Data(x, meaning.levels, meaning, known, context, labels)

    def write(
        self,
        path: Path,
        x: Tensor,
        symbols: Symbols,
        *,
        known: Tensor | None = None,
        extra: Extra | None = None,
        rate: int = 10,
    ) -> list[Path]:
        write_csv(path, x, symbols.columns, extra=extra)
        return [path]


FORMAT = Tables()


def write_csv(
    path: Path, x: Tensor, columns: Columns | None = None, *, extra: Extra | None = None
) -> None:
    """Writes x (N, *event_shape), each example flattened to a row, as labels under a header.

    Without columns the cells are the numbers in x, and the columns are called 0, 1, … A header
    of these names alone is left out, as it would be read as a row.

    Args:
        extra: further columns to the right, N values each.

    Raises:
        ValueError: a further column has the name of another, or does not have N values.
    """
    if x.dtype == torch.bool:
        x = x.to(torch.uint8)
    cells: list[Sequence[Any]] = x.flatten(1).T.tolist()
    if columns is None:
        names = list(_numbered(len(cells)))
    else:
        names = list(columns.names)
        for c, levels in enumerate(columns.levels):
            labels = [columns.text(c, symbol) for symbol in range(levels)]
            cells[c] = [labels[symbol] for symbol in cells[c]]
    for name, values in (extra or {}).items():
        if name in names:
            raise ValueError(f"{path}: two columns would be called {brief(name)}")
        if len(values) != len(x):
            raise ValueError(f"{path}: column {name!r} has {len(values)} values for {len(x)} rows")
        names.append(name)
        cells.append(values.tolist() if isinstance(values, Tensor) else values)
    with replacing(path) as file:
        writer = csv.writer(codecs.getwriter("utf-8")(file), lineterminator="\n")
        if tuple(names) != _numbered(len(names)):
            writer.writerow(names)
        writer.writerows(zip(*cells, strict=True))


@dataclass(frozen=True)
class _Table:
    path: Path
    names: tuple[str, ...]
    texts: list[tuple[str, ...]]  # D columns of N cells
    lines: list[int]  # the line of the file on which each row ends
    header: bool
    conditions: tuple[str, ...] = ()  # the N cells of the column of conditions

    def conditioned_on(self, name: str) -> _Table:
        """The same table with one of its columns set aside as the rows' conditions."""
        if name not in self.names:
            raise ValueError(
                f"{self.path} has no column {name!r} to condition on; it has {_listed(self.names)}"
            )
        c = self.names.index(name)
        for line, text in zip(self.lines, self.texts[c], strict=True):
            if text in MISSING:
                raise ValueError(
                    f"{self.path}: line {line}, column {name!r} is missing; conditions must be "
                    "known"
                )
        names, texts = self.names[:c] + self.names[c + 1 :], self.texts[:c] + self.texts[c + 1 :]
        if not names:
            raise ValueError(f"{self.path} has no column other than the condition {brief(name)}")
        return replace(self, names=names, texts=texts, conditions=self.texts[c])

    def ordered(self, names: Sequence[str], whose: str) -> list[tuple[str, ...]]:
        """The columns in the order of these names."""
        place = {name: c for c, name in enumerate(self.names)}
        lacking = [name for name in names if name not in place]
        wanted = set(names)
        beyond = [name for name in self.names if name not in wanted]
        if lacking or beyond:
            raise ValueError(
                f"{self.path}: the columns are not {whose}: "
                + "; ".join(
                    f"{what} {_listed(those)}"
                    for what, those in (("missing", lacking), ("not expected", beyond))
                    if those
                )
                + ("" if self.header else " (the first line was not taken for a header)")
            )
        return [self.texts[place[name]] for name in names]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(brief, names[:8]))
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


def _numbered(count: int) -> tuple[str, ...]:
    """The names of columns without a header."""
    return tuple(map(str, range(count)))


def _is_header(row: Sequence[str], expected: Sequence[str] | None) -> bool:
    if expected is not None:
        if tuple(expected) == _numbered(len(expected)):
            return False
        if sorted(row) == sorted(expected):
            return True
    return not all(NUMBER.fullmatch(text) or text in MISSING for text in row)


class _Stripped(dict[str, str]):
    """Texts stripped of surrounding spaces, each kept once, as wide tables repeat a few texts."""

    def __missing__(self, text: str) -> str:
        stripped = self[text] = text.strip()
        return stripped


def _read(path: Path, expected: Sequence[str] | None, condition: str | None) -> _Table:
    """Reads a file's cells, stripped of the spaces around them, and finds its header.

    Expected names, if any, only help to tell a header from a row.
    """
    if expected is not None and condition is not None:
        expected = (*expected, condition)
    rows: list[list[str]] = []
    lines: list[int] = []
    stripped = _Stripped()
    with open_file(path) as binary, TextIOWrapper(binary, "utf-8-sig", newline="") as file:
        reader = csv.reader(file, skipinitialspace=True)
        try:
            for row in reader:
                if not row:  # a blank line
                    continue
                if rows and len(row) != len(rows[0]):
                    raise ValueError(
                        f"{path}: line {reader.line_num} has {len(row)} cells, "
                        f"but the first row has {len(rows[0])}"
                    )
                rows.append([stripped[text] for text in row])
                lines.append(reader.line_num)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 text; save it as CSV in UTF-8") from error
        except csv.Error as error:
            raise ValueError(f"{path}: line {reader.line_num}: {error}") from error
    if not rows:
        raise ValueError(f"{path} is empty")
    if len(rows[0]) == 1:
        for separator, name in SEPARATORS.items():
            if {row[0].count(separator) for row in rows} == {rows[0][0].count(separator)} - {0}:
                raise ValueError(f"{path} is separated by {name}; save it with commas")
    header = _is_header(rows[0], expected)
    names = tuple(rows[0]) if header else _numbered(len(rows[0]))
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{path}: two columns are called {brief(twice)}; every name must differ")
    if header:
        del rows[0], lines[0]
    if not rows:
        raise ValueError(f"{path} has a header and no rows")
    table = _Table(path, names, list(zip(*rows, strict=True)), lines, header)
    return table if condition is None else table.conditioned_on(condition)


def _numbers(path: Path, names: tuple[str, ...], levels: int | tuple[int, ...]) -> Columns:
    """Columns whose labels are the symbols themselves."""
    several = (levels,) * len(names) if isinstance(levels, int) else levels
    if len(several) != len(names):
        raise ValueError(f"{path} has {len(names)} columns, but {len(several)} are expected")
    if max(several) > MOST_SYMBOLS:
        raise ValueError(
            f"{path}: a column of symbols has at most {MOST_SYMBOLS:,} levels, got {max(several):,}"
        )
    labels = {k: tuple(map(str, range(k))) for k in several}
    return Columns(names, tuple(labels[k] for k in several))


def _encode(
    table: _Table,
    texts: list[tuple[str, ...]],
    meaning: Columns,
    columns: Columns | None,
    *,
    partial: bool,
) -> tuple[Tensor, Tensor | None]:
    """Cells as symbols (N, D), and the mask of the known ones if the data is partial.

    Args:
        columns: the columns of a trained model, None if there is none.
    """
    small = max(meaning.levels) <= 256
    x = np.zeros((len(table.lines), len(texts)), np.uint8 if small else np.int64)
    known = np.ones(x.shape, np.bool_)
    for c, column in enumerate(texts):
        codes = _codes(meaning, c, column)
        for text, code in codes.items():
            if code is None and not (partial and text in MISSING):
                line = table.lines[column.index(text)]
                where = f"{table.path}: line {line}, column {brief(meaning.names[c])}"
                raise ValueError(f"{where} {_objection(text, len(meaning.labels[c]), columns)}")
        if None in codes.values():
            known[:, c] = [codes[text] is not None for text in column]
        x[:, c] = [codes[text] or 0 for text in column]
    return torch.from_numpy(x), torch.from_numpy(known) if partial else None


def _integer(text: str) -> int:
    return int(text.partition(".")[0])


def _labels(path: Path, name: str, texts: set[str], most: int) -> tuple[str, ...]:
    """The labels of a column, in order, from the texts found in it."""
    texts = texts - MISSING
    if all(map(WHOLE.fullmatch, texts)):
        numbers = sorted({_integer(text) for text in texts})
        if numbers and numbers[-1] - numbers[0] < most:
            numbers = range(numbers[0], numbers[-1] + 1)
        labels = [str(number) for number in numbers]
    elif all(map(NUMBER.fullmatch, texts)):
        labels = sorted(texts, key=lambda text: (float(text), text))
    else:
        labels = sorted(texts)
    if len(labels) > most:
        raise ValueError(
            f"{path}: column {brief(name)} has {len(labels)} different values, more than the "
            f"{most} allowed; bin it, leave it out, raise max_categories, or use train table"
        )
    return tuple(labels)


def _codes(columns: Columns, c: int, column: Sequence[str]) -> dict[str, int | None]:
    """The symbol of every distinct text of a column; None if it is not among the labels."""
    # Backwards, so that the lower of two levels with the same text wins.
    index = {columns.text(c, s): s for s in reversed(range(columns.levels[c]))}
    whole = all(WHOLE.fullmatch(text) and str(_integer(text)) == text for text in columns.labels[c])
    codes = {text: index.get(text) for text in dict.fromkeys(column)}
    for text, code in codes.items():
        if code is None and whole and WHOLE.fullmatch(text):
            codes[text] = index.get(str(_integer(text)))
    return codes


def _objection(text: str, levels: int, columns: Columns | None) -> str:
    if text in MISSING:
        return (
            f"is missing ({text or 'empty'}); fill it in, or give it a label of its own such as "
            "'missing' (such cells mark unknowns only when completing)"
        )
    if columns is None:
        return f"holds {brief(text)}; its symbols are 0 to {levels - 1}"
    return (
        f"holds {brief(text)}, which is not among its labels, and the model gives unseen labels no "
        "probability; name this file with --labels-from when training"
    )
