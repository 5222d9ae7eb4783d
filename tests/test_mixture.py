"""A mixture is the mean of its models' probabilities, whatever they are, and trains each alone."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from autoregress.checks import check_causality, check_faces, check_normalisation
from autoregress.mixture import Mixture, several
from autoregress.model import AutoregressiveModel, Update
from autoregress.networks.made import MADE
from autoregress.networks.pixelcnn import GatedPixelCNN
from autoregress.networks.pixelrnn import RowLSTM
from autoregress.networks.video_transformer import VideoTransformer
from autoregress.storage import load, model_config, save
from autoregress.symbols import Columns
from autoregress.training import fit
from autoregress.training.optimisation import make_average

IMAGE, CLIP = (1, 2, 3), (2, 1, 2, 2)


def rough(model: AutoregressiveModel) -> AutoregressiveModel:
    """With weights that make it far from uniform."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    return model


def of_images(context: int = 0) -> list[AutoregressiveModel]:
    return [
        rough(MADE(IMAGE, hidden=(9,), orderings=2, context=context)),
        rough(GatedPixelCNN(IMAGE, 2, layers=1, features=4, context=context)),
        rough(RowLSTM(IMAGE, 2, layers=1, features=4, context=context)),
    ]


def everything(shape: tuple[int, ...]) -> Tensor:
    return torch.tensor(list(product(range(2), repeat=math.prod(shape)))).view(-1, *shape)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("context", [0, 2])
def test_models_of_several_families(context):
    models = of_images(context)
    mixture = Mixture(models)
    assert len(mixture.members) == 4
    assert check_normalisation(mixture) == pytest.approx(1, abs=1e-12)
    assert check_faces(mixture) < 1e-12
    check_causality(mixture, trials=5)
    x = everything(IMAGE)
    told = torch.randn(len(x), 2) if context else None
    p = torch.stack([model.log_prob(x, told).exp() for model in models])
    torch.testing.assert_close(mixture.log_prob(x, told).exp(), p.mean(0))
    torch.testing.assert_close(
        mixture.surprisal(x, told).flatten(1).sum(1), -mixture.log_prob(x, told)
    )


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    counts=st.lists(st.integers(1, 5), min_size=1, max_size=4), nested=st.booleans(), data=st.data()
)
def test_its_nats_are_at_most_the_mean_of_its_models(counts, nested, data):
    """Models of any numbers of members weigh the same, in any data."""
    models: list[AutoregressiveModel] = [
        rough(MADE(IMAGE, hidden=(4,), orderings=count)).double() for count in counts
    ]
    if nested:
        models.append(Mixture(models[:2]))
    mixture = Mixture(models)
    assert mixture.log_weights.exp().sum().item() == pytest.approx(1)
    assert len(mixture.log_weights) == len(mixture.members)
    assert mixture.log_prob(everything(IMAGE)).exp().sum().item() == pytest.approx(1)
    x = everything(IMAGE)[data.draw(st.lists(st.integers(0, 63), min_size=1, max_size=9))]
    nats = -torch.stack([model.log_prob(x).mean() for model in models])
    assert -mixture.log_prob(x).mean() <= nats.mean() + 1e-12
    joint = mixture.member_log_probs(x) + mixture.log_weights[:, None]
    torch.testing.assert_close(joint.logsumexp(0), mixture.log_prob(x))


@pytest.mark.usefixtures("float64")
def test_it_draws_and_completes_by_its_probabilities():
    generator = torch.Generator().manual_seed(1)
    # One has three members, the other one: they are picked equally often all the same.
    mixture = Mixture([rough(MADE(IMAGE, hidden=(9,), evidence=True, orderings=n)) for n in (3, 1)])
    x = everything(IMAGE)
    p = mixture.log_prob(x).exp()

    def shares(drawn: Tensor) -> Tensor:
        codes = (drawn.flatten(1) * 2 ** torch.arange(5, -1, -1)).sum(1)
        return codes.bincount(minlength=64) / len(drawn)

    drawn = shares(mixture.sample(20_000, generator=generator))
    assert (drawn - p).abs().max() < 0.02

    known = torch.zeros(IMAGE, dtype=torch.bool)
    known[0, 1, 1] = True
    events = torch.ones(20_000, *IMAGE, dtype=torch.int64)
    drawn, log_prob = mixture.complete(events, known, generator=generator, return_log_prob=True)
    # The members are rearranged, so that it is another joint, of which this is the conditional.
    conditional = mixture.conditional_log_prob(x[x[:, 0, 1, 1] == 1], known).exp()
    assert conditional.sum().item() == pytest.approx(1)
    assert (shares(drawn)[x[:, 0, 1, 1] == 1] - conditional).abs().max() < 0.02
    torch.testing.assert_close(log_prob, mixture.conditional_log_prob(drawn, known))


def test_each_model_is_drawn_equally_often():
    """One of three members that knows only ones, and one of a single member that knows zeros."""
    ones, zeros = MADE(2, orderings=3, hidden=(3,)), MADE(2, hidden=(3,))
    with torch.no_grad():
        for model, logit in [(ones, 40), (zeros, -40)]:
            for parameter in model.parameters():
                parameter.zero_()
            model.output.bias.fill_(logit)
    mixture = Mixture([ones, Mixture([zeros, zeros])])
    nothing = torch.zeros(4000, 2, dtype=torch.bool)
    ones.order_agnostic = zeros.order_agnostic = True
    for drawn in (mixture.sample(4000), mixture.complete(nothing.long(), nothing)):
        # Within five standard deviations.
        assert abs(drawn[:, 0].double().mean().item() - 0.5) < 5 * 0.5 / math.sqrt(4000)
        assert torch.equal(drawn[:, 0], drawn[:, 1])


@pytest.mark.usefixtures("float64")
def test_each_model_says_what_it_can_be_given():
    clips = [
        rough(
            VideoTransformer(
                CLIP,
                2,
                subscale=(1, 2, 2),
                width=8,
                embedding=4,
                heads=(1,),
                head_width=4,
                encoder_layers=1,
                decoder_layers=1,
                blocks=((2, 1, 1),),
                priming=(0, 1),
            )
        )
        for _ in range(2)
    ]
    mixture = Mixture(clips)
    known = torch.arange(2).view(2, 1, 1, 1).expand(CLIP) == 0
    x = everything(CLIP)
    first = x[:, 0].flatten(1).sum(1) == 0
    assert mixture.conditional_log_prob(x[first], known).exp().sum().item() == pytest.approx(1)
    with pytest.raises(ValueError, match="the first 0 or 1 frames"):
        mixture.complete(x, ~known)
    with pytest.raises(ValueError, match="fixed order"):
        Mixture(of_images()).complete(everything(IMAGE), everything(IMAGE)[5] == 1)


def test_each_is_trained_as_it_would_be_alone():
    x = torch.randint(0, 2, (32, 6))
    models = [MADE(6, hidden=(8,), orderings=3, dropout=0.5) for _ in range(2)]
    mixture = Mixture(models)
    for step in range(8):
        turn, which = divmod(step, 2)
        torch.manual_seed(step)
        expected = models[which].objective(x, update=Update(turn))
        torch.manual_seed(step)
        assert torch.equal(mixture.objective(x, update=Update(step)), expected)
        mixture.zero_grad()
        mixture.objective(x, update=Update(step)).sum().backward()
        touched = [any(p.grad is not None for p in m.parameters()) for m in models]
        assert touched == [which == 0, which == 1]


def test_weights_are_averaged_at_their_models_pace():
    model = Mixture([MADE(6, hidden=(8,)) for _ in range(2)])
    average, optimiser = make_average(model, 0.5), torch.optim.SGD(model.parameters(), lr=0.1)
    assert average is not None
    expected = [[p.detach().clone() for p in each.parameters()] for each in model.models.values()]
    for step in range(30):
        optimiser.zero_grad()
        model.objective(torch.randint(0, 2, (4, 6)), update=Update(step)).sum().backward()
        optimiser.step()
        average.update_parameters(model)
        decay = min(0.5, (1 + step) / (10 + step)) if step else 0.0
        own = list(model.models.values())[step % 2].parameters()
        for mean, p in zip(expected[step % 2], own, strict=True):
            mean.lerp_(p.detach(), 1 - decay)
    for own, mean in zip(average.module.parameters(), [*expected[0], *expected[1]], strict=True):
        torch.testing.assert_close(own, mean)


def test_a_run_goes_on_and_comes_back(tmp_path):
    x = torch.randint(0, 2, (40, 6))

    def run(folder: str, *epochs: int) -> AutoregressiveModel:
        torch.manual_seed(0)
        model = several(3, lambda: MADE(6, hidden=(8,), orderings=2))
        for limit in epochs:
            fit(model, x, valid=x, run=tmp_path / folder, max_epochs=limit, quiet=True, ema=0.9)
        return model

    whole, parts = run("a", 4), run("b", 2, 4)
    assert torch.equal(whole.log_prob(x), parts.log_prob(x))
    assert torch.equal(load(tmp_path / "a").log_prob(x), whole.log_prob(x))


def test_it_is_saved_with_its_models(tmp_path):
    columns = Columns(("a", "b"), (("x", "y"), ("1", "2", "3")))
    inner = [MADE(2, columns.levels, hidden=(n,), columns=columns) for n in (3, 4)]
    mixture = Mixture([Mixture(inner), MADE(2, columns.levels, hidden=(5,), columns=columns)])
    save(mixture, tmp_path)
    back = load(tmp_path)
    assert isinstance(back, Mixture)
    assert model_config(back) == model_config(mixture)
    assert Mixture([mixture, back]).options["models"] == ["Mixture", "Mixture"]
    assert back.symbols.columns == columns
    x = torch.tensor([[0, 2], [1, 1]])
    assert torch.equal(back.log_prob(x), mixture.log_prob(x))


def test_models_that_do_not_belong_together():
    with pytest.raises(ValueError, match="at least one"):
        Mixture([])
    with pytest.raises(ValueError, match=r"event shape: \(3,\) and \(1, 3\)"):
        Mixture([MADE(3), MADE((1, 3))])
    with pytest.raises(ValueError, match="levels: 2 and 3"):
        Mixture([MADE(3), MADE(3, 3)])
    with pytest.raises(ValueError, match="context: 0 and 1"):
        Mixture([MADE(3), MADE(3, context=1)])
    with pytest.raises(ValueError, match="models must be at least 1"):
        several(0, lambda: MADE(3))
