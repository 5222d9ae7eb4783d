"""Checks that a model keeps its promises, for any family, including one that a user wrote."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from autoregress.conditionals import Conditional
from autoregress.evaluation import measuring
from autoregress.model import AutoregressiveModel

# An ensemble may have thousands of members, all of one network: only the first few are checked.
MEMBERS = 8
# The largest numbers of states to enumerate and of probabilities to hold at once.
STATES = 2**20
TABLE = 2**22


@dataclass(frozen=True)
class Causality:
    """The result of :func:`check_causality`.

    Attributes:
        pairs: number of pairs (i, j) with i before j in an ordering that was checked;
            D (D − 1) / 2 for a single ordering.
        absent: the pairs for which the conditional of j was never seen to depend on i. This is
            not an error, and expected of a network narrower than D.

    Example:
        >>> ar.check_causality(ar.PixelCNN((1, 3, 3), symbols=2, layers=1, features=4)).pairs
        36
    """

    pairs: int
    absent: tuple[tuple[int, int], ...]


def check_causality(
    model: AutoregressiveModel, *, trials: int = 4, generator: torch.Generator | None = None
) -> Causality:
    """Changes each symbol in turn and checks which conditionals change with it.

    Those of dimensions not visited after it must stay equal to the last bit. The events (and
    contexts) are random; at most 8 members are checked. Also, log p must be the same, to the last
    bit, for symbols in the smallest dtype that holds them, in which files and images store them.

    Args:
        trials: number of events in which each symbol is changed.
        generator: generator on the CPU; by default one with a fixed seed.

    Raises:
        AssertionError: a dimension depends on itself or on one that comes after it, or log p
            depends on the dtype of the symbols.

    Example:
        >>> ar.check_causality(ar.MADE(5, hidden=(32,)))
        Causality(pairs=10, absent=())
    """
    generator = generator or torch.Generator().manual_seed(0)
    dims, levels = model.dims, torch.tensor(model.symbols.levels)
    rows = max(1, min(64, TABLE // (dims * int(levels.max()))))
    allowed = torch.zeros(dims, dims, dtype=torch.bool)
    seen = torch.zeros_like(allowed)
    for number, member in enumerate(model.members[:MEMBERS]):
        precedes = member.ordering.precedes().cpu()
        depends = torch.zeros_like(allowed)
        for changed in torch.arange(dims).split(rows):
            for _ in range(trials):
                # Row r is compared with row r of a batch of the same shape in which dimension
                # changed[r] differs, so that rounding is the same.
                row = torch.arange(len(changed))
                x = _events(model, len(row), generator)
                shift = 1 + (torch.rand(len(row), generator=generator) * (levels[changed] - 1))
                y = x.clone()
                y[row, changed] = (x[row, changed] + shift.long()) % levels[changed]
                context = _contexts(model, len(row), generator)
                with measuring(model):
                    before, after = (
                        model(_shaped(model, events), context, member).table().flatten(1, -2)
                        for events in (x, y)
                    )
                same = (before == after) | (before.isnan() & after.isnan())
                depends[changed] |= ~same.all(-1).cpu()
        for i, j in (depends & ~precedes).nonzero().tolist()[:1]:
            what = "itself" if i == j else f"dimension {i}, which comes after it"
            raise AssertionError(f"dimension {j} depends on {what} (member {number} of the model)")
        allowed |= precedes
        seen |= depends
    x = _shaped(model, _events(model, 4, generator))
    _check_dtypes(model, x, _contexts(model, 4, generator))
    absent = tuple((i, j) for i, j in (allowed & ~seen).nonzero().tolist())
    return Causality(int(allowed.sum()), absent)


def check_normalisation(
    model: AutoregressiveModel, *, tolerance: float | None = None, context: Tensor | None = None
) -> float:
    """Checks that Σ p(x) over all states is 1, and returns it.

    Args:
        tolerance: largest allowed distance from 1; by default 1e-10 for a float64 model, else
            1e-5.
        context: (context,), the context to condition on; by default a random one.

    Raises:
        AssertionError: the probabilities do not sum to 1.
        ValueError: more than 2²⁰ states.

    Example:
        >>> print(f"{ar.check_normalisation(ar.MADE(3, symbols=(2, 5, 3), hidden=(8,))):.4f}")
        1.0000
    """
    levels = model.symbols.levels
    states = math.prod(levels)
    if states > STATES:
        raise ValueError(
            f"a model with {model.dims} dimensions has too many states to enumerate (more than "
            f"{STATES}); check a small one of the same family"
        )
    if context is None:
        context = _contexts(model, 1, torch.Generator().manual_seed(0))
    masses: list[float] = []
    with measuring(model):
        for index in torch.arange(states).split(4096):
            x = torch.stack(torch.unravel_index(index, levels), dim=1)
            several = None if context is None else context.reshape(1, -1).expand(len(x), -1)
            masses += model.log_prob(_shaped(model, x), several).exp().tolist()
    mass = math.fsum(masses)
    tolerance = _tolerance(model, 1e-10, 1e-5) if tolerance is None else tolerance
    if not abs(mass - 1) <= tolerance:
        raise AssertionError(
            f"the probabilities of all {states} states sum to {mass!r}, which differs from 1 by "
            f"more than {tolerance:g}"
        )
    return mass


def check_faces(
    model: AutoregressiveModel,
    *,
    rows: int = 16,
    tolerance: float | None = None,
    context: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> float:
    """Checks that the model's two faces agree; returns their largest difference in log p, in nats.

    Random events are measured by ``forward`` and, one position at a time, by ``unroll``, for at
    most 8 members. Also, log p must be the same, to the last bit, for symbols in the smallest
    dtype that holds them, in which files and images store them.

    Args:
        rows: number of events.
        tolerance: allowed difference, relative to −log p where that exceeds 1 nat; by default
            1e-10 for a float64 model, else 1e-4.
        context: (rows, context) to condition on; by default random ones.
        generator: generator on the CPU; by default one with a fixed seed.

    Raises:
        AssertionError: the two faces disagree, or log p depends on the dtype of the symbols.

    Example:
        >>> model = ar.MADE(5, symbols=3, hidden=(16,)).double()
        >>> ar.check_faces(model) < 1e-10
        True
    """
    generator = generator or torch.Generator().manual_seed(0)
    flat = _events(model, rows, generator)
    x = _shaped(model, flat)
    context = _contexts(model, rows, generator) if context is None else context.to(model.device)
    tolerance = _tolerance(model, 1e-10, 1e-4) if tolerance is None else tolerance
    largest = 0.0
    for number, member in enumerate(model.members[:MEMBERS]):
        stepwise = torch.empty(rows, model.dims, dtype=torch.float64)

        def look_up(position: int, conditional: Conditional, log_prob: Tensor = stepwise) -> Tensor:
            symbols = x.flatten(1)[:, position]
            log_prob[:, position] = conditional.log_prob(symbols).double().cpu()
            return symbols

        with measuring(model):
            parallel = model(x, context, member).log_prob(x).double().flatten(1).cpu()
            model.traverse(look_up, rows, context=context, member=member)
        one, other = parallel.sum(1), stepwise.sum(1)
        difference = torch.where(one == other, 0.0, (one - other).abs())  # -inf is -inf
        if not (difference <= tolerance * one.abs().clamp(min=1)).all():
            apart = torch.where(parallel == stepwise, 0.0, (parallel - stepwise).abs())
            row, dim = divmod(int(apart.argmax()), model.dims)
            raise AssertionError(
                f"forward and unroll disagree about log p by up to {float(difference.max()):g} "
                f"nats, most at dimension {dim}: {float(parallel[row, dim])!r} and "
                f"{float(stepwise[row, dim])!r} (member {number} of the model)"
            )
        largest = max(largest, float(difference.max()))
    _check_dtypes(model, x, context)
    return largest


def _check_dtypes(model: AutoregressiveModel, x: Tensor, context: Tensor | None) -> None:
    """Raises AssertionError unless log p of x is the same for x in the smallest dtype."""
    highest = max(model.symbols.levels) - 1
    dtypes = (torch.uint8, torch.int16, torch.int32)
    small = next((d for d in dtypes if highest <= torch.iinfo(d).max), torch.int64)
    with measuring(model):
        expected, got = (model.log_prob(events, context) for events in (x, x.to(small)))
    same = (expected == got) | (expected.isnan() & got.isnan())
    if not same.all():
        row = int((~same).nonzero()[0])
        raise AssertionError(
            f"log p depends on the dtype of the symbols: it is {float(expected[row])!r} for an "
            f"event in int64 and {float(got[row])!r} for the same event in {small}; convert "
            "symbols before computing with them"
        )


def _tolerance(model: AutoregressiveModel, double: float, other: float) -> float:
    return double if next(model.parameters()).dtype == torch.float64 else other


def _events(model: AutoregressiveModel, rows: int, generator: torch.Generator) -> Tensor:
    """Symbols (rows, D), drawn uniformly."""
    levels = torch.tensor(model.symbols.levels)
    uniform = torch.rand(rows, model.dims, generator=generator, dtype=torch.float64)
    return (uniform * levels).long()


def _shaped(model: AutoregressiveModel, x: Tensor) -> Tensor:
    return x.view(-1, *model.event_shape).to(model.device)


def _contexts(model: AutoregressiveModel, rows: int, generator: torch.Generator) -> Tensor | None:
    if not model.context:
        return None
    parameter = next(model.parameters())
    return torch.randn(rows, model.context, generator=generator).to(parameter)
