"""A large table from Parquet: time and memory to learn it and to score it.

    python benchmarks/table_size.py --rows 10000000 --columns 20 --folder large

writes a table of labels, whole numbers, amounts and dates that depend on one another, in row groups
of 65,536, unless it exists; learns it, by default in one pass and in large batches; scores new
rows, and explains the first of them; and prints the CPU time of each and the largest memory of the
process. It needs 1 GB of disk.

    python benchmarks/table_size.py --rows 100000 --columns 10 --score 1000000 --folder large

scores a million rows.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from pyarrow import parquet

import autoregress as ar

GROUP, EXPLAINED = 2**16, 10_000


def rows(count: int, columns: int, rng: np.random.Generator) -> pa.Table:
    """Columns of four kinds, each of which depends on one hidden number a row."""
    hidden = rng.normal(size=count)
    found = {}
    for place in range(columns):
        x = 0.7 * hidden + rng.normal(size=count)
        match place % 4:
            case 0:
                label = (x * 1.5 + 4).clip(0, 7).astype(int)
                found[f"label {place}"] = np.array(list("abcdefgh"))[label]
            case 1:
                found[f"count {place}"] = np.exp(1.5 + x).clip(0, 500).astype(int)
            case 2:
                found[f"amount {place}"] = np.exp(6 + x).round(2)
            case _:
                day = (x * 200 + 12_000).astype(int)
                found[f"day {place}"] = day.astype("datetime64[D]")
    return pa.table(found)


def write(path: Path, count: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rows(1, columns, rng)
    with parquet.ParquetWriter(path, first.schema) as file:
        for start in range(0, count, GROUP):
            part = rows(min(GROUP, count - start), columns, rng)
            file.write_table(part.cast(first.schema))


def gigabytes() -> float:
    """The largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=4096)
    parser.add_argument("--score", type=int, default=100_000, help="number of rows to score")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    size = f"{arguments.rows}x{arguments.columns}"
    path = arguments.folder / f"{size}.parquet"
    if not path.exists():
        write(path, arguments.rows, arguments.columns, arguments.seed)
    print(
        f"written: {path.stat().st_size / 2**30:.1f} GiB, memory {gigabytes():.2f} GiB", flush=True
    )
    started = time.process_time()
    table = ar.Table.fit(
        path, quiet=True, max_epochs=arguments.epochs, batch_size=arguments.batch_size
    )
    seconds = time.process_time() - started
    print(f"learnt in {seconds:.0f} s, memory {gigabytes():.2f} GiB", flush=True)
    print(table.summary, flush=True)
    few = path.with_name("few.parquet")
    write(few, arguments.score, arguments.columns, arguments.seed + 1)
    started = time.process_time()
    nats = -table.log_prob(few).mean()
    seconds = time.process_time() - started
    print(f"scored {arguments.score / seconds:,.0f} rows a second, {nats:.3f} nats a row")
    part = parquet.ParquetFile(few).read_row_group(0).slice(0, EXPLAINED)
    started = time.process_time()
    table.explain(part)
    seconds = time.process_time() - started
    print(f"explained {len(part) / seconds:,.0f} rows a second, memory {gigabytes():.2f} GiB")


if __name__ == "__main__":
    main()
