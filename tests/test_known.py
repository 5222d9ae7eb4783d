"""Known sets that differ from row to row, in one batch, against one set after another."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conftest import all_states
from families import FAMILIES
from scipy.stats import chi2
from test_made import OPTIONS
from test_made import make as make_nominal
from test_ordered import MADES, make_made
from torch import Tensor

import autoregress as ar
from autoregress.conditionals import Conditional

pytestmark = pytest.mark.usefixtures("float64")

ANY: dict[str, Any] = {"orderings": "any", "direct": True}
MODELS = {
    **{name: lambda o=o: make_nominal((2, 3, 2, 4), **{"evidence": True} | o)
       for name, o in OPTIONS.items()},
    **{f"{name}, ordered": lambda o=o: make_made(**{"evidence": True} | o)
       for name, o in MADES.items()},
    "bits": lambda: make_nominal((2,) * 5, **ANY),
    "one bit": lambda: make_nominal((2,), **ANY),
    "gaps": lambda: make_made(**MADES["mixed"] | ANY, gaps=True),
    "image": lambda: ar.MADE((1, 2, 2), 3, hidden=(7,), conditioning=True, **ANY),
    "mixture": lambda: ar.Mixture([make_nominal((3, 2, 4), **ANY), make_made(**MADES["any"])]),
}  # fmt: skip
MODELS["mixture"] = lambda: ar.Mixture([make_nominal((4, 3, 4), **ANY), make_made(**MADES["any"])])
every_model = pytest.mark.parametrize("build", MODELS.values(), ids=MODELS.keys())


def questions(model: ar.AutoregressiveModel, count: int = 24) -> tuple[Tensor, Tensor, Any]:
    """Events, a known set for each, and contexts."""
    levels = torch.tensor(model.symbols.levels)
    x = (torch.rand(count, model.dims) * levels).long().view(count, *model.event_shape)
    known = (torch.rand(count, model.dims) < torch.rand(count, 1)).view_as(x)
    known[0], known[1] = False, True
    return x, known, torch.randn(count, model.context) if model.context else None


def stepwise(model: ar.AutoregressiveModel, x: Tensor, context: Any, member: ar.Member) -> Tensor:
    """log p of each symbol, by the incremental face."""
    flat, rows = x.flatten(1), torch.arange(len(x))
    out = torch.full(flat.shape, torch.nan)

    def look_up(position: int | Tensor, conditional: Conditional) -> Tensor:
        symbols = flat[rows, position]
        out[rows, position] = conditional.log_prob(symbols)
        return symbols

    assert torch.equal(model.traverse(look_up, len(x), context=context, member=member), x)
    return out


@every_model
@torch.no_grad()
def test_both_faces_take_an_ordering_for_each_row(build):
    model = build()
    x, known, context = questions(model)
    masks = known.flatten(1)
    for own, shared in zip(model.members_given(masks)[:4], model.members, strict=False):
        assert own.ordering.is_prefix(masks)
        parallel = model.forward(x, context, own).log_prob(x).flatten(1)
        torch.testing.assert_close(stepwise(model, x, context, own), parallel, rtol=0, atol=1e-10)
        for row in range(len(x)):
            one = None if context is None else context[row : row + 1]
            alone = model.forward(x[row : row + 1], one, shared.promote(masks[row]))
            expected = alone.log_prob(x[row : row + 1]).flatten(1)[0]
            torch.testing.assert_close(parallel[row], expected, rtol=0, atol=1e-10)


@every_model
def test_a_set_for_each_row_is_one_set_after_another(build, monkeypatch):
    model = build()
    x, known, context = questions(model)
    together = model.conditional_log_prob(x, known, context)
    together.sum().backward()
    gradients = [p.grad for p in model.parameters()]
    model.zero_grad()
    monkeypatch.setattr(model, "row_orderings", False)
    apart = model.conditional_log_prob(x, known, context)
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-10)
    apart.sum().backward()
    for one, parameter in zip(gradients, model.parameters(), strict=True):
        if one is not None:
            torch.testing.assert_close(one, parameter.grad, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("by_row", [True, False], ids=["by row", "one set after another"])
@pytest.mark.parametrize("name", ["everything, ordered", "mixture", "image"])
@torch.no_grad()
def test_results_do_not_depend_on_the_rows_beside_them(name, by_row, monkeypatch):
    model = MODELS[name]()
    x, known, context = questions(model)
    log_prob, marginals = (
        ask(x, known, context) for ask in (model.conditional_log_prob, model.marginals)
    )
    monkeypatch.setattr(model, "chunk_rows", 5)
    monkeypatch.setattr(model, "row_orderings", by_row)
    again, in_parts = (
        ask(x, known, context) for ask in (model.conditional_log_prob, model.marginals)
    )
    torch.testing.assert_close(again, log_prob, rtol=0, atol=1e-10)
    torch.testing.assert_close(in_parts.table(), marginals.table(), rtol=0, atol=1e-10)
    of_x = marginals.log_prob(x)
    torch.testing.assert_close(in_parts.log_prob(x), of_x, rtol=0, atol=1e-10)
    drawn = in_parts.sample(torch.Generator().manual_seed(0))
    model.symbols.check(drawn)
    out = model.complete(x, known, context)
    assert torch.equal(out[known], x[known])


@every_model
@torch.no_grad()
def test_the_unknown_have_mass_one_whatever_is_known(build):
    model = build()
    states = all_states(model.symbols.levels)
    sets = all_states((2,) * model.dims).bool()
    evidence = states[torch.randint(len(states), (len(sets),))]
    x, which = [], []
    for index, known in enumerate(sets):
        own = states[(states[:, known] == evidence[index, known]).all(1)]
        x.append(own)
        which += [index] * len(own)
    x, which = torch.cat(x).view(-1, *model.event_shape), torch.tensor(which)
    context = torch.randn(1, model.context).expand(len(x), -1) if model.context else None
    probability = model.conditional_log_prob(x, sets[which].view_as(x), context).exp()
    mass = torch.zeros(len(sets)).index_add(0, which, probability)
    torch.testing.assert_close(mass, torch.ones(len(sets)), rtol=0, atol=1e-10)


@every_model
@torch.no_grad()
def test_completions_keep_what_is_known_and_say_their_probability(build):
    model = build()
    x, known, context = questions(model)
    out, log_prob = model.complete(x.where(known, -9), known, context, return_log_prob=True)
    assert torch.equal(out[known], x[known])
    model.symbols.check(out)
    expected = model.conditional_log_prob(out, known, context)
    torch.testing.assert_close(log_prob, expected, rtol=0, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bits", "any", "everything", "mixed, ordered", "mixture"])
@torch.no_grad()
def test_completions_follow_the_conditionals_of_their_rows(name):
    model, count = MODELS[name](), 2000
    for parameter in model.parameters():
        parameter.mul_(0.3)  # so that few states are rare
    some = torch.arange(model.dims) % 2 == 1
    sets = torch.stack([some, ~some, some & False])
    evidence = model.sample(3)
    states = all_states(model.symbols.levels)
    which = torch.arange(3).repeat(count)
    x = model.complete(evidence[which], sets[which], generator=torch.Generator().manual_seed(1))
    for index, known in enumerate(sets):
        own = states[(states[:, known] == evidence[index, known]).all(1)]
        expected = count * model.conditional_log_prob(own, known).exp()
        drawn = x[which == index]
        seen = torch.stack([(drawn == state).all(1).sum() for state in own]).double()
        often = expected >= 5
        seen, expected = (
            torch.cat([each[often], each[~often].sum(0, keepdim=True)]) for each in (seen, expected)
        )
        statistic = ((seen - expected).square() / expected.clamp(min=1e-9)).sum()
        assert statistic < chi2.ppf(1 - 1e-5, len(seen) - 1)


@every_model
@torch.no_grad()
def test_a_symbol_of_a_row_changes_nothing_before_it_in_that_row(build):
    model = build()
    x, known, context = questions(model, 64)
    (member, *_) = model.members_given(known.flatten(1))
    before = model.forward(x, context, member).log_prob(x).flatten(1)
    precedes = member.ordering.precedes()
    for dim, levels in enumerate(model.symbols.levels):
        y = x.flatten(1).clone()
        y[:, dim] = (y[:, dim] + 1) % levels
        after = model.forward(y.view_as(x), context, member).log_prob(x).flatten(1)
        changed = (after != before) & (torch.arange(model.dims) != dim)
        assert not changed[~precedes[:, dim]].any()  # bit-equal


# One cell of each row


@every_model
@pytest.mark.parametrize("by_row", [True, False], ids=["by row", "one set"])
@torch.no_grad()
def test_the_marginals_of_all_unknown_symbols_are_what_comes_next(build, by_row):
    model = build()
    x, known, context = questions(model)
    if not by_row:
        known = known[2].expand_as(x)
    marginals = model.marginals(x.where(known, 0), known, context)
    table, log_prob = marginals.table(), marginals.log_prob(x)
    torch.testing.assert_close(table.sum(-1), torch.ones(x.shape), rtol=0, atol=1e-10)
    picked = table.gather(-1, x.unsqueeze(-1)).squeeze(-1).log()
    torch.testing.assert_close(log_prob.double(), picked, rtol=0, atol=1e-8)
    masks, log_prob = known.flatten(1), log_prob.flatten(1)
    for dim in range(model.dims):
        own = torch.arange(model.dims) == dim
        next_ = [m.promote(masks | own).promote(masks) for m in model.members]
        each = torch.stack([model.forward(x, context, m).log_prob(x).flatten(1) for m in next_])
        given = each.where(masks, 0).sum(2) + model.log_weights[:, None]
        expected = (given.log_softmax(0) + each[:, :, dim]).logsumexp(0)
        some = ~masks[:, dim]
        torch.testing.assert_close(log_prob[some, dim], expected[some], rtol=0, atol=1e-10)


@every_model
@torch.no_grad()
def test_leaving_one_out_is_the_rest_being_known(build):
    model = build()
    x, _, context = questions(model, 9)
    rows = torch.arange(len(x)).repeat_interleave(model.dims)
    others = ~torch.eye(model.dims, dtype=torch.bool).repeat(len(x), 1).view(-1, *x.shape[1:])
    nats = -model.conditional_log_prob(x[rows], others, None if context is None else context[rows])
    torch.testing.assert_close(
        model.leave_one_out(x, context), nats.view(x.shape), rtol=0, atol=1e-10
    )


def test_a_fixed_order_has_no_such_marginals():
    nothing = torch.zeros(2, 4, dtype=torch.bool)
    fixed = ar.MADE(4, hidden=(5,))
    with pytest.raises(ValueError, match="evidence=True"):
        fixed.marginals(nothing.long(), nothing)
    with pytest.raises(ValueError, match="fixed order"):
        fixed.leave_one_out(nothing.long())
    pixels = FAMILIES["PixelCNN"]()
    x = pixels.sample(2)
    with pytest.raises(ValueError, match="visits next"):
        pixels.marginals(x, torch.zeros_like(x, dtype=torch.bool))


def test_rows_of_many_levels_need_no_table_of_them():
    levels = (65536, 2, 300, 65536)
    model = make_made(symbols=levels, ordered=(True, False, False, True), **ANY).float()
    x, known, _ = questions(model, 600)
    out, log_prob = model.complete(x, known, return_log_prob=True)
    assert torch.equal(out[known], x[known])
    torch.testing.assert_close(log_prob, model.conditional_log_prob(out, known))


def test_autocast_measures_about_the_same():
    model = ar.MADE(20, 3, hidden=(50, 50), norm=True, residual=True, **ANY).float()
    x, known, _ = questions(model)
    exact = model.conditional_log_prob(x, known)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model.conditional_log_prob(x, known)
    assert (rough - exact).abs().max() < 0.02 * exact.abs().max()


@pytest.mark.parametrize("name", FAMILIES)
def test_symbols_as_they_are_drawn_are_those_of_complete(name, float64):
    model = FAMILIES[name]()
    known = torch.arange(model.dims) == model.members[0].ordering.visit[0]
    known = known.view(model.event_shape)
    x = model.sample(5)
    try:
        expected = model.complete(x, known, generator=torch.Generator().manual_seed(1))
    except ValueError:  # a mixture of models of different orderings
        known = torch.zeros_like(known)
        expected = model.complete(x, known, generator=torch.Generator().manual_seed(1))
    drawn = torch.full((5, model.dims), -1)
    for visit in model.completing(x, known, generator=torch.Generator().manual_seed(1)):
        assert (drawn[visit.rows, visit.position] == -1).all()
        drawn[visit.rows, visit.position] = visit.symbols
    assert torch.equal(drawn.view(x.shape), expected)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_drawn_can_be_trained_on(name):
    model = FAMILIES[name]()
    unknown = torch.zeros(model.event_shape, dtype=torch.bool)
    x = model.sample(3)
    for drawn in (x, model.complete(x, unknown)):
        model.objective(drawn).sum().backward()


@pytest.mark.parametrize("orderings", [3, "any"])
def test_the_surprise_of_known_symbols_is_that_of_a_distribution_over_them(orderings, float64):
    model = ar.MADE((2, 2), 3, hidden=(8,), orderings=orderings)
    known = torch.tensor([[True, False], [False, True]])
    states = torch.zeros(9, 2, 2, dtype=torch.int64)
    states[:, known] = all_states([3, 3])
    states[:, ~known] = -7  # whatever is there
    nats = model.surprisal(states, known=known)
    assert torch.allclose(nats.flatten(1).sum(1).neg().exp().sum(), torch.ones(()).double())
    assert (nats[:, ~known] == 0).all()
    whole = torch.ones(2, 2, dtype=torch.bool)
    x = model.sample(4)
    assert torch.allclose(model.surprisal(x, known=whole), model.surprisal(x))
    assert len(model.surprisal(x[:0], known=known)) == 0


@pytest.mark.parametrize("name", ["PixelCNN", "RowLSTM", "VideoTransformer"])
def test_a_fixed_order_measures_what_it_visits_first(name, float64):
    model = FAMILIES[name]()
    known = (model.members[0].ordering.rank < 3).view(model.event_shape)
    x = model.sample(4)
    nats = model.surprisal(x, known=known)
    assert torch.allclose(nats, model.surprisal(x).where(known, 0))
    with pytest.raises(ValueError, match="first"):
        model.surprisal(x, known=~known)


def without_ordering() -> ar.MADE:
    return make_made(**MADES["mixed"] | {"orderings": 2, "direct": True}, gaps=True, evidence=True)


@torch.no_grad()
def test_without_an_ordering_the_unknown_depend_on_all_that_is_known_and_on_nothing_else():
    model = without_ordering()
    x, known, _ = questions(model)
    p = model.marginals(x, known).table()
    torch.testing.assert_close(p.sum(-1), torch.ones_like(p[..., 0]))
    levels = torch.tensor(model.symbols.levels)
    for dim in range(model.dims):
        changed = x.clone()
        changed[:, dim] = (x[:, dim] + 1) % levels[dim]
        differs = (model.marginals(changed, known).table() != p).any(-1)
        for row in range(len(x)):
            unknown = ~known[row]
            assert bool(differs[row][unknown].all() if known[row, dim] else not differs[row].any())


@torch.no_grad()
def test_parts_of_an_update_hide_what_the_whole_hides():
    model = without_ordering()
    x, _, _ = questions(model)
    kinds = set()
    for seed in range(8):

        def objective(places: Tensor, seed: int = seed) -> Tensor:
            generator = torch.Generator().manual_seed(seed)
            return model.objective(x[places], None, ar.Update(3, generator, places, len(x)))

        whole = objective(torch.arange(len(x)))
        parts = torch.cat([objective(places) for places in torch.arange(len(x)).split(7)])
        torch.testing.assert_close(parts, whole)
        kinds.add(bool((whole == 0).any()))  # a row of which nothing is hidden has no loss
    assert kinds == {True, False}
