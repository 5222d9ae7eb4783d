import pytest
import torch
from conftest import all_states
from scipy.stats import chi2

from autoregress.conditionals import (
    Bernoulli,
    Categorical,
    CoarseToFine,
    Ensemble,
    Mixed,
    Stacked,
)
from autoregress.networks.encoding import Encoding
from autoregress.symbols import Columns, Symbols

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", [Bernoulli, Categorical])
def test_log_prob_table_and_total_mass_agree(kind, dtype):
    logits = (8 * torch.randn(50, 5)).to(dtype)
    conditional = kind(logits)
    table = conditional.table()
    assert table.dtype == torch.float64
    assert torch.allclose(table.sum(-1), torch.ones(table.shape[:-1]), atol=1e-12)
    for level in range(table.shape[-1]):
        x = torch.full(table.shape[:-1], level)
        log_prob = conditional.log_prob(x)
        assert (log_prob <= 0).all()
        assert torch.allclose(log_prob.double().exp(), table[..., level], atol=1e-6)


def test_extreme_logits_stay_finite_and_exact():
    conditional = Bernoulli(torch.tensor([800.0, -800.0]))
    assert conditional.log_prob(torch.tensor([0, 1])).tolist() == [-800.0, -800.0]
    assert conditional.log_prob(torch.tensor([1, 0])).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "conditional",
    [
        Bernoulli(torch.tensor([0.7])),
        Categorical(torch.tensor([[0.3, -1.0, -torch.inf, 1.2]])),
    ],
)
def test_draws_follow_the_table(conditional):
    count = 20_000
    table = conditional.table()[0]
    logits = conditional.logits.expand(count, *conditional.logits.shape[1:])
    draws = type(conditional)(logits).sample(torch.Generator().manual_seed(3))
    assert draws.dtype == torch.int64
    seen = torch.bincount(draws, minlength=len(table)).double()
    possible = table > 0
    assert not seen[~possible].any()
    statistic = ((seen - count * table) ** 2 / (count * table))[possible].sum()
    assert statistic < chi2.ppf(0.999, int(possible.sum()) - 1)


def fine(coarse):
    return Categorical(torch.tensor([[0.5, -2.0], [0.1, 3.0]])[coarse])


@pytest.mark.parametrize("temperature", [0.2, 1.0, 7.0])
@pytest.mark.parametrize(
    "conditional",
    [
        Bernoulli(torch.randn(3)),
        Categorical(torch.tensor([[0.3, -1.0, -torch.inf, 1.2]])),
        CoarseToFine(Categorical(torch.randn(3, 2)), fine),
        Stacked([Categorical(torch.randn(4, 3)), Categorical(torch.randn(4, 3))], 1),
        Mixed(
            [Categorical(torch.randn(4, 2, 3)), Bernoulli(torch.randn(4, 1))],
            [torch.tensor([2, 0]), torch.tensor([1])],
            (3,),
        ),
        Mixed(
            [Categorical(torch.randn(2, 3)), Bernoulli(torch.randn(3))],
            [torch.tensor([4, 0]), torch.tensor([1, 3, 2])],
            (5,),
            dim=0,
        ),
        Ensemble(
            [Categorical(torch.randn(4, 2, 3)), Categorical(torch.randn(4, 2, 3))],
            torch.randn(2, 4).log_softmax(0),
        ),
    ],
)
def test_a_temperature_is_a_power_of_the_probabilities(conditional, temperature):
    power = conditional.table() ** (1 / temperature)
    expected = power / power.sum(-1, keepdim=True)
    assert torch.allclose(conditional.tempered(temperature).table(), expected)


def test_kinds_of_rows_keep_their_places():
    logits, rows = torch.randn(5, 3), [torch.tensor([4, 0]), torch.tensor([1, 3, 2])]
    mixed = Mixed([Categorical(logits[rows[0]]), Categorical(logits[rows[1]])], rows, (5,), dim=0)
    whole, x = Categorical(logits), torch.randint(3, (5,))
    assert torch.equal(mixed.table(), whole.table())
    assert torch.equal(mixed.log_prob(x), whole.log_prob(x))
    assert torch.equal(mixed.tempered(1e-9).sample(), logits.argmax(-1))


def test_an_ensemble_is_the_mean_of_probabilities():
    count = 20_000
    tables, weights = torch.randn(2, 2, 3).softmax(-1), torch.tensor([[0.3, 1.0], [0.7, 0.0]])
    ensemble = Ensemble([Categorical(table.log()) for table in tables], weights.log())
    expected = (tables * weights.unsqueeze(-1)).sum(0)
    torch.testing.assert_close(ensemble.table(), expected)
    for level in range(3):
        log_prob = ensemble.log_prob(torch.tensor([level, level]))
        torch.testing.assert_close(log_prob.exp(), expected[:, level])
    many = Ensemble(
        [Categorical(table.log().repeat(count, 1)) for table in tables],
        weights.log().repeat(1, count),
    )
    draws = many.sample(torch.Generator().manual_seed(0)).view(count, 2)
    for row in range(2):
        seen = draws[:, row].bincount(minlength=3)
        statistic = ((seen - count * expected[row]).square() / (count * expected[row])).sum()
        assert statistic < chi2.ppf(0.9999, 2)


@pytest.mark.parametrize("levels", [(2, 2, 2), (3, 3), (2, 5, 3, 2), (4,), (2,)])
def test_columns_give_each_dimension_its_own_levels(levels):
    symbols = Symbols((len(levels),), levels)
    x = all_states(levels)
    encoding = Encoding(symbols, 5)
    columns = encoding.encode(x, torch.float64)
    assert columns.shape == (len(x), sum(1 if k == 2 else k for k in levels))
    assert len(columns.unique(dim=0)) == len(x)  # no two events look alike
    table = encoding.conditional(torch.randn_like(columns)).table()
    for dim, k in enumerate(levels):
        assert (table[:, dim, :k] > 0).all()
        assert not table[:, dim, k:].any()
    assert torch.allclose(table.sum(-1), torch.ones(len(x), len(levels)))


def test_a_bit_among_categories_is_the_same_bit():
    symbols = Symbols((2,), (2, 3))
    logits = torch.randn(40, 4)
    table = Encoding(symbols, 5).conditional(logits).table()
    assert torch.allclose(table[:, 0, :2], Bernoulli(logits[:, 0]).table())
    assert torch.allclose(table[:, 1], Categorical(logits[:, 1:]).table())


def test_bad_symbols_are_named():
    columns = Columns(("size", "colour"), (("s", "l"), ("red", "green", "blue")))
    symbols = Symbols((2,), columns.levels, columns)
    with pytest.raises(ValueError, match=r"row 1, column 'colour' holds 3.*0 to 2"):
        symbols.check(torch.tensor([[0, 2], [1, 3]]))
    with pytest.raises(ValueError, match=r"row 0, column 'size' holds -1"):
        symbols.check(torch.tensor([[-1, 2]]))
    with pytest.raises(ValueError, match=r"row 2, column 'size' is NaN"):
        symbols.check(torch.tensor([[0.0, 1], [1, 1], [torch.nan, 0]]))
    with pytest.raises(ValueError, match=r"integers, got torch\.float64"):
        symbols.check(torch.tensor([[0.0, 1.0]]))
    with pytest.raises(ValueError, match=r"\(batch, 2\), got \(1, 3\)"):
        symbols.check(torch.tensor([[0, 1, 1]]))
    with pytest.raises(ValueError, match=r"position \(0, 1, 0\) holds 2"):
        Symbols((1, 2, 2), 2).check(torch.tensor([[[[0, 1], [2, 1]]]]))


@pytest.mark.parametrize(
    ("shape", "levels", "message"),
    [((), 2, "at least one dimension"), ((3,), 1, "at least 2"), ((3,), (2, 2), "3 dimensions")],
)
def test_impossible_symbols_are_refused(shape, levels, message):
    with pytest.raises(ValueError, match=message):
        Symbols(shape, levels)


def test_the_dimensions_that_are_ordered_are_all_or_each_of_them():
    with pytest.raises(ValueError, match="ordered gives 2 answers for 3 dimensions"):
        Symbols((3,), 5, ordered=(True, False))
