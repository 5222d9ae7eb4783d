"""The kinds of a table's columns: inferred from all rows, printed, overridable, saved as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np

from autoregress.brief import brief
from autoregress.disk import read_json
from autoregress.tables.cells import MISSING, Cells
from autoregress.tables.columns import (
    FALSE,
    TRUE,
    Booleans,
    Column,
    Encoded,
    Kind,
    Labels,
    Symbols,
    shortened,
)
from autoregress.tables.dates import Dates, format_of
from autoregress.tables.density import Density
from autoregress.tables.groups import grouped
from autoregress.tables.numbers import DENSE, EXACT, Numbers, bare, plain, recorded

PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
COMMA = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?")
UNIT = re.compile(
    r"(?P<sign>[+-]?)(?P<before>[$€£¥] ?|)[+-]?[\d.,]+(?P<after> ?[%$€£¥]|)", re.ASCII
)
CODE = re.compile(r"0\d+")
# A column has at most this number of labels of its own; if there are more, at most that of frequent
# ones, and the rare ones are in groups.
LABELS, FREQUENT = 256, 192
# Names of columns whose distinct whole numbers identify rows.
IDENTIFIER = re.compile(
    r"(^|[_ .]|pid|uid)(id|idnum|num|key|uuid|index|idx|rownames?|row_?names?)$|code$|^no\.?$"
    r"|(?-i:ID$|[a-z](Id|Key)$)",
    re.I,
)
# Those of columns whose whole numbers stand for things, though some are there more than once.
KEY = re.compile(r"(^|[_ .])id$|code$|(?-i:ID$|[a-z]Id$)", re.I)
# Number of rows in which it is odd that a measured whole number is never there twice.
MANY = 1000
# Largest number of columns that a note names.
MOST_NAMES = 4
# What marks a missing number where the others are far from it.
MARK = re.compile(r"-?9{2,}(00?)?(\.0*)?|-9(\.0*)?")


KINDS: dict[str, type[Column]] = {each.kind: each for each in (Labels, Booleans, Numbers, Dates)}


@dataclass(frozen=True)
class LeftOut:
    """A column that the model does not learn; outputs carry it through.

    Attributes:
        kind: "identifier", "constant" or "text".
        why: the reason, for people.
    """

    name: str
    source: str
    kind: Kind
    why: str


@dataclass(frozen=True)
class Schema:
    """The columns of a table.

    Attributes:
        columns: those that the model learns.
        left_out: those that it does not.
        order: the names of all, as in the table.
        missing: the texts that mean that a value is missing.
        notes: what was decided that a person may want to decide otherwise.

    Example:
        >>> table = ar.Table.fit({"size": ["S", "L"] * 20}, max_epochs=1, quiet=True)
        >>> table.schema.names
        ('size',)
    """

    columns: tuple[Column, ...]
    left_out: tuple[LeftOut, ...]
    order: tuple[str, ...]
    missing: frozenset[str] = MISSING
    notes: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def infer(
        cls,
        table: Sequence[Cells],
        *,
        kinds: Mapping[str, Kind] | None = None,
        missing: Sequence[str] | None = None,
        absent: Sequence[str] = (),
    ) -> Self:
        """Infers what each column is from all of its cells.

        Args:
            kinds: the kinds of some columns, by name, instead of the inferred ones.
            missing: the texts that mean that a value is missing, instead of the usual ones.
            absent: columns in which a missing value is a value of its own, and not unknown.

        Raises:
            ValueError: no such column, or one whose cells are not of the given kind, or nothing
                to learn.
        """
        kinds = kinds or {}
        names = [cells.name for cells in table]
        for name in (*kinds, *absent):
            if name not in names:
                raise ValueError(f"there is no column {name!r}; there are {', '.join(names)}")
        for kind in kinds.values():
            if kind not in get_args(Kind):
                raise ValueError(f"{kind!r} is not a kind; there are {', '.join(get_args(Kind))}")
        columns, left_out, notes = list[Column](), list[LeftOut](), list[str]()
        by_name = dict[str, Cells]()  # of the columns to learn, nothing where cells are missing
        for cells in table:
            marks = MISSING if missing is None else frozenset(missing)
            found = sorted(marks & set(cells.texts) - {""})
            rest = cells.without(marks)
            if missing is None and found and _may_be_labels(found, rest):
                notes.append(
                    f"{cells.name}: {' and '.join(found)} is taken for a label, as the others "
                    "look like it"
                )
                rest = cells.without({""})
            elif found:
                notes.append(f"{cells.name}: {', '.join(found)} means missing")
            chosen = _column(rest, kinds.get(cells.name), notes, absent=cells.name in absent)
            if isinstance(chosen, Column):
                columns.append(chosen)
                by_name[chosen.name] = rest
            else:
                left_out.append(chosen)
        for n, column in enumerate(columns):
            if isinstance(column, Labels) and column.rare:
                pairs = [(other, by_name[other.name]) for other in columns if other is not column]
                columns[n] = grouped(column, by_name[column.name], pairs)
        if not columns:
            shown = "; ".join(f"{other.name!r} ({other.why})" for other in left_out[:3])
            raise ValueError(
                f"there is no column to learn; left out: {shown}{'; …' if left_out[3:] else ''}; "
                f"to learn one all the same, name its kind, such as {left_out[0].name}=category"
            )
        marks = MISSING if missing is None else frozenset(missing)
        return cls(tuple(columns), tuple(left_out), tuple(names), marks, _folded(notes, names))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns that the model learns."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """A column by name.

        Raises:
            ValueError: the model does not learn one of that name.
        """
        for column in self.columns:
            if column.name == name:
                return column
        for other in self.left_out:
            if other.name == name:
                raise ValueError(f"column {name!r} was left out: {other.why}")
        raise ValueError(f"there is no column {name!r}; there are {', '.join(self.names)}")

    def encode(self, table: Mapping[str, Cells]) -> list[Encoded]:
        """The cells of every column as symbols; all missing where a column is not there."""
        rows = len(next(iter(table.values())))
        return [
            column.encode(self.cleaned(table[column.name]))
            if column.name in table
            else Encoded(np.full(rows, -1, np.int64), np.zeros(rows))
            for column in self.columns
        ]

    def symbols(self, table: Mapping[str, Cells]) -> Symbols:
        """The symbols (rows, D) of cells, see :meth:`encode`."""
        rows = len(next(iter(table.values())))
        each = [
            column.symbols(self.cleaned(table[column.name]))
            if column.name in table
            else np.full(rows, -1, np.int64)
            for column in self.columns
        ]
        return np.stack(each, 1)

    def cleaned(self, cells: Cells) -> Cells:
        """The cells, nothing where they hold a mark of a missing value."""
        own = self.column(cells.name)
        labels = set(own.labels) if isinstance(own, Labels) else set()
        return cells.without(self.missing - labels)

    def cleaned_all(self, table: Mapping[str, Cells]) -> dict[str, Cells]:
        """The learnt columns of a table, nothing where they hold a mark of a missing value."""
        return {name: self.cleaned(table[name]) for name in self.names if name in table}

    def report(self) -> list[tuple[str, str, str, str]]:
        """For each column its name, kind, content, and share of missing cells."""
        learnt = {
            c.name: (c.kind, c.describe(), f"{c.share_missing:.1%}" if c.share_missing else "")
            for c in self.columns
        }
        other = {c.name: (f"{c.kind}, left out", c.why, "") for c in self.left_out}
        return [(name, *(learnt | other)[name]) for name in self.order]

    def __str__(self) -> str:
        names, kinds, contents, _ = (
            max(map(len, each)) for each in zip(*self.report(), strict=True)
        )
        lines = [
            f"{name:{min(names, 24)}}  {kind:{kinds}}  {content:{min(contents, 60)}}"
            + (f"  {missing} missing" if missing else "")
            for name, kind, content, missing in self.report()
        ]
        return "\n".join([*(line.rstrip() for line in lines), *self.notes])

    def to_json(self) -> dict[str, Any]:
        """The content, from which :meth:`from_json` restores it."""
        return {
            "columns": [column.to_json() for column in self.columns],
            "left_out": [vars(other) for other in self.left_out],
            "order": self.order,
            "missing": sorted(self.missing),
        }

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a file that holds what :meth:`to_json` gave; raises ValueError if it does not."""
        content = read_json(path, dict[str, Any])
        try:
            schema = cls.from_json(content)
            sum(column.levels for column in schema.columns)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{path} is damaged: {brief(error)}") from error
        return schema

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Restores what :meth:`to_json` gave."""
        return cls(
            tuple(column_from_json(column) for column in content["columns"]),
            tuple(LeftOut(**other) for other in content["left_out"]),
            tuple(content["order"]),
            frozenset(content["missing"]),
        )


def _folded(notes: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Notes on columns, those that say the same of several in one."""
    columns = dict[str, list[str]]()
    for note in notes:
        name = max((name for name in names if note.startswith(f"{name}: ")), key=len)
        columns.setdefault(note.removeprefix(f"{name}: "), []).append(name)
    return tuple(f"{_listed(own)}: {text}" for text, own in columns.items())


def _listed(names: Sequence[str]) -> str:
    """A few names, and how many others there are."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[: MOST_NAMES - 1])} and {len(names) - MOST_NAMES + 1} others"


def _column(cells: Cells, kind: Kind | None, notes: list[str], *, absent: bool) -> Column | LeftOut:
    name, counts, seen = cells.name, cells.counts, int((cells.codes >= 0).sum())

    def left_out(kind: Kind, why: str) -> LeftOut:
        return LeftOut(name, cells.source, kind, why)

    def labels() -> Labels:
        most = LABELS if len(cells.texts) <= LABELS else FREQUENT
        return Labels.fit(cells, most=most, least=1, absent=absent)

    if seen == 0:
        return left_out("constant", "every cell is missing")
    if kind in ("identifier", "text"):
        return left_out(kind, "as given")
    if len(cells.texts) == 1 and not (absent and seen < len(cells)) and kind is None:
        return left_out("constant", f"every cell is {shortened(cells.texts[0])!r}")
    if kind == "category":
        return labels()
    if kind in (None, "boolean"):
        boolean = _boolean(cells, absent)
        if boolean is not None:
            return boolean
        if kind == "boolean":
            raise ValueError(f"column {name!r} is not true and false: {_some(cells)}")
    format = format_of(cells, notes) if kind in (None, "date") else None
    if format is not None:
        return Dates.read(cells, format, absent=absent)
    if kind == "date":
        raise ValueError(f"column {name!r} holds no dates that can be read: {_some(cells)}")
    style = _number_style(cells)
    if style is not None and kind in (None, "number"):
        comma, decimals, numbers = style
        integers = decimals == 0
        distinct = len(cells.texts)
        if kind is None and integers:
            span = float(numbers.max() - numbers.min()) + 1
            if distinct == seen and seen > 10:
                if seen == len(cells) and (np.diff(numbers[cells.codes]) == 1).all():
                    return left_out("identifier", "the number of the row")
                if IDENTIFIER.search(name) or not name:
                    return left_out("identifier", "a different whole number in every row")
                if seen > MANY:
                    notes.append(f"{name}: a different whole number in every row is taken for one")
            if any(CODE.fullmatch(text) for text in cells.texts) and _even_length(cells.texts):
                notes.append(f"{name}: codes such as {cells.texts[0]} are labels, not numbers")
                return labels()
            if KEY.search(name) and distinct > 2:
                notes.append(
                    f"{name}: whole numbers such as {cells.texts[0]} are labels, by its name"
                )
                return labels()
            if distinct <= 10 and span > 4 * distinct and (counts > 1).all() and distinct > 2:
                notes.append(
                    f"{name}: {distinct} whole numbers far apart ({_some(cells)}) are labels"
                )
                return labels()
        if comma and any("," in text for text in cells.texts):
            notes.append(f"{name}: numbers such as {_with(',', cells)} have a decimal comma")
        elif any("," in text for text in cells.texts):
            notes.append(f"{name}: the commas in numbers such as {_with(',', cells)} are thousands")
        if any(recorded(n) != n for n in (Decimal(plain(text, comma)) for text in cells.texts)):
            notes.append(
                f"{name}: digits that floating point adds, as in 0.30000000000000004, are left out"
            )
        if any(unit := _unit(cells.texts)):
            notes.append(f"{name}: every number has the sign {''.join(unit).strip()}")
        if mark := _far_mark(cells, numbers):
            notes.append(
                f"{name}: {mark} is far from the other numbers; if it means missing, name it among "
                "the texts that do"
            )
        return Numbers.fit(cells, decimals, comma=comma, unit=unit, absent=absent)
    if kind == "number":
        raise ValueError(f"column {name!r} holds other things than numbers: {_some(cells)}")
    # Texts.
    others = [text for text in cells.texts if not PLAIN.fullmatch(text)]
    if 4 < len(others) + 4 < len(cells.texts) and 2 * len(others) < len(cells.texts):
        shown = ", ".join(map(shortened, others[:3])) + (", …" if others[3:] else "")
        notes.append(
            f"{name}: {len(cells.texts) - len(others)} numbers are labels because of {shown}; if "
            "these mean missing, name them among the texts that do"
        )
    distinct = len(cells.texts)
    if distinct == seen and seen > 10:
        return left_out("identifier", "a different text in every row")
    repeated = int(counts[counts > 1].sum())
    if distinct > 50 and repeated < seen / 2:
        return left_out("text", f"{distinct} different texts in {seen} rows")
    return labels()


def _boolean(cells: Cells, absent: bool) -> Booleans | None:
    """The column of true and false, in one of the usual spellings; None if it is not one."""
    texts = set(cells.texts)
    if not (texts <= TRUE | FALSE and texts & TRUE and texts & FALSE):
        return None
    counts = dict(zip(cells.texts, cells.counts.tolist(), strict=True))
    chosen = [max(sorted(texts & side), key=lambda text: counts[text]) for side in (FALSE, TRUE)]
    if len(texts) == 2 and texts <= {"0", "1"}:
        chosen = ["0", "1"]
    aliases = tuple(
        (text, label)
        for label, side in zip(chosen, (FALSE, TRUE), strict=True)
        for text in sorted(side - {label})
    )
    missing = float((cells.codes < 0).mean())
    absent = absent and missing > 0
    return Booleans(
        cells.name, cells.source, missing, tuple(chosen), aliases=aliases, absent=absent
    )


def _number_style(cells: Cells) -> tuple[bool, int, np.ndarray[Any, Any]] | None:
    """Whether there is a decimal comma, the number of decimals, and the numbers; None if none."""
    texts = [bare(text) for text in cells.texts] if any(_unit(cells.texts)) else cells.texts
    if all(PLAIN.fullmatch(t) or THOUSANDS.fullmatch(t) for t in texts):
        comma = False
    elif all(COMMA.fullmatch(text) for text in texts):
        comma = True
    else:
        return None
    numbers = [Decimal(plain(text, comma)) for text in cells.texts]
    if not all(abs(number) < Decimal(10) ** 300 for number in numbers):
        return None
    decimals = max(max(0, -int(recorded(n).as_tuple().exponent)) for n in numbers)
    largest = max(abs(number) for number in numbers)
    while decimals > 0 and largest.scaleb(decimals) >= EXACT:
        decimals -= 1
    while largest.scaleb(decimals) >= EXACT:
        decimals -= 1
    whole = np.array([round(n.scaleb(decimals)) for n in numbers], np.float64)
    return comma, decimals, whole


def _unit(texts: Sequence[str]) -> tuple[str, str]:
    """The currency or percent sign before and after every number; empty without one."""
    found = [UNIT.fullmatch(text) for text in texts]
    units = {(match["before"], match["after"]) if match else ("", "") for match in found}
    return units.pop() if len(units) == 1 else ("", "")


def _far_mark(cells: Cells, numbers: np.ndarray[Any, Any]) -> str | None:
    """A number such as -9 or 999 that is often there, farther from all others than they span."""
    order = numbers.argsort()
    for place, rest in ((order[0], numbers[order[1:]]), (order[-1], numbers[order[:-1]])):
        often = cells.counts[place] > 1 and len(rest) > 1 and MARK.fullmatch(cells.texts[place])
        gap = np.abs(rest - numbers[place]).min() if often else 0
        if often and gap > rest.max() - rest.min():
            return cells.texts[place]
        if often and numbers[place] < 0 <= rest.min():
            return cells.texts[place]
    return None


def _with(mark: str, cells: Cells) -> str:
    """A text with that mark."""
    return next(text for text in cells.texts if mark in text)


def _even_length(texts: Sequence[str]) -> bool:
    return len({len(text) for text in texts}) == 1


def _may_be_labels(marks: Sequence[str], rest: Cells) -> bool:
    """Whether marks of missing values look like the labels beside them, as NA among countries."""
    codes = [text for text in rest.texts if re.fullmatch(r"[A-Z]{2}", text)]
    return len(rest.texts) >= 5 and len(codes) == len(rest.texts) and marks == ["NA"]


def _some(cells: Cells) -> str:
    return ", ".join(map(shortened, cells.texts[:3])) + (", …" if len(cells.texts) > 3 else "")


__all__ = ["DENSE", "LeftOut", "Schema"]


def column_from_json(content: Mapping[str, Any]) -> Column:
    """The column that ``to_json`` described."""
    fields = {name: _tuples(value) for name, value in content.items() if name != "kind"}
    if "density" in fields:
        fields["density"] = Density.from_json(content["density"])
    return KINDS[content["kind"]](**fields)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value
