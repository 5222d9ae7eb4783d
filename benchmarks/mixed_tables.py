"""Ten real tables of numbers, labels and gaps: densities, imputation, synthetic rows.

    python benchmarks/mixed_tables.py --write docs/results

The tables are those that palmerpenguins, lifelines, statsmodels, vega_datasets and scikit-learn
carry; one whose package is missing is left out with a line. A fifth of the rows, at most 500, is
the test part, and at most 1,000 rows are learnt. Nothing is chosen by the test part.

- density: the mean log-density of the test rows' numbers in their own units, beside mixtures of
  Gaussians, whose number a validation part chooses, and kernels, whose bandwidth does, on the
  columns of numbers alone (at most 12), with medians for gaps;
- imputation: one known cell in five of the test rows is hidden and filled in. For labels the
  accuracy and log-loss, for numbers the root-mean-square error in standard deviations, and the
  share of hidden numbers within 90 % intervals; means over columns. Beside them IterativeImputer,
  KNNImputer, and histogram gradient boosting of every column from all others;
- synthetic: gradient boosting of the last column, learnt from as many synthetic rows as there are
  real ones and measured on real ones, beside the same learnt from the real rows.

table_peers.py adds the figures of TabularARGN and CTGAN.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import package_tables
import pandas
import torch
from numbers_tables import gaussians, kernels
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  # allows it
from sklearn.impute import IterativeImputer, KNNImputer

import autoregress as ar
from autoregress.tables import Column, Dates

Floats = NDArray[np.float64]
MOST_ROWS, MOST_TEST, HIDDEN = 1000, 500, 0.2
# Too many types for a checker to follow.
pd: Any = pandas
Frame = Series = Any


def bundled(load: Callable[..., Any]) -> Frame:
    """A table of scikit-learn's."""
    return load(as_frame=True).frame


TABLES: dict[str, Callable[[], Frame]] = {
    name: lambda name=name: package_tables.load(name)
    for name in ("penguins", "lung", "gbsg2", "rossi", "dd", "affairs", "modechoice", "weather")
} | {
    "iris": lambda: bundled(load_iris),
    "breast cancer": lambda: bundled(load_breast_cancer),
}
PAGE = """# Mixed tables

{count} of the ten tables; at most 1,000 rows to learn from, seed {seed}, one thread, torch {torch}.
`ar.Table.fit` has its defaults, and a time on the processor of {seconds}.
What is measured, and how the others are set, is said by `python benchmarks/mixed_tables.py --help`.

Mean log-density of test rows' numbers, in nats, in their own units: the greater the better.

{density}

Imputation of one known cell in five: accuracy and log-loss of labels, root-mean-square error of
numbers in standard deviations, and the share of hidden numbers within intervals of 90 %; means over
the tables.

{imputation}

The last column, learnt by gradient boosting from real rows and from as many synthetic ones, and
measured on real ones: accuracy, or R² for numbers.

{synthetic}

`ar.Table` draws {speed} rows a second on one core. TabularARGN (`mostlyai-engine`) and CTGAN
(`ctgan`) have their defaults; how TabularARGN's bins become densities, and what CTGAN is given for
gaps, is said by `python benchmarks/table_peers.py --help`.

The command of one table; all of them without `--only`:

```console
python benchmarks/mixed_tables.py --only penguins
```

and, where those two are installed, `python benchmarks/table_peers.py`.
"""


def parts(name: str, seed: int) -> tuple[Frame, Frame]:
    """Rows to learn from, and rows to measure."""
    frame = TABLES[name]()
    order = np.random.default_rng(seed).permutation(len(frame))
    held = min(MOST_TEST, len(frame) // 5)
    rest = np.sort(order[held:][:MOST_ROWS])
    return frame.iloc[rest].reset_index(drop=True), frame.iloc[order[:held]].reset_index(drop=True)


def is_number(column: Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


# Densities


def numbers_of(train: Frame, test: Frame) -> tuple[Frame, Frame]:
    """The columns of numbers, with medians for gaps."""
    names = [c for c in train if is_number(train[c]) and train[c].nunique() > 10][:12]
    return train[names].fillna(train[names].median()), test[names].fillna(train[names].median())


def densities(train: Frame, test: Frame, seed: int) -> dict[str, float]:
    train, test = numbers_of(train, test)
    kinds: Any = dict.fromkeys(train, "number")
    table = ar.Table.fit(train, quiet=True, seed=seed, kinds=kinds)
    own = float((table.log_prob(test) - table.log_unit(test)).mean())
    centre, scale = train.mean().to_numpy(float), train.std().to_numpy(float)
    unit = float(np.log(scale).sum())
    a, b = ((part.to_numpy(float) - centre) / scale for part in (train, test))
    return {
        "`ar.Table`": own,
        "Gaussians, full": gaussians(a, b, "full", seed) - unit,
        "Gaussians, diagonal": gaussians(a, b, "diag", seed) - unit,
        "kernels": kernels(a, b) - unit,
    }


# Imputation


def hidden_cells(test: Frame, seed: int) -> NDArray[np.bool_]:
    return (np.random.default_rng(seed).random(test.shape) < HIDDEN) & test.notna().to_numpy()


class Coded:
    """A table as numbers: those of columns of numbers, and the codes of labels."""

    def __init__(self, table: ar.Table, names: list[str]) -> None:
        columns = [table.schema.column(name) for name in names]
        self.columns = columns
        self.number = [isinstance(column, ar.tables.Numbers) for column in columns]
        self.labels = [
            [] if isinstance(column, ar.tables.Numbers) else list(column.single_values or ())
            for column in columns
        ]

    def __call__(self, frame: Frame) -> Floats:
        each = zip(frame, self.columns, self.labels, strict=True)
        return np.stack([self._column(frame[c], own, labels) for c, own, labels in each], 1)

    def _column(self, column: Series, own: Column, labels: list[str]) -> Floats:
        if isinstance(own, Dates):
            return np.array([_number_of(own, value) for value in column])
        if isinstance(own, ar.tables.Numbers):
            return column.to_numpy(float)
        codes = {label: float(code) for code, label in enumerate(labels)}
        return np.array([codes.get(text(value), np.nan) for value in column])


def _number_of(own: Dates, value: Any) -> float:
    """A date as a number; NaN for a gap, and for the mark of rare labels that a peer draws."""
    try:
        return np.nan if pd.isna(value) else own.value(value)
    except ValueError:
        return np.nan


def text(value: Any) -> str:
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value)


class Filled:
    """What a method fills in: for each column a value, or the probabilities of labels."""

    def __init__(self) -> None:
        self.values: dict[int, Floats] = {}
        self.probabilities: dict[int, Floats] = {}
        self.intervals: dict[int, tuple[Floats, Floats]] = {}


def ours(table: ar.Table, coded: Coded, gaps: Frame, names: list[str]) -> Filled:
    out = Filled()
    for dim, name in enumerate(names):
        if name not in table.schema.names:
            continue
        column, p = table.schema.column(name), table.conditionals(name, gaps)
        if isinstance(column, ar.tables.Numbers):
            values = [column.quantile(p, share) for share in (0.05, 0.5, 0.95)]
            low, _, high = ([column.number(v) for v in each] for each in values)
            out.values[dim] = np.array([column.number(v) for v in column.mean(p)])
            out.intervals[dim] = np.array(low), np.array(high)
        else:
            texts = column.typical(np.arange(column.levels))
            out.probabilities[dim] = _aligned(p, texts, coded, dim)
    return out


def _aligned(p: Floats, texts: list[str], coded: Coded, dim: int) -> Floats:
    """Probabilities in the order of the codes, or of the numbers that the labels are."""
    labels = coded.labels[dim]
    places = [texts.index(label) if label in texts else -1 for label in labels]
    q = np.stack([p[:, i] if i >= 0 else np.full(len(p), 1e-6) for i in places], 1)
    return q / q.sum(1, keepdims=True)


def boosted(train: Floats, coded: Coded, gaps: Floats, seed: int) -> Filled:
    out = Filled()
    for dim, number in enumerate(coded.number):
        known = ~np.isnan(train[:, dim])
        x, y, asked = (np.delete(each, dim, 1) for each in (train[known], train[known], gaps))
        y = train[known, dim]
        if number:
            model = HistGradientBoostingRegressor(random_state=seed).fit(x, y)
            out.values[dim] = model.predict(asked)
            low, high = (
                HistGradientBoostingRegressor(loss="quantile", quantile=q, random_state=seed)
                .fit(x, y)
                .predict(asked)
                for q in (0.05, 0.95)
            )
            out.intervals[dim] = low, high
        elif len(coded.labels[dim]) > 1:
            model = HistGradientBoostingClassifier(random_state=seed).fit(x, y)
            p = np.full((len(gaps), len(coded.labels[dim])), 1e-6)
            p[:, model.classes_.astype(int)] = model.predict_proba(asked)
            out.probabilities[dim] = p / p.sum(1, keepdims=True)
    return out


def imputer(model: Any, train: Floats, coded: Coded, gaps: Floats) -> Filled:
    out, full = Filled(), model.fit(train).transform(gaps)
    for dim, number in enumerate(coded.number):
        if number:
            out.values[dim] = full[:, dim]
        else:
            codes = np.clip(np.round(full[:, dim]), 0, len(coded.labels[dim]) - 1).astype(int)
            out.probabilities[dim] = np.eye(len(coded.labels[dim]))[codes]
    return out


def judged(
    found: Filled, truth: Floats, hidden: NDArray[np.bool_], scale: Floats
) -> dict[str, float]:
    scores: dict[str, list[float]] = {}
    for dim in range(truth.shape[1]):
        rows = hidden[:, dim] & ~np.isnan(truth[:, dim])
        if not rows.any():
            continue
        y = truth[rows, dim]
        if dim in found.values and scale[dim] > 0:
            error = (found.values[dim][rows] - y) / scale[dim]
            scores.setdefault("RMSE", []).append(float(np.sqrt((error**2).mean())))
            if dim in found.intervals:
                low, high = (each[rows] for each in found.intervals[dim])
                scores.setdefault("within 90 %", []).append(
                    float(((low <= y) & (y <= high)).mean())
                )
        elif dim in found.probabilities:
            p = found.probabilities[dim][rows]
            own = p[np.arange(len(y)), y.astype(int)]
            scores.setdefault("accuracy", []).append(float((p.argmax(1) == y).mean()))
            if p.min() > 0 and p.max() < 1:
                scores.setdefault("log-loss", []).append(float(-np.log(own).mean()))
    return {what: float(np.mean(each)) for what, each in scores.items()}


def imputation(
    table: ar.Table, train: Frame, test: Frame, seed: int
) -> dict[str, dict[str, float]]:
    keep = [c for c in train if c in table.schema.names]
    train, test = train[keep], test[keep]
    hidden, coded = hidden_cells(test, seed), Coded(table, keep)
    gaps, a, truth = test.mask(hidden), coded(train), coded(test)
    b = coded(gaps)
    scale = np.nan_to_num(np.nanstd(a, 0))
    found = {
        "`ar.Table`": ours(table, coded, gaps, keep),
        "IterativeImputer": imputer(IterativeImputer(random_state=seed), a, coded, b),
        "KNNImputer": imputer(KNNImputer(), a, coded, b),
        "gradient boosting a column": boosted(a, coded, b, seed),
    }
    return {name: judged(each, truth, hidden, scale) for name, each in found.items()}


# Synthetic rows


def synthetic(table: ar.Table, train: Frame, test: Frame, seed: int) -> dict[str, Any]:
    keep = [c for c in train if c in table.schema.names]
    started = time.process_time()
    drawn = table.sample(len(train), seed=seed, like=train)[keep]
    seconds = time.process_time() - started
    coded = Coded(table, keep)
    return {
        "column": keep[-1],
        "synthetic": last_column(coded, keep, drawn, train, test, seed),
        "real": last_column(coded, keep, train[keep], train, test, seed),
        "rows a second": len(train) / seconds,
    }


def last_column(
    coded: Coded, keep: list[str], rows: Frame, train: Frame, test: Frame, seed: int
) -> float:
    """How well the last column is told from rows: accuracy, or R² of numbers, on the test rows."""
    number = coded.number[-1] and train[keep[-1]].nunique() > 10
    kind = HistGradientBoostingRegressor if number else HistGradientBoostingClassifier
    learnt, held = (each[~np.isnan(each[:, -1])] for each in (coded(rows), coded(test[keep])))
    # Boosting takes no column without two different values.
    told = [len(np.unique(x[~np.isnan(x)])) > 1 for x in learnt.T[:-1]]
    model = kind(random_state=seed).fit(learnt[:, :-1][:, told], learnt[:, -1])
    return float(model.score(held[:, :-1][:, told], held[:, -1]))


def measure(name: str, seed: int) -> dict[str, Any]:
    train, test = parts(name, seed)
    started = time.process_time()
    table = ar.Table.fit(train, quiet=True, seed=seed)
    seconds = time.process_time() - started
    return {
        "rows": len(train),
        "columns": train.shape[1],
        "seconds": seconds,
        "density": densities(train, test, seed),
        "imputation": imputation(table, train, test, seed),
        "synthetic": synthetic(table, train, test, seed),
    }


def page(found: dict[str, dict[str, Any]], seed: int) -> str:
    first = next(iter(found.values()))
    methods = list(dict.fromkeys(method for row in found.values() for method in row["density"]))
    density = [f"| table | {' | '.join(methods)} |", "|---|" + "---:|" * len(methods)]
    for name, row in found.items():
        best = max(row["density"].values())
        each = [row["density"].get(method) for method in methods]
        shown = ["–" if v is None else f"**{v:.2f}**" if v == best else f"{v:.2f}" for v in each]
        density.append(f"| {name} | {' | '.join(shown)} |")
    what = ["accuracy", "log-loss", "RMSE", "within 90 %"]
    imputed = [f"| | {' | '.join(what)} |", "|---|" + "---:|" * len(what)]
    for method in first["imputation"]:
        row = []
        for each in what:
            values = [r["imputation"][method].get(each) for r in found.values()]
            known = [v for v in values if v is not None]
            row.append(f"{np.mean(known):.3f}" if known else "–")
        imputed.append(f"| {method} | {' | '.join(row)} |")
    sources = {"real": "real rows", "synthetic": "`ar.Table`"}
    sources |= {"TabularARGN": "TabularARGN", "CTGAN": "CTGAN"}
    drawn = [f"| table | column | {' | '.join(sources.values())} |", "|---|---|" + "---:|" * 4]
    for name, row in found.items():
        each = [row["synthetic"].get(source) for source in sources]
        shown = ["–" if v is None else f"{v:.2f}" for v in each]
        drawn.append(f"| {name} | {row['synthetic']['column']} | {' | '.join(shown)} |")
    speeds = [own for row in found.values() if (own := row["synthetic"].get("rows a second"))]
    seconds = [row["seconds"] for row in found.values()]
    return PAGE.format(
        count=len(found),
        seed=seed,
        torch=torch.__version__,
        seconds=f"{min(seconds):.0f} to {max(seconds):.0f} s a table",
        density="\n".join(density),
        imputation="\n".join(imputed),
        synthetic="\n".join(drawn),
        speed=f"{min(speeds):,.0f} to {max(speeds):,.0f}" if speeds else "–",
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--write", type=Path, help="folder for tables.json and tables.md")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=TABLES, default=[*TABLES])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for name in arguments.only:
        try:
            found[name] = measure(name, arguments.seed)
            print(name, json.dumps(found[name]), flush=True)
            if arguments.write is not None:
                write(arguments.write, found, arguments.seed)
        except package_tables.NotInstalledError as missing:
            print(missing)


def write(folder: Path, found: dict[str, Any], seed: int) -> None:
    """Writes the figures, and the page, beside those of tables that were measured before."""
    path = folder / "tables.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    merged = {**before, **found}
    every = {name: merged[name] for name in TABLES if name in merged}
    path.write_text(json.dumps(every, indent=1) + "\n")
    (folder / "tables.md").write_text(page(every, seed))


if __name__ == "__main__":
    main()
