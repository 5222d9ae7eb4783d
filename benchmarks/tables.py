"""Figures in a JSON file, one row for each run; several processes may add rows at the same time."""

from __future__ import annotations

import fcntl
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

Row = dict[str, Any]


class Figures:
    """The rows of a file, in the order of a key, of which each has its own."""

    def __init__(self, file: Path, key: Callable[[Row], Any]) -> None:
        self.file, self.key = file, key

    @property
    def rows(self) -> list[Row]:
        return json.loads(self.file.read_text())["rows"] if self.file.exists() else []

    def add(self, row: Row) -> None:
        """Adds a row, in place of an earlier one of its key."""
        with (ROOT / "pyproject.toml").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            others = [other for other in self.rows if self.key(other) != self.key(row)]
            rows = sorted([*others, row], key=self.key)
            self.file.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
        told = f"{row['test_nats']:.3f} test nats" if "test_nats" in row else "done"
        print(f"{row['recipe']}: {told}", flush=True)


def nats(row: Row | None) -> str:
    """Test nats, with half of a 95 % interval where there is one."""
    if row is None:
        return "–"
    interval = f" ± {row['interval_95']:.2f}" if "interval_95" in row else ""
    return f"{row['test_nats']:.2f}{interval}"


def png(figure: Any) -> bytes:
    """A matplotlib figure as a PNG file that depends on nothing but the figure."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()
