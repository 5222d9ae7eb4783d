"""Columns of a table as symbols: each kind is a bijection of cells and pairs (symbol, detail).

The symbol is what the model learns. The detail is what else a cell says, such as where in a bin a
number lies; it has a fixed distribution given the symbol.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from autoregress.tables.cells import Cells
from autoregress.tables.density import Density, Floats

Symbols = NDArray[np.int64]
Kind = Literal["category", "boolean", "number", "date", "identifier", "constant", "text"]

# Largest range of numbers that are levels one by one, and number of bins of the others.
DENSE, BINS = 256, 128
# Largest number of ordered levels that are learnt as categories.
NOMINAL = 6
# Largest number of decimals that are written with their trailing zeros.
FIXED = 4
# Signs that may stand before or after a number, and the number of characters shown of a label.
UNITS, SHOWN = dict.fromkeys(map(ord, "$€£¥% ")), 40
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


@dataclass(frozen=True)
class Numbers(Column):
    """Numbers at their recorded resolution: a bin, and exactly where in it.

    Whole numbers of a small range have a bin each. Others have bins of about equal probability
    under their marginal density, with cuts between the values of frequent ones; within a bin the
    density is that of the marginal. The first and last bin reach to infinity.

    Attributes:
        decimals: the resolution is 10 to the power −decimals.
        cuts: (bins − 1,) largest whole number, in units of the resolution, of every bin but the
            last.
        density: marginal distribution of the whole numbers.
        low, high: the range seen, in units of the resolution.
        middles: (bins,) the value that stands for each bin.
        comma: whether texts have a decimal comma.
        unit: what stands before and after every number, such as a percent sign.
    """

    decimals: int
    cuts: tuple[float, ...]
    density: Density
    low: float
    high: float
    middles: tuple[float, ...]
    comma: bool = False
    unit: tuple[str, str] = ("", "")

    kind: ClassVar[Kind] = "number"

    @classmethod
    def fit(cls, cells: Cells, decimals: int, *, comma: bool = False, **more: Any) -> Self:
        """The column of cells that are numbers of at most that number of decimals."""
        numbers = whole(cells.texts, decimals, comma)
        return cls.of(cells, numbers, decimals=decimals, comma=comma, **more)

    @classmethod
    def of(cls, cells: Cells, numbers: Floats, **more: Any) -> Self:
        """The column whose distinct texts are these whole numbers."""
        seen = numbers[cells.codes[cells.codes >= 0]]
        density = Density.fit(seen)
        low, high = float(seen.min()), float(seen.max())
        if high - low < DENSE:
            # Each value of the range, all below it, and all above it.
            cuts = np.arange(low - 1, high + 1)
        else:
            shares = np.arange(1, BINS) / BINS
            cuts = density.quantiles(shares, low, high - 1)
            heaps = density.heaps[density.masses > 1 / BINS]
            cuts = np.unique(np.concatenate([cuts, heaps - 1, heaps]))
            cuts = cuts[(cuts >= low) & (cuts < high)]
        middles = _middles(seen, cuts, low, high)
        missing = float((cells.codes < 0).mean())
        more["absent"] = more.get("absent", False) and missing > 0
        return cls(
            cells.name,
            cells.source,
            missing,
            cuts=tuple(cuts.tolist()),
            density=density,
            low=low,
            high=high,
            middles=tuple(middles.tolist()),
            **more,
        )

    @property
    def levels(self) -> int:
        return max(2, len(self.cuts) + 1 + self.absent)

    @property
    def _bins(self) -> int:
        return len(self.cuts) + 1

    @property
    def ordered(self) -> bool:
        return self.levels > NOMINAL

    @property
    def log_unit(self) -> float:
        return -self.decimals * math.log(10)

    @property
    def missing(self) -> float:
        return math.nan

    @cached_property
    def _edges(self) -> Floats:
        return np.asarray(self.cuts)

    @cached_property
    def _log_bins(self) -> Floats:
        """(bins,) log-probabilities of the bins under the marginal density."""
        below = np.concatenate([[0.0], self.density.cdf(self._edges), [1.0]])
        return np.log(np.maximum(np.diff(below), 1e-300))

    def numbers(self, cells: Cells) -> Floats:
        """The distinct texts as whole numbers in units of the resolution."""
        try:
            return whole(cells.texts, self.decimals, self.comma)
        except ValueError as error:
            raise ValueError(f"column {self.name!r}: {error}") from None

    def encode(self, cells: Cells) -> Encoded:
        numbers = self.numbers(cells)
        symbols = np.searchsorted(self._edges, numbers)
        ends = np.concatenate([[-np.inf], self._edges, [np.inf]])
        alone = ends[symbols + 1] - ends[symbols] <= 1
        details = np.minimum(self.density.log_mass(numbers) - self._log_bins[symbols], 0)
        details = np.where(alone, 0.0, details)
        symbols = np.append(symbols, self._gap)
        return Encoded(symbols[cells.codes], np.append(details, 0.0)[cells.codes])

    def symbols(self, cells: Cells) -> Symbols:
        symbols = np.searchsorted(self._edges, self.numbers(cells))
        return np.append(symbols, self._gap)[cells.codes]

    @property
    def _gap(self) -> int:
        """The symbol of a missing cell, which code −1 picks where it comes last."""
        return self._bins if self.absent else -1

    def within(self, symbols: Symbols, shares: Floats) -> Floats:
        """The whole number (n,) in each bin (n,) up to which a share of the bin's mass lies."""
        below = np.concatenate([[0.0], self.density.cdf(self._edges), [1.0]])
        shares = below[symbols] + shares * np.diff(below)[symbols]
        # What lies beyond the range is drawn at the end of the range.
        drawn = self.density.quantiles(shares, self.low, self.high)
        ends = np.concatenate([[self.low], self._edges + 1]), np.append(self._edges, self.high)
        first, last = (np.clip(each, self.low, self.high) for each in ends)
        return np.clip(drawn, first[symbols], last[symbols])

    def mean(self, probabilities: Floats) -> Floats:
        """The means (n,) under distributions (n, K) of the symbol, every bin at its middle.

        They are in units of the resolution, as those of :meth:`quantile` are, and of cells that
        are not missing.
        """
        p = self.present(probabilities)
        return p @ np.asarray(self.middles)

    def present(self, probabilities: Floats) -> Floats:
        """The distributions (n, bins) of cells that are not missing."""
        p = probabilities[:, : self._bins]
        return p / np.maximum(p.sum(1, keepdims=True), 1e-300) if self.absent else p

    def quantile(self, probabilities: Floats, share: float) -> Floats:
        """The least whole numbers (n,) up to which a share of distributions (n, K) lies."""
        probabilities = self.present(probabilities)
        below = probabilities.cumsum(1)
        symbols = np.minimum((below < share).sum(1), below.shape[1] - 1)
        own = np.take_along_axis(probabilities, symbols[:, None], 1)[:, 0]
        before = np.take_along_axis(below, symbols[:, None], 1)[:, 0] - own
        return self.within(symbols, (share - before) / np.maximum(own, 1e-300))

    def decode(self, symbols: Symbols, rng: np.random.Generator) -> list[str | None]:
        numbers = self.within(np.minimum(symbols, self._bins - 1), rng.random(len(symbols)))
        known = (symbols < self._bins).tolist()
        return [self.text(n) if k else None for n, k in zip(numbers, known, strict=True)]

    @property
    def single_values(self) -> Sequence[Any] | None:
        if self.high - self.low >= DENSE:
            return None
        return [self.number(n) for n in np.arange(self.low, self.high + 1).tolist()]

    def typical(self, symbols: Symbols) -> list[str]:
        texts = [*(self.text(n) for n in self.middles), ABSENT]
        return [texts[symbol] for symbol in symbols.tolist()]

    def text(self, number: float) -> str:
        """The text of a whole number in units of the resolution."""
        shown = f"{Decimal(round(number)).scaleb(-self.decimals):.{max(self.decimals, 0)}f}"
        if self.decimals > FIXED:  # of floating-point numbers, as many digits as there are
            shown = shown.rstrip("0").rstrip(".")
        before, after = self.unit
        return f"{before}{shown.replace('.', ',') if self.comma else shown}{after}"

    def pieces(self, values: Sequence[Any]) -> Pieces:
        borders = [n for value in values for n in self._around(float(value))]
        ends = np.unique(np.concatenate([self._edges, np.asarray(borders, np.float64)]))
        masses = np.diff(np.concatenate([[0.0], self.density.cdf(ends), [1.0]]))
        inside = np.append(ends, ends[-1] + 1)  # the last number of each piece, or one beyond
        symbols = np.searchsorted(self._edges, inside)
        total = np.bincount(symbols, masses, self.levels)
        shares = masses / np.maximum(total[symbols], 1e-300)
        values = [self.number(n) for n in inside.tolist()]
        if self.absent:
            values, symbols, shares = (
                [*values, math.nan],
                np.append(symbols, self._bins),
                np.append(shares, 1.0),
            )
        return Pieces(values, symbols, shares)

    def _around(self, value: float) -> list[float]:
        """Whole numbers after which a comparison with a value may change."""
        n = value * 10.0**self.decimals
        near = round(n)
        if abs(n - near) < 1e-6:
            return [near - 1.0, float(near)]
        return [float(math.floor(n))] if math.isfinite(n) else []

    def number(self, n: float) -> float:
        """A whole number in units of the resolution, in the column's own unit."""
        return n / 10.0**self.decimals if self.decimals > 0 else n * 10.0**-self.decimals

    def value(self, text: str) -> float:
        try:
            return float(plain(text, self.comma))
        except ValueError:
            raise ValueError(f"column {self.name!r} holds numbers, not {text!r}") from None

    def describe(self) -> str:
        resolution = f", at a resolution of {self.text(1)}" if self.decimals else ", whole"
        return f"{self.text(self.low)} to {self.text(self.high)}{resolution}"

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **vars_of(self), "density": self.density.to_json()}


@dataclass(frozen=True)
class Dates(Numbers):
    """Dates and times: numbers of days or seconds since the first of 1970.

    Attributes:
        format: how they are written, as for ``strftime``.
        step: "days" or "seconds".
    """

    format: str = "%Y-%m-%d"
    step: Literal["days", "seconds"] = "days"

    kind: ClassVar[Kind] = "date"

    @classmethod
    def read(cls, cells: Cells, format: str, *, absent: bool = False) -> Self:
        """The column of cells that are dates in that format."""
        seconds = np.array([_seconds(text, format) for text in cells.texts])
        step = "days" if not (seconds % 86400).any() else "seconds"
        numbers = seconds / (86400 if step == "days" else 1)
        return cls.of(cells, numbers, decimals=0, format=format, step=step, absent=absent)

    def numbers(self, cells: Cells) -> Floats:
        return np.array([self.value(text) for text in cells.texts], np.float64)

    def number(self, n: float) -> float:
        return n

    def value(self, text: str) -> float:
        try:
            seconds = _seconds(text, self.format)
        except ValueError:
            raise ValueError(
                f"column {self.name!r}: {text!r} is not a date written like {self.text(self.high)}"
            ) from None
        return seconds // 86400 if self.step == "days" else seconds

    def text(self, number: float) -> str:
        seconds = round(number) * (86400 if self.step == "days" else 1)
        shown = EPOCH + timedelta(seconds=seconds)
        if self.format != "iso":
            return shown.strftime(self.format)
        return shown.date().isoformat() if self.step == "days" else shown.isoformat(sep=" ")

    def describe(self) -> str:
        return f"{self.text(self.low)} to {self.text(self.high)}, in {self.step}"


EPOCH = datetime(1970, 1, 1)
KINDS: dict[str, type[Column]] = {each.kind: each for each in (Labels, Booleans, Numbers, Dates)}


def column_from_json(content: Mapping[str, Any]) -> Column:
    """The column that ``to_json`` described."""
    fields = {name: _tuples(value) for name, value in content.items() if name != "kind"}
    if "density" in fields:
        fields["density"] = Density.from_json(content["density"])
    return KINDS[content["kind"]](**fields)


def vars_of(column: Column) -> dict[str, Any]:
    """The fields of a column, without its cached properties."""
    return {name: getattr(column, name) for name in column.__dataclass_fields__}


def in_order(labels: Sequence[str]) -> list[str]:
    """Labels in order: as numbers if all of them are, else as texts."""
    try:
        return sorted(labels, key=lambda text: (float(text), text))
    except ValueError:
        return sorted(labels)


def whole(texts: Sequence[str], decimals: int, comma: bool = False) -> Floats:
    """Texts as numbers in units of 10 to the power −decimals, rounded to whole ones.

    Raises:
        ValueError: one is not a finite number.
    """
    fast = _whole_of_floats(texts, decimals, comma)
    out = np.empty(len(texts)) if fast is None else fast
    for place, text in enumerate(texts) if fast is None else ():
        try:
            out[place] = round(Decimal(plain(text, comma)).scaleb(decimals))
        except (ArithmeticError, ValueError):
            raise ValueError(f"{text!r} is not a number") from None
    return out


def _whole_of_floats(texts: Sequence[str], decimals: int, comma: bool) -> Floats | None:
    """The same by floating-point numbers, where all lie so near whole ones that it is exact."""
    try:
        numbers = np.array([plain(text, comma) for text in texts], np.float64) * 10.0**decimals
    except (ValueError, OverflowError):
        return None
    near = np.rint(numbers)
    sure = (np.abs(numbers) < 2**40) & (np.abs(numbers - near) < 1e-3)
    return near if sure.all() else None


def bare(text: str) -> str:
    """A number's text without the currency or percent sign around it."""
    return text.translate(UNITS)


def shortened(text: str) -> str:
    """A label on one line and short, for people to read."""
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def plain(text: str, comma: bool) -> str:
    """A number's text with a decimal point, and nothing around it or between thousands."""
    text = bare(text)
    return text.replace(".", "").replace(",", ".") if comma else text.replace(",", "")


def _seconds(text: str, format: str) -> float:
    when = datetime.fromisoformat(text) if format == "iso" else datetime.strptime(text, format)
    return float(round((when.replace(tzinfo=None) - EPOCH).total_seconds()))


def _middles(seen: Floats, cuts: Floats, low: float, high: float) -> Floats:
    """The median of the values seen in each bin; where none was, the middle of the bin."""
    starts = np.concatenate([[low], np.minimum(cuts + 1, high)])
    stops = np.concatenate([np.maximum(cuts, low), [high]])
    out = np.floor((starts + stops) / 2)
    bins = np.searchsorted(cuts, seen)
    order = np.lexsort((seen, bins))
    values, bins = seen[order], bins[order]
    found, first, count = np.unique(bins, return_index=True, return_counts=True)
    out[found] = values[first + (count - 1) // 2]
    return out


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value
