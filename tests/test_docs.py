"""Every command and block of code in README and docs runs, in order, as a reader would run it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
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
def test_blocks_run(page, tmp_path):
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONWARNINGS": "error",
    }
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks")
    python = ""  # the blocks of a page go on from one another
    for kind, name, text in blocks(page):
        if name:
            (tmp_path / name).write_text(text)
        elif kind == "python":
            python += text
            run([sys.executable, "-c", python], tmp_path, environment)
        else:
            assert kind == "console", f"{page.name} has a block of {kind}, which nothing runs"
            for command in commands(text):
                if command.startswith("make "):
                    # These run the tests themselves; the demo has a test of its own.
                    assert command.split()[1] in make_targets()
                else:
                    run(["bash", "-euc", command], tmp_path, environment)


def run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
