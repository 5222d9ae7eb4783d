"""``log.jsonl``: one line of JSON for each epoch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autoregress.disk import write_file


class Log:
    """The log of a run, which starts with the epochs recorded in a checkpoint.

    Lines of later epochs, and partial lines, are thus dropped.
    """

    def __init__(self, path: Path, history: Sequence[dict[str, Any]]) -> None:
        self._path = path
        write_file(path, "".join(map(_line, history)).encode())

    def append(self, record: dict[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(record))


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, allow_nan=False) + "\n"
