"""Estimates of the memory and time of training, without allocating the model.

The model is built, and one of its updates run, with tensors that have a shape but no content, while
operations are counted and memory is tracked.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from autoregress.memory import rounded
from autoregress.model import AutoregressiveModel, Update
from autoregress.networks.video_transformer import attention
from autoregress.training import Training
from autoregress.training.optimisation import moments
from autoregress.training.options import Precision

# Floating-point operations a second of an H100, with and without its matrix units.
PEAK: dict[Precision, float] = {"bfloat16": 989e12, "float32": 67e12}

# Largest number of symbols of a batch that is run; larger batches are extrapolated from such.
MOST_NUMBERS = 2**20

# Largest size of a tensor that has content, being of integers.
MOST_BYTES = 2**28

# Operations that torch's table of formulas lacks, each with one whose formula is the same.
ALSO = {torch.ops.aten.addmm_: torch.ops.aten.addmm}


@dataclass(frozen=True)
class Plan:
    """The cost of an update on each device. Memory is in bytes.

    Attributes:
        parameters: number of parameters of the model.
        devices: number of devices.
        batch: number of examples of an update.
        examples: number of these examples on each device.
        part: number of examples that a device processes at once.
        weights: memory of a device's weights.
        gradients: memory of their gradients, including accumulation.
        optimiser: memory of the optimiser's state.
        average: memory of the moving average of the weights.
        gathered: peak memory of sharded weights while they are gathered.
        activations: peak memory of an update beyond all of the above.
        flop: floating-point operations of a device in matrix products and convolutions, forward
            and backward, including recomputation by checkpointing.
        seconds: time that these operations take.

    Example:
        >>> plan = ar.plan(lambda: ar.MADE(784, hidden=(500,)), ar.Training(device="cpu"))
        >>> print(str(plan).splitlines()[1])
        an update    100 examples, 100 a device, 100 of them at a time
    """

    parameters: int
    devices: int
    batch: int
    examples: int
    part: int
    weights: int
    gradients: int
    optimiser: int
    average: int
    gathered: int
    activations: int
    flop: float
    seconds: float

    @property
    def memory(self) -> int:
        """Total memory in bytes."""
        return sum(getattr(self, name) for name in MEMORY)

    def __str__(self) -> str:
        unit, size = ("GiB", 2**30) if self.memory >= 2**30 else ("MiB", 2**20)
        share = f"{self.examples:,} a device, {self.part:,} of them at a time"
        if idle := self.devices - math.ceil(self.batch / self.examples):
            share += f"; {idle} devices are idle"
        lines = {
            "parameters": f"{self.parameters:,}",
            "an update": f"{self.batch:,} examples, {share}",
            **{
                name: f"{getattr(self, name) / size:8.2f} {unit}"
                for name in (*MEMORY, "memory")
                if getattr(self, name)
            },
            "operations": f"{self.flop:.2e} an update, on each device",
            "time": f"{self.seconds:.3g} s an update, at {self.flop / self.seconds:.2e} a second",
        }
        return "\n".join(f"{name:12} {value}" for name, value in lines.items())


MEMORY = ("weights", "gradients", "optimiser", "average", "gathered", "activations")


def plan(
    build: Callable[[], AutoregressiveModel],
    training: Training | None = None,
    *,
    devices: int = 1,
    peak: float | None = None,
    share: float = 0.4,
) -> Plan:
    """Estimates the memory and time that training a model takes on each of several devices.

    ``ar.plan(lambda: ar.VideoTransformer.large((16, 3, 64, 64)), training, devices=128)``

    Memory is that of tensors, without the memory of libraries and fragmentation. Time is that of
    matrix products and convolutions, without other arithmetic, and without the exchange of
    gradients and the reading of data, unless these overlap with computation.

    Args:
        build: function that builds the model, called here so that its tensors have no content.
        training: the options. Those that matter are batches, precision, optimiser, average,
            sharding and the device: except on "cpu", attention is one fused operation, which
            stores no attention weights.
        devices: number of devices, which take equal parts of each batch.
        peak: peak floating-point operations a second of a device; by default those of an H100,
            989e12 in bfloat16 and 67e12 in float32.
        share: fraction of that peak that is reached.

    Raises:
        ValueError: invalid numbers.

    Example:
        >>> training = ar.Training(device="cpu")
        >>> plan = ar.plan(lambda: ar.MADE(784, hidden=(500,)), training, devices=2)
        >>> plan.examples, plan.parameters * 4 == plan.weights
        (50, True)
    """
    training = training or Training()
    peak = PEAK[training.precision] if peak is None else peak
    if devices < 1:
        raise ValueError(f"devices must be at least 1, got {devices}")
    if not 0 < peak < math.inf:
        raise ValueError(f"peak must be above 0 operations a second, got {peak}")
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}")
    examples = math.ceil(training.batch_size / devices)
    part = math.ceil(examples / training.accumulate)

    mode = CountingMode()
    with torch.random.fork_rng(devices=[]), mode:
        model = build().train()
        parameters = list(model.parameters())
    sharded = training.sharding == "full" and devices > 1
    whole = sum(p.nbytes for p in parameters)
    weights = sum(_shard_bytes(p, devices) for p in parameters) if sharded else whole
    # Gradients of sharded weights, too, are whole until the last part is done.
    gradients = weights if part == examples else whole
    most = max(2, MOST_NUMBERS // model.dims)
    if part <= most:
        activations, flop = _update(mode, model, training, part)
    else:
        less, more = (_update(mode, model, training, n) for n in (most // 2, most))
        further = (part - most) / (most - most // 2)
        activations, flop = (b + further * (b - a) for a, b in zip(less, more, strict=True))
    flop = flop / part * examples
    return Plan(
        parameters=sum(p.numel() for p in parameters),
        devices=devices,
        batch=training.batch_size,
        examples=examples,
        part=part,
        weights=weights,
        gradients=gradients,
        optimiser=moments(training) * weights,
        average=weights if training.ema else 0,
        gathered=_gathered(model) if sharded else 0,
        activations=round(activations),
        flop=flop,
        seconds=flop / (peak * share),
    )


def _update(
    mode: CountingMode, model: AutoregressiveModel, training: Training, part: int
) -> tuple[float, float]:
    """The cost of ``part`` examples: bytes beside weights and gradients, and operations."""
    with mode, fused_attention() if training.device != "cpu" else nullcontext():
        x = torch.zeros(part, *model.event_shape, dtype=torch.uint8)
        context = torch.zeros(part, model.context) if model.context else None
        for p in model.parameters():
            p.grad = torch.empty_like(p)
        start, mode.peak, mode.flop = mode.bytes, mode.bytes, 0
        generator = torch.Generator().manual_seed(training.seed)
        with torch.autocast("cpu", torch.bfloat16, enabled=training.precision == "bfloat16"):
            loss = model.objective(x, context, Update(generator=generator)).sum()
        loss.backward()
    return mode.peak - start, mode.flop


def _shard_bytes(parameter: Tensor, devices: int) -> int:
    """Bytes of the largest shard of a parameter, whose rows are divided among devices."""
    rows = len(parameter)
    return math.ceil(rows / devices) * parameter.nbytes // rows


def _gathered(model: nn.Module) -> int:
    """Bytes of sharded weights that are gathered at a time.

    The units that are gathered are the elements of module lists. While one computes, the next is
    being gathered; weights outside all units are gathered throughout.
    """
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    units = [unit for units in lists for unit in units if any(unit.children())]
    innermost = [unit for unit in units if not set(unit.modules()) & set(units) - {unit}]
    sizes = sorted(sum(p.nbytes for p in unit.parameters()) for unit in innermost)
    return sum(p.nbytes for p in model.parameters()) - sum(sizes[:-2])


class CountingMode(TorchDispatchMode):
    """A mode with floating-point tensors without content, which counts operations and memory.

    Integers are real, as are numbers drawn with an explicit generator, because models read them.

    Attributes:
        flop: number of operations in matrix products and convolutions.
        bytes: memory of all tensors that exist.
        peak: largest value of ``bytes`` so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flop = self.bytes = self.peak = 0
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._storages: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.prim.device.default:
            return args[0].fake_device
        kwargs = kwargs or {}
        out = self._run(func, args, kwargs)
        packet = func.overloadpacket
        if formula := flop_registry.get(ALSO.get(packet, packet)):
            self.flop += formula(*args, **kwargs, out_val=out)
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._follow(tensor.untyped_storage())
        return out

    def _run(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        given = any(isinstance(each, Tensor) for each in tree_leaves((args, kwargs)))
        if not given and kwargs.get("generator") is None:
            with self._fake:
                out = func(*args, **kwargs)
            if isinstance(out, Tensor) and out.is_floating_point():
                return out
            if isinstance(out, Tensor) and out.nbytes > MOST_BYTES:
                raise ValueError(
                    f"a dimension or a layer of {rounded(out.numel())} is too large to plan"
                )
        return func(*args, **kwargs)

    def _follow(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._storages:
            return

        def forget(_: object) -> None:
            del self._storages[key]
            self.bytes -= size

        self._storages[key] = weakref.ref(storage, forget)
        self.bytes += size
        self.peak = max(self.peak, self.bytes)


@contextmanager
def fused_attention() -> Iterator[None]:
    """A context in which attention is the fused GPU operation for attention with a learned bias.

    A mode for torch's functions would not suffice, as it is inactive during the backward pass, in
    which checkpointing recomputes the attention.
    """
    plain = attention.attend

    def fused(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        bias = bias.expand(*q.shape[:-1], k.shape[-2])
        operation = torch.ops.aten._scaled_dot_product_efficient_attention
        return operation(q, k, v, bias, compute_log_sumexp=True)[0]

    attention.attend = fused
    try:
        yield
    finally:
        attention.attend = plain
