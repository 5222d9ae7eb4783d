"""Parts made side by side, each by a process with one thread, and what their progress says."""

from __future__ import annotations

import multiprocessing
import pickle
import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

LANES = 2
REFRESH = 0.5  # seconds between refreshes of a terminal, and between what a part tells
LINES = 10.0  # seconds between lines elsewhere

Tell = Callable[[float], None]
"""Called by a part with the share of it that is done."""


@dataclass(frozen=True)
class Part:
    """A part of the demo.

    Attributes:
        name: its name, as the progress shows it.
        seconds: the time that it takes on one core, to estimate the rest by.
        make: makes it, while telling the share that is done; picklable.
    """

    name: str
    seconds: float
    make: Callable[[Tell], Any]


@dataclass(frozen=True)
class Made:
    """A part that is made.

    Attributes:
        value: what was made.
        cpu_seconds: the processor time that it took.
        lane: the process that made it.
    """

    value: Any
    cpu_seconds: float
    lane: int


def side_by_side(parts: Sequence[Part], afterwards: float) -> dict[str, Made]:
    """Makes the parts in two processes, the longest first; returns them by their names.

    Args:
        parts: the parts.
        afterwards: the seconds that the caller takes after this, for the time that is left.
    """
    context = multiprocessing.get_context("spawn")  # a fork of torch's threads may hang
    told = context.Queue()
    with (
        ProcessPoolExecutor(
            LANES, mp_context=context, initializer=_enter, initargs=(told,)
        ) as lanes,
        Left(parts, afterwards) as left,
    ):
        futures = {
            part.name: lanes.submit(_make, part)
            for part in sorted(parts, key=lambda part: -part.seconds)
        }
        try:
            _follow(futures, told, left)
        except BaseException:
            lanes.shutdown(cancel_futures=True)
            raise
    return {part.name: pickle.loads(futures[part.name].result()) for part in parts}


def updates(tell: Tell, count: int, share: float) -> Callable[[dict[str, Any]], None]:
    """A hook for a training of that number of updates, which is a share of the part."""
    shown = time.monotonic()

    def hook(record: dict[str, Any]) -> None:
        nonlocal shown
        if time.monotonic() - shown >= REFRESH:
            shown = time.monotonic()
            tell(share * record["step"] / count)

    return hook


def _follow(futures: dict[str, Future[bytes]], told: Any, left: Left) -> None:
    waiting = dict(futures)
    while waiting:
        wait(waiting.values(), timeout=REFRESH, return_when="FIRST_COMPLETED")
        while True:
            try:
                left.told(*told.get_nowait())
            except queue.Empty:
                break
        for name in [name for name, future in waiting.items() if future.done()]:
            waiting.pop(name).result()
            left.told(name, 1.0)
        left.show()


_told: Any = None  # a process's way to its parent


def _enter(told: Any) -> None:
    global _told
    _told = told
    torch.set_num_threads(1)


def _make(part: Part) -> bytes:
    tell = partial(_tell, part.name)
    tell(0.0)
    started = time.process_time()
    value = part.make(tell)
    lane = multiprocessing.current_process().pid
    assert lane is not None
    # As bytes: torch would share a tensor's memory, which the parent cannot open afterwards.
    return pickle.dumps(Made(value, time.process_time() - started, lane))


def _tell(name: str, share: float) -> None:
    _told.put((name, share))


class Left:
    """The parts being made and the time left: a bar on a terminal, elsewhere a line now and then.

    Args:
        parts: all parts.
        afterwards: the seconds on one core that remain when they are made.
    """

    def __init__(self, parts: Sequence[Part], afterwards: float) -> None:
        self._seconds = {part.name: part.seconds for part in parts}
        self._shares: dict[str, float] = {}
        self._afterwards = afterwards
        self._started, self._shown = time.monotonic(), 0.0
        console = Console(stderr=True)
        self._console = console
        self._bar = None
        if console.is_terminal:
            columns = (BarColumn(20), TextColumn("{task.description}"))
            self._bar = Progress(*columns, console=console, auto_refresh=False)
            self._task = self._bar.add_task("starting", total=sum(self._seconds.values()))

    def __enter__(self) -> Left:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def told(self, name: str, share: float) -> None:
        """Takes the share of a part that is done."""
        before = self._shares.get(name)
        self._shares[name] = max(share, before or 0.0)
        if share == 1 and before != 1:
            self._shown = 0.0  # a line for each part that is made

    def show(self) -> None:
        """Refreshes the bar, or prints a line if one is due."""
        if self._bar is not None:
            self._bar.update(self._task, description=str(self), completed=self._done, refresh=True)
        elif self._shares and time.monotonic() - self._shown >= LINES:
            self._shown = time.monotonic()
            self._console.print(str(self), soft_wrap=True, highlight=False)

    def __str__(self) -> str:
        shares = self._shares.items()
        making = ", ".join(f"{name} {share:.0%}" for name, share in shares if share < 1)
        made = sum(share == 1 for _, share in shares)
        said = f"{made} of {len(self._seconds)} parts made"
        said += f"; making {making}" if making else "; drawing pictures"
        return said if self._seconds_left is None else f"{said}; {self._seconds_left} left"

    @property
    def _done(self) -> float:
        return sum(self._seconds[name] * share for name, share in self._shares.items())

    @property
    def _seconds_left(self) -> timedelta | None:
        """None until a twentieth is done, before which there is no speed to go by."""
        total, done = sum(self._seconds.values()), self._done
        if done < 0.05 * total:
            return None
        passed = time.monotonic() - self._started
        left = (total - done + LANES * self._afterwards) * passed / done
        return timedelta(seconds=round(left))
