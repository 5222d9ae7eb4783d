"""What symbols say of the cells of a column, and what else is kept for those that differ."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Any, Literal

import constriction
import numpy as np
from numpy.typing import NDArray

from autoregress.tables.dates import Dates, Step, written
from autoregress.tables.numbers import Numbers

Whole = NDArray[np.int64]

stream: Any = constriction.stream  # type: ignore[attr-defined]  # it is compiled, without types

DIGIT = 24  # bits that the coder takes at once
SAMPLED = 200  # rows from which the way of writing is found
DECIMALS = 400
# Of a date: without widths, which would be filled up.
FORMAT = re.compile(r"([^%]|%[A-Za-z%]){0,60}")

Style = Literal["fixed", "short", "float", "thousands"]
STYLES: tuple[Style, ...] = ("fixed", "short", "float", "thousands")


@dataclass(frozen=True)
class Way:
    """How the cells of a column are written.

    Attributes:
        before, after: what surrounds their text, such as quotes.
        missing: what is written where a value is missing; for a column that the model does not
            learn, the most frequent cell.
        counts: whether each cell is the number after that of the cell before.
    """

    before: str = ""
    after: str = ""
    missing: str = ""
    counts: bool = False


@dataclass(frozen=True)
class Label:
    """A column whose symbols stand for texts."""

    texts: tuple[str, ...]

    def text(self, symbol: int) -> str | None:
        """The text of a symbol, None if it has none."""
        return self.texts[symbol] if 0 <= symbol < len(self.texts) else None


@dataclass(frozen=True)
class Bins:
    """A column whose symbols stand for bins of whole numbers.

    Attributes:
        first: (bins,) least number of each bin, in which numbers are kept.
        width: (bins,) number of numbers of each bin.
        decimals: a number stands for itself times 10 to the power −decimals.
        style: how numbers are written.
        comma: whether with a decimal comma.
        date: the format of dates, as for ``strftime``, None for numbers.
        days: whether dates count days, and not seconds.
        step: what dates count, if neither of these.
        short: whether fractions of 0 are not written; None if there are no fractions.
    """

    first: tuple[int, ...]
    width: tuple[int, ...]
    decimals: int
    style: Style = "fixed"
    comma: bool = False
    date: str | None = None
    days: bool = False
    step: Step | None = None
    short: bool | None = None

    @classmethod
    def of(cls, column: Numbers) -> Bins:
        """The bins of a column of a table's schema."""
        cuts = [round(cut) for cut in column.cuts]
        first = [min(round(column.low), *cuts[:1]), *(cut + 1 for cut in cuts)]
        last = [*cuts, max(round(column.high), first[-1])]
        width = [max(1, b - a + 1) for a, b in zip(first, last, strict=True)]
        found = cls(tuple(first), tuple(width), column.decimals, comma=column.comma)
        if not isinstance(column, Dates):
            return found
        return replace(
            found,
            date=column.format,
            days=column.step == "days",
            step=None if column.step in ("days", "seconds") else column.step,
            short=column.short if "%f" in column.format else None,
        )

    def check(self) -> None:
        """Raises ValueError for ways of writing that no column of a table has."""
        if abs(self.decimals) > DECIMALS or not FORMAT.fullmatch(self.date or ""):
            raise ValueError("the compressed file is damaged: it writes numbers in no known way")

    def writer(self, style: Style | None = None) -> Callable[[int], str]:
        """The text of a whole number."""
        style = style or self.style
        step: Step = self.step or ("days" if self.days else "seconds")

        @cache
        def text(number: int) -> str:
            if self.date is not None:
                return written(number, self.date, step, short=bool(self.short))
            shown = f"{Decimal(number).scaleb(-self.decimals):.{max(self.decimals, 0)}f}"
            if style in ("short", "float") and "." in shown:
                shown = shown.rstrip("0").rstrip(".")
            if style == "float" and "." not in shown:
                shown += ".0"
            if style == "thousands":
                whole, dot, rest = shown.partition(".")
                shown = f"{int(whole):,}{dot}{rest}" if whole not in ("", "-", "-0") else shown
            return shown.translate({44: ".", 46: ","}) if self.comma else shown

        return text

    def offsets(self, symbols: Whole, numbers: Whole) -> tuple[Whole, NDArray[np.bool_]]:
        """Where in its bin each number lies, and whether it does."""
        first, width = np.array(self.first), np.array(self.width)
        place = np.maximum(symbols, 0)
        offset = numbers - first[place]
        inside = (symbols >= 0) & (offset >= 0) & (offset < width[place])
        return np.where(inside, offset, 0), inside

    def pack(self, symbols: Whole, offsets: Whole) -> bytes:
        """Places in bins, each as if all numbers of its bin were as frequent."""
        coder = stream.stack.AnsCoder()
        for symbol in np.unique(symbols[symbols >= 0])[::-1].tolist():
            own = offsets[symbols == symbol]
            for low, size in reversed(_digits(self.width[symbol])):
                digit = own // low % size
                coder.encode_reverse(digit.astype(np.int32), stream.model.Uniform(size))
        return coder.get_compressed().astype("<u4").tobytes()

    def unpack(self, symbols: Whole, content: bytes) -> Whole:
        """The places that :meth:`pack` packed.

        Raises:
            ValueError: they are damaged.
        """
        if len(content) % 4 or (content and not any(content[-4:])):
            raise ValueError("the compressed file is damaged: its numbers are cut short")
        coder = stream.stack.AnsCoder(np.frombuffer(content, "<u4").astype(np.uint32))
        offsets = np.zeros(len(symbols), np.int64)
        for symbol in np.unique(symbols[symbols >= 0]).tolist():
            own = symbols == symbol
            for low, size in _digits(self.width[symbol]):
                digit = coder.decode(stream.model.Uniform(size), int(own.sum()))
                offsets[own] += digit.astype(np.int64) * low
        return offsets


def _digits(width: int) -> list[tuple[int, int]]:
    """The weight and the number of values of each digit of a number below ``width``."""
    digits, low = list[tuple[int, int]](), 1
    while low < width:
        size = min(1 << DIGIT, -(-width // low))
        digits.append((low, max(2, size)))
        low <<= DIGIT
    return digits


def way_of(raws: Sequence[str | None], texts: Sequence[str | None], learnt: bool) -> Way:
    """How a column is usually written.

    Args:
        raws: the cells as they are written, None for those of odd rows.
        texts: what the symbols say of them, None where they say nothing.
    """
    around, missing = Counter[tuple[str, str]](), Counter[str]()
    for raw, text in zip(raws, texts, strict=True):
        if raw is None:
            continue
        if text is None:
            missing[raw] += 1
        elif around.total() < SAMPLED and text:
            before, found, after = raw.partition(text)
            if found:
                around[before, after] += 1
    usual = missing.most_common(1)[0][0] if missing else ""
    before, after = around.most_common(1)[0][0] if around else ("", "")
    counts = not learnt and _counts(raws)
    return Way(before, after, usual, counts)


def _counts(raws: Sequence[str | None]) -> bool:
    """Whether the cells are whole numbers, nearly each the one after that before."""
    try:
        numbers = [int(raw) for raw in raws[:SAMPLED] if raw is not None]
    except ValueError:
        return False
    steps = sum(b - a == 1 for a, b in pairwise(numbers))
    return len(numbers) > 1 and steps * 2 > len(numbers)
