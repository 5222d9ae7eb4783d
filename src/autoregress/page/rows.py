"""What a page asks the model of a table; each answer comes in small steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from autoregress.page.columns import View, cells
from autoregress.page.workers import Steps
from autoregress.tables import Distribution, Table
from autoregress.tables.cells import Cells
from autoregress.tables.numbers import Numbers

Values = dict[str, str | float]

BITS = 1 / math.log(2)
MOST_ROWS, MOST_DRAWS = 20_000, 1_000
AT_ONCE = 128  # rows that are explained in a step


def distributions(table: Table, views: Mapping[str, View], given: Values) -> Steps:
    """The distribution of every column that is not given, an event each; then the bits given."""
    known = cells(views, given)
    for name, view in views.items():
        if name not in known:
            yield view.show(table.distribution(name, known))
    bits = 0.0
    if known:
        bits = -float(table.log_prob({name: [text] for name, text in known.items()})[0]) * BITS
    yield {"bits": bits, "known": known}


def question(table: Table, views: Mapping[str, View], text: str, given: Values) -> Steps:
    """The probability of a predicate, with its standard error, 0 if it is exact."""
    yield None
    answer = table.probability(text, cells(views, given))
    yield {"value": answer.value, "standard_error": answer.standard_error, "exact": answer.exact}


def draw(table: Table, views: Mapping[str, View], given: Values, count: int, seed: int) -> Steps:
    """Rows drawn from the model, as texts."""
    if not 1 <= count <= MOST_DRAWS:
        raise ValueError(f"the page draws 1 to {MOST_DRAWS} rows, not {count}")
    yield None
    drawn = table.sample(count, cells(views, given), seed=seed)
    yield {"columns": list(drawn), "rows": [list(row) for row in zip(*drawn.values(), strict=True)]}


def explain(table: Table, columns: Mapping[str, Cells]) -> Steps:
    """The rows of a table, and then how surprising each and each of its cells is.

    Events: the rows as texts; and for some rows at a time the bits of each, −log₂ p(row), the bits
    and p-value of each cell given the others, and the likeliest cells.
    """
    if not set(columns) & set(table.schema.names):
        raise ValueError(
            f"the table has none of the model's columns {', '.join(table.schema.names)}"
        )
    rows = len(next(iter(columns.values())))
    kept = min(rows, MOST_ROWS)
    some = {name: own[np.arange(kept)] for name, own in columns.items()}
    texts = [own.values() for own in some.values()]
    yield {
        "columns": list(some),
        "learnt": [name in table.schema.names for name in some],
        "rows": [list(row) for row in zip(*texts, strict=True)],
        "of": rows,
    }
    for start in range(0, kept, AT_ONCE):
        part = np.arange(start, min(start + AT_ONCE, kept))
        own = {name: each[part] for name, each in some.items()}
        found = table.explain(own)
        yield None
        bits = -table.log_prob(own) * BITS
        place = [found.names.index(n) if n in found.names else None for n in some]
        yield {
            "from": start,
            "bits": _shown(bits),
            "cells": _picked(found.surprise * BITS, place),
            "p": _picked(found.p_value, place),
            "expected": [[None if j is None else row[j] for j in place] for row in found.expected],
        }


def repair(table: Table, views: Mapping[str, View], row: dict[str, str | None], name: str) -> Steps:
    """What a cell was expected to be given the others of its row, and the bits with that.

    It is the median of numbers, and the likeliest label.

    Args:
        row: the texts of the cells, None where one is missing.
        name: the column of the cell.
    """
    own = {key: text for key, text in row.items() if key in views}
    if name not in views:
        raise ValueError(f"the model does not learn the column {name!r}")
    others = {key: [text] for key, text in own.items() if key != name}
    yield None
    view = views[name]
    probabilities = table.conditionals(name, others or {name: [None]})[0]
    distribution = Distribution(view.column, probabilities)
    numbers = isinstance(view.column, Numbers)
    best = distribution.quantile(0.5) if numbers else distribution.mode()
    yield None
    fixed = {**{key: [text] for key, text in own.items()}, name: [best]}
    before, after = (
        -float(table.log_prob(rows)[0]) * BITS
        for rows in ({key: [text] for key, text in own.items()}, fixed)
    )
    yield view.show(distribution) | {"repair": best, "before": before, "after": after}


def _picked(values: np.ndarray, places: Sequence[int | None]) -> list[list[float | None]]:
    return [[None if j is None else _number(row[j]) for j in places] for row in values.tolist()]


def _shown(values: np.ndarray) -> list[float | None]:
    return [_number(value) for value in values.tolist()]


def _number(value: Any) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None
