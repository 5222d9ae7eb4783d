"""Sums and functions of torch, the same bits on every machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from autoregress.portable import elementary
from autoregress.portable.elementary import CACHED, WHOLE
from autoregress.portable.rounding import constant, refusal, rounded, rounder

SHORT = 12  # an axis that is short for a sum


def _axes(x: Tensor, dim: Any) -> tuple[int, ...]:
    """Axes to sum over, of which none means all."""
    if dim is None or (isinstance(dim, Sequence) and not dim):
        return tuple(range(x.dim()))
    return tuple(dim) if isinstance(dim, Sequence) else (dim,)


def _summands(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Numbers rounded such that their sums along these axes are exact, in any order."""
    count = math.prod(x.shape[d] for d in dims)
    return x if count <= 1 else rounded(x, dims, _kept(count))


def _kept(count: int) -> int:
    """The number of bits to keep of each summand, so that the sum of ``count`` of them is exact."""
    return 52 - (count - 1).bit_length()


def summed(x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    dims = _axes(x, dim)
    if not dims:
        return x.clone()
    if x.dim() > 1 and dims in ((-1,), (x.dim() - 1,)) and x.shape[-1] <= SHORT:
        # Torch goes through such an axis number by number, but sums many numbers at a time along
        # the first one.
        x = x.movedim(-1, 0).contiguous()
        out = _summands(x, (0,)).sum(0)
        return out.unsqueeze(-1) if keepdim else out
    return _summands(x, dims).sum(dims, keepdim=keepdim)


def mean(x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    dims = _axes(x, dim)
    return divided(summed(x, dims, keepdim), math.prod(x.shape[d] for d in dims))


def var(
    x: Tensor,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    dims = _axes(x, dim)
    count = math.prod(x.shape[d] for d in dims)
    less = (1 if unbiased else 0) if correction is None else correction
    apart = x - mean(x, dims, True)
    return divided(summed(apart * apart, dims, keepdim), count - less)


def cumsum(x: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    return _summands(x, (dim,)).cumsum(dim)


def _shares(p: Tensor, dim: int) -> Tensor:
    """The sum of numbers from 0 to 1, the largest of which is 1."""
    magic = WHOLE * 2.0 ** ((p.shape[dim] - 1).bit_length() - 51)
    return p.add(magic).sub_(magic).sum(dim, keepdim=True)


def softmax(x: Tensor, dim: int, *_: Any, **__: Any) -> Tensor:
    p = elementary.exp(x - x.amax(dim, keepdim=True))
    return p.div_(_shares(p, dim))


def log_softmax(x: Tensor, dim: int, *_: Any, **__: Any) -> Tensor:
    apart = x - x.amax(dim, keepdim=True)
    return apart.sub_(elementary.log(_shares(elementary.exp(apart), dim)))


def logsumexp(x: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    dims = _axes(x, dim)
    largest = x.amax(dims, keepdim=True)
    largest = largest.masked_fill(largest.isinf(), 0)
    out = elementary.log(summed(elementary.exp(x - largest), dims, True)) + largest
    return out if keepdim else out.squeeze(dims)


def layer_norm(
    x: Tensor,
    shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
) -> Tensor:
    count = math.prod(shape)
    rows = x.reshape(-1, count)
    out = torch.empty_like(rows)
    few = max(1, CACHED // count if x.is_cpu else len(rows))
    for own, place in zip(rows.split(few), out.split(few), strict=True):
        _normalised(own, eps, place)
        if weight is not None:
            place.mul_(weight.view(-1))
        if bias is not None:
            place.add_(bias.view(-1))
    return out.view(x.shape)


def _normalised(x: Tensor, eps: float, out: Tensor) -> None:
    """Rows (N, K) of mean 0 and variance 1."""
    torch.sub(x, mean(x, 1, True), out=out)
    squares = out * out
    count = x.shape[1]
    if count > 1:  # they have no signs, which mean would look for
        magic = rounder(squares.amax(1, keepdim=True), _kept(count))
        squares.add_(magic).sub_(magic)
    variance = divided(squares.sum(1, keepdim=True), count)
    out.div_(elementary.sqrt(variance.add_(constant(eps))))


def divided(x: Any, y: Any, *, rounding_mode: str | None = None) -> Tensor:
    if rounding_mode is not None:
        if any(
            (isinstance(n, Tensor) and n.is_floating_point()) or type(n) is float for n in (x, y)
        ):
            raise refusal("div with a rounding_mode, of floating-point numbers")
        return torch.div(x, y, rounding_mode=rounding_mode)
    if isinstance(y, int | float):  # as a tensor, as some devices multiply by its inverse instead
        y = torch.full((), y, dtype=x.dtype if x.is_floating_point() else None, device=x.device)
    return torch.div(x, y)


def power_of(x: Tensor, exponent: Any) -> Tensor:
    if exponent == 2:
        return x * x
    if exponent == 0.5:
        return elementary.sqrt(x)
    raise refusal(f"pow with exponent {exponent}")


def added(x: Any, y: Any, *, alpha: float = 1) -> Tensor:
    return torch.add(x, y if alpha == 1 else y * constant(alpha))


def subtracted(x: Any, y: Any, *, alpha: float = 1) -> Tensor:
    return torch.sub(x, y if alpha == 1 else y * constant(alpha))


def cross_entropy(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: int = 1,
) -> Tensor:
    if weight is not None or pos_weight is not None or reduction != 0:
        raise refusal("binary_cross_entropy_with_logits with weights or a reduction")
    return (x * (1.0 - target)).sub_(elementary.log_sigmoid(x))


def softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    if beta != 1:
        raise refusal("softplus with beta other than 1")
    return -elementary.log_sigmoid(-x)


def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    if approximate == "tanh":
        inner = x * (x * x * 0.044715 + 1.0) * 0.7978845608028654
        return x * (elementary.tanh(inner) + 1.0) * 0.5
    return x * (elementary.erf(x * 0.7071067811865476) + 1.0) * 0.5


def elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    if scale != 1 or input_scale != 1:
        raise refusal("elu with scales")
    return x.where(x > 0, elementary.expm1(x) * constant(alpha))


def arange(*args: Any, **kwargs: Any) -> Tensor:
    if any(isinstance(n, float) and not n.is_integer() for n in args):
        raise refusal("arange in fractions")
    return torch.arange(*args, **kwargs)
