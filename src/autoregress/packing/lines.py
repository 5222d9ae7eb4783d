"""The lines of a text file of a table, as they were written: what of them symbols do not say."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

ENCODINGS = ("utf-8", "cp1252", "latin-1")
ENDS = re.compile(r"(\r\n|\r|\n)+\Z")


@dataclass(frozen=True)
class Lines:
    """A text file of a table.

    Attributes:
        encoding: of its characters.
        separator, quote: between and around cells.
        newline: the usual end of a line.
        records: the text of each row, its end included, blank lines after it too.
        rows: the cells of each row as they are read.
        cells: the cells of each row as they are written; None if they do not make up the row.
    """

    encoding: str
    separator: str
    quote: str
    newline: str
    records: list[str]
    rows: list[list[str]]
    cells: list[list[str] | None]

    @property
    def width(self) -> int:
        """The usual number of cells of a row."""
        return Counter(len(cells) for cells in self.cells if cells is not None).most_common(1)[0][0]


def read_lines(content: bytes, separator: str, quote: str) -> Lines:
    """The lines of a file that ``csv.reader`` reads with that separator and quote."""
    encoding, text = decoded(content)
    physical = list(io.StringIO(text, newline=""))
    reader = csv.reader(iter(physical), delimiter=separator, quotechar=quote, skipinitialspace=True)
    records, rows, taken = list[str](), list[list[str]](), 0
    for row in reader:
        raw = "".join(physical[taken : reader.line_num])
        taken = reader.line_num
        if row or not records:
            records.append(raw)
            rows.append([cell.strip() for cell in row])
        else:
            records[-1] += raw
    newline = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
    field = _field(separator, quote)
    return Lines(
        encoding,
        separator,
        quote,
        newline,
        records,
        rows,
        [_split(ENDS.sub("", record), separator, quote, field) for record in records],
    )


def decoded(content: bytes) -> tuple[str, str]:
    """The encoding and the text of a file; encoded again, it is the file."""
    for encoding in ENCODINGS:
        try:
            text = content.decode(encoding)
            if text.encode(encoding) == content:
                return encoding, text
        except UnicodeError:
            continue
    raise AssertionError  # latin-1 decodes everything


def written(cells: Sequence[str], lines: tuple[str, str]) -> str:
    """A row of cells as it is usually written."""
    separator, newline = lines
    return separator.join(cells) + newline


def _field(separator: str, quote: str) -> re.Pattern[str]:
    q, s = re.escape(quote), re.escape(separator)
    return re.compile(f" *{q}(?:[^{q}]|{q}{q})*{q} *(?={s}|\\Z)|[^{s}]*")


def _split(body: str, separator: str, quote: str, field: re.Pattern[str]) -> list[str] | None:
    """The cells of a row as they are written."""
    if quote not in body:
        return body.split(separator)
    cells, place = list[str](), 0
    while True:
        found = field.match(body, place)
        if found is None:
            return None
        cells.append(found[0])
        place = found.end()
        if place == len(body):
            break
        if body[place] != separator:
            return None
        place += 1
    return cells if separator.join(cells) == body else None
