"""The dimensions of an event as columns: the inputs and outputs of a network over vectors.

Dimensions of one kind are computed together, so that none is padded to the width of another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoregress.conditionals import (
    Bernoulli,
    Categorical,
    Conditional,
    Logistics,
    Mixed,
    Scale,
    ScaledLogistics,
)
from autoregress.model import groups
from autoregress.symbols import Symbols, marginal_logits

# Largest number of ordered levels that are inputs as categories too: this helps where each level is
# seen often, and overfits where few are.
FEW = 32
# Number of sines and of cosines of a period, as many as days of a week need, and the inverse of the
# distance of the values that they are rounded to.
HARMONICS, GRID = 3, 4096
# At the start the means of the components lie between −SPREAD and SPREAD, so that they can part.
SPREAD = 0.5
# Numbers of logistics, quantiles and steps of the smooth distribution that levels start from, and
# the least variance of one of its components.
SMOOTH, QUANTILES, STEPS, NARROW = 5, 256, 30, 1 / 48


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

    def encode(self, x: Tensor, dtype: torch.dtype, scale: Scale | None) -> Tensor:
        """Symbols (…) as input columns (…, inputs).

        Args:
            scale: where ordered levels lie, of the batch shape of the last dimensions of x.
        """
        ...

    def conditional(self, columns: Tensor, scale: Scale | None) -> Conditional:
        """Conditionals (…) from output columns (…, outputs)."""
        ...

    def start(self, x: Tensor) -> Tensor:
        """Output columns (n, outputs), float64, for the marginals of symbols (rows, n)."""
        ...


@dataclass(frozen=True)
class Bits:
    """Two levels: one column, the log-odds of a 1."""

    inputs = outputs = 1

    def encode(self, x: Tensor, dtype: torch.dtype, scale: Scale | None = None) -> Tensor:
        return x.to(dtype).unsqueeze(-1)

    def conditional(self, columns: Tensor, scale: Scale | None = None) -> Bernoulli:
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

    def encode(self, x: Tensor, dtype: torch.dtype, scale: Scale | None = None) -> Tensor:
        x = x.long().unsqueeze(-1)
        return x.new_zeros(*x.shape[:-1], self.levels, dtype=dtype).scatter(-1, x, 1)

    def conditional(self, columns: Tensor, scale: Scale | None = None) -> Categorical:
        return Categorical(columns)

    def start(self, x: Tensor) -> Tensor:
        logits = [marginal_logits(column[column >= 0], self.levels) for column in x.unbind(1)]
        # Of two levels, which are categories where they may be unknown, the log-odds.
        return torch.stack([F.pad(each, (self.levels - len(each), 0)) for each in logits])


@dataclass(frozen=True)
class Numbers:
    """K ordered levels on a scale: two numbers, also one-hot if K is small, and M logistics.

    Attributes:
        periods: in levels; the sines and cosines of each are inputs too.
    """

    levels: int
    mixture: int
    periods: tuple[float, ...] = ()

    @property
    def inputs(self) -> int:
        single = self.levels if self.levels <= FEW else 1
        return 2 + single + 2 * HARMONICS * len(self.periods)

    @property
    def outputs(self) -> int:
        return 3 * self.mixture

    def encode(self, x: Tensor, dtype: torch.dtype, scale: Scale | None) -> Tensor:
        assert scale is not None
        middle = scale.middle(x.long()).unsqueeze(-1)
        # A logistic, whose variance is π² / 3, and a uniform number, whose variance is 1 / 12.
        number = torch.cat(
            [middle * (math.sqrt(3) / math.pi), (middle.sigmoid() - 0.5) * math.sqrt(12)], -1
        ).to(dtype)
        if self.levels <= FEW:
            number = torch.cat([number, Categories(self.levels).encode(x, dtype)], -1)
        else:
            # The constant distinguishes the middle level from a dimension hidden from a unit.
            number = F.pad(number, (0, 1), value=1)
        if not self.periods:
            return number
        return torch.cat([number, self._waves.to(x.device, dtype)[x.long()]], -1)

    @cached_property
    def _waves(self) -> Tensor:
        """(K, 2 · HARMONICS · periods): for each period its sines, then its cosines.

        The n-th of them has the height 1 / 2n: higher ones lead to overfitting where nothing
        recurs. They are rounded, so that they are the same wherever they are computed.
        """
        n = np.arange(1, HARMONICS + 1)
        turns = np.arange(self.levels)[:, None, None] / np.asarray(self.periods)[:, None] * n
        waves = np.stack([np.sin(2 * np.pi * turns), np.cos(2 * np.pi * turns)], 2) / (2 * n)
        # (K, periods, 2, HARMONICS)
        return torch.from_numpy(np.rint(waves * GRID) / GRID).flatten(1)

    def conditional(self, columns: Tensor, scale: Scale | None) -> ScaledLogistics:
        assert scale is not None
        weights, places, widths = columns.unflatten(-1, (3, self.mixture)).unbind(-2)
        m = torch.arange(self.mixture, dtype=columns.dtype, device=columns.device)
        apart = ((m + 0.5) * (2 / self.mixture) - 1) * SPREAD
        # Zero outputs are the distribution of the scale, in mean and variance.
        variance = 1 - (SPREAD / math.pi) ** 2 * (1 - self.mixture**-2)
        return ScaledLogistics(weights, places + apart, widths + math.log(variance) / 2, scale)

    def start(self, x: Tensor) -> Tensor:
        return torch.zeros(x.shape[1], self.outputs, dtype=torch.float64, device=x.device)


def log_masses(x: Tensor, levels: int) -> Tensor:
    """Log-probabilities (n, K), float64, of the levels of each column of x (rows, n).

    Frequencies, smoothed by a mixture of logistics that was fitted to them, as if it had been seen
    a number of times: the number under which the levels, each left out in turn, are likeliest. So
    few levels seen often have their frequencies, and many seen seldom a smooth distribution.
    """
    return torch.stack([_smoothed(column[column >= 0].long(), levels) for column in x.unbind(1)])


def _smoothed(x: Tensor, levels: int) -> Tensor:
    """Log-probabilities (K,) of the levels of symbols (rows,), as for :func:`log_masses`."""
    if len(x) == 0:
        return x.new_zeros(levels, dtype=torch.float64)
    counts = x.bincount(minlength=levels).double()
    smooth = 0.999 * _smooth(x, levels).table()[0] + 0.001 / levels
    times = 4.0 ** torch.arange(10, dtype=torch.float64, device=x.device).unsqueeze(1)
    added = counts + times * smooth  # (times, K)
    left_out = ((added - 1).clamp(min=1e-300) / (len(x) - 1 + times)).log()
    best = (counts * left_out).sum(1).argmax()
    return (added[best] / added[best].sum()).log()


def _smooth(x: Tensor, levels: int) -> Logistics:
    """A mixture of logistics fitted to the symbols (rows,), by expectation maximisation."""
    x = x.long().sort().values
    some = (torch.arange(QUANTILES, device=x.device) * 2 + 1) * len(x) // (2 * QUANTILES)
    x = x[some]
    values, centre = x.double().unsqueeze(-1), torch.zeros_like(x)
    # Midway between quantiles, many of which may coincide, and evenly spread places.
    evenly = (torch.arange(SMOOTH, dtype=torch.float64, device=x.device) + 0.5) / SMOOTH
    low, high = values[0], values[-1]
    means = (values[(evenly * QUANTILES).long(), 0] + low + (high - low) * evenly) / 2
    variance = values.var(0, correction=0) / SMOOTH**2 + NARROW
    log_scales = _log_scale(variance).expand_as(means)
    weights = torch.full_like(means, -math.log(SMOOTH))
    for _ in range(STEPS):
        w, m, s = (p.expand(len(x), -1) for p in (weights, means, log_scales))
        components = Logistics(w, m, s, centre, levels)
        shares = (components.weights + components.log_shares(x)).softmax(-1)
        total = shares.sum(0)
        # As if each component had been seen once more, and never much narrower than a level.
        weights = ((total + 1) / (QUANTILES + SMOOTH)).log()
        means = (shares * values).sum(0) / total.clamp(min=1e-9)
        squares = (shares * (values - means).square()).sum(0)
        log_scales = _log_scale(squares / total.clamp(min=1e-9) + NARROW)
    w, m, s = (p.unsqueeze(0) for p in (weights, means, log_scales))
    return Logistics(w, m, s, centre[:1], levels)


def _log_scale(variance: Tensor) -> Tensor:
    """Log-scales of logistics with these variances."""
    return (variance * (3 / math.pi**2)).log() / 2


@dataclass
class Group:
    """Dimensions that are computed together.

    Attributes:
        kind: the kind of the first of them, which does for all.
        dims: (n,) their indices, on the CPU.
        columns: indices of their columns, on the CPU.
        scale: the scale of each, None where levels have no order.
    """

    kind: Kind
    dims: Tensor
    columns: Tensor
    scale: Scale | None = None


class Together:
    """The groups of dimensions whose inputs, or whose outputs, are computed together.

    Args:
        kinds: kind of each dimension.
        widths: (D,) number of columns of each.
        like: what the kinds in a group have in common.

    Attributes:
        first: (D,) first column of each dimension, on the CPU.
    """

    def __init__(
        self, kinds: Sequence[Kind], widths: Tensor, like: Callable[[Kind], Hashable]
    ) -> None:
        self.first = widths.cumsum(0) - widths
        # The group of each dimension, and its place there.
        self._group, self._within = torch.empty(2, len(kinds), dtype=torch.int64, device="cpu")
        self.groups = list[Group]()
        together: dict[Hashable, list[int]] = {}
        for dim, kind in enumerate(kinds):
            together.setdefault(like(kind), []).append(dim)
        for dims in together.values():
            own = torch.tensor(dims, device="cpu")
            self._group[own], self._within[own] = len(self.groups), torch.arange(len(dims))
            self.groups.append(Group(kinds[dims[0]], own, _columns(widths, dims)))

    def by_row(self, dims: Tensor) -> Iterator[tuple[Kind, Tensor, Scale | None]]:
        """The rows whose dimensions (batch,) are of one group: its kind, rows, their scales."""
        if len(self.groups) == 1:
            each = [(0, torch.arange(len(dims), device=dims.device))]
        else:
            each = groups(self._group.to(dims.device)[dims])
        for number, own in each:
            group = self.groups[number]
            scale = group.scale
            if scale is not None:
                scale = scale.rows(self._within.to(dims.device)[dims[own]])
            yield group.kind, own, scale


def _encoded_like(kind: Kind) -> Hashable:
    """Numbers of many levels are encoded by their scales alone, and without periods alike."""
    return Numbers if isinstance(kind, Numbers) and kind.levels > FEW and not kind.periods else kind


def _predicted_like(kind: Kind) -> Hashable:
    """Numbers are predicted by their scales alone."""
    return Numbers if isinstance(kind, Numbers) else kind


class Encoding(nn.Module):
    """The columns of every dimension, in the order of the dimensions.

    Attributes:
        kinds: kind of each of the D dimensions.
        widths: (D,) numbers of input columns and of output columns of each dimension, on the CPU;
            one object twice if the two are equal.
        log_masses: the distributions on whose scales the levels of the ordered dimensions lie, one
            after another; None if no dimension is ordered.
        scales: the scale of each of the D dimensions, None where levels have no order.
    """

    log_masses: Tensor | None

    def __init__(
        self, symbols: Symbols, mixture: int, periods: Sequence[Sequence[float]] = ()
    ) -> None:
        super().__init__()
        each = [tuple(own) for own in periods] or [()] * symbols.dims
        self.event_shape = symbols.event_shape
        self.gaps = symbols.gaps
        self.kinds = [
            # A bit that is unknown is neither 0 nor 1.
            Categories(2) if levels == 2 and symbols.gaps else _kind(levels, ordered, mixture, own)
            for levels, ordered, own in zip(symbols.levels, symbols.ordered, each, strict=True)
        ]
        inputs = torch.tensor([kind.inputs for kind in self.kinds], device="cpu")
        outputs = torch.tensor([kind.outputs for kind in self.kinds], device="cpu")
        self.widths = (inputs, inputs if torch.equal(inputs, outputs) else outputs)
        self._inputs = Together(self.kinds, inputs, _encoded_like)
        self._outputs = Together(self.kinds, outputs, _predicted_like)
        # The position of each input column when the groups are concatenated.
        self._places = torch.cat([group.columns for group in self._inputs.groups]).argsort()
        # The outputs where dimensions together are to agree in their levels, as the coder asks.
        self._equal = Together(self.kinds, outputs, lambda kind: kind)
        # Uniform until ``start``.
        levels = sum(kind.levels * len(dims) for kind, dims in self._numbers)
        self.register_buffer("log_masses", torch.zeros(levels) if levels else None)
        self._read_scales()

    def _read_scales(self) -> None:
        """Reads the scales, which are kept as finding them takes time."""
        self.scales: list[Scale | None] = [None] * len(self.kinds)
        start = 0
        for kind, dims in self._numbers:
            assert self.log_masses is not None
            stop = start + kind.levels * len(dims)
            masses = self.log_masses[start:stop].view(len(dims), kind.levels)
            start = stop
            for dim, own in zip(dims.tolist(), masses, strict=True):
                self.scales[dim] = Scale.of(own)

        @cache  # as groups of the same dimensions share one
        def joined(*dims: int) -> Scale | None:
            own = [scale for dim in dims if (scale := self.scales[dim]) is not None]
            return Scale.joined(own) if own else None

        for side in (self._inputs, self._outputs, self._equal):
            for group in side.groups:
                group.scale = joined(*group.dims.tolist())

    @property
    def _numbers(self) -> list[tuple[Numbers, Tensor]]:
        """The ordered dimensions, those that agree in their levels together."""
        each = [(group.kind, group.dims) for group in self._equal.groups]
        return [(kind, dims) for kind, dims in each if isinstance(kind, Numbers)]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        self._read_scales()
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._read_scales()

    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Symbols x (batch, D) as input columns (batch, inputs of all dimensions)."""
        first, *others = self._inputs.groups
        if not others:
            return self._encode(first.kind, x, dtype, first.scale).flatten(1)
        parts = [
            self._encode(group.kind, x[:, group.dims.to(x.device)], dtype, group.scale).flatten(1)
            for group in (first, *others)
        ]
        return torch.cat(parts, 1)[:, self._places.to(x.device)]

    def encode_one(self, dim: int, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Symbols x (batch,) of one dimension as input columns (batch, inputs)."""
        return self._encode(self.kinds[dim], x, dtype, self.scales[dim])

    def _encode(self, kind: Kind, x: Tensor, dtype: torch.dtype, scale: Scale | None) -> Tensor:
        """The input columns of symbols (…), which are 0 for unknown ones."""
        if not self.gaps:
            return kind.encode(x, dtype, scale)
        return kind.encode(x.clamp(min=0), dtype, scale) * (x >= 0).unsqueeze(-1)

    def conditional(self, columns: Tensor) -> Conditional:
        """Conditionals of whole events, of batch shape (batch, *event_shape).

        Args:
            columns: (batch, outputs of all dimensions).
        """
        first, *others = self._outputs.groups
        if not others:
            kind, scale = first.kind, first.scale
            if scale is not None:
                scale = scale.unflatten(self.event_shape)
            return kind.conditional(columns.reshape(-1, *self.event_shape, kind.outputs), scale)
        parts, dims = [], []
        for group in (first, *others):
            own = columns[:, group.columns.to(columns.device)]
            own = own.view(-1, len(group.dims), group.kind.outputs)
            parts.append(group.kind.conditional(own, group.scale))
            dims.append(group.dims.to(columns.device))
        return Mixed(parts, dims, self.event_shape)

    def conditional_one(self, dim: int, columns: Tensor) -> Conditional:
        """Conditionals (batch,) of one dimension, from the columns of all dimensions."""
        kind, widths = self.kinds[dim], self.widths[1]
        stop = int(widths[: dim + 1].sum())
        own = columns[:, stop - kind.outputs : stop]
        return kind.conditional(own, self.scales[dim])

    # One dimension of each row, which may be another in another row.

    def encode_by_row(
        self, dims: Tensor, x: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Nonzero input columns of symbols x (batch,) of dimensions (batch,).

        Returns:
            (n,) each: rows, in order; places of the columns; values.
        """
        rows, places, values = [], [], []
        for kind, own, scale in self._inputs.by_row(dims):
            encoded = self._encode(kind, x[own], dtype, scale)
            row, column = encoded.nonzero(as_tuple=True)
            own = own[row]
            rows.append(own)
            places.append(self._inputs.first.to(dims.device)[dims[own]] + column)
            values.append(encoded[row, column])
        if len(rows) == 1:
            return rows[0], places[0], values[0]
        order = torch.cat(rows).argsort(stable=True)
        return torch.cat(rows)[order], torch.cat(places)[order], torch.cat(values)[order]

    def conditional_by_row(self, dims: Tensor, columns: Tensor) -> Conditional:
        """Conditionals (batch,) of dimensions (batch,), from columns (batch, outputs of all)."""
        parts, rows = [], []
        for kind, own, scale in self._equal.by_row(dims):
            first = self._equal.first.to(dims.device)[dims[own]]
            places = first.unsqueeze(1) + torch.arange(kind.outputs, device=dims.device)
            parts.append(kind.conditional(columns[own.unsqueeze(1), places], scale))
            rows.append(own)
        return parts[0] if len(parts) == 1 else Mixed(parts, rows, (len(dims),), dim=0)

    @property
    def numeric(self) -> Tensor:
        """Indices of the output columns of ordered dimensions."""
        own = [each.columns for each in self._outputs.groups if isinstance(each.kind, Numbers)]
        return torch.cat([torch.zeros(0, dtype=torch.long, device="cpu"), *own])

    def start(self, x: Tensor) -> Tensor:
        """Fits the scales to symbols x (rows, D), and finds the outputs for their marginals.

        Returns:
            Output columns of all dimensions, float64.
        """
        out = torch.empty(int(self.widths[1].sum()), dtype=torch.float64, device=x.device)
        for group in self._outputs.groups:
            own = x[:, group.dims.to(x.device)]
            out[group.columns.to(x.device)] = group.kind.start(own).flatten()
        if self.log_masses is not None:
            masses = [
                log_masses(x[:, dims.to(x.device)], kind.levels).flatten()
                for kind, dims in self._numbers
            ]
            self.log_masses.copy_(torch.cat(masses))
            self._read_scales()
        return out


def _kind(levels: int, ordered: bool, mixture: int, periods: tuple[float, ...]) -> Kind:
    if levels == 2:
        return Bits()
    return Numbers(levels, mixture, periods) if ordered else Categories(levels)


def _columns(widths: Tensor, dims: Sequence[int]) -> Tensor:
    """Indices of the columns of some dimensions, all of one width."""
    some = torch.tensor(dims, device="cpu")
    first = (widths.cumsum(0) - widths)[some]
    return (first[:, None] + torch.arange(int(widths[dims[0]]), device="cpu")).flatten()
