"""CSV files of the installed packages, as they are: trained, scored, imputed and queried.

    python benchmarks/csv_survey.py --sample 30

takes every file .csv or .csv.gz of 1 kB to 20 MB in the folders of installed packages, or a random
sample of them, and does for each what a user does first: ``ar.Table.fit``, ``log_prob``,
``explain``, ``impute``, ``probability`` and ``distribution``, on at most 2,000 rows and for a few
epochs. It prints a line for each file: "ok", or the sentence with which it was refused, and in the
end the number of each. Anything but a ValueError is a fault.
"""

from __future__ import annotations

import argparse
import random
import sysconfig
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch

import autoregress as ar
from autoregress.tables.cells import Cells
from autoregress.tables.frames import as_cells

SMALLEST, LARGEST, ROWS = 1_000, 20_000_000, 2_000


def files(roots: list[Path]) -> list[Path]:
    """The files, one of each content."""
    found: dict[tuple[str, int], Path] = {}
    for root in roots:
        for path in sorted([*root.rglob("*.csv"), *root.rglob("*.csv.gz")]):
            if path.is_file() and SMALLEST <= path.stat().st_size <= LARGEST:
                found.setdefault((path.name, path.stat().st_size), path)
    return list(found.values())


def tried(path: Path, epochs: int) -> str:
    """What came of a file: "ok", why it was refused, or the fault."""
    try:
        cells = as_cells(path)
        rows = slice(0, ROWS)
        some = {name: _some(own, rows) for name, own in cells.items()}
        table = ar.Table.fit(some, quiet=True, max_epochs=epochs, network={"hidden": (64, 64)})
        few = {name: _some(own, slice(0, 50)) for name, own in cells.items()}
        if not np.isfinite(table.log_prob(few)).all():
            return "fault: log p is not finite"
        table.explain(few)
        table.impute(few)
        for column in table.schema.columns[:3]:
            table.distribution(column.name)
            value = column.typical(np.zeros(1, int))[0]
            answer = table.probability(f"`{column.name}` == {value!r}")
            if not 0 <= answer.value <= 1 + 1e-6:
                return f"fault: a probability of {answer.value}"
    except ValueError as error:
        return f"refused: {error}"
    except Exception as error:
        return f"fault: {type(error).__name__}: {error}"
    if table.summary.endswith("needs more rows"):
        return "ok, no better than independent columns"
    return "ok"


def _some(cells: Cells, rows: slice) -> Cells:
    return Cells.of(cells.name, cells[rows].values(), cells.source)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sample", type=int, help="number of files, at random; by default all")
    parser.add_argument("--folder", type=Path, nargs="*", help="instead of the installed packages")
    parser.add_argument("--max-epochs", type=int, default=3)
    parser.add_argument("--max-seconds", type=float, default=1200, help="then no further file")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = files(arguments.folder or [Path(sysconfig.get_paths()["purelib"])])
    random.Random(arguments.seed).shuffle(found)
    started, counts = time.monotonic(), Counter[str]()
    for path in found[: arguments.sample]:
        if time.monotonic() - started > arguments.max_seconds:
            break
        outcome = tried(path, arguments.max_epochs)
        counts[outcome.partition(":")[0]] += 1
        print(f"{path.parent.name}/{path.name}: {outcome}", flush=True)
    print(", ".join(f"{count} {what}" for what, count in counts.most_common()))


if __name__ == "__main__":
    main()
