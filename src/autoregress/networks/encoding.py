"""The dimensions of an event as columns: the inputs and outputs of a network over vectors.

Dimensions of one kind are encoded together, so that none is padded to the width of another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from autoregress.conditionals import Bernoulli, Categorical, Conditional, Logistics, Mixed
from autoregress.symbols import Symbols, as_numbers, marginal_logits

# Largest number of ordered levels that are inputs as categories too: this helps where each level is
# seen often, and overfits where few are.
FEW = 32
# The distance that a component moves per unit of its output, as a share of all levels; the least
# variance of a component at the start.
MOVE, NARROW = 1 / 4, 1 / 48
# Numbers of quantiles and of steps in fitting the components at the start.
QUANTILES, STEPS = 256, 30


class Kind(Protocol):
    """Dimensions whose levels agree in number and meaning."""

    @property
    def inputs(self) -> int:
        """Number of input columns per dimension."""
        ...

    @property
    def outputs(self) -> int:
        """Number of output columns per dimension."""
        ...

    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Symbols (…) as input columns (…, inputs)."""
        ...

    def conditional(self, columns: Tensor) -> Conditional:
        """Conditionals (…) from output columns (…, outputs)."""
        ...

    def start(self, x: Tensor) -> Tensor:
        """Output columns (n, outputs), float64, for the marginals of symbols (rows, n)."""
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


@dataclass(frozen=True)
class Numbers:
    """K ordered levels: a number, also one-hot if K is small, and a mixture of M logistics."""

    levels: int
    mixture: int

    @property
    def inputs(self) -> int:
        return 1 + (self.levels if self.levels <= FEW else 1)

    @property
    def outputs(self) -> int:
        return 3 * self.mixture

    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        number = as_numbers(x, self.levels, dtype).unsqueeze(-1)
        if self.levels <= FEW:
            return torch.cat([number, Categories(self.levels).encode(x, dtype)], -1)
        # The constant distinguishes the middle level from a dimension hidden from a unit.
        return F.pad(number, (0, 1), value=1)

    def conditional(self, columns: Tensor) -> Logistics:
        weights, places, widths = columns.unflatten(-1, (3, self.mixture)).unbind(-2)
        means = (places * MOVE + self._evenly(columns) - 0.5) * self.levels
        centre = torch.full_like(columns[..., 0], self.levels // 2, dtype=torch.long)
        return Logistics(weights, means, widths + self._width, centre, self.levels)

    # Zero outputs spread the components evenly over the levels, with overlaps.

    def _evenly(self, like: Tensor) -> Tensor:
        """(M,) evenly spaced places from 0 to 1."""
        m = torch.arange(self.mixture, dtype=like.dtype, device=like.device)
        return (m + 0.5) / self.mixture

    @property
    def _width(self) -> float:
        """The log-scale of a component at output 0."""
        return math.log(self.levels / (4 * self.mixture))

    def start(self, x: Tensor) -> Tensor:
        """Expectation maximisation on quantiles, which matches variances to get the scales."""
        x = x.long().sort(0).values
        some = (torch.arange(QUANTILES, device=x.device) * 2 + 1) * len(x) // (2 * QUANTILES)
        x = x[some].T  # (n, quantiles)
        values, centre = x.double().unsqueeze(-1), torch.zeros_like(x)
        # Midway between quantiles, many of which may coincide, and evenly spread places.
        evenly = self._evenly(values)
        low, high = values[:, 0], values[:, -1]
        quantiles = values[:, (evenly * QUANTILES).long(), 0]
        means = (quantiles + low + (high - low) * evenly) / 2  # (n, M)
        variance = values.var(1, correction=0) / self.mixture**2 + NARROW
        log_scales = _log_scale(variance).expand_as(means)
        weights = torch.full_like(means, -math.log(self.mixture))
        for _ in range(STEPS):
            w, m, s = (p.unsqueeze(1).expand(*x.shape, -1) for p in (weights, means, log_scales))
            components = Logistics(w, m, s, centre, self.levels)
            shares = (components.weights + components.log_shares(x)).softmax(-1)
            total = shares.sum(1)
            # As if each component had been seen once more, and never much narrower than a level.
            weights = ((total + 1) / (QUANTILES + self.mixture)).log()
            means = (shares * values).sum(1) / total.clamp(min=1e-9)
            squares = (shares * (values - means.unsqueeze(1)).square()).sum(1)
            log_scales = _log_scale(squares / total.clamp(min=1e-9) + NARROW)
        places = ((means - self.levels // 2) / self.levels - evenly + 0.5) / MOVE
        return torch.cat([weights, places, log_scales - self._width], -1)


def _log_scale(variance: Tensor) -> Tensor:
    """Log-scales of logistics with these variances."""
    return (variance * (3 / math.pi**2)).log() / 2


class Encoding:
    """The columns of every dimension, in the order of the dimensions.

    Attributes:
        kinds: kind of each of the D dimensions.
        widths: (D,) numbers of input columns and of output columns of each dimension, on the CPU;
            one object twice if the two are equal.
    """

    def __init__(self, symbols: Symbols, mixture: int) -> None:
        self.event_shape = symbols.event_shape
        self.kinds = [
            _kind(*each, mixture) for each in zip(symbols.levels, symbols.ordered, strict=True)
        ]
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
        # The number of the group of each dimension, and its first input and output column.
        self._group_of = torch.empty(len(self.kinds), dtype=torch.int64, device="cpu")
        for number, (_, dims, _) in enumerate(self._groups):
            self._group_of[dims] = number
        self._first = (inputs.cumsum(0) - inputs, outputs.cumsum(0) - outputs)
        # The position of each input column when the groups are concatenated.
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
        """Conditionals of whole events, of batch shape (batch, *event_shape).

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

    # One dimension of each row, which may be another in another row.

    def encode_one(
        self, symbols: Tensor, dims: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Nonzero input columns of a symbol in each row, (n,) each: rows in order, places, values.

        Args:
            symbols: (batch,).
            dims: (batch,), the dimension of each row.
        """
        rows, places, values = [], [], []
        for kind, own, columns in self._by_kind(dims, 0):
            encoded = kind.encode(symbols[own], dtype)
            row, column = encoded.nonzero(as_tuple=True)
            rows.append(own[row])
            places.append(columns[row, column])
            values.append(encoded[row, column])
        order = torch.cat(rows).argsort(stable=True)
        return torch.cat(rows)[order], torch.cat(places)[order], torch.cat(values)[order]

    def conditional_of_one(self, columns: Tensor, dims: Tensor) -> Conditional:
        """Conditionals (batch,) of a dimension of each row, from columns (batch, outputs)."""
        parts, rows = [], []
        for kind, own, places in self._by_kind(dims, 1):
            parts.append(kind.conditional(columns[own.unsqueeze(1), places]))
            rows.append(own)
        return parts[0] if len(parts) == 1 else Mixed(parts, rows, (len(dims),), dim=0)

    def _by_kind(self, dims: Tensor, side: int) -> Iterator[tuple[Kind, Tensor, Tensor]]:
        """Each kind among dims (batch,), its rows (n,) and its columns there (n, width).

        Args:
            side: 0 for input columns, 1 for output columns.
        """
        which = self._group_of.to(dims.device)[dims]
        first = self._first[side].to(dims.device)[dims]
        for number, (kind, _, _) in enumerate(self._groups):
            own = (which == number).nonzero().squeeze(1)
            if len(own):
                width = kind.outputs if side else kind.inputs
                yield kind, own, first[own, None] + torch.arange(width, device=dims.device)

    @property
    def numeric(self) -> Tensor:
        """Indices of the output columns of ordered dimensions."""
        own = [places for kind, _, places in self._groups if isinstance(kind, Numbers)]
        return torch.cat([torch.zeros(0, dtype=torch.long, device="cpu"), *own])

    def start(self, x: Tensor) -> Tensor:
        """Output columns of all dimensions, float64, for the marginals of symbols x (rows, D)."""
        out = torch.empty(int(self.widths[1].sum()), dtype=torch.float64, device=x.device)
        for kind, dims, places in self._groups:
            out[places.to(x.device)] = kind.start(x[:, dims.to(x.device)]).flatten()
        return out


def _kind(levels: int, ordered: bool, mixture: int) -> Kind:
    if levels == 2:
        return Bits()
    return Numbers(levels, mixture) if ordered else Categories(levels)


def _columns(widths: Tensor, dims: Sequence[int]) -> Tensor:
    """Indices of the columns of some dimensions, all of one width."""
    some = torch.tensor(dims, device="cpu")
    first = (widths.cumsum(0) - widths)[some]
    return (first[:, None] + torch.arange(int(widths[dims[0]]), device="cpu")).flatten()
