"""Training one model in several processes: each takes a part of every update's examples.

Models need no code for it. Without sharding each process holds all weights, and gradients are
averaged by torch's ``DistributedDataParallel``. With sharding each holds a part of every weight,
of its gradient and of the optimiser's state, and the weights of a block are gathered when the
block is due (``fully_shard``, that is FSDP2).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from autoregress.model import AutoregressiveModel
from autoregress.processes import Processes


class Objective(nn.Module):
    """A module whose forward is a model's objective, as DDP requires.

    Attributes:
        sharded: whether each process holds a part of every weight.
    """

    def __init__(self, model: AutoregressiveModel, *, sharded: bool) -> None:
        super().__init__()
        self.model = model
        self.sharded = sharded
        # DDP looks for weights without a part in an update, and warns if it finds none.
        self.unused = nn.Parameter(torch.zeros((), device=model.device))

    def forward(self, *args: Any, **options: Any) -> Tensor:
        return self.model.objective(*args, **options)


# Computes the nats of each example of an update, and exchanges gradients if need be.
ParallelObjective = Objective | DistributedDataParallel


def parallel_objective(
    model: AutoregressiveModel, processes: Processes, *, sharded: bool
) -> ParallelObjective:
    """The objective of a model, whose gradients are averaged over the processes."""
    objective = Objective(model, sharded=sharded)
    if processes.size == 1 or sharded:
        return objective
    # A weight may have no part in an update. As it looks for such weights, DDP also keeps its
    # first buckets, so that a resumed run sums gradients in the same order as an uninterrupted one.
    with _quiet():
        return DistributedDataParallel(
            objective,
            init_sync=False,
            broadcast_buffers=False,
            find_unused_parameters=True,
            gradient_as_bucket_view=True,  # otherwise gradients are held twice
        )


@contextmanager
def exchanging(objective: ParallelObjective, now: bool) -> Iterator[None]:
    """A context in which gradients are averaged over the processes, or only accumulated here."""
    if isinstance(objective, DistributedDataParallel):
        here_only = nullcontext() if now else objective.no_sync()
    else:
        here_only = nullcontext()
        if objective.sharded:
            objective.model.set_requires_gradient_sync(now)  # type: ignore[operator]  # FSDP's
    with _quiet(), here_only:
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences two torch warnings: not to change the outputs of a sharded block in place, which no
    model does, and that an option of DDP will be renamed.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "FSDP2-wrapped module")
        warnings.filterwarnings("ignore", "`broadcast_buffers`")
        yield


def start_alike(model: nn.Module, processes: Processes) -> None:
    """Copies the first process's weights and buffers to the models of all others."""
    if processes.size > 1:
        state = model.state_dict()
        for tensor in state.values():
            dist.broadcast(tensor.detach(), src=0)
        # Loading also updates whatever a model derives from its buffers.
        model.load_state_dict(state)


def shard(model: nn.Module, device: torch.device, processes: Processes) -> None:
    """Leaves each process, on the device, its part of every weight.

    The units that are gathered together are the elements of each ``ModuleList`` that have modules
    of their own; and the model, with all remaining weights.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    settings = {
        "mesh": init_device_mesh(device.type, (processes.size,)),
        # The model itself too, so that only the parts remain between updates.
        "reshard_after_forward": True,
    }
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    # From the inside out, as a unit has the weights that its inner units leave over.
    for block in reversed([block for blocks in lists for block in blocks]):
        if list(block.children()) and list(block.parameters()):
            fully_shard(block, **settings)
    fully_shard(model, **settings)
    for method in ("objective", "log_prob"):
        register_fsdp_forward_method(model, method)


def is_shared(tensor: Tensor) -> bool:
    """Whether each process holds a part of it, a DTensor (whose module is slow to import)."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """The whole of a tensor of which each process may hold a part."""
    return tensor.full_tensor() if is_shared(tensor) else tensor  # type: ignore[attr-defined]  # DTensor's


def own_part(tensor: Tensor) -> Tensor:
    """This process's part of a tensor."""
    return tensor.to_local() if is_shared(tensor) else tensor  # type: ignore[attr-defined]  # DTensor's


def clip_gradient(parameters: Iterable[nn.Parameter], limit: float) -> float:
    """Scales the gradient down to a norm of at most ``limit``; returns its norm before that."""
    parameters = list(parameters)
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = whole(nn.utils.get_total_norm(gradients))
    nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return norm.item()
