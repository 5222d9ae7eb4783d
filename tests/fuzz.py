"""Damaged and hostile files at every door: they are read rightly, or refused in one sentence.

    python tests/fuzz.py [DOOR …] [--start SEED] [--cases N]

tries one seed after another at each door, without end unless --cases is given, and prints what
fails with its seed; ``--start SEED --cases 1`` repeats it.

A door is a function of a random generator and an empty folder. It writes a damaged file there, and
returns the text that an error must contain (the name of the file) and a function that opens the
file. That function checks what it read, if it can read it, and is run with bounds on its time and
memory. Only a ValueError or an OSError, in one line that names the file, is a refusal.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import itertools
import json
import re
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import numpy as np
import torch

import autoregress as ar
from autoregress.data import read

Case = tuple[str, Callable[[], object]]
Door = Callable[[Random, Path], Case]

DOORS: dict[str, Door] = {}
SECONDS = 5
BYTES = 2**30  # of address space beyond what the process has


def door(function: Door) -> Door:
    """Adds a door, under the name of the function."""
    DOORS[function.__name__] = function
    return function


# Damage


def damaged(content: bytes, random: Random) -> bytes:
    """The content with one or a few faults."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 9))):
        content = random.choice(FAULTS)(content, random)
    return content


def _flip(content: bytes, random: Random) -> bytes:
    if not content:
        return content
    place = random.randrange(len(content))
    changed = bytes([content[place] ^ 1 << random.randrange(8)])
    return content[:place] + changed + content[place + 1 :]


def _cut(content: bytes, random: Random) -> bytes:
    return content[: random.randrange(len(content) + 1)]


def _insert(content: bytes, random: Random) -> bytes:
    place = random.randrange(len(content) + 1)
    return content[:place] + random.randbytes(random.randint(1, 9)) + content[place:]


def _delete(content: bytes, random: Random) -> bytes:
    place = random.randrange(len(content) + 1)
    return content[:place] + content[place + random.randint(1, 9) :]


def _repeat(content: bytes, random: Random) -> bytes:
    """A part of the content copied over, or into, another place."""
    start, place = (random.randrange(len(content) + 1) for _ in range(2))
    part = content[start : start + random.randint(1, 64)]
    return content[:place] + part + content[place + random.choice((0, len(part))) :]


def _number(content: bytes, random: Random) -> bytes:
    """An extreme binary integer somewhere."""
    size = random.choice((1, 2, 4, 8))
    number = random.choice(
        (0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1)
    )
    place = random.randrange(len(content) + 1)
    written = number.to_bytes(size, random.choice(("little", "big")))
    return content[:place] + written + content[place + size :]


def _digits(content: bytes, random: Random) -> bytes:
    """Another number instead of one in decimal digits, as in a header or a table."""
    if not (found := list(re.finditer(rb"-?\d+", content))):
        return content
    number = random.choice(found)
    return content[: number.start()] + random.choice(NUMBERS) + content[number.end() :]


NUMBERS = (
    *(b"", b"0", b"-1", b"1", b"2", b"3", b"256", b"65536", b"2147483648", b"1000000000000"),
    *(b"9223372036854775807", b"9223372036854775808", b"1" + b"0" * 25, b"9" * 5000),
    *(b"1e400", b"nan", b"NaN", b"Infinity", b"1.5", b"True", b"None", b"'", b"(", b"[", b"{"),
)
FAULTS = (_flip, _flip, _cut, _insert, _delete, _repeat, _number, _digits)


def damaged_json(text: str, random: Random) -> str:
    """JSON with values of other kinds, or none, in some places; seldom text that is not JSON."""
    content = json.loads(text)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        content = _replaced(content, random)
    text = json.dumps(content).replace('"DEEP"', "[" * 100_000 + "]" * 100_000)
    if random.random() < 0.2:
        text = damaged(text.encode(), random).decode("utf-8", "replace")
    return text


def _replaced(value: Any, random: Random) -> Any:
    """The value with a random part of it replaced, removed or repeated."""
    if isinstance(value, dict | list) and value and random.random() < 0.9:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = random.choice(keys)
        match random.randrange(8):
            case 0:
                del value[key]
            case 1 if isinstance(value, list):
                value.append(value[key])
            case 1:
                value[random.choice(("x", "", "kind", *map(str, keys)))] = value[key]
            case _:
                value[key] = _replaced(value[key], random)
        return value
    return random.choice(VALUES)()


VALUES: tuple[Callable[[], Any], ...] = (
    *(lambda: None, lambda: True, lambda: [], dict, lambda: "", lambda: "x", lambda: "DEEP"),
    *(lambda: 0, lambda: -1, lambda: 1, lambda: 3, lambda: 1.5, lambda: 1e308, lambda: 10**12),
    *(lambda: 2**31, lambda: 2**63, lambda: 10**25, lambda: float("nan"), lambda: float("inf")),
    *(lambda: [1], lambda: [[]], lambda: ["x"], lambda: {"x": 1}, lambda: [2] * 1000),
    *(lambda: "\ud800", lambda: "\0", lambda: "x" * 5000, lambda: "../../x"),
)


# Running


class Slow(BaseException):
    """More than the allowed time has passed."""


@contextmanager
def bounded() -> Iterator[None]:
    """A context with bounds on time (Slow) and on additional memory (MemoryError)."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Slow(f"more than {SECONDS} s")

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, stop)
    # If it is code in C that does not return, the signal is never seen by Python.
    faulthandler.dump_traceback_later(10 * SECONDS, exit=True, file=sys.__stderr__)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


def attempt(name: str, seed: int) -> bool:
    """Tries a case; returns whether it was read.

    Raises:
        AssertionError: it was neither read rightly nor refused in one sentence.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        named, opened = DOORS[name](Random(f"{name} {seed}"), Path(folder))
        try:
            with bounded():
                opened()
        except BaseException as error:
            if fault := _fault(error, named):
                raise AssertionError(f"{name} {seed}: {fault}: {error!r:.500}") from error
            return False
    return True


def _fault(error: BaseException, named: str) -> str:
    """What is wrong with an error as the answer to a damaged file; empty if nothing is."""
    if type(error) is not ValueError and not isinstance(error, OSError):
        return "no refusal"
    message = str(error)
    if named not in message:
        return f"it does not contain {named}"
    return "not a short line" if "\n" in message or len(message) > 1000 else ""


# Tables


TABLE = b"colour,size,n\nred,1,0\nblue,2,1\n\xc3\xa9,3,2\nred,1,3\nblue,,?\n"
NUMBERED = b"0,1,1\n1,0,2\n1,1,0\n0,0,1\n"


@door
def csv(random: Random, folder: Path) -> Case:
    path = folder / "table.csv"
    content, levels = random.choice(((TABLE, None), (NUMBERED, None), (NUMBERED, (2, 2, 3))))
    path.write_bytes(damaged(content, random))
    condition = random.choice((None, None, "n"))

    def opened() -> None:
        _check(read(path, partial=random.random() < 0.5, levels=levels, condition=condition))

    return str(path), opened


def _check(data: ar.data.Data) -> None:
    """Checks that examples are within their levels, and as many as their contexts."""
    data.symbols.check(data.x)
    assert len(data) > 0
    assert data.known is None or data.known.shape == data.x.shape
    assert data.context is None or len(data.context) == len(data)
    assert data.context is None or data.context.isfinite().all()
    if data.columns is not None:
        assert len(data.columns.names) == data.symbols.dims


# Arrays


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


ARRAYS = (
    np.arange(12, dtype=np.uint8).reshape(4, 3),
    np.arange(24, dtype=np.int64).reshape(2, 3, 2, 2) % 5,
    np.asfortranarray(np.arange(12, dtype=">i2").reshape(4, 3)),
    np.array([[0.0, 1.0], [1.0, 2.0]], np.float32),
    np.array([True, False, True]),
)


@door
def npy(random: Random, folder: Path) -> Case:
    path = folder / "x.npy"
    path.write_bytes(damaged(_npy(random.choice(ARRAYS)), random))
    return str(path), lambda: _check(read(path))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("doors", nargs="*", metavar="DOOR", help=f"of {', '.join(DOORS)}")
    parser.add_argument("--start", type=int, default=0, metavar="SEED")
    parser.add_argument("--cases", type=int, metavar="N")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    start, cases = arguments.start, arguments.cases
    seeds = itertools.count(start) if cases is None else range(start, start + cases)
    failures = 0
    try:
        for seed in seeds:
            for name in arguments.doors or DOORS:
                # The last line, if the whole process is ended.
                print(f"\r{name} {seed}: {failures} failures ", end="", file=sys.stderr, flush=True)
                try:
                    attempt(name, seed)
                except AssertionError as error:
                    failures += 1
                    print(f"\r{error}")
                    cause = error.__cause__ or error
                    traceback.print_tb(cause.__traceback__, limit=-4, file=sys.stdout)
    except KeyboardInterrupt:
        pass
    print(f"\n{failures} failures up to seed {seed}", file=sys.stderr)
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
