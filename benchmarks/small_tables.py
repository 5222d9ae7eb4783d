"""Training options of small tables, measured on rows that no test uses.

    python benchmarks/small_tables.py --write docs/results

The rows that ``mixed_tables.py`` learns, of which a fifth is measured here; of the penguins, those
that ``models/make.py`` learns. Each row of the result is a table, with the development nats and the
CPU seconds of the defaults and of other training options. The defaults were chosen by these.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mixed_tables
import numpy as np
import package_tables
import pandas
import sklearn.datasets
import torch

import autoregress as ar
from autoregress.tables.learning import training_for

# Too many types for a checker to follow.
pd: Any = pandas
sets: Any = sklearn.datasets
Frame = Any


def bundled() -> Frame:
    """The penguins that the bundled model learns."""
    sys.path.append(str(Path(__file__).parent.parent / "models"))
    import make

    return pd.DataFrame(make.penguin_rows()[0])


TABLES: dict[str, Callable[[], Frame]] = {
    name: lambda name=name: mixed_tables.parts(name, 0)[0] for name in mixed_tables.TABLES
} | {
    "penguins": bundled,
    "wine": lambda: sets.load_wine(as_frame=True).frame,
}


@dataclass(frozen=True)
class Way:
    """A number of updates, the size of their batches, and other training options.

    Attributes:
        updates: their number; None for the default.
        batch: 16, or None for the default.
    """

    updates: int | None
    options: Mapping[str, Any]
    batch: int | None = None

    def training(self, rows: int) -> dict[str, Any]:
        if self.updates is None:
            return dict(self.options)
        batch = self.batch or training_for(rows, rows)[0].batch_size
        epochs = -(-self.updates * batch // rows)
        return {**self.options, "batch_size": batch, "max_epochs": epochs}


WAYS = {
    "defaults": Way(None, {}),
    "batches of 16": Way(1000, {}, batch=16),
    "2,000 updates, patience 10": Way(2000, {"patience": 10}),
    "lr 0.002": Way(None, {"lr": 2e-3}),
    "weight decay 1": Way(None, {"weight_decay": 1.0}),
}
PAGE = """# Training options of small tables

Nats of development rows, a fifth of those that are learnt elsewhere, and CPU seconds; seed {seed},
one thread, torch {torch}. The smaller the better. No test row is among them.

{table}

The command of one table and one way; all of them without options:

```console
python benchmarks/small_tables.py --only iris --ways defaults
```
"""


def parts(name: str) -> tuple[Frame, Frame]:
    """Rows to learn from, and rows to measure."""
    frame = TABLES[name]()
    order = np.random.default_rng(1).permutation(len(frame))
    held = len(frame) // 5
    return tuple(
        frame.iloc[np.sort(part)].reset_index(drop=True) for part in (order[held:], order[:held])
    )


def measure(name: str, way: Way, seed: int) -> dict[str, float]:
    train, held = parts(name)
    started = time.process_time()
    table = ar.Table.fit(train, quiet=True, seed=seed, **way.training(len(train)))
    seconds = time.process_time() - started
    return {"nats": -float(table.log_prob(held).mean()), "seconds": seconds, "rows": len(train)}


def page(found: Mapping[str, Mapping[str, Mapping[str, float]]], seed: int) -> str:
    ways = [way for way in WAYS if any(way in row for row in found.values())]
    lines = [f"| table | rows | {' | '.join(ways)} |", "|---|" + "---:|" * (len(ways) + 1)]
    for name, row in found.items():
        rows = next(iter(row.values()))["rows"]
        shown = [
            f"{row[way]['nats']:.3f} ({row[way]['seconds']:.0f} s)" if way in row else "–"
            for way in ways
        ]
        lines.append(f"| {name} | {rows} | {' | '.join(shown)} |")
    return PAGE.format(seed=seed, torch=torch.__version__, table="\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--write", type=Path, help="folder for small.json and small.md")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=TABLES, default=[*TABLES])
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=[*WAYS])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[str, dict[str, float]]] = {}
    file = arguments.write and arguments.write / "small.json"
    if file and file.exists():
        found = json.loads(file.read_text())
    for name in arguments.only:
        for way in arguments.ways:
            try:
                row = measure(name, WAYS[way], arguments.seed)
            except package_tables.NotInstalledError as missing:
                print(missing)
                break
            found.setdefault(name, {})[way] = row
            print(name, way, row, flush=True)
            if file:
                file.write_text(json.dumps(found, indent=1) + "\n")
                (arguments.write / "small.md").write_text(page(found, arguments.seed))


if __name__ == "__main__":
    main()
