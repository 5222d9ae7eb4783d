"""The progress of a run, shown on standard error."""

from __future__ import annotations

import math
import sys
import time
from datetime import timedelta
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from autoregress.devices import describe_device
from autoregress.training.checkpoints import Position

# Seconds between refreshes of a terminal, and between lines elsewhere.
REFRESH = 0.2
LINES = 5.0
LONGEST = 1e13  # seconds, for timedelta


class Report:
    """A progress bar on a terminal, elsewhere an occasional line after an epoch.

    Args:
        epochs: largest number of epochs.
        total: largest number of updates.
        start: the position of the run at the start.
        device: the device of the run, shown unless it is the CPU.
        quiet: show nothing.
    """

    def __init__(
        self,
        epochs: int,
        total: int,
        start: Position,
        device: torch.device,
        *,
        quiet: bool = False,
    ) -> None:
        self._epochs, self._total, self._done = epochs, total, start.step
        self._best = math.inf if start.best is None else start.best.nats
        self._device = device
        self._quiet = quiet
        self._valid = ""
        self._line = ""
        self._shown = -float("inf")
        self._started = time.monotonic()
        console = Console(stderr=True)
        self._bar = None
        if console.is_terminal and not quiet:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                TextColumn("{task.fields[nats]}{task.fields[valid]}"),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=console,
                auto_refresh=False,
                expand=True,
            )
            self._task = self._bar.add_task(
                f"epoch 1/{epochs}", total=total, completed=start.step, nats="", valid="", rate=""
            )

    def __enter__(self) -> Report:
        if self._device.type != "cpu" and not self._quiet:
            print(f"training on {describe_device(self._device)}", file=sys.stderr, flush=True)
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self._line:
            self._print()

    def update(self, record: dict[str, Any]) -> None:
        """Shows the record of an update."""
        if self._bar is None or time.monotonic() - self._shown < REFRESH:
            return
        self._shown = time.monotonic()
        self._bar.update(
            self._task,
            description=f"epoch {record['epoch']}/{self._epochs}, step {record['step']:,}",
            completed=record["step"],
            nats=f"train {record['train_nats']:.3f}",
            valid=self._valid,
            rate=f"{record['examples_per_second']:,.0f}/s",
            refresh=True,
        )

    def epoch(self, record: dict[str, Any]) -> None:
        """Shows the record of an epoch."""
        if (valid := record["valid_nats"]) is not None:
            self._best = min(self._best, valid)
            self._valid = f"  valid {valid:.3f} (best {self._best:.3f})"
        if self._bar is None and not self._quiet:
            # 0 if all updates of the epoch were done before the run was resumed.
            done = max(record["step"] - self._done, 1)
            left = (time.monotonic() - self._started) / done * (self._total - record["step"])
            self._line = (
                f"epoch {record['epoch']}/{self._epochs}, step {record['step']:,}  "
                f"train {record['train_nats']:.3f}{self._valid}  "
                f"{record['examples_per_second']:,.0f} examples/s  "
                f"{timedelta(seconds=round(min(left, LONGEST)))} left"
            )
            if time.monotonic() - self._shown >= LINES:
                self._print()

    def _print(self) -> None:
        print(self._line, file=sys.stderr, flush=True)
        self._line, self._shown = "", time.monotonic()
