"""How several processes train one model: each takes a part of every update, and all do the update.

A model knows nothing of it. Without sharding each process has all of the weights, and gradients
are averaged by torch's ``DistributedDataParallel``. With it each has a part of every weight, of
its gradient and of the optimiser's state, and the weights of a block are put together when the
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
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from autoregress.model import AutoregressiveModel
from autoregress.processes import Processes


class Objective(nn.Module):
    """A module whose forward is a model's objective, for that is where DDP looks."""

    def __init__(self, model: AutoregressiveModel) -> None:
        super().__init__()
        self.model = model
        # DDP looks for weights that have no part in an update, and complains if it finds none.
        self.unused = nn.Parameter(torch.zeros((), device=model.device))

    def forward(self, *args: Any, **options: Any) -> Tensor:
        return self.model.objective(*args, **options)


def parallel_objective(model: AutoregressiveModel, processes: Processes) -> nn.Module:
    """The objective of a model, such that the processes come to the mean of their gradients."""
    objective = Objective(model)
    if processes.size == 1 or isinstance(model, FSDPModule):
        return objective
    # A weight may have no part in an update. As it looks for those, DDP also keeps to its first
    # buckets, so that a resumed run adds up gradients in the same order as one that was not.
    with _quiet():
        return DistributedDataParallel(
            objective,
            init_sync=False,
            broadcast_buffers=False,
            find_unused_parameters=True,
            gradient_as_bucket_view=True,  # or they are there twice
        )


@contextmanager
def exchanging(objective: nn.Module, now: bool) -> Iterator[None]:
    """In which gradients are averaged over the processes as they arise, or only added up here."""
    model = getattr(objective, "model", None)
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(now)
    parallel = isinstance(objective, DistributedDataParallel)
    with _quiet(), nullcontext() if now or not parallel else objective.no_sync():
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's warnings that it would be wrong to change in place what a sharded block
    returns, which no model does, and that an option of DDP's will have another name.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "FSDP2-wrapped module")
        warnings.filterwarnings("ignore", "`broadcast_buffers`")
        yield


def start_alike(model: nn.Module, processes: Processes) -> None:
    """Gives the model of every process the weights and buffers of the first one's."""
    if processes.size > 1:
        state = model.state_dict()
        for tensor in state.values():
            dist.broadcast(tensor.detach(), src=0)
        # A model may keep more of its buffers than their tensors, which it reads when it is loaded.
        model.load_state_dict(state)


def shard(model: nn.Module, device: torch.device, processes: Processes) -> None:
    """Leaves each process, on the device, its part of every weight.

    Units that are put together are the model's larger parts that there are several of: those of
    each ``ModuleList`` that have modules of their own; and the model, with all the rest.
    """
    settings = {
        "mesh": init_device_mesh(device.type, (processes.size,)),
        # The model itself too: then between updates there is nothing but the parts.
        "reshard_after_forward": True,
    }
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    # From the inside out, as a unit is of what its own units leave over.
    for block in reversed([block for blocks in lists for block in blocks]):
        if list(block.children()) and list(block.parameters()):
            fully_shard(block, **settings)
    fully_shard(model, **settings)
    for method in ("objective", "log_prob"):
        register_fsdp_forward_method(model, method)


def whole(tensor: Tensor) -> Tensor:
    """A tensor that the processes may have in parts, put together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def own_part(tensor: Tensor) -> Tensor:
    """What this process has of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def clip_gradient(parameters: Iterable[nn.Parameter], most: float) -> float:
    """Scales the gradient down to a norm of ``most``, if it is longer; returns the norm it had."""
    parameters = list(parameters)
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = whole(nn.utils.get_total_norm(gradients))
    nn.utils.clip_grads_with_norm_(parameters, most, norm)
    return norm.item()
