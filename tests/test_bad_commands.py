"""Every command of a long table is refused at once, in one sentence, and changes no file."""

import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bad_commands import COMMANDS, make
from conftest import run

# Of the processor, and on the clock of a busy machine.
SECONDS, BUSY, BYTES = 10, 60, 2**30
USAGE = "For full helptext"  # the end of a usage error


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    make(folder)
    return folder


def content(folder: Path) -> dict[str, tuple[int, int]]:
    """The size and the time of the last change of everything in a folder."""
    stats = {str(path.relative_to(folder)): path.stat() for path in folder.rglob("*")}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """A context that is left by a TimeoutError after some seconds."""

    def late(*_: object) -> None:
        raise TimeoutError(f"it takes more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def fault(status: object, said: str) -> str | None:
    """What is wrong with how a command was refused."""
    if status not in (1, 2):
        return f"its status is {status}"
    lines = [line for line in said.splitlines() if line.strip()]
    usage = said.count(USAGE) == 1 and "autoregress: " not in said
    sentence = len(lines) == 1 and lines[0].startswith("autoregress: ")
    return None if usage or sentence else f"it says {said[-1000:]!r}"


def verb(line: str) -> str:
    return line.partition(" ")[0]


def test_the_table_is_long_and_of_every_verb():
    assert len(set(COMMANDS)) >= 1000
    assert {verb(line) for line in COMMANDS} >= {
        *("train", "evaluate", "sample", "complete", "score", "compress", "decompress"),
        *("mix", "prepare", "recipes", "plan", "info"),
    }


@pytest.mark.slow
@pytest.mark.parametrize("of", sorted({verb(line) for line in COMMANDS}))
def test_bad_commands_are_refused(of, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before, faults = content(folder), []
    capsys.readouterr()
    for line in COMMANDS:
        if verb(line) != of:
            continue
        started = time.process_time()
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        try:
            with limited(BUSY):
                wrong = fault(run(*shlex.split(line)), capsys.readouterr().err)
        except Exception as error:
            wrong = f"it raises {error!r}"
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > max(used, BYTES):
            wrong = "it takes more than 1 GB"
        if time.process_time() - started > SECONDS:
            wrong = f"it takes more than {SECONDS} s"
        if wrong is None and content(folder) != before:
            wrong, before = "it changes files", content(folder)
        if wrong is not None:
            faults.append(f"{line}: {wrong}")
    assert not faults, "\n".join(faults)


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "trian",
        "sample run --out new.npy --count 0",
        "train made --data data.npz --run new --hidden 100000000000000000000000",
        "sample nowhere --out new.npy",
        "sample run --out new.npy --count 1000000000000000",
        "train made --data data.npz --run new --hidden 10000000 --models 1000",
        "evaluate run --data pickle.npy",
        "complete run partial.npz --out new.jpg",
    ],
)
def test_so_is_a_whole_process(line, folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "autoregress", *shlex.split(line)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process.stderr as pipe:
        said = pipe.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert fault(process.returncode, said) is None
    # The peak of a child includes that of its parent, whose memory it shares until it runs.
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert usage.ru_maxrss * 1024 <= max(BYTES, ours * 1024)
    assert usage.ru_utime + usage.ru_stime < SECONDS
