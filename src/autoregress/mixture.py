"""Several models of the same events as one distribution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from autoregress.conditionals import Conditional
from autoregress.model import AutoregressiveModel, Member
from autoregress.traversal import Unrolling


@dataclass(frozen=True)
class MixtureMember(Member):
    """A member of one of the models."""

    model: int
    own: Member

    def promote(self, known: Tensor) -> Self:
        own = self.own.promote(known)
        return replace(self, own=own, ordering=own.ordering)


class Mixture(AutoregressiveModel):
    """The equal mixture of all members of several models, of any families.

    p(x) is the mean of the members' probabilities. As −log is convex, its nats are at most the
    mean of theirs, and the less alike their mistakes are the fewer: networks that were trained from
    different initial weights, in different orderings, are together better than any one of them.

    Trained as it is, the models take the updates in turn, so that each gets what it would get
    alone from as many fewer updates. It completes what all of its models do.

    Args:
        models: of the same events, and of the same context if any.

    Raises:
        ValueError: no models, or models that differ in what they are of.
    """

    def __init__(self, models: Sequence[AutoregressiveModel]) -> None:
        if not models:
            raise ValueError("a mixture needs at least one model")
        first, *others = models
        for other in others:
            for what, one, another in zip(
                ("event shape", "numbers of levels", "context", "columns"),
                _events(first),
                _events(other),
                strict=True,
            ):
                if one != another:
                    raise ValueError(
                        f"the models of a mixture are of the same events, and these differ in "
                        f"their {what}: {one} and {another}"
                    )
        super().__init__(
            first.event_shape,
            first.symbols.compact,
            context=first.context,
            columns=first.symbols.columns,
            ordered=[all(each) for each in zip(*(m.symbols.ordered for m in models), strict=True)],
            **_options(models),
        )
        # Not a list, whose modules sharding puts together when they are called: these are not.
        self.models = nn.ModuleDict({str(i): model for i, model in enumerate(models)})
        self.piece = min(model.piece for model in models)

    @property
    def arguments(self) -> dict[str, Any]:
        return {"models": self._models}

    @property
    def _models(self) -> list[AutoregressiveModel]:
        return [cast(AutoregressiveModel, model) for model in self.models.values()]

    @property
    def members(self) -> list[MixtureMember]:
        return [_member(i, own) for i, model in enumerate(self._models) for own in model.members]

    def _members_given(self, known: Tensor) -> list[Member]:
        return [
            _member(i, own)
            for i, model in enumerate(self._models)
            for own in model._members_given(known)
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

    def _member_surprisal(self, x: Tensor, context: Tensor | None, member: Member) -> Tensor:
        model, own = self._chosen(member)
        return model._member_surprisal(x, context, own)

    def unroll(
        self, batch: int, context: Tensor | None = None, member: Member | None = None
    ) -> Unrolling:
        model, own = self._chosen(member)
        return model.unroll(batch, context, own)

    def start_from(self, x: Tensor) -> None:
        for model in self._models:
            model.start_from(x)

    def objective(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        step: int = 0,
        generator: torch.Generator | None = None,
        places: Tensor | None = None,
        total: int | None = None,
    ) -> Tensor:
        """That of the one model whose turn it is."""
        turn, index = divmod(step, len(self.models))
        return self._models[index].objective(
            x, context, step=turn, generator=generator, places=places, total=total
        )


def several(count: int, build: Callable[[], AutoregressiveModel]) -> AutoregressiveModel:
    """A model, or the mixture of so many that are made alike and start differently.

    Raises:
        ValueError: a count below 1.
    """
    if count < 1:
        raise ValueError(f"models must be at least 1, got {count}")
    return build() if count == 1 else Mixture([build() for _ in range(count)])


def _options(models: Sequence[AutoregressiveModel]) -> dict[str, Any]:
    """What there is to show: the models' families, and the settings that are the same in all."""
    first, *others = [model.options.items() for model in models]
    shared = {k: v for k, v in first if all((k, v) in list(other) for other in others)}
    return {**shared, "models": [type(model).__name__ for model in models]}


def _events(model: AutoregressiveModel) -> tuple[Any, ...]:
    symbols = model.symbols
    return model.event_shape, symbols.compact, model.context, symbols.columns


def _member(index: int, own: Member) -> MixtureMember:
    return MixtureMember(own.ordering, index, own)
