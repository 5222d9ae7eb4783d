"""Training starts from the marginals of the data, in every family, and resumes bit for bit."""

import pytest
import torch
from families import FAMILIES

import autoregress as ar
from autoregress.symbols import marginal_logits

MARGINAL = [name for name in FAMILIES if name != "Mixture"]


def skewed(model: ar.AutoregressiveModel, rows: int = 64) -> torch.Tensor:
    """Events in which low levels are much more frequent than high ones."""
    levels = torch.tensor(model.symbols.levels)
    uniform = torch.rand(rows, model.dims, generator=torch.Generator().manual_seed(1))
    return (uniform**4 * levels).long().view(-1, *model.event_shape)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_new_model_is_better_for_it_and_a_trained_one_stays(name, float64):
    model = FAMILIES[name]()
    x = skewed(model)
    context = torch.zeros(len(x), model.context) if model.context else None
    before = ar.evaluate(model, x, context=context).nats
    model.start_from(x)
    after = ar.evaluate(model, x, context=context).nats
    assert after < before
    state = {key: value.clone() for key, value in model.state_dict().items()}
    model.start_from(1 - x.clamp(max=1))
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


def test_a_made_without_weights_gives_the_marginals(float64):
    x = torch.stack([torch.randint(k, (50,)) for k in (2, 5, 3)], 1)
    model = ar.MADE(3, (2, 5, 3), hidden=(4,))
    torch.nn.init.zeros_(model.output.weight)
    model.start_from(x)
    expected = torch.zeros(50)
    for dim, k in enumerate((2, 5, 3)):
        frequencies = (x[:, dim].bincount(minlength=k) + 1) / (50 + k)
        expected += frequencies[x[:, dim]].log()
    torch.testing.assert_close(model.log_prob(x), expected)


def test_logits_of_levels_that_never_occur_are_finite():
    for levels in (2, 7):
        assert marginal_logits(torch.zeros(9), levels).isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("name", MARGINAL)
def test_a_run_resumes_to_the_same_bit(name, tmp_path):
    options = {"batch_size": 16, "lr": 0.01, "quiet": True}

    def trained(run: str, epochs: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        model = FAMILIES[name](context=0)
        ar.fit(model, skewed(model), run=tmp_path / run, max_epochs=epochs, **options)
        return model.state_dict()

    trained("stopped", 2)
    states = [trained("whole", 4), trained("stopped", 4)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_training_may_start_from_nothing():
    model = ar.MADE(4, hidden=(4,))
    x = torch.zeros(8, 4, dtype=torch.int64)
    ar.fit(model, x, max_epochs=1, start="random", lr=1e-9, quiet=True)
    assert model.output.bias is not None
    assert model.output.bias.abs().max() < 1e-6
    ar.fit(model, x, max_epochs=1, quiet=True)
