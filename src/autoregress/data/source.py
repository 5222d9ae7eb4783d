"""Examples: integer symbols, and what they stand for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from autoregress.symbols import Columns, Symbols


class Examples(Protocol):
    """What a set of examples has to offer; a tensor does.

    One that reads or makes its examples as they are needed may have a text ``digest``, by which a
    training run tells them from others when it is resumed.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor, /) -> Tensor:
        """The examples of an index (batch,) of integers: integers (batch, *event_shape)."""
        ...


class Source(Examples, Protocol):
    """Examples that know their symbols: in memory, on disk, or made as they are asked for."""

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        ...

    @property
    def symbols(self) -> int | tuple[int, ...]:
        """The number of levels of every dimension, or one number for each."""
        ...

    @property
    def columns(self) -> Columns | None:
        """Names and labels, when an example is a row of a table."""
        ...


# eq=False: == of two tensors is a tensor, of which a generated __eq__ could make nothing.
@dataclass(frozen=True, eq=False)
class Data:
    """N examples, each a block of integer symbols.

    Args:
        x: (N, *event_shape) integers.
        symbols: number of levels of every dimension, or one number for each.
        columns: names and labels, when an example is a row of a table.
        known: (N, *event_shape) bool, for partial data: False where x is yet to be filled in.

    Raises:
        ValueError: x is not integers within their levels, or known has another shape.
    """

    x: Tensor
    symbols: int | tuple[int, ...]
    columns: Columns | None = None
    known: Tensor | None = None

    def __post_init__(self) -> None:
        Symbols(self.event_shape, self.symbols, self.columns).check(self.x)
        if self.known is not None and self.known.shape != self.x.shape:
            raise ValueError(
                f"known has shape {tuple(self.known.shape)}, x {tuple(self.x.shape)}; "
                "they must be the same"
            )

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return tuple(self.x.shape[1:])

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Tensor) -> Tensor:
        """The examples x[index], for an index (batch,) of integers: (batch, *event_shape)."""
        return self.x[index]

    def split(self, fraction: float, seed: int) -> tuple[Data, Data]:
        """The rows in two parts: those kept, and a random ``fraction`` of them held out.

        Which rows are held out is a function of the seed, the fraction and N alone. Either part
        keeps the order of the file.

        Raises:
            ValueError: one of the parts would be empty.
        """
        kept, held = _parts(len(self), fraction, seed)
        return self._rows(kept), self._rows(held)

    def _rows(self, index: Tensor) -> Data:
        known = None if self.known is None else self.known[index]
        return replace(self, x=self.x[index], known=known)


@dataclass(frozen=True, eq=False)
class Rows:
    """Some of a set of examples, read from there when they are asked for.

    Args:
        examples: the set.
        index: (N,) int64, which of them.
    """

    examples: Source
    index: Tensor

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return self.examples.event_shape

    @property
    def symbols(self) -> int | tuple[int, ...]:
        """The number of levels of every dimension, or one number for each."""
        return self.examples.symbols

    @property
    def columns(self) -> Columns | None:
        """Names and labels, when an example is a row of a table."""
        return self.examples.columns

    @property
    def digest(self) -> str:
        """Tells these examples from others, as far as those of the set tell themselves."""
        of_set = getattr(self.examples, "digest", "")
        return hashlib.sha256(of_set.encode() + self.index.numpy().tobytes()).hexdigest()

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Tensor) -> Tensor:
        """The examples of an index (batch,) of integers: (batch, *event_shape)."""
        return self.examples[self.index[index]]


def held_out(examples: Source, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """The same two parts as of :meth:`Data.split`, without a copy of what is in them.

    Raises:
        ValueError: one of the parts would be empty.
    """
    kept, held = _parts(len(examples), fraction, seed)
    return Rows(examples, kept), Rows(examples, held)


def _parts(count: int, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    held = round(fraction * count) if 0 < fraction < 1 else 0
    if not 0 < held < count:
        raise ValueError(
            f"holding out a fraction of {fraction} of {count} rows leaves one part empty; "
            "either part needs a row"
        )
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order[held:].sort().values, order[:held].sort().values


def as_examples(data: Examples | np.ndarray[Any, Any]) -> Examples:
    """An array as a tensor, which shares its memory where it can; all else as it is.

    Raises:
        ValueError: an array of anything but numbers.
    """
    if not isinstance(data, np.ndarray):
        return data
    if data.dtype.kind not in "buif":
        raise ValueError(f"symbols are integers, got an array of {data.dtype}")
    # Few of torch's operations know the wider unsigned integers, and none another byte order.
    wide = data.dtype.kind == "u" and data.dtype.itemsize > 1
    dtype = np.dtype(np.int64) if wide else data.dtype.newbyteorder("=")
    return torch.from_numpy(np.require(data, dtype=dtype, requirements=["C", "W"]))
