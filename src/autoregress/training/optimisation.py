"""From gradients to weights: the optimiser, its learning rate, and the weights' average."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from autoregress.training.options import (
    WITH_DECAY,
    WITH_MOMENTUM,
    Optimiser,
    Schedule,
    Training,
)

RULES: dict[Optimiser, type[torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
    "adadelta": torch.optim.Adadelta,
    "adagrad": torch.optim.Adagrad,
    "sgd": torch.optim.SGD,
}
# Those with a single pass over the weights instead of one for each operation, which is ten times
# as fast on a CPU.
FUSED = ("adamw", "adam", "sgd")


def make_optimiser(parameters: Iterable[nn.Parameter], options: Training) -> torch.optim.Optimizer:
    """The optimiser of these options, with torch's defaults for those left open."""
    parameters, name = list(parameters), options.optimiser
    settings: dict[str, Any] = {"lr": options.lr, "weight_decay": options.weight_decay}
    if options.eps is not None:
        settings["eps"] = options.eps
    if name in WITH_MOMENTUM:
        settings["momentum"] = options.momentum
    if options.decay is not None:
        settings[WITH_DECAY[name]] = options.decay
    if name in FUSED and parameters[0].device.type in ("cpu", "cuda"):
        settings["fused"] = True
    return RULES[name](parameters, **settings)


def moments(options: Training) -> int:
    """Number of tensors of its own size that the optimiser keeps for a parameter."""
    parameter = nn.Parameter(torch.zeros(2, 2))
    optimiser = make_optimiser([parameter], options)
    parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    return sum(each.shape == parameter.shape for each in optimiser.state[parameter].values())


def lr_factor(schedule: Schedule, step: int, total: int, warmup: int = 0) -> float:
    """The factor of the learning rate at update ``step``, from 0, of ``total``.

    It rises linearly over the first ``warmup`` updates, and then stays at 1, or falls along a
    straight line or half a cosine to reach 0 at ``total``.
    """
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / (total - warmup)
    match schedule:
        case "constant":
            return 1.0
        case "linear":
            return 1 - done
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))


class Average(AveragedModel):
    """The exponential moving average of a model's weights, for ``update_parameters`` after updates.

    After n updates the decay is at most (1 + n) / (10 + n), so that a young average follows recent
    weights rather than the initial ones. Weights that had no part in an update leave the average
    unchanged, so that models which take turns are each averaged at their own pace.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model)
        self.decay = decay

    def update_parameters(self, model: nn.Module) -> None:
        n = int(self.n_averaged)
        pairs = zip(self.module.parameters(), model.parameters(), strict=True)
        taken = [(own.detach(), p.detach()) for own, p in pairs if p.grad is not None]
        if taken:
            decay = min(self.decay, (1 + n) / (10 + n)) if n else 0.0
            get_ema_multi_avg_fn(decay)([own for own, _ in taken], [p for _, p in taken], n)
        for own, buffer in zip(self.module.buffers(), model.buffers(), strict=True):
            own.copy_(buffer)
        self.n_averaged += 1


def make_average(model: nn.Module, decay: float) -> Average | None:
    """The average, or None for a decay of 0."""
    return Average(model, decay) if decay else None
