"""Seconds from the command until a table of 1,000 rows is learnt and measured, on one core.

    python benchmarks/first_number.py

The first 1,000 rows of tables that packages carry, or of the CSV files given, each by its own
``autoregress train table`` with the defaults: from the start of the process to its end.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import package_tables

ROWS = 1000
TABLES = ("ACTG175", "dd", "affairs", "weather")


def files() -> list[Path]:
    """The tables' files, of those whose packages are installed."""
    found = []
    for name in TABLES:
        package, file = package_tables.FILES[name]
        root = package_tables.folder(package)
        if root is None:
            print(package_tables.NotInstalledError(name, package))
        else:
            found.append(root / file)
    return found


def measure(path: Path) -> tuple[float, str]:
    """The seconds that one command takes, and its summary."""
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / path.name
        with path.open("rb") as file:
            part.write_bytes(b"".join(file.readline() for _ in range(ROWS + 1)))
        command = ["-m", "autoregress", "train", "table", "--data", str(part)]
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *command, "--run", f"{folder}/run"],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        seconds = time.perf_counter() - started
    return seconds, next(line for line in done.stdout.splitlines() if line.startswith("after"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path)
    for path in parser.parse_args().files or files():
        seconds, summary = measure(path)
        print(f"{path.name}: {seconds:.1f} s, {summary}", flush=True)


if __name__ == "__main__":
    main()
