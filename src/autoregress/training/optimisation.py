"""How gradients become weights: the optimiser, its learning rate, and the weights' average."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
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
# Those that update in one pass over the weights instead of one for each operation: on a CPU that
# is ten times as fast.
FUSED = ("adamw", "adam", "sgd")


def make_optimiser(parameters: Iterable[nn.Parameter], options: Training) -> torch.optim.Optimizer:
    """The optimiser of these options, with torch's defaults for what they leave open."""
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


def lr_factor(schedule: Schedule, step: int, total: int, warmup: int = 0) -> float:
    """What the learning rate of update ``step`` of ``total``, from 0, is multiplied by.

    It rises linearly over the first ``warmup`` updates; from there it stays at 1, or falls in a
    straight line or half a cosine so as to be 0 at ``total``.
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


def make_average(model: nn.Module, decay: float) -> AveragedModel | None:
    """The exponential moving average of a model's weights, or None for a decay of 0.

    After n updates the decay is at most (1 + n) / (10 + n), so that a young average is of the
    weights of late and not of those that training began with.
    """
    if not decay:
        return None

    def average(averaged: Any, current: Any, count: Tensor | int) -> None:
        n = int(count)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(averaged, current, count)

    return AveragedModel(model, multi_avg_fn=average)
