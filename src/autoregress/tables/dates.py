"""Columns of dates and times: how they are written, and the periods of the calendar."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from autoregress.tables.cells import Cells
from autoregress.tables.columns import Kind
from autoregress.tables.density import Floats
from autoregress.tables.numbers import EXACT, Numbers

EPOCH = datetime(1970, 1, 1)
FORMATS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y",
    "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S",
    "%m/%d/%y %H:%M", "%d/%m/%y %H:%M", "%b %d %Y",
    "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%B %d, %Y", "%b %d, %Y", "%Y-%m", "%Y%m%d", "%b-%y",
    "%d%b%Y",
)  # fmt: skip
TIMES = ("", " %H:%M:%S", " %H:%M")
# Months without a day, and the names of columns in which six digits are one.
MONTH = re.compile(r"(18|19|20)\d\d(0[1-9]|1[0-2])")
MONTHS = re.compile(r"date|month|period|yyyymm", re.I)
DIGITS = re.compile(r"(19|20)\d{6}")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# What may follow the minutes or seconds of a text or a format.
ZONE = r"(?P<zone> ?(?:Z|UTC|[+-]\d\d(?::?\d\d)?))?$"
TAIL = re.compile(r"(?<=:\d\d)(?P<fraction>\.\d+)?" + ZONE)
FORMAT_TAIL = re.compile(r"(?<=:%[MS])(?P<fraction>\.%f)?" + ZONE)
SEPARATOR = re.compile(r"(?<=[\dd])T(?=[\d%])")

Step = Literal["days", "hours", "minutes", "seconds", "milliseconds", "microseconds"]
# Microseconds of each step.
STEPS: dict[Step, int] = {
    "days": 86_400_000_000,
    "hours": 3_600_000_000,
    "minutes": 60_000_000,
    "seconds": 1_000_000,
    "milliseconds": 1000,
    "microseconds": 1,
}
DAY = STEPS["days"]
# Widths of the bins of dates, and the periods after which events recur, in microseconds.
WIDTHS = (*sorted(STEPS.values()), 10 * STEPS["minutes"], 6 * STEPS["hours"], 7 * DAY, 28 * DAY)
PERIODS = (DAY, 7 * DAY, round(365.2425 * DAY))
# Largest number of bins, a year of hours; fewest bins of a period, and fewest periods of a column.
MOST, RESOLVED, REPEATED = 10_000, 4, 2


@dataclass(frozen=True)
class Dates(Numbers):
    """Dates and times: numbers of steps since the first of 1970.

    Where bins of one width resolve days, weeks or years, and the column spans several of these,
    they are periods of its symbols. Otherwise its bins are those of numbers.

    Attributes:
        format: how they are written, as for ``strftime``; %f has the digits of the step, and a time
            zone at the end is that of the numbers.
        step: their resolution.
        width: number of steps of a bin; 0 where the bins' widths differ.
        short: whether fractions of 0 are not written.
    """

    format: str = "%Y-%m-%d"
    step: Step = "days"
    width: int = 0
    short: bool = False

    kind: ClassVar[Kind] = "date"

    @classmethod
    def read(cls, cells: Cells, format: str, *, absent: bool = False) -> Self:
        """The column of cells that are dates in that format."""
        times = np.array([microseconds(text, format) for text in cells.texts], np.int64)
        step = _step(times)
        numbers = (times // STEPS[step]).astype(np.float64)
        low, high = numbers.min(), numbers.max()
        width = _width(low, high, step)
        return cls.of(
            cells,
            numbers,
            cuts=np.arange(low // width, high // width + 2) * width - 1 if width else None,
            decimals=0,
            format=format,
            step=step,
            width=width,
            short="%f" in format and not all(_tail(text)[1] for text in cells.texts),
            absent=absent,
        )

    @property
    def stands_for(self) -> str:
        return self.source

    @property
    def periods(self) -> tuple[float, ...]:
        return tuple(_periods(self.width, self.low, self.high, self.step)) if self.width else ()

    def numbers(self, cells: Cells) -> Floats:
        return np.array([self.value(text) for text in cells.texts], np.float64)

    def number(self, n: float) -> float:
        return n

    def value(self, text: str) -> float:
        try:
            return float(microseconds(text, self.format) // STEPS[self.step])
        except ValueError:
            raise ValueError(
                f"column {self.name!r}: {text!r} is not a date written like {self.text(self.high)}"
            ) from None

    def text(self, number: float) -> str:
        return written(round(number), self.format, self.step, short=self.short)

    def describe(self) -> str:
        return f"{self.text(self.low)} to {self.text(self.high)}, in {self.step}"


def _step(times: NDArray[np.int64]) -> Step:
    """The coarsest step that tells times, in microseconds, apart; exact in a float64."""
    finest: Step = "days"
    for step, size in STEPS.items():
        if np.abs(times).max() < EXACT * size:
            finest = step
            if not (times % size).any():
                break
    return finest


def _width(low: float, high: float, step: Step) -> int:
    """Number of steps of a bin, the least with at most MOST bins; 0 if they resolve no period."""
    for size in sorted(WIDTHS):
        width, rest = divmod(size, STEPS[step])
        if not rest and (high - low) / width < MOST - 2:
            return width if _periods(width, low, high, step) else 0
    return 0


def _periods(width: int, low: float, high: float, step: Step) -> list[float]:
    """The periods that bins of a width resolve, in bins."""
    each = (period / STEPS[step] for period in PERIODS)
    return [p / width for p in each if RESOLVED * width <= p <= (high - low + 1) / REPEATED]


def format_of(cells: Cells, notes: list[str]) -> str | None:
    """The format in which all texts are dates, None if there is none.

    Times may lack a fraction, a time zone, seconds or the time itself where others have them.

    Args:
        notes: takes what a person may want to read otherwise.
    """
    texts, first = cells.texts, cells.texts[0]
    if MONTHS.search(cells.name) and all(MONTH.fullmatch(text) for text in texts):
        return "%Y%m"
    digits = DIGITS.fullmatch(first)
    if not digits and (NUMBER.fullmatch(first) or not any(mark in first for mark in "-/. ,:")):
        return None
    tails = [_tail(text) for text in texts]
    heads = [SEPARATOR.sub(" ", head) for head, _, _ in tails]
    timed = any(fraction or zone for _, fraction, zone in tails)
    fitting = [f for f in FORMATS if _reads(heads[0], f, mixed=True) and (not timed or "%H" in f)]
    alike = [f for f in fitting if all(_reads(head, f) for head in heads)]
    fitting = alike or [
        f for f in fitting if "%H" in f and all(_reads(head, f, mixed=True) for head in heads)
    ]
    if not fitting:
        return None
    chosen = min(fitting, key=lambda format: _largest_step(heads, format))
    if 2 * _largest_step(heads, chosen) > _largest_step(heads, fitting[0]):
        chosen = fitting[0]
    if len(fitting) > 1 and {f[:2] for f in fitting} == {"%m", "%d"}:
        notes.append(
            f"{cells.name}: days and months of dates such as {first} could be read either way; "
            f"they are read as {chosen}"
        )
    if cells.source == "time":
        if not timed and all(head.endswith(" 00:00:00") for head in heads):
            return chosen.removesuffix(" %H:%M:%S")
    elif SEPARATOR.search(texts[int(cells.counts.argmax())]):
        chosen = chosen.replace(" %H", "T%H")
    counts = Counter[str]()
    for (_, _, zone), count in zip(tails, cells.counts.tolist(), strict=True):
        counts[zone] += count
    zone = counts.most_common(1)[0][0]
    if len({_offset(own) for own in counts}) > 1:
        notes.append(
            f"{cells.name}: times of several zones are read as those of "
            f"{zone.strip() or 'UTC, where none is written'}"
        )
    return f"{chosen}{'.%f' * any(fraction for _, fraction, _ in tails)}{zone}"


def microseconds(text: str, format: str) -> int:
    """The time of a text, since the first of 1970, in the time zone of the format.

    Raises:
        ValueError: it is not written so, nor like it with another precision or zone.
    """
    head, fraction, zone = _tail(text)
    forms, own = _forms(format)
    head = SEPARATOR.sub(" ", head)
    for form in forms:
        try:
            when = datetime.strptime(head, form)
            break
        except ValueError:
            continue
    else:
        raise ValueError(f"{text!r} is not a date")
    whole = (when - EPOCH) // timedelta(microseconds=1)
    shift = own - _offset(zone) if zone else 0
    return whole + int(fraction[1:7].ljust(6, "0") or 0) + shift * STEPS["minutes"]


def written(number: int, format: str, step: Step, *, short: bool) -> str:
    """The text of a number of steps since the first of 1970.

    Args:
        short: leave out a fraction of 0.
    """
    when = EPOCH + timedelta(microseconds=number * STEPS[step])
    if "%f" in format:
        shown = f".{when.microsecond:06}"[: 4 if step == "milliseconds" else 7]
        format = format.replace(".%f", "" if short and not when.microsecond else shown)
    return when.strftime(format)


def _tail(text: str) -> tuple[str, str, str]:
    """A text, the fraction of its seconds, and its time zone, all but the first often empty."""
    found = TAIL.search(text)
    if found is None:
        return text, "", ""
    return text[: found.start()], found["fraction"] or "", found["zone"] or ""


@cache
def _forms(format: str) -> tuple[list[str], int]:
    """The formats of heads that are read, its own first, and the minutes of its zone."""
    found = FORMAT_TAIL.search(format)
    head, zone = (format[: found.start()], found["zone"] or "") if found else (format, "")
    head = SEPARATOR.sub(" ", head)
    date = head.partition(" %H")[0]
    return [head, *(date + time for time in TIMES if date + time != head)], _offset(zone)


@cache
def _offset(zone: str) -> int:
    """The minutes of a time zone after UTC."""
    zone = zone.strip().replace(":", "")
    if zone in ("", "Z", "UTC"):
        return 0
    minutes = 60 * int(zone[1:3]) + int(zone[3:] or 0)
    return -minutes if zone[0] == "-" else minutes


def _reads(head: str, format: str, *, mixed: bool = False) -> bool:
    """Whether a text is a date in a format or, if mixed, in one of another precision."""
    for form in _forms(format)[0] if mixed else [format]:
        try:
            datetime.strptime(head, form)
            return True
        except ValueError:
            continue
    return False


def _largest_step(heads: Sequence[str], format: str) -> float:
    """The most days between a date and the next: few if a series is read as it was meant."""
    dates = [microseconds(head, format) // DAY for head in heads]
    return max((abs(b - a) for a, b in pairwise(dates)), default=0)
