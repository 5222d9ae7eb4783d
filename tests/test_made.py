"""MADE against Algorithm 1 written out, and against all the states of small events."""

import itertools
import math

import pytest
import torch
from conftest import all_states
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import autoregress as ar
from autoregress.networks import made, masked
from autoregress.networks.degrees import ByDegree
from autoregress.networks.made import sample_degrees

pytestmark = pytest.mark.usefixtures("float64")

OPTIONS = {
    "plain": {},
    "deep": {"hidden": (9, 7, 8)},
    "narrow": {"hidden": (2, 1), "direct": True},
    "direct": {"hidden": (8,), "direct": True},
    "conditioning": {"hidden": (8, 6), "conditioning": True, "direct": True},
    "softplus": {"hidden": (8, 6), "activation": "softplus"},
    "residual": {"hidden": (8, 5, 6), "residual": True},
    "norm": {"hidden": (8, 6), "norm": True},
    "everything": {
        "hidden": (8, 5, 6),
        "residual": True,
        "norm": True,
        "conditioning": True,
        "direct": True,
        "dropout": 0.5,
        "activation": "gelu",
        "orderings": 3,
        "connectivities": 2,
    },
    "any": {"hidden": (8, 6), "orderings": "any", "connectivities": "any"},
    "evidence": {"hidden": (8,), "direct": True, "evidence": True},
}
LEVELS = {
    "bits": (2,) * 5,
    "ternary": (3,) * 4,
    "mixed": (2, 3, 2, 5),
    "one bit": (2,),
    "one category": (4,),
}


def make(levels, **options):
    """A MADE with weights large enough for the dependences to matter."""
    model = ar.MADE(len(levels), levels, **options)
    for name, parameter in model.named_parameters():
        if name.endswith(("weight", "conditioning")):
            torch.nn.init.normal_(parameter)
    return model


@pytest.fixture(params=[2**19, 1], ids=["one block", "many blocks"])
def blocks(request, monkeypatch):
    """The parallel pass in one block, and in as many as there are."""
    monkeypatch.setitem(masked.BLOCK_SIZE, "cpu", request.param)
    monkeypatch.setattr(made, "UNROLL_BLOCK", 32 if request.param > 1 else 2)


# Algorithm 1


@given(st.integers(1, 40), st.lists(st.integers(1, 20), min_size=1, max_size=4), st.integers(0))
def test_degrees_stay_within_their_range(dims, hidden, seed):
    generator = torch.Generator().manual_seed(seed % 2**63)
    lowest = 1
    for width, degrees in zip(
        hidden, sample_degrees(dims, hidden, generator=generator), strict=True
    ):
        assert degrees.shape == (width,)
        assert int(degrees.min()) >= lowest
        assert int(degrees.max()) <= max(dims - 1, 1)
        lowest = int(degrees.min())


def test_degrees_are_uniform():
    (degrees,) = sample_degrees(6, (50_000,), generator=torch.Generator().manual_seed(0))
    seen = torch.bincount(degrees, minlength=6)[1:].double()
    assert len(seen) == 5
    assert ((seen - 10_000) ** 2 / 10_000).sum() < chi2.ppf(0.999, 4)


def algorithm_1(model, x, member_index):
    """Logits of a MADE of bits by the paper's loops, with dense masks."""
    dims = model.dims
    orderings = model.orderings
    visit = orderings[member_index % len(orderings)].tolist()
    m = [[visit.index(d) + 1 for d in range(dims)]]
    m += [table[member_index % len(table)].tolist() for table in model._degrees]

    def masked_matrix(linear, allowed):
        w = linear.weight.T if linear.by_source else linear.weight
        mask = torch.zeros_like(w)
        for k_out, k_in in itertools.product(*map(range, mask.shape)):
            mask[k_out, k_in] = 1.0 if allowed(k_out, k_in) else 0.0
        bias = 0 if linear.bias is None else linear.bias
        if linear.conditioning is not None:
            u = linear.conditioning.T if linear.by_source else linear.conditioning
            bias = bias + (u * mask) @ torch.ones(mask.shape[1])  # eq. 14
        return w * mask, bias

    act = {"relu": torch.relu, "softplus": torch.nn.functional.softplus}
    g = act[model.options["activation"]]
    h = x.double()
    for layer, linear in enumerate(model.layers):
        w, b = masked_matrix(linear, lambda o, i, n=layer: m[n + 1][o] >= m[n][i])
        h = g(h @ w.T + b)
    w, b = masked_matrix(model.output, lambda o, i: m[0][o] > m[-1][i])
    logits = h @ w.T + b
    if model.direct is not None:
        w, b = masked_matrix(model.direct, lambda o, i: m[0][o] > m[0][i])  # eq. 11
        logits = logits + x.double() @ w.T + b
    return logits


@pytest.mark.parametrize(
    "options",
    [
        {"hidden": (7,)},
        {"hidden": (7, 9, 4), "activation": "softplus", "direct": True},
        {"hidden": (3, 8), "conditioning": True, "direct": True, "orderings": 3},
        {"hidden": (6, 6), "conditioning": True, "orderings": 2, "connectivities": 3},
        {"hidden": (5,), "orderings": [[3, 0, 5, 1, 4, 2]]},
    ],
    ids=str,
)
def test_network_and_gradients_are_those_of_algorithm_1(options, blocks):
    model = make((2,) * 6, **options)
    x = all_states((2,) * 6)
    for index, member in enumerate(model.members):
        model.zero_grad()
        logits = model.forward(x, member=member).logits
        weights = torch.randn_like(logits)
        (logits * weights).sum().backward()
        ours = [p.grad for p in model.parameters()]
        model.zero_grad()
        expected = algorithm_1(model, x, index)
        (expected * weights).sum().backward()
        theirs = [p.grad for p in model.parameters()]
        assert torch.allclose(logits, expected, atol=1e-12)
        for a, b in zip(ours, theirs, strict=True):
            assert a is not None
            assert b is not None
            assert torch.allclose(a, b, atol=1e-10)


def test_the_first_output_has_only_its_bias():
    model = make((2,) * 5, hidden=(20, 20), orderings=[[3, 1, 0, 4, 2]], direct=True)
    logits = model.forward(all_states((2,) * 5)).logits
    assert torch.equal(logits[:, 3], model.output.bias[3].expand(32))


# Mass


def mass(model):
    return float(model.log_prob(all_states(model.symbols.levels)).exp().sum().detach())


@pytest.mark.parametrize("levels", list(LEVELS.values()), ids=list(LEVELS))
@pytest.mark.parametrize("options", list(OPTIONS.values()), ids=list(OPTIONS))
def test_mass_sums_to_one(options, levels, blocks):
    assert abs(mass(make(levels, **options)) - 1) < 1e-10


@pytest.mark.parametrize("visit", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("k", [2, 3])
def test_mass_sums_to_one_in_each_ordering(visit, k):
    model = make((k,) * 3, hidden=(6, 5), orderings=[visit], direct=True)
    assert abs(mass(model) - 1) < 1e-10


@pytest.mark.parametrize("name", ["plain", "everything", "any"])
def test_mass_sums_to_one_with_twelve_bits(name):
    model = make((2,) * 12, **OPTIONS[name])
    assert abs(mass(model) - 1) < 1e-10
    assert abs(mass(model.ensemble(5, connectivities=5)) - 1) < 1e-10


def test_mass_of_ternary_events_of_eight():
    assert abs(mass(make((3,) * 8, **OPTIONS["everything"])) - 1) < 1e-10


@settings(max_examples=40, deadline=None)
@given(
    levels=st.lists(st.integers(2, 4), min_size=1, max_size=4),
    hidden=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    flags=st.lists(st.booleans(), min_size=4, max_size=4),
    orderings=st.integers(1, 3),
    connectivities=st.integers(1, 3),
)
def test_mass_and_faces_whatever_the_options(levels, hidden, flags, orderings, connectivities):
    names = ("direct", "conditioning", "residual", "norm")
    model = make(
        levels,
        hidden=hidden,
        orderings=orderings,
        connectivities=connectivities,
        **dict(zip(names, flags, strict=True)),
    )
    assert abs(mass(model) - 1) < 1e-10
    assert faces_differ_by(model, all_states(levels)) < 1e-10


# Two faces


def faces_differ_by(model, x, context=None):
    """The largest difference in log p of a symbol between the parallel and unrolled passes."""
    worst = 0.0
    for member in model.members:
        unrolled = torch.empty(len(x), model.dims)
        flat = x.flatten(1)

        def look_up(position, conditional, unrolled=unrolled, flat=flat):
            unrolled[:, position] = conditional.log_prob(flat[:, position])
            return flat[:, position]

        returned = model.traverse(look_up, len(x), context=context, member=member)
        assert torch.equal(returned, x)
        parallel = model.forward(x, context, member).log_prob(x).flatten(1)
        worst = max(worst, float((parallel - unrolled).detach().abs().max()))
    return worst


@pytest.mark.parametrize("levels", list(LEVELS.values()), ids=list(LEVELS))
@pytest.mark.parametrize("options", list(OPTIONS.values()), ids=list(OPTIONS))
def test_parallel_and_unrolled_passes_agree(options, levels, blocks):
    assert faces_differ_by(make(levels, **options), all_states(levels)) < 1e-10


def test_passes_agree_with_context_over_several_blocks_and_in_float32():
    model = make((2, 3) * 40, hidden=(50, 40, 50), residual=True, norm=True, context=4, orderings=2)
    context = torch.randn(6, 4)
    x = model.sample(6, context)
    assert faces_differ_by(model, x, context) < 1e-10
    small = ar.MADE(784, hidden=(200, 200), direct=True).float()
    assert faces_differ_by(small, small.sample(8)) < 1e-5


def test_images_keep_their_shape():
    model = ar.MADE((1, 3, 4), 3, hidden=(10,))
    x = model.sample(5)
    assert x.shape == (5, 1, 3, 4)
    assert model.surprisal(x).shape == x.shape
    assert faces_differ_by(model, x) < 1e-10


# Causality


def reachable(model, index):
    """(D, D): whether a path of allowed connections leads from input i to output j."""
    visit = model.orderings[index % len(model.orderings)].tolist()
    m0 = torch.tensor([visit.index(d) + 1 for d in range(model.dims)])
    chain = [m0, *(d[index % len(d)] for d in model._degrees)]
    paths = torch.eye(model.dims, dtype=torch.float64)
    for before, after in itertools.pairwise(chain):
        paths = paths @ (after[None, :] >= before[:, None]).double()
    paths = paths @ (m0[None, :] > chain[-1][:, None]).double()
    if model.direct is not None:
        paths = paths + (m0[None, :] > m0[:, None]).double()
    return paths > 0


def jacobian_of(function, x):
    jacobian = torch.autograd.functional.jacobian(function, x)
    assert isinstance(jacobian, torch.Tensor)
    return jacobian


@pytest.mark.parametrize(
    "options",
    [
        {"hidden": (30, 30), "activation": "softplus"},
        {"hidden": (3,), "activation": "softplus"},
        {"hidden": (3, 4), "activation": "softplus", "direct": True, "orderings": 3},
        {"hidden": (12, 12), "activation": "tanh", "orderings": 2, "connectivities": 2},
    ],
    ids=str,
)
def test_jacobian_is_nonzero_exactly_where_a_path_leads(options, blocks):
    model = make((2,) * 6, **options)
    for index, member in enumerate(model.members):
        columns = torch.rand(1, 6, requires_grad=True)  # bits let through as they are

        def logits(c, member=member):
            return model.forward(c, member=member).logits.squeeze(0)

        jacobian = jacobian_of(logits, columns)[:, 0]
        assert torch.equal(jacobian.T != 0, reachable(model, index))


@pytest.mark.parametrize("levels", [(2,) * 6, (3, 2, 4, 2)], ids=str)
@pytest.mark.parametrize("name", list(OPTIONS))
def test_perturbing_a_symbol_changes_nothing_before_it(name, levels, blocks):
    model = make(levels, **OPTIONS[name])
    x = torch.stack([torch.randint(k, (64,)) for k in levels], dim=1)
    for member in model.members[:4]:
        before = model.forward(x, member=member).logits
        precedes = member.ordering.precedes()
        for dim, k in enumerate(levels):
            y = x.clone()
            y[:, dim] = (y[:, dim] + 1) % k
            changed = model.forward(y, member=member).logits != before
            changed = changed.view(64, len(levels), -1).any(-1).any(0)
            assert not changed[~precedes[dim]].any()  # bit-equal
            if model.direct is not None:
                assert changed[precedes[dim]].all()


# Drawing


def chi_square_fits(draws, probabilities):
    """Whether counts of states follow their probabilities, at the 0.999 level."""
    expected = probabilities * draws.sum()
    statistic = ((draws - expected) ** 2 / expected).sum()
    return float(statistic.detach()) < chi2.ppf(0.999, len(draws) - 1)


def count(x, states):
    return torch.stack([(x == s).all(1).sum() for s in states]).double()


@pytest.mark.parametrize("levels", [(2, 2, 2, 2), (3, 2, 3)], ids=str)
@pytest.mark.parametrize("name", ["direct", "everything", "any"])
def test_samples_have_the_model_s_frequencies(name, levels):
    options = OPTIONS[name] | {"norm": False}
    model = ar.MADE(len(levels), levels, **options)
    states = all_states(levels)
    x = model.sample(20_000, generator=torch.Generator().manual_seed(5))
    assert chi_square_fits(count(x, states), model.log_prob(states).exp())


def test_sampling_is_a_function_of_the_generator():
    model = make((2,) * 8, **OPTIONS["any"])
    a, b, c = (model.sample(9, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_cold_draws_are_the_likeliest_symbols():
    model = make((3,) * 8, **OPTIONS["direct"])
    nn.init.normal_(model.output.bias)  # else the first symbol has no likeliest level
    known = torch.tensor([True] * 3 + [False] * 5)
    given = model.sample(9)
    cold = model.complete(given, known, temperature=1e-9)
    assert torch.equal(cold[:, known], given[:, known])
    likeliest = model.forward(cold).table().argmax(-1)
    assert torch.equal(cold[:, ~known], likeliest[:, ~known])
    assert torch.equal(*model.sample(2, temperature=1e-9))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_temperatures_that_make_no_sense(temperature):
    with pytest.raises(ValueError, match="temperature must be above 0"):
        make((2,) * 8, **OPTIONS["direct"]).sample(1, temperature=temperature)


def test_completions_have_exact_conditional_frequencies():
    """A known prefix of the model's own ordering: p(unknown | known) by enumeration."""
    model = ar.MADE(4, 2, hidden=(8,), direct=True, orderings=[[2, 0, 3, 1]])
    known = torch.tensor([True, False, True, False])
    states = all_states((2,) * 4)
    joint = model.log_prob(states).exp()
    partial = torch.tensor([[1, 9, 0, -3]])
    agrees = (states[:, known] == partial[:, known]).all(1)
    conditional = joint[agrees] / joint[agrees].sum()
    x, log_prob = model.complete(
        partial.expand(20_000, 4),
        known,
        generator=torch.Generator().manual_seed(2),
        return_log_prob=True,
    )
    assert chi_square_fits(count(x, states[agrees]), conditional)
    assert torch.equal(x[:, known], partial[:, known].expand(20_000, 2))
    for state, p in zip(states[agrees], conditional, strict=True):
        rows = (x == state).all(1)
        assert torch.allclose(log_prob[rows].exp(), p, atol=1e-12)


def test_a_prefix_of_all_members_conditions_the_mixture_itself():
    """Two orderings that share their first dimension: completion is p(u | k) of the ensemble."""
    model = make((2,) * 4, hidden=(8,), direct=True, orderings=[[1, 0, 2, 3], [1, 3, 2, 0]])
    known = torch.tensor([False, True, False, False])
    states = all_states((2,) * 4)
    joint = model.log_prob(states).exp()
    agrees = states[:, 1] == 1
    conditional = joint[agrees] / joint[agrees].sum()
    x = torch.tensor([[0, 1, 0, 0]]).expand(20_000, 4)
    g = torch.Generator().manual_seed(8)
    x, log_prob = model.complete(x, known, generator=g, return_log_prob=True)
    drawn = count(x, states[agrees])
    likely = conditional > 1e-3
    assert chi_square_fits(drawn[likely], conditional[likely] / conditional[likely].sum())
    for state, p in zip(states[agrees], conditional, strict=True):
        rows = (x == state).all(1)
        assert torch.allclose(log_prob[rows].exp(), p, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("levels", [(2,) * 4, (3, 2, 2, 3)], ids=str)
@pytest.mark.parametrize("name", ["everything", "any", "evidence"])
def test_any_subset_completes_with_probabilities_that_sum_to_one(name, levels):
    model = make(levels, **OPTIONS[name])
    states = all_states(levels)
    for bits in itertools.product([False, True], repeat=4):
        known = torch.tensor(bits)
        evidence = states[-1]
        agrees = (states[:, known] == evidence[known]).all(1)
        members = model.members_given(known)
        parts = [model.forward(states, member=m).log_prob(states) for m in members]
        log_k = torch.stack([p[:, known].sum(1) for p in parts]).logsumexp(0)
        log_all = torch.stack([p.sum(1) for p in parts]).logsumexp(0)
        conditional = (log_all - log_k)[agrees].exp()
        assert abs(float(conditional.sum().detach()) - 1) < 1e-10
        x, log_prob = model.complete(
            evidence.expand(50, 4), known, generator=torch.Generator().manual_seed(0),
            return_log_prob=True,
        )  # fmt: skip
        assert torch.equal(x[:, known], evidence[known].expand(50, int(known.sum())))
        for row, lp in zip(x, log_prob, strict=True):
            where = (states[agrees] == row).all(1)
            assert math.isclose(float(lp.exp()), float(conditional[where].detach()), rel_tol=1e-9)
        assert torch.allclose(model.conditional_log_prob(x, known), log_prob, atol=1e-10)


def test_each_row_may_have_its_own_mask():
    model = make((3,) * 5, **OPTIONS["any"])
    x = model.sample(40)
    known = torch.rand(40, 5) < 0.5
    out = model.complete(x, known)
    assert torch.equal(out[known], x[known])
    assert not torch.equal(out, x)
    together = model.conditional_log_prob(x, known)
    alone = [model.conditional_log_prob(r[None], k) for r, k in zip(x, known, strict=True)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-10)


def test_a_fixed_order_refuses_what_it_cannot_condition_on():
    model = make((2,) * 4, hidden=(6,))
    x = torch.zeros(2, 4, dtype=torch.int64)
    prefix = torch.tensor([True, True, False, False])
    assert model.complete(x, prefix).shape == x.shape
    with pytest.raises(ValueError, match=r"column 1 is unknown.*evidence=True"):
        model.complete(x, torch.tensor([True, False, True, False]))
    with pytest.raises(ValueError, match="dtype bool"):
        model.complete(x, prefix.int())
    with pytest.raises(ValueError, match="shape of x"):
        model.complete(x, prefix[:3])


# Ensembles, measures


def test_an_ensemble_is_the_mean_of_its_members_probabilities():
    model = make((2,) * 5, hidden=(9,), orderings=4)
    x = all_states((2,) * 5)
    each = [make_single(model, i).log_prob(x).exp() for i in range(4)]
    assert torch.allclose(model.log_prob(x).exp(), torch.stack(each).mean(0), atol=1e-14)


def make_single(model, index):
    return model.ensemble(orderings=model.orderings[index : index + 1])


def test_an_ensemble_shares_weights_and_leaves_the_model_alone():
    model = make((2,) * 5, hidden=(9,), orderings="any")
    x = all_states((2,) * 5)
    before = model.log_prob(x)
    other = model.ensemble(32, connectivities=3)
    assert len(other.members) == 96
    assert len(model.members) == made.DEFAULT_MEMBERS
    assert torch.equal(model.log_prob(x), before)
    assert {id(p) for p in other.parameters()} == {id(p) for p in model.parameters()}


def test_an_ensemble_of_a_connectivity_agnostic_model_draws_one_for_each_ordering():
    model = make((2,) * 5, hidden=(9,), orderings="any", connectivities="any").ensemble(20)
    assert len(model.members) == 20
    assert len(model.get_buffer("degrees_0").unique(dim=0)) > made.DEFAULT_MEMBERS


@pytest.mark.parametrize("name", ["plain", "everything", "any"])
@pytest.mark.parametrize("levels", [(2,) * 5, (2, 3, 2, 5)], ids=str)
def test_surprisal_is_nonnegative_and_sums_to_minus_log_prob(name, levels):
    model = make(levels, **OPTIONS[name])
    x = all_states(levels)
    surprisal = model.surprisal(x)
    assert surprisal.dtype == torch.float64
    assert (surprisal >= -1e-12).all()
    assert torch.allclose(surprisal.sum(1), -model.log_prob(x), atol=1e-10)


def test_log_prob_of_a_row_does_not_depend_on_its_batch():
    model = make((2,) * 6, **OPTIONS["everything"])
    x = torch.randint(2, (1200, 6))
    whole = model.log_prob(x)
    assert whole.dtype == torch.float64
    assert torch.allclose(torch.cat([model.log_prob(p) for p in x.split(50)]), whole, atol=1e-12)


def test_symbols_may_be_of_any_integer_dtype():
    model = make((3, 2, 3), hidden=(8,))
    x = all_states((3, 2, 3))
    expected = model.log_prob(x)
    for dtype in (torch.uint8, torch.int32, torch.int16):
        assert torch.equal(model.log_prob(x.to(dtype)), expected)
    assert torch.equal(model.log_prob(x.numpy()), expected)
    bits = make((2,) * 3, hidden=(8,))
    y = all_states((2,) * 3)
    assert torch.equal(bits.log_prob(y.bool()), bits.log_prob(y))


# Objective


def test_updates_cycle_through_the_members():
    model = make((2,) * 5, hidden=(9,), orderings=2, connectivities=3)
    x = all_states((2,) * 5)
    members = model.members
    assert len(members) == 6
    for step in range(12):
        expected = -model.forward(x, member=members[step % 6]).log_prob(x).sum(1)
        assert torch.equal(model.objective(x, update=ar.Update(step)), expected)


def test_fresh_masks_are_a_function_of_the_generator_and_differ_between_updates():
    model = make((2,) * 5, hidden=(9,), orderings="any", connectivities="any")
    x = all_states((2,) * 5)

    def losses(seed):
        return model.objective(x, update=ar.Update(0, torch.Generator().manual_seed(seed)))

    assert torch.equal(losses(1), losses(1))
    assert not torch.equal(losses(1), losses(2))
    assert abs(float((-losses(3)).exp().sum().detach()) - 1) < 1e-10


def test_evidence_is_promoted_in_about_half_of_the_updates():
    model = make((2,) * 5, hidden=(9,), evidence=True)
    x = all_states((2,) * 5)
    own = -model.log_prob(x)
    generator = torch.Generator().manual_seed(0)
    losses = [model.objective(x, update=ar.Update(i, generator)) for i in range(400)]
    assert all(abs(float((-nats).exp().sum().detach()) - 1) < 1e-10 for nats in losses)
    changed = sum(not torch.allclose(nats, own) for nats in losses)
    # Some promotions change nothing: of none, of all, and of what comes first anyway.
    assert 60 < changed < 200


def test_dropout_is_in_the_objective_and_never_in_the_likelihood():
    model = make((2,) * 5, hidden=(30,), dropout=0.5, direct=True).train()
    x = all_states((2,) * 5)
    assert torch.equal(model.log_prob(x), model.log_prob(x))
    assert not torch.equal(model.objective(x), model.objective(x))
    assert torch.equal(model.log_prob(x), -make_copy(model, dropout=0.0).objective(x))


def make_copy(model, **changes):
    options = model.options | changes
    other = ar.MADE(model.event_shape, model.symbols.compact, **options)
    other.load_state_dict(model.state_dict())
    return other


def test_bfloat16_autocast_computes_the_same_roughly_and_gives_float32_gradients():
    model = ar.MADE(20, 3, hidden=(50, 50), norm=True, residual=True, direct=True).float()
    x = model.sample(64)
    exact = model.objective(x).mean()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model.objective(x).mean()
    rough.backward()
    assert abs(float((rough - exact).detach())) < 0.01 * float(exact.detach())
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


def test_masked_weights_get_no_gradient():
    model = make((2,) * 6, hidden=(20,), orderings=1)
    model.objective(all_states((2,) * 6)).sum().backward()
    source, (target,), _ = model._sides(model.members[0])
    assert isinstance(source, ByDegree)
    layer = model.layers[0]
    assert isinstance(layer, masked.MaskedLinear)
    assert layer.weight.grad is not None
    allowed = layer.staircase(source, target).dense(torch.bool)
    assert not layer.weight.grad[~allowed].any()


# Columns of several kinds


class Counter(TorchDispatchMode):
    """Counts the numbers in the results of all operations."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.numbers += sum(x.numel() for x in tree_leaves(out) if isinstance(x, torch.Tensor))
        return out


def numbers_of_an_update(levels, rows=64, **options):
    model = ar.MADE(len(levels), levels, hidden=(20,), direct=False, **options)
    x = torch.zeros(rows, len(levels), dtype=torch.uint8)
    with Counter() as counter:
        model.objective(x).sum().backward()
    return counter.numbers


def test_no_column_is_padded_to_the_largest():
    bits = numbers_of_an_update((2,) * 1000)
    assert numbers_of_an_update((2,) * 1000 + (100,)) < 2 * bits
    # The scale of a column is there once, whatever the number of rows.
    few, many = (
        [numbers_of_an_update((2, 2, k, 7), rows, ordered=True) for rows in (64, 128)]
        for k in (100, 65536)
    )
    assert few[1] - few[0] == many[1] - many[0]


# Context


def test_context_changes_the_distribution_and_must_be_given():
    model = make((2,) * 4, hidden=(8,), context=3, orderings=2)
    x = all_states((2,) * 4)
    a, b = torch.randn(2, 3)
    p = [model.log_prob(x, c.expand(16, 3)).exp() for c in (a, b)]
    assert all(abs(float(q.sum().detach()) - 1) < 1e-10 for q in p)
    assert not torch.allclose(p[0], p[1], atol=1e-3)
    assert model.sample(4, torch.randn(4, 3)).shape == (4, 4)
    with pytest.raises(ValueError, match=r"context of shape \(batch, 3\)"):
        model.log_prob(x)
    with pytest.raises(ValueError, match=r"shape \(16, 3\)"):
        model.log_prob(x, torch.randn(4, 3))
    with pytest.raises(ValueError, match="takes no context"):
        make((2,) * 4).log_prob(x, torch.randn(16, 3))


# Mistakes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": ()}, "hidden"),
        ({"hidden": (4, 0)}, "hidden"),
        ({"activation": "swish"}, "activation must be one of"),
        ({"dropout": 1.0}, "dropout"),
        ({"orderings": "random"}, "natural"),
        ({"orderings": 0}, "a count of at least 1"),
        ({"orderings": [[0, 1]]}, "5 dimensions"),
        ({"orderings": [[0, 1, 2, 3, 3]]}, "permutation"),
        ({"connectivities": 0}, "connectivities"),
        ({"connectivities": "all"}, "connectivities"),
    ],
    ids=str,
)
def test_senseless_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ar.MADE(5, 2, **options)
