"""How surprising each cell of a table is given the others of its row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoregress.tables.columns import Column, Symbols
from autoregress.tables.density import Floats
from autoregress.tables.numbers import Numbers


@dataclass(frozen=True)
class Explanation:
    """How surprising every cell is given all the others of its row.

    Attributes:
        names: (D,) the columns.
        surprise: (rows, D) −log p(cell | the other cells), in nats; NaN where a cell is missing.
        p_value: (rows, D) the probability of a cell at least as unlikely; for numbers, twice that
            of one as far out on its side. Whatever a column's entropy, if the model is right it is
            below a share of at most that share of the cells.
        expected: (rows, D) texts of the likeliest cells.
    """

    names: tuple[str, ...]
    surprise: Floats
    p_value: Floats
    expected: NDArray[np.object_]

    @classmethod
    def empty(cls, columns: Sequence[Column], rows: int) -> Explanation:
        """One to be filled in by :meth:`put`."""
        shape = rows, len(columns)
        names = tuple(column.name for column in columns)
        nothing = np.full(shape, np.nan), np.full(shape, np.nan)
        return cls(names, *nothing, np.empty(shape, object))

    @classmethod
    def joined(cls, parts: Sequence[Explanation]) -> Explanation:
        """Those of parts of the rows, one after another."""
        arrays = [(each.surprise, each.p_value, each.expected) for each in parts]
        return cls(parts[0].names, *(np.concatenate(own) for own in zip(*arrays, strict=True)))

    def put(self, dim: int, column: Column, own: Symbols, details: Floats, p: Floats) -> None:
        """Fills in a column.

        Args:
            own: (rows,) its symbols, −1 where missing.
            details: (rows,) log-probabilities of their details.
            p: (rows, K) the distributions of the symbol.
        """
        self.expected[:, dim] = column.typical(p.argmax(1))
        rows = np.flatnonzero(own >= 0)
        own, details, p = own[rows], details[rows], p[rows]
        mass = np.take_along_axis(p, own[:, None], 1)
        self.surprise[rows, dim] = -np.log(mass[:, 0]) - details
        if isinstance(column, Numbers) and column.ordered:
            upto = np.take_along_axis(p.cumsum(1), own[:, None], 1)
            side = np.minimum(1, 2 * np.minimum(upto, 1 - upto + mass))[:, 0]
            lost = own == p.shape[1] - 1 if column.absent else np.zeros(len(own), bool)
            self.p_value[rows, dim] = np.where(lost, mass[:, 0], side)
        else:
            self.p_value[rows, dim] = np.minimum(1, (p * (p <= mass)).sum(1))

    def blamed(self) -> list[str | None]:
        """For each row the column of the least p-value; None where nothing is known."""
        p = np.where(np.isnan(self.p_value), np.inf, self.p_value)
        return [self.names[j] if np.isfinite(p[i, j]) else None for i, j in enumerate(p.argmin(1))]
