"""Ordered levels on the scale of their marginals: exact mass, exact start, draws, digits."""

import math

import pytest
import torch
from scipy.stats import chi2

import autoregress as ar
from autoregress.conditionals import Scale, ScaledLogistics
from autoregress.networks.encoding import log_masses

LEVELS = [3, 17, 256, 1000, 65536]


def masses(levels, *, batch=(), seed=0):
    """Logarithms of marginal probabilities that differ by many orders of magnitude."""
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(*batch, levels, generator=generator)


def scale(levels, **options):
    return Scale.of(masses(levels, **options))


def logistics(levels, *, batch=4, mixture=5, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weights, means, scales = torch.randn(3, batch, mixture, generator=generator, dtype=dtype)
    return ScaledLogistics(3 * weights, 4 * means, 3 * scales, scale(levels, batch=(batch,)))


@pytest.mark.parametrize("levels", LEVELS)
def test_one_logistic_is_the_marginal(levels):
    masses = torch.randn(levels, dtype=torch.float64)
    zeros = torch.zeros(1, 1, dtype=torch.float64)
    found = ScaledLogistics(zeros, zeros, zeros, Scale.of(masses)).table()[0]
    uniform = 2.0**-12
    expected = (1 - uniform) * masses.softmax(0) + uniform / levels
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("levels", LEVELS)
def test_the_mass_of_all_levels_is_one(levels, dtype):
    conditional = logistics(levels, dtype=dtype)
    table = conditional.table()
    assert (table.sum(-1) - 1).abs().max() < 1e-10
    assert (table * levels >= 2.0**-12 * (1 - 1e-6)).all()
    x = torch.randint(levels, (50, 4))
    picked = table.expand(50, -1, -1).gather(-1, x.unsqueeze(-1)).squeeze(-1).log()
    tolerance = 1e-4 if dtype == torch.float32 else 1e-6
    torch.testing.assert_close(conditional.log_prob(x).double(), picked, rtol=0, atol=tolerance)


@pytest.mark.parametrize("levels", [3, 16, 17, 1000])
def test_two_digits_are_the_same_distribution(levels):
    conditional = logistics(levels)
    digits = conditional.digits()
    fine = [digits.fine(torch.full((4,), block)) for block in range(digits.coarse.shape[-1])]
    parts = [digits.coarse[:, [b]] * each for b, each in enumerate(fine)]
    torch.testing.assert_close(torch.cat(parts, -1)[:, :levels], conditional.table())


@pytest.mark.parametrize("shared", [True, False])
def test_draws_follow_the_table(shared):
    count, levels = 40_000, 11
    one = logistics(levels, batch=1, mixture=3)
    own = Scale.of(masses(levels, batch=() if shared else (1,)))
    w, m, s = (p.expand(count, 1, -1) for p in (one.weights, one.means, one.log_scales))
    many = ScaledLogistics(w, m, s, own)
    expected = count * one.table()[0]
    seen = (
        many.sample(torch.Generator().manual_seed(1)).flatten().bincount(minlength=levels).double()
    )
    often = expected >= 5
    seen, expected = (
        torch.cat([e[often], e[~often].sum(0, keepdim=True)]) for e in (seen, expected)
    )
    statistic = ((seen - expected).square() / expected.clamp(min=1e-9)).sum()
    assert statistic < chi2.ppf(1 - 1e-4, len(seen) - 1)


def test_places_on_the_scale_are_found():
    for batch in ((), (4,)):
        own = scale(100, batch=batch)
        x = torch.randint(100, (30, 4) if batch else (30,))
        # A level that is narrower than float64 tells has no inside.
        inside = own.edge(x) > own.edge((x - 1).clamp(min=0))
        found = own.level(own.middle(x).double())
        assert torch.equal(found[inside | (x == 0)], x[inside | (x == 0)])


def test_dimensions_whose_levels_differ_in_number_are_as_each_alone():
    levels = (3, 1000, 17)
    each = [scale(k, seed=k) for k in levels]
    joined, count = Scale.joined(each), 200
    weights, means, widths = 3 * torch.randn(3, count, len(levels), 4, dtype=torch.float64)
    together = ScaledLogistics(weights, means, widths, joined)
    x = torch.stack([torch.randint(k, (count,)) for k in levels], 1)
    places = 5 * torch.randn(count, len(levels), dtype=torch.float64)
    drawn, table = together.sample(), together.table()
    order = torch.randint(len(levels), (count,))
    rows = torch.arange(count)
    at = rows, order
    by_row = ScaledLogistics(weights[at], means[at], widths[at], joined.rows(order))
    for d, (k, own) in enumerate(zip(levels, each, strict=True)):
        alone = ScaledLogistics(weights[:, d], means[:, d], widths[:, d], own)
        assert torch.equal(together.log_prob(x)[:, d], alone.log_prob(x[:, d]))
        assert torch.equal(table[:, d, :k], alone.table())
        assert (table[:, d, k:] == 0).all()
        assert torch.equal(joined.level(places)[:, d], own.level(places[:, d].contiguous()))
        assert 0 <= int(drawn[:, d].min()) <= int(drawn[:, d].max()) < k
        some = order == d
        assert torch.equal(by_row.log_prob(x[at])[some], alone.log_prob(x[:, d])[some])


def test_masses_are_frequencies_where_levels_are_seen_often_and_smooth_where_they_are_not():
    often = torch.randint(4, (4000, 1)) ** 2
    share = often[:, 0].bincount(minlength=12).double() / 4000
    found = log_masses(often, 12)[0].exp()
    assert found.sum() == pytest.approx(1)
    assert (found - share).abs().max() < 0.003
    rare = (20_000 + 3000 * torch.randn(400, 1)).long()
    mass = log_masses(rare, 65536)[0].exp()
    assert mass.sum() == pytest.approx(1)
    held = (20_000 + 3000 * torch.randn(4000)).long()
    entropy = math.log(3000) + math.log(2 * math.pi * math.e) / 2
    assert -float(mass[held].log().mean()) < entropy + 0.1


@pytest.mark.parametrize("mixture", [1, 2, 5])
def test_a_new_made_has_the_marginals_of_numbers(mixture, float64):
    x = torch.stack([(torch.rand(2000) ** 3 * k).long() for k in (5, 40, 256)], 1)
    model = ar.MADE(3, (5, 40, 256), ordered=True, hidden=(8,), mixture=mixture)
    model.start_from(x)
    expected = sum(log_masses(x[:, [d]], k)[0][x[:, d]] for d, k in enumerate((5, 40, 256)))
    found = model.log_prob(x).detach()
    # A little is lost by components that stand apart, so that they can part further.
    assert float((expected - found).mean()) < 0.01


@torch.no_grad()
def test_a_gap_is_no_symbol(float64):
    model = ar.MADE(
        4, (2, 3, 5, 2), ordered=(False, False, True, False), hidden=(8,), direct=True,
        orderings=3, gaps=True, mixture=2,
    )  # fmt: skip
    for parameter in model.parameters():
        parameter.normal_(0, 0.5)
    ar.check_normalisation(model)
    ar.check_faces(model)
    some = torch.cartesian_prod(torch.arange(2), torch.tensor([-1]), torch.arange(5))
    x = torch.cat([some, torch.full((len(some), 1), -1)], 1)
    assert float(model.log_prob(x).exp().sum()) == pytest.approx(1, abs=1e-10)
    assert (model.surprisal(x)[:, [1, 3]] == model.surprisal(x)[:, [3, 1]]).all()
    with pytest.raises(ValueError, match="and −1 for unknown"):
        model.log_prob(torch.full((1, 4), -2))
    plain = ar.MADE(4, (2, 3, 5, 2), hidden=(8,))
    with pytest.raises(ValueError, match="holds -1"):
        plain.log_prob(x)


@pytest.mark.slow
def test_rows_with_gaps_are_learnt_and_resumed(tmp_path):
    x = torch.randint(0, 2, (60, 1)) * torch.ones(1, 4, dtype=torch.long)
    x = x.masked_fill(torch.rand(60, 4) < 0.3, -1)

    def fresh():
        torch.manual_seed(0)
        return ar.MADE(4, 2, hidden=(16,), gaps=True, evidence=True, orderings="any")

    options = {"quiet": True, "batch_size": 8, "lr": 0.01}
    whole, parts = fresh(), fresh()
    ar.fit(whole, x, max_epochs=30, **options)
    ar.fit(parts, x, max_epochs=10, run=tmp_path, **options)
    resumed = fresh()
    ar.fit(resumed, x, max_epochs=30, run=tmp_path, **options)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])
    # Equal columns: what one says, the others repeat.
    known = torch.tensor([[0, -1, -1, -1], [1, -1, -1, -1]])
    both = torch.tensor([[0, -1, 0, -1], [1, -1, 1, -1]])
    assert ((whole.log_prob(both) - whole.log_prob(known)).exp() > 0.8).all()
