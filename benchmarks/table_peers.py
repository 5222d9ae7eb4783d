"""TabularARGN and CTGAN on the tables of mixed_tables.py, beside the figures that are there.

    pip install mostlyai-engine ctgan
    python benchmarks/table_peers.py --write docs/results

in an environment of its own, since both come with other versions of much. Both have their defaults,
and at most ten minutes a table.

- density: of TabularARGN, all numbers in its bins, without the protection of extreme values; the
  mass of a bin is spread evenly over it, and what lies outside counts as part of the outermost bin;
- synthetic: as many rows as there are real ones, from which the last column is learnt. CTGAN takes
  no gaps in numbers, and is given medians; columns of up to ten numbers are labels to it, and so
  are dates, of which the table "weather" has so many that it did not end in ten minutes.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import package_tables
import pandas
import torch
from mixed_tables import (
    TABLES,
    Coded,
    Frame,
    is_number,
    last_column,
    numbers_of,
    parts,
    text,
    write,
)

import autoregress as ar
from autoregress.tables import Schema
from autoregress.tables.frames import as_cells

LONGEST = 10  # minutes
pd: Any = pandas


def argn_density(train: Frame, test: Frame, seed: int) -> float:
    """The mean log-density of the rows' numbers, in nats, in their own units."""
    from mostlyai.engine import TabularARGN  # pyright: ignore[reportMissingImports]
    from mostlyai.engine._workspace import Workspace  # pyright: ignore[reportMissingImports]

    train, test = numbers_of(train, test)
    model = TabularARGN(
        tgt_encoding_types=dict.fromkeys(train, "TABULAR_NUMERIC_BINNED"),
        value_protection=False,
        max_training_time=LONGEST,
        random_state=seed,
    )
    with model:
        model.fit(train)
        log_prob = model.log_prob(test)
        stats = Workspace(model.workspace_path_).tgt_stats.read()["columns"]
    for name in train:
        bins = np.asarray(stats[name]["bins"], float)
        place = np.clip(np.searchsorted(bins, test[name], "right") - 1, 0, len(bins) - 2)
        log_prob = log_prob - np.log(np.diff(bins)[place])
    return float(log_prob.mean())


def argn_rows(train: Frame, seed: int) -> Frame:
    from mostlyai.engine import TabularARGN  # pyright: ignore[reportMissingImports]

    with TabularARGN(max_training_time=LONGEST, random_state=seed) as model:
        return model.fit(train).sample(len(train))


def ctgan_rows(train: Frame, seed: int) -> Frame:
    from ctgan import CTGAN  # pyright: ignore[reportMissingImports]

    torch.manual_seed(seed)
    np.random.seed(seed)
    full, labels = train.copy(), list[str]()
    for name in full:
        if is_number(full[name]) and full[name].nunique() > 10:
            full[name] = full[name].astype(float).fillna(full[name].median())
        else:
            labels.append(name)
            full[name] = ["" if pd.isna(value) else text(value) for value in full[name]]
    model = CTGAN(enable_gpu=False)
    model.fit(full, labels)
    return model.sample(len(train)).replace("", np.nan)


def measure(name: str, seed: int) -> dict[str, dict[str, Any]]:
    train, test = parts(name, seed)
    schema = Schema.infer(list(as_cells(train).values()))
    keep = [name for name in train if name in schema.names]
    coded = Coded(ar.Table(schema, None), keep)  # type: ignore[arg-type]  # its columns suffice
    found: dict[str, dict[str, Any]] = {"density": {}, "synthetic": {}, "peer seconds": {}}
    synthetic: dict[str, Callable[[Frame, int], Frame]] = {
        "TabularARGN": argn_rows,
        "CTGAN": ctgan_rows,
    }
    for peer, rows in synthetic.items():
        started = time.process_time()
        drawn = rows(train[keep], seed)[keep]
        found["peer seconds"][peer] = time.process_time() - started
        found["synthetic"][peer] = last_column(coded, keep, drawn, train, test, seed)
    found["density"]["TabularARGN"] = argn_density(train, test, seed)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--write", type=Path, help="folder of tables.json and tables.md")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=TABLES, default=[*TABLES])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in arguments.only:
        try:
            found = measure(name, arguments.seed)
        except package_tables.NotInstalledError as missing:
            print(missing)
            continue
        print(name, json.dumps(found), flush=True)
        if arguments.write is not None:
            path = arguments.write / "tables.json"
            row = json.loads(path.read_text())[name]
            for what, own in found.items():
                row[what] = row.get(what, {}) | own
            write(arguments.write, {name: row}, arguments.seed)


if __name__ == "__main__":
    main()
