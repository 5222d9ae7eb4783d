"""Tables that Python packages carry, as they are: trained, scored, imputed and queried.

    pip install --no-deps --target packages statsmodels lifelines pingouin …
    python benchmarks/csv_survey.py --folder packages --sample 100 --write docs/results

draws files of 1 kB to 20 MB (.csv, .tsv, .parquet, .feather, also compressed), from the folders of
the packages in turn, and does for each what a user does first: infer the
schema from all rows, ``ar.Table.fit``, ``log_prob``, ``explain``, ``impute``, ``distribution`` and
``probability``, on at most 1,000 random rows and for a few epochs of a small network. It prints a
line for each file: "ok" with the nats of a held-out row under the model and under independent
columns, or the sentence with which it was refused. Anything but a ValueError is a fault.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import sysconfig
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

import autoregress as ar
from autoregress.tables import Schema
from autoregress.tables.cells import Cells
from autoregress.tables.frames import as_cells

SMALLEST, LARGEST, ROWS = 1_000, 20_000_000, 1_000
# Number of cells of the rows that are asked about, and of lines kept of a schema.
CELLS, LINES = 5_000, 30
PATTERNS = [f"*.{kind}{packed}" for kind in ("csv", "tsv") for packed in ("", ".gz", ".bz2", ".xz")]
PATTERNS += ["*.parquet", "*.feather"]
NATS = re.compile(r": (\S+) nats on .* independent columns (\S+)")
PAGE = """# Files from packages

{count} files that {packages} Python packages carry, drawn with seed {seed}, the packages in turn,
each read with no preparation: {outcomes}. Of the {measured} of which rows are held out, the model
is better than independent columns on those of {better}. {seconds:.0f} s on the processor, one
thread, torch {torch}: at most 1,000 rows of each file, {epochs} epochs, a network of two layers of
64. The nats show that a file can be learnt, not how well; where the model is no better, independent
columns are kept. What reports of this draw showed was mended before the run shown here, so that it
is no longer unseen.

"Ok" means that the schema was inferred from all rows, the model trained, rows scored, cells
explained, gaps filled in and questions answered. A refusal is the sentence that a user sees. What
each file's first columns were taken for is in [files.json](files.json).

| file | package | rows x columns | outcome | nats of a row | independent columns |
|---|---|---:|---|---:|---:|
{rows}

```
{command}
```
"""


@dataclass(frozen=True)
class Outcome:
    """What became of a file.

    Attributes:
        file, package: its name, and the folder of the package that carries it.
        rows, columns: of its table, 0 if it was refused before.
        outcome: "ok", why it was refused, or the fault.
        nats, independent: of a row held out, under the model and under independent columns; None if
            no rows were held out.
        schema: what its first columns were found to be.
    """

    file: str
    package: str
    rows: int
    columns: int
    outcome: str
    nats: float | None
    independent: float | None
    schema: str


def drawn(folders: Sequence[Path], seed: int) -> Iterator[tuple[str, Path]]:
    """All files, one of each content, with their packages, in an order in which packages alternate.

    A folder directly in one of ``folders`` is a package.
    """
    found: dict[tuple[str, int], tuple[str, Path]] = {}
    for folder in folders:
        for path in sorted({path for pattern in PATTERNS for path in folder.rglob(pattern)}):
            size = path.stat().st_size
            if SMALLEST <= size <= LARGEST and not path.name.startswith("."):
                package = path.relative_to(folder).parts[0].strip("_")
                found.setdefault((path.name, size), (package, path))
    by_package: dict[str, list[Path]] = {}
    for package, path in found.values():
        by_package.setdefault(package, []).append(path)
    rng = random.Random(seed)
    for paths in by_package.values():
        rng.shuffle(paths)
    while by_package:
        for package in rng.sample(sorted(by_package), len(by_package)):
            yield package, by_package[package].pop()
        by_package = {package: paths for package, paths in by_package.items() if paths}


def tried(package: str, path: Path, epochs: int, seed: int) -> Outcome:
    """Does with a file what a user does first."""
    rows = columns = 0
    summary = schema = ""
    try:
        cells = as_cells(path)
        rows, columns = len(next(iter(cells.values()))), len(cells)
        inferred = Schema.infer(list(cells.values()))
        lines = [*([cells.said] if cells.said else []), *str(inferred).splitlines()]
        schema = "\n".join(lines[:LINES])
        order = np.random.default_rng(seed).permutation(rows)[:ROWS]
        table = ar.Table.fit(
            some(cells, np.sort(order)),
            schema=inferred,
            quiet=True,
            max_epochs=epochs,
            network={"hidden": (64, 64)},
        )
        summary = table.summary
        outcome = asked(table, some(cells, order[: min(50, 1 + CELLS // columns)]))
    except ValueError as error:
        outcome = f"refused: {str(error).replace(str(path), path.name)}"
    except Exception as error:  # a fault of ours, which the survey is to count
        outcome = f"fault: {type(error).__name__}: {error}"
    nats, independent = (
        map(float, match.groups()) if (match := NATS.search(summary)) else (None,) * 2
    )
    return Outcome(path.name, package, rows, columns, outcome, nats, independent, schema)


def asked(table: ar.Table, few: dict[str, Cells]) -> str:
    """ "ok", or what is wrong with an answer about a few rows."""
    if not np.isfinite(table.log_prob(few)).all():
        return "fault: log p is not finite"
    table.explain(few)
    gaps, full = table.gaps(few), table.impute(few)
    for name, own in few.items():
        values = zip(
            own.values(), full[name], gaps.get(name, np.zeros(len(own), bool)), strict=True
        )
        if any(new is None if gap else new != old for old, new, gap in values):
            return f"fault: imputation of {name}"
    for column in table.schema.columns[:3]:
        if not math.isclose(table.distribution(column.name).probabilities.sum(), 1, abs_tol=1e-5):
            return f"fault: the distribution of {column.name}"
        value = column.typical(np.zeros(1, int))[0]
        answer = table.probability(f"`{column.name}` == {value!r}")
        if not 0 <= answer.value <= 1 + 1e-6:
            return f"fault: a probability of {answer.value}"
    return "ok"


def some(cells: dict[str, Cells], rows: np.ndarray) -> dict[str, Cells]:
    return {n: Cells.of(n, own[rows].values(), own.source) for n, own in cells.items()}


def page(found: Sequence[Outcome], seed: int, epochs: int, seconds: float) -> str:
    outcomes = Counter(each.outcome.partition(":")[0] for each in found)
    measured = [
        (e.nats, e.independent) for e in found if e.nats is not None and e.independent is not None
    ]

    def cell(text: str) -> str:
        return text.replace("|", "\\|").replace("<", "&lt;")

    rows = [
        f"| {cell(e.file)} | {e.package} | {f'{e.rows:,} x {e.columns}' if e.rows else ''} | "
        f"{cell(e.outcome)} | {'' if e.nats is None else f'{e.nats:.2f}'} | "
        f"{'' if e.independent is None else f'{e.independent:.2f}'} |"
        for e in found
    ]
    packages = sorted({each.package for each in found})
    return PAGE.format(
        count=len(found),
        packages=len(packages),
        seed=seed,
        outcomes=", ".join(f"{count} {what}" for what, count in outcomes.most_common()),
        better=sum(nats < independent for nats, independent in measured),
        measured=len(measured),
        seconds=seconds,
        torch=torch.__version__,
        epochs=epochs,
        rows="\n".join(rows),
        command=f"python benchmarks/csv_survey.py --folder packages --sample {len(found)} "
        "--write docs/results",
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sample", type=int, help="number of files; by default all")
    parser.add_argument("--folder", type=Path, nargs="*", help="instead of the installed packages")
    parser.add_argument("--max-epochs", type=int, default=15)
    parser.add_argument("--max-seconds", type=float, default=1800, help="then no further file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help="folder for files.json and files.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folders = arguments.folder or [Path(sysconfig.get_paths()["purelib"])]
    started, found = time.process_time(), list[Outcome]()
    for package, path in islice(drawn(folders, arguments.seed), arguments.sample):
        if time.process_time() - started > arguments.max_seconds:
            break
        found.append(tried(package, path, arguments.max_epochs, arguments.seed))
        last = found[-1]
        print(f"{package}/{path.name}: {last.outcome} {last.nats} {last.independent}", flush=True)
    seconds = time.process_time() - started
    if arguments.write is not None:
        content = json.dumps([asdict(each) for each in found], indent=1, ensure_ascii=False)
        (arguments.write / "files.json").write_text(content + "\n")
        text = page(found, arguments.seed, arguments.max_epochs, seconds)
        (arguments.write / "files.md").write_text(text)
    counts = Counter(each.outcome.partition(":")[0] for each in found)
    print(", ".join(f"{count} {what}" for what, count in counts.most_common()))


if __name__ == "__main__":
    main()
