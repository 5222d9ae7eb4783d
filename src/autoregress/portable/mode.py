"""The mode of torch in which every operation is one whose results are the same on every machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from autoregress.grids import Grid, forget, grid_of, mark
from autoregress.portable import elementary, functions, products
from autoregress.portable.rounding import constant, fresh, operand, refusal

NARROW = frozenset((torch.float32, torch.float16, torch.bfloat16))

Action = Callable[[tuple[Any, ...], dict[str, Any]], Any]


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
    **dict.fromkeys(("matmul", "mm", "bmm", "mv"), products.matmul),
    **dict.fromkeys(("addmm", "baddbmm", "addmv"), products.addmm),
    **dict.fromkeys(("softmax", "_softmax", "_safe_softmax"), functions.softmax),
    **dict.fromkeys(("log_softmax", "_log_softmax"), functions.log_softmax),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), products.convolution),
    **dict.fromkeys(
        ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), products.transposed
    ),
    **dict.fromkeys(("div", "divide", "true_divide"), functions.divided),
    **dict.fromkeys(("sub", "subtract"), functions.subtracted),
    "add": functions.added,
    "addcdiv": lambda c, a, b, *, value=1: functions.added(c, functions.divided(a, b), alpha=value),
    "addcmul": lambda c, a, b, *, value=1: functions.added(c, a * b, alpha=value),
    "arange": functions.arange,
    "asinh": elementary.asinh,
    "binary_cross_entropy_with_logits": functions.cross_entropy,
    "cumsum": functions.cumsum,
    "elu": functions.elu,
    "embedding_bag": products.embedding_bag,
    "erf": elementary.erf,
    "exp": elementary.exp,
    "expm1": elementary.expm1,
    "gelu": functions.gelu,
    "layer_norm": functions.layer_norm,
    "leaky_relu": lambda x, slope=0.01: x.where(x > 0, x * constant(slope)),
    "lift_fresh": fresh,
    "linear": products.linear,
    "log": elementary.log,
    "log1p": elementary.log1p,
    "log_sigmoid": elementary.log_sigmoid,
    "logsumexp": functions.logsumexp,
    "mean": functions.mean,
    "pow": functions.power_of,
    "reciprocal": elementary.one_over,
    "rsqrt": lambda x: elementary.one_over(elementary.sqrt(x)),
    "rsub": lambda x, y, *, alpha=1: torch.sub(y, x if alpha == 1 else x * constant(alpha)),
    "scaled_dot_product_attention": products.attention,
    "sigmoid": elementary.sigmoid,
    "silu": lambda x: x * elementary.sigmoid(x),
    "softplus": functions.softplus,
    "square": lambda x: x * x,
    "sqrt": elementary.sqrt,
    "std": lambda *args, **kwargs: elementary.sqrt(functions.var(*args, **kwargs)),
    "sum": functions.summed,
    "tanh": elementary.tanh,
    "var": functions.var,
}

# The same, where the first argument is overwritten.
IN_PLACE: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("addmm", "baddbmm"), lambda c, a, b: c.add_(products.matmul(a, b))),
    "add": lambda x, y: x.add_(y),
    "sub": lambda x, y: x.sub_(y),
}


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
        raise refusal(base)

    return run


def _constants(args: tuple[Any, ...]) -> tuple[Any, ...]:
    for value in args:
        if type(value) is float:
            return tuple(constant(v) if type(v) is float else v for v in args)
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
            return func(args[0], operand(args[1], -1))
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
