"""What a person sees of a run, on standard error."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from autoregress.evaluation import Score

# Seconds between two looks at a terminal, and between two lines elsewhere.
REFRESH = 0.2
LINES = 5.0


class Report:
    """A progress bar where there is a terminal, elsewhere now and then a line after an epoch.

    Args:
        epochs: how many there will be at most.
        total: how many updates.
        done: how many of them were done before.
        quiet: show nothing.
    """

    def __init__(self, epochs: int, total: int, done: int, *, quiet: bool = False) -> None:
        self._epochs, self._total, self._done = epochs, total, done
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
                f"epoch 1/{epochs}", total=total, completed=done, nats="", valid="", rate=""
            )

    def __enter__(self) -> Report:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self._line:
            self._print()

    def update(self, epoch: int, step: int, nats: float, examples_per_second: float) -> None:
        """After an update: the epoch under way, and the mean of its nats so far."""
        if self._bar is None or time.monotonic() - self._shown < REFRESH:
            return
        self._shown = time.monotonic()
        self._bar.update(
            self._task,
            description=f"epoch {epoch}/{self._epochs}, step {step:,}",
            completed=step,
            nats=f"train {nats:.3f}",
            valid=self._valid,
            rate=f"{examples_per_second:,.0f}/s",
            refresh=True,
        )

    def epoch(self, record: dict[str, Any], best: Score | None) -> None:
        """After an epoch: its line of the log, and the best score."""
        if best is not None:
            self._valid = f"  valid {record['valid_nats']:.3f} (best {best.nats:.3f})"
        if self._bar is None and not self._quiet:
            # None if all of the epoch's updates were done before the run was resumed.
            done = max(record["step"] - self._done, 1)
            left = (time.monotonic() - self._started) / done * (self._total - record["step"])
            self._line = (
                f"epoch {record['epoch']}/{self._epochs}, step {record['step']:,}  "
                f"train {record['train_nats']:.3f}{self._valid}  "
                f"{record['examples_per_second']:,.0f} examples/s  "
                f"{timedelta(seconds=round(left))} left"
            )
            if time.monotonic() - self._shown >= LINES:
                self._print()

    def _print(self) -> None:
        print(self._line, file=sys.stderr, flush=True)
        self._line, self._shown = "", time.monotonic()
