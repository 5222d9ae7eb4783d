"""The benchmarks' baselines are distributions, and their pages say what their figures say."""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield
    for name in ("density_baselines", "made_speed", "made_tables", "video_speed"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("kind", ["mixture_of_bernoullis", "chow_liu_tree"])
def test_baselines_are_normalised_and_better_than_nothing(kind):
    import density_baselines

    rng = np.random.default_rng(0)
    x = (rng.random((600, 6)) < 0.4).astype(np.uint8)
    x[:, 1] |= x[:, 0]
    x[:, 4] = x[:, 3] ^ (rng.random(600) < 0.1)
    states = np.array(list(itertools.product([0, 1], repeat=6)), dtype=np.uint8)
    fit = getattr(density_baselines, kind)
    assert abs(np.exp(-fit(x, x, states)[0]).sum() - 1) < 1e-9
    frequency = x.mean(0)
    independent = -(x * np.log(frequency) + (1 - x) * np.log1p(-frequency)).sum(1).mean()
    assert fit(x[:400], x[400:], x)[0].mean() < independent - 0.2


def test_the_tree_is_the_one_of_most_information():
    import density_baselines

    rng = np.random.default_rng(1)
    x = np.zeros((4000, 4), dtype=np.uint8)  # a chain 2 - 0 - 3 - 1
    x[:, 2] = rng.random(4000) < 0.5
    for a, b in [(2, 0), (0, 3), (3, 1)]:
        x[:, b] = x[:, a] ^ (rng.random(4000) < 0.15)
    parents, _, _ = density_baselines._tree(x, 0.5)
    edges = {frozenset((d, int(p))) for d, p in enumerate(parents) if p >= 0}
    assert edges == {frozenset(e) for e in [(2, 0), (0, 3), (3, 1)]}


@pytest.mark.parametrize("name", ["made_tables", "made_speed", "video_speed"])
def test_pages_are_made_from_their_figures(name):
    results = ROOT / "docs" / "results"
    module = __import__(name)
    file = {"made_tables": "made"}.get(name, name)
    report = json.loads((results / f"{file}.json").read_text())
    content = report["rows"] if name == "made_tables" else report
    assert (results / f"{file}.md").read_text() == module.page(content)
