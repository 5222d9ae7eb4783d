"""The settings of a training run."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

Optimiser = Literal["adamw", "adam", "rmsprop", "adadelta", "adagrad", "sgd"]
Schedule = Literal["constant", "cosine", "linear"]
Precision = Literal["float32", "bfloat16"]
Sharding = Literal["none", "full"]
Start = Literal["marginals", "random"]

# Optimisers with a setting that not all have, and torch's name for it where it differs.
WITH_MOMENTUM = ("rmsprop", "sgd")
WITH_DECAY = {"adadelta": "rho", "rmsprop": "alpha"}


@dataclass(frozen=True)
class Training:
    """How a model is trained.

    Args:
        max_epochs: Largest number of passes over the training examples.
        batch_size: Number of examples of an update, over all processes; the last batch of an epoch
            may be smaller.
        start: Output biases of a new model: log-frequencies of the training examples
            (marginals), or as the family initialises them (random).
        shift: Largest number of pixels by which the images or clips of an update are moved, at
            random, up or down and to either side, so that a few show more; what comes in repeats
            the edge. The last eighth of max-epochs sees them as they are. 0 for none.
        accumulate: Number of parts each process splits its share of an update into, to save
            memory (gradient accumulation).
        optimiser: Rule that turns gradients into updates.
        lr: Learning rate (for adadelta, 1 is usual).
        weight_decay: Weight decay: decoupled for adamw, an L2 penalty for the others.
        momentum: Momentum (sgd, rmsprop).
        decay: Decay of the mean of squared gradients (adadelta's rho, rmsprop's alpha); by default
            torch's.
        eps: Term added to the denominator for stability (all but sgd); by default torch's.
        schedule: Course of the learning rate over max-epochs: constant, or falling to 0 along a
            straight line or half a cosine.
        warmup: Number of updates over which the learning rate first rises linearly.
        clip: Largest norm of the gradient; a longer one is scaled down to it.
        ema: Decay of an exponential moving average of the weights, which is then what is measured
            and kept; 0 for none.
        precision: Precision of an update's matrix products: float32 (that of the weights) or
            bfloat16.
        patience: Number of epochs without better validation nats after which training stops; 0 to
            never stop early.
        checkpoint_minutes: Time between checkpoints within an epoch; one follows each epoch in any
            case.
        async_save: Write checkpoints in the background, from a copy in the CPU's memory.
        seed: Seed of all that is random in training: order of examples, dropout, fresh orderings.
        device: Device to compute on, such as cpu or cuda:1; auto is the device of the model if
            that is an accelerator, else the accelerator if there is one, else the CPU.
        sharding: Division of weights, gradients and optimiser state over several processes: with
            none each holds all of them, with full each holds a part.

    Raises:
        ValueError: invalid settings.

    Example:
        >>> ar.Training(optimiser="sgd", momentum=0.9, schedule="cosine").lr
        0.001
    """

    max_epochs: int = 100
    batch_size: int = 100
    start: Start = "marginals"
    shift: int = 0
    accumulate: int = 1
    optimiser: Optimiser = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.0
    decay: float | None = None
    eps: float | None = None
    schedule: Schedule = "constant"
    warmup: int = 0
    clip: float | None = None
    ema: float = 0.0
    precision: Precision = "float32"
    patience: int = 30
    checkpoint_minutes: float = 10.0
    async_save: bool = False
    seed: int = 0
    device: str = "auto"
    sharding: Sharding = "none"

    def __post_init__(self) -> None:
        """Raises ValueError for invalid settings."""
        _require(self.max_epochs >= 1, "max_epochs must be at least 1", self.max_epochs)
        _require(self.batch_size >= 1, "batch_size must be at least 1", self.batch_size)
        _require(self.shift >= 0, "shift must be at least 0 pixels", self.shift)
        _require(self.accumulate >= 1, "accumulate must be at least 1", self.accumulate)
        _require_one_of("start", self.start, get_args(Start))
        _require_one_of("optimiser", self.optimiser, get_args(Optimiser))
        _require(0 < self.lr < math.inf, "lr must be above 0", self.lr)
        decays = 0 <= self.weight_decay < math.inf
        _require(decays, "weight_decay must be at least 0", self.weight_decay)
        _require(0 <= self.momentum < 1, "momentum must be from 0 to below 1", self.momentum)
        if self.momentum and self.optimiser not in WITH_MOMENTUM:
            raise ValueError(
                f"momentum applies to {' and '.join(WITH_MOMENTUM)}, not {self.optimiser}"
            )
        if self.decay is not None:
            _require(0 < self.decay < 1, "decay must be between 0 and 1", self.decay)
            if self.optimiser not in WITH_DECAY:
                raise ValueError(
                    f"decay applies to {' and '.join(WITH_DECAY)}, not {self.optimiser}"
                )
        if self.eps is not None:
            _require(0 < self.eps < math.inf, "eps must be above 0", self.eps)
            if self.optimiser == "sgd":
                raise ValueError("eps applies to all optimisers but sgd")
        _require_one_of("schedule", self.schedule, get_args(Schedule))
        _require(self.warmup >= 0, "warmup must be at least 0 updates", self.warmup)
        if self.clip is not None:
            _require(0 < self.clip < math.inf, "clip must be above 0", self.clip)
        _require(0 <= self.ema < 1, "ema must be from 0 to below 1", self.ema)
        _require_one_of("precision", self.precision, get_args(Precision))
        _require_one_of("sharding", self.sharding, get_args(Sharding))
        _require(self.patience >= 0, "patience must be at least 0 epochs", self.patience)
        minutes = self.checkpoint_minutes
        _require(0 < minutes < math.inf, "checkpoint_minutes must be above 0", minutes)

    @classmethod
    def changed(cls, training: Training | None, changes: dict[str, Any]) -> Training:
        """The settings with some of them replaced.

        Raises:
            TypeError: there is no setting of such a name.
            ValueError: the settings are invalid.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        if unknown := sorted(changes.keys() - set(names)):
            raise TypeError(
                f"there is no training option {', '.join(unknown)}; the options are "
                f"{', '.join(names)}"
            )
        return dataclasses.replace(training or cls(), **changes)


def _require(fulfilled: bool, rule: str, value: float) -> None:
    if not fulfilled:
        raise ValueError(f"{rule}, got {value}")


def _require_one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
