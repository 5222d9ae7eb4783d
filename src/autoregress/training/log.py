"""``log.jsonl``: one line of JSON for each epoch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from autoregress.disk import naming, open_file, parse_json, write_file


class Record(TypedDict):
    """The record of an epoch; hooks are given it too."""

    epoch: int
    step: int
    train_nats: float
    valid_nats: float | None
    valid_bits_per_dim: float | None
    lr: float
    seconds: float
    examples_per_second: float


def read_log(path: Path) -> list[Record]:
    """The records in a log, without a last line that is not yet complete.

    Raises:
        ValueError: the file cannot be read, or is damaged.
    """
    with open_file(path) as file:
        *lines, _ = file.read().split(b"\n")
    with naming(path):
        return [parse_json(each, Record) for each in lines]


class Log:
    """The log of a run, which starts with the epochs recorded in a checkpoint.

    Lines of later epochs, and partial lines, are thus dropped.
    """

    def __init__(self, path: Path, history: Sequence[Record]) -> None:
        self._path = path
        write_file(path, "".join(map(line, history)).encode())

    def append(self, record: Record) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line(record))


def line(record: Record) -> str:
    """A record as a line of the log; raises ValueError if a number is not finite."""
    return json.dumps(record, allow_nan=False) + "\n"
