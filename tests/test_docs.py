"""Every command and block of code in README and docs runs, in order, as a reader would run it."""

import doctest
import html
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
import torch

import autoregress as ar
from autoregress.cli.program import VERBS
from autoregress.recipes import RECIPES

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
# With the wheel alone, by tests/test_release.py.
RUN_ELSEWHERE = ROOT / "docs" / "first-steps.md"
sys.path.append(str(ROOT / "docs"))

import run_pages  # noqa: E402  # beside the pages


def make_targets() -> set[str]:
    return set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_pages_make_is_a_target(page):
    commands = [c for block in run_pages.blocks(page.read_text()) for c in block.commands]
    assert {c.split()[1] for c in commands if c.startswith("make ")} <= make_targets()


RUN = [page for page in PAGES if page != RUN_ELSEWHERE]


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda p: str(p.relative_to(ROOT)))
def test_blocks_run_and_print_what_the_page_shows(page, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    monkeypatch.setenv("COLUMNS", "96")
    shown = run_pages.shown(page.read_text())
    for block, printed in run_pages.run(page, tmp_path, forked=True):
        if shown and shown[0][0] == block:
            expected = shown.pop(0)[1]
            assert run_pages.without_numbers(printed) == run_pages.without_numbers(expected)
    assert not shown


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built with warnings as errors and without network."""
    out = tmp_path_factory.mktemp("site")
    build = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        str(ROOT / "docs"),
        str(out),
    ]
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    done = subprocess.run(
        build, capture_output=True, text=True, env={**os.environ, **nowhere}, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
def test_every_link_of_the_site_leads_somewhere(site):
    pages = {page: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    marks = {page: set(re.findall(r'\bid="([^"]+)"', text)) for page, text in pages.items()}
    checked = 0
    for page, text in pages.items():
        links = re.findall(r'<(?:a|link)\b[^>]*?\bhref="([^":]+)"', text)
        for target, _, mark in (link.partition("#") for link in links):
            path = (page.parent / target.partition("?")[0]).resolve() if target else page
            assert path.exists(), f"{page.name} links to {target}"
            if mark and path in marks:
                assert html.unescape(mark) in marks[path], f"{page.name} links to {target}#{mark}"
                checked += 1
    assert checked > 1000


@pytest.mark.slow
def test_the_site_has_every_name_verb_recipe_and_message(site):
    commands, recipes, messages = (
        html.unescape(re.sub("<[^>]+>", "", (site / f"{page}.html").read_text()))
        for page in ("command-line", "recipes", "troubleshooting")
    )
    anchors = (site / "api.html").read_text()
    assert [name for name in PUBLIC if f'id="autoregress.{name}"' not in anchors] == []
    assert [verb for verb in VERBS if f"usage: autoregress {verb} " not in commands] == []
    assert [name for name in RECIPES if name not in recipes] == []
    for words in ("conditions exactly only on the first of them", "lr must be above 0"):
        assert words in messages


@pytest.mark.slow
def test_names_on_the_page_about_papers_lead_to_their_source(site):
    page = (ROOT / "docs" / "from-paper-to-code.md").read_text()
    named = re.findall(r"`\w+(?:\.(?!py\b)\w+)+(?:\([^`]*\))?`", page)
    built = (site / "from-paper-to-code.html").read_text()
    linked = re.findall(r'href="source/autoregress/[\w/]+\.html#line-\d+"><code', built)
    assert len(linked) == len(named) > 50
    tests = re.findall(r'href="source/tests/test_\w+\.html#line-\d+"><code', built)
    assert len(tests) == len(re.findall(r"`test_\w+`", page)) > 20


@pytest.mark.slow
def test_notebooks_can_be_downloaded_and_hold_the_code_of_their_pages(site):
    pages = sorted((ROOT / "docs" / "notebooks").glob("*.md"))
    assert len(pages) == 3
    for page in pages:
        book = json.loads((site / "notebooks" / f"{page.stem}.ipynb").read_text())
        code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
        run = [b for b in run_pages.blocks(page.read_text()) if b.kind in ("python", "console")]
        sources = [cell["source"].replace("!", "") for cell in code]
        assert sources == [block.text.strip().replace("!", "") for block in run]
        assert any(cell["outputs"] for cell in code)
        for picture in run_pages.PICTURE.findall(page.read_text()):
            assert (site / "notebooks" / picture).exists()


PUBLIC = sorted(
    {
        *dir(ar),
        *(f"data.{name}" for name in dir(ar.data)),
        *(f"plot.{name}" for name in ar.plot.__all__),
    }
    - {"__version__", "data", "plot"}
)


@pytest.mark.parametrize("name", PUBLIC)
def test_the_example_of_a_public_name_prints_what_it_shows(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"ar": ar, "np": np, "torch": torch}
    docstring = reduce(getattr, name.split("."), ar).__doc__ or ""
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
