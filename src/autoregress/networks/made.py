"""MADE: Masked Autoencoder for Distribution Estimation (Germain et al., 2015)."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoregress.conditionals import Bernoulli, Categorical, Conditional, from_columns
from autoregress.model import AutoregressiveModel, Member
from autoregress.networks.masked import MaskedLinear, PrefixNorm
from autoregress.orderings import Ordering
from autoregress.symbols import Columns
from autoregress.traversal import Unrolling

ACTIVATIONS = {
    "relu": F.relu,
    "softplus": F.softplus,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
}
Activation = Literal["relu", "softplus", "tanh", "sigmoid", "elu", "gelu", "silu"]
Orderings = int | str | Sequence[Ordering | Sequence[int] | Tensor] | Tensor

# How many members an order-agnostic model ("any") is measured with, unless told otherwise.
DEFAULT_MEMBERS = 8

# Steps to a block of the incremental pass: large enough for matrix products to be worth it, small
# enough for the work within a block to be little.
UNROLL_BLOCK = 32


@dataclass(frozen=True)
class MaskedMember(Member):
    """An ordering, and the degrees of the units of each hidden layer."""

    degrees: tuple[Tensor, ...]


def sample_degrees(
    dims: int, hidden: Sequence[int], *, generator: torch.Generator | None = None
) -> list[Tensor]:
    """The degrees of every hidden unit, a vector for each layer (Algorithm 1).

    m^l(k) ~ Uniform{min m^{l−1}, …, D − 1}, independently. With D = 1 the range is empty: then
    every unit has degree 1 and feeds no output, which is right, as there is nothing to see.
    """
    degrees, lowest = [], 1
    for width in hidden:
        layer = torch.randint(lowest, max(dims, 2), (width,), generator=generator)
        degrees.append(layer)
        lowest = int(layer.min())
    return degrees


class MADE(AutoregressiveModel):
    """An autoencoder masked so that output d sees only what precedes d in an ordering.

    Every hidden unit has a degree (Algorithm 1); layers of any number and width. Trained over
    several orderings it is an ensemble, and completes from any subset of dimensions.

    Args:
        event_shape: shape of one example, or its length D if it is a vector.
        symbols: number of levels K ≥ 2 of every dimension, or one number for each.
        hidden: width of each hidden layer.
        orderings: "natural"; a count of random orderings, which the updates cycle through;
            "any", a fresh one each update (order-agnostic, section 4.2); or explicit
            permutations.
        connectivities: a count of independent draws of the hidden degrees, which the updates
            cycle through, or "any", a fresh draw each update (section 4.3).
        direct: connections from inputs to outputs (eq. 11).
        conditioning: connectivity-conditioning weights (eq. 14).
        activation: nonlinearity of the hidden units.
        residual: the first width is that of a stream; each further width is a block of two
            layers that adds to the stream.
        norm: normalise each hidden layer before its nonlinearity, respecting degrees.
        dropout: probability of dropping a hidden unit in training.
        context: number of features of an optional conditioning vector.
        columns: names and labels of a table's columns.

    The random choices are torch's: ``torch.manual_seed`` before making the model fixes them.
    Orderings and degrees are saved with the weights.

    Raises:
        ValueError: sizes, orderings or names that make no sense.
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        symbols: int | Sequence[int] = 2,
        *,
        hidden: Sequence[int] = (500,),
        orderings: Orderings = "natural",
        connectivities: int | Literal["any"] = 1,
        direct: bool = False,
        conditioning: bool = False,
        activation: Activation = "relu",
        residual: bool = False,
        norm: bool = False,
        dropout: float = 0.0,
        context: int = 0,
        columns: Columns | None = None,
    ) -> None:
        hidden = tuple(hidden)
        super().__init__(
            event_shape,
            symbols,
            context=context,
            columns=columns,
            hidden=hidden,
            orderings=orderings if isinstance(orderings, int | str) else len(orderings),
            connectivities=connectivities,
            direct=direct,
            conditioning=conditioning,
            activation=activation,
            residual=residual,
            norm=norm,
            dropout=dropout,
        )
        if not hidden or min(hidden) < 1:
            raise ValueError(f"hidden needs at least one layer of at least one unit, got {hidden}")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation is one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {dropout}")
        if connectivities != "any" and not (
            isinstance(connectivities, int) and connectivities >= 1
        ):
            raise ValueError(f'connectivities is a count or "any", got {connectivities!r}')
        self._hidden = hidden
        self._activation = ACTIVATIONS[activation]
        self._dropout = dropout
        self._fresh_orderings = isinstance(orderings, str) and orderings == "any"
        self._fresh_connectivities = connectivities == "any"
        # The nodes of the network: which hidden layer's degrees each has. A residual block is
        # two nodes, the second of which is the stream again.
        self._nodes = [0]
        for layer in range(1, len(hidden)):
            self._nodes += [layer, 0] if residual else [layer]
        self._residual = residual

        self._set_orderings(orderings)
        count = connectivities if isinstance(connectivities, int) else DEFAULT_MEMBERS
        self._set_connectivities([sample_degrees(self.dims, hidden) for _ in range(count)])

        width = self.symbols.width
        sizes = [width, *(hidden[node] for node in self._nodes)]
        self.layers = nn.ModuleList(
            MaskedLinear(a, b, conditioning=conditioning, context=context)
            for a, b in pairwise(sizes)
        )
        self.norms = nn.ModuleList(PrefixNorm(n) for n in sizes[1:]) if norm else None
        self.output = MaskedLinear(sizes[-1], width, conditioning=conditioning, context=context)
        self.direct = MaskedLinear(width, width, bias=False) if direct else None
        self.order_agnostic = self._fresh_orderings or len(self.orderings) > 1

    def _set_orderings(self, orderings: Orderings) -> None:
        if isinstance(orderings, str) and orderings == "natural":
            chosen = [Ordering.natural(self.dims)]
        elif isinstance(orderings, str) and orderings == "any":
            chosen = [Ordering.random(self.dims) for _ in range(DEFAULT_MEMBERS)]
        elif isinstance(orderings, str):
            raise ValueError(
                f'orderings is "natural", "any", a count or permutations, got {orderings!r}'
            )
        elif isinstance(orderings, int):
            chosen = [Ordering.random(self.dims) for _ in range(orderings)]
        else:
            chosen = [o if isinstance(o, Ordering) else Ordering(o) for o in orderings]
        if not chosen:
            raise ValueError("a model needs at least one ordering")
        for ordering in chosen:
            if len(ordering) != self.dims:
                raise ValueError(
                    f"an ordering of {self.dims} dimensions needs as many entries, "
                    f"got {len(ordering)}"
                )
        self.orderings: Tensor
        self.register_buffer("orderings", torch.stack([o.visit for o in chosen]))

    def _set_connectivities(self, connectivities: Sequence[Sequence[Tensor]]) -> None:
        for layer, degrees in enumerate(zip(*connectivities, strict=True)):
            self.register_buffer(f"degrees_{layer}", torch.stack(degrees).int())

    # Members

    @property
    def members(self) -> list[MaskedMember]:
        """The pairs that arise when both lists are cycled through side by side."""
        return [self._member(i) for i in range(math.lcm(len(self.orderings), len(self.degrees_0)))]

    def _member(self, index: int) -> MaskedMember:
        visit = self.orderings[index % len(self.orderings)].cpu()
        degrees = (getattr(self, f"degrees_{i}") for i in range(len(self._hidden)))
        return MaskedMember(Ordering(visit), tuple(d[index % len(d)] for d in degrees))

    def ensemble(
        self, orderings: Orderings | None = None, *, connectivities: int | None = None
    ) -> MADE:
        """A model over the same weights (shared, not copied) with other members.

        For a model trained with "any", this is the paper's "no limit" evaluation:
        ``model.ensemble(1000, connectivities=1000)``. Likelihoods are good only for the
        orderings and connectivities that it was trained for.

        Args:
            orderings: as for the constructor; its own by default.
            connectivities: a count of fresh draws; its own by default.
        """
        other = copy.copy(self)
        other._buffers = self._buffers.copy()
        if orderings is not None:
            other._set_orderings(orderings)
        if connectivities is not None:
            draws = [sample_degrees(self.dims, self._hidden) for _ in range(connectivities)]
            other._set_connectivities(draws)
        return other.to(self.device)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        # An ensemble is saved with as many members as it has, not as many as it was made with.
        for name, own in self._buffers.items():
            saved = state_dict.get(prefix + name)
            if own is not None and saved is not None and saved.shape[1:] == own.shape[1:]:
                self._buffers[name] = torch.empty_like(saved, device=own.device)
        super()._load_from_state_dict(state_dict, prefix, *args)

    # The parallel face

    def forward(
        self, x: Tensor, context: Tensor | None = None, member: Member | None = None
    ) -> Conditional:
        return self._parallel(x, context, member or self._member(0))

    def objective(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        step: int = 0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """−log p of the one member whose turn it is, with dropout: (batch,) nats, float64.

        Update ``step`` takes the next of the lists, or a fresh ordering or connectivity where
        the model was made with "any" (sections 4.2 and 4.3).
        """
        member = self._member(step)
        if self._fresh_orderings:
            member = replace(member, ordering=Ordering.random(self.dims, generator=generator))
        if self._fresh_connectivities:
            fresh = sample_degrees(self.dims, self._hidden, generator=generator)
            member = replace(member, degrees=tuple(d.to(self.device) for d in fresh))
        conditional = self._parallel(x, context, member, dropout=self._dropout)
        return -conditional.log_prob(x).flatten(1).sum(1, dtype=torch.float64)

    def _parallel(
        self, x: Tensor, context: Tensor | None, member: Member, *, dropout: float = 0.0
    ) -> Conditional:
        degrees, inputs = self._degrees(member)
        x_columns = self.symbols.one_hot(x.flatten(1), self.output.weight.dtype)
        streams: list[Tensor] = []
        source, source_degrees = x_columns, inputs
        for j, (layer, own) in enumerate(zip(self.layers, degrees, strict=True)):
            z = layer(source, own, source_degrees, context)
            if self._adds_to_stream(j):
                z = z + streams[j - 2]
            streams.append(z)
            h = self._activation(z if self.norms is None else self.norms[j](z, own))
            # Dropout is noise of the training objective; a likelihood never has any.
            source, source_degrees = F.dropout(h, dropout) if dropout else h, own
        columns = self.output(source, inputs - 1, source_degrees, context)
        if self.direct is not None:
            columns = columns + self.direct(x_columns, inputs - 1, inputs, None)
        return from_columns(columns, self.symbols)

    def _adds_to_stream(self, node: int) -> bool:
        return self._residual and node >= 2 and node % 2 == 0

    def _degrees(self, member: Member) -> tuple[list[Tensor], Tensor]:
        """The degrees of each node's units, and m⁰ of each input column (counted from 1)."""
        assert isinstance(member, MaskedMember)
        m0 = (member.ordering.rank + 1).int().repeat_interleave(self.symbols.widths)
        return [member.degrees[node] for node in self._nodes], m0.to(self.device)

    # The incremental face

    def unroll(
        self, batch: int, context: Tensor | None = None, member: Member | None = None
    ) -> Unrolling:
        """Computes a hidden unit once, when the last input that it may see is known.

        Units are taken in order of their degrees and steps in blocks. What a block's units get
        from everything before the block is one matrix product; only what they get from within
        the block is added step by step.
        """
        degrees, m0 = self._degrees(member or self._member(0))
        columns, *nodes = (_ByDegree(own, self.dims) for own in [m0, *degrees])
        layers = [*self.layers, self.output]
        # What the weights of layer i lead to and come from, and what does not depend on x.
        targets, sources = [*nodes, columns], [columns, *nodes]
        offsets = [
            layer.offset(own, source, context)
            for layer, own, source in zip(layers, [*degrees, m0 - 1], [m0, *degrees], strict=True)
        ]
        # The values of every source, in order of degree, filled from the left; and of the
        # stream before its nonlinearity, and the sums that a norm needs.
        values = [self.output.weight.new_zeros(batch, len(source.index)) for source in sources]
        streams = [torch.zeros_like(h) for h in values[1:]]
        sums = [(h.new_zeros(batch, 1), h.new_zeros(batch, 1)) for h in values[1:]]

        for start in range(0, self.dims, UNROLL_BLOCK):
            stop = min(start + UNROLL_BLOCK, self.dims)
            pending, inner = [], []  # (batch, units of the block), (sources, units) of the block
            for i, layer in enumerate(layers):
                before, within = _block(layer, targets[i], sources[i], values[i], start, stop)
                pending.append(before + offsets[i][..., targets[i].between(start, stop)])
                inner.append(within)
            logits = pending[-1]
            if self.direct is not None:
                before, direct = _block(self.direct, columns, columns, values[0], start, stop)
                logits += before
            else:
                direct = None

            for t in range(start, stop):
                a, b = columns.span(start, t)
                symbols = yield _one(logits[:, a:b])
                if t + 1 == self.dims:
                    return
                known = _columns(symbols, b - a, logits.dtype)
                values[0][:, slice(*columns.span(0, t))] = known
                pending[0].addmm_(known, inner[0][a:b])
                if direct is not None:
                    logits[:, b:].addmm_(known, direct[a:b, b:])
                for j, node in enumerate(nodes):
                    a, b = node.span(start, t)
                    if a == b:
                        continue
                    everywhere = slice(*node.span(0, t))
                    z = pending[j][:, a:b]
                    if self._adds_to_stream(j):
                        z = z + streams[j - 2][:, everywhere]
                    streams[j][:, everywhere] = z
                    if self.norms is not None:
                        total, square = sums[j]
                        total += z.sum(1, keepdim=True)
                        square += z.square().sum(1, keepdim=True)
                        units = node.index[everywhere]
                        z = self.norms[j].normalise(z, total, square, node.counts[t + 1], units)
                    h = self._activation(z)
                    values[j + 1][:, everywhere] = h
                    pending[j + 1].addmm_(h, inner[j + 1][a:b])


class _ByDegree:
    """Units sorted by degree, of which ``counts[t]`` have a degree of at most t."""

    def __init__(self, degrees: Tensor, dims: int) -> None:
        ordered, self.index = degrees.sort()
        edges = torch.arange(dims + 1, dtype=ordered.dtype, device=ordered.device)
        self.counts: list[int] = torch.searchsorted(ordered, edges, right=True).tolist()

    def between(self, start: int, stop: int) -> Tensor:
        """The units of degree start + 1 to stop."""
        return self.index[self.counts[start] : self.counts[stop]]

    def span(self, start: int, t: int) -> tuple[int, int]:
        """Where the units of degree t + 1 are, counted from those of degree start + 1."""
        first = self.counts[start]
        return self.counts[t] - first, self.counts[t + 1] - first


def _block(
    layer: nn.Module, target: _ByDegree, source: _ByDegree, values: Tensor, start: int, stop: int
) -> tuple[Tensor, Tensor]:
    """What a block's units get from all sources before it; the weights from those within it."""
    rows = layer.weight.detach()[target.between(start, stop)]
    early = source.between(0, start)
    before = values[:, : len(early)] @ rows[:, early].T
    return before, rows[:, source.between(start, stop)].T.contiguous()


def _one(logits: Tensor) -> Conditional:
    return Bernoulli(logits[:, 0]) if logits.shape[1] == 1 else Categorical(logits)


def _columns(symbols: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    if width == 1:
        return symbols.unsqueeze(1).to(dtype)
    return F.one_hot(symbols.long(), width).to(dtype)
