"""Marks of tensors that need no rounding before a product, in :mod:`autoregress.portable`."""

from __future__ import annotations

from torch import Tensor


class Grid:
    """The mark of a tensor, and of all that share its memory.

    Args:
        mask: whether all of its numbers are 0 or 1.
        rows: whether it is one of :func:`operands`.

    Attributes:
        kept: whether nothing has been written to it since, but for rows of :func:`operands`.
    """

    def __init__(self, *, mask: bool = False, rows: bool = False) -> None:
        self.kept, self.mask, self.rows = True, mask, rows


def grid_of(x: Tensor) -> Grid | None:
    grid = x.__dict__.get("_grid")
    return grid if grid is not None and grid.kept else None


def mark(x: Tensor, grid: Grid | None) -> None:
    vars(x)["_grid"] = grid


def forget(written: Tensor) -> None:
    grid = grid_of(written)
    if grid is not None:
        grid.kept = False


def operands(zeros: Tensor) -> Tensor:
    """Zeros, to be overwritten by vectors that many products multiply along the last axis.

    Each vector must be written whole. The portable arithmetic then rounds it once, rather than
    before each product. Otherwise this changes nothing.
    """
    mark(zeros, Grid(rows=True))
    return zeros
