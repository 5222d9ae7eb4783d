"""The one sequential loop: draw, clamp, look up, encode and decode differ in ``choose`` only."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from autoregress.conditionals import Conditional

if TYPE_CHECKING:
    from autoregress.model import AutoregressiveModel, Member

# What a network's ``unroll`` is: it yields the conditional of the next position, of batch shape
# (batch,), and is sent the symbols chosen there, (batch,) int64. After the last it ends.
Unrolling = Generator[Conditional, Tensor, None]
Choose = Callable[[int, Conditional], Tensor]


@torch.no_grad()
def traverse(
    model: AutoregressiveModel,
    choose: Choose,
    batch: int,
    *,
    context: Tensor | None = None,
    member: Member | None = None,
) -> Tensor:
    """Visits every dimension in order and lets ``choose`` say which symbols go there.

    Args:
        choose: given the dimension (its place in the flattened event) and the conditional of
            the ``batch`` symbols there, returns the symbols, (batch,) integer.
        member: which of the model's members to follow; the first by default.

    Returns:
        The chosen symbols, (batch, *event_shape) int64.
    """
    member = member or model.members[0]
    x = torch.empty(batch, len(member.ordering), dtype=torch.int64, device=model.device)
    steps = model.unroll(batch, context=context, member=member)
    visit = member.ordering.visit.tolist()
    conditional = next(steps)
    for step, position in enumerate(visit, start=1):
        symbols = choose(position, conditional)
        x[:, position] = symbols
        if step < len(visit):
            conditional = steps.send(symbols)
    return x.view(batch, *model.event_shape)
