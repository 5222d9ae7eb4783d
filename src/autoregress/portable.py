"""Arithmetic whose results are the same bits on every machine.

Machines differ in the order in which they take sums, in fused multiply-adds, and in their exp and
log. They agree in the sum, difference, product, quotient and square root of two float64 numbers,
and in sums of whole numbers below 2⁵³, in any order (IEEE 754). So here the operands of a matrix
product or a convolution are rounded to whole multiples of a power of two, few enough bits that no
sum passes 2⁵³; other sums are treated alike; and exp and log are polynomials, evaluated one
operation at a time. All else a network does moves, compares or chooses numbers. Integer arithmetic
serves the same end in Ballé et al., Integer Networks for Data Compression (ICLR 2019).

:class:`Arithmetic` does this below all networks, at the level of torch's operations, and refuses an
operation for which it has no such form. docs/format.md defines every step.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from itertools import repeat
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from autoregress import elementary
from autoregress.conditionals import NO_PROBABILITIES
from autoregress.elementary import CACHED, WHOLE
from autoregress.grids import Grid, forget, grid_of, mark
from autoregress.model import AutoregressiveModel

# Bits of an operand of a product, and the largest number of products in one sum: 2 · 20 + 13 = 53.
BITS, PIECE = 20, 2**13
# OpenBLAS, from which NumPy's products come, is up to a fifth quicker with at most QUICK products
# of contiguous operands; LEAST rows at a time are worth a call.
QUICK, LEAST = 10**6, 24
# The sum of all probabilities of a symbol, as whole numbers.
TOTAL = 2**24
# Significant bits that are kept of a constant, as Python's own log may differ in the last one.
CONSTANT = 32
EXPONENT = 0x7FF << 52  # the exponent's bits in a float64

SHORT = 12  # an axis that is short for a sum

NARROW = frozenset((torch.float32, torch.float16, torch.bfloat16))

Action = Callable[[tuple[Any, ...], dict[str, Any]], Any]


# Models


def prepared(model: AutoregressiveModel) -> AutoregressiveModel:
    """A copy of a model for :func:`arithmetic`: in float64, its weights rounded to 20 bits.

    A copy made by this function is returned as it is. Where a device has no float64, the copy is on
    the CPU.

    Raises:
        ValueError: the model keeps numbers apart from its weights, or a weight is not finite.
    """
    if grid_of(next(model.parameters())) is not None:
        return model
    model.require_finite()
    for name, module in model.named_modules():
        for own in module._non_persistent_buffers_set:
            buffer = module._buffers[own]
            if buffer is not None and buffer.is_floating_point():
                raise ValueError(
                    f"the model computes {f'{name}.{own}'.lstrip('.')} when it is made, which is "
                    "not portable; save it with the weights (a persistent buffer)"
                )
    with torch.inference_mode():
        made = copy.deepcopy(model).requires_grad_(False).eval()
        with Arithmetic():  # as a family may derive numbers from its weights
            made.to("cpu" if model.device.type == "mps" else model.device, torch.float64)
        for parameter in made.parameters():
            if parameter.numel():
                parameter.copy_(_rounded(parameter, tuple(range(parameter.dim())), BITS))
            mark(parameter, Grid())
    return made


@contextmanager
def arithmetic() -> Iterator[None]:
    """A context in which all operations of torch are those of :class:`Arithmetic`.

    They run in one thread, as their operands are small: waiting for others took more than these
    saved, and three times as long even on an idle machine. Processes use further cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with (
            _libraries().limit(limits=1),
            torch.inference_mode(),
            np.errstate(all="ignore"),
            Arithmetic(),
        ):
            yield
    finally:
        torch.set_num_threads(threads)


@cache
def _libraries() -> ThreadpoolController:
    """The libraries that NumPy's matrix products come from."""
    return ThreadpoolController().select(user_api="blas")


def frequencies(probabilities: Tensor) -> NDArray[np.float64]:
    """Probabilities (…, K) as whole numbers of at least 1 that sum to 2²⁴, each less 1.

    Raises:
        ValueError: these are no distributions.
    """
    with torch._C._DisableTorchDispatch():  # these few steps are exact as they are
        given = probabilities.double().contiguous().cpu().numpy()
    # A little less than all there is, as the probabilities may add up to a little more than 1; the
    # first level is given the rest.
    room = float(TOTAL - given.shape[-1])
    whole = np.floor(given * (room - 16))
    np.maximum(whole, 0, out=whole)
    rest = room - whole.sum(-1)
    if not ((rest >= 0) & (rest <= room)).all():
        raise ValueError(NO_PROBABILITIES)
    whole[..., 0] += rest
    return whole


# Rounding


def _rounded(x: Tensor, dims: int | tuple[int, ...], bits: int) -> Tensor:
    """x rounded to ``bits`` bits below the power of two above its largest number along ``dims``."""
    magic = _magic(x.abs().amax(dims, keepdim=True), bits)
    return x.add(magic).sub_(magic)


def _magic(largest: Tensor, bits: int) -> Tensor:
    """The numbers whose last bit is worth as much as the last to be kept; overwrites ``largest``.

    Adding and subtracting such a number rounds what is at most ``largest``.
    """
    # NumPy takes half the time of torch, as these are few.
    whole: Any = largest.numpy().view(np.int64) if largest.is_cpu else largest.view(torch.int64)
    whole &= EXPONENT
    whole += (53 - bits << 52) + (1 << 51)
    return largest


def _operand(x: Tensor, dims: int | tuple[int, ...]) -> Tensor:
    return x if grid_of(x) is not None else _rounded(x, dims, BITS)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product of a (…, M, K) and b (…, K, N)."""
    count = a.shape[-1]
    if count == 0:
        return a @ b
    if count == 1:
        return a * b
    if b.dim() > 2:
        return _products(a, b)
    b = _operand(b, -2)
    if a.numel() <= 2 * CACHED or grid_of(a) is not None or not a.is_cpu:
        return _exact(_operand(a, -1), b)
    rows = a.reshape(-1, count)
    out = a.new_empty(len(rows), b.shape[1])
    few = max(1, CACHED // count)
    for own, place in zip(rows.split(few), out.split(few), strict=True):
        _exact(_rounded(own, -1, BITS), b, place)
    return out.view(*a.shape[:-1], -1)


def _products(a: Tensor, b: Tensor) -> Tensor:
    """The same of many matrices b, of which caches hold a few from their rounding on."""
    small = b.numel() <= 2 * CACHED or grid_of(b) is not None
    if small or a.shape[:-2] != b.shape[:-2] or not b.is_cpu:
        return _exact(_operand(a, -1), _operand(b, -2))
    out = a.new_empty(*a.shape[:-1], b.shape[-1])
    few = max(1, CACHED * len(b) // b.numel())
    a = _operand(a, -1)
    for own, other, place in zip(a.split(few), b.split(few), out.split(few), strict=True):
        _exact(own, _rounded(other, -2, BITS), place)
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


# Functions


def _axes(x: Tensor, dim: Any) -> tuple[int, ...]:
    """Axes to sum over, of which none means all."""
    if dim is None or (isinstance(dim, Sequence) and not dim):
        return tuple(range(x.dim()))
    return tuple(dim) if isinstance(dim, Sequence) else (dim,)


def _summands(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Numbers rounded such that their sums along these axes are exact, in any order."""
    count = math.prod(x.shape[d] for d in dims)
    return x if count <= 1 else _rounded(x, dims, _kept(count))


def _kept(count: int) -> int:
    """The number of bits to keep of each summand, so that the sum of ``count`` of them is exact."""
    return 52 - (count - 1).bit_length()


def _sum(x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
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


def _mean(x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    dims = _axes(x, dim)
    return _divided(_sum(x, dims, keepdim), math.prod(x.shape[d] for d in dims))


def _var(
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
    apart = x - _mean(x, dims, True)
    return _divided(_sum(apart * apart, dims, keepdim), count - less)


def _cumsum(x: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    return _summands(x, (dim,)).cumsum(dim)


def _shares(p: Tensor, dim: int) -> Tensor:
    """The sum of numbers from 0 to 1, the largest of which is 1."""
    magic = WHOLE * 2.0 ** ((p.shape[dim] - 1).bit_length() - 51)
    return p.add(magic).sub_(magic).sum(dim, keepdim=True)


def _softmax(x: Tensor, dim: int, *_: Any, **__: Any) -> Tensor:
    p = elementary.exp(x - x.amax(dim, keepdim=True))
    return p.div_(_shares(p, dim))


def _log_softmax(x: Tensor, dim: int, *_: Any, **__: Any) -> Tensor:
    apart = x - x.amax(dim, keepdim=True)
    return apart.sub_(elementary.log(_shares(elementary.exp(apart), dim)))


def _logsumexp(x: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    dims = _axes(x, dim)
    largest = x.amax(dims, keepdim=True)
    largest = largest.masked_fill(largest.isinf(), 0)
    out = elementary.log(_sum(elementary.exp(x - largest), dims, True)) + largest
    return out if keepdim else out.squeeze(dims)


def _layer_norm(
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
    torch.sub(x, _mean(x, 1, True), out=out)
    squares = out * out
    count = x.shape[1]
    if count > 1:  # they have no signs, which _mean would look for
        magic = _magic(squares.amax(1, keepdim=True), _kept(count))
        squares.add_(magic).sub_(magic)
    variance = _divided(squares.sum(1, keepdim=True), count)
    out.div_(elementary.sqrt(variance.add_(_constant(eps))))


def _attention(
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
        raise _refusal("scaled_dot_product_attention with dropout, is_causal or enable_gqa")
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
    scores = _product(q, _turned(k)).mul_(_constant(scale))
    if mask is not None:
        boolean = mask.dtype == torch.bool
        scores = scores.masked_fill(~mask, -math.inf) if boolean else scores + mask
    return _product(_softmax(scores, -1), v)


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    if a.dim() == 1:
        return _matmul(a.unsqueeze(0), b).squeeze(-2 if b.dim() > 1 else 0)
    if b.dim() == 1:
        return _product(a, b.unsqueeze(-1)).squeeze(-1)
    return _product(a, b)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    out = _matmul(x, _turned(weight))
    return out if bias is None else out.add_(bias)


def _addmm(c: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    out = _matmul(a, b)
    if alpha != 1:
        out.mul_(_constant(alpha))
    return out.add_(c if beta == 1 else c * _constant(beta))


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


def _convolution(
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
        each = [_convolution(*p, None, stride, padding, dilation) for p in parts]
        return _with_bias(torch.cat(each, -1 - len(kernel)), bias, len(kernel))
    if x.dim() == len(kernel) + 1:
        return _convolution(x[None], weight, bias, stride, padding, dilation)[0]
    every, apart, border = (_numbers(n, len(kernel)) for n in (stride, dilation, padding))
    x, axes = x.movedim(1, -1), tuple(range(1, x.dim()))
    if any(border):
        x = F.pad(x, [0, 0, *(n for n in reversed(border) for _ in range(2))])
    columns = _operand(weight, axes).movedim(1, -1).flatten(1).T.contiguous()
    sizes = [(n - 1) * gap + 1 for n, gap in zip(kernel, apart, strict=True)]
    places = [
        (n - size) // step + 1 for n, size, step in zip(x.shape[1:-1], sizes, every, strict=True)
    ]
    out = x.new_empty(len(x), *places, len(weight))
    few = max(1, 8 * CACHED // max(1, math.prod(places) * len(columns)))
    for some, result in zip(x.split(few), out.split(few), strict=True):
        some = _rounded(some, axes, BITS)
        for axis, (size, step, gap) in enumerate(zip(sizes, every, apart, strict=True), 1):
            some = some.unfold(axis, size, step)[..., ::gap]
        # (few, *places, inputs, *kernel), of which the inputs go last, as they are in memory.
        windows = some.movedim(1 + len(kernel), -1).reshape(*some.shape[: len(axes)], len(columns))
        _exact(windows, columns, result)
    return _with_bias(out.movedim(-1, 1), bias, len(kernel))


def _transposed(
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
        raise _refusal("a transposed convolution of groups or with output_padding")
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
    return _convolution(spread, turned, bias, 1, around, apart)


def _with_bias(out: Tensor, bias: Tensor | None, spatial: int) -> Tensor:
    return out if bias is None else out.add_(bias.view(-1, *(1,) * spatial))


def _embedding_bag(
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
        raise _refusal("embedding_bag other than a sum")
    weight = _operand(weight, tuple(range(weight.dim())))
    if per_sample_weights is not None:  # those of a bag are a row of a product
        ends = torch.arange(len(indices), device=indices.device)
        bag = torch.bucketize(ends, offsets, right=True) - 1
        sizes = per_sample_weights.abs().unsqueeze(1)
        largest = torch.embedding_bag(sizes, ends, offsets, False, 2)[0].squeeze(1)
        magic = _magic(largest, BITS)[bag]
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


def _divided(x: Any, y: Any, *, rounding_mode: str | None = None) -> Tensor:
    if rounding_mode is not None:
        if any(
            (isinstance(n, Tensor) and n.is_floating_point()) or type(n) is float for n in (x, y)
        ):
            raise _refusal("div with a rounding_mode, of floating-point numbers")
        return torch.div(x, y, rounding_mode=rounding_mode)
    if isinstance(y, int | float):  # as a tensor, as some devices multiply by its inverse instead
        y = torch.full((), y, dtype=x.dtype if x.is_floating_point() else None, device=x.device)
    return torch.div(x, y)


def _power_of(x: Tensor, exponent: Any) -> Tensor:
    if exponent == 2:
        return x * x
    if exponent == 0.5:
        return elementary.sqrt(x)
    raise _refusal(f"pow with exponent {exponent}")


def _added(x: Any, y: Any, *, alpha: float = 1) -> Tensor:
    return torch.add(x, y if alpha == 1 else y * _constant(alpha))


def _subtracted(x: Any, y: Any, *, alpha: float = 1) -> Tensor:
    return torch.sub(x, y if alpha == 1 else y * _constant(alpha))


def _cross_entropy(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: int = 1,
) -> Tensor:
    if weight is not None or pos_weight is not None or reduction != 0:
        raise _refusal("binary_cross_entropy_with_logits with weights or a reduction")
    return (x * (1.0 - target)).sub_(elementary.log_sigmoid(x))


def _softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    if beta != 1:
        raise _refusal("softplus with beta other than 1")
    return -elementary.log_sigmoid(-x)


def _gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    if approximate == "tanh":
        inner = x * (x * x * 0.044715 + 1.0) * 0.7978845608028654
        return x * (elementary.tanh(inner) + 1.0) * 0.5
    return x * (elementary.erf(x * 0.7071067811865476) + 1.0) * 0.5


def _elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    if scale != 1 or input_scale != 1:
        raise _refusal("elu with scales")
    return x.where(x > 0, elementary.expm1(x) * _constant(alpha))


def _arange(*args: Any, **kwargs: Any) -> Tensor:
    if any(isinstance(n, float) and not n.is_integer() for n in args):
        raise _refusal("arange in fractions")
    return torch.arange(*args, **kwargs)


def _fresh(x: Tensor) -> Tensor:
    """Constants that Python computed, rounded to :data:`CONSTANT` significant bits."""
    if not x.is_floating_point() or x.dtype != torch.float64:
        return x
    high = x * (2.0 ** (53 - CONSTANT) + 1)
    return (high - (high - x)).where(x.isfinite(), x)


@lru_cache(4096)
def _constant(value: Any) -> Any:
    """A number of Python, rounded to :data:`CONSTANT` significant bits."""
    if type(value) is not float or not math.isfinite(value):
        return value
    fraction, exponent = math.frexp(value)
    return math.ldexp(round(math.ldexp(fraction, CONSTANT)), exponent - CONSTANT)


# Operations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Operations that move numbers, after which no other rounding is needed than before.
MOVES = _names(
    """
    alias as_strided chunk clone contiguous detach diagonal expand expand_as flatten flip index
    index_select lift_fresh_copy mT movedim narrow numpy_T permute reshape ravel select slice
    split split_with_sizes squeeze swapaxes t T transpose unbind unflatten unfold unsafe_chunk
    unsafe_split unsqueeze view view_as _unsafe_view moveaxis
    """
)
# Operations that give the same bits everywhere: they move, compare, choose or count, or compute
# each result by one operation of IEEE 754.
EXACT = MOVES | _names(
    """
    __and__ __or__ __xor__ __lshift__ __rshift__ __iand__ __ior__ __ixor__
    _has_compatible_shallow_copy_type _local_scalar_dense _to_copy _unique2 abs absolute all amax
    aminmax amin any argmax argmin argsort bincount bitwise_and bitwise_left_shift bitwise_not
    bitwise_or bitwise_right_shift bitwise_xor bucketize cat ceil clamp clamp_max clamp_min
    clip concat constant_pad_nd copy copysign count_nonzero cummax cummin diff diag empty empty_like
    empty_permuted empty_strided eq equal eye fill floor frexp full full_like gather ge greater
    greater_equal gt hardtanh heaviside hstack index_copy index_fill index_put int_repr is_nonzero
    isfinite isin isinf isnan isneginf isposinf item le less less_equal logical_and logical_not
    logical_or logical_xor lt masked_fill masked_scatter masked_select max maximum median meshgrid
    min minimum mul multiply ne neg negative new_empty new_empty_strided new_full new_ones new_zeros
    nonzero nonzero_numpy not_equal numel one_hot ones ones_like pad relu relu6 repeat
    repeat_interleave replication_pad1d replication_pad2d reflection_pad1d reflection_pad2d
    resolve_conj resolve_neg
    resize_ roll rot90 round scalar_tensor scatter searchsorted sgn sign signbit slice_scatter
    select_scatter sort stack take take_along_dim threshold tile to topk tril triu trunc fix
    unique_consecutive unique_dim unique_dim_consecutive vstack where zero zeros zeros_like
 embedding is_same_size type_as
    """
)
COMPARISONS = _names("eq ne lt le gt ge")
# Operations that count where they are given whole numbers.
INTEGER = _names("sum cumsum prod cumprod remainder fmod floor_divide square pow add sub rsub")

COMPUTED: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("matmul", "mm", "bmm", "mv"), _matmul),
    **dict.fromkeys(("addmm", "baddbmm", "addmv"), _addmm),
    **dict.fromkeys(("softmax", "_softmax", "_safe_softmax"), _softmax),
    **dict.fromkeys(("log_softmax", "_log_softmax"), _log_softmax),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _transposed),
    **dict.fromkeys(("div", "divide", "true_divide"), _divided),
    **dict.fromkeys(("sub", "subtract"), _subtracted),
    "add": _added,
    "addcdiv": lambda c, a, b, *, value=1: _added(c, _divided(a, b), alpha=value),
    "addcmul": lambda c, a, b, *, value=1: _added(c, a * b, alpha=value),
    "arange": _arange,
    "asinh": elementary.asinh,
    "binary_cross_entropy_with_logits": _cross_entropy,
    "cumsum": _cumsum,
    "elu": _elu,
    "embedding_bag": _embedding_bag,
    "erf": elementary.erf,
    "exp": elementary.exp,
    "expm1": elementary.expm1,
    "gelu": _gelu,
    "layer_norm": _layer_norm,
    "leaky_relu": lambda x, slope=0.01: x.where(x > 0, x * _constant(slope)),
    "lift_fresh": _fresh,
    "linear": _linear,
    "log": elementary.log,
    "log1p": elementary.log1p,
    "log_sigmoid": elementary.log_sigmoid,
    "logsumexp": _logsumexp,
    "mean": _mean,
    "pow": _power_of,
    "reciprocal": elementary.one_over,
    "rsqrt": lambda x: elementary.one_over(elementary.sqrt(x)),
    "rsub": lambda x, y, *, alpha=1: torch.sub(y, x if alpha == 1 else x * _constant(alpha)),
    "scaled_dot_product_attention": _attention,
    "sigmoid": elementary.sigmoid,
    "silu": lambda x: x * elementary.sigmoid(x),
    "softplus": _softplus,
    "square": lambda x: x * x,
    "sqrt": elementary.sqrt,
    "std": lambda *args, **kwargs: elementary.sqrt(_var(*args, **kwargs)),
    "sum": _sum,
    "tanh": elementary.tanh,
    "var": _var,
}

# The same, where the first argument is overwritten.
IN_PLACE: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("addmm", "baddbmm"), lambda c, a, b: c.add_(_matmul(a, b))),
    "add": lambda x, y: x.add_(y),
    "sub": lambda x, y: x.sub_(y),
}


def _refusal(what: str) -> ValueError:
    return ValueError(
        f"the model computes {what}, which has no form that gives the same bits on every machine "
        "(autoregress.portable); build its conditionals from other operations of torch"
    )


class Arithmetic(TorchDispatchMode):
    """A mode of torch in which every operation gives the same bits everywhere.

    It is entered in inference mode, in which torch asks it for whole operations, such as a softmax,
    rather than for their parts.
    """

    def __init__(self) -> None:
        super().__init__()
        self._actions: dict[Any, Action] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        action = self._actions.get(id(func))
        if action is None:
            action = self._actions[id(func)] = self._action(func)
        return action(args, kwargs or {})

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or each operation would pay for torch.compile, which is not used here

    def _action(self, func: Any) -> Action:
        """What is done for an operation."""
        name = func.overloadpacket.__name__
        base = name.removesuffix("_") if func._schema.is_mutable else name
        if base in MOVES:
            return _moved(func)
        if base in COMPARISONS:
            return _compared(func)
        if name == "mul_":
            return _masked(func)
        if name == "copy_":
            return _copied(func)
        if base in EXACT:
            return _unchanged(func)
        if base in ("add", "sub"):
            return _of_two(func, _computed(func, base))
        if base in COMPUTED:
            return _computed(func, base)
        if base in INTEGER:
            return _counted(func, _refused(base))
        if func.has_kernel_for_dispatch_key(torch.DispatchKey.CompositeImplicitAutograd):
            return self._parts(func)
        return _refused(base)

    def _parts(self, func: Any) -> Action:
        """An operation that torch defines by others, each of which is looked at."""

        def run(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            with self:
                return func.decompose(*args, **kwargs)

        return run


def _floating(x: Any) -> bool:
    return type(x) is float or (isinstance(x, Tensor) and x.is_floating_point())


def _refused(base: str) -> Action:
    def run(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise _refusal(base)

    return run


def _constants(args: tuple[Any, ...]) -> tuple[Any, ...]:
    for value in args:
        if type(value) is float:
            return tuple(_constant(v) if type(v) is float else v for v in args)
    return args


def _unchanged(func: Any) -> Action:
    mutable, func = func._schema.is_mutable, func._op

    def run(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if mutable:
            forget(kwargs["out"] if "out" in kwargs else args[0])
        return func(*_constants(args), **kwargs)

    return run


def _compared(func: Any) -> Action:
    unchanged = _unchanged(func)

    def run(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        out = unchanged(args, kwargs)
        if out.is_floating_point():
            mark(out, Grid(mask=True))
        return out

    return run


def _masked(func: Any) -> Action:
    """A multiplication in place, in which a mask moves nothing off the grid."""
    unchanged, func = _unchanged(func), func._op

    def run(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        mask = grid_of(args[1]) if isinstance(args[1], Tensor) else None
        return func(*args) if mask is not None and mask.mask else unchanged(args, kwargs)

    return run


def _copied(func: Any) -> Action:
    """A copy into a tensor, which may be of :func:`operands`."""
    unchanged, func = _unchanged(func), func._op

    def run(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        grid = grid_of(args[0])
        if grid is not None and grid.rows:
            return func(args[0], _operand(args[1], -1))
        return unchanged(args, kwargs)

    return run


def _moved(func: Any) -> Action:
    views = any(each.alias_info is not None for each in func._schema.returns)
    func = func._op

    def run(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        out = func(*args, **kwargs)
        grid = grid_of(args[0])
        if grid is not None:
            if not views:  # what is written to a copy does not concern the original
                grid = Grid(mask=grid.mask)
            for each in (out,) if isinstance(out, Tensor) else out:
                mark(each, grid)
        return out

    return run


def _of_two(func: Any, otherwise: Action) -> Action:
    """A sum or difference, without detours where it is of two tensors in float64."""
    mutable, func = func._schema.is_mutable, func._op

    def run(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x, y = args[0], args[1]
        if kwargs or type(y) is not Tensor or type(x) is not Tensor:
            return otherwise(args, kwargs)
        if x.dtype is not torch.float64 or y.dtype is not torch.float64:
            return otherwise(args, kwargs)
        if mutable:
            forget(x)
        return func(x, y)

    return run


def _counted(func: Any, otherwise: Action) -> Action:
    """An operation of whole numbers, and what is done for it with others."""

    def run(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for value in args:
            if _floating(value):
                return otherwise(args, kwargs)
        return func(*args, **kwargs)

    return run


def _computed(func: Any, base: str) -> Action:
    function, mutable = COMPUTED[base], func._schema.is_mutable
    in_place = IN_PLACE.get(base) if mutable else None

    def run(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        target = None
        if mutable:
            target = kwargs.pop("out") if "out" in kwargs else args[0]
            forget(target)
        narrow = [v.dtype for v in args if isinstance(v, Tensor) and v.dtype in NARROW]
        if not narrow:
            if in_place is not None and not kwargs and target is args[0]:
                return in_place(*_constants(args))
            out = function(*_constants(args), **kwargs)
            return out if target is None else target.copy_(out)
        wide = any(isinstance(v, Tensor) and v.dtype == torch.float64 for v in args)
        args = tuple(v.double() if isinstance(v, Tensor) and v.dtype in NARROW else v for v in args)
        out = function(*_constants(args), **kwargs)
        if not wide and isinstance(out, Tensor):
            out = out.to(max(narrow, key=lambda dtype: dtype.itemsize))
        return out if target is None else target.copy_(out)

    return _counted(func, run) if base in INTEGER else run
