"""Several models of the same events as one distribution."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from autoregress.brief import brief
from autoregress.conditionals import Conditional
from autoregress.families import family
from autoregress.model import ONLY_UPDATE, AutoregressiveModel, Member, Update, groups
from autoregress.symbols import Symbols
from autoregress.traversal import Unrolling


@dataclass(frozen=True)
class MixtureMember(Member):
    """A member of one of the models."""

    model: int
    own: Member

    def promote(self, known: Tensor) -> Self:
        own = self.own.promote(known)
        return replace(self, own=own, ordering=own.ordering)

    def rows(self, index: Tensor) -> Self:
        own = self.own.rows(index)
        return replace(self, own=own, ordering=own.ordering)

    @classmethod
    def side_by_side(
        cls, members: Sequence[Member], chosen: Tensor
    ) -> Iterator[tuple[Member, Tensor]]:
        mixed = cast(Sequence[Self], members)
        models = torch.tensor([each.model for each in mixed], device=chosen.device)
        for index, rows in groups(models[chosen]):
            first = int((models == index).int().argmax())
            own = [each.own for each in mixed if each.model == index]
            for member, some in own[0].side_by_side(own, chosen[rows] - first):
                yield cls(member.ordering, index, member), rows[some]


@family
class Mixture(AutoregressiveModel):
    """The equal mixture of several models, of any families.

    p(x) is the mean of the models' probabilities, whatever number of members each has: the members
    of a model share its weight. As −log is convex, its nats are at most the mean of the models',
    and fewer the less alike their mistakes are: networks trained from different initial weights,
    in different orderings, are usually better together than any one of them.

    In training, the models take the updates in turn, each learning from its own updates as it
    would alone. A mixture completes whatever all of its models complete.

    Args:
        models: models of the same events, and of the same context if any.

    Raises:
        ValueError: there are no models, or they differ in events or context.

    Example:
        >>> narrow, wide = ar.MADE(4, hidden=(8,)), ar.MADE(4, hidden=(16,), orderings=3)
        >>> mixture, x = ar.Mixture([narrow, wide]), torch.zeros(1, 4, dtype=torch.int64)
        >>> mean = (narrow.log_prob(x).exp() + wide.log_prob(x).exp()) / 2
        >>> len(mixture.members), torch.allclose(mixture.log_prob(x).exp(), mean)
        (4, True)
    """

    def __init__(self, models: Sequence[AutoregressiveModel]) -> None:
        if not models:
            raise ValueError("a mixture needs at least one model")
        first, *others = models
        for other in others:
            for what, one, another in zip(
                ("event shape", "numbers of levels", "context", "labels", "columns"),
                _events(first),
                _events(other),
                strict=True,
            ):
                if one != another:
                    raise ValueError(
                        "the models of a mixture must have events of the same kind, but these "
                        f"differ in their {what}: {brief(one)} and {brief(another)}"
                    )
        super().__init__(
            first.event_shape,
            first.symbols.compact,
            context=first.context,
            labels=first.labels,
            columns=first.symbols.columns,
        )
        ordered = [all(each) for each in zip(*(m.symbols.ordered for m in models), strict=True)]
        self.symbols = Symbols(
            first.event_shape, first.symbols.compact, first.symbols.columns, ordered
        )
        # Not a list, whose elements sharding gathers when they are called, as these are not.
        self.models = nn.ModuleDict({str(i): model for i, model in enumerate(models)})
        self.chunk_rows = min(model.chunk_rows for model in models)
        self.row_orderings = all(model.row_orderings for model in models)

    @property
    def options(self) -> dict[str, Any]:
        """The families of the models, and the options that they share."""
        first, *others = [model.options.items() for model in self._models]
        shared = {k: v for k, v in first if all((k, v) in list(other) for other in others)}
        return {**shared, "models": [type(model).__name__ for model in self._models]}

    @property
    def arguments(self) -> dict[str, Any]:
        return {"models": self._models}

    @property
    def _models(self) -> list[AutoregressiveModel]:
        return [cast(AutoregressiveModel, model) for model in self.models.values()]

    @property
    def members(self) -> list[MixtureMember]:
        return [_member(i, own) for i, model in enumerate(self._models) for own in model.members]

    @property
    def log_weights(self) -> Tensor:
        """The log weights of each model's members in that model, minus log(number of models)."""
        own = torch.cat([model.log_weights.to(self.device) for model in self._models])
        return own - math.log(len(self.models))

    def over_orderings(self, count: int) -> Mixture:
        """The mixture of the same models, each over ``count`` random orderings of its own."""
        return Mixture([model.over_orderings(count) for model in self._models])

    def members_given(self, known: Tensor) -> list[MixtureMember]:
        return [
            _member(i, own)
            for i, model in enumerate(self._models)
            for own in model.members_given(known)
        ]

    def _chosen(self, member: Member | None) -> tuple[AutoregressiveModel, Member]:
        member = member or self.members[0]
        assert isinstance(member, MixtureMember)
        return self._models[member.model], member.own

    def forward(
        self, x: Tensor, context: Tensor | None = None, member: Member | None = None
    ) -> Conditional:
        model, own = self._chosen(member)
        return model.forward(x, context, own)

    def forward_given(
        self, x: Tensor, known: Tensor, context: Tensor | None, member: Member
    ) -> Conditional:
        model, own = self._chosen(member)
        return model.forward_given(x, known, context, own)

    def member_surprisal(self, x: Tensor, context: Tensor | None, member: Member) -> Tensor:
        model, own = self._chosen(member)
        return model.member_surprisal(x, context, own)

    def unroll(
        self, batch: int, context: Tensor | None = None, member: Member | None = None
    ) -> Unrolling:
        model, own = self._chosen(member)
        return model.unroll(batch, context, own)

    def start_from(self, x: Tensor) -> None:
        for model in self._models:
            model.start_from(x)

    def objective(
        self, x: Tensor, context: Tensor | None = None, update: Update = ONLY_UPDATE
    ) -> Tensor:
        """The objective of the one model whose turn it is."""
        turn, index = divmod(update.step, len(self.models))
        return self._models[index].objective(x, context, replace(update, step=turn))


def several(count: int, build: Callable[[], AutoregressiveModel]) -> AutoregressiveModel:
    """A model, or the mixture of ``count`` models built alike with different initial weights.

    Raises:
        ValueError: the count is below 1.
    """
    if count < 1:
        raise ValueError(f"models must be at least 1, got {count}")
    return build() if count == 1 else Mixture([build() for _ in range(count)])


def _events(model: AutoregressiveModel) -> tuple[Any, ...]:
    symbols = model.symbols
    return model.event_shape, symbols.compact, model.context, model.labels, symbols.columns


def _member(index: int, own: Member) -> MixtureMember:
    return MixtureMember(own.ordering, index, own)
