"""Rare labels of a column in groups of those that occur beside alike values of other columns.

A model has a symbol for each group, not for each of 100,000 labels. Within a group, a label has its
share of the training rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autoregress.tables.cells import Cells
from autoregress.tables.columns import Column, Labels, Symbols
from autoregress.tables.density import Floats

# A group is halved this number of times, unless it has been seen in fewer rows.
HALVINGS, FEWEST_ROWS = 6, 100
# Number of frequent symbols of another column that are features each, and of features in all.
SYMBOLS, FEATURES = 8, 64
# Number of rows of average company that a label starts from.
PSEUDO = 4.0


def grouped(column: Labels, cells: Cells, others: Sequence[tuple[Column, Cells]]) -> Labels:
    """A column whose rare labels are in groups.

    Labels are halved at the weighted median of the direction in which their mean features differ
    most (principal direction divisive partitioning, Boley, 1998), and each half again.

    Args:
        cells: its training cells.
        others: the other columns, with theirs.
    """
    place = {text: n for n, (text, _) in enumerate(column.rare)}
    which = np.array([place.get(text, -1) for text in cells.texts] + [-1])[cells.codes]
    rows = np.flatnonzero(which >= 0)
    features = [f for other, own in others for f in _features(other, own[rows])][:FEATURES]
    if not features:
        return column
    counts = np.bincount(which[rows], minlength=len(place)).astype(np.float64)
    sums = [np.bincount(which[rows], f - f.mean(), minlength=len(place)) for f in features]
    company = np.stack(sums, 1) / (counts + PSEUDO)[:, None]
    groups = np.zeros(len(place), np.int64)
    for _ in range(HALVINGS):
        for group in range(groups.max() + 1):
            own = np.flatnonzero(groups == group)
            if len(own) > 1 and counts[own].sum() >= 2 * FEWEST_ROWS:
                upper = _upper_half(company[own], counts[own])
                groups[own[upper]] = groups.max() + 1
    return replace(column, groups=tuple(groups.tolist()))


def _features(column: Column, cells: Cells) -> list[Floats]:
    """Numbers by rank, labels as 0 and 1 for each of the frequent ones; 0 where missing."""
    symbols = column.encode(cells).symbols
    known = symbols >= 0
    if column.ordered:
        ranks = np.where(known, symbols, 0) / column.levels
        centre = ranks[known].mean() if known.any() else 0.0
        return [np.where(known, ranks - centre, 0.0)]
    often = np.bincount(symbols[known], minlength=column.levels).argsort()[::-1][:SYMBOLS]
    return [(symbols == symbol).astype(np.float64) for symbol in often.tolist()]


def _upper_half(company: Floats, weights: Floats) -> Symbols:
    """The labels above the weighted median of their principal direction; never none or all."""
    centred = company - np.average(company, axis=0, weights=weights)
    _, vectors = np.linalg.eigh((centred * weights[:, None]).T @ centred)
    order = (centred @ vectors[:, -1]).argsort(kind="stable")
    below = weights[order].cumsum()
    cut = int(np.searchsorted(below, below[-1] / 2)) + 1
    return order[min(cut, len(order) - 1) :]
