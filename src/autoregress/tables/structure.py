"""A sparse network of labels, from which rows are drawn that a model learns along with real ones.

A table of a few labels a column is often that of a sparse Bayesian network: each column depends
directly on few others. Counting finds these in a second, where a neural network, which sees every
column, learns noise of thousands of weights. Rows drawn from the network are many more examples, of
which that noise is no part; the real ones correct what it misses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from autoregress.tables.density import Floats

Ints = NDArray[np.int64]

# A network is of at most that number of columns, each of at most that number of symbols, with at
# most that number of parents.
MOST_COLUMNS, MOST_LEVELS, MOST_PARENTS = 128, 64, 5
# Nats that a free probability must gain, as a share of half the logarithm of the number of rows:
# 1 is the Bayesian information criterion (Schwarz, 1978), which leaves out weak dependences.
PENALTY = 0.5
# A distribution given its parents is smoothed by this number of rows of the marginal.
PSEUDO = 1.0


@dataclass(frozen=True)
class Structure:
    """A Bayesian network of the symbols of columns. An unknown cell is one more symbol.

    Attributes:
        order: the columns, parents first.
        parents: the parents of each column.
        tables: for each column its distributions (configurations of the parents, symbols), of which
            the last symbol is unknown.
    """

    order: list[int]
    parents: list[tuple[int, ...]]
    tables: list[Floats]

    @staticmethod
    def suits(levels: Sequence[int]) -> bool:
        """Whether columns of these numbers of symbols have a network that is found in seconds."""
        return len(levels) <= MOST_COLUMNS and max(levels) <= MOST_LEVELS

    @classmethod
    def fit(cls, x: Ints, levels: Sequence[int]) -> Self:
        """The network of symbols (rows, D), −1 where unknown, by greedy hill-climbing.

        Args:
            levels: number of symbols of each column.
        """
        columns = [
            np.where(own < 0, k, own).astype(np.int64) for own, k in zip(x.T, levels, strict=True)
        ]
        search = Search(columns, [k + 1 for k in levels])
        search.climb()
        parents = [tuple(sorted(own)) for own in search.parents]
        tables = [_smoothed(search.counts(dim, own)) for dim, own in enumerate(parents)]
        return cls(_order(parents), parents, tables)

    def draw(self, count: int, rng: np.random.Generator) -> Ints:
        """Rows of symbols (count, D), −1 where unknown."""
        x = np.zeros((count, len(self.order)), np.int64)
        for dim in self.order:
            table = self.tables[dim]
            below = table.cumsum(1)[self._configuration(x, dim)]
            x[:, dim] = (rng.random((count, 1)) >= below[:, :-1]).sum(1)
        unknown = np.array([table.shape[1] - 1 for table in self.tables])
        return np.where(x == unknown, -1, x)

    def _configuration(self, x: Ints, dim: int) -> Ints:
        code = np.zeros(len(x), np.int64)
        for parent in self.parents[dim]:
            code = code * self.tables[parent].shape[1] + x[:, parent]
        return code


class Search:
    """Greedy hill-climbing: of adding, removing and reversing an edge, what gains most, until
    nothing does (Koller and Friedman, 2009, sec. 18.4.3).

    Args:
        columns: the symbols (rows,) of each column.
        levels: their numbers.
    """

    def __init__(self, columns: Sequence[Ints], levels: Sequence[int]) -> None:
        self.columns, self.levels = columns, levels
        self.rows, dims = len(columns[0]), range(len(columns))
        self.cost = PENALTY * math.log(self.rows) / 2
        self.parents: list[frozenset[int]] = [frozenset() for _ in dims]
        self._scores: dict[tuple[int, frozenset[int]], float] = {}
        # What is gained by adding or removing the edge from one column (row) to another.
        self._gains = np.full((len(dims), len(dims)), -math.inf)
        for dim in dims:
            self._measure(dim)

    def climb(self) -> None:
        """Changes the parents until nothing is gained."""
        while (change := self._best()) is not None:
            source, target, reverse = change
            self.parents[target] ^= {source}
            self._measure(target)
            if reverse:
                self.parents[source] |= {target}
                self._measure(source)

    def counts(self, dim: int, parents: Sequence[int]) -> Floats:
        """How often each symbol occurs with each configuration of the parents."""
        code, size = np.zeros(self.rows, np.int64), 1
        for parent in parents:
            code = code * self.levels[parent] + self.columns[parent]
            size *= self.levels[parent]
        own = self.levels[dim]
        code = code * own + self.columns[dim]
        return np.bincount(code, minlength=size * own).reshape(size, own).astype(np.float64)

    def _measure(self, target: int) -> None:
        own = self.parents[target]
        for source in range(len(self.columns)):
            if source == target:
                continue
            full = source not in own and len(own) >= MOST_PARENTS
            changed = -math.inf if full else self._score(target, own ^ {source})
            self._gains[source, target] = changed - self._score(target, own)

    def _score(self, dim: int, parents: frozenset[int]) -> float:
        """log p of a column given its parents at their frequencies, less the cost of these."""
        key = dim, parents
        if key not in self._scores:
            self._scores[key] = self._penalised(dim, sorted(parents))
        return self._scores[key]

    def _penalised(self, dim: int, parents: Sequence[int]) -> float:
        if math.prod(self.levels[each] for each in (dim, *parents)) > 50 * self.rows:
            return -math.inf
        counts = self.counts(dim, parents)
        totals = counts.sum(1)
        # Symbols and configurations that do not occur cost nothing.
        free = np.count_nonzero(totals) * (np.count_nonzero(counts.sum(0)) - 1)
        return _entropic(counts) - _entropic(totals) - self.cost * free

    def _best(self) -> tuple[int, int, bool] | None:
        """The edge to add, remove or reverse; None if nothing is gained."""
        best, gain = None, 1e-6
        reached = self._reached()
        for source, target in zip(*np.nonzero(self._gains > gain), strict=True):
            if self._gains[source, target] > gain and not (
                source not in self.parents[target] and reached[target, source]
            ):
                best, gain = (int(source), int(target), False), self._gains[source, target]
        for target, own in enumerate(self.parents):
            for source in own:
                both = self._gains[source, target] + self._gains[target, source]
                # No other way leads from the source to the target.
                others = any(reached[source, p] for p in own if p != source)
                if both > gain and not others:
                    best, gain = (source, target, True), both
        return best

    def _reached(self) -> NDArray[np.bool_]:
        """Whether a way of edges leads from one column (row) to another, or it is the same."""
        reached = np.eye(len(self.parents), dtype=bool)
        for target in _order(self.parents):
            for source in self.parents[target]:
                reached[:, target] |= reached[:, source]
        return reached


def _entropic(counts: Floats) -> float:
    """Σ n log n."""
    some = counts[counts > 0]
    return float(some @ np.log(some))


def _smoothed(counts: Floats) -> Floats:
    """Distributions (configurations, symbols), towards the marginal where rows are few."""
    marginal = counts.sum(0) / counts.sum()
    return (counts + PSEUDO * marginal) / (counts.sum(1, keepdims=True) + PSEUDO)


def _order(parents: Sequence[frozenset[int] | tuple[int, ...]]) -> list[int]:
    """The columns, parents first."""
    order, left = list[int](), set(range(len(parents)))
    while left:
        order += sorted(dim for dim in left if left.isdisjoint(parents[dim]))
        left -= set(order)
    return order
