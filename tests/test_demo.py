"""The demo runs from start to end, and its report and its baselines are what they say."""

import base64
import io
import lzma
import math
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import autoregress as ar
from autoregress.cli.program import _parse
from autoregress.recipes import RECIPES

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "demo"))

import digits  # noqa: E402  # beside the demo
import wines  # noqa: E402

TITLES = {"Black and white": {"threshold": 8}, "17 levels of grey": {"levels": 17}}

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Run:
    folder: Path
    printed: str
    progress: str
    page: str


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("demo")
    out, picture = folder / "demo", folder / "demo.png"
    command = [sys.executable, str(ROOT / "demo/demo.py"), "--epochs", "2"]
    done = subprocess.run(
        [*command, "--out", str(out), "--picture", str(picture)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return Run(folder, done.stdout, done.stderr, (out / "report.html").read_text(encoding="utf-8"))


def figures(printed: str) -> dict[tuple[str, str], tuple[float, float]]:
    """Nats and bits/dim of the printed likelihood table, by its title and what was measured."""
    found, title = {}, ""
    for line in printed.partition("Nats of a hidden part")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("│").split("│")]
        if len(cells) != 3:
            continue
        if cells[0] in TITLES:
            title = cells[0]
        elif re.match(r"independent|xz|MADE|Pixel|Gated|Row|Diagonal", cells[0]):
            nats, bits = (float(cell.split("±")[0]) for cell in cells[1:])
            found[title, cells[0]] = nats, bits
    return found


def test_the_table_has_every_figure_and_they_agree(run):
    found = figures(run.printed)
    names = ["independent pixels", "xz", "MADE, one ordering", "MADE, 32 orderings"]
    bits, grey = TITLES
    assert list(found) == [
        *((bits, name) for name in names),
        *((grey, name) for name in [*names, *digits.OTHERS]),
    ]
    for nats, bits in found.values():
        assert math.isfinite(nats)
        assert bits == pytest.approx(nats / 64 / math.log(2), abs=2e-4)


@pytest.mark.parametrize("title", TITLES)
def test_the_independent_baseline_is_that_of_counts(run, title):
    train, _, test = ar.data.digits_splits(**TITLES[title])
    x, y = train.x.numpy().reshape(-1, 64), test.x.numpy().reshape(-1, 64)
    counts = (x[:, :, None] == np.arange(2 if "threshold" in TITLES[title] else 17)).sum(
        0
    ) + 1  # (64, K)
    p = counts / counts.sum(1, keepdims=True)
    nats = -np.log(p[np.arange(64), y]).sum(1).mean()
    assert figures(run.printed)[title, "independent pixels"][0] == pytest.approx(nats, abs=0.006)


@pytest.mark.parametrize("title", TITLES)
def test_xz_is_given_its_best_packing(run, title):
    test = ar.data.digits_splits(**TITLES[title])[2]
    x = test.x.numpy().reshape(-1, 64)
    packed = np.packbits(x, axis=1) if test.levels == 2 else x
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]

    def nats(data: bytes) -> float:
        size = len(lzma.compress(data, format=lzma.FORMAT_RAW, filters=filters))
        return size * 8 * math.log(2) / len(x)

    smallest = min(nats(packed.tobytes()), nats(x.tobytes()), nats(x.T.tobytes()))
    assert figures(run.printed)[title, "xz"][0] == pytest.approx(smallest, abs=0.006)


def test_the_report_is_whole_and_needs_nothing_beside_it(run):
    for heading in (
        "Likelihood",
        "Training",
        "Samples",
        "Completions",
        "raster order",
        "Surprise",
        "gaps",
    ):
        assert f"{heading}</h2>" in run.page
    assert "seed 0" in run.page
    assert not re.search(r"https?:|file:|<script|<link|@import", run.page)
    sources = re.findall(r'(?:src|href)="([^"]*)"|url\(', run.page)
    # Curves, three pictures of each form of the digits, the families, two of clips.
    assert len(sources) == 10
    for source in sources:
        head, data = source.split(",")
        assert head in ("data:image/png;base64", "data:image/gif;base64")
        Image.open(io.BytesIO(base64.b64decode(data, validate=True))).verify()


def test_the_animation_moves(run):
    with Image.open(run.folder / "demo/continued.gif") as animation:
        assert getattr(animation, "n_frames", 1) > 10


def test_clips_are_compared_with_files_of_the_same_clips(run):
    table = run.printed.partition("Held-out clips")[2]
    rows = re.findall(r"│ +(FFV1|xz|Video Transformer)[^│]*│ +([\d.]+) │", table)
    assert len(rows) == 5
    assert all(0 < float(bits) < 1.5 for _, bits in rows)


def test_it_ends_with_commands_that_are_understood_and_the_path(run):
    *_, first, second, third, _, path, page = run.printed.strip().splitlines()
    what, _, serve = page.partition(": ")
    assert what == "The models in the browser"
    for command in (first, second, third, serve):
        program, *arguments = command.split()
        assert Path(program).name == "autoregress"
        assert _parse(arguments)
    assert Path(path.removeprefix("The report: ")) == (run.folder / "demo/report.html").resolve()


def test_progress_says_what_is_made_and_how_long_the_rest_takes(run):
    lines = run.progress.splitlines()
    assert any(
        re.search(r"of 8 parts made; making .*; \d+:\d\d:\d\d left$", line) for line in lines
    )
    assert lines[-1].startswith("8 of 8 parts made; drawing pictures")


def test_removed_cells_are_all_filled_in(run):
    table = run.printed.partition("Removed cells")[2].partition("Questions")[0]
    counts = [int(count) for count in re.findall(r"│ +[a-z]\w+ +│ +(\d+) │", table)]
    removed = re.search(r"cells (\d+) were removed", run.page)
    assert removed is not None
    assert len(counts) == len(wines.wines())
    assert sum(counts) == int(removed[1])


def test_a_changed_cell_differs_in_its_column_alone():
    rows = wines.wines()
    changed, where = wines.swap(rows, np.random.default_rng(0))
    for i, name in enumerate(where):
        assert [column for column in rows if rows[column][i] != changed[column][i]] == [name]


def test_the_picture_for_the_readme_is_small(run):
    Image.open(run.folder / "demo.png").verify()
    assert (run.folder / "demo.png").stat().st_size <= 200_000


def test_the_gallery_s_model_is_the_recipe_s():
    subject, _ = digits.subjects(large=True)
    assert subject.config == RECIPES["made-digits"].config
    assert subject.training == RECIPES["made-digits"].training
