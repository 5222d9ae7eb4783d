"""Densities of tables of numbers beside those of mixtures of Gaussians and of kernels.

    python benchmarks/numbers_tables.py --write docs/results

scikit-learn's own tables: iris, wine, diabetes and breast cancer, without their targets. A fifth of
the rows is the test part, read once. ``ar.Table.fit`` has its defaults. The number of
Gaussians, 1 to 10, with full or with diagonal covariances, and the bandwidth of the kernels are
chosen by a validation part of the training rows; all columns are standardised for them. A density
is that in the columns' own units, of rows as they were recorded, and its mean logarithm is shown:
the greater the better.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn import datasets
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity

import autoregress as ar

TABLES: dict[str, Callable[..., Any]] = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "diabetes": datasets.load_diabetes,
    "breast cancer": datasets.load_breast_cancer,
}
COMPONENTS, BANDWIDTHS = range(1, 11), np.geomspace(0.05, 2, 15)
PAGE = """# Tables of numbers

Mean log-density of the rows of a test part, in nats, in the columns' own units: the greater the
better. Seed {seed}, one thread; torch {torch}.

{table}

`ar.Table.fit` has its defaults, and a time on the processor of {seconds}. The others are
scikit-learn's, with components (1 to 10) and bandwidths chosen by a validation part of the training
rows.

The command of one table; all of them without `--only`:

```console
python benchmarks/numbers_tables.py --only iris
```
"""


def parts(name: str, seed: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Rows to learn from and rows to measure, and the names of the columns."""
    data = TABLES[name](scaled=False) if name == "diabetes" else TABLES[name]()
    x = data.data
    order = np.random.default_rng(seed).permutation(len(x))
    held = len(x) // 5
    return x[order[held:]], x[order[:held]], [*map(str, data.feature_names)]


def ours(train: np.ndarray, test: np.ndarray, names: list[str], seed: int) -> tuple[float, float]:
    """Mean log-density, and seconds on the processor."""
    started = time.process_time()
    columns = dict(zip(names, train.T, strict=True))
    table = ar.Table.fit(columns, quiet=True, seed=seed, kinds=dict.fromkeys(names, "number"))
    held = dict(zip(names, test.T, strict=True))
    density = table.log_prob(held) - table.log_unit(held)
    return float(density.mean()), time.process_time() - started


def gaussians(train: np.ndarray, test: np.ndarray, covariance: str, seed: int) -> float:
    kept = np.random.default_rng(seed).permutation(len(train))
    valid, rest = train[kept[: len(train) // 5]], train[kept[len(train) // 5 :]]

    def fitted(x: np.ndarray, n: int) -> GaussianMixture:
        return GaussianMixture(
            n, covariance_type=covariance, reg_covar=1e-4, random_state=seed
        ).fit(x)

    best = max(COMPONENTS, key=lambda n: fitted(rest, n).score(valid))
    return float(fitted(train, best).score(test))


def kernels(train: np.ndarray, test: np.ndarray) -> float:
    search = GridSearchCV(KernelDensity(), {"bandwidth": BANDWIDTHS}, cv=5).fit(train)
    return float(search.best_estimator_.score_samples(test).mean())


def measure(name: str, seed: int) -> dict[str, float]:
    train, test, names = parts(name, seed)
    centre, scale = train.mean(0), train.std(0)
    unit = float(np.log(scale).sum())
    a, b = (train - centre) / scale, (test - centre) / scale
    density, seconds = ours(train, test, names, seed)
    return {
        "ar.Table": density,
        "Gaussians, full": gaussians(a, b, "full", seed) - unit,
        "Gaussians, diagonal": gaussians(a, b, "diag", seed) - unit,
        "kernels": kernels(a, b) - unit,
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--write", type=Path, help="folder for numbers.json and numbers.md")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=TABLES, default=[*TABLES])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for name in arguments.only:
        found[name] = measure(name, arguments.seed)
        print(name, {key: round(value, 3) for key, value in found[name].items()}, flush=True)
    if arguments.write is None:
        return
    methods = [key for key in next(iter(found.values())) if key != "seconds"]
    lines = [f"| table | {' | '.join(methods)} |", "|---|" + "---:|" * len(methods)]
    for name, row in found.items():
        best = max(row[method] for method in methods)
        shown = [f"**{row[m]:.2f}**" if row[m] == best else f"{row[m]:.2f}" for m in methods]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    seconds = [row["seconds"] for row in found.values()]
    page = PAGE.format(
        seed=arguments.seed,
        torch=torch.__version__,
        table="\n".join(lines),
        seconds=f"{min(seconds):.0f} to {max(seconds):.0f} s",
    )
    (arguments.write / "numbers.json").write_text(json.dumps(found, indent=1) + "\n")
    (arguments.write / "numbers.md").write_text(page)


if __name__ == "__main__":
    main()
