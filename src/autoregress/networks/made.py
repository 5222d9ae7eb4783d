"""MADE: Masked Autoencoder for Distribution Estimation (Germain et al., 2015, arXiv 1502.03509)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoregress.conditionals import Conditional
from autoregress.configs import Activation, MADEConfig
from autoregress.families import family
from autoregress.model import ONLY_UPDATE, AutoregressiveModel, Member, Update, groups
from autoregress.networks.degrees import ByDegree, ByRow
from autoregress.networks.encoding import Encoding
from autoregress.networks.ends import Ends, Layers, RowEnds, SharedEnds
from autoregress.networks.masked import MaskedLinear, PrefixNorm
from autoregress.orderings import Ordering
from autoregress.symbols import Columns
from autoregress.traversal import Unrolling

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "softplus": F.softplus,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
}
Orderings = int | str | Sequence[Ordering | Sequence[int] | Tensor] | Tensor

# Number of members that evaluate an order-agnostic model ("any") by default.
DEFAULT_MEMBERS = 8

# With evidence, the share of updates with some dimensions first, without and with gaps; with gaps,
# that of updates without an ordering, and of examples in which others hide entries.
PROMOTED, UNORDERED, HIDDEN = (0.5, 0.125), 0.4, 0.25

# Largest number of input or output columns held at once: a quarter of a GiB in float32.
CHUNK = 2**26

# Number of steps per block of the incremental pass: large enough for matrix products to pay off,
# small enough to keep the work within a block low.
UNROLL_BLOCK = 32


@dataclass(frozen=True)
class MaskedMember(Member):
    """An ordering, and the units of each hidden layer by degree.

    Attributes:
        hidden: units of each hidden layer, by degree.
        widths: (D,) numbers of input columns and of output columns of each dimension.
        inputs: input columns by m⁰, the place of their dimension in the ordering.
        outputs: output columns by m⁰; the same object as ``inputs`` if both widths are one object.
    """

    hidden: tuple[ByDegree, ...]
    widths: tuple[Tensor, Tensor]
    inputs: ByDegree | ByRow
    outputs: ByDegree | ByRow

    @classmethod
    def of(
        cls, ordering: Ordering, hidden: tuple[ByDegree, ...], widths: tuple[Tensor, Tensor]
    ) -> Self:
        m0 = ordering.rank + 1
        inputs = _columns(m0, widths[0])
        outputs = inputs if widths[1] is widths[0] else _columns(m0, widths[1])
        return cls(ordering, hidden, widths, inputs, outputs)

    def promote(self, known: Tensor) -> Self:
        return self.of(self.ordering.promote(known), self.hidden, self.widths)

    def rows(self, index: Tensor) -> Self:
        if not self.ordering.by_row:
            return self
        return self.of(self.ordering.rows(index), self.hidden, self.widths)

    @classmethod
    def picked(cls, members: Sequence[Member], chosen: Tensor) -> Iterator[tuple[Member, Tensor]]:
        if not members[0].ordering.by_row:
            yield from super().picked(members, chosen)
            return
        visits = torch.stack([own.ordering.visit for own in members])  # (members, batch, D)
        yield from cls._alike(members, chosen, lambda rows: visits[chosen[rows].cpu(), rows.cpu()])

    @classmethod
    def side_by_side(
        cls, members: Sequence[Member], chosen: Tensor
    ) -> Iterator[tuple[Member, Tensor]]:
        visits = torch.stack([own.ordering.visit for own in members])  # (members, D)
        if (visits == visits[:1]).all():
            yield from cls.picked(members, chosen)
            return
        yield from cls._alike(members, chosen, lambda rows: visits[chosen[rows].cpu()])

    @classmethod
    def _alike(
        cls, members: Sequence[Member], chosen: Tensor, visit: Callable[[Tensor], Tensor]
    ) -> Iterator[tuple[Member, Tensor]]:
        """Members of one connectivity as one, which differ in nothing but their rows' orderings.

        Args:
            visit: the visit orders (n, D) of rows (n,).
        """
        masked = cast(Sequence[Self], members)
        hidden = [own.hidden for own in masked]
        alike = torch.tensor([hidden.index(own) for own in hidden], device=chosen.device)
        for index, rows in groups(alike[chosen]):
            yield cls.of(Ordering(visit(rows)), hidden[index], masked[index].widths), rows

    def apart(self, known: Tensor) -> Self:
        """This member, whose first dimensions are known, with no other seen by any output.

        An m⁰ of the first unknown dimension for all the others gives them all what it sees.
        """
        m0 = (self.ordering.rank + 1).minimum(known.sum(-1, keepdim=True) + 1)
        return replace(self, outputs=_columns(m0, self.widths[1]))

    def map(self, function: Callable[[ByDegree | ByRow], ByDegree | ByRow]) -> Self:
        """The same member with ``function`` applied to its columns."""
        inputs = function(self.inputs)
        outputs = inputs if self.outputs is self.inputs else function(self.outputs)
        return replace(self, inputs=inputs, outputs=outputs)


def _columns(m0: Tensor, widths: Tensor) -> ByDegree | ByRow:
    """The columns of dimensions by their m⁰, (D,), or (rows, D) if it differs between rows."""
    kind = ByRow if m0.dim() == 2 else ByDegree
    return kind(m0.repeat_interleave(widths, -1), m0.shape[-1])


def sample_degrees(
    dims: int, hidden: Sequence[int], *, generator: torch.Generator | None = None
) -> list[Tensor]:
    """The degrees of every hidden unit, a vector for each layer (Algorithm 1).

    m^l(k) ~ Uniform{min m^{l−1}, …, D − 1}, independently. With D = 1 the range is empty: every
    unit then has degree 1 and feeds no output, correctly, since the output has nothing to see.
    """
    degrees, lowest = [], 1
    for width in hidden:
        layer = torch.randint(lowest, max(dims, 2), (width,), generator=generator)
        degrees.append(layer)
        lowest = int(layer.min())
    return degrees


@family
class MADE(AutoregressiveModel):
    """An autoencoder masked so that output d sees only the dimensions before d in an ordering.

    Every hidden unit has a degree (arXiv 1502.03509, Algorithm 1); the number and widths of the
    hidden layers are free. Several orderings make the model an ensemble. Trained over orderings
    ("any", several orderings, or ``evidence``), it completes from any subset of dimensions.

    Args:
        event_shape, symbols, context, labels, columns: as for any
            :class:`~autoregress.model.AutoregressiveModel`.
        **options: the fields of :class:`~autoregress.configs.MADEConfig`. The permutations in
            ``orderings`` may also be tensors or :class:`Ordering` objects.

    Torch's generator makes the random choices: ``torch.manual_seed`` before constructing the
    model fixes them. Orderings and degrees are saved with the weights.

    Raises:
        ValueError: invalid sizes, orderings or names.

    Example:
        >>> model = ar.MADE(6, symbols=3, hidden=(32,), orderings="any")
        >>> x = torch.zeros(4, 6, dtype=torch.int64)
        >>> known = torch.tensor([False, True, False, True, False, True])
        >>> model.log_prob(x).shape, model.complete(x, known).shape
        (torch.Size([4]), torch.Size([4, 6]))
    """

    Config = MADEConfig
    config: MADEConfig
    advice = "train one with evidence=True, which completes from any subset"

    def __init__(
        self,
        event_shape: int | Sequence[int],
        symbols: int | Sequence[int] = 2,
        *,
        context: int = 0,
        labels: Sequence[str] | None = None,
        columns: Columns | None = None,
        **options: Any,
    ) -> None:
        orderings: Orderings = options.get("orderings", MADEConfig.orderings)
        if not isinstance(orderings, int | str):
            options["orderings"] = [_ordering(o).visit.tolist() for o in orderings]
        super().__init__(
            event_shape, symbols, context=context, labels=labels, columns=columns, **options
        )
        config = self.config
        hidden, conditioning, connectivities = (
            config.hidden,
            config.conditioning,
            config.connectivities,
        )
        self._activation = ACTIVATIONS[config.activation]
        self._fresh_orderings = isinstance(orderings, str) and orderings == "any"
        self._fresh_connectivities = connectivities == "any"
        # The hidden layer whose degrees each node of the network has. A residual block is two
        # nodes, the second of which returns to the stream.
        self.nodes = [0]
        for layer in range(1, len(hidden)):
            self.nodes += [layer, 0] if config.residual else [layer]

        if len(config.periods) not in (0, self.dims):
            raise ValueError(
                f"periods has {len(config.periods)} entries for {self.dims} dimensions; give one "
                "for each, empty for those without"
            )
        self.encoding = Encoding(self.symbols, config.mixture, config.periods)
        self._set_orderings(config.orderings)
        self._set_connectivities(
            connectivities if isinstance(connectivities, int) else DEFAULT_MEMBERS
        )

        inputs, outputs = (int(widths.sum()) for widths in self.encoding.widths)
        self.chunk_rows = max(1, min(self.chunk_rows, CHUNK // max(inputs, outputs)))
        sizes = [inputs, *(hidden[node] for node in self.nodes)]
        # The rows of W are the input or output columns, the side whose order changes.
        self.layers = nn.ModuleList(
            MaskedLinear(a, b, by_source=i == 0, conditioning=conditioning, context=self.context)
            for i, (a, b) in enumerate(pairwise(sizes))
        )
        self.norms = nn.ModuleList(PrefixNorm(n) for n in sizes[1:]) if config.norm else None
        self.output = MaskedLinear(
            sizes[-1], outputs, strict=True, conditioning=conditioning, context=self.context
        )
        nn.init.zeros_(self.output.bias)  # until ``start_from`` sets it from data
        self.direct = (
            MaskedLinear(inputs, outputs, strict=True, bias=False) if config.direct else None
        )
        for layer in (self.output, self.direct):
            if layer is not None:  # ordered levels: narrow components magnify noise
                layer.weight.data[self.encoding.numeric] = 0
        self.order_agnostic = self._fresh_orderings or config.evidence or len(self.orderings) > 1
        self.row_orderings = self.order_agnostic

    @torch.no_grad()
    def start_from(self, x: Tensor) -> None:
        masses = self.encoding.log_masses
        if not self.output.bias.any() and (masses is None or not masses.any()):
            self.output.bias.copy_(self.encoding.start(x.flatten(1)))

    def _set_orderings(self, orderings: Orderings) -> None:
        if isinstance(orderings, str) and orderings == "natural":
            chosen = [Ordering.natural(self.dims)]
        elif isinstance(orderings, str) and orderings == "any":
            chosen = [Ordering.random(self.dims) for _ in range(DEFAULT_MEMBERS)]
        elif isinstance(orderings, str):
            raise ValueError(
                f'orderings must be "natural", "any", a count or permutations, got {orderings!r}'
            )
        elif isinstance(orderings, int):
            chosen = [Ordering.random(self.dims) for _ in range(orderings)]
        else:
            chosen = [_ordering(o) for o in orderings]
        if not chosen:
            raise ValueError("a model needs at least one ordering")
        for ordering in chosen:
            if len(ordering) != self.dims:
                raise ValueError(
                    f"an ordering must have an entry for each of the {self.dims} dimensions, "
                    f"got {len(ordering)}"
                )
        self.orderings: Tensor
        self.register_buffer("orderings", torch.stack([o.visit for o in chosen]))
        self._read_orderings()

    def _set_connectivities(self, count: int) -> None:
        draws = [sample_degrees(self.dims, self.config.hidden) for _ in range(count)]
        for layer, degrees in enumerate(zip(*draws, strict=True)):
            stack = torch.stack(degrees).int()
            # Units are interchangeable: numbering the units of a single connectivity by degree
            # saves rearranging them.
            self.register_buffer(f"degrees_{layer}", stack.sort(1).values if count == 1 else stack)
        self._read_connectivities()

    @property
    def _degrees(self) -> list[Tensor]:
        """The degrees of each hidden layer, (connectivities, units), int32."""
        return [self.get_buffer(f"degrees_{i}") for i in range(len(self.config.hidden))]

    # Members. They are kept beside the buffers that define them: reading them requires sorting, and
    # lists on the host, for which the program would have to wait for the device.

    def _read_orderings(self) -> None:
        widths = self.encoding.widths
        # Cloned, since buffers may be written to.
        each = [
            MaskedMember.of(Ordering(visit), (), widths) for visit in self.orderings.cpu().clone()
        ]
        device = self.orderings.device
        self._ordered = [own.map(lambda columns: columns.to(device)) for own in each]

    def _read_connectivities(self) -> None:
        self._connected = [self._by_degree(each) for each in zip(*self._degrees, strict=True)]

    def _by_degree(self, degrees: Iterable[Tensor]) -> tuple[ByDegree, ...]:
        return tuple(ByDegree(d.cpu(), self.dims).to(self.orderings.device) for d in degrees)

    @property
    def members(self) -> list[MaskedMember]:
        """The pairs from cycling through orderings and connectivities side by side."""
        return [self._member(i) for i in range(math.lcm(len(self._ordered), len(self._connected)))]

    def _member(self, index: int) -> MaskedMember:
        own = self._ordered[index % len(self._ordered)]
        hidden = self._connected[index % len(self._connected)]
        return replace(own, hidden=hidden)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        self._ordered = [own.map(lambda columns: columns.map(fn)) for own in self._ordered]
        self._connected = [tuple(each.map(fn) for each in layers) for layers in self._connected]
        return self

    def over_orderings(self, count: int) -> AutoregressiveModel:
        return self.ensemble(count) if self._fresh_orderings else super().over_orderings(count)

    def ensemble(
        self, orderings: Orderings | None = None, *, connectivities: int | None = None
    ) -> MADE:
        """A model with other members over the same weights (shared, not copied).

        For a model trained with "any", ``model.ensemble(1000)`` is the paper's "no limit"
        evaluation. Likelihoods are good only for orderings and connectivities that the model was
        trained for.

        Args:
            orderings: as for the constructor; the model's own by default.
            connectivities: number of fresh draws; by default the model's own connectivities or,
                if new orderings are given and it was trained with "any" connectivity, one draw
                for each ordering.
        """
        other = copy.copy(self)
        other._buffers = self._buffers.copy()
        if orderings is not None:
            other._set_orderings(orderings)
            if connectivities is None and self._fresh_connectivities:
                connectivities = len(other.orderings)
        if connectivities is not None:
            other._set_connectivities(connectivities)
        return other.to(self.device)

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Tensor],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        # A saved ensemble has its current number of members, not the number it was made with.
        for name, own in self._buffers.items():
            saved = state_dict.get(prefix + name)
            if own is not None and saved is not None and saved.shape[1:] == own.shape[1:]:
                self._buffers[name] = torch.empty_like(saved, device=own.device)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        self._read_orderings()
        self._read_connectivities()

    # The parallel face

    def forward(
        self, x: Tensor, context: Tensor | None = None, member: Member | None = None
    ) -> Conditional:
        return self.encoding.conditional(self._parallel(x, context, member or self._member(0)))

    def objective(
        self, x: Tensor, context: Tensor | None = None, update: Update = ONLY_UPDATE
    ) -> Tensor:
        """−log p under one member, with dropout: (batch,) nats, float64.

        Each update uses the next ordering and connectivity of the lists, or a fresh one where the
        model was made with "any" (order- and connectivity-agnostic training). With ``evidence``, a
        random subset of dimensions moves to the front with probability 1/2. With ``gaps`` as well,
        40 % of the updates instead hide a random share of each example's entries, and take −log p
        of each hidden entry given those that are shown. All examples of an update share these
        choices, whichever part or process holds them.
        """
        generator, evidence = update.generator, self.config.evidence
        if evidence and self.config.gaps and float(torch.rand((), generator=generator)) < UNORDERED:
            return self._nats_of_hidden(x, context, update)
        member: MaskedMember = self._member(update.step)
        if self._fresh_orderings:
            ordering = Ordering.random(self.dims, generator=generator)
            member = MaskedMember.of(ordering, member.hidden, member.widths)
        promoted = PROMOTED[self.config.gaps]
        if evidence and float(torch.rand((), generator=generator)) < promoted:
            member = member.promote(_random_subset(self.dims, generator))
        if self._fresh_connectivities:
            fresh = sample_degrees(self.dims, self.config.hidden, generator=generator)
            member = replace(member, hidden=self._by_degree(fresh))
        shown = x
        if evidence and self.config.gaps:
            shown = x.masked_fill(self._hidden(x, update, HIDDEN), -1)
        conditional = self.encoding.conditional(
            self._parallel(shown, context, member, dropout=self.config.dropout)
        )
        return self._nats(conditional, x).flatten(1).sum(1, dtype=torch.float64)

    def _nats_of_hidden(self, x: Tensor, context: Tensor | None, update: Update) -> Tensor:
        """−log p of hidden entries, each given the others alone, summed: (batch,) nats.

        The order-agnostic objective of Uria et al. (2014, arXiv 1310.1757), sec. 3, with
        examples weighted by the number of their hidden entries.
        """
        hidden = self._hidden(x, update, 1.0)
        columns = self._parallel(
            x.masked_fill(hidden, -1), context, self._unordered, dropout=self.config.dropout
        )
        nats = self._nats(self.encoding.conditional(columns), x.masked_fill(~hidden, -1))
        return nats.flatten(1).sum(1, dtype=torch.float64)

    def _hidden(self, x: Tensor, update: Update, part: float) -> Tensor:
        """The entries to hide, of the shape of x: a random share of those of a part of the rows."""
        total = len(x) if update.total is None else update.total
        chosen, share, entry = (
            torch.rand(total, n, generator=update.generator) for n in (1, 1, self.dims)
        )
        hidden = (chosen < part) & (entry < share)
        if update.places is not None:
            hidden = hidden[update.places.cpu()]
        return hidden.to(x.device).view(x.shape)

    @property
    def _unordered(self) -> MaskedMember:
        """The network without an ordering: every output sees all entries that are inputs."""
        own, m0 = self._member(0), torch.ones(self.dims, dtype=torch.int64)
        inputs, outputs = _columns(m0, own.widths[0]), _columns(m0 * self.dims, own.widths[1])
        return replace(own, inputs=inputs, outputs=outputs).map(
            lambda columns: columns.to(self.device)
        )

    def given_known(
        self, x: Tensor, dims: Iterable[int], context: Tensor | None = None
    ) -> list[Conditional]:
        """The conditionals (batch,) of some dimensions given the entries that are not −1.

        For models with ``gaps`` and ``evidence``, in one pass; those of known dimensions are of no
        use, as they depend on their own entries.
        """
        columns = self._parallel(x, context, self._unordered)
        return [self.encoding.conditional_one(dim, columns) for dim in dims]

    def forward_given(
        self, x: Tensor, known: Tensor, context: Tensor | None, member: Member
    ) -> Conditional:
        if not self.order_agnostic:
            return super().forward_given(x, known, context, member)
        if self.config.gaps and self.config.evidence:
            x = x.where(known.to(x.device), -1)
            return self.encoding.conditional(self._parallel(x, context, self._unordered))
        assert isinstance(member, MaskedMember)
        columns = self._parallel(x, context, member.apart(known.cpu()))
        return self.encoding.conditional(columns)

    def _parallel(
        self, x: Tensor, context: Tensor | None, member: Member, *, dropout: float = 0.0
    ) -> Tensor:
        """The output columns of all dimensions, in their own order."""
        inputs, nodes, outputs = self._sides(member)
        x_columns = inputs.sort(self.encoding.encode(x.flatten(1), self.output.weight.dtype))
        streams: list[Tensor] = []
        h, source = x_columns, inputs
        for j, (layer, node) in enumerate(zip(self.layers, nodes, strict=True)):
            z = layer(h, source, node, context)
            if self._adds_to_stream(j):
                z = z + streams[j - 2]
            streams.append(z)
            h = self._activation(z if self.norms is None else self.norms[j](z, node))
            # Dropout is noise in the training objective; likelihoods never use it.
            h, source = F.dropout(h, dropout) if dropout else h, node
        columns = self.output(h, source, outputs, context)
        if self.direct is not None:
            columns = columns + self.direct(x_columns, inputs, outputs)
        return outputs.unsort(columns)

    def _adds_to_stream(self, node: int) -> bool:
        return self.config.residual and node >= 2 and node % 2 == 0

    def _sides(self, member: Member) -> tuple[ByDegree | ByRow, list[ByDegree], ByDegree | ByRow]:
        """Input columns by m⁰, units of each node by degree, and output columns by m⁰."""
        assert isinstance(member, MaskedMember)
        own = member.map(lambda columns: columns.to(self.device))
        hidden = [units.to(self.device) for units in member.hidden]
        return own.inputs, [hidden[node] for node in self.nodes], own.outputs

    # The incremental face

    def unroll(
        self, batch: int, context: Tensor | None = None, member: Member | None = None
    ) -> Unrolling:
        """Computes each hidden unit once, when the last input that it may see is known.

        It visits units in order of degree, and steps in blocks. One matrix product gives a block's
        units everything from before the block; contributions from within the block are added step
        by step.
        """
        member = member or self._member(0)
        ends, nodes = self._ends(member, batch, context), self._sides(member)[1]
        # Layer j leads from node j − 1 to node j, but for the first.
        inner = [cast(MaskedLinear, layer) for layer in self.layers[1:]]
        layers = list(zip(inner, nodes[:-1], nodes[1:], strict=True))
        offsets = [layer.offset(source, target, context) for layer, source, target in layers]
        # The values of every node, filled from the left as they become known; the streams before
        # their nonlinearity; and the running sums for the norms.
        values = [self.output.weight.new_zeros(batch, len(node)) for node in nodes]
        streams = [torch.zeros_like(h) for h in values]
        sums = [(h.new_zeros(batch, 1), h.new_zeros(batch, 1)) for h in values]

        for start in range(0, self.dims, UNROLL_BLOCK):
            stop = min(start + UNROLL_BLOCK, self.dims)
            ends.start_block(start, stop)
            # The sums of the block's units so far, and the weights from sources in the block.
            pending, weights = [], []
            for (layer, source, target), known, offset in zip(
                layers, values[:-1], offsets, strict=True
            ):
                before, within = layer.block(known, source, target, start, stop)
                pending.append(before + offset[..., target.span(start, stop)])
                weights.append(within)

            for t in range(start, stop):
                symbols = yield ends.conditional(t)
                if t + 1 == self.dims:
                    return
                entered = ends.enter(t, symbols)
                for j, node in enumerate(nodes):
                    # Here ``own`` is a span within the block and ``place`` one among all.
                    own, place = node.span(t, t + 1, start), node.span(t, t + 1)
                    if own.start == own.stop:
                        continue
                    z = entered if j == 0 else pending[j - 1][:, own]
                    if self._adds_to_stream(j):
                        z = z + streams[j - 2][:, place]
                    streams[j][:, place] = z
                    if self.norms is not None:
                        total, square = sums[j]
                        total += z.sum(1, keepdim=True)
                        square += z.square().sum(1, keepdim=True)
                        count = node.counts[t + 1]
                        norm = cast(PrefixNorm, self.norms[j])
                        z = norm.normalise(z, total, square, count, node, place)
                    h = self._activation(z)
                    values[j][:, place] = h
                    if j + 1 < len(nodes):
                        pending[j].addmm_(h, weights[j][own])
                    else:
                        ends.leave(t, h)

    def _ends(self, member: Member, batch: int, context: Tensor | None) -> Ends:
        inputs, nodes, outputs = self._sides(member)
        first = cast(MaskedLinear, self.layers[0])
        layers = Layers(self.encoding, first, self.output, self.direct, nodes[0], nodes[-1])
        if isinstance(inputs, ByRow) and isinstance(outputs, ByRow):
            visit = member.ordering.visit.to(self.device)
            return RowEnds(layers, batch, context, visit, inputs, outputs)
        assert isinstance(inputs, ByDegree)
        assert isinstance(outputs, ByDegree)
        return SharedEnds(layers, batch, context, member.ordering.visit.tolist(), inputs, outputs)


def _ordering(visit: Ordering | Sequence[int] | Tensor) -> Ordering:
    return visit if isinstance(visit, Ordering) else Ordering(visit)


def _random_subset(dims: int, generator: torch.Generator | None) -> Tensor:
    """(D,) bool: a subset of uniformly drawn size, and uniform given its size."""
    size = int(torch.randint(dims + 1, (), generator=generator))
    return torch.randperm(dims, generator=generator) < size
