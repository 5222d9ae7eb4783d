"""The memory that is free, and refusals of what cannot fit before any of it is taken."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

MEMINFO = Path("/proc/meminfo")
# A container's limit and use, of the two versions of Linux's control groups.
LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def free_memory(device: torch.device | str = "cpu") -> float:
    """Bytes of memory that are free on a device; infinity where that is not known."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type != "cpu":
        return math.inf
    free = [math.inf]
    with suppress(OSError, ValueError, KeyError):
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
        free.append(1024 * int(dict(line.split(":") for line in lines)["MemAvailable"].split()[0]))
    for limit, used in LIMITS:
        with suppress(OSError, ValueError):
            free.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
    if len(free) == 1:
        with suppress(OSError, ValueError, AttributeError):  # all of it, where no more is known
            free.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(free)


def require_memory(what: str, size: float, device: torch.device | str = "cpu") -> None:
    """Raises ValueError if something of a size in bytes does not fit into the free memory."""
    free = free_memory(device)
    if size > free:
        raise ValueError(f"{what} would take {shown(size)}, but {shown(free)} of memory are free")


@contextmanager
def weights_within(
    size: float, each: float = 4, models: int = 1, advice: str = ""
) -> Iterator[None]:
    """A context in which a model is built whose weights fit into ``size`` bytes.

    A tensor beyond that is refused before it is allocated. Time, too, is thus bounded by memory.

    Args:
        size: memory in bytes.
        each: number of bytes that a weight takes in all, with its gradient and so on.
        models: number of models like this one, which must fit together.
        advice: what to do if it does not fit.

    Raises:
        ValueError: the model does not fit; the message says how many weights it has.
    """
    bounded = _Bounded(size, each, models, advice)
    try:
        with bounded:
            yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise bounded.refusal("needs more memory than the {free} that are free") from None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error is torch's or Python's for a lack of GPU or CPU memory."""
    words = ("out of memory", "DefaultCPUAllocator")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


class _Bounded(TorchDispatchMode):
    """A mode that adds up the new tensors, of which those of numbers are nearly all weights."""

    def __init__(self, size: float, each: float, models: int, advice: str) -> None:
        super().__init__()
        self._size, self._each, self._models, self._weights = size, each, models, 0
        self._advice = advice

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if "device" in kwargs and not any(isinstance(each, Tensor) for each in args):
            with suppress(NotImplementedError):  # few operations have no shape before they run
                numbers = func(*args, **{**kwargs, "device": "meta"}).numel()
                self._weights += self._models * numbers
            if self._each * self._weights > self._size:
                size = shown(self._each * self._weights)
                raise self.refusal(
                    f"has {rounded(self._weights)} weights or more, which take {size}, but "
                    "{free} of memory are free"
                )
        return func(*args, **kwargs)

    def refusal(self, why: str) -> ValueError:
        """The error for a model that does not fit."""
        advice = f"; {self._advice}" if self._advice else ""
        return ValueError(f"this model {why.format(free=shown(self._size))}{advice}")


def shown(size: float) -> str:
    """A size in bytes, such as 16 GB."""
    for unit, length in {"EB": 1e18, "PB": 1e15, "TB": 1e12, "GB": 1e9}.items():
        if size >= length:
            return f"{size / length:,.3g} {unit}"
    return f"{size / 1e6:.3g} MB"


def rounded(count: float) -> str:
    """A large number, such as 4·10^12."""
    power = math.floor(math.log10(count))
    return f"{count / 10**power:.2g}·10^{power}" if power >= 6 else f"{count:,}"
