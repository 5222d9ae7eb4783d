"""Evaluating a model on a set of examples, with exact sums, so that batching biases no score."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from autoregress.data.inputs import as_source, context_of
from autoregress.model import AutoregressiveModel
from autoregress.processes import Processes


@dataclass(frozen=True)
class Score:
    """The score of a model on a set of examples.

    Attributes:
        nats: mean of −log p(x) over the examples.
        bits_per_dim: nats / (D ln 2).
        examples: number of examples.
        standard_error: standard error of nats, the sample's standard deviation / √examples; NaN
            for a single example.

    Example:
        >>> print(ar.Score(nats=2.0, bits_per_dim=1.4427, examples=1000, standard_error=0.05))
        2.0000 ± 0.0500 nats, 1.4427 bits/dim (1,000 examples)
    """

    nats: float
    bits_per_dim: float
    examples: int
    standard_error: float

    def __str__(self) -> str:
        if self.examples == 1:
            return f"{self.nats:.4f} nats, {self.bits_per_dim:.4f} bits/dim (1 example)"
        return (
            f"{self.nats:.4f} ± {self.standard_error:.4f} nats, "
            f"{self.bits_per_dim:.4f} bits/dim ({self.examples:,} examples)"
        )


def evaluate(
    model: AutoregressiveModel,
    data: Any,
    *,
    context: Any = None,
    batch_size: int = 1000,
    processes: Processes | None = None,
    on_batch: Callable[[int], object] | None = None,
) -> Score:
    """Measures every example once.

    The sums are exact, so that the score depends on ``batch_size`` and on the number of processes
    only through the network's own rounding.

    Args:
        data: a source, a tensor, an array, nested lists or a torch ``Dataset``, see
            :func:`autoregress.data.as_source`.
        context: (examples, context) if the model takes one; by default that of the examples.
        batch_size: number of examples measured at once, over all processes.
        processes: the processes that measure together, as returned by :func:`autoregress.join`.
            All make the same call, each measures a part of every batch, and all get the same
            score. By default this process measures all examples alone.
        on_batch: called after each batch with the number of examples measured so far.

    Raises:
        ValueError: no examples, or wrong shapes, dtypes or symbols.

    Example:
        >>> model = ar.MADE(3, symbols=(2, 5, 3), hidden=(8,))
        >>> ar.evaluate(model, [[0, 4, 2], [1, 0, 0]]).examples
        2
    """
    data = as_source(data, model.symbols, features=model.context)
    if len(data) == 0:
        raise ValueError("there are no examples to evaluate the model on")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    context = context_of(data, context, model.context)
    processes = processes or Processes()
    batches = torch.arange(len(data)).split(batch_size)
    own = []
    with measuring(model):
        for batch in batches:
            index = batch[processes.share(len(batch))[0]]
            part = None if context is None else context[index]
            own.append(-model.log_prob(data[index], part).cpu())
            if on_batch is not None:
                on_batch(int(batch[-1]) + 1)
    # The parts of each batch from all processes side by side, without repeated examples.
    parts = processes.gather(torch.cat(own)).split([len(part) for part in own], dim=1)
    nats = [part.flatten()[: len(batch)] for part, batch in zip(parts, batches, strict=True)]
    return _score(torch.cat(nats).tolist(), model.dims)


def _score(nats: list[float], dims: int) -> Score:
    count = len(nats)
    mean = math.fsum(nats) / count
    error = math.nan
    if count > 1:
        error = math.sqrt(math.fsum((n - mean) ** 2 for n in nats) / (count - 1) / count)
    return Score(mean, mean / (dims * math.log(2)), count, error)


@contextmanager
def measuring(model: nn.Module) -> Iterator[None]:
    """A context without gradients, and with every module in eval mode; both are restored after.

    On GPUs, convolutions round float32 to 10 bits by default (TF32), an error of some 1e-3 nats by
    which the two faces of a distribution differ; here they do not.
    """
    modes = [(module, module.training) for module in model.modules()]
    rounded = torch.backends.cudnn.allow_tf32
    model.eval()
    try:
        torch.backends.cudnn.allow_tf32 = False
        with torch.no_grad():
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = rounded
        for module, mode in modes:
            module.training = mode
