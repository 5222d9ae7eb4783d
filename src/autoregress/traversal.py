"""The one sequential loop: drawing, clamping, measuring and coding differ only in ``choose``."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

import torch
from torch import Tensor

from autoregress.conditionals import NO_PROBABILITIES, Conditional
from autoregress.orderings import Ordering

# The type of a network's ``unroll``: it yields the conditional of the next position, of batch shape
# (batch,), and is sent the symbols chosen there, (batch,) int64. It ends after the last position.
Unrolling = Generator[Conditional, Tensor, None]
# Given a dimension, or a tensor (batch,) of one for each row, and the conditional of the symbols
# there: the symbols.
Choose = Callable[[Any, Conditional], Tensor]
Result = TypeVar("Result")
# Called with a number of symbols done so far, and the number of all.
OnProgress = Callable[[int, int], object]


def counter(total: int, report: OnProgress | None) -> Callable[[int], None]:
    """A function that adds a number of symbols to those done so far, and reports these."""
    done = 0

    def add(count: int) -> None:
        nonlocal done
        done += count
        if report is not None:
            report(done, total)

    return add


def visiting(
    steps: Unrolling, ordering: Ordering, choose: Choose, device: torch.device
) -> Generator[tuple[Any, Tensor], None, Tensor]:
    """:func:`traverse`, which yields each dimension with the symbols chosen there, as it goes."""
    visit = ordering.visit
    positions = visit.to(device).unbind(1) if ordering.by_row else visit.tolist()
    chosen: list[Tensor] = []
    conditional = next(steps)
    for position in positions:
        if chosen:
            conditional = steps.send(chosen[-1])
        chosen.append(choose(position, conditional).long())
        yield position, chosen[-1]
    if conditional.log_prob(chosen[-1].clamp(min=0)).isnan().any():  # −1 is unknown
        raise ValueError(NO_PROBABILITIES)
    x = torch.stack(chosen, dim=1)
    return x.gather(1, ordering.rank.to(device).expand_as(x))


def traverse(steps: Unrolling, ordering: Ordering, choose: Choose, device: torch.device) -> Tensor:
    """Visits every dimension in order and lets ``choose`` say which symbols go there.

    Args:
        steps: the incremental face of a network, not yet started.
        ordering: the order in which it visits the dimensions.
        choose: given the dimension (its place in the flattened event) and the conditional of
            the symbols there, returns the symbols, (batch,) integer. With an ordering for each
            row, it is given the dimension of each row, (batch,) int64.
        device: the network's.

    Returns:
        The chosen symbols, (batch, D) int64.

    Raises:
        ValueError: the last conditional, which depends on all before it, is not a distribution.
    """
    return outcome(visiting(steps, ordering, choose, device))


def outcome(generator: Generator[object, None, Result]) -> Result:
    """What a generator returns once it has yielded everything."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value
