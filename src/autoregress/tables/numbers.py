"""Columns of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from autoregress.tables.cells import Cells
from autoregress.tables.columns import ABSENT, Column, Encoded, Kind, Pieces, Symbols, vars_of
from autoregress.tables.density import Density, Floats

# Largest range of numbers that are levels one by one, and number of bins of the others.
DENSE, BINS = 256, 128
# The largest number that a float64 counts to.
EXACT = 2**53
# Largest number of ordered levels that are learnt as categories.
NOMINAL = 6
# Largest number of decimals that are written with their trailing zeros.
FIXED = 4
# A number within this part of one of twelve digits was that number, before it was calculated with.
SHORT, SMEAR = Context(prec=12), Decimal("1e-14")
# Signs that may stand before or after a number.
UNITS = dict.fromkeys(map(ord, "$€£¥% "))


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
    def of(cls, cells: Cells, numbers: Floats, *, cuts: Floats | None = None, **more: Any) -> Self:
        """The column whose distinct texts are these whole numbers.

        Args:
            cuts: those between its bins, instead of the usual ones.
        """
        seen = numbers[cells.codes[cells.codes >= 0]]
        density = Density.fit(seen)
        low, high = float(seen.min()), float(seen.max())
        if cuts is None and high - low < DENSE:
            # Each value of the range, all below it, and all above it.
            cuts = np.arange(low - 1, high + 1)
        elif cuts is None:
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
    def stands_for(self) -> str:
        if self.source != "text" or self.comma or any(self.unit):
            return self.source
        return "float" if self.decimals > 0 else "whole"

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
    if not (np.abs(numbers) < 2**40).all():
        return None
    near = np.rint(numbers)
    return near if (np.abs(numbers - near) < 1e-3).all() else None


def recorded(number: Decimal) -> Decimal:
    """The number that was recorded: 7.679 where floating point has 7.6789999999999985."""
    near = SHORT.plus(number)
    return (near if abs(number - near) <= abs(number) * SMEAR else number).normalize()


def bare(text: str) -> str:
    """A number's text without the currency or percent sign around it."""
    return text.translate(UNITS)


def plain(text: str, comma: bool) -> str:
    """A number's text with a decimal point, and nothing around it or between thousands."""
    text = bare(text)
    return text.replace(".", "").replace(",", ".") if comma else text.replace(",", "")


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
