"""What a page asks a model of images or clips; each answer comes in small steps."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import torch
from torch import Tensor

from autoregress.model import AutoregressiveModel, Member, Visit
from autoregress.page.arrays import from_text, mask_from_text, rounded
from autoregress.page.subjects import context_of, shown_shape
from autoregress.page.workers import Event, Steps

BITS = 1 / math.log(2)
MOST_DRAWS = 36
ROWS = 32  # measured in a step
FLUSH = 0.04  # seconds between two events of a drawing


class Given(TypedDict):
    """What a page holds known.

    Attributes:
        x: the symbols, see :mod:`autoregress.page.arrays`; unknown ones may have any value.
        known: a byte for each dimension, 0 where it is unknown.
        label: the condition, for a model that takes one.
    """

    x: str
    known: str
    label: str | None


@dataclass(frozen=True)
class Evidence:
    """Known symbols of one event.

    Attributes:
        x: (1, *event_shape), 0 where unknown.
        known: bool, (*event_shape).
        context: (1, context), or None.
    """

    x: Tensor
    known: Tensor
    context: Tensor | None

    @classmethod
    def of(cls, given: Given, model: AutoregressiveModel) -> Evidence:
        """Raises ValueError if it is not evidence for this model."""
        known = mask_from_text(given["known"], model.symbols)
        x = from_text(given["x"], model.symbols)
        return cls(x * known, known, context_of(model, given["label"]))

    def repeated(self, count: int) -> tuple[Tensor, Tensor | None]:
        """The symbols and the context for a number of rows."""
        x = self.x.expand(count, *self.x.shape[1:])
        return x, None if self.context is None else self.context.expand(count, -1)


@torch.no_grad()
def measure(model: AutoregressiveModel, given: Evidence) -> Steps:
    """How surprising the known pixels are, and what the model expects of the others.

    Three events: the bits of all, and the nats of each, −log p(x | those visited before it); for a
    model that takes any evidence, the expected level of each unknown pixel; and the nats of each
    known one given all other known ones.
    """
    flat = given.known.flatten()
    nats = model.surprisal(given.x, given.context, known=given.known).flatten()
    total = float(nats.sum()) * BITS
    yield {"bits": total, "known": int(flat.sum()), "of": model.dims, "nats": rounded(nats)}
    if given.known.all():
        expected = given.x.flatten().double()
    else:
        table = _marginals(model, given)
        if table is None:
            return
        yield None
        levels = torch.arange(table.shape[-1], dtype=torch.float64)
        expected = torch.where(flat, given.x.flatten().double(), table @ levels)
    yield {"expected": rounded(expected, 4)}
    rest = torch.zeros(model.dims, dtype=torch.float64)
    for dims in flat.nonzero().flatten().split(ROWS) if flat.any() else ():
        others = flat.expand(len(dims), -1).clone()
        others[torch.arange(len(dims)), dims] = False
        x, context = given.repeated(len(dims))
        try:
            each = model.marginals(x, others.view(x.shape), context)
        except ValueError:  # it takes only what comes first
            return
        log_prob = each.log_prob(x.to(model.device)).flatten(1).cpu().double()
        rest[dims] = -log_prob[torch.arange(len(dims)), dims]
        yield None
    yield {"rest": rounded(rest)}


def _marginals(model: AutoregressiveModel, given: Evidence) -> Tensor | None:
    """(D, K): the distribution of every unknown pixel; None if the model cannot give it."""
    try:
        each = model.marginals(given.x, given.known, given.context)
    except ValueError:
        return None
    return each.table()[0].flatten(0, -2).cpu()


@torch.no_grad()
def pixel(
    model: AutoregressiveModel, given: Evidence, dims: Sequence[int], draws: Tensor | None
) -> Steps:
    """The distributions of the channels of a pixel, given what is known of the others.

    They are exact where the model can give them: for a model that takes any evidence, all of
    them; for others, those of known pixels and of the next one, given those before it. Any other
    is estimated, as the mean of its conditionals in draws of what comes before it.

    Args:
        dims: the dimensions of its channels.
        draws: completions (n, *event_shape), to estimate by.
    """
    flat = given.known.flatten()
    own = torch.zeros(model.dims, dtype=torch.bool)
    own[list(dims)] = True
    others = (flat & ~own).view(given.known.shape)
    table = _marginals(model, Evidence(given.x * others, others, given.context))
    error, how = None, "given all other known pixels"
    if table is not None:
        each = table[list(dims)]
    else:
        each, error = _in_order(model, given, list(dims), draws)
        how = "given the pixels before it"
        if error is not None:
            how = f"estimated from {0 if draws is None else len(draws)} completions"
    known = [int(given.x.flatten()[dim]) if flat[dim] else None for dim in dims]
    yield {
        "exact": error is None,
        "how": how,
        "channels": [
            {"bars": rounded(p), "value": value, "error": None if error is None else rounded(e, 3)}
            for p, e, value in zip(each, each if error is None else error, known, strict=True)
        ],
    }


def _in_order(
    model: AutoregressiveModel, given: Evidence, dims: list[int], draws: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """The conditionals (n, K) of dimensions given those before them, and their standard errors."""
    known = given.known.flatten()
    members = model.members_given(known)
    first = [int(m.ordering.visit[min(int(known.sum()), model.dims - 1)]) for m in members]
    exact = all(known[dim] or {dim} == set(first) for dim in dims)
    x = given.x if exact else draws
    if x is None:
        raise ValueError("this pixel depends on others that are unknown; draw completions first")
    context = None if given.context is None else given.context.expand(len(x), -1)
    parts = [
        _mixed(model, x[rows], None if context is None else context[rows], members, dims)
        for rows in torch.arange(len(x)).split(ROWS)
    ]
    total = torch.cat(parts)
    return total.mean(0), None if exact else total.std(0) / math.sqrt(len(total))


def _mixed(
    model: AutoregressiveModel,
    x: Tensor,
    context: Tensor | None,
    members: Sequence[Member],
    dims: list[int],
) -> Tensor:
    """(rows, n, K): p(x_d | all that comes before d) of some dimensions d."""
    x = x.to(model.device)
    tables = [model.forward(x, context, m).table().flatten(1, -2)[:, dims] for m in members]
    if len(members) == 1:
        return tables[0].cpu()
    # Members count by their posterior given what comes before.
    nats = [model.member_surprisal(x, context, m).flatten(1) for m in members]
    weights = []
    for dim in dims:
        before = [m.ordering.rank < m.ordering.rank[dim] for m in members]
        sums = [n[:, b.to(n.device)].sum(1) for n, b in zip(nats, before, strict=True)]
        weights.append((model.log_weights[:, None] - torch.stack(sums)).softmax(0))
    weight = torch.stack(weights, 2).unsqueeze(3)  # (members, rows, n, 1)
    return (torch.stack(tables) * weight).sum(0).cpu()


@torch.no_grad()
def complete(model: AutoregressiveModel, given: Evidence, count: int, seed: int) -> Steps:
    """Completions, symbol by symbol as they are drawn: the draws of ``model.complete``.

    Events hold visits, [rows, dimensions, symbols of each dimension], and finally the bits of
    each completion, −log₂ p(unknown | known).
    """
    if not 1 <= count <= MOST_DRAWS:
        raise ValueError(f"the page draws 1 to {MOST_DRAWS} completions, not {count}")
    x, context = given.repeated(count)
    generator = torch.Generator(model.device).manual_seed(seed)
    out = x.flatten(1).clone()
    yield from _flushed(
        model.completing(x, given.known, context, generator=generator), given.known.flatten(), out
    )
    out = out.view(x.shape)
    yield None
    bits = -model.conditional_log_prob(out, given.known, context) * BITS
    yield {"bits": rounded(bits), "done": True}


def _flushed(visits: Iterator[Visit], known: Tensor, out: Tensor) -> Steps:
    """The visits of unknown dimensions, a few at a time; sets the symbols in ``out`` (n, D)."""
    waiting: list[list[Any]] = []
    flushed = time.monotonic()
    for visit in visits:
        position = visit.position
        assert isinstance(position, int)  # all rows have the same known dimensions
        if not known[position]:
            rows, symbols = visit.rows.tolist(), visit.symbols.tolist()
            out[visit.rows.cpu(), position] = visit.symbols.cpu()
            if not waiting or waiting[-1][0] != rows:
                waiting.append([rows, [], []])
            waiting[-1][1].append(position)
            waiting[-1][2].append(symbols)
        event: Event | None = None
        if waiting and time.monotonic() - flushed > FLUSH:
            event = {"draw": waiting}
            waiting, flushed = [], time.monotonic()
        yield event
    if waiting:
        yield {"draw": waiting}


@torch.no_grad()
def frames(model: AutoregressiveModel, given: Evidence) -> Steps:
    """The surprise of a whole clip: the bits of each frame, and the nats of each pixel."""
    yield None
    nats = model.surprisal(given.x, given.context).view(*shown_shape(model.event_shape))
    bits = nats.flatten(1).sum(1) * BITS
    yield {"frames": rounded(bits), "bits": float(bits.sum()), "nats": rounded(nats, 3)}


def dims_at(model: AutoregressiveModel, frame: int, row: int, column: int) -> list[int]:
    """The dimensions of the channels of a pixel; raises ValueError if there is no such pixel."""
    shape = shown_shape(model.event_shape)
    place = (frame, row, column)
    if not all(0 <= i < n for i, n in zip(place, (shape[0], *shape[2:]), strict=True)):
        raise ValueError(f"there is no pixel {place}")
    return torch.arange(model.dims).view(shape)[frame, :, row, column].tolist()
