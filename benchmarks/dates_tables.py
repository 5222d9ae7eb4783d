"""Dates with the periods of the calendar as inputs, and without them.

    python benchmarks/dates_tables.py --write docs/results

Tables with dates that Python packages carry; of each 1,000 random rows are learnt and 500 others,
or a quarter of the rows if there are fewer, measured. Both models have the same bins, such as hours
or days; one of them also has sines and cosines of the days, weeks and years that the bins resolve,
as is the default. The heights of these were chosen on the first and the last of the tables.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import package_tables
import pandas
import torch

import autoregress as ar
from autoregress.tables import Dates

# Too many types for a checker to follow.
pd: Any = pandas
Frame = Any
# The package that carries each table, its file there, and the columns that are left out.
TABLES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "seattle-weather": ("vega_datasets", "_data/seattle-weather.csv", ()),
    "seattle-temps": ("vega_datasets", "_data/seattle-temps.csv", ()),
    "mstl_elec_vic": ("statsmodels", "tsa/stl/tests/results/mstl_elec_vic.csv", ()),
    "NYSE": ("ISLP", "data/NYSE.csv", ("train",)),
    "LaptopSalesJanuary2008": (
        "dmba",
        "csvFiles/LaptopSalesJanuary2008.csv.gz",
        ("Customer Postcode", "Store Postcode", "OS X Customer", "OS Y Customer", "OS X Store",
         "OS Y Store", "CustomerStoreDistance", "Bundled Applications?", "HD Size (GB)"),
    ),
}  # fmt: skip
LEARNT, MEASURED = 1000, 500
WAYS: dict[str, dict[str, Any]] = {"with periods": {}, "without": {"periods": ()}}
PAGE = """# Dates

Nats of a row that was not learnt, the smaller the better; seed {seed}, one thread, torch {torch}.
The bins of a date are regular, and the days, weeks and years that they resolve are periods of the
symbols. Their sines and cosines are inputs of the network, as is the default, or are not. The
heights of these inputs were chosen on rows of the first and the last table.

{table}

The command of one table; all of them without `--only`:

```console
python benchmarks/dates_tables.py --only seattle-weather
```
"""


def parts(name: str) -> tuple[Frame, Frame]:
    """Rows to learn from, and rows to measure.

    Raises:
        NotInstalledError: the table's package is not installed.
    """
    package, file, left_out = TABLES[name]
    root = package_tables.folder(package)
    if root is None or not (root / file).exists():
        raise package_tables.NotInstalledError(name, package)
    frame = pd.read_csv(root / file).drop(columns=[*left_out])
    order = np.random.default_rng(0).permutation(len(frame))
    held = min(MEASURED, len(frame) // 4)
    return frame.iloc[order[held : held + LEARNT]], frame.iloc[order[:held]]


def measure(name: str, way: str, seed: int) -> dict[str, Any]:
    train, held = parts(name)
    started = time.process_time()
    table = ar.Table.fit(train, quiet=True, seed=seed, network=WAYS[way])
    seconds = time.process_time() - started
    (date,) = (column for column in table.schema.columns if isinstance(column, Dates))
    nats = -table.log_prob(held)
    return {
        "nats": float(nats.mean()),
        "seconds": seconds,
        "rows": len(train),
        "bin": f"{date.width} {date.step}" if date.width > 1 else date.step.removesuffix("s"),
        "periods": [f"{period:g}" for period in date.periods],
    }


def page(found: Mapping[str, Mapping[str, Mapping[str, Any]]], seed: int) -> str:
    lines = ["| table | rows | a bin | periods in bins | with periods | without | CPU seconds |"]
    lines.append("|---|---:|---|---|---:|---:|---:|")
    for name, ways in found.items():
        best = min(row["nats"] for row in ways.values())
        nats = [f"{ways[way]['nats']:.2f}" for way in WAYS]
        shown = [
            f"**{text}**" if ways[way]["nats"] == best else text
            for way, text in zip(WAYS, nats, strict=True)
        ]
        row = ways["with periods"]
        seconds = " and ".join(f"{ways[way]['seconds']:.0f}" for way in WAYS)
        lines.append(
            f"| {name} | {row['rows']:,} | {row['bin']} | {', '.join(row['periods'])} | "
            f"{' | '.join(shown)} | {seconds} |"
        )
    return PAGE.format(seed=seed, torch=torch.__version__, table="\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--write", type=Path, help="folder for dates.json and dates.md")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=TABLES, default=[*TABLES])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name in arguments.only:
        try:
            found[name] = {way: measure(name, way, arguments.seed) for way in WAYS}
        except package_tables.NotInstalledError as missing:
            print(missing)
            continue
        print(name, found[name], flush=True)
    if arguments.write is not None:
        (arguments.write / "dates.json").write_text(json.dumps(found, indent=1) + "\n")
        (arguments.write / "dates.md").write_text(page(found, arguments.seed))


if __name__ == "__main__":
    main()
