"""Faults injected into real tables: which rows are found, and whether the right cell is named.

    python benchmarks/blame_tables.py --write docs/results

In one row of twenty, one cell is changed: swapped with that of another row, replaced by another
label, mistyped (digits swapped, or one repeated), or moved 3 to 6 standard deviations away. Every
method learns the changed table itself, without knowing which rows were changed. AUC is the area
under the curve over rows; "named" is the share of changed rows in which the changed cell is the
most suspicious one. Nothing is chosen by these figures' seed, 0: calibrations were compared with
seed 1.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import package_tables
import pandas
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata, skew
from sklearn.datasets import load_wine
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
)
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.neighbors import KernelDensity

import autoregress as ar

Floats = NDArray[np.float64]
SHARE, FOLDS = 0.05, 3
BANDWIDTHS = np.geomspace(0.1, 3, 10)
# Too many types for a checker to follow.
pd: Any = pandas
Frame = Series = Any


def bundled(load: Callable[..., Any]) -> Frame:
    """A table of scikit-learn's."""
    return load(as_frame=True).frame


TABLES: dict[str, Callable[[], Frame]] = {
    "penguins": lambda: package_tables.load("penguins"),
    "gbsg2": lambda: package_tables.load("gbsg2"),
    "affairs": lambda: package_tables.load("affairs"),
    "autos": lambda: package_tables.load("autos"),
    "wine": lambda: bundled(load_wine),
}
PAGE = """# Faults in tables

One cell is changed in one row of twenty of a real table: swapped with that of another row, replaced
by another label, mistyped, or moved far away. Every method learns the changed table itself. AUC is
the area under the curve over rows; named is the share of changed rows in which the changed cell is
the most suspicious one. Seed {seed}, one thread; torch {torch}. The greater the better.

{table}

`ar.Table.fit` has its defaults; a row is as suspicious as its least p-value, and the cell of that
p-value is named. Beside it, −log p of rows, and of cells given all others, not calibrated.
IsolationForest has scikit-learn's defaults, ECOD (arXiv 2201.00382) and COPOD (arXiv 2009.09463)
have no settings, the bandwidth of the kernels is chosen by cross-validation, and gradient boosting
learns every column from all others, in {folds} folds. They see labels as 0 and 1 for each label and
medians for gaps.

The command of one table; all of them without `--only`:

```console
python benchmarks/blame_tables.py --only penguins
```
"""


class Suspicion(NamedTuple):
    """How suspicious rows (n,) and cells (n, D) are; None if a method says nothing of cells."""

    rows: Floats
    cells: Floats | None


# Faults


def injected(frame: Frame, seed: int) -> tuple[Frame, NDArray[np.int64]]:
    """A table with faults, and for each row the number of the changed column, −1 for none."""
    rng = np.random.default_rng(seed)
    frame, where = frame.astype(object).where(frame.notna(), None), np.full(len(frame), -1)
    kinds = [swapped, relabelled, mistyped, far]
    for n, row in enumerate(rng.permutation(len(frame))[: round(SHARE * len(frame))].tolist()):
        while where[row] < 0:
            kind = kinds[n % len(kinds)]
            dim = int(rng.integers(frame.shape[1]))
            old = frame.iat[row, dim]
            new = None if old is None else kind(frame.iloc[:, dim], old, rng)
            if new is not None and new != old:
                frame.iat[row, dim], where[row] = new, dim
            elif rng.random() < 0.05:
                n += 1  # a table may have no column for this kind
    return frame.infer_objects(), where


def _number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def swapped(column: Series, old: Any, rng: np.random.Generator) -> Any:
    return column.dropna().iloc[int(rng.integers(column.notna().sum()))]


def relabelled(column: Series, old: Any, rng: np.random.Generator) -> Any:
    labels = column.dropna().unique()
    if _number(old) and len(labels) > 10:
        return None
    return labels[int(rng.integers(len(labels)))]


def mistyped(column: Series, old: Any, rng: np.random.Generator) -> Any:
    text = f"{old:g}" if _number(old) else ""
    digits = [i for i, each in enumerate(text[:-1]) if (text[i] + text[i + 1]).isdigit()]
    if not digits or column.nunique() <= 10:
        return None
    i = int(rng.choice(digits))
    swap = rng.random() < 0.5
    typed = text[:i] + text[i + 1] + text[i] + text[i + 2 :] if swap else text[: i + 1] + text[i:]
    return type(old)(float(typed))


def far(column: Series, old: Any, rng: np.random.Generator) -> Any:
    if not _number(old) or column.nunique() <= 10:
        return None
    distance = column.dropna().astype(float).std() * rng.uniform(3, 6) * rng.choice([-1, 1])
    return type(old)(round(float(old) + distance, 0 if isinstance(old, int | np.integer) else 3))


# Methods


def ours(frame: Frame, seed: int) -> dict[str, Suspicion]:
    table = ar.Table.fit(frame, quiet=True, seed=seed)
    found = table.explain(frame)
    cells = np.full(frame.shape, -np.inf)
    plain = cells.copy()
    for dim, name in enumerate(found.names):
        place = frame.columns.get_loc(name)
        p, surprise = found.p_value[:, dim], found.surprise[:, dim]
        cells[:, place] = np.where(np.isnan(p), -np.inf, -np.log(np.maximum(p, 1e-300)))
        plain[:, place] = np.where(np.isnan(surprise), -np.inf, surprise)
    return {
        "`ar.Table`": Suspicion(cells.max(1), cells),
        "`ar.Table`, −log p": Suspicion(-table.log_prob(frame), plain),
    }


def encoded(frame: Frame) -> tuple[Floats, NDArray[np.int64]]:
    """Numbers, standardised, and labels as 0 and 1; and the column that each comes from."""
    parts, of = list[Floats](), list[int]()
    for dim in range(frame.shape[1]):
        column = frame.iloc[:, dim]
        numbers = pd.to_numeric(column, errors="coerce")
        if numbers.notna().sum() == column.notna().sum():
            values = numbers.fillna(numbers.median()).to_numpy(float)[:, None]
        else:
            values = pd.get_dummies(column.astype(str)).to_numpy(float)
        parts.append((values - values.mean(0)) / np.maximum(values.std(0), 1e-9))
        of += [dim] * values.shape[1]
    return np.concatenate(parts, 1), np.array(of)


def tails(x: Floats) -> tuple[Floats, Floats, Floats]:
    """−log of the shares at most and at least as large, and of the side of the longer tail."""
    left, right = (-np.log(rankdata(s * x, "max", axis=0) / len(x)) for s in (1, -1))
    return left, right, np.where(skew(x, axis=0) < 0, left, right)


def by_column(each: Floats, of: NDArray[np.int64], columns: int) -> Floats:
    """The sums over what comes from each column."""
    return np.stack([each[:, of == dim].sum(1) for dim in range(columns)], 1)


def ecod(frame: Frame, seed: int) -> dict[str, Suspicion]:
    x, of = encoded(frame)
    left, right, longer = tails(x)
    rows = np.max([part.sum(1) for part in (left, right, longer)], 0)
    cells = np.maximum(np.maximum(left, right), longer)
    return {"ECOD": Suspicion(rows, by_column(cells, of, frame.shape[1]))}


def copod(frame: Frame, seed: int) -> dict[str, Suspicion]:
    x, of = encoded(frame)
    left, right, longer = tails(x)
    cells = np.maximum(longer, (left + right) / 2)
    return {"COPOD": Suspicion(cells.sum(1), by_column(cells, of, frame.shape[1]))}


def forest(frame: Frame, seed: int) -> dict[str, Suspicion]:
    x, _ = encoded(frame)
    return {
        "IsolationForest": Suspicion(
            -IsolationForest(random_state=seed).fit(x).score_samples(x), None
        )
    }


def kernels(frame: Frame, seed: int) -> dict[str, Suspicion]:
    x, _ = encoded(frame)
    search = GridSearchCV(KernelDensity(), {"bandwidth": BANDWIDTHS}, cv=FOLDS).fit(x)
    left_out: Any = cross_val_predict(
        _Scores(search.best_params_["bandwidth"]), x, np.zeros(len(x)), cv=FOLDS
    )
    return {"kernels": Suspicion(-left_out, None)}


class _Scores(KernelDensity):
    """Kernels whose prediction is log p."""

    def __init__(self, bandwidth: float = 1.0) -> None:
        super().__init__(bandwidth=bandwidth)

    def predict(self, x: Floats) -> Floats:
        return self.score_samples(x)


def boosting(frame: Frame, seed: int) -> dict[str, Suspicion]:
    x, of = encoded(frame)
    cells = np.zeros(frame.shape)
    for dim in range(frame.shape[1]):
        known, rest = frame.iloc[:, dim].notna().to_numpy(), x[:, of != dim]
        column = frame.iloc[:, dim][known]
        if (of == dim).sum() == 1 and column.nunique() > 10:
            y = column.to_numpy(float)
            model = HistGradientBoostingRegressor(random_state=seed)
            error = np.abs(y - cross_val_predict(model, rest[known], y, cv=FOLDS))
            scale = np.median(error) / 0.6745 + 1e-9
            cells[known, dim] = error**2 / (2 * scale**2)
        elif column.nunique() > 1:
            names, y = np.unique(column.astype(str), return_inverse=True)
            model = HistGradientBoostingClassifier(random_state=seed)
            p = np.full((len(y), len(names)), 1e-3)
            often = np.flatnonzero(np.bincount(y) >= FOLDS)
            kept = np.isin(y, often)
            p[np.ix_(kept, often)] = cross_val_predict(
                model, rest[known][kept], y[kept], cv=FOLDS, method="predict_proba"
            )
            cells[known, dim] = -np.log(np.maximum(p[np.arange(len(y)), y], 1e-6))
    return {"gradient boosting": Suspicion(cells.max(1), cells)}


METHODS = (ours, forest, ecod, copod, kernels, boosting)


def measure(name: str, seed: int) -> dict[str, dict[str, float]]:
    frame, where = injected(TABLES[name](), seed)
    found: dict[str, dict[str, float]] = {}
    changed = where >= 0
    for method in METHODS:
        started = time.process_time()
        for title, each in method(frame, seed).items():
            own = {"AUC": float(roc_auc_score(changed, each.rows))}
            if each.cells is not None:
                named = each.cells[changed].argmax(1) == where[changed]
                own["named"] = float(named.mean())
            found[title] = {**own, "seconds": time.process_time() - started}
            print(name, title, {k: round(v, 3) for k, v in found[title].items()}, flush=True)
    return found


def page(found: dict[str, dict[str, dict[str, float]]], seed: int) -> str:
    methods = list(next(iter(found.values())))
    lines = [f"| | {' | '.join(found)} | mean |", "|---|" + "---:|" * (len(found) + 1)]
    for what in ("AUC", "named"):
        for method in methods:
            row = [each[method][what] for each in found.values() if what in each[method]]
            if row:
                figures = " | ".join(f"{v:.2f}" for v in (*row, float(np.mean(row))))
                lines.append(f"| {what}: {method} | {figures} |")
    return PAGE.format(seed=seed, torch=torch.__version__, table="\n".join(lines), folds=FOLDS)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--write", type=Path, help="folder for blame.json and blame.md")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=TABLES, default=[*TABLES])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for name in arguments.only:
        try:
            found[name] = measure(name, arguments.seed)
        except package_tables.NotInstalledError as missing:
            print(missing)
    if arguments.write is not None and found:
        (arguments.write / "blame.json").write_text(json.dumps(found, indent=1) + "\n")
        (arguments.write / "blame.md").write_text(page(found, arguments.seed))


if __name__ == "__main__":
    main()
