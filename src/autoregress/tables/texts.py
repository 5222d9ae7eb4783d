"""Tables in text files: separator, encoding, header, and the lines that are not rows.

Cells are read by Python's csv, which leaves them as they were written. pyarrow, polars and pandas
infer types, in which 1.50 and 007 are no longer to be had, or read texts alone, with no rule for
what stands around a table.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoregress.brief import counted
from autoregress.tables.cells import MISSING, Cells, Columns

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
# Largest number of lines before and after a table that are left out, and of those under its header.
PREAMBLE, UNDER = 40, 3
# Numbers of bytes and lines from which the separator is inferred.
SAMPLE, LINES = 2**18, 50
TOTALS = re.compile(r"((grand |sub)?totals?|sum|average|mean):?", re.I)
REMARK = re.compile(r"(sources?|notes?|data|last updated)\b|[*#†(]", re.I)

Rows = list[list[str]]


@dataclass
class Layout:
    """The lines of a file that are not rows of its table, as they are told.

    Attributes:
        before, under, after: numbers of lines before the table, under its header and after it.
        short: number of rows with too few cells.
        again: number of lines that repeat the header.
        header: whether the first line names the columns.
        totals: whether the last line holds totals.
    """

    before: int = 0
    under: int = 0
    after: int = 0
    short: int = 0
    again: int = 0
    header: bool = True
    totals: bool = False

    def said(self) -> list[str]:
        repeating = "repeats" if self.again == 1 else "repeat"
        left_out = (
            (self.before, "before the table"),
            (self.under, "under the header"),
            (self.again, f"that {repeating} the header"),
            (self.after, "after the table"),
        )
        said = [f"{counted(n, 'line')} {where} left out" for n, where in left_out if n]
        said += ["a last line of totals left out"] if self.totals else []
        if self.short:
            said.append(
                f"{counted(self.short, 'line')} with too few cells, of which the last are missing"
            )
        return said if self.header else [*said, "without a header"]


def read_text(path: Path, content: bytes) -> Columns:
    """The columns of the content of a text file.

    Separator, encoding and header are inferred. Lines before and after the table, units and further
    names under its header, repeated headers, and a last line of totals are left out, and a line
    says so. Columns without a header are called "0", "1", ….

    Raises:
        ValueError: it is empty, or no table.
    """
    text, encoding = _decoded(path, content)
    if not text.strip():
        raise ValueError(f"{path} is empty")
    try:
        separator, quote = dialect_of(text)
        lines = _aligned(io.StringIO(text, newline=""), separator)
        reader = csv.reader(
            lines, delimiter=separator, quotechar=quote, skipinitialspace=True, strict=False
        )
        rows = [row for row in reader if row]
    except csv.Error as error:
        raise ValueError(f"{path} is not a table of separated cells: {error}") from error
    said = [f"separated by {SEPARATORS[separator]}"] if separator != "," else []
    said += [f"encoded in {encoding}"] if encoding != "UTF-8" else []
    return columns_of(path, rows, said)


def columns_of(path: Path, rows: Rows, said: list[str]) -> Columns:
    """The columns of the rows of a file, whose header and other lines are inferred.

    Args:
        said: what was inferred so far.

    Raises:
        ValueError: they are no table.
    """
    layout = Layout()
    rows = _table_of(path, rows, layout)
    names, rows = _named(rows, layout)
    if not rows:
        raise ValueError(f"{path} has a header and no rows")
    columns = {
        name: Cells.of(name, values)
        for name, values in zip(names, zip(*rows, strict=True), strict=True)
    }
    # A separator at the end of every line makes a column without a name and without content.
    found = Columns({n: c for n, c in columns.items() if n or any(text for text in c.texts)})
    said = said + layout.said()
    found.said = f"{path.name}: {', '.join(said)}" if said else ""
    return found


def _named(rows: Rows, layout: Layout) -> tuple[list[str], Rows]:
    """The names of the columns, and the rows."""
    layout.header = _has_names(rows)
    if not layout.header:
        return [str(n) for n in range(len(rows[0]))], rows
    names, *rows = rows
    rest = [row for row in rows if row != names]
    layout.again = len(rows) - len(rest)
    layout.under = _under_header(rest)
    rest = rest[layout.under :]
    if len(rest) > UNDER and TOTALS.fullmatch(rest[-1][0].strip()):
        layout.totals = rest[-1][0] not in {row[0] for row in rest[:-1]}
        rest = rest[:-1] if layout.totals else rest
    if rest and len(rest[0]) == len(names) + 1:
        names = ["", *names]  # as R writes the names of rows
    return _distinct([name.strip() for name in names]), rest


def _has_names(rows: Rows) -> bool:
    """Whether the first row names the columns.

    It does not if all its cells are numbers, or if many of them occur again below: half of them if
    some are numbers, else most.
    """
    first = [cell.strip() for cell in rows[0]]
    filled = [cell for cell in first if cell]
    numbers = [cell for cell in filled if _number_or_empty(cell)]
    if numbers and numbers == [str(n) for n in range(len(numbers))] and len(numbers) < len(first):
        return True  # as pandas names columns by default, beside an index or other names
    if len(numbers) == len(filled):
        return False
    if len(rows) > 1 and len(rows[1]) != len(first):
        return True
    below = [row for row in rows[1:] if row != rows[0]]
    again = sum(
        any(row[place].strip() == cell for row in below) for place, cell in enumerate(first) if cell
    )
    return 2 * again < len(filled) if numbers else 2 * again <= len(filled)


def _under_header(rows: Rows) -> int:
    """The number of lines under the header that hold units or further names.

    In most columns whose other cells are all numbers, theirs are not.
    """
    if len(rows) < 2 * UNDER:
        return 0
    numbers = list[int]()
    for place in range(len(rows[0])):
        below = {row[place].strip() for row in rows[UNDER:]} - MISSING
        if below and all(map(_number_or_empty, below)):
            numbers.append(place)
    for count in range(UNDER, 0, -1):
        cells = {place: rows[count - 1][place].strip() for place in numbers}
        filled = [cell for cell in cells.values() if cell and cell not in MISSING]
        texts = [cell for cell in filled if not _number_or_empty(cell)]
        if len(texts) > 1 and 2 * len(texts) > len(filled):
            return count
    return 0


def _table_of(path: Path, rows: Rows, layout: Layout) -> Rows:
    """The header and the rows of a table, all of one width.

    Raises:
        ValueError: a row within has more cells, or far fewer.
    """
    width = _usual(rows)
    if width > 1 and not any(row[-1].strip() for row in rows if len(row) == width):
        width -= 1  # a separator at the end of every line
    for row in rows:
        if len(row) > width and not any(cell.strip() for cell in row[width:]):
            del row[width:]
    first = next(n for n, row in enumerate(rows) if len(row) == width)
    last = len(rows) - next(n for n, row in enumerate(reversed(rows)) if len(row) == width)
    if first == 1 and len(rows[0]) == width - 1 and not all(map(_number_or_empty, rows[0])):
        first = 0  # the header of R, which has no name for the names of rows
    while width > 2 and last - first > 2 and _filled(rows[first]) < 2 <= _filled(rows[first + 1]):
        first += 1  # a title, which a spreadsheet has padded with separators
    while (
        width > 2
        and last - first > 2
        and _filled(rows[last - 1]) == 1
        and _is_remark(rows[last - 1])
    ):
        last -= 1
    for number, row in enumerate(rows[first + 1 : last], first + 2):
        if width / 2 < len(row) < width:
            row += [""] * (width - len(row))
            layout.short += 1
        if len(row) != width:
            raise ValueError(
                f"{path}: row {number} has {len(row)} cells, but most have {width}; remove "
                "lines that are not part of the table"
            )
    if first > PREAMBLE or len(rows) - last > PREAMBLE:
        raise ValueError(
            f"{path}: {first} rows before and {len(rows) - last} after those of {width} cells; "
            "remove lines that are not part of the table"
        )
    layout.before, layout.after = first, len(rows) - last
    return rows[first:last]


def _filled(row: Sequence[str]) -> int:
    """The number of cells that are not empty."""
    return sum(bool(cell.strip()) for cell in row)


def _is_remark(row: Sequence[str]) -> bool:
    return _filled(row) == 1 and REMARK.match(row[0].strip()) is not None


def _usual(rows: Sequence[Sequence[str]]) -> int:
    """The number of cells of most rows."""
    return Counter(map(len, rows)).most_common(1)[0][0]


def _decoded(path: Path, content: bytes) -> tuple[str, str]:
    """A file's text, and the name of its encoding."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16"), "UTF-16"
    for codec, name in (("utf-8-sig", "UTF-8"), ("cp1252", "Windows-1252"), ("latin-1", "Latin-1")):
        try:
            text = content.decode(codec)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            raise ValueError(f"{path} is not a text file")
        return text, name
    raise AssertionError  # latin-1 decodes everything


def dialect_of(text: str) -> tuple[str, str]:
    """The separator and the quote of a text."""
    quote = "'" if text.count("'") > 4 * (1 + text.count('"')) and text[:1] == "'" else '"'
    return _separator(text[:SAMPLE]), quote


def _separator(sample: str) -> str:
    """The separator under which most lines have the same number of cells, the more the better."""
    lines = [line for line in sample.splitlines() if line.strip()][:LINES]

    def score(separator: str) -> tuple[float, int]:
        rows = csv.reader(_aligned(lines, separator), delimiter=separator, skipinitialspace=True)
        counts = [len(row) for row in rows]
        usual = max(set(counts), key=counts.count)
        return (counts.count(usual) / len(counts) if usual > 1 else 0.0, usual)

    best = max(",;\t|", key=score)
    if score(best)[0] == 0 and score(" ")[0] > 0.9:
        return " "
    return best


def _aligned(lines: Iterable[str], separator: str) -> Iterable[str]:
    """Lines without the spaces around them, which are no separators, if spaces are."""
    return (line.strip(" ") for line in lines) if separator == " " else lines


def _number_or_empty(cell: str) -> bool:
    cell = cell.strip()
    try:
        float(cell or 0)
    except ValueError:
        return False
    return True


def _distinct(names: Sequence[str]) -> list[str]:
    out: list[str] = []
    for name in names:
        chosen, n = name, 1
        while chosen in out:
            n += 1
            chosen = f"{name}_{n}"
        out.append(chosen)
    return out
