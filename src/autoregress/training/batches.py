"""The examples of each update: which ones, in what order, and this process's share of them."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autoregress.data.inputs import as_source, context_of
from autoregress.data.prefetch import read_ahead
from autoregress.data.source import Data, Source
from autoregress.disk import raw_bytes
from autoregress.model import AutoregressiveModel
from autoregress.processes import Processes
from autoregress.symbols import Symbols
from autoregress.training.seeds import Seeds

# What marginals are counted from at most.
SYMBOLS = 2**22


@dataclass(frozen=True)
class Split:
    """Examples checked for a model, with their contexts (N, context) if it takes them."""

    examples: Source
    context: Tensor | None

    @classmethod
    def checked(cls, model: AutoregressiveModel, data: Any, context: Any, name: str) -> Split:
        """The examples, and their context on the model's device and in its dtype.

        Args:
            data: anything that :func:`~autoregress.data.as_source` takes.
            context: (examples, context) if the model takes one; by default that of the examples.

        Raises:
            ValueError: there are no examples, or unknown entries, wrong shapes, dtypes or symbols.
        """
        try:
            source = as_source(data, model.symbols, features=model.context)
        except ValueError as error:
            raise ValueError(f"the {name} examples: {error}") from error
        if len(source) == 0:
            raise ValueError(f"there are no {name} examples")
        partial = isinstance(source, Data) and source.known is not None and not source.known.all()
        if partial and not model.symbols.gaps:
            raise ValueError(
                f"the {name} examples have unknown entries; a model learns from complete ones"
            )
        try:
            context = context_of(source, context, model.context)
            return cls(source, model.checked_context(context, len(source)))
        except ValueError as error:
            raise ValueError(f"the {name} context: {error}") from error

    def some(self, symbols: Symbols) -> Tensor:
        """Examples at equal distances, all or as many as make 2²² symbols: enough for marginals.

        Raises:
            ValueError: they are not of these symbols.
        """
        total = len(self.examples)
        count = min(total, max(1, SYMBOLS // symbols.dims))
        x = self.examples[torch.arange(count) * total // count]
        symbols.check(x)
        return x

    def fingerprint(self) -> dict[str, Any]:
        """What identifies these examples: their number, and a hash of them and their context."""
        digest = hashlib.sha256(self.examples.digest.encode())
        if self.context is not None:
            digest.update(f"{self.context.dtype} {tuple(self.context.shape)}".encode())
            digest.update(raw_bytes(self.context))
        return {"examples": len(self.examples), "sha256": digest.hexdigest()}


@dataclass(frozen=True)
class Batch:
    """One process's share of the examples of an update, or a part of that share.

    Attributes:
        x: (share, *event_shape) integer symbols, in the dtype in which they were read.
        context: (share, context) if the model takes one.
        places: (share,) int64, the examples' places among all those of the update.
        weight: (share,) float64, the weight of each example in the mean over the update.
        total: number of examples of the update, over all processes.
    """

    x: Tensor
    context: Tensor | None
    places: Tensor
    weight: Tensor
    total: int

    def parts(self, count: int) -> list[Batch]:
        """Splits the share into at most ``count`` parts."""
        x = self.x.chunk(count)
        context = [None] * len(x) if self.context is None else self.context.chunk(count)
        parts = zip(x, context, self.places.chunk(count), self.weight.chunk(count), strict=True)
        return [Batch(*part, self.total) for part in parts]


class Batches:
    """The batches of each epoch, in an order that is a function of the seed and the epoch alone.

    Examples that are not in memory are read by a thread, one batch ahead of the update.

    Args:
        symbols: the model's symbols, against which examples that are read on demand are checked.
        size: number of examples of an update, over all processes.
        shift: largest number of pixels by which images are moved.
        shifting: number of epochs in which they are.
        device: the device that the batches are for.

    Raises:
        ValueError: the examples have no pixels, or fewer than they should be moved by.
    """

    def __init__(
        self,
        split: Split,
        symbols: Symbols,
        size: int,
        shift: int,
        shifting: int,
        seeds: Seeds,
        processes: Processes,
        device: torch.device,
    ) -> None:
        self.examples, self._context = split.examples, split.context
        self._symbols = symbols
        self._size = size
        shape = symbols.event_shape
        if shift and (len(shape) < 3 or shift >= min(shape[-2:])):
            raise ValueError(
                f"examples of shape {shape} cannot be moved by {shift} pixels: leave shift out, "
                "which is for images and clips higher and wider than it"
            )
        self._shift, self._shifting = shift, shifting
        self._seeds = seeds
        self._processes = processes
        self._device = device
        self._in_memory = isinstance(split.examples, Data)

    def __len__(self) -> int:
        """The number of updates of an epoch; the last batch may be smaller."""
        return -(-len(self.examples) // self._size)

    def epoch(self, number: int, *, start: int = 0) -> Generator[Batch]:
        """The batches of epoch ``number``, from 0, beginning with the batch ``start``.

        A consumer that stops early should close the iterator, and with it the reading thread.
        """
        generator = torch.Generator().manual_seed(self._seeds.order(number))
        order = torch.randperm(len(self.examples), generator=generator)
        indices = order.split(self._size)
        moves: Sequence[Tensor | None] = [None] * len(indices)
        if self._shift and number < self._shifting:
            least, most = -self._shift, self._shift + 1
            moves = torch.randint(least, most, (len(order), 2), generator=generator).split(
                self._size
            )
        read = map if self._in_memory else read_ahead
        yield from read(self._read, list(zip(indices, moves, strict=True))[start:])

    def _read(self, drawn: tuple[Tensor, Tensor | None]) -> Batch:
        index, moves = drawn
        places, counted = self._processes.share(len(index))
        own = index[places]
        x = self.examples[own]
        if moves is not None:
            x = moved(x, moves[places])
        if not self._in_memory:
            self._symbols.check(x)
        if self._device.type == "cuda":
            with torch.cuda.device(self._device):  # a new thread starts on the first device
                x = x.pin_memory()
        context = None if self._context is None else self._context[own]
        weight = (torch.arange(len(x)) < counted).double() / len(index)
        return Batch(x, context, places, weight, len(index))


def moved(x: Tensor, by: Tensor) -> Tensor:
    """Images or clips (N, …, H, W), moved down and right by pixels (N, 2); edges are repeated."""
    height, width = x.shape[-2:]
    rows, columns = (
        (torch.arange(length) - own).clamp(0, length - 1)
        for length, own in zip((height, width), by.split(1, 1), strict=True)
    )
    index = (rows[:, :, None] * width + columns[:, None]).flatten(1)[:, None]
    planes = x.reshape(len(x), -1, height * width)
    return planes.gather(-1, index.expand_as(planes)).view(x.shape)
