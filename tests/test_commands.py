"""Every command in a docstring is one that its program understands."""

import argparse
import ast
import contextlib
import functools
import re
import runpy
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tyro

from autoregress.cli.program import _parse

ROOT = Path(__file__).parent.parent
FILES = [
    *(ROOT / "benchmarks").glob("*.py"),
    *(ROOT / "demo").glob("*.py"),
    *(ROOT / "src" / "autoregress" / "cli").glob("*.py"),
    *(ROOT / "src" / "autoregress" / "recipes").glob("*.py"),
]
COMMAND = re.compile(r"^ *(?:[A-Z_]+=\S+ )?(python|autoregress) ([-\w/.]+ ?.*)$", re.MULTILINE)


def commands(file: Path) -> Iterator[list[str]]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            text = (ast.get_docstring(node) or "").replace("\\\n", " ")
            for program, arguments in COMMAND.findall(text):
                yield [program, *shlex.split(arguments, comments=True)]


SHOWN = sorted({tuple(command) for file in FILES for command in commands(file)})


@pytest.mark.parametrize("command", SHOWN, ids=" ".join)
def test_a_command_in_a_docstring_is_understood(command, monkeypatch):
    program, name, *arguments = command
    if program == "autoregress":
        assert _parse([name, *arguments])
        return
    parsed = []
    read, parse = tyro.cli, argparse.ArgumentParser.parse_args

    def only_read(main: Callable[..., Any]) -> None:
        def record(*positional: Any, **options: Any) -> None:
            parsed.append(options)

        read(functools.wraps(main)(record))

    def only_parse(parser: argparse.ArgumentParser) -> None:
        parsed.append(parse(parser))
        sys.exit(0)

    monkeypatch.setattr(tyro, "cli", only_read)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", only_parse)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    monkeypatch.syspath_prepend(str((ROOT / name).parent))
    with contextlib.suppress(SystemExit):
        runpy.run_path(str(ROOT / name), run_name="__main__")
    assert parsed


def test_commands_are_found():
    assert len([c for c in SHOWN if c[0] == "python"]) > 12
    assert len([c for c in SHOWN if c[0] == "autoregress"]) > 20
