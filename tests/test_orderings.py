import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoregress.orderings import Ordering

permutations = st.integers(1, 30).flatmap(lambda d: st.permutations(range(d)))


@given(permutations)
def test_rank_is_the_inverse_of_visit(visit):
    ordering = Ordering(visit)
    assert [ordering.rank[d] for d in visit] == list(range(len(visit)))


@given(permutations, st.randoms())
def test_promoting_makes_a_prefix_and_keeps_the_order_within_each_part(visit, random):
    ordering = Ordering(visit)
    known = torch.tensor([random.random() < 0.5 for _ in visit])
    promoted = ordering.promote(known)
    assert promoted.is_prefix(known)
    for part in (known, ~known):
        ranks = [int(ordering.rank[d]) for d in promoted.visit.tolist() if part[d]]
        assert ranks == sorted(ranks)
    assert ordering.promote(torch.zeros_like(known)) == ordering
    assert ordering.is_prefix(known) == (promoted == ordering)


@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 99))
def test_an_ordering_for_each_row_is_the_ordering_of_that_row(dims, rows, seed):
    generator = torch.Generator().manual_seed(seed)
    visits = torch.stack([torch.randperm(dims, generator=generator) for _ in range(rows)])
    known = torch.rand(rows, dims, generator=generator) < 0.5
    ordering, apart = Ordering(visits), [Ordering(visit) for visit in visits]
    assert len(ordering) == dims
    assert ordering.by_row
    assert torch.equal(ordering.rank, torch.stack([own.rank for own in apart]))
    assert torch.equal(ordering.precedes(), torch.stack([own.precedes() for own in apart]))
    for one in (ordering, apart[0]):  # the same for all rows, or each its own
        several = apart if one is ordering else [one] * rows
        promoted = one.promote(known)
        each = [own.promote(row) for own, row in zip(several, known, strict=True)]
        assert torch.equal(promoted.visit, torch.stack([own.visit for own in each]))
        assert promoted.is_prefix(known)
        prefixes = [own.is_prefix(row) for own, row in zip(several, known, strict=True)]
        assert one.is_prefix(known) == all(prefixes)
    index = torch.randint(rows, (4,), generator=generator)
    assert ordering.rows(index) == Ordering(visits[index])
    assert apart[0].rows(index) is apart[0]


@given(permutations)
def test_precedes_is_a_strict_total_order(visit):
    precedes = Ordering(visit).precedes()
    either = precedes ^ precedes.T
    assert torch.equal(either, ~torch.eye(len(visit), dtype=torch.bool))
    assert precedes.sum(0).sort().values.tolist() == list(range(len(visit)))


def test_raster_goes_pixel_by_pixel_and_channel_by_channel():
    shape = (2, 3, 4, 5)  # T, C, H, W
    visited = [
        (int(t), int(c), int(h), int(w))
        for t, c, h, w in zip(
            *torch.unravel_index(Ordering.raster(shape).visit, shape), strict=True
        )
    ]
    by_pixel = [(t, h, w, c) for t, c, h, w in visited]
    assert by_pixel == sorted(by_pixel)


@pytest.mark.parametrize("visit", [[0, 0], [1, 2], [[[0, 1]]], [[0, 1], [1, 1]], [0, 2]])
def test_what_is_no_permutation_is_refused(visit):
    with pytest.raises(ValueError, match="permutation"):
        Ordering(visit)


def test_random_orderings_are_uniform():
    g = torch.Generator().manual_seed(1)
    counts = {}
    for _ in range(6000):
        key = tuple(Ordering.random(3, generator=g).visit.tolist())
        counts[key] = counts.get(key, 0) + 1
    chi_square = sum((n - 1000) ** 2 / 1000 for n in counts.values())
    assert len(counts) == 6
    assert chi_square < 20.5  # 0.999 quantile with 5 degrees of freedom
