"""The benchmarks' baselines are distributions, and their pages say what their figures say."""

import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import autoregress as ar
from autoregress.recipes import RECIPES

ROOT = Path(__file__).parent.parent
GRID = ROOT / "docs" / "results" / "made_grid.json"


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield
    for file in (ROOT / "benchmarks").glob("*.py"):
        sys.modules.pop(file.stem, None)


@pytest.mark.slow
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


def test_curves_are_of_one_growing_ensemble():
    import made_curves

    model = ar.MADE(6, hidden=(20,), orderings=5, direct=True).double()
    x = torch.tensor(list(itertools.product([0, 1], repeat=6)))
    growing, alone = made_curves.growing(model, x)
    for count in range(1, 6):
        first = model.ensemble(model.orderings[:count])
        torch.testing.assert_close(growing[count - 1], -first.log_prob(x))
        mass = (-growing[count - 1]).exp().sum()
        torch.testing.assert_close(mass, torch.ones((), dtype=torch.float64))
        assert (growing[count - 1] <= alone[:count].mean(0) + 1e-12).all()


def test_networks_are_mixed_one_after_another():
    import made_tables

    models = [ar.MADE(6, hidden=(8,), orderings=2).double() for _ in range(3)]
    x = torch.randint(2, (5, 6))
    growing = made_tables.growing(models, x)
    for count in range(1, 4):
        mixed = -ar.Mixture(models[:count]).log_prob(x).mean().detach()
        assert abs(growing[count - 1] - float(mixed)) < 1e-12


@pytest.mark.parametrize("seed", range(5))
def test_the_page_names_the_choices_that_a_walk_made(seed, tmp_path, monkeypatch):
    import made_grid
    import made_tables

    def measure(name, point, seed):
        nats = np.random.default_rng([seed, *map(ord, str(sorted(point.items())))]).random()
        return {"set": name, **point, "seed": seed, "valid_nats": nats}

    def walk(choices, out):
        out.mkdir()
        made_grid.main(("dna",), tuple(choices), seed=seed, out=out)
        return json.loads((out / "made_grid.json").read_text())["rows"]

    monkeypatch.setattr(made_grid, "measure", measure)
    points = walk(["layers", "direct", "orderings", "eps", "layers", "orderings"], tmp_path / "a")
    assert walk(made_tables.choices_tried(points), tmp_path / "b") == points


@pytest.mark.parametrize("name", {row["set"]: None for row in json.loads(GRID.read_text())["rows"]})
def test_a_recipe_as_the_paper_is_the_winner_of_its_walk(name, tmp_path, monkeypatch):
    import made_grid
    import made_tables

    points = [row for row in json.loads(GRID.read_text())["rows"] if row["set"] == name]
    winner = min(points, key=lambda row: row["valid_nats"])
    recipe = RECIPES[made_tables.recipe_name(name, "paper")]
    assert made_grid.settings(name, winner) == (recipe.config, recipe.training)

    monkeypatch.setattr(made_grid, "measure", lambda *point: pytest.fail(f"not run: {point}"))
    (tmp_path / GRID.name).write_text(GRID.read_text())
    made_grid.main((name,), tuple(made_tables.choices_tried(points)), out=tmp_path)


@pytest.mark.parametrize(("name", "recipe"), [("defaults", "made"), ("best", "made-density")])
def test_a_recipe_of_the_density_tables_is_one_of_the_command_line(name, recipe):
    import density_tables

    options = density_tables.RECIPES[name]
    assert RECIPES[recipe].config == ar.MADEConfig(**options.model)
    training = replace(RECIPES[recipe].training, start="random")
    assert training == ar.Training(**options.training)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.875])
def test_conditionals_of_a_mixture_are_normalised(share):
    import density_tables

    rng = np.random.default_rng(0)
    weights, probabilities = rng.dirichlet(np.ones(3)), rng.random((3, 8))
    known = density_tables.known_sets(8, share)[:1].expand(256, 8)
    assert known[0].sum() == share * 8
    x = torch.tensor(list(itertools.product([0, 1], repeat=8)))
    p = density_tables.of_mixture(weights, probabilities, x, known).exp()
    _, given = (x * known).unique(dim=0, return_inverse=True)
    mass = torch.zeros(int(given.max()) + 1, dtype=p.dtype).index_add(0, given, p)
    torch.testing.assert_close(mass, torch.ones_like(mass))


def test_orders_agree_where_dimensions_are_independent():
    import density_tables

    x = torch.randint(2, (density_tables.KNOWN_SETS * density_tables.ROWS, 8))
    model = ar.MADE(8, hidden=(8,), evidence=True).double()
    assert density_tables.disagreement(model, x)["mean_absolute"] > 1e-3
    for parameter in model.output.parameters():
        torch.nn.init.zeros_(parameter)  # dimensions that are independent
    assert density_tables.disagreement(model, x)["mean_absolute"] < 1e-12


def test_differing_bits_are_counted():
    import made_curves

    a, b = torch.randint(2, (7, 30)), torch.randint(2, (9, 30))
    assert torch.equal(made_curves.differing(a, b), (a[:, None] != b).sum(2))


@pytest.mark.parametrize("shape", [(1, 4, 5), (1, 5, 3), (2, 1, 4), (1, 4, 1)], ids=str)
def test_a_skewed_map_is_the_same_recurrence(shape):
    import pixels_speed

    model = ar.DiagonalBiLSTM(shape, 2, layers=2, features=4).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x = torch.randint(2, (3, *shape))
    ours = model.log_prob(x)
    torch.testing.assert_close(pixels_speed.skewed(model).log_prob(x), ours)


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (1, 17), (3, 256)])
def test_no_video_baseline_beats_the_entropy_of_noise(channels, levels):
    import video_baselines

    noise = np.random.default_rng(0).integers(0, levels, (2, 4, channels, 16, 16), dtype=np.uint8)
    still = noise[:, :1].repeat(4, 1)
    of_noise = video_baselines.baselines(noise, levels)
    of_still = video_baselines.baselines(still, levels)
    assert min(coded.bits_per_dim for coded in of_noise.values()) > np.log2(levels) - 0.05
    for name, coded in of_noise.items():
        ratio = of_still[name].bits_per_dim / coded.bits_per_dim
        assert (ratio < 0.5) if name.startswith("xz") else (ratio < 1.05), name


def test_robot_episodes_are_held_out_whole(tmp_path):
    import video_baselines

    episode = np.arange(6, dtype=np.uint8)[:, None, None, None, None, None]
    frames = np.broadcast_to(episode, (6, 3, 10, 4, 4, 3))
    np.savez(tmp_path / "robot.npz", frames=frames)
    train, test = video_baselines.robot_clips(tmp_path / "robot.npz", held=2)
    assert train.shape == (12, 10, 3, 4, 4)
    assert set(train.flat) == {0, 1, 2, 3}
    assert set(test.flat) == {4, 5}


def test_the_end_of_a_film_is_held_out(tmp_path):
    import video_baselines

    film = np.arange(35, dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2).repeat(3, 3)
    np.savez(tmp_path / "films.npz", one=film)
    train, test = video_baselines.natural_clips(tmp_path / "films.npz", "one", frames=4, size=4)
    assert train.shape == (6, 4, 3, 4, 4)
    assert test[:, :, 0, 0, 0].flatten().tolist() == list(range(27, 35))
    assert train.max() < 27


@pytest.mark.parametrize(
    "name",
    [
        *("made_tables", "made_curves", "made_speed", "pixels_tables", "pixels_speed"),
        *("photos_tables", "video_tables", "video_speed", "shards_speed", "distributed_speed"),
        "coding_speed",
        *("density_tables", "codec_tables"),
    ],
)
def test_pages_are_made_from_their_figures(name):
    results = ROOT / "docs" / "results"
    module = __import__(name)
    file = name.removesuffix("_tables")
    report = json.loads((results / f"{file}.json").read_text())
    content = report if name.endswith("_speed") else report["rows"]
    assert (results / f"{file}.md").read_text() == module.page(content)


def test_a_tree_of_categories_is_normalised_and_conditions_by_summing():
    import networks_tables

    rng = np.random.default_rng(0)
    levels = [2, 3, 4, 2]
    x = rng.integers(0, 2, (500, 4))
    x[:, 1] = (x[:, 0] + (rng.random(500) < 0.2)) % 3
    x[:, 2] = (x[:, 1] + rng.integers(0, 2, 500)) % 4
    tree = networks_tables.Tree.fit(x, levels, 1.0)
    states = np.array(list(itertools.product(*map(range, levels))))
    p = np.exp(tree.log_prob(states))
    assert abs(p.sum() - 1) < 1e-12
    known = np.array([[1, -1, 2, -1]])
    given = (states[:, 0] == 1) & (states[:, 2] == 2)
    expected = [p[given & (states[:, 1] == k)].sum() / p[given].sum() for k in range(3)]
    np.testing.assert_allclose(tree.conditional(known, 1)[0], expected, atol=1e-12)


def test_faults_are_where_they_are_said_to_be():
    import blame_tables
    import pandas as pd

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(50, 9, 200).round(2), "b": rng.choice(list("xyz"), 200)})
    changed, where = blame_tables.injected(frame, seed=0)
    differs = (changed != frame).to_numpy()
    assert differs.sum() == round(blame_tables.SHARE * len(frame)) == (where >= 0).sum()
    assert all(differs[row, dim] for row, dim in enumerate(where) if dim >= 0)
