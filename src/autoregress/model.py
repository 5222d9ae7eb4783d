"""What every family offers once it has the two faces: measure, sample, complete."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, overload

import numpy as np
import torch
from torch import Tensor, nn

from autoregress.conditionals import Conditional
from autoregress.orderings import Ordering
from autoregress.symbols import Columns, Symbols, as_tensor
from autoregress.traversal import Choose, Unrolling, traverse

Array = Tensor | np.ndarray


@dataclass(frozen=True)
class Member:
    """One exact factorisation p(x) = ∏ p(xᵢ | what comes before i in ``ordering``)."""

    ordering: Ordering

    def promote(self, known: Tensor) -> Self:
        """This member with the known dimensions (D,) bool visited first."""
        return replace(self, ordering=self.ordering.promote(known))


@dataclass(frozen=True)
class Update:
    """An update of the weights, as far as an objective may depend on it.

    Attributes:
        step: its number, from 0.
        generator: on the CPU; torch's own by default.
        places: (batch,) of the given examples among all of the update; by default 0, 1, ….
        total: number of examples of the update; by default there are no others.
    """

    step: int = 0
    generator: torch.Generator | None = None
    places: Tensor | None = None
    total: int | None = None


ONLY_UPDATE = Update()


class AutoregressiveModel(nn.Module, ABC):
    """A distribution over integer events, the equal mixture of its members.

    A family implements the two faces, :meth:`forward` and :meth:`unroll`, and says which
    ``members`` it has: a fixed-order family has one, an ensemble over orderings several.
    p(x) is the mean of the members' probabilities (never of their logits).

    Args:
        event_shape: shape of one example, or its length if it is a vector.
        symbols: number of levels K ≥ 2 of all D dimensions, or of each.
        context: number of features of the optional conditioning vector, 0 for none.
        columns: names and labels of a table's columns, kept with the model.
        options: the family's own settings, kept so that ``load`` can rebuild it.
    """

    # Whether its members were trained for orderings at large, so that one may be rearranged.
    order_agnostic: bool = False
    # Rows that are measured at once.
    piece: int = 1024

    def __init__(
        self,
        event_shape: int | Sequence[int],
        symbols: int | Sequence[int],
        *,
        context: int = 0,
        columns: Columns | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        shape = (event_shape,) if isinstance(event_shape, int) else tuple(event_shape)
        self.symbols = Symbols(shape, symbols, columns)
        self.context = context
        self.options = options

    @property
    @abstractmethod
    def members(self) -> Sequence[Member]:
        """The members of the mixture, at least one."""

    @abstractmethod
    def forward(
        self, x: Tensor, context: Tensor | None = None, member: Member | None = None
    ) -> Conditional:
        """The conditionals of all symbols of x (batch, *event_shape), in one parallel pass.

        Those of a dimension depend on what its member visits before it, and on nothing else.
        The first member by default. Whatever an array of symbols was made of, x is int64.
        """

    @abstractmethod
    def unroll(
        self, batch: int, context: Tensor | None = None, member: Member | None = None
    ) -> Unrolling:
        """The same conditionals, one position at a time, each piece of arithmetic done once."""

    @torch.no_grad()
    def traverse(
        self,
        choose: Choose,
        batch: int,
        *,
        context: Tensor | None = None,
        member: Member | None = None,
    ) -> Tensor:
        """Visits every dimension in order and lets ``choose`` say which symbols go there.

        Args:
            choose: given a dimension (its place in the flattened event) and the conditional of
                the ``batch`` symbols there, returns the symbols, (batch,) integer.
            member: the member whose ordering is followed; the first by default.

        Returns:
            The chosen symbols, (batch, *event_shape) int64.
        """
        member = member or self.members[0]
        x = traverse(self.unroll(batch, context, member), member.ordering, choose)
        return x.view(batch, *self.event_shape)

    def objective(
        self, x: Tensor, context: Tensor | None = None, update: Update = ONLY_UPDATE
    ) -> Tensor:
        """What training minimises: nats of each example, (batch,), float64.

        −log p here; a family may return a cheaper or noisier stand-in. What is random in it is
        drawn for the whole update, by a generator that is as it was at the update's start, and an
        example takes what falls to its place: so it does not matter in how many parts, or by how
        many processes, the examples of an update are taken.

        Args:
            x: int64 symbols (batch, *event_shape), all or some of the examples of an update.
            context: (batch, context) if the model takes one.
            update: the update of the weights that this is part of.
        """
        return -self.log_prob(x, context)

    @property
    def arguments(self) -> dict[str, Any]:
        """What its family makes it of; models among them, ``save`` writes too."""
        columns = self.symbols.columns
        return {
            "event_shape": self.event_shape,
            "symbols": self.symbols.compact,
            "context": self.context,
            **({} if columns is None else {"columns": columns}),
            **self.options,
        }

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.symbols.event_shape

    @property
    def dims(self) -> int:
        """D, the number of symbols of an event; channels count."""
        return self.symbols.dims

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    # Measuring

    def log_prob(self, x: Array, context: Tensor | None = None) -> Tensor:
        """log p(x) in nats, at most 0.

        Args:
            x: integer symbols (batch, *event_shape).
            context: (batch, context) if the model takes one.

        Returns:
            (batch,) float64.

        Raises:
            ValueError: wrong shape, dtype or symbols.
        """
        parts = [-s.flatten(1).sum(1) for s in self.member_surprisals(x, context)]
        return self._mixture_log_prob(parts)

    def surprisal(self, x: Array, context: Tensor | None = None) -> Tensor:
        """Nats of surprise at each dimension, (batch, *event_shape) float64; sums to −log p(x).

        With one member it is −log p(xᵢ | what precedes i). With several it is the mean of
        theirs, weighted by the members' posterior given x, and the divergence of those weights
        from equal ones is spread evenly over the dimensions (at most log(members) in all).

        Raises:
            ValueError: wrong shape, dtype or symbols.
        """
        parts = torch.stack(self.member_surprisals(x, context))  # (members, batch, *event_shape)
        posterior = (-parts.flatten(2).sum(2)).log_softmax(0)
        weights = posterior.exp()
        # Σ w log(w / (1/n)), where 0 log 0 = 0.
        divergence = (torch.special.entr(weights).neg() + weights * math.log(len(parts))).sum(0)
        ones = (1,) * len(self.event_shape)
        mean = (parts * weights.view(*weights.shape, *ones)).sum(0)
        return mean + divergence.view(-1, *ones) / self.dims

    def member_surprisals(self, x: Array, context: Tensor | None = None) -> list[Tensor]:
        """Of each member, nats of surprise at each dimension: (batch, *event_shape) float64.

        Raises:
            ValueError: wrong shape, dtype or symbols.
        """
        x, context = self._checked(x, context)
        return [self._member_surprisal(x, context, m) for m in self.members]

    def _member_surprisal(self, x: Tensor, context: Tensor | None, member: Member) -> Tensor:
        """(batch, *event_shape) float64: sums over dimensions are taken in float64.

        In pieces, so that memory does not grow with the number of rows.
        """
        pieces = x.split(self.piece)
        contexts = [None] * len(pieces) if context is None else context.split(self.piece)
        return torch.cat(
            [
                -self.forward(piece, part, member).log_prob(piece).double()
                for piece, part in zip(map(Tensor.long, pieces), contexts, strict=True)
            ]
        )

    @staticmethod
    def _mixture_log_prob(parts: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(parts)).logsumexp(0) - math.log(len(parts))

    # Drawing

    @torch.no_grad()
    def sample(
        self,
        count: int,
        context: Tensor | None = None,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draws of the model, (count, *event_shape) int64.

        Each draw picks one member at random and follows it.

        Args:
            context: (count, context) if the model takes one.
            temperature: each symbol is drawn from p^(1 / temperature), normalised: below 1 there
                are fewer unlikely ones. That is another distribution than the model's, and no
                likelihood of the model's speaks of it.
            generator: on the model's device; torch's own by default.

        Raises:
            ValueError: a count below 1, or a temperature that is not above 0.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        context = self._checked_context(context, count)
        members = self.members
        chosen = torch.randint(len(members), (count,), generator=generator, device=self.device)
        out = torch.empty(count, *self.event_shape, dtype=torch.int64, device=self.device)
        for index, rows in groups(chosen):
            part = None if context is None else context[rows]
            choose = _draw(generator, temperature)
            out[rows] = self.traverse(choose, len(rows), context=part, member=members[index])
        return out

    @overload
    def complete(
        self,
        x: Array,
        known: Array,
        context: Tensor | None = None,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        return_log_prob: Literal[False] = False,
    ) -> Tensor: ...

    @overload
    def complete(
        self,
        x: Array,
        known: Array,
        context: Tensor | None = None,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        return_log_prob: Literal[True],
    ) -> tuple[Tensor, Tensor]: ...

    @torch.no_grad()
    def complete(
        self,
        x: Array,
        known: Array,
        context: Tensor | None = None,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        return_log_prob: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Draws the unknown symbols from p(unknown | known), exactly.

        Exact because what is known comes first in the ordering. Where it does not, a model
        that was trained over orderings is asked in its members' orderings with the known
        dimensions moved to the front; any other model refuses.

        Args:
            x: integer symbols (batch, *event_shape); those not known may be anything.
            known: bool, (*event_shape) or (batch, *event_shape).
            temperature: as in :meth:`sample`; only with 1 are the draws exact.
            return_log_prob: also return log p(unknown | known) in nats of what was drawn,
                (batch,) float64; the model's, whatever the temperature.

        Returns:
            (batch, *event_shape) int64, equal to x where known.

        Raises:
            ValueError: wrong shape, dtype or symbols, a temperature that is not above 0, or a
                set that this model cannot condition on.
        """
        x, known = self._checked_known(x, known)
        x, context = self._checked(x.where(known, 0), context)
        out, log_prob = x.clone(), torch.zeros(len(x), dtype=torch.float64, device=self.device)
        for rows, mask, members in self._by_known(known):
            part = None if context is None else context[rows]
            given = self._given(x[rows], mask, part, members)
            out[rows] = self._complete(x[rows], mask, part, members, given, temperature, generator)
            if return_log_prob:
                all_known = torch.ones_like(mask)
                everything = self._given(out[rows], all_known, part, members)
                log_prob[rows] = everything.logsumexp(0) - given.logsumexp(0)
        return (out, log_prob) if return_log_prob else out

    def conditional_log_prob(self, x: Array, known: Array, context: Tensor | None = None) -> Tensor:
        """log p(what is not known | what is) of an event, as :meth:`complete` draws it.

        Args:
            x: integer symbols (batch, *event_shape).
            known: bool, (*event_shape) or (batch, *event_shape).

        Returns:
            (batch,) float64, nats.

        Raises:
            ValueError: as for :meth:`complete`.
        """
        x, context = self._checked(x, context)
        x, known = self._checked_known(x, known)
        parts = []
        groups = self._by_known(known)
        for rows, mask, members in groups:
            part = None if context is None else context[rows]
            given = self._given(x[rows], mask, part, members)
            everything = self._given(x[rows], torch.ones_like(mask), part, members)
            parts.append(everything.logsumexp(0) - given.logsumexp(0))
        order = torch.cat([rows for rows, _, _ in groups]).argsort()
        return torch.cat(parts)[order]

    def _by_known(self, known: Tensor) -> list[tuple[Tensor, Tensor, list[Member]]]:
        """Rows that share a known set, that set (D,), and the members with it first."""
        masks, which = known.flatten(1).unique(dim=0, return_inverse=True)
        return [
            (rows, masks[index], self._members_given(masks[index])) for index, rows in groups(which)
        ]

    def _members_given(self, known: Tensor) -> list[Member]:
        """The members, each with the known dimensions (D,) first in its ordering."""
        known = known.cpu()
        if not self.order_agnostic:
            for member in self.members:
                if not member.ordering.is_prefix(known):
                    raise ValueError(self._refusal(member.ordering, known))
        return [m.promote(known) for m in self.members]

    def _refusal(self, ordering: Ordering, known: Tensor) -> str:
        count = int(known.sum())
        first_gap = int((~known[ordering.visit]).int().argmax())
        name = self.symbols.name
        return (
            f"this model visits its dimensions in a fixed order, so it conditions exactly only "
            f"on the first of them: {name(int(ordering.visit[first_gap]))} is unknown but "
            f"comes before some of the {count} known ones. Give the first n of its "
            f"ordering ({name(int(ordering.visit[0]))}, …), or use a model trained over "
            f"orderings, such as ar.MADE(…, evidence=True), which completes from any subset"
        )

    def _complete(
        self,
        x: Tensor,
        known: Tensor,
        context: Tensor | None,
        members: Sequence[Member],
        given: Tensor,
        temperature: float,
        generator: torch.Generator | None,
    ) -> Tensor:
        """Completes rows that share a known set (D,), by log p(known) of each member."""
        # A member's weight is its posterior: what is known speaks for some more than for others.
        chosen = torch.multinomial(given.softmax(0).T, 1, generator=generator).squeeze(1)
        out = torch.empty_like(x)
        clamp = dict(zip(known.nonzero().flatten().tolist(), x.flatten(1)[:, known].T, strict=True))
        for index, rows in groups(chosen):
            part = None if context is None else context[rows]
            values = {position: symbols[rows] for position, symbols in clamp.items()}
            choose = _draw(generator, temperature, values)
            out[rows] = self.traverse(choose, len(rows), context=part, member=members[index])
        return out

    def _given(
        self, x: Tensor, part: Tensor, context: Tensor | None, members: Sequence[Member]
    ) -> Tensor:
        """(members, batch): log p of the dimensions in ``part``, which come first in each."""
        surprisals = [self._member_surprisal(x, context, m).flatten(1) for m in members]
        return -torch.stack([s[:, part].sum(1) for s in surprisals])

    # Input

    def _checked_known(self, x: Array, known: Array) -> tuple[Tensor, Tensor]:
        """Both on the model's device, of shape (batch, *event_shape); x is int64."""
        x = as_tensor(x).to(self.device)
        known = as_tensor(known).to(self.device)
        self.symbols.check_shape(x)
        if known.dtype != torch.bool:
            raise ValueError(f"known must be of dtype bool, got {known.dtype}")
        if known.shape not in (x.shape, self.event_shape):
            raise ValueError(
                f"known must have the shape of x {tuple(x.shape)} or of one event "
                f"{self.event_shape}, got {tuple(known.shape)}"
            )
        return x.long(), known.expand(x.shape)

    def _checked(self, x: Array, context: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = as_tensor(x).to(self.device)
        self.symbols.check(x)
        return x, self._checked_context(context, len(x))

    def _checked_context(self, context: Tensor | None, batch: int) -> Tensor | None:
        if (context is None) != (self.context == 0):
            raise ValueError(
                f"this model takes a context of shape (batch, {self.context}), got none"
                if context is None
                else "this model takes no context"
            )
        if context is None:
            return None
        context = as_tensor(context).to(self.device)
        if context.shape != (batch, self.context):
            raise ValueError(
                f"context must have shape ({batch}, {self.context}), got {tuple(context.shape)}"
            )
        return context.to(next(self.parameters()).dtype)


def groups(index: Tensor) -> list[tuple[int, Tensor]]:
    """Each value in ``index`` (batch,) with the rows that hold it."""
    return [(int(value), (index == value).nonzero().flatten()) for value in index.unique()]


def _draw(
    generator: torch.Generator | None,
    temperature: float,
    known: dict[int, Tensor] | None = None,
) -> Choose:
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    known = known or {}

    def choose(position: int, conditional: Conditional) -> Tensor:
        symbols = known.get(position)
        if symbols is not None:
            return symbols
        if temperature != 1:
            conditional = conditional.tempered(temperature)
        return conditional.sample(generator)

    return choose
