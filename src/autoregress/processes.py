"""The processes of a run, and the communication between them.

A call that several processes make together takes them as its ``processes`` argument; without it
each process works alone.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from itertools import islice
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

Part = TypeVar("Part")
Result = TypeVar("Result")

# The longest that the others wait for the first process.
LONG = timedelta(days=7)


@dataclass(frozen=True)
class Processes:
    """This process among those of its run; ``Processes()`` is a single process.

    Attributes:
        rank: number of this process, from 0.
        size: number of processes.
        store: torchrun's store, shared by the processes as long as any of them is running.
        group: process group through which they communicate; None for torch's default one.

    Example:
        >>> places, counted = ar.Processes(rank=1, size=2).share(5)
        >>> places.tolist(), counted
        ([3, 4, 4], 2)
    """

    rank: int = 0
    size: int = 1
    store: dist.Store | None = None  # type: ignore[attr-defined]  # torch has it without a type
    group: dist.ProcessGroup | None = None

    @property
    def first(self) -> bool:
        """Whether this process reports and writes for all."""
        return self.rank == 0

    def share(self, count: int) -> tuple[Tensor, int]:
        """This process's share of ``count`` examples: their places, and how many of them count.

        All shares have the same size, so that all processes do the same work and enter the same
        collectives. If ``count`` does not divide, the last shares are filled by repeating the last
        example, which does not count there.
        """
        each = -(-count // self.size)
        start = self.rank * each
        places = torch.arange(start, start + each).clamp(max=count - 1)
        return places, min(max(count - start, 0), each)

    def sums(self, *numbers: float, device: torch.device | str = "cpu") -> list[float]:
        """Each number summed over all processes: the same everywhere, to the last bit."""
        if self.size == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.float64, device=device)
        dist.all_reduce(total, group=self.group)
        return total.tolist()

    def gather(self, tensor: Tensor) -> Tensor:
        """The tensors of all processes, of the same shape each, as (size, *shape)."""
        if self.size == 1:
            return tensor.unsqueeze(0)
        tensors = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(tensors, tensor.contiguous(), group=self.group)
        return torch.stack(tensors)

    def from_all(self, own: Result) -> list[Result]:
        """The small objects that the processes give, in the order of their ranks."""
        if self.size == 1:
            return [own]
        every: list[Result] = [own] * self.size
        dist.all_gather_object(every, own, group=self.group)
        return every

    def in_turn(self, parts: Iterable[Part], work: Callable[[Part], Result]) -> Iterator[Result]:
        """The results of work on every part, in the order of the parts, in every process.

        The processes take the parts in turn, and each works on its own; the results of ``size``
        parts are held at once.

        Example:
            >>> list(ar.Processes().in_turn(["a", "b"], str.upper))
            ['A', 'B']
        """
        parts = iter(parts)
        while several := list(islice(parts, self.size)):
            own = [work(part) for part in several[self.rank : self.rank + 1]]
            for results in self.from_all(own):
                yield from results

    def from_first(self, make: Callable[[], Result]) -> Result:
        """The result of a call in the first process, sent to all of them.

        Raises:
            ValueError: the call raised it; raised in all processes.
        """
        if self.size == 1:
            return make()
        made: list[Result | ValueError | None] = [None]
        if self.first:
            try:
                made = [make()]
            except ValueError as error:
                made = [ValueError(str(error))]
        dist.broadcast_object_list(made, src=0, group=self.group)
        if isinstance(made[0], ValueError):
            raise made[0]
        return made[0]  # type: ignore[return-value]  # an error was raised

    def after_first(self, make: Callable[[], Result]) -> Result:
        """The result of a call in each process, first in the first one, which may fill a cache.

        The call may take longer than torch waits in a collective. Use this method once per run.
        """
        done = "autoregress/first"
        if self.store is not None and not self.first:
            self.store.wait([done], LONG)
        try:
            return make()
        finally:
            if self.store is not None and self.first:
                self.store.set(done, "")

    def aside(self) -> Processes:
        """The same processes with a group of their own, for another thread of each."""
        if self.size == 1:
            return self
        return replace(self, group=dist.new_group(backend="gloo"))

    def leave(self) -> None:
        """Ends the communication with the other processes."""
        if self.size > 1:
            gc.collect()  # what still talks to the others, such as DDP, ends before its group does
            dist.destroy_process_group()
            _joined.cache_clear()  # nor does its store outlive it, to be taken down at exit

    def may_speak(self) -> bool:
        """Whether this process is to report why the run ends: true for the first to ask."""
        if self.store is None:
            return os.environ.get("RANK", "0") == "0"
        try:
            return self.store.add("autoregress/ended", 1) == 1
        except RuntimeError:
            return True


def join() -> Processes:
    """The processes that torchrun started, which wait for each other here, or this one alone.

    ``ar.fit(model, train, processes=ar.join())`` trains one model in all of them.

    Example:
        >>> ar.join().size  # not started by torchrun
        1
    """
    several = dist.is_initialized() or int(os.environ.get("WORLD_SIZE", "1")) > 1
    return _joined() if several else Processes()


@cache
def _joined() -> Processes:
    if dist.is_initialized():  # by the caller
        return Processes(dist.get_rank(), dist.get_world_size())
    backend = "gloo"
    if torch.cuda.is_available():
        # From here on, "cuda" means this process's own device.
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
        backend = "cpu:gloo,cuda:nccl"
    store, rank, size = next(rendezvous("env://"))
    dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    return Processes(rank, size, store)


def is_lost(error: Exception) -> bool:
    """Whether it is torch's error for another process that no longer responds."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)
