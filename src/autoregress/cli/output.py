"""The output of verbs for people: progress, and a line about each file written."""

from __future__ import annotations

import codecs
import io
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from autoregress.disk import is_stdout

# Replacements for terminals and pipes that know only ASCII.
ASCII = str.maketrans(
    {"±": "+/-", "−": "-", "×": "x", "…": "...", "√": "sqrt", "–": "-", "·": "*"}
    | dict.fromkeys("╭╮╰╯", "+")
    | {"─": "-", "│": "|"}
)
# Seconds between refreshes on a terminal, and between lines elsewhere.
REFRESH = 0.2
LINES = 5.0
LONGEST = 1e13  # seconds, for timedelta


def never_fail_to_print() -> None:
    """Makes standard output and error replace characters that they cannot encode."""

    def replaced(error: UnicodeError) -> tuple[bytes, int]:
        assert isinstance(error, UnicodeEncodeError)
        characters = error.object[error.start : error.end].translate(ASCII)
        return b"".join(map(_in_ascii, characters)), error.end

    codecs.register_error("autoregress", replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="autoregress")


def _in_ascii(character: str) -> bytes:
    """A character, or the byte of a file name that Python could not decode."""
    try:
        return character.encode("ascii", "surrogateescape")
    except UnicodeEncodeError:
        return character.encode("ascii", "backslashreplace")


def flush_stdout() -> None:
    """Writes what has been printed, while an error can still be reported.

    Raises:
        ValueError: standard output cannot be written, as on a full disk.
        BrokenPipeError: nobody reads it any longer.
    """
    if sys.stdout is None:  # closed by the caller
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        give_up_stdout()
        raise ValueError(f"standard output cannot be written: {error.strerror}") from error


def give_up_stdout() -> None:
    """Discards what has been printed, so that Python does not try to write it at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


class Progress:
    """The progress of a verb on standard error: a bar on a terminal, elsewhere a line every 5 s.

    Args:
        doing: what the verb does, such as "compressing".
        symbols: number of symbols of an example, if symbols are counted instead of examples.
        size: number of bytes of an example, if bytes a second are shown too.
    """

    def __init__(self, doing: str, symbols: int = 1, size: float | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        self._doing, self._symbols, self._size = doing, symbols, size
        console = Console(stderr=True)
        self._terminal = console.is_terminal
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            console=console,
            auto_refresh=False,
            transient=True,
            expand=True,
            disable=not self._terminal,
        )
        self._task = self._bar.add_task(doing)
        self._refreshed = self._printed = time.monotonic()

    def __enter__(self) -> Progress:
        if self._terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            self._bar.stop()

    def within(self, before: int, total: int) -> Callable[[int, int], None]:
        """Shows the progress of a part of ``total`` examples, of which some came before it."""

        def report(done: int, _: int) -> None:
            self(before * self._symbols + done, total * self._symbols)

        return report

    def __call__(self, done: int, total: int) -> None:
        """Shows the number of examples, or symbols, done so far, of the total."""
        now = time.monotonic()
        if now - self._refreshed < REFRESH:
            return
        self._refreshed = now
        examples, of_all = done / self._symbols, total / self._symbols
        self._bar.update(self._task, completed=examples, total=of_all)
        line = f"{self._doing} {int(examples):,} of {int(of_all):,} examples"
        task = self._bar.tasks[self._task]
        if task.speed and task.time_remaining is not None:
            left = timedelta(seconds=round(min(task.time_remaining, LONGEST)))
            line += f"  {task.speed:,.{0 if task.speed >= 10 else 2}f} examples/s"
            if self._size is not None:
                line += f"  {task.speed * self._size / 1e6:.3g} MB/s"
            line += f"  {left} left"
        if self._terminal:
            self._bar.update(self._task, description=line, refresh=True)
        elif now - self._printed >= LINES:
            self._printed = now
            print(line, file=sys.stderr, flush=True)


def frame_rate(rate: int | None, out: Path) -> int:
    """The number of frames a second of a file to be written, 10 if not given.

    Raises:
        ValueError: the file cannot have a rate, or not this one.
    """
    from autoregress.data.formats.videos import check_rate

    if rate is not None:
        check_rate(out, rate)
    return 10 if rate is None else rate


def announce(text: str, out: Path) -> None:
    """Prints a line about a written file, on standard error if the file is standard output."""
    print(text, file=sys.stderr if is_stdout(out) else sys.stdout)


def named(files: Sequence[Path]) -> str:
    """The name of one file, or the first and last names of several."""
    return str(files[0]) if len(files) == 1 else f"{files[0]} to {files[-1]}"
