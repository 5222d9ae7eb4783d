"""The processes of a run: who they are, and what they tell each other.

A call that several processes make together is told so by its ``processes`` argument; without it
every process is alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

Result = TypeVar("Result")

# What the first process may take for something that the others wait for.
LONG = timedelta(days=7)


@dataclass(frozen=True)
class Processes:
    """This process among those of its run; ``Processes()`` is one that is alone.

    Attributes:
        rank: number of this process, from 0.
        size: number of processes.
        store: what torchrun lets them share, while any of them is there.
        group: process group through which they talk; None for torch's default one.
    """

    rank: int = 0
    size: int = 1
    store: dist.Store | None = None  # type: ignore[attr-defined]  # torch has it without a type
    group: dist.ProcessGroup | None = None

    @property
    def first(self) -> bool:
        """Whether it is the one that speaks and writes for all."""
        return self.rank == 0

    def share(self, count: int) -> tuple[Tensor, int]:
        """This process's part of ``count`` examples: their places, and how many of them count.

        All processes are given equally many, so that all do the same work and meet in the same
        collectives. Where the parts do not divide, the last example is given again and again to
        the last processes, for which it does not count.
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
        """Those of all processes, which have the same shape: (size, *shape)."""
        if self.size == 1:
            return tensor.unsqueeze(0)
        tensors = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(tensors, tensor.contiguous(), group=self.group)
        return torch.stack(tensors)

    def from_all(self, own: Result) -> list[Result]:
        """What each process gives, a small object, in the order of their ranks."""
        if self.size == 1:
            return [own]
        every: list[Result] = [own] * self.size
        dist.all_gather_object(every, own, group=self.group)
        return every

    def from_first(self, make: Callable[[], Result]) -> Result:
        """What the first process makes, for all of them, once it is done.

        Raises:
            ValueError: it could not be made; everywhere.
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
        """What each process makes, the first one before the others: it may leave them a cache.

        It may take longer than torch waits in a collective. To be called once.
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
        """The same processes, who talk meanwhile in another thread of each."""
        if self.size == 1:
            return self
        return replace(self, group=dist.new_group(backend="gloo"))

    def leave(self) -> None:
        """Takes leave of the others, once there is nothing left to say to them."""
        if self.size > 1:
            dist.destroy_process_group()

    def may_speak(self) -> bool:
        """Whether this process is to say why the run ends: only the first to ask is."""
        if self.store is None:
            return os.environ.get("RANK", "0") == "0"
        try:
            return self.store.add("autoregress/ended", 1) == 1
        except RuntimeError:
            return True


def join() -> Processes:
    """The processes that torchrun started, which wait for each other here; else this one alone.

    ``ar.fit(model, train, processes=ar.join())`` is one run of all of them.
    """
    several = dist.is_initialized() or int(os.environ.get("WORLD_SIZE", "1")) > 1
    return _joined() if several else Processes()


@cache
def _joined() -> Processes:
    if dist.is_initialized():  # by the caller
        return Processes(dist.get_rank(), dist.get_world_size())
    backend = "gloo"
    if torch.cuda.is_available():
        # From here on "cuda" is a device of this process's own.
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
        backend = "cpu:gloo,cuda:nccl"
    store, rank, size = next(rendezvous("env://"))
    dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    return Processes(rank, size, store)


def is_lost(error: Exception) -> bool:
    """Whether it is torch's word for another process that does not answer any more."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)
