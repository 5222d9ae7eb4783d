"""The marginal distribution of a number, exact at the resolution at which it was recorded.

Numbers are whole here: multiples of a column's resolution, such as hundredths.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Values of at least this share of the rows, and this number of them, have a mass of their own.
HEAP, HEAP_ROWS = 0.02, 5
# Largest number of kernels; bandwidths to choose from, in multiples of the distance that √C of
# the C kernels cover.
KERNELS, BANDWIDTHS = 400, (0.1, 0.17, 0.3, 0.5, 0.8, 1.3, 2.0, 3.0)
# Share of the heavy tails.
TAILS = 0.002
# Numbers of cells and kernels evaluated at once, and of steps of bisection.
CHUNK, HALVINGS = 2**22, 70


@dataclass(frozen=True, eq=False)
class Density:
    """A density of adaptive kernels, with masses of frequent values and heavy tails.

    The density is a mixture of logistics, one at each of C quantiles of the values, whose widths
    follow the distances of their neighbours; the factor common to all widths is the one under which
    the values, each left out in turn, are likeliest. A value so frequent that the density of its
    neighbours does not explain it, such as 0 or 999, has a mass of its own. A small share lies in
    tails that fall off with the square of the distance, so that every number has a probability.
    A whole number has the mass between half a unit below it and half a unit above it.
    """

    centres: Floats  # (C,)
    widths: Floats  # (C,)
    weights: Floats  # (C,)
    heaps: Floats  # (A,), ascending
    masses: Floats  # (A,)
    middle: float
    spread: float

    @classmethod
    def fit(cls, values: Floats) -> Self:
        """The density of whole numbers (rows,), of which there is at least one."""
        values = np.sort(np.asarray(values, np.float64))
        distinct, counts = np.unique(values, return_counts=True)
        often = counts >= max(HEAP_ROWS, HEAP * len(values))
        heaps, masses = distinct[often], counts[often] / (len(values) + 1)
        rest = values[~np.isin(values, heaps)]
        low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
        spread = float(max(high - low, (values[-1] - values[0]) / 8, 1.0))
        # Without any other values, as if there had been one, of the spread of the heaps.
        share = 1 - TAILS - masses.sum() * (1 - TAILS)
        if len(rest) == 0:
            centres, widths, weights = np.array([middle]), np.array([spread]), np.array([share])
        else:
            centres, weights, widths = _kernels(rest)
            weights = weights * share
        return cls(centres, widths, weights, heaps, masses * (1 - TAILS), float(middle), spread)

    def to_json(self) -> dict[str, Any]:
        """The content, from which :meth:`from_json` restores it."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in vars(self).items()
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Restores what :meth:`to_json` gave."""
        names = ("centres", "widths", "weights", "heaps", "masses")
        arrays = {name: np.asarray(content[name], np.float64) for name in names}
        return cls(**arrays, middle=float(content["middle"]), spread=float(content["spread"]))

    def log_mass(self, values: Floats) -> Floats:
        """Log-probabilities (n,) of whole numbers, in nats."""
        out = np.empty(len(values))
        for rows in _chunks(len(values), len(self.centres)):
            x = values[rows, None]
            kernels = log_cell(x, self.centres, self.widths) + np.log(self.weights)
            out[rows] = np.logaddexp.reduce(kernels, axis=1)
        out = np.logaddexp(out, math.log(TAILS) + self._log_tail(values))
        place = np.searchsorted(self.heaps, values)
        found = (place < len(self.heaps)) & np.isin(values, self.heaps)
        own = np.full(len(values), -np.inf)
        own[found] = np.log(self.masses[place[found]])
        return np.logaddexp(out, own)

    def cdf(self, values: Floats) -> Floats:
        """Probabilities (n,) of the whole numbers up to each value."""
        out = np.empty(len(values))
        for rows in _chunks(len(values), len(self.centres)):
            z = (values[rows, None] + 0.5 - self.centres) / self.widths
            out[rows] = sigmoid(z) @ self.weights
        z = (values + 0.5 - self.middle) / self.spread
        tail = 0.5 + 0.5 * z / (1 + np.abs(z))
        below = np.concatenate([[0.0], self.masses.cumsum()])
        return out + TAILS * tail + below[np.searchsorted(self.heaps, values, side="right")]

    def quantiles(self, shares: Floats, low: float, high: float) -> Floats:
        """The least whole numbers from ``low`` to ``high`` up to which the shares (n,) lie."""
        a = np.full(len(shares), math.floor(low) - 1.0)
        b = np.full(len(shares), math.ceil(high) + 0.0)
        for _ in range(HALVINGS):
            if (b - a <= 1).all():
                break
            middle = np.floor((a + b) / 2)
            enough = self.cdf(middle) >= shares
            a, b = np.where(enough, a, middle), np.where(enough, middle, b)
        return b

    def _log_tail(self, values: Floats) -> Floats:
        """Log-masses of cells under 1 / (2 s (1 + |x − m| / s)²)."""
        z = np.abs(values - self.middle)
        near, far = np.maximum(z - 0.5, 0) / self.spread, (z + 0.5) / self.spread
        # 1 / (1 + near) − 1 / (1 + far), halved; a cell around the middle lies on both sides.
        width = np.minimum(z + 0.5, 1) / self.spread
        one = np.log(width) - np.log1p(near) - np.log1p(far) + math.log(0.5)
        over = np.maximum(0.5 - z, 0) / self.spread
        return np.logaddexp(one, np.log(np.maximum(over / (1 + over) / 2, 1e-300)))


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(−x)), without overflow."""
    return 0.5 * (1 + np.tanh(x / 2))


def log_cell(x: Floats, centres: Floats, widths: Floats) -> Floats:
    """Log-masses of whole numbers under logistics, exact in both tails."""
    a, b = (x + 0.5 - centres) / widths, (x - 0.5 - centres) / widths
    # log (σ(a) − σ(b)) = log σ(a) + log σ(−b) + log (1 − exp(b − a))
    return -np.logaddexp(0, -a) - np.logaddexp(0, b) + np.log(-np.expm1(-1 / widths))


def _kernels(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Centres, weights and widths of kernels for ascending values."""
    if len(values) > KERNELS:
        places = (np.arange(KERNELS) + 0.5) * len(values) / KERNELS
        values = values[places.astype(int)]
    centres, counts = np.unique(values, return_counts=True)
    weights = counts / len(values)
    reach = max(1, round(math.sqrt(len(centres))))
    after = np.minimum(np.arange(len(centres)) + reach, len(centres) - 1)
    before = np.maximum(np.arange(len(centres)) - reach, 0)
    covered = (centres[after] - centres[before]) / np.maximum(after - before, 1) * reach
    covered = np.maximum(covered, 0.5)
    best, chosen = -np.inf, covered
    for factor in BANDWIDTHS:
        widths = np.maximum(factor * covered, 0.3)
        kernels = np.exp(log_cell(centres[:, None], centres, widths))
        left_out = kernels @ counts - np.diagonal(kernels)
        score = float(counts @ np.log(left_out + 1e-12 * np.diagonal(kernels)))
        if score > best:
            best, chosen = score, widths
    return centres, weights, chosen


def _chunks(rows: int, kernels: int) -> list[slice]:
    step = max(1, CHUNK // kernels)
    return [slice(start, start + step) for start in range(0, rows, step)]
