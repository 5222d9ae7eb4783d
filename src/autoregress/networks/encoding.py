"""The dimensions of an event as columns: the inputs of a network of vectors, and its outputs.

Dimensions of one kind are encoded together, so that none is padded to the width of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from autoregress.conditionals import Bernoulli, Categorical, Conditional, Mixed
from autoregress.symbols import Symbols, marginal_logits


class Kind(Protocol):
    """Dimensions that share a number of levels, and what they mean."""

    @property
    def inputs(self) -> int:
        """Number of input columns of a dimension."""
        ...

    @property
    def outputs(self) -> int:
        """Number of output columns of a dimension."""
        ...

    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Symbols (…) as input columns (…, inputs)."""
        ...

    def conditional(self, columns: Tensor) -> Conditional:
        """The conditionals (…) from output columns (…, outputs)."""
        ...

    def start(self, x: Tensor) -> Tensor:
        """Output columns (n, outputs), float64, of the marginals of symbols (rows, n)."""
        ...


@dataclass(frozen=True)
class Bits:
    """Two levels: one column, the log-odds of a 1."""

    inputs = outputs = 1

    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        return x.to(dtype).unsqueeze(-1)

    def conditional(self, columns: Tensor) -> Bernoulli:
        return Bernoulli(columns.squeeze(-1))

    def start(self, x: Tensor) -> Tensor:
        return torch.stack([marginal_logits(column, 2) for column in x.unbind(1)])


@dataclass(frozen=True)
class Categories:
    """K nominal levels: one-hot columns, and K logits."""

    levels: int

    @property
    def inputs(self) -> int:
        return self.levels

    @property
    def outputs(self) -> int:
        return self.levels

    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        x = x.long().unsqueeze(-1)
        return x.new_zeros(*x.shape[:-1], self.levels, dtype=dtype).scatter(-1, x, 1)

    def conditional(self, columns: Tensor) -> Categorical:
        return Categorical(columns)

    def start(self, x: Tensor) -> Tensor:
        return torch.stack([marginal_logits(column, self.levels) for column in x.unbind(1)])


class Encoding:
    """The columns of every dimension, in the order of the dimensions.

    Attributes:
        kinds: kind of each of the D dimensions.
        widths: (D,) numbers of input and of output columns of each, on the CPU; the same object
            where all numbers are the same.
    """

    def __init__(self, symbols: Symbols) -> None:
        self.event_shape = symbols.event_shape
        self.kinds: list[Kind] = [Bits() if k == 2 else Categories(k) for k in symbols.levels]
        inputs = torch.tensor([kind.inputs for kind in self.kinds], device="cpu")
        outputs = torch.tensor([kind.outputs for kind in self.kinds], device="cpu")
        self.widths = (inputs, inputs if torch.equal(inputs, outputs) else outputs)
        alike: dict[Kind, list[int]] = {}
        for dim, kind in enumerate(self.kinds):
            alike.setdefault(kind, []).append(dim)
        self._groups = [
            (kind, torch.tensor(dims, device="cpu"), _columns(outputs, dims))
            for kind, dims in alike.items()
        ]
        # Where each input column is among those of all groups, one group after the other.
        self._places = torch.cat([_columns(inputs, d) for d in alike.values()]).argsort()

    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Symbols x (batch, D) as input columns (batch, inputs of all dimensions)."""
        if len(self._groups) == 1:
            return self.kinds[0].encode(x, dtype).flatten(1)
        parts = [
            kind.encode(x[:, dims.to(x.device)], dtype).flatten(1) for kind, dims, _ in self._groups
        ]
        return torch.cat(parts, 1)[:, self._places.to(x.device)]

    def conditional(self, columns: Tensor) -> Conditional:
        """The conditionals of whole events, of batch shape (batch, *event_shape).

        Args:
            columns: (batch, outputs of all dimensions).
        """
        if len(self._groups) == 1:
            kind = self.kinds[0]
            return kind.conditional(columns.reshape(-1, *self.event_shape, kind.outputs))
        parts, dims = [], []
        for kind, own, places in self._groups:
            of_kind = columns[:, places.to(columns.device)]
            parts.append(kind.conditional(of_kind.view(-1, len(own), kind.outputs)))
            dims.append(own.to(columns.device))
        return Mixed(parts, dims, self.event_shape)

    def start(self, x: Tensor) -> Tensor:
        """Outputs that give the marginals of symbols x (rows, D), for all dimensions together."""
        out = torch.empty(int(self.widths[1].sum()), dtype=torch.float64, device=x.device)
        for kind, dims, places in self._groups:
            out[places.to(x.device)] = kind.start(x[:, dims.to(x.device)]).flatten()
        return out


def _columns(widths: Tensor, dims: Sequence[int]) -> Tensor:
    """The columns of some dimensions, all of one width."""
    some = torch.tensor(dims, device="cpu")
    first = (widths.cumsum(0) - widths)[some]
    return (first[:, None] + torch.arange(int(widths[dims[0]]), device="cpu")).flatten()
