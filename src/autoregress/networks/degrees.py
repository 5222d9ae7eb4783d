"""The degrees of units and columns (MADE, Germain et al., 2015, arXiv 1502.03509).

A unit of degree m depends only on the first m visited dimensions. Hidden degrees count steps,
whatever dimension a step visits: rows with different orderings share all hidden work, and differ
only in the degrees of their input and output columns.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor


class ByDegree:
    """Units, or input or output columns, in order of degree.

    Args:
        degrees: (n,) on the CPU, from 1 to D, in the order in which the weights are stored. The
            degree of an input or output column is its m⁰, the place of its dimension in the
            ordering.
        dims: D.

    Attributes:
        index: (n,) storage position of the k-th unit by degree.
        rank: (n,) place by degree of each stored unit, the inverse of ``index``.
        ordered: (n,) degrees in ascending order, int32.
        counts: ``counts[t]`` is the number of units of degree at most t, for t = 0, …, D.
        through: (n,) number of units whose degree is at most that of each unit, in order of degree.
    """

    def __init__(self, degrees: Tensor, dims: int) -> None:
        ordered, self.index = degrees.long().sort(stable=True)
        counts = torch.searchsorted(ordered, torch.arange(dims + 1), right=True)
        self.counts: list[int] = counts.tolist()
        self.stored_in_order = torch.equal(self.index, torch.arange(len(self.index)))
        self.rank = self.index.argsort()
        self.ordered = ordered.int()
        self.through = counts[ordered]

    def __len__(self) -> int:
        return len(self.index)

    def map(self, function: Callable[[Tensor], Tensor]) -> ByDegree:
        """A copy with ``function`` applied to each tensor, as in a module's ``_apply``."""
        other = copy.copy(self)
        for name in ("index", "rank", "ordered", "through"):
            setattr(other, name, function(getattr(self, name)))
        return other

    def to(self, device: torch.device) -> ByDegree:
        """The same units on a device."""
        return self if self.index.device == device else self.map(lambda x: x.to(device))

    def span(self, start: int, stop: int, base: int = 0) -> slice:
        """The span of the units of degree start + 1 to stop, counted from degree base + 1."""
        first = self.counts[base]
        return slice(self.counts[start] - first, self.counts[stop] - first)

    def sort(self, x: Tensor) -> Tensor:
        """x (…, n) as stored -> in order of degree."""
        return x if self.stored_in_order else x[..., self.index]

    def unsort(self, x: Tensor) -> Tensor:
        """x (…, n) in order of degree -> as stored."""
        return x if self.stored_in_order else x[..., self.rank]

    def rows(self, weight: Tensor, span: slice) -> Tensor:
        """A copy of the rows of some units."""
        return weight.index_select(0, self.index[span])

    def columns(self, weight: Tensor, span: slice) -> Tensor:
        """The columns of some units; a view if they are stored in order."""
        return weight[:, span] if self.stored_in_order else weight[:, self.index[span]]


class ByRow:
    """Input or output columns whose degrees differ from row to row. They stay as stored.

    Args:
        degrees: (batch, n), from 1 to D.
        dims: D.
    """

    def __init__(self, degrees: Tensor, dims: int) -> None:
        self.degrees, self.dims = degrees.int(), dims

    def __len__(self) -> int:
        return self.degrees.shape[1]

    def map(self, function: Callable[[Tensor], Tensor]) -> ByRow:
        """The same columns with ``function`` applied to their degrees."""
        return ByRow(function(self.degrees), self.dims)

    def to(self, device: torch.device) -> ByRow:
        """The same columns on a device."""
        return self if self.degrees.device == device else self.map(lambda x: x.to(device))

    @cached_property
    def steps(self) -> tuple[Tensor, ...]:
        """For each degree from 1 to D, where the flattened (batch, n) has it, row by row."""
        flat = self.degrees.flatten()
        order = flat.argsort(stable=True)
        return order.split(flat.bincount(minlength=self.dims + 1)[1:].tolist())

    def sort(self, x: Tensor) -> Tensor:
        """x, as columns have no order that all rows share."""
        return x

    unsort = sort
