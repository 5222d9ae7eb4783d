"""Columns of a table as symbols: each kind is a bijection of cells and pairs (symbol, detail).

The symbol is what the model learns. The detail is what else a cell says, such as where in a bin a
number lies; it has a fixed distribution given the symbol.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from autoregress.tables.cells import Cells
from autoregress.tables.density import Floats

Symbols = NDArray[np.int64]
Kind = Literal["category", "boolean", "number", "date", "identifier", "constant", "text"]

# Number of characters shown of a label.
SHOWN = 40
# Names of the symbol for labels that are rare or were never seen, and of that for missing cells.
OTHER, ABSENT = "(other)", "(missing)"

TRUE = frozenset({"true", "True", "TRUE", "t", "T", "yes", "Yes", "YES", "y", "Y", "1", "1.0"})
FALSE = frozenset({"false", "False", "FALSE", "f", "F", "no", "No", "NO", "n", "N", "0", "0.0"})


@dataclass(frozen=True)
class Encoded:
    """The cells of a column as symbols, and what their details cost.

    Attributes:
        symbols: (rows,), −1 where a cell is missing.
        details: (rows,) log-probability of the detail given the symbol; 0 where missing.
    """

    symbols: Symbols
    details: Floats


@dataclass(frozen=True)
class Pieces:
    """The cells of a column in pieces.

    Attributes:
        values: a value of each piece, in the form in which values of the column are compared.
        symbols: the symbol that each piece is part of.
        shares: the probability of each piece given its symbol.
    """

    values: list[Any]
    symbols: Symbols
    shares: Floats

    def some(self, index: NDArray[np.int64]) -> Pieces:
        """Some of the pieces."""
        values = [self.values[place] for place in index.tolist()]
        return Pieces(values, self.symbols[index], self.shares[index])


@dataclass(frozen=True)
class Column(ABC):
    """A column that the model learns.

    Attributes:
        name: its name.
        source: what its values were, see :class:`~autoregress.tables.cells.Cells`.
        share_missing: share of training rows in which it is missing.
        absent: whether a missing cell is a value of its own, with the last symbol, and not unknown.
    """

    name: str
    source: str
    share_missing: float
    absent: bool = field(default=False, kw_only=True)

    kind: ClassVar[Kind]

    @property
    @abstractmethod
    def levels(self) -> int:
        """Number of symbols, at least 2."""

    @property
    def ordered(self) -> bool:
        """Whether symbols are ordered."""
        return False

    @property
    def stands_for(self) -> str:
        """What its texts stand for in a DataFrame; of text that holds numbers, the numbers."""
        return self.source

    @property
    def periods(self) -> tuple[float, ...]:
        """Periods of ordered symbols, in symbols, such as 7 of days; none by default."""
        return ()

    @property
    def log_unit(self) -> float:
        """Logarithm of the resolution in the column's own unit; 0 for labels."""
        return 0.0

    @abstractmethod
    def encode(self, cells: Cells) -> Encoded:
        """The symbols of cells, and what their details cost.

        Raises:
            ValueError: a cell cannot be one of this column.
        """

    def symbols(self, cells: Cells) -> Symbols:
        """The symbols of cells alone, see :meth:`encode`."""
        return self.encode(cells).symbols

    @abstractmethod
    def decode(self, symbols: Symbols, rng: np.random.Generator) -> list[str | None]:
        """The text of a cell for each symbol (n,), its detail drawn; None where it is missing."""

    @abstractmethod
    def pieces(self, values: Sequence[Any]) -> Pieces:
        """The column's cells, cut into pieces within which no comparison with a value changes."""

    @property
    def missing(self) -> Any:
        """A missing cell, in the form in which values are compared."""
        return ABSENT

    @property
    @abstractmethod
    def single_values(self) -> Sequence[Any] | None:
        """All values that have a symbol of their own; None if most share symbols."""

    @abstractmethod
    def typical(self, symbols: Symbols) -> list[str]:
        """The text of the likeliest or middle cell for each symbol (n,)."""

    @abstractmethod
    def value(self, text: str) -> Any:
        """The meaning of a text, in the form in which values of this column are compared.

        Raises:
            ValueError: it means nothing here.
        """

    @abstractmethod
    def describe(self) -> str:
        """A short description of its content."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The content, from which :func:`column_from_json` restores the column."""


@dataclass(frozen=True)
class Labels(Column):
    """Categories: the frequent labels, and a symbol for each group of rare ones.

    Given its group's symbol, a rare label has its share of the group. Labels that were never seen
    are part of the first group, as if one of them had been seen once.

    Attributes:
        labels: those with a symbol of their own.
        rare: all others that were seen, and how often.
        groups: the number of the group of each of these; all are in the first one by default.
    """

    labels: tuple[str, ...]
    rare: tuple[tuple[str, int], ...] = ()
    groups: tuple[int, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()

    kind: ClassVar[Kind] = "category"

    @classmethod
    def fit(cls, cells: Cells, *, least: int = 1, most: int, absent: bool = False) -> Self:
        """The labels that occur at least ``least`` times, the ``most`` most frequent of them."""
        counts = dict(zip(cells.texts, cells.counts.tolist(), strict=True))
        order = sorted(counts, key=lambda text: (-counts[text], text))
        kept = [text for text in order[:most] if counts[text] >= least]
        rare = tuple((text, counts[text]) for text in order if text not in set(kept))
        missing = float((cells.codes < 0).mean())
        return cls(
            cells.name,
            cells.source,
            missing,
            tuple(in_order(kept)),
            rare,
            absent=absent and missing > 0,
        )

    @property
    def levels(self) -> int:
        return max(2, len(self.labels) + self._others + self.absent)

    @property
    def _others(self) -> int:
        """Number of groups."""
        return 1 + max(self.groups, default=0)

    @cached_property
    def _places(self) -> dict[str, int]:
        places = {label: place for place, label in enumerate(self.labels)}
        if self.source == "boolean" or self.aliases:
            places |= {alias: places[label] for alias, label in self.aliases}
        return places

    @cached_property
    def _rare(self) -> dict[str, tuple[int, float]]:
        """The symbol of each rare label, and its log-probability given that."""
        groups = self.groups or (0,) * len(self.rare)
        first = len(self.labels)
        return {
            text: (first + group, math.log(count / self._sizes[group]))
            for (text, count), group in zip(self.rare, groups, strict=True)
        }

    @cached_property
    def _sizes(self) -> list[int]:
        """How often each group was seen, once more for what was never seen."""
        sizes = [1] + [0] * (self._others - 1)
        for (_, count), group in zip(self.rare, self.groups or (0,) * len(self.rare), strict=True):
            sizes[group] += count
        return sizes

    @property
    def _unseen(self) -> tuple[int, float]:
        return len(self.labels), -math.log(self._sizes[0])

    def knows(self, text: str) -> bool:
        """Whether a label was seen in training."""
        return text in self._places or text in self._rare

    def encode(self, cells: Cells) -> Encoded:
        found = [
            (self._places[text], 0.0)
            if text in self._places
            else self._rare.get(text, self._unseen)
            for text in cells.texts
        ]
        # What code −1 picks comes last.
        found.append((self.levels - 1 if self.absent else -1, 0.0))
        symbols, details = zip(*found, strict=True)
        return Encoded(np.array(symbols, np.int64)[cells.codes], np.array(details)[cells.codes])

    def decode(self, symbols: Symbols, rng: np.random.Generator) -> list[str | None]:
        # A label that was never seen has no text that a whole number or a date could have.
        unseen = OTHER if self.source == "text" else None
        out = np.array([*self.labels, *[unseen] * self._others, None], object)[symbols]
        groups = np.array(self.groups or (0,) * len(self.rare), np.int64) + len(self.labels)
        counts = np.array([count for _, count in self.rare], np.float64)
        for symbol in np.unique(symbols[symbols >= len(self.labels)]):
            members = np.flatnonzero(groups == symbol)
            rows = np.flatnonzero(symbols == symbol)
            if len(members):
                p = counts[members] / counts[members].sum()
                chosen = members[rng.choice(len(members), len(rows), p=p)]
                out[rows] = [self.rare[place][0] for place in chosen.tolist()]
        return out.tolist()

    @property
    def single_values(self) -> Sequence[Any]:
        return self.labels

    def typical(self, symbols: Symbols) -> list[str]:
        texts = [*self.labels, *[OTHER] * self._others, ABSENT]
        return [texts[symbol] for symbol in symbols.tolist()]

    def pieces(self, values: Sequence[Any]) -> Pieces:
        texts = [*self.labels, *self._rare, OTHER]
        found = [*((place, 0.0) for place in range(len(self.labels))), *self._rare.values()]
        found.append(self._unseen)
        if self.absent:
            texts, found = [*texts, ABSENT], [*found, (self.levels - 1, 0.0)]
        symbols, shares = zip(*found, strict=True)
        return Pieces(texts, np.array(symbols), np.exp(shares))

    def value(self, text: str) -> str:
        return dict(self.aliases).get(text, text)

    def describe(self) -> str:
        shown = ", ".join(map(shortened, self.labels[:5]))
        shown += ", …" if len(self.labels) > 5 else ""
        together = f"in {self._others} groups" if self._others > 1 else "together"
        rare = f", {len(self.rare)} rare ones {together}" if self.rare else ""
        return f"{len(self.labels)} labels ({shown}){rare}"

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **vars_of(self)}


@dataclass(frozen=True)
class Booleans(Labels):
    """True and false, in any of the usual spellings."""

    kind: ClassVar[Kind] = "boolean"


def vars_of(column: Column) -> dict[str, Any]:
    """The fields of a column, without its cached properties."""
    return {name: getattr(column, name) for name in column.__dataclass_fields__}


def in_order(labels: Sequence[str]) -> list[str]:
    """Labels in order: as numbers if all of them are, else as texts."""
    try:
        return sorted(labels, key=lambda text: (float(text), text))
    except ValueError:
        return sorted(labels)


def shortened(text: str) -> str:
    """A label on one line and short, for people to read."""
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
