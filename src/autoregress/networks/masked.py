"""Layers of units that know their degree: how much of the ordering they may depend on.

A unit of degree m depends on the first m visited dimensions only, so a source feeds a unit when
the unit's degree is at least its own (MADE, Algorithm 1). With both sides sorted by degree the
mask of a weight matrix is a staircase: below it everything is allowed, above it nothing, and
only blocks along the edge need a mask at all. Both faces of a network work along that staircase,
on activations kept in order of degree: the parallel one a block after another, and so with half
the arithmetic of a dense layer, the incremental one a step after another.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

# Weights to a block of the parallel pass; more where a launch costs more than its arithmetic.
BLOCK_SIZE = {"cpu": 2**19, "gpu": 2**22}


class ByDegree:
    """Units, or columns of inputs or outputs, in order of their degrees.

    Args:
        degrees: (n,) from 1 to D, in the order in which the weights are stored. That of an
            input or output column is its m⁰, the place of its dimension in the ordering.
        dims: D.

    Attributes:
        index: (n,) where the unit that comes k-th by degree is stored.
        ordered: (n,) float32 degrees in that order; floats, as they compare fastest.
        counts: ``counts[t]`` units have a degree of at most t, for t = 0, …, D.
        through: (n,) how many units have at most the degree of each, in order of degree.
    """

    def __init__(self, degrees: Tensor, dims: int, device: torch.device) -> None:
        ordered, index = degrees.long().cpu().sort(stable=True)
        counts = torch.searchsorted(ordered, torch.arange(dims + 1), right=True)
        self.counts: list[int] = counts.tolist()
        self.stored_in_order = torch.equal(index, torch.arange(len(index)))
        self.index = index.to(device)
        self.ordered = ordered.float().to(device)
        self.through = counts[ordered].to(device)

    def __len__(self) -> int:
        return len(self.index)

    def span(self, start: int, stop: int, base: int = 0) -> slice:
        """Where the units of degree start + 1 to stop are, counted from degree base + 1."""
        first = self.counts[base]
        return slice(self.counts[start] - first, self.counts[stop] - first)

    def sort(self, x: Tensor) -> Tensor:
        """x (…, n) as stored -> in order of degree."""
        return x if self.stored_in_order else x[..., self.index]

    def unsort(self, x: Tensor) -> Tensor:
        """x (…, n) in order of degree -> as stored."""
        return x if self.stored_in_order else x[..., self.index.argsort()]

    def rows(self, weight: Tensor, span: slice) -> Tensor:
        """A copy of the rows of some units."""
        return weight.index_select(0, self.index[span])

    def columns(self, weight: Tensor, span: slice) -> Tensor:
        """The columns of some units; a view if they are stored in order."""
        return weight[:, span] if self.stored_in_order else weight[:, self.index[span]]


class MaskedLinear(nn.Module):
    """b + (W ⊙ M) x, on request with (U ⊙ M) 1 (eq. 14) and an unmasked context term.

    Takes and returns activations in order of degree.

    Args:
        sources: number of inputs.
        units: number of outputs.
        strict: M is 1[m(unit) > m(source)], as M^V is for outputs; else 1[m(unit) ≥ m(source)],
            as M^W is for hidden units.
        by_source: store W as (sources, units) instead of (units, sources). The rows should be
            of the side whose order changes, for whole rows are cheap to rearrange.
        conditioning: add (U ⊙ M) 1, a bias that tells a unit what it is connected to.
        context: number of context features, each seen by every unit; 0 for none.
        bias: whether there is a b.
    """

    def __init__(
        self,
        sources: int,
        units: int,
        *,
        strict: bool = False,
        by_source: bool = False,
        conditioning: bool = False,
        context: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        linear = nn.Linear(sources, units, bias=bias)  # for torch's initialisation
        weight = linear.weight.detach()
        self.strict, self.by_source = strict, by_source
        self.weight = nn.Parameter(weight.T.contiguous() if by_source else weight)
        self.bias = linear.bias
        self.conditioning = nn.Parameter(torch.zeros_like(self.weight)) if conditioning else None
        self.context = nn.Linear(context, units, bias=False) if context else None

    def forward(
        self, x: Tensor, source: ByDegree, target: ByDegree, context: Tensor | None = None
    ) -> Tensor:
        """x (batch, sources) -> (batch, units)."""
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        offset = self.offset(source, target, context)
        out = _MaskedProduct.apply(x, self.weight, offset, source, target, self)
        return cast(Tensor, out)

    def offset(self, source: ByDegree, target: ByDegree, context: Tensor | None) -> Tensor:
        """What does not depend on x: (units,), or (batch, units) with a context."""
        offset = self.weight.new_zeros(len(target)) if self.bias is None else target.sort(self.bias)
        if self.conditioning is not None:
            whole = slice(None)
            if self.by_source:
                u = target.columns(source.rows(self.conditioning, whole), whole).T
            else:
                u = source.columns(target.rows(self.conditioning, whole), whole)
            offset = offset + (u * self.mask(source, target, whole, whole, u.dtype)).sum(1)
        if self.context is not None:
            offset = offset + target.sort(self.context(context))
        return offset

    def mask(
        self, source: ByDegree, target: ByDegree, some: slice, units: slice, dtype: torch.dtype
    ) -> Tensor:
        """M of some sources and units: (units, sources), 1 where allowed, else 0."""
        compare = torch.gt if self.strict else torch.ge
        left, right = target.ordered[units, None], source.ordered[some]
        # Straight into the weights' dtype: many times faster than to bool and then converted.
        out = torch.empty(len(left), len(right), dtype=dtype, device=left.device)
        return compare(left, right, out=out)

    def block(
        self, values: Tensor, source: ByDegree, target: ByDegree, start: int, stop: int
    ) -> tuple[Tensor, Tensor]:
        """For the incremental pass, in units of degree start + 1 to stop.

        Args:
            values: (batch, sources), of which those of degree at most ``start`` are known.

        Returns:
            What these units get from those values, (batch, units), and the weights from the
            sources of degree start + 1 to stop, (sources, units).
        """
        weight, units = self.weight.detach(), target.span(start, stop)
        early, late = source.span(0, start), source.span(start, stop)
        if self.by_source:
            w = source.rows(target.columns(weight, units), source.span(0, stop))
            return values[:, early] @ w[early], w[late]
        w = target.rows(source.columns(weight, source.span(0, stop)), units)
        return values[:, early] @ w[:, early].T, w[:, late].T.contiguous()


class _Block(NamedTuple):
    rows: slice  # of W, by degree
    columns: slice  # to which they are connected, by degree
    edge: slice  # those columns, counted from the first, that need a mask
    mask: Tensor  # (rows, edge)
    weight: Tensor  # (rows, columns), masked


def _staircase(
    layer: MaskedLinear, weight: Tensor, source: ByDegree, target: ByDegree
) -> Iterator[_Block]:
    """W ⊙ M without what is zero, some rows at a time."""
    dims = len(source.counts) - 1
    size = BLOCK_SIZE["cpu" if weight.device.type == "cpu" else "gpu"]
    number = max(1, min(dims, 16, weight.numel() // size))
    edges = [dims * i // number for i in range(number + 1)]
    for start, stop in pairwise(edges):
        some, units = source.span(start, stop), target.span(start, stop)
        mask = layer.mask(source, target, some, units, weight.dtype)
        if layer.by_source:  # these sources feed the units of their degrees and all later ones
            rows, columns, mask = some, slice(units.start, len(target)), mask.T
            edge = slice(0, units.stop - units.start)
            w = source.rows(target.columns(weight, columns), rows)
        else:  # these units see the sources of their degrees and all earlier ones
            rows, columns = units, slice(0, some.stop)
            edge = slice(some.start, some.stop)
            w = target.rows(source.columns(weight, columns), rows)
        w[:, edge].mul_(mask)
        yield _Block(rows, columns, edge, mask, w)


class _MaskedProduct(torch.autograd.Function):
    """x (W ⊙ M)ᵀ + offset along the staircase, as F.linear(x, W * M) + offset would give."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        offset: Tensor,
        source: ByDegree,
        target: ByDegree,
        layer: MaskedLinear,
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.sides = source, target, layer
        ctx.offset = offset.dim(), offset.dtype
        out = offset.to(x.dtype).expand(len(x), -1).clone()
        for rows, columns, _, _, w in _staircase(layer, weight, source, target):
            w = w.to(x.dtype)
            if layer.by_source:
                out[:, columns].addmm_(x[:, rows], w)
            else:
                out[:, rows].addmm_(x[:, columns], w.T)
        return out

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = grad_outputs
        x, weight = ctx.saved_tensors
        source, target, layer = ctx.sides
        of_x = torch.zeros_like(x) if ctx.needs_input_grad[0] else None
        of_weight = torch.empty_like(weight)
        row_side, column_side = (source, target) if layer.by_source else (target, source)
        for rows, columns, edge, mask, w in _staircase(layer, weight, source, target):
            w = w.to(x.dtype)
            # Whole rows, in order of degree: zero where nothing is connected.
            part = x.new_empty(len(w), weight.shape[1])
            part[:, : columns.start].zero_()
            part[:, columns.stop :].zero_()
            if layer.by_source:
                torch.mm(x[:, rows].T, gradient[:, columns], out=part[:, columns])
                if of_x is not None:
                    torch.mm(gradient[:, columns], w.T, out=of_x[:, rows])
            else:
                torch.mm(gradient[:, rows].T, x[:, columns], out=part[:, columns])
                if of_x is not None:
                    of_x[:, columns].addmm_(gradient[:, rows], w)
            part[:, columns][:, edge].mul_(mask)
            of_weight[row_side.index[rows]] = column_side.unsort(part).to(weight.dtype)
        dim, dtype = ctx.offset
        of_offset = gradient.to(dtype) if dim == 2 else gradient.sum(0, dtype=dtype)
        return of_x, of_weight, of_offset, None, None, None


class PrefixNorm(nn.Module):
    """Layer normalisation that respects degrees.

    A unit of degree m is centred and scaled by the mean and variance of the units of degree at
    most m, so that it learns nothing of what comes later. One imagined unit, of value 0 and
    square 1, is counted with them: else a lone first unit would always be normalised to 0.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(units))
        self.bias = nn.Parameter(torch.zeros(units))

    def forward(self, z: Tensor, units: ByDegree) -> Tensor:
        """z (batch, units) -> (batch, units), in order of degree."""
        last = units.through - 1
        total = z.cumsum(1).index_select(1, last)
        square = z.square().cumsum(1).index_select(1, last)
        return self.normalise(z, total, square, units.through, units, slice(None))

    def normalise(
        self,
        z: Tensor,
        total: Tensor,
        square: Tensor,
        count: Tensor | int,
        units: ByDegree,
        some: slice,
    ) -> Tensor:
        """z (batch, n) of some units, by the sum and sum of squares over ``count`` units."""
        mean = total / (count + 1)
        variance = (square + 1) / (count + 1) - mean.square()
        where = units.index[some]
        return (z - mean) * variance.rsqrt() * self.gain[where] + self.bias[where]
