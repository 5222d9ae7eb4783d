"""Products of matrices, convolutions and attention, the same bits on every machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import repeat
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoregress.grids import grid_of, mark
from autoregress.portable.elementary import CACHED
from autoregress.portable.functions import softmax
from autoregress.portable.rounding import BITS, constant, operand, refusal, rounded, rounder

# The largest number of products in one sum: 2 · 20 + 13 = 53 bits.
PIECE = 2**13
# OpenBLAS, from which NumPy's products come, is up to a fifth quicker with at most QUICK products
# of contiguous operands; LEAST rows at a time are worth a call.
QUICK, LEAST = 10**6, 24


def _product(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product of a (…, M, K) and b (…, K, N)."""
    count = a.shape[-1]
    if count == 0:
        return a @ b
    if count == 1:
        return a * b
    if b.dim() > 2:
        return _products(a, b)
    b = operand(b, -2)
    if a.numel() <= 2 * CACHED or grid_of(a) is not None or not a.is_cpu:
        return _exact(operand(a, -1), b)
    rows = a.reshape(-1, count)
    out = a.new_empty(len(rows), b.shape[1])
    few = max(1, CACHED // count)
    for own, place in zip(rows.split(few), out.split(few), strict=True):
        _exact(rounded(own, -1, BITS), b, place)
    return out.view(*a.shape[:-1], -1)


def _products(a: Tensor, b: Tensor) -> Tensor:
    """The same of many matrices b, of which caches hold a few from their rounding on."""
    small = b.numel() <= 2 * CACHED or grid_of(b) is not None
    if small or a.shape[:-2] != b.shape[:-2] or not b.is_cpu:
        return _exact(operand(a, -1), operand(b, -2))
    out = a.new_empty(*a.shape[:-1], b.shape[-1])
    few = max(1, CACHED * len(b) // b.numel())
    a = operand(a, -1)
    for own, other, place in zip(a.split(few), b.split(few), out.split(few), strict=True):
        _exact(own, rounded(other, -2, BITS), place)
    return out


def _exact(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """The matrix product of operands that are rounded already, perhaps into a given tensor."""
    if a.shape[-1] <= PIECE:
        return _times(a, b, out)
    parts = zip(a.split(PIECE, -1), b.split(PIECE, -2), strict=True)
    first = _times(*next(parts), out)
    for part in parts:
        first += _times(*part)
    return first


def _times(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    if not a.is_cpu:
        return a @ b if out is None else out.copy_(a @ b)
    # NumPy takes half the time of torch where b has few columns, and less for small matrices; both
    # are exact.
    if b.dim() > 2:
        place = None if out is None else out.numpy()
        return torch.from_numpy(np.matmul(a.numpy(), b.numpy(), out=place))
    if out is None:
        out = a.new_empty(*a.shape[:-1], b.shape[1])
    rows, places = (a, out) if a.dim() == 2 else (a.reshape(-1, len(b)), out.view(-1, b.shape[1]))
    rows, weights, places = rows.numpy(), b.numpy(), places.numpy()
    few = QUICK // max(1, weights.size)
    if few < LEAST or len(rows) <= few or not weights.flags.c_contiguous:
        np.matmul(rows, weights, out=places)
        return out
    for start in range(0, len(rows), few):
        part = slice(start, start + few)
        np.matmul(rows[part], weights, out=places[part])
    return out


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    if dropout_p or is_causal or enable_gqa:
        raise refusal("scaled_dot_product_attention with dropout, is_causal or enable_gqa")
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    alike = q.dim() > 2 and q.shape[:-2] == k.shape[:-2] == v.shape[:-2]
    if q.numel() <= 2 * CACHED or not alike:
        return _attended(q, k, v, attn_mask, scale)
    few = max(1, CACHED * len(q) // q.numel())
    if attn_mask is None or attn_mask.dim() < q.dim() or len(attn_mask) == 1:
        masks = repeat(attn_mask)
    else:
        masks = attn_mask.split(few)
    parts = zip(_parts(q, few), _parts(k, few), _parts(v, few), masks, strict=False)
    return torch.cat([_attended(*part, scale) for part in parts])


def _parts(x: Tensor, few: int) -> tuple[Tensor, ...]:
    """Parts of a tensor, which need no more rounding than it does."""
    parts = x.split(few)
    for part in parts:
        mark(part, grid_of(x))
    return parts


def _attended(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    scores = _product(q, _turned(k)).mul_(constant(scale))
    if mask is not None:
        boolean = mask.dtype == torch.bool
        scores = scores.masked_fill(~mask, -math.inf) if boolean else scores + mask
    return _product(softmax(scores, -1), v)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    if a.dim() == 1:
        return matmul(a.unsqueeze(0), b).squeeze(-2 if b.dim() > 1 else 0)
    if b.dim() == 1:
        return _product(a, b.unsqueeze(-1)).squeeze(-1)
    return _product(a, b)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    out = matmul(x, _turned(weight))
    return out if bias is None else out.add_(bias)


def addmm(c: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    out = matmul(a, b)
    if alpha != 1:
        out.mul_(constant(alpha))
    return out.add_(c if beta == 1 else c * constant(beta))


def _turned(weight: Tensor) -> Tensor:
    """A transpose, which needs no more rounding than the weight; of a small parameter, a copy."""
    grid = grid_of(weight)
    if grid is not None and type(weight) is nn.Parameter and weight.numel() <= QUICK // LEAST:
        copies = vars(weight)
        if "_turned" not in copies:
            copies["_turned"] = weight.mT.contiguous()
        turned = copies["_turned"]
    else:
        turned = weight.mT
    mark(turned, grid)
    return turned


def _numbers(values: int | Sequence[int], count: int) -> list[int]:
    each = [values] if isinstance(values, int) else list(values)
    return each * count if len(each) == 1 else each


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """A convolution as one matrix product; each example is rounded on its own."""
    kernel = weight.shape[2:]
    if groups != 1:
        parts = zip(x.chunk(groups, -1 - len(kernel)), weight.chunk(groups), strict=True)
        each = [convolution(*p, None, stride, padding, dilation) for p in parts]
        return _with_bias(torch.cat(each, -1 - len(kernel)), bias, len(kernel))
    if x.dim() == len(kernel) + 1:
        return convolution(x[None], weight, bias, stride, padding, dilation)[0]
    every, apart, border = (_numbers(n, len(kernel)) for n in (stride, dilation, padding))
    x, axes = x.movedim(1, -1), tuple(range(1, x.dim()))
    if any(border):
        x = F.pad(x, [0, 0, *(n for n in reversed(border) for _ in range(2))])
    columns = operand(weight, axes).movedim(1, -1).flatten(1).T.contiguous()
    sizes = [(n - 1) * gap + 1 for n, gap in zip(kernel, apart, strict=True)]
    places = [
        (n - size) // step + 1 for n, size, step in zip(x.shape[1:-1], sizes, every, strict=True)
    ]
    out = x.new_empty(len(x), *places, len(weight))
    few = max(1, 8 * CACHED // max(1, math.prod(places) * len(columns)))
    for some, result in zip(x.split(few), out.split(few), strict=True):
        some = rounded(some, axes, BITS)
        for axis, (size, step, gap) in enumerate(zip(sizes, every, apart, strict=True), 1):
            some = some.unfold(axis, size, step)[..., ::gap]
        # (few, *places, inputs, *kernel), of which the inputs go last, as they are in memory.
        windows = some.movedim(1 + len(kernel), -1).reshape(*some.shape[: len(axes)], len(columns))
        _exact(windows, columns, result)
    return _with_bias(out.movedim(-1, 1), bias, len(kernel))


def transposed(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """A transposed convolution, as a convolution over inputs with zeros between them."""
    axes = tuple(range(2, weight.dim()))
    if groups != 1 or x.dim() != weight.dim() or any(_numbers(output_padding, len(axes))):
        raise refusal("a transposed convolution of groups or with output_padding")
    every, apart, border = (_numbers(n, len(axes)) for n in (stride, dilation, padding))
    sizes = [(n - 1) * step + 1 for n, step in zip(x.shape[2:], every, strict=True)]
    spread = x.new_zeros(*x.shape[:2], *sizes)
    spread[(..., *(slice(None, None, step) for step in every))] = x
    around = [
        (size - 1) * gap - edge
        for size, gap, edge in zip(weight.shape[2:], apart, border, strict=True)
    ]
    turned = weight.flip(axes).transpose(0, 1)
    mark(turned, grid_of(weight))
    return convolution(spread, turned, bias, 1, around, apart)


def _with_bias(out: Tensor, bias: Tensor | None, spatial: int) -> Tensor:
    return out if bias is None else out.add_(bias.view(-1, *(1,) * spatial))


def embedding_bag(
    weight: Tensor,
    indices: Tensor,
    offsets: Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    if mode != 0:
        raise refusal("embedding_bag other than a sum")
    weight = operand(weight, tuple(range(weight.dim())))
    if per_sample_weights is not None:  # those of a bag are a row of a product
        ends = torch.arange(len(indices), device=indices.device)
        bag = torch.bucketize(ends, offsets, right=True) - 1
        sizes = per_sample_weights.abs().unsqueeze(1)
        largest = torch.embedding_bag(sizes, ends, offsets, False, 2)[0].squeeze(1)
        magic = rounder(largest, BITS)[bag]
        per_sample_weights = per_sample_weights.add(magic).sub_(magic)
    return torch.embedding_bag(
        weight,
        indices,
        offsets,
        False,
        0,
        False,
        per_sample_weights,
        include_last_offset,
        padding_idx,
    )
