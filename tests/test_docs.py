"""Every command and block of code in README and docs runs, in order, as a reader would run it."""

import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
# The kind of a block, the name of the file that a reader would save it as, and its text.
BLOCK = re.compile(r"^```(\w*)(?: (\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    return [block for block in BLOCK.findall(page.read_text()) if block[0]]


def commands(text: str) -> list[str]:
    lines = text.replace("\\\n", " ").splitlines()
    return [c for line in lines if (c := line.split("#")[0].strip())]


def make_targets() -> set[str]:
    return set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_blocks_run(page, tmp_path, monkeypatch):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks")
    # One process has a page's Python, whose blocks continue one another.
    spawn = get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=enter, initargs=(tmp_path,)) as reader:
        for kind, name, text in blocks(page):
            if name:
                (tmp_path / name).write_text(text)
            elif kind == "python":
                reader.submit(execute, text).result(timeout=600)
            else:
                assert kind == "console", f"{page.name} has a block of {kind}, which nothing runs"
                for command in commands(text):
                    if command.startswith("make "):
                        # These run the tests themselves; the demo has a test of its own.
                        assert command.split()[1] in make_targets()
                    else:
                        run(["bash", "-euc", command], tmp_path)


NAMES: dict[str, Any] = {"__name__": "__main__"}


def enter(folder: Path) -> None:
    os.chdir(folder)
    sys.path.insert(0, "")


def execute(text: str) -> None:
    exec(text, NAMES)


def run(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_what_the_page_on_papers_names_exists():
    """Each dotted name, and the keywords that some have."""
    page = (ROOT / "docs" / "from-paper-to-code.md").read_text()
    quoted = re.findall(r"`(\w+(?:\.\w+)+)(?:\((\w+)=[^`]*\))?`", page)
    assert len(quoted) > 50
    for name, keyword in quoted:
        if name.endswith(".py"):
            continue
        found = pkgutil.resolve_name(re.sub(r"^(ar\.)?", "autoregress.", name))
        if keyword:
            assert keyword in inspect.signature(found).parameters, name


def test_the_tests_that_the_page_on_papers_names_exist():
    page = (ROOT / "docs" / "from-paper-to-code.md").read_text()
    written = "".join(file.read_text() for file in (ROOT / "tests").glob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", page):
        assert f"def {name}(" in written, f"there is no {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
