"""The sparse network of a table of labels is found, and rows drawn from it are like real ones."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import autoregress as ar
from autoregress.tables.learning import ENOUGH, sparse, with_drawn
from autoregress.tables.structure import MOST_COLUMNS, MOST_LEVELS, Search, Structure


def chain(rows: int, dims: int, seed: int = 0) -> np.ndarray:
    """Rows (rows, D) of a chain of three labels, each column that before it but for one in ten."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, (rows, dims))
    for dim in range(1, dims):
        same = rng.random(rows) < 0.9
        x[same, dim] = x[same, dim - 1]
    return x


def test_a_chain_is_found():
    edges = {
        frozenset((dim, parent))
        for dim, parents in enumerate(Structure.fit(chain(2000, 6), [3] * 6).parents)
        for parent in parents
    }
    assert edges == {frozenset((dim, dim + 1)) for dim in range(5)}


def test_a_label_that_depends_on_two_others_together_has_both_as_parents():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (2, 3000))
    # The two are alike: greedy steps see no dependence on one of two independent bits alone.
    b = np.where(rng.random(3000) < 0.3, a, b)
    either = np.where(rng.random(3000) < 0.95, a ^ b, rng.integers(0, 2, 3000))
    found = Structure.fit(np.stack([a, b, either], 1), [2, 2, 2])
    drawn = found.draw(20_000, rng)
    assert (drawn[:, 2] == drawn[:, 0] ^ drawn[:, 1]).mean() == pytest.approx(
        (either == a ^ b).mean(), abs=0.02
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(5, 200), st.integers(0, 10**6))
def test_whatever_the_rows_it_has_no_circle_and_normalised_tables(dims, rows, seed):
    rng = np.random.default_rng(seed)
    levels = rng.integers(2, 5, dims).tolist()
    x = rng.integers(-1, levels, (rows, dims))
    x[:, 0] = x[:, -1].clip(max=levels[0] - 1)
    found = Structure.fit(x, levels)
    assert sorted(found.order) == list(range(dims))
    for place, dim in enumerate(found.order):
        assert set(found.parents[dim]) <= set(found.order[:place])
        assert found.tables[dim].sum(1) == pytest.approx(1)
    drawn = found.draw(100, rng)
    for dim in range(dims):
        assert set(drawn[:, dim]) <= set(x[:, dim])


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 6), st.integers(0, 10**6))
def test_every_step_gains_until_none_does(dims, seed):
    rng = np.random.default_rng(seed)
    x = chain(100, dims, seed)[:, rng.permutation(dims)]
    search = Search(list(x.T), [3] * dims)

    def total() -> float:
        return sum(search._score(dim, own) for dim, own in enumerate(search.parents))

    before = total()
    search.climb()
    assert total() > before or not any(search.parents)
    assert search._best() is None


def test_gaps_are_drawn_as_often_as_they_are():
    rng = np.random.default_rng(0)
    x = chain(3000, 3)
    x[(x[:, 0] == 0) & (rng.random(3000) < 0.5), 1] = -1
    drawn = Structure.fit(x, [3] * 3).draw(20_000, rng)
    for label in range(3):
        gaps = [(own[own[:, 0] == label, 1] < 0).mean() for own in (x, drawn)]
        assert gaps[1] == pytest.approx(gaps[0], abs=0.03)


def test_only_a_table_of_labels_has_one():
    x = torch.zeros(50, 2, dtype=torch.int64)
    assert sparse(x, [2, 2], [False, False]) is not None
    assert sparse(x, [2, 9], [False, True]) is None
    assert sparse(x, [2, MOST_LEVELS + 1], [False, False]) is None
    assert sparse(x[:, :1].expand(-1, MOST_COLUMNS + 1), [2] * (MOST_COLUMNS + 1), [False]) is None


def test_many_rows_need_no_others():
    structure = Structure.fit(chain(100, 2), [3, 3])
    few = torch.from_numpy(chain(200, 2)).to(torch.int16)
    rows = with_drawn(few, structure, 0)
    assert torch.equal(rows[:200], few)
    assert len(rows) == 800
    assert rows.dtype == few.dtype
    many = few[:1].expand(ENOUGH + 5, -1)
    assert len(with_drawn(many, structure, 0)) == len(many)


@pytest.mark.slow
def test_a_share_of_a_small_table_is_learnt():
    """p(returned | size) of a thousand rows, of which the frequencies say all."""
    rng = np.random.default_rng(0)
    size, colour = rng.choice(list("SML"), 1000), rng.choice(["red", "blue"], 1000)
    returned = rng.random(1000) < np.where(size == "S", 0.5, 0.1)
    table = ar.Table.fit({"colour": colour, "size": size, "returned": returned}, quiet=True)
    for label in "SML":
        share = returned[size == label].mean()
        assert table.probability("returned == 'True'", {"size": label}).value == pytest.approx(
            share, abs=0.08
        )
