"""Every command and block of code in README and docs runs, in order, as a reader would run it."""

import doctest
import inspect
import pkgutil
import re
import sys
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
import torch

import autoregress as ar

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
sys.path.append(str(ROOT / "docs"))

import run_pages  # noqa: E402  # beside the pages


def make_targets() -> set[str]:
    return set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_pages_make_is_a_target(page):
    commands = [c for block in run_pages.blocks(page.read_text()) for c in block.commands]
    assert {c.split()[1] for c in commands if c.startswith("make ")} <= make_targets()


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_blocks_run_and_print_what_the_page_shows(page, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    monkeypatch.setenv("COLUMNS", "96")
    shown = run_pages.shown(page.read_text())
    for block, printed in run_pages.run(page, tmp_path):
        if shown and shown[0][0] == block:
            expected = shown.pop(0)[1]
            assert run_pages.without_numbers(printed) == run_pages.without_numbers(expected)
    assert not shown


PUBLIC = sorted({*dir(ar), *(f"data.{name}" for name in dir(ar.data))} - {"__version__", "data"})


@pytest.mark.parametrize("name", PUBLIC)
def test_the_example_of_a_public_name_prints_what_it_shows(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"ar": ar, "np": np, "torch": torch}
    docstring = reduce(getattr, name.split("."), ar).__doc__
    example = doctest.DocTestParser().get_doctest(docstring, names, name, None, None)
    assert example.examples
    printed: list[str] = []
    doctest.DocTestRunner(verbose=False).run(example, out=printed.append)
    assert not printed, "".join(printed)


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
