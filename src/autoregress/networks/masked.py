"""Masked layers whose units have degrees (MADE, Germain et al., 2015, arXiv 1502.03509).

A unit of degree m depends only on the first m visited dimensions, so a source feeds a unit when
its degree is at most the unit's (Algorithm 1). With both sides sorted by degree, the mask of
a weight matrix is a staircase: everything below it is allowed, nothing above it, and only blocks
along the edge need a mask at all. Both faces of a network follow that staircase, on activations
kept in order of degree: the parallel face block by block, which halves the arithmetic of a dense
layer, and the incremental face step by step.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoregress.networks.degrees import ByDegree, ByRow

# Number of weights per block of the parallel pass; larger where a launch costs more than its
# arithmetic.
BLOCK_SIZE = {"cpu": 2**19, "gpu": 2**22}


class MaskedLinear(nn.Module):
    """b + (W ⊙ M) x, optionally plus (U ⊙ M) 1 (MADE, eq. 14) and an unmasked context term.

    Takes and returns activations in order of degree, or columns as stored where their degrees
    differ from row to row.

    Args:
        sources: number of inputs.
        units: number of outputs.
        strict: M is 1[m(unit) > m(source)], like M^V for outputs; otherwise
            1[m(unit) ≥ m(source)], like M^W for hidden units.
        by_source: store W as (sources, units) instead of (units, sources). The rows should be
            the side whose order changes, since whole rows are cheap to rearrange.
        conditioning: add (U ⊙ M) 1, a bias that tells a unit what it is connected to.
        context: number of context features, each seen by every unit; 0 for none.
        bias: whether to add b.
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
        self,
        x: Tensor,
        source: ByDegree | ByRow,
        target: ByDegree | ByRow,
        context: Tensor | None = None,
    ) -> Tensor:
        """x (batch, sources) -> (batch, units)."""
        if isinstance(source, ByRow) or isinstance(target, ByRow):
            return self._by_row(x, source, target, context)
        offset = self.offset(source, target, context)
        stairs = self.staircase(source, target)
        if torch.compiler.is_compiling():
            # A single product of the whole matrix, which the compiler can optimise.
            w = self.weight * stairs.dense(self.weight.dtype)
            out = F.linear(source.unsort(x), w.T if self.by_source else w)
            return target.sort(out) + offset
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        return cast(Tensor, Product.apply(x, self.weight, offset, stairs, self.by_source))

    def _by_row(
        self,
        x: Tensor,
        source: ByDegree | ByRow,
        target: ByDegree | ByRow,
        context: Tensor | None,
    ) -> Tensor:
        """The same where degrees differ from row to row: by sums that grow degree by degree.

        All rows share the products with the weights; a unit is read off the sum of what it sees.
        """
        offset = self.offset(source, target, context)
        if isinstance(target, ByDegree):
            assert isinstance(source, ByRow)
            layer, units = self.by_degree(target), []
            for m in range(1, source.dims + 1):
                units.append(layer.enter(m, x.where(source.degrees <= m, 0), source))
            return torch.cat(units, 1) + offset
        total, parts = offset.expand(len(x), -1).clone(), []
        add = self._adding(x, source)
        for m, at in enumerate(target.steps, 1):
            parts.append(total.view(-1)[at])  # columns of degree m see the sources below m
            add(m, total)
        out = torch.empty_like(total).flatten()
        return out.scatter(0, torch.cat(target.steps), torch.cat(parts)).view_as(total)

    def _adding(self, x: Tensor, source: ByDegree | ByRow) -> Callable[[int, Tensor], object]:
        """A function that adds what the sources of a degree contribute to all columns."""
        if isinstance(source, ByDegree):
            layer = self.by_degree(source)
            return lambda m, total: layer.leave(m, x[:, source.span(m - 1, m)], total)
        weight = self.weight.T.contiguous()

        def add(m: int, total: Tensor) -> None:
            at = source.steps[m - 1]
            values = x.flatten()[at]
            some = values.nonzero().squeeze(1)
            at, values = at[some], values[some]
            rows, columns = at // len(source), at % len(source)
            total += sparse_product(rows, columns, values, weight, len(x))

        return add

    def by_degree(self, units: ByDegree) -> HiddenSide:
        """The weights of a layer with hidden units on one side, and columns by row on the other."""

        def of(weight: Tensor) -> Tensor:
            columns = units.columns(weight, slice(None))
            return columns if self.by_source else columns.T

        u = self.conditioning
        return HiddenSide(units, of(self.weight), None if u is None else of(u))

    def staircase(self, source: ByDegree, target: ByDegree) -> Staircase:
        return Staircase(source, target, self.strict, self.by_source)

    def offset(
        self, source: ByDegree | ByRow, target: ByDegree | ByRow, context: Tensor | None
    ) -> Tensor:
        """The terms that do not depend on x: (units,), or (batch, units) with a context.

        Without the conditioning weights where degrees, and so their mask, differ between rows.
        """
        offset = self.weight.new_zeros(len(target)) if self.bias is None else target.sort(self.bias)
        if (
            self.conditioning is not None
            and isinstance(source, ByDegree)
            and isinstance(target, ByDegree)
        ):
            u = self.conditioning * self.staircase(source, target).dense(self.weight.dtype)
            offset = offset + target.sort(u.sum(0 if self.by_source else 1))
        if self.context is not None:
            offset = offset + target.sort(self.context(context))
        return offset

    def block(
        self, values: Tensor, source: ByDegree, target: ByDegree, start: int, stop: int
    ) -> tuple[Tensor, Tensor]:
        """The incremental pass into the units of degree start + 1 to stop.

        Args:
            values: (batch, sources), known for the sources of degree at most ``start``.

        Returns:
            The contribution of the known values to these units, (batch, units), and the weights
            from the sources of degree start + 1 to stop, (sources, units).
        """
        weight, units = self.weight.detach(), target.span(start, stop)
        early, late = source.span(0, start), source.span(start, stop)
        if self.by_source:
            w = source.rows(target.columns(weight, units), source.span(0, stop))
            return values[:, early] @ w[early], w[late]
        w = target.rows(source.columns(weight, source.span(0, stop)), units)
        return values[:, early] @ w[:, early].T, w[:, late].T.contiguous()


@dataclass(frozen=True)
class HiddenSide:
    """A layer between hidden units and columns whose degrees differ from row to row.

    Hidden units have the same degrees in all rows, so that rows are computed together, one degree
    of the hidden units after another.

    Attributes:
        units: the hidden units.
        weight: from columns into units (columns, units), or from units into columns (units,
            columns); the units are in order of degree.
        conditioning: the same of U, if the layer has it.
    """

    units: ByDegree
    weight: Tensor
    conditioning: Tensor | None

    def enter(self, degree: int, x: Tensor, columns: ByRow) -> Tensor:
        """The input of the units of a degree, from x (batch, columns), 0 beyond that degree."""
        span = self.units.span(degree - 1, degree)
        out = x @ self.weight[:, span]
        if self.conditioning is not None:
            seen = (columns.degrees <= degree).to(x.dtype)
            out = out + seen @ self.conditioning[:, span]
        return out

    def leave(self, degree: int, h: Tensor, total: Tensor) -> None:
        """Adds what the units h of a degree contribute to all columns, total (batch, columns)."""
        span = self.units.span(degree - 1, degree)
        total.addmm_(h.to(total.dtype), self.weight[span])
        if self.conditioning is not None:
            total += self.conditioning[span].sum(0)


def sparse_product(
    rows: Tensor, columns: Tensor, values: Tensor, weight: Tensor, batch: int
) -> Tensor:
    """x W, (batch, units), from the nonzero entries of x (batch, columns), in order of rows."""
    first = torch.searchsorted(rows, torch.arange(batch, device=rows.device))
    return F.embedding_bag(columns, weight, first, mode="sum", per_sample_weights=values)


class Block(NamedTuple):
    """Adjacent rows of W, by degree, and the columns they are connected to."""

    rows: slice
    columns: slice  # connected to these rows, by degree
    edge: slice  # the columns that need a mask, counted from the first in ``columns``
    mask: Tensor  # (rows, edge)


@dataclass(frozen=True)
class Staircase:
    """The mask M of a matrix W from ``source`` to ``target``, and where M is not zero.

    Attributes:
        strict: M is 1[m(unit) > m(source)]; otherwise 1[m(unit) ≥ m(source)].
        by_source: W is stored as (sources, units) instead of (units, sources).
    """

    source: ByDegree
    target: ByDegree
    strict: bool
    by_source: bool
    _blocks: dict[torch.dtype, list[Block]] = field(default_factory=dict, init=False, repr=False)

    @property
    def sides(self) -> tuple[ByDegree, ByDegree]:
        """The side of the rows of W, and that of the columns."""
        return (self.source, self.target) if self.by_source else (self.target, self.source)

    def dense(self, dtype: torch.dtype) -> Tensor:
        """M, laid out as W is stored."""
        target, source = (side.unsort(side.ordered) for side in (self.target, self.source))
        compare = torch.gt if self.strict else torch.ge
        mask = compare(target[:, None], source).to(dtype)
        return mask.T if self.by_source else mask

    def blocks(self, dtype: torch.dtype) -> list[Block]:
        """The nonzero parts of W ⊙ M, blocks of rows; kept for the derivatives."""
        if dtype not in self._blocks:
            self._blocks[dtype] = list(self._cut(dtype))
        return self._blocks[dtype]

    def _cut(self, dtype: torch.dtype) -> Iterator[Block]:
        source, target = self.source, self.target
        dims = len(source.counts) - 1
        size = BLOCK_SIZE["cpu" if source.index.device.type == "cpu" else "gpu"]
        number = max(1, min(dims, 16, len(source) * len(target) // size))
        edges = [dims * i // number for i in range(number + 1)]
        for start, stop in pairwise(edges):
            some, units = source.span(start, stop), target.span(start, stop)
            mask = self._mask(some, units, dtype)
            if self.by_source:  # these sources feed the units of their degrees and later
                columns = slice(units.start, len(target))
                yield Block(some, columns, slice(0, units.stop - units.start), mask.T)
            else:  # these units see the sources of their degrees and earlier
                columns = slice(0, some.stop)
                yield Block(units, columns, slice(some.start, some.stop), mask)

    def _mask(self, some: slice, units: slice, dtype: torch.dtype) -> Tensor:
        """M between some sources and some units, (units, sources)."""
        compare = torch.gt if self.strict else torch.ge
        # Straight into the weights' dtype: many times faster than converting from bool. Floats
        # compare fastest.
        left, right = self.target.ordered[units, None].float(), self.source.ordered[some].float()
        out = torch.empty(len(left), right.shape[0], dtype=dtype, device=left.device)
        return compare(left, right, out=out)

    def weights(self, weight: Tensor, dtype: torch.dtype) -> Iterator[tuple[slice, slice, Tensor]]:
        """Rows and columns of each block, by degree, and W ⊙ M there."""
        row_side, column_side = self.sides
        for rows, columns, edge, mask in self.blocks(weight.dtype):
            w = row_side.rows(column_side.columns(weight, columns), rows)
            w[:, edge].mul_(mask)
            yield rows, columns, w.to(dtype)


# Σ rᵢ (W ⊙ M)ᵢⱼ cⱼ is linear in each of r, W and c. Its derivative by r or c is a Product of W with
# the other, and its derivative by W is their Outer product; the derivatives of these are again
# Products and Outers. So both can be differentiated any number of times, forwards and backwards,
# and every derivative follows the staircase.


def _signed(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function with its signature, which torch otherwise works out at every call."""
    forward.__signature__ = inspect.signature(forward)
    return forward


class Product(torch.autograd.Function):
    """x (W ⊙ M) + offset, or x (W ⊙ M)ᵀ + offset, in order of degree.

    Args: x (n, rows of W) or (n, columns of W); W as stored; the offset (m,), (n, m) or None; M;
    and whether the result is for the columns of W (otherwise for its rows).
    """

    @staticmethod
    @_signed
    def forward(
        x: Tensor, weight: Tensor, offset: Tensor | None, stairs: Staircase, to_columns: bool
    ) -> Tensor:
        shape = len(x), weight.shape[to_columns]
        out = x.new_zeros(shape) if offset is None else offset.to(x.dtype).expand(shape).clone()
        for rows, columns, w in stairs.weights(weight, x.dtype):
            if to_columns:
                out[:, columns].addmm_(x[:, rows], w)
            else:
                out[:, rows].addmm_(x[:, columns], w.T)
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, offset, ctx.stairs, ctx.to_columns = inputs
        ctx.save_for_backward(x, weight)
        ctx.save_for_forward(x, weight)
        ctx.offset = None if offset is None else (offset.dim(), offset.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = grad_outputs
        x, weight = ctx.saved_tensors
        of_x = of_weight = of_offset = None
        if ctx.needs_input_grad[0]:
            of_x = Product.apply(gradient, weight, None, ctx.stairs, not ctx.to_columns)
        if ctx.needs_input_grad[1]:
            sides = (x, gradient) if ctx.to_columns else (gradient, x)
            of_weight = Outer.apply(*sides, ctx.stairs, weight.dtype)
        if ctx.offset is not None:
            dim, dtype = ctx.offset
            of_offset = gradient.to(dtype) if dim == 2 else gradient.sum(0, dtype=dtype)
        return of_x, of_weight, of_offset, None, None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_offset, *_ = grad_inputs
        if of_x is None:
            of_x = torch.zeros_like(x)
        out = Product.apply(of_x, weight, of_offset, ctx.stairs, ctx.to_columns)
        if of_weight is not None:
            out = out + Product.apply(x, of_weight, None, ctx.stairs, ctx.to_columns)
        return out

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Tensor, int]:
        x, weight, offset, stairs, to_columns = args
        size = info.batch_size
        x = _in_front(x, in_dims[0], size)
        if offset is not None and (in_dims[2] is not None or offset.dim() == 2):
            offset = _in_front(offset, in_dims[2], size)
            offset = offset if offset.dim() == 3 else offset[:, None].expand(-1, x.shape[1], -1)
        offsets = [offset] * size
        if offset is not None and offset.dim() == 3:
            offsets = list(offset.unbind())
            offset = offset.flatten(0, 1)
        if in_dims[1] is not None:  # separate weights for each
            each = zip(x.unbind(), weight.movedim(in_dims[1], 0).unbind(), offsets, strict=True)
            return torch.stack([Product.apply(*one, stairs, to_columns) for one in each]), 0
        out = Product.apply(x.flatten(0, 1), weight, offset, stairs, to_columns)
        return out.unflatten(0, (size, -1)), 0


class Outer(torch.autograd.Function):
    """rᵀ c ⊙ M, stored like W, from r (n, rows of W) and c (n, columns of W) in order of degree."""

    @staticmethod
    @_signed
    def forward(r: Tensor, c: Tensor, stairs: Staircase, dtype: torch.dtype) -> Tensor:
        row_side, column_side = stairs.sides
        out = r.new_empty(r.shape[1], c.shape[1], dtype=dtype)
        for rows, columns, edge, mask in stairs.blocks(r.dtype):
            # Whole rows, in order of degree: zero where nothing is connected.
            part = r.new_empty(rows.stop - rows.start, c.shape[1])
            part[:, : columns.start].zero_()
            part[:, columns.stop :].zero_()
            torch.mm(r[:, rows].T, c[:, columns], out=part[:, columns])
            part[:, columns][:, edge].mul_(mask)
            out[row_side.index[rows]] = column_side.unsort(part).to(dtype)
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        r, c, ctx.stairs, ctx.dtype = inputs
        ctx.save_for_backward(r, c)
        ctx.save_for_forward(r, c)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = grad_outputs
        r, c = ctx.saved_tensors
        of_r = Product.apply(c, gradient, None, ctx.stairs, False)
        of_c = Product.apply(r, gradient, None, ctx.stairs, True)
        return of_r, of_c, None, None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        r, c = ctx.saved_tensors
        of_r, of_c, *_ = grad_inputs
        of_r = torch.zeros_like(r) if of_r is None else of_r
        of_c = torch.zeros_like(c) if of_c is None else of_c
        one, other = (Outer.apply(*pair, ctx.stairs, ctx.dtype) for pair in ((of_r, c), (r, of_c)))
        return one + other

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Tensor, int]:
        *sides, stairs, dtype = args
        r, c = (
            side.unsort(_in_front(x, dim, info.batch_size))
            for side, x, dim in zip(stairs.sides, sides, in_dims[:2], strict=True)
        )
        return (r.mT @ c).to(dtype) * stairs.dense(dtype), 0


def _in_front(x: Tensor, dim: int | None, size: int) -> Tensor:
    """x with the mapped dimension first."""
    return x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)


class PrefixNorm(nn.Module):
    """Layer normalisation that respects degrees.

    The mean and variance of the units of degree at most m normalise a unit of degree m, so that
    it learns nothing about later dimensions. The statistics include one imaginary unit of value 0
    and square 1; without it, a lone first unit would always be normalised to 0.
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
        """Some units z (batch, n), normalised by the sum and sum of squares of ``count`` units."""
        mean = total / (count + 1)
        variance = (square + 1) / (count + 1) - mean.square()
        where = units.index[some]
        return (z - mean) * variance.rsqrt() * self.gain[where] + self.bias[where]
