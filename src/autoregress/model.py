"""What every family offers once it implements the two faces: measuring, sampling, completing."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self, overload

import numpy as np
import torch
from torch import Tensor, nn

from autoregress.conditionals import Conditional
from autoregress.configs import NoOptions
from autoregress.orderings import Ordering
from autoregress.symbols import Columns, Symbols, as_tensor
from autoregress.traversal import Choose, OnProgress, Unrolling, counter, traverse

Array = Tensor | np.ndarray


@dataclass(frozen=True)
class Member:
    """One exact factorisation p(x) = ∏ p(xᵢ | all that comes before i in ``ordering``)."""

    ordering: Ordering

    def promote(self, known: Tensor) -> Self:
        """This member with the known dimensions (D,) bool visited first."""
        return replace(self, ordering=self.ordering.promote(known))


@dataclass(frozen=True)
class Update:
    """An update of the weights, as far as an objective may depend on it.

    Attributes:
        step: its number, from 0.
        generator: generator on the CPU; by default torch's own.
        places: (batch,), places of the given examples among all those of the update; by default
            0, 1, ….
        total: number of examples of the update; by default the given ones are all.
    """

    step: int = 0
    generator: torch.Generator | None = None
    places: Tensor | None = None
    total: int | None = None


ONLY_UPDATE = Update()

# Logits divided by a lower temperature, or multiplied by it, are no longer numbers of float32.
COLDEST = 1e-30


class AutoregressiveModel(nn.Module, ABC):
    """A distribution over integer events, the mixture of its members.

    A family implements the two faces, :meth:`forward` and :meth:`unroll`, and lists its
    ``members``: a fixed-order family has one, an ensemble over orderings several. p(x) is the
    mean of the members' probabilities (never of their logits), with equal weights unless the
    family defines other ``log_weights``.

    Args:
        event_shape: shape of one example, or its length D if it is a vector.
        symbols: number of levels K ≥ 2 of every dimension, or one number for each.
        context: number of features of the optional conditioning vector, 0 for none.
        labels: names of the features of the context, if it is a one-hot label.
        columns: names and labels of a table's columns.
        **options: the options of the family, the fields of its ``Config``.

    Attributes:
        config: the options, an instance of ``Config``.

    Raises:
        ValueError: invalid sizes or options.
        TypeError: there is no such option.
    """

    Config: ClassVar[type[Any]] = NoOptions
    """The frozen dataclass of the family's options."""

    # Whether its members were trained over all orderings, so that any ordering may be rearranged.
    order_agnostic: bool = False
    # Number of rows measured at once.
    chunk_rows: int = 1024
    # Advice for a set of known dimensions that a fixed order cannot condition on.
    advice: str = "use a model trained over orderings, which completes from any subset"

    def __init__(
        self,
        event_shape: int | Sequence[int],
        symbols: int | Sequence[int],
        *,
        context: int = 0,
        labels: Sequence[str] | None = None,
        columns: Columns | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        shape = (event_shape,) if isinstance(event_shape, int) else tuple(event_shape)
        self.config = self.Config(**{name: _frozen(value) for name, value in options.items()})
        kind = {name: getattr(self.config, name, False) for name in ("ordered", "gaps")}
        self.symbols = Symbols(shape, symbols, columns, **kind)
        self.labels = None if labels is None else tuple(labels)
        self.context = context if labels is None else len(labels)

    @property
    @abstractmethod
    def members(self) -> Sequence[Member]:
        """The members of the mixture, at least one."""

    @property
    def log_weights(self) -> Tensor:
        """Logarithms of the members' weights in the mixture, (members,) float64; equal here."""
        count = len(self.members)
        return torch.full((count,), -math.log(count), dtype=torch.float64, device=self.device)

    def over_orderings(self, count: int) -> AutoregressiveModel:
        """This model, with the same weights, as the mixture over ``count`` random orderings.

        The orderings are drawn by torch's default generator.

        Raises:
            ValueError: it was not trained over all orderings.
        """
        raise ValueError(
            f"this {type(self).__name__} was not trained over all orderings and has only its own"
        )

    def members_given(self, known: Tensor) -> Sequence[Member]:
        """The members, in their order, each with the known dimensions (D,) visited first.

        Raises:
            ValueError: the model cannot condition on this set.
        """
        known = known.cpu()
        if not self.order_agnostic:
            for member in self.members:
                if not member.ordering.is_prefix(known):
                    raise ValueError(self._refusal(member.ordering, known))
        return [m.promote(known) for m in self.members]

    @abstractmethod
    def forward(
        self, x: Tensor, context: Tensor | None = None, member: Member | None = None
    ) -> Conditional:
        """The conditionals of all symbols of x (batch, *event_shape), in one parallel pass.

        The conditional of a dimension depends on the dimensions that the member visits before it,
        and on nothing else. The default is the first member. Callers always pass x as int64.
        """

    @abstractmethod
    def unroll(
        self, batch: int, context: Tensor | None = None, member: Member | None = None
    ) -> Unrolling:
        """The same conditionals, one position at a time, without repeating any arithmetic."""

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
            member: the member whose ordering is followed; by default the first.

        Returns:
            The chosen symbols, (batch, *event_shape) int64.
        """
        member = member or self.members[0]
        x = traverse(self.unroll(batch, context, member), member.ordering, choose)
        return x.view(batch, *self.event_shape)

    def objective(
        self, x: Tensor, context: Tensor | None = None, update: Update = ONLY_UPDATE
    ) -> Tensor:
        """The objective that training minimises: nats of each example, (batch,), float64.

        It is −log p here; a family may return a cheaper or noisier stand-in. Its random numbers
        are drawn for the whole update, by a generator in its state at the start of the update,
        and each example uses those of its place. So the result does not depend on the number of
        parts, or of processes, that share the examples of an update.

        Args:
            x: int64 symbols (batch, *event_shape), all or some of the examples of an update.
            context: (batch, context) if the model takes one.
            update: the update that these examples are part of.
        """
        return -self.log_prob(x, context, validate=False)

    @property
    def options(self) -> dict[str, Any]:
        """The options of the family, by name."""
        return dict(vars(self.config))

    def start_from(self, x: Tensor) -> None:
        """Sets the output biases of a new model from the marginals of training examples.

        The first update then starts from a model of independent dimensions with the right
        marginals. A model that has been trained is left unchanged, and so is a family that does
        not implement this.

        Args:
            x: integer symbols (batch, *event_shape), all or some of the examples.
        """

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that the family builds it from; ``save`` writes models among them too."""
        described = {"labels": self.labels, "columns": self.symbols.columns}
        return {
            "event_shape": self.event_shape,
            "symbols": self.symbols.compact,
            "context": self.context,
            **{name: value for name, value in described.items() if value is not None},
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

    def log_prob(self, x: Array, context: Tensor | None = None, *, validate: bool = True) -> Tensor:
        """log p(x) in nats, at most 0.

        Args:
            x: integer symbols (batch, *event_shape).
            context: (batch, context) if the model takes one.
            validate: check the symbols, and raise if any are invalid. The check waits for the
                device, and is not possible in ``torch.compile(fullgraph=True)`` and in
                ``torch.func.vmap``; without it, the result for invalid symbols is undefined.

        Returns:
            (batch,) float64.

        Raises:
            ValueError: wrong shape, dtype or symbols.
        """
        x, context = self._checked(x, context, validate=validate)
        return self._mixed(self._member_log_probs(x, context, self.members))

    def surprisal(
        self, x: Array, context: Tensor | None = None, *, validate: bool = True
    ) -> Tensor:
        """Nats of surprise at each dimension, (batch, *event_shape) float64; sums to −log p(x).

        With one member it is −log p(xᵢ | all that precedes i). With several it is the mean of the
        members' surprisals, weighted by their posterior given x, plus the divergence of that
        posterior from their weights, spread evenly over the dimensions (at most log(members) in
        all where the weights are equal).

        Args:
            validate: as in :meth:`log_prob`.

        Raises:
            ValueError: wrong shape, dtype or symbols.
        """
        x, context = self._checked(x, context, validate=validate)
        members, log_weights = self.members, self.log_weights[:, None]
        surprisals = []
        for chunk, own in self._chunks(x, context):
            # (members, rows, D)
            parts = torch.stack([self.member_surprisal(chunk, own, m).flatten(1) for m in members])
            weights = (log_weights - parts.sum(2)).softmax(0)
            # Σ w log(w / prior), where 0 log 0 = 0.
            divergence = -(torch.special.entr(weights) + weights * log_weights).sum(0)
            mean = (parts * weights.unsqueeze(2)).sum(0)
            surprisals.append(mean + divergence.unsqueeze(1) / self.dims)
        return torch.cat(surprisals).view(len(x), *self.event_shape)

    def member_log_probs(
        self, x: Array, context: Tensor | None = None, *, validate: bool = True
    ) -> Tensor:
        """log p(x) under each member, (members, batch) float64, nats.

        Args:
            validate: as in :meth:`log_prob`.

        Raises:
            ValueError: wrong shape, dtype or symbols.
        """
        x, context = self._checked(x, context, validate=validate)
        return self._member_log_probs(x, context, self.members)

    def member_surprisal(self, x: Tensor, context: Tensor | None, member: Member) -> Tensor:
        """Nats of surprise at each dimension under one member, (batch, *event_shape) float64.

        Args:
            x: int64 symbols (batch, *event_shape), at most ``chunk_rows`` rows.
        """
        return self._nats(self.forward(x, context, member), x).double()

    def _nats(self, conditional: Conditional, x: Tensor) -> Tensor:
        """−log p of the symbols (batch, *event_shape); 0 for those that are unknown."""
        if not self.symbols.gaps:
            return -conditional.log_prob(x)
        return -conditional.log_prob(x.clamp(min=0)).masked_fill(x < 0, 0)

    def _member_log_probs(
        self,
        x: Tensor,
        context: Tensor | None,
        members: Sequence[Member],
        part: Tensor | None = None,
    ) -> Tensor:
        """(members, batch): log p of the dimensions in ``part`` (D,), by default all of them.

        Rows are measured in chunks, keeping only their sums, so that memory does not grow with
        the number of rows; sums over dimensions are in float64.
        """
        log_probs = []
        for chunk, own in self._chunks(x, context):
            nats = (self.member_surprisal(chunk, own, m).flatten(1) for m in members)
            log_probs.append(
                -torch.stack([(n if part is None else n[:, part]).sum(1) for n in nats])
            )
        return torch.cat(log_probs, dim=1)

    def _chunks(self, x: Tensor, context: Tensor | None) -> list[tuple[Tensor, Tensor | None]]:
        """Chunks of rows that are measured at once, as int64, with their contexts."""
        chunks = x.split(self.chunk_rows)
        contexts = [None] * len(chunks) if context is None else context.split(self.chunk_rows)
        return [(chunk.long(), own) for chunk, own in zip(chunks, contexts, strict=True)]

    def _mixed(self, log_probs: Tensor) -> Tensor:
        """The mixture's log p, (batch,), from the members' (members, batch)."""
        return (log_probs + self.log_weights[:, None]).logsumexp(0)

    # Drawing

    @torch.no_grad()
    def sample(
        self,
        count: int,
        context: Tensor | None = None,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        on_progress: OnProgress | None = None,
    ) -> Tensor:
        """Draws samples from the model, (count, *event_shape) int64.

        Each draw picks one member at random, by the members' weights, and follows it.

        Args:
            context: (count, context) if the model takes one.
            temperature: each symbol is drawn from the distribution proportional to
                p^(1/temperature): below 1, unlikely symbols are rarer. Only 1 draws from the
                model's own distribution, the one that its likelihoods describe.
            generator: generator on the model's device; by default torch's own.
            on_progress: called at every dimension of a part of the samples with the number of
                symbols drawn so far and that of all.

        Raises:
            ValueError: the count is below 1, or the temperature not above 0.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        context = self.checked_context(context, count)
        members, weights = self.members, self.log_weights.exp()
        chosen = torch.multinomial(weights, count, replacement=True, generator=generator)
        out = torch.empty(count, *self.event_shape, dtype=torch.int64, device=self.device)
        drawn = counter(count * self.dims, on_progress)
        for index, rows in groups(chosen):
            part = None if context is None else context[rows]
            choose = _draw(generator, temperature, drawn)
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
        on_progress: OnProgress | None = None,
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
        on_progress: OnProgress | None = None,
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
        on_progress: OnProgress | None = None,
        return_log_prob: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Draws the unknown symbols from p(unknown | known), exactly.

        It is exact because the known dimensions come first in the ordering. Where they do not, a
        model trained over orderings uses its members' orderings with the known dimensions moved
        to the front; any other model refuses.

        Args:
            x: integer symbols (batch, *event_shape); unknown ones may have any value.
            known: bool, (*event_shape) or (batch, *event_shape).
            temperature: as in :meth:`sample`; only with 1 are the draws exact.
            on_progress: as in :meth:`sample`; known symbols count.
            return_log_prob: also return log p(unknown | known) of the draws in nats, (batch,)
                float64, under the model itself whatever the temperature.

        Returns:
            (batch, *event_shape) int64, equal to x where known.

        Raises:
            ValueError: wrong shape, dtype or symbols, a temperature not above 0, or a set that
                this model cannot condition on.
        """
        x, known = self._checked_known(x, known)
        x, context = self._checked(x.where(known, 0), context)
        out, log_prob = x.clone(), torch.zeros(len(x), dtype=torch.float64, device=self.device)
        drawn = counter(len(x) * self.dims, on_progress)
        for rows, mask, members in self._by_known(known):
            part = None if context is None else context[rows]
            given = self._member_log_probs(x[rows], part, members, mask)
            out[rows] = self._complete(
                x[rows], mask, part, members, given, temperature, generator, drawn
            )
            if return_log_prob:
                everything = self._member_log_probs(out[rows], part, members)
                log_prob[rows] = self._mixed(everything) - self._mixed(given)
        return (out, log_prob) if return_log_prob else out

    def conditional_log_prob(self, x: Array, known: Array, context: Tensor | None = None) -> Tensor:
        """log p(unknown | known) of events, the distribution that :meth:`complete` draws from.

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
            given = self._member_log_probs(x[rows], part, members, mask)
            everything = self._member_log_probs(x[rows], part, members)
            parts.append(self._mixed(everything) - self._mixed(given))
        order = torch.cat([rows for rows, _, _ in groups]).argsort()
        return torch.cat(parts)[order]

    def _by_known(self, known: Tensor) -> list[tuple[Tensor, Tensor, Sequence[Member]]]:
        """The rows that share each known set, that set (D,), and the members with it first."""
        masks, which = known.flatten(1).unique(dim=0, return_inverse=True)
        return [
            (rows, masks[index], self.members_given(masks[index])) for index, rows in groups(which)
        ]

    def _refusal(self, ordering: Ordering, known: Tensor) -> str:
        count = int(known.sum())
        first_gap = int((~known[ordering.visit]).int().argmax())
        name = self.symbols.name
        return (
            f"this model visits its dimensions in a fixed order, so it conditions exactly only "
            f"on the first of them: {name(int(ordering.visit[first_gap]))} is unknown but "
            f"comes before some of the {count} known ones. Give the first n of its "
            f"ordering ({name(int(ordering.visit[0]))}, …), or {self.advice}"
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
        drawn: Callable[[int], None],
    ) -> Tensor:
        """Completes rows that share a known set (D,), given each member's log p(known)."""
        # Members are drawn from their posterior given the known symbols.
        posterior = (given + self.log_weights[:, None]).softmax(0)
        chosen = torch.multinomial(posterior.T, 1, generator=generator).squeeze(1)
        out = torch.empty_like(x)
        clamp = dict(zip(known.nonzero().flatten().tolist(), x.flatten(1)[:, known].T, strict=True))
        for index, rows in groups(chosen):
            part = None if context is None else context[rows]
            values = {position: symbols[rows] for position, symbols in clamp.items()}
            choose = _draw(generator, temperature, drawn, values)
            out[rows] = self.traverse(choose, len(rows), context=part, member=members[index])
        return out

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

    def _checked(
        self, x: Array, context: Tensor | None, *, validate: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        x = as_tensor(x).to(self.device)
        if validate:
            self.symbols.check(x)
        return x, self.checked_context(context, len(x))

    def checked_context(self, context: Tensor | None, batch: int) -> Tensor | None:
        """The context on the model's device and in its dtype.

        Raises:
            ValueError: the model takes a context and none is given, or the other way round, or
                its shape is not (batch, context).
        """
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


def _frozen(value: Any) -> Any:
    """A value with tuples instead of lists, as JSON turns tuples into lists."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(map(_frozen, value))
    return value


def groups(index: Tensor) -> list[tuple[int, Tensor]]:
    """Each value of ``index`` (batch,) with the rows that hold it."""
    return [(int(value), (index == value).nonzero().flatten()) for value in index.unique()]


def _draw(
    generator: torch.Generator | None,
    temperature: float,
    drawn: Callable[[int], None],
    known: dict[int, Tensor] | None = None,
) -> Choose:
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    temperature = min(max(temperature, COLDEST), 1 / COLDEST)
    known = known or {}

    def choose(position: int, conditional: Conditional) -> Tensor:
        symbols = known.get(position)
        if symbols is None:
            if temperature != 1:
                conditional = conditional.tempered(temperature)
            symbols = conditional.sample(generator)
        drawn(len(symbols))
        return symbols

    return choose
