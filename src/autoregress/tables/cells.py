"""The cells of a column as texts, whether they come from a file or from a DataFrame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

# Texts that mean that a value is missing.
MISSING = frozenset(
    {"", "?", ".", "-", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NAN", "null", "NULL", "None"}
    | {"none", "<NA>", "NaT", "missing"}
)


@dataclass(frozen=True)
class Cells:
    """The cells of a column: its distinct texts, and which of them each row holds.

    Attributes:
        name: the column's name.
        texts: the distinct texts, without surrounding spaces, in order of first occurrence.
        codes: (rows,) index of each row's text, −1 where nothing is.
        source: what the values were: "text" or, in a DataFrame, "whole", "float", "decimal",
            "boolean", "date" or "time".
    """

    name: str
    texts: tuple[str, ...]
    codes: NDArray[np.int64]
    source: str = "text"

    @classmethod
    def of(cls, name: str, values: Iterable[str | None], source: str = "text") -> Self:
        """The cells of texts, None where nothing is."""
        places: dict[str, int] = {}
        codes = [-1 if v is None else places.setdefault(v.strip(), len(places)) for v in values]
        return cls(name, tuple(places), np.array(codes, np.int64), source)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Any) -> Cells:
        """The cells of some rows."""
        return Cells(self.name, self.texts, self.codes[rows], self.source)

    def some(self, start: int, stop: int) -> Cells:
        """The cells of rows from ``start`` to ``stop``, with their own texts only."""
        kept, codes = np.unique(self.codes[start:stop], return_inverse=True)
        missing = int(len(kept) > 0 and kept[0] < 0)
        texts = tuple(self.texts[place] for place in kept[missing:].tolist())
        return Cells(self.name, texts, codes - missing, self.source)

    @property
    def counts(self) -> NDArray[np.int64]:
        """How often each text occurs."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.texts))

    def without(self, marks: Iterable[str]) -> Cells:
        """The same cells, nothing where one of these texts is; texts that do not occur go too."""
        marks = frozenset(marks)
        kept = [
            place
            for place, (text, count) in enumerate(zip(self.texts, self.counts, strict=True))
            if text not in marks and count
        ]
        new = np.full(len(self.texts) + 1, -1, np.int64)
        new[kept] = np.arange(len(kept))
        texts = tuple(self.texts[place] for place in kept)
        return Cells(self.name, texts, new[self.codes], self.source)

    def values(self) -> list[str | None]:
        """The text of every row, None where nothing is."""
        return [None if code < 0 else self.texts[code] for code in self.codes]

    def joined(self, others: Sequence[Cells]) -> Cells:
        """These cells, followed by those of others."""
        values = [value for each in (self, *others) for value in each.values()]
        return Cells.of(self.name, values, self.source)


class Columns(dict[str, Cells]):
    """The columns of a table, by name.

    Attributes:
        said: how its file was read, in a line; empty where nothing had to be inferred.
    """

    said: str = ""
