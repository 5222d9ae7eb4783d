"""Orders in which the dimensions of an event are visited.

Dimensions are numbered by their place in the flattened event; steps count from 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from autoregress.brief import brief


class Ordering:
    """A visit order: dimension ``visit[t]`` is visited at step t.

    There is one for all rows of a batch, or one for each row.

    Args:
        visit: a permutation of 0, …, D − 1, of shape (D,), or one for each row, (rows, D).

    Attributes:
        visit: (D,) or (rows, D) int64 on the CPU, the dimension visited at each step.
        rank: (D,) or (rows, D) int64 on the CPU, the step at which each dimension is visited.

    Raises:
        ValueError: ``visit`` is not a permutation.

    Example:
        >>> ordering = ar.Ordering([2, 0, 1])
        >>> ordering.rank.tolist()
        [1, 2, 0]
        >>> ordering.promote(torch.tensor([False, True, False])).visit.tolist()
        [1, 2, 0]
    """

    def __init__(self, visit: Tensor | Sequence[int]) -> None:
        # On the CPU whatever torch's default is, as the host follows an ordering.
        self.visit = torch.as_tensor(visit, dtype=torch.int64, device="cpu")
        if self.visit.dim() not in (1, 2) or not _permutations(self.visit):
            raise ValueError(
                f"an ordering must be a permutation of 0 to D - 1, got {brief(self.visit.tolist())}"
            )
        steps = torch.arange(len(self), device="cpu").expand_as(self.visit)
        self.rank = torch.empty_like(self.visit).scatter(-1, self.visit, steps)

    @classmethod
    def natural(cls, dims: int) -> Ordering:
        """The ordering 0, 1, …, D − 1."""
        return cls(torch.arange(dims, device="cpu"))

    @classmethod
    def random(cls, dims: int, *, generator: torch.Generator | None = None) -> Ordering:
        """A permutation drawn uniformly."""
        return cls(torch.randperm(dims, generator=generator, device="cpu"))

    @classmethod
    def raster(cls, event_shape: Sequence[int]) -> Ordering:
        """Pixel by pixel in row-major order, and channel by channel within a pixel.

        Channels are the third dimension from last: images (C, H, W), clips (T, C, H, W).
        """
        index = torch.arange(torch.Size(event_shape).numel(), device="cpu").view(*event_shape)
        return cls(index.movedim(-3, -1).flatten())

    @classmethod
    def subscale(cls, event_shape: Sequence[int], factors: Sequence[int]) -> Ordering:
        """Slice by slice, each in raster order; clips (T, C, H, W) only.

        Slice (a, b, c) holds every st-th frame from a, every sh-th row from b and every sw-th
        column from c. Slices come in row-major order of (a, b, c) (Scaling Autoregressive Video
        Models, arXiv 1906.02634).

        Args:
            factors: (st, sh, sw).

        Raises:
            ValueError: the factors do not divide the clip.
        """
        t, h, w = slice_shape(event_shape, factors)
        st, sh, sw = factors
        index = torch.arange(torch.Size(event_shape).numel(), device="cpu")
        index = index.view(t, st, -1, h, sh, w, sw)
        return cls(index.permute(1, 4, 6, 0, 3, 5, 2).flatten())

    def __len__(self) -> int:
        return self.visit.shape[-1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ordering) and torch.equal(self.visit, other.visit)

    def __hash__(self) -> int:
        return hash(tuple(self.visit.flatten().tolist()))

    def __repr__(self) -> str:
        return f"Ordering({brief(self.visit.tolist())})"

    @property
    def by_row(self) -> bool:
        """Whether every row has an ordering of its own."""
        return self.visit.dim() == 2

    def rows(self, index: Tensor) -> Ordering:
        """The ordering of some rows of a batch."""
        return Ordering(self.visit[index.cpu()]) if self.by_row else self

    def precedes(self) -> Tensor:
        """Matrix (D, D) bool whose entry [i, j] says whether i is visited before j.

        With an ordering for each row, one matrix for each, (rows, D, D).
        """
        return self.rank[..., :, None] < self.rank[..., None, :]

    def is_prefix(self, known: Tensor) -> bool:
        """Whether the dimensions in ``known`` are exactly those visited first, in every row.

        Args:
            known: bool, (D,) or (rows, D).
        """
        return bool(((self.rank < known.sum(-1, keepdim=True)) == known).all())

    def promote(self, known: Tensor) -> Ordering:
        """The ordering with the known dimensions first, each part otherwise in this order.

        Args:
            known: bool, (D,), or (rows, D) for an ordering for each row.
        """
        visit, known = torch.broadcast_tensors(self.visit, known)
        first = known.gather(-1, visit)
        after = first.sum(-1, keepdim=True) + (~first).cumsum(-1)
        step = first.cumsum(-1).where(first, after) - 1
        return Ordering(torch.empty_like(visit).scatter(-1, step, visit))


def _permutations(visit: Tensor) -> bool:
    """Whether each row of visit (…, D) is a permutation of 0, …, D − 1."""
    steps = torch.arange(visit.shape[-1], device="cpu")
    return torch.equal(visit.sort(-1).values, steps.expand_as(visit))


def slice_shape(event_shape: Sequence[int], factors: Sequence[int]) -> tuple[int, int, int]:
    """The (frames, rows, columns) of one slice of a clip (T, C, H, W).

    Raises:
        ValueError: the event is not a clip, or the factors (st, sh, sw) do not divide it.
    """
    if len(event_shape) != 4 or len(factors) != 3:
        raise ValueError(
            f"a clip is (frames, channels, rows, columns) and is subscaled by three factors, got "
            f"{tuple(event_shape)} and {tuple(factors)}"
        )
    grid = (event_shape[0], *event_shape[2:])
    if any(s < 1 or n % s for n, s in zip(grid, factors, strict=True)):
        raise ValueError(
            f"subscaling by {tuple(factors)} does not divide the {grid[0]} frames, {grid[1]} rows "
            f"and {grid[2]} columns of a clip"
        )
    t, h, w = (n // s for n, s in zip(grid, factors, strict=True))
    return t, h, w
