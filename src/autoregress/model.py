"""What every family offers once it implements the two faces: measuring, sampling, completing."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self, overload

import numpy as np
import torch
from torch import Tensor, nn

from autoregress.conditionals import Conditional, Ensemble, Mixed, draw
from autoregress.configs import NoOptions
from autoregress.orderings import Ordering
from autoregress.symbols import CONTEXT, Columns, Symbols, as_tensor, require_finite
from autoregress.traversal import (
    Choose,
    OnProgress,
    Unrolling,
    counter,
    outcome,
    traverse,
    visiting,
)

Array = Tensor | np.ndarray


@dataclass(frozen=True)
class Member:
    """One exact factorisation p(x) = ∏ p(xᵢ | all that comes before i in ``ordering``).

    Example:
        >>> member = ar.Member(ar.Ordering.natural(3))
        >>> member.promote(torch.tensor([False, False, True])).ordering.visit.tolist()
        [2, 0, 1]
    """

    ordering: Ordering

    def promote(self, known: Tensor) -> Self:
        """This member with the known dimensions visited first.

        Args:
            known: bool, (D,), or (rows, D) for an ordering for each row.
        """
        return replace(self, ordering=self.ordering.promote(known))

    def rows(self, index: Tensor) -> Self:
        """This member for some rows of a batch."""
        return replace(self, ordering=self.ordering.rows(index))

    @classmethod
    def picked(cls, members: Sequence[Member], chosen: Tensor) -> Iterator[tuple[Member, Tensor]]:
        """Members for rows that are traversed together, and those rows (n,).

        Args:
            chosen: (batch,), the index of the member that each row follows.
        """
        for index, rows in groups(chosen):
            yield members[index].rows(rows), rows

    @classmethod
    def side_by_side(
        cls, members: Sequence[Member], chosen: Tensor
    ) -> Iterator[tuple[Member, Tensor]]:
        """As :meth:`picked`, in as few traversals as there can be.

        Where members differ in nothing but their orderings, their rows are traversed together, by
        a member with an ordering for each row. Which are is the same for any rows.

        Args:
            members: members with one ordering each.
        """
        return cls.picked(members, chosen)


@dataclass(frozen=True)
class Update:
    """An update of the weights, as far as an objective may depend on it.

    Attributes:
        step: its number, from 0.
        generator: generator on the CPU; by default torch's own.
        places: (batch,), places of the given examples among all those of the update; by default
            0, 1, ….
        total: number of examples of the update; by default the given ones are all.

    Example:
        >>> model, x = ar.MADE(4, hidden=(8,), orderings=2), torch.zeros(1, 4, dtype=torch.int64)
        >>> first, second = (model.objective(x, update=ar.Update(step)) for step in (0, 1))
        >>> bool(first == second)  # updates cycle through the orderings
        False
    """

    step: int = 0
    generator: torch.Generator | None = None
    places: Tensor | None = None
    total: int | None = None


ONLY_UPDATE = Update()


@dataclass(frozen=True)
class Visit:
    """The symbols that were drawn, or known, when some rows visited their next dimension.

    Attributes:
        rows: (n,), the rows.
        position: the dimension that they visit, or (n,) one for each row.
        symbols: (n,), the symbols there.

    Example:
        >>> model, nothing = ar.MADE(3, hidden=(8,)), torch.zeros(3, dtype=torch.bool)
        >>> first = next(model.completing(torch.zeros(4, 3).long(), nothing))
        >>> first.rows.tolist(), first.position, first.symbols.shape
        ([0, 1, 2, 3], 0, torch.Size([4]))
    """

    rows: Tensor
    position: int | Tensor
    symbols: Tensor


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

    Example:
        >>> model = ar.MADE(4, symbols=3, hidden=(16,), evidence=True)
        >>> x, known = model.sample(5), torch.tensor([True, False, True, False])
        >>> draws, log_prob = model.complete(x, known, return_log_prob=True)
        >>> torch.allclose(log_prob, model.conditional_log_prob(draws, known), atol=1e-5)
        True
        >>> torch.allclose(model.surprisal(x).sum(1), -model.log_prob(x))
        True
    """

    Config: ClassVar[type[Any]] = NoOptions
    """The frozen dataclass of the family's options."""

    # Whether its members were trained over all orderings, so that any ordering may be rearranged.
    order_agnostic: bool = False
    # Whether both faces take members with an ordering for each row. Otherwise rows with different
    # known sets are computed one set after another.
    row_orderings: bool = False
    # Number of rows measured at once.
    chunk_rows: int = 1024
    # Whether each update's objective consists of the same operations, which a GPU may replay.
    replayable: bool = False
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
        """The members, in their order, each with the known dimensions visited first.

        Args:
            known: bool, (D,); or (rows, D), for members with an ordering for each row, if the
                family has ``row_orderings``.

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
        and on nothing else. The default is the first member. Callers always pass x as int64, and a
        context as :meth:`checked_context` returns it.
        """

    def forward_given(
        self, x: Tensor, known: Tensor, context: Tensor | None, member: Member
    ) -> Conditional:
        """The conditionals of all unknown symbols, each given the known ones alone, in one pass.

        Those of known symbols are as in :meth:`forward`, given the known ones before them.

        Args:
            x: int64 symbols (batch, *event_shape); unknown ones may have any level.
            known: bool, (D,), or (batch, D) if the family has ``row_orderings``.
            member: one that visits the known dimensions first.

        Raises:
            ValueError: the family has no such pass.
        """
        raise ValueError(
            f"a {type(self).__name__} gives only the conditional of the dimension that it visits "
            f"next; {self.advice}"
        )

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
                the ``batch`` symbols there, returns the symbols, (batch,) integer. It is given
                the dimension of each row, (batch,), if the member has an ordering for each.
            context: (batch, context) if the model takes one.
            member: the member whose ordering is followed; by default the first.

        Returns:
            The chosen symbols, (batch, *event_shape) int64.

        Raises:
            ValueError: the context has the wrong shape, or it or a weight is not finite.
        """
        self.require_finite()
        context = self.checked_context(context, batch)
        member = member or self.members[0]
        steps = self.unroll(batch, context, member)
        x = traverse(steps, member.ordering, choose, self.device)
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

    def require_finite(self) -> None:
        """Raises ValueError if a weight is NaN or infinite: such a model has no probabilities."""
        weights = {n: t for n, t in self.state_dict().items() if t.is_floating_point()}
        # A sum takes a fraction of the time of isfinite, and waits for the device once.
        if torch.stack([weight.sum() for weight in weights.values()]).isfinite().all():
            return
        for name, weight in weights.items():
            if not weight.isfinite().all():
                raise ValueError(f"the model gives no probabilities: {name} holds NaN or infinity")

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
        self,
        x: Array,
        context: Tensor | None = None,
        *,
        known: Array | None = None,
        validate: bool = True,
    ) -> Tensor:
        """Nats of surprise at each dimension, (batch, *event_shape) float64; sums to −log p(x).

        With one member it is −log p(xᵢ | all that precedes i). With several it is the mean of the
        members' surprisals, weighted by their posterior given x, plus the divergence of that
        posterior from their weights, spread evenly over the dimensions (at most log(members) in
        all where the weights are equal).

        Args:
            known: bool, (*event_shape): the surprise of these dimensions alone, which sums to
                −log p(known); it is 0 elsewhere, whatever x holds there.
            validate: as in :meth:`log_prob`.

        Raises:
            ValueError: wrong shape, dtype or symbols, or a set that this model cannot condition on.
        """
        measured = torch.ones(self.dims, dtype=torch.bool, device=self.device)
        members, log_weights = self.members, self.log_weights[:, None]
        if known is not None:
            x, marked = self._checked_known(x, torch.as_tensor(known).view(self.event_shape))
            x = x.where(marked, 0)
            measured = marked[0].flatten() if len(x) else measured
            members = self.members_given(measured)
        x, context = self._checked(x, context, validate=validate)
        if not len(x):
            return x.new_zeros(x.shape, dtype=torch.float64)
        surprisals = []
        for chunk, own in self._chunks(x, context):
            # (members, rows, D)
            parts = torch.stack([self.member_surprisal(chunk, own, m).flatten(1) for m in members])
            parts = parts.where(measured, 0)
            weights = (log_weights - parts.sum(2)).softmax(0)
            # Σ w log(w / prior), where 0 log 0 = 0.
            divergence = -(torch.special.entr(weights) + weights * log_weights).sum(0)
            mean = (parts * weights.unsqueeze(2)).sum(0)
            surprisals.append(mean + divergence.unsqueeze(1) * measured / measured.sum().clamp(1))
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
        self, x: Tensor, context: Tensor | None, members: Sequence[Member]
    ) -> Tensor:
        """log p(x) under each member, (members, batch)."""
        nothing = torch.zeros(self.dims, dtype=torch.bool, device=self.device)
        return self._split_log_probs(x, context, members, nothing)[1]

    def _split_log_probs(
        self, x: Tensor, context: Tensor | None, members: Sequence[Member], known: Tensor
    ) -> tuple[Tensor, Tensor]:
        """log p(known) and log p(unknown | known) under each member, (members, batch) each.

        Rows are measured in chunks, keeping only their sums, so that memory does not grow with
        the number of rows; sums over dimensions are in float64.

        Args:
            members: they visit the known dimensions first.
            known: bool, (D,) or (batch, D).
        """
        if not len(x):
            none = torch.zeros(len(members), 0, dtype=torch.float64, device=x.device)
            return none, none
        masks = known.expand(len(x), -1).split(self.chunk_rows)
        given, rest = [], []
        for (chunk, own), mask in zip(self._chunks(x, context), masks, strict=True):
            sums = []
            for member in members:
                log_probs = -self.member_surprisal(chunk, own, member).flatten(1)
                sums.append([log_probs.masked_fill(part, 0).sum(1) for part in (~mask, mask)])
            one, other = zip(*sums, strict=True)
            given.append(torch.stack(one))
            rest.append(torch.stack(other))
        return torch.cat(given, 1), torch.cat(rest, 1)

    def _conditional_log_prob(
        self, x: Tensor, context: Tensor | None, members: Sequence[Member], known: Tensor
    ) -> Tensor:
        """log p(unknown | known), (batch,), of members that visit the known dimensions first."""
        given, rest = self._split_log_probs(x, context, members, known)
        return (self._posterior(given).log() + rest).logsumexp(0)

    def _chunks(self, x: Tensor, context: Tensor | None) -> list[tuple[Tensor, Tensor | None]]:
        """Chunks of rows that are measured at once, as int64, with their contexts."""
        chunks = x.split(self.chunk_rows)
        contexts = [None] * len(chunks) if context is None else context.split(self.chunk_rows)
        return [(chunk.long(), own) for chunk, own in zip(chunks, contexts, strict=True)]

    def _posterior(self, log_probs: Tensor) -> Tensor:
        """The members' weights given what has these log-probabilities, (members, batch) both."""
        return (log_probs + self.log_weights[:, None]).softmax(0)

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
            ValueError: the count is below 1, the temperature not above 0, or the context or a
                weight not finite.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        context = self.checked_context(context, count)
        members, weights = self.members, self.log_weights.exp()
        chosen = torch.multinomial(weights, count, replacement=True, generator=generator)
        out = torch.empty(count, *self.event_shape, dtype=torch.int64, device=self.device)
        drawn = counter(count * self.dims, on_progress)
        # Quicker than no_grad, but no gradient can use a tensor that is made in this mode.
        with torch.inference_mode():
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
        drawn = counter(len(x) * self.dims, on_progress)
        with torch.inference_mode():
            out = outcome(self._completing(x, known, context, temperature, generator, drawn))
        out = out.clone()  # for use in gradients
        return (out, self.conditional_log_prob(out, known, context)) if return_log_prob else out

    @torch.no_grad()
    def completing(
        self,
        x: Array,
        known: Array,
        context: Tensor | None = None,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Iterator[Visit]:
        """The same draws as by :meth:`complete`, each symbol as soon as it is drawn.

        Known symbols are visited too. Arguments and errors are those of :meth:`complete`.

        Example:
            >>> model = ar.MADE(3, hidden=(8,))
            >>> x, known = torch.ones(2, 3).long(), torch.tensor([True, False, False])
            >>> [visit.position for visit in model.completing(x, known)]
            [0, 1, 2]
        """
        yield from self._completing(x, known, context, temperature, generator, lambda _: None)

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
        if not len(x):
            return torch.zeros(0, dtype=torch.float64, device=x.device)
        parts, places = [], []
        for rows, mask, members in self._by_known(known):
            own = None if context is None else context[rows]
            parts.append(self._conditional_log_prob(x[rows], own, members, mask))
            places.append(rows)
        return torch.cat(parts)[torch.cat(places).argsort()]

    def marginals(self, x: Array, known: Array, context: Tensor | None = None) -> Conditional:
        """p(xⱼ | known) of every unknown dimension j of every row, each given the known ones alone.

        For a model trained over orderings, whose orderings can have any dimension next: all of
        them come out of one pass. Memory grows with the number of rows.

        Args:
            x: integer symbols (batch, *event_shape); unknown ones may have any value.
            known: bool, (*event_shape) or (batch, *event_shape).

        Returns:
            Conditionals of batch shape (batch, *event_shape), with a ``table()`` of probabilities
            and the ``log_prob`` of symbols. Those of known dimensions are given the known ones
            that a member visits before them.

        Raises:
            ValueError: as for :meth:`complete`, or the model is not one of those.
        """
        x, known = self._checked_known(x, known)
        x, context = self._checked(x.where(known, 0), context)
        parts, places = [], []
        for rows, mask, members in self._by_known(known):
            own = None if context is None else context[rows]
            parts.append(self._marginals(x[rows], mask, own, members))
            places.append(rows)
        return parts[0] if len(parts) == 1 else Mixed(parts, places, (len(x),), dim=0)

    def _marginals(
        self, x: Tensor, known: Tensor, context: Tensor | None, members: Sequence[Member]
    ) -> Conditional:
        each = [self.forward_given(x, known, context, member) for member in members]
        if len(each) == 1:
            return each[0]
        log_probs = torch.stack([-self._nats(own, x).flatten(1).double() for own in each])
        given = log_probs.where(known, 0).sum(2)
        return Ensemble(each, self._posterior(given).log())

    def leave_one_out(self, x: Array, context: Tensor | None = None) -> Tensor:
        """Nats of surprise at each symbol given all the others, −log p(xⱼ | the rest).

        It takes a pass for each dimension.

        Args:
            x: integer symbols (batch, *event_shape).

        Returns:
            (batch, *event_shape) float64.

        Raises:
            ValueError: wrong shape, dtype or symbols, or a model that cannot condition on any set.
        """
        x, context = self._checked(x, context)
        x = x.long()
        others = ~torch.eye(self.dims, dtype=torch.bool, device=self.device)
        nats = [
            -self._conditional_log_prob(x, context, self.members_given(known), known)
            for known in others
        ]
        return torch.stack(nats, 1).view(x.shape)

    def _by_known(self, known: Tensor) -> Iterator[tuple[Tensor, Tensor, Sequence[Member]]]:
        """Rows that are computed together, their known set, and the members with it first.

        All rows that share a set (D,); or, if the family takes an ordering for each row, rows with
        sets of their own, (rows, D), at most ``chunk_rows`` of them.
        """
        flat = known.flatten(1)
        if self.row_orderings and not (flat == flat[:1]).all():
            for rows in torch.arange(len(flat), device=flat.device).split(self.chunk_rows):
                yield rows, flat[rows], self.members_given(flat[rows])
            return
        masks, which = flat.unique(dim=0, return_inverse=True)
        for index, rows in groups(which):
            yield rows, masks[index], self.members_given(masks[index])

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

    def _completing(
        self,
        x: Array,
        known: Array,
        context: Tensor | None,
        temperature: float,
        generator: torch.Generator | None,
        drawn: Callable[[int], None],
    ) -> Generator[Visit, None, Tensor]:
        """Completes rows, (batch, *event_shape), and yields each visit."""
        self.require_finite()
        x, known = self._checked_known(x, known)
        x, context = self._checked(x.where(known, 0), context)
        out = x.clone()
        for rows, mask, members in self._by_known(known):
            chosen = torch.zeros(len(rows), dtype=torch.int64, device=x.device)
            if len(members) > 1:
                # Members are drawn from their posterior given the known symbols.
                part = None if context is None else context[rows]
                given = torch.zeros(len(members), len(rows), dtype=torch.float64, device=x.device)
                if mask.any():
                    given, _ = self._split_log_probs(x[rows], part, members, mask)
                chosen = draw(self._posterior(given).T, generator)
            mask = mask.expand(len(rows), -1)
            for member, own in members[0].picked(members, chosen):
                places = rows[own]
                part = None if context is None else context[places]
                choose = _draw(generator, temperature, drawn, x[places].flatten(1), mask[own])
                steps = self.unroll(len(own), part, member)
                visits = visiting(steps, member.ordering, choose, self.device)
                done = yield from _of_rows(visits, places)
                out[places] = done.view(len(own), *self.event_shape)
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
        return x, self.checked_context(context, len(x), validate=validate)

    @overload
    def checked_context(self, context: Array, batch: int, *, validate: bool = True) -> Tensor: ...

    @overload
    def checked_context(
        self, context: Array | None, batch: int, *, validate: bool = True
    ) -> Tensor | None: ...

    def checked_context(
        self, context: Array | None, batch: int, *, validate: bool = True
    ) -> Tensor | None:
        """The context on the model's device and in its dtype.

        Args:
            validate: check that it is finite, for which it waits for the device.

        Raises:
            ValueError: the model takes a context and none is given, or the other way round, or
                its shape is not (batch, context), or a number is NaN or infinite.
        """
        if (context is None) != (self.context == 0):
            raise ValueError(
                f"this model takes a context of shape (batch, {self.context}), got none"
                if context is None
                else "this model takes no context"
            )
        if context is None:
            return None
        context = as_tensor(context, CONTEXT)
        if context.shape != (batch, self.context):
            raise ValueError(
                f"context must have shape ({batch}, {self.context}), got {tuple(context.shape)}"
            )
        if context.is_complex():
            raise ValueError(f"{CONTEXT}, got {context.dtype}")
        context = context.to(next(self.parameters()))
        if validate:
            require_finite(context)
        return context


def _of_rows(
    visits: Generator[tuple[int | Tensor, Tensor], None, Tensor], rows: Tensor
) -> Generator[Visit, None, Tensor]:
    """The visits of some rows of a batch."""
    while True:
        try:
            position, symbols = next(visits)
        except StopIteration as end:
            return end.value
        yield Visit(rows, position, symbols)


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
    x: Tensor | None = None,
    known: Tensor | None = None,
) -> Choose:
    """Draws each symbol, except the known ones of x, (batch, D) both."""
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    temperature = min(max(temperature, COLDEST), 1 / COLDEST)

    def choose(position: int | Tensor, conditional: Conditional) -> Tensor:
        if x is None or known is None:
            symbols = draw(conditional)
        else:
            rows = torch.arange(len(x), device=x.device)
            symbols, given = x[rows, position], known[rows, position]
            if not given.all():
                symbols = symbols.where(given, draw(conditional))
        drawn(len(symbols))
        return symbols

    def draw(conditional: Conditional) -> Tensor:
        if temperature != 1:
            conditional = conditional.tempered(temperature)
        return conditional.sample(generator)

    return choose
