"""Columns of a table as a page shows them: the bars of a distribution and what they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from autoregress.tables.answers import Distribution
from autoregress.tables.columns import OTHER, Column, Labels
from autoregress.tables.dates import Dates
from autoregress.tables.density import Floats
from autoregress.tables.numbers import Numbers

BARS = 48  # of numbers, at most
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class View:
    """A column as it is shown: a bar for each label, or for intervals of numbers of equal width.

    Numbers are counted in units of their resolution.
    """

    column: Column

    def describe(self) -> dict[str, Any]:
        """What the column is, and what its bars stand for."""
        column = self.column
        found: dict[str, Any] = {"name": column.name, "kind": column.kind}
        if isinstance(column, Numbers):
            return found | {
                "low": column.low,
                "high": column.high,
                "decimals": column.decimals,
                "step": column.step if isinstance(column, Dates) else None,
                "edges": self._edges.tolist(),
                "texts": [column.text(column.low), column.text(column.high)],
            }
        labels = self._labels
        return found | {"labels": [*labels, *[OTHER] * (column.levels > len(labels))]}

    def show(self, distribution: Distribution) -> dict[str, Any]:
        """The bars of a distribution, its mode, and of numbers the mean and quantiles too."""
        column, p = self.column, distribution.probabilities
        found: dict[str, Any] = {
            "column": column.name,
            "bars": self.bars(p),
            "mode": distribution.mode(),
        }
        if isinstance(column, Numbers):
            mean = float(column.mean(p[None])[0])
            date = isinstance(column, Dates)
            found |= {
                "mean": column.text(mean) if date else f"{column.number(mean):.4g}",
                "quantiles": [distribution.quantile(share) for share in SHARES],
                "places": [float(column.quantile(p[None], share)[0]) for share in SHARES],
            }
        return found

    def bars(self, probabilities: Floats) -> list[float]:
        """The probability of each bar."""
        if isinstance(self.column, Numbers):
            each = probabilities @ self._shares
        else:
            count = len(self._labels)
            rest = [probabilities[count:].sum()] * (len(probabilities) > count)
            each = np.append(probabilities[:count], rest)
        return [float(f"{p:.5g}") for p in each.tolist()]

    def cell(self, value: str | float) -> str:
        """The text of a cell, given as such or as a number; raises ValueError if there is none."""
        column = self.column
        if isinstance(value, str):
            return value
        if isinstance(column, Numbers) and column.low <= value <= column.high:
            return column.text(value)
        raise ValueError(f"column {column.name!r} has no value {value!r}")

    @property
    def _labels(self) -> tuple[str, ...]:
        assert isinstance(self.column, Labels)
        return self.column.labels

    @cached_property
    def _edges(self) -> Floats:
        """The largest number of every bar."""
        assert isinstance(self.column, Numbers)
        low, high = self.column.low, self.column.high
        width = np.ceil((high - low + 1) / BARS)
        return np.arange(low + width - 1, high + width, width)

    @cached_property
    def _shares(self) -> Floats:
        """(K, bars): the share of each bar in each symbol; the last bars reach to infinity."""
        column = self.column
        assert isinstance(column, Numbers)
        ends = np.array([column.number(edge) for edge in self._edges.tolist()])
        pieces = column.pieces(ends.tolist())
        middles = ends[:-1] + column.number(0.5)
        values = np.asarray(pieces.values, np.float64)
        shares, known = np.zeros((column.levels, len(ends))), ~np.isnan(values)  # NaN is missing
        places = np.searchsorted(middles, values[known])
        np.add.at(shares, (pieces.symbols[known], places), pieces.shares[known])
        return shares


def cells(views: Mapping[str, View], given: Mapping[str, str | float]) -> dict[str, str]:
    """Texts of the given cells.

    Raises:
        ValueError: there is no such column, or it has no such value.
    """
    for name in given:
        if name not in views:
            raise ValueError(f"there is no column {name!r}; there are {', '.join(views)}")
    return {name: views[name].cell(value) for name, value in given.items()}
