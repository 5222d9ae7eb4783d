"""The demo's part on a table: scikit-learn's wines, with cells removed and cells changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from findings import Gap, Wines
from lanes import Tell

import autoregress as ar

HELD_OUT = 36  # of the 178 rows
REMOVED = 0.1  # share of the cells
QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("cultivar == 'class_0'", {}),
    ("cultivar == 'class_0'", {"proline": 1200}),
    ("cultivar == 'class_0'", {"proline": 1200, "flavanoids": 3}),
    ("proline > 1000", {"alcohol": 14}),
    ("proline > 1000 and hue > 1", {"alcohol": 14, "cultivar": "class_0"}),
]

Columns = dict[str, list[Any]]


def wines() -> Columns:
    """13 measurements of 178 wines, and the cultivar of each (UCI Wine, from scikit-learn)."""
    from sklearn.datasets import load_wine

    wine: Any = load_wine()
    names = [name.partition("/")[0] for name in wine.feature_names]
    columns: Columns = {name: wine.data[:, i].tolist() for i, name in enumerate(names)}
    columns["cultivar"] = [str(wine.target_names[label]) for label in wine.target]
    return columns


def examine(run: Path, training: dict[str, Any], tell: Tell) -> Wines:
    """Learns the wines with gaps, fills these in, asks questions, and looks for changed cells."""
    rng = np.random.default_rng(training["seed"])
    true = wines()
    order = rng.permutation(len(true["cultivar"]))
    true = {name: [values[i] for i in order] for name, values in true.items()}
    removed = {name: rng.random(len(order)) < REMOVED for name in true}
    gaps = {
        name: [None if gone else value for value, gone in zip(values, removed[name], strict=True)]
        for name, values in true.items()
    }
    learnt = {name: values[HELD_OUT:] for name, values in gaps.items()}
    table = ar.Table.fit(learnt, run=run, quiet=True, **training)
    tell(0.9)

    full = table.impute(gaps, "mean")
    filled = [filling(name, true[name], removed[name], full[name]) for name in true]
    asked = {
        " | ".join([question, ", ".join(f"{k} = {v}" for k, v in given.items())]).removesuffix(
            " | "
        ): str(table.probability(question, given))
        for question, given in QUESTIONS
    }

    changed, where = swap({name: values[:HELD_OUT] for name, values in true.items()}, rng)
    explanation = table.explain(changed)
    right = [i for i, blamed in enumerate(explanation.blamed()) if blamed == where[i]]
    # The clearest of them is the example.
    names = list(explanation.names)
    row = min(right or [0], key=lambda i: explanation.p_value[i, names.index(where[i])])
    return Wines(
        rows=len(order),
        columns=len(true),
        removed=int(sum(gone.sum() for gone in removed.values())),
        summary=table.summary.splitlines()[0] if table.summary else "",
        gaps=filled,
        questions=asked,
        planted=len(where),
        found=len(right),
        names=names,
        true=[str(true[name][row]) for name in names],
        odd=[str(changed[name][row]) for name in names],
        changed=where[row],
        p_values=explanation.p_value[row].tolist(),
        expected=[str(text) for text in explanation.expected[row]],
    )


def filling(name: str, true: list[Any], removed: np.ndarray[Any, Any], full: list[str]) -> Gap:
    """How far the cells that were filled in are from the removed ones."""
    rows = np.flatnonzero(removed)
    known = [true[i] for i in np.flatnonzero(~removed)]
    if isinstance(true[0], str):
        most = max(set(known), key=known.count)
        wrong = float(np.mean([full[i] != true[i] for i in rows]))
        return Gap(name, len(rows), wrong, float(np.mean([most != true[i] for i in rows])))
    errors = np.array([float(full[i]) - true[i] for i in rows])
    spread = np.array([np.mean(known) - true[i] for i in rows])
    return Gap(name, len(rows), rms(errors), rms(spread))


def rms(errors: np.ndarray[Any, Any]) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def swap(rows: Columns, rng: np.random.Generator) -> tuple[Columns, list[str]]:
    """One cell of each row changed to the cell of another row, and the columns of these cells."""
    changed, names, where = {name: list(values) for name, values in rows.items()}, list(rows), []
    for i in range(len(rows["cultivar"])):
        name = names[rng.integers(len(names))]
        others = [value for value in rows[name] if value != rows[name][i]]
        changed[name][i] = others[rng.integers(len(others))]
        where.append(name)
    return changed, where
