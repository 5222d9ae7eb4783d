"""What examples take without a model; no default ends up worse than independent columns."""

import math

import numpy as np
import pytest
import torch
from conftest import run
from sklearn.datasets import load_breast_cancer, load_iris, load_wine

import autoregress as ar
from autoregress.baselines import baselines, independent
from autoregress.data import as_source
from autoregress.symbols import Symbols


def test_independent_dimensions_are_what_their_counts_say():
    train = torch.tensor([[0, 2], [0, 1], [1, 2]])
    test = torch.tensor([[0, 0], [1, 2]])
    p = [3 / 5, 1 / 6, 2 / 5, 3 / 6]
    bits = -sum(map(math.log2, p)) / 4
    assert independent(train, test, Symbols((2,), (2, 3))) == pytest.approx(bits)


@pytest.mark.parametrize(
    ("shape", "levels", "names"),
    [
        ((5,), 300, []),
        ((5,), 7, ["xz"]),
        ((1, 6, 6), 2, ["xz", "PNG", "lossless WebP"]),
        ((3, 6, 6), 256, ["xz", "PNG", "lossless WebP"]),
        ((4, 1, 6, 6), 16, ["xz", "PNG", "lossless WebP", "FFV1"]),
        ((4, 3, 6, 6), 256, ["xz", "PNG", "lossless WebP", "FFV1"]),
    ],
)
def test_every_kind_has_what_it_would_be_kept_with(shape, levels, names):
    x = np.random.default_rng(0).integers(levels, size=(20, *shape))
    found, count = baselines(ar.data.Data(torch.tensor(x), levels), as_source(x[:7]))
    assert list(found) == ["independent dimensions", *names]
    assert count == 7
    # Noise cannot be made smaller than it is.
    assert all(value > 0.9 * math.log2(levels) for name, value in found.items() if name in names)


def test_of_many_examples_some_are_taken():
    x = torch.zeros(5000, 10, 10, dtype=torch.uint8)
    found, count = baselines(as_source(x), as_source(x))
    assert count == 2**18 // 100
    assert found["independent dimensions"] < 0.001


TABLES = {"iris": load_iris, "wine": load_wine, "cancer": load_breast_cancer}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_the_defaults_are_not_worse_than_independent_columns(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data, target = TABLES[name](return_X_y=True)
    values = np.column_stack([data[:, :8], target])
    edges = [np.quantile(column, np.linspace(0, 1, 9)[1:-1]) for column in values.T]
    bins = [np.searchsorted(e, c) for e, c in zip(edges, values.T, strict=True)]
    np.save("x.npy", np.column_stack(bins))
    assert run("train", "made", "--data", "x.npy", "--run", "run", "--max-epochs", 60) == 0
    said = capsys.readouterr().out
    assert "no better than independent dimensions" not in said
    assert "independent dimensions" in said


def test_a_model_that_is_no_better_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.random.default_rng(0).integers(2, size=(60, 4)).cumsum(0) % 2)
    command = ["train", "made", "--data", "x.npy", "--run", "run", "--max-epochs", 1]
    assert run(*command, "--lr", 10, "--ema", 0) == 0
    assert "the model is no better than" in capsys.readouterr().out
