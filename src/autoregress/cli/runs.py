"""The runs below a folder, beside each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from autoregress.cli.tables import SCHEMA as TABLE
from autoregress.disk import parse_json, read_json

LONGEST = 40  # characters of a setting


@dataclass(frozen=True)
class Runs:
    """List the training runs below a folder, best first, with the settings that differ.

    autoregress runs runs

    Runs measured on different validation examples are listed apart, as their scores do not compare.

    Args:
        folder: A folder with run folders in it, at any depth.
    """

    folder: Positional[Path] = Path("runs")

    def __call__(self) -> None:
        groups: dict[str, list[Run]] = {}
        for run in _found(self.folder):
            groups.setdefault(run.measured_on, []).append(run)
        if not groups:
            raise ValueError(f"{self.folder} holds no runs")
        parts = []
        for measured_on, runs in groups.items():
            lines = _table(sorted(runs, key=lambda run: (run.nats, run.name)))
            parts.append("\n".join([measured_on, *lines] if len(groups) > 1 else lines))
        print("\n\n".join(parts))


@dataclass(frozen=True)
class Run:
    """What the files of a run say about it.

    Attributes:
        name: its folder.
        settings: the options of its model and of its training, by name.
        epochs: the lines of its log.
        measured_on: its validation examples, in words.
    """

    name: str
    settings: Mapping[str, Any]
    epochs: list[dict[str, Any]]
    measured_on: str

    @property
    def best(self) -> dict[str, Any]:
        """The epoch with the least validation nats; empty without any."""
        return min(self.epochs, key=_nats, default={})

    @property
    def nats(self) -> float:
        return _nats(self.best)

    @property
    def seconds(self) -> float:
        return math.fsum(epoch["seconds"] for epoch in self.epochs)


def _nats(epoch: Mapping[str, Any]) -> float:
    nats = epoch.get("valid_nats")
    return math.inf if nats is None else nats


def _found(folder: Path) -> Iterator[Run]:
    for path in sorted(folder.rglob("config.json")):
        config = read_json(path, object)
        if not isinstance(config, dict) or config.get("training") is None:
            continue
        try:
            yield _run(path, config)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{path.parent} is damaged: its log or configuration") from error


def _run(path: Path, config: Mapping[str, Any]) -> Run:
    model = dict(config["model"])
    for given in ("event_shape", "symbols", "columns", "labels", "context"):
        model.pop(given, None)  # of the data, not chosen
    folder = path.parent
    if (folder.parent / TABLE).exists():  # the run of a table has that of its model inside
        folder = folder.parent
    run = Run(
        str(folder),
        {**model, **config["training"]},
        list(_epochs(path.with_name("log.jsonl"))),
        _measured_on(config["data"].get("valid")),
    )
    _table([run])  # which reads all of it
    return run


def _epochs(log: Path) -> Iterator[dict[str, Any]]:
    text = log.read_text(encoding="utf-8") if log.exists() else ""
    # A run that trains meanwhile may have written half of the last line.
    for line in text[: text.rfind("\n") + 1].splitlines():
        yield parse_json(line.encode(), dict[str, Any])


def _measured_on(valid: Mapping[str, Any] | None) -> str:
    if valid is None:
        return "without validation examples"
    return f"on {valid['examples']:,} validation examples ({valid['sha256'][:8]})"


def _table(runs: list[Run]) -> list[str]:
    """Aligned lines, under a line of titles."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    differing = [name for name in names if len({repr(run.settings.get(name)) for run in runs}) > 1]
    rows = [("run", "bits/dim", "nats", "best epoch", "time", *differing)]
    for run in runs:
        best = run.best
        scored = math.isfinite(run.nats)
        rows.append(
            (
                run.name,
                f"{best['valid_bits_per_dim']:.4f}" if scored else "–",
                f"{run.nats:.4f}" if scored else "–",
                f"{best['epoch'] if scored else '–'} of {len(run.epochs)}",
                str(timedelta(seconds=round(run.seconds))),
                *(_shown(run.settings.get(name)) for name in differing),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _shown(value: object) -> str:
    text = "–" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
