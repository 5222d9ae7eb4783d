"""Runs the commands and the code of pages, in order, as a reader would.

    python docs/run_pages.py docs/first-steps.md

writes what each block prints into the block of kind ``output`` that follows it, if one does, and
the pictures that the page shows beside it. The tests run all pages, and compare what is printed,
apart from numbers, with what the pages show.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\S*)(?: (\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"^!\[[^]]*\]\(([\w.-]+)\)", re.MULTILINE)
LONGEST = 600  # seconds
PRELOADED = ["autoregress.cli.program", "autoregress.training", "autoregress.networks"]


@dataclass(frozen=True)
class Block:
    """A block of a page: its kind, the name of the file that it is, if any, and its text."""

    kind: str
    file: str
    text: str

    @property
    def commands(self) -> list[str]:
        lines = self.text.replace("\\\n", " ").splitlines()
        return [command for line in lines if (command := re.split(r"\s+# |^#", line)[0].strip())]


def blocks(text: str) -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(text) if found[0]]


def run(page: Path, folder: Path, *, forked: bool = False) -> Iterator[tuple[Block, str]]:
    """The blocks of a page that are run in a folder, each with what it prints.

    Args:
        page: the page.
        folder: where to run them.
        forked: Run Python and ``autoregress`` in forks of a process that has imported the package:
            the same without the seconds that each import takes.

    Raises:
        AssertionError: a command fails, or a block is of a kind that nothing runs.
    """
    shutil.copytree(ROOT / "benchmarks", folder / "benchmarks", dirs_exist_ok=True)
    context = get_context("forkserver" if forked else "spawn")
    context.set_forkserver_preload(PRELOADED)
    # One process has a page's Python, whose blocks continue one another.
    with ProcessPoolExecutor(1, context, initializer=_enter, initargs=(folder,)) as reader:
        for block in blocks(page.read_text()):
            if block.file:
                (folder / block.file).write_text(block.text)
            elif block.kind == "python":
                yield block, reader.submit(_execute, block.text).result(timeout=LONGEST)
            elif block.kind == "console":
                yield block, "".join(_command(each, folder, forked) for each in block.commands)
            else:
                known = block.kind in ("output", "text") or block.kind.startswith("{")
                assert known, f"{page.name} has a block of {block.kind}, which nothing runs"


def _command(command: str, folder: Path, forked: bool) -> str:
    if command.startswith(("make ", "pip ")):  # these install, or run the tests themselves
        return ""
    if forked and (arguments := _arguments(command)):
        return _fork(arguments, folder)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _arguments(command: str) -> list[str]:
    """The arguments of a command that is ``autoregress`` alone, without any need of a shell."""
    read = shlex.shlex(command, posix=True, punctuation_chars=True)
    read.whitespace_split = True
    program, *arguments = read
    plain = not any(word[:1] in "|;&<>$~" or "*" in word for word in arguments)
    return arguments if program == "autoregress" and plain else []


def _fork(arguments: list[str], folder: Path) -> str:
    with tempfile.TemporaryDirectory() as printed:
        out, err = Path(printed, "out"), Path(printed, "err")
        context = get_context("forkserver")
        process = context.Process(
            target=_main, args=(arguments, folder, dict(os.environ), out, err)
        )
        process.start()
        process.join(LONGEST)
        assert process.exitcode == 0, f"{arguments}\n{out.read_text()}\n{err.read_text()}"
        return out.read_text()


def _main(
    arguments: list[str], folder: Path, environment: dict[str, str], out: Path, err: Path
) -> None:
    """What the console script does, with its output in files."""
    for stream, file in ((sys.stdout, out), (sys.stderr, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), stream.fileno())
    os.chdir(folder)
    os.environ.update(environment)
    sys.argv[1:] = arguments
    from autoregress.cli import main

    main()


NAMES: dict[str, Any] = {"__name__": "__main__"}


def _enter(folder: Path) -> None:
    os.chdir(folder)
    sys.path.insert(0, "")


def _execute(text: str) -> str:
    with redirect_stdout(io.StringIO()) as printed:
        exec(text, NAMES)
    return printed.getvalue()


def shown(page: str) -> list[tuple[Block, str]]:
    """The blocks of a page with an output, and that output."""
    listed = blocks(page)
    return [(block, after.text) for block, after in pairwise(listed) if after.kind == "output"]


def without_numbers(text: str) -> list[str]:
    """The words of a text, with # for every number."""
    return re.sub(r"\d[\d,.:]*(e[-+]\d+)?", "#", text).split()


def main() -> None:
    os.environ["COLUMNS"] = "96"
    for page in map(Path, sys.argv[1:]):
        text = page.read_text()
        with tempfile.TemporaryDirectory() as folder:
            printed = list(run(page, Path(folder)))
            for name in PICTURE.findall(text):
                if (made := Path(folder) / name).exists():
                    shutil.copy(made, page.parent / name)
        for block, _ in shown(text):
            before, found, after = text.partition(f"{block.text}```\n\n```output\n")
            assert found, f"{page.name}: an output does not follow its block by one empty line"
            (now,) = {new for ran, new in printed if ran == block}
            text = before + found + now.rstrip() + "\n" + after[after.index("```") :]
        page.write_text(text)


if __name__ == "__main__":
    main()
