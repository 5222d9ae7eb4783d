"""Ordered levels: exact mass, both faces, causality with a predictor, drawing and coding."""

import math
from itertools import permutations, product
from typing import Any

import pytest
import torch
from conftest import all_states
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2
from torch import nn

import autoregress as ar
from autoregress.conditionals import Logistics
from autoregress.networks import made
from autoregress.networks.video_transformer.past import PastOfSlices
from autoregress.networks.video_transformer.subscale import Subscaling
from autoregress.predictors import median, nearby_maps, past_at, predict_maps
from autoregress.symbols import Symbols

FAMILIES = [ar.PixelCNN, ar.GatedPixelCNN, ar.RowLSTM, ar.DiagonalBiLSTM]
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)

KINDS: dict[str, dict[str, Any]] = {
    "grey": {"event_shape": (1, 2, 3), "symbols": 4},
    "colour": {"event_shape": (3, 1, 2), "symbols": 3},
    "two channels": {"event_shape": (2, 2, 1), "symbols": 5, "mixture": 1},
    "no predictor": {"event_shape": (2, 1, 3), "symbols": 3, "predictor": "none"},
    "scales": {"event_shape": (1, 2, 3), "symbols": 4, "scales": (2,)},
    "everything": {"event_shape": (2, 3, 1), "symbols": 3, "scales": (2,), "context": 2},
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


def make(family, **options):
    """A model with weights large enough for the dependences to matter."""
    model = family(**{"layers": 2, "features": 6, "mixture": 3, **options})
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=1 / math.sqrt(max(parameter[0].numel(), 4)))
    return model


def logistics(levels, *, batch=4, mixture=5, size=1.0, dtype=torch.float64, seed=0):
    """Means as far as ``size`` times the levels, and scales from a thousandth to thousands."""
    generator = torch.Generator().manual_seed(seed)
    weights, means, scales = torch.randn(3, batch, mixture, generator=generator, dtype=dtype)
    centre = torch.randint(levels, (batch,), generator=generator)
    return Logistics(3 * weights, size * levels * means, 7 * scales, centre, levels)


# The conditional


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0.01, 1.0, 1e4, 1e30])
@pytest.mark.parametrize("levels", [2, 3, 17, 255, 256, 1000, 65536])
def test_the_mass_of_all_levels_is_one(levels, size, dtype):
    conditional = logistics(levels, size=size, dtype=dtype)
    table = conditional.table()
    assert table.dtype == torch.float64
    assert (table.sum(-1) - 1).abs().max() < 1e-10
    assert (table * levels >= 2.0**-12 * (1 - 1e-6)).all()
    # What float32 gives of single levels is the same to its precision, in the far tails too.
    x = torch.randint(levels, (50, 4))
    log_prob = conditional.log_prob(x)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-6
    picked = table.expand(50, -1, -1).gather(-1, x.unsqueeze(-1)).squeeze(-1).log()
    torch.testing.assert_close(log_prob.double(), picked, rtol=0, atol=tolerance)
    assert (log_prob <= 0).all()


@given(
    levels=st.integers(2, 300),
    mean=st.floats(-1e6, 1e6),
    log_scale=st.floats(-50, 50),
    seed=st.integers(0, 99),
)
def test_a_mass_is_the_difference_of_the_distribution_function(levels, mean, log_scale, seed):
    conditional = logistics(levels, batch=1, mixture=2, seed=seed)
    means = torch.tensor([[mean, 0.0]], dtype=torch.float64)
    scales = torch.tensor([[log_scale, 0.0]], dtype=torch.float64)
    conditional = Logistics(
        conditional.weights, means, scales, conditional.centre, conditional.levels
    )
    every = torch.arange(levels)
    function = conditional.cdf(every)[0]
    each = torch.cat([conditional.log_prob(level) for level in every]).exp()
    torch.testing.assert_close(function, each.cumsum(0), rtol=0, atol=1e-12)
    assert float(function[-1]) == 1
    assert float(conditional.cdf(torch.tensor([-1]))) == 0


def test_gradients_are_finite_and_point_to_the_symbol():
    x = torch.tensor([0, 255, 255, 40, 0, 255, 90])
    weights = torch.zeros(7, 1)
    means = torch.tensor([200.0, -200, 1e20, 0, 20, -20, 3])[:, None].requires_grad_()
    log_scales = torch.tensor([1.0, -30, 60, 100, 3, 3, 2])[:, None].requires_grad_()
    conditional = Logistics(weights, means, log_scales, torch.full((7,), 128), 256)
    conditional.log_prob(x).sum().backward()
    assert means.grad is not None
    assert log_scales.grad is not None
    assert means.grad.isfinite().all()
    assert log_scales.grad.isfinite().all()
    assert means.grad[4] < 0 < means.grad[5]
    assert means.grad[6] < 0 < log_scales.grad[6]


@pytest.mark.parametrize("levels", [2, 3, 16, 17, 256, 1000])
def test_two_digits_are_the_same_distribution(levels):
    conditional = logistics(levels)
    digits = conditional.digits()
    assert digits.base + digits.coarse.shape[-1] <= 2 * math.sqrt(levels) + 2
    blocks = range(digits.coarse.shape[-1])
    fine = [digits.fine(torch.full((4,), block)) for block in blocks]
    table = torch.cat([digits.coarse[:, [b]] * fine[b] for b in blocks], -1)
    torch.testing.assert_close(table[:, :levels], conditional.table())
    assert not table[:, levels:].any()


@pytest.mark.parametrize("levels", [2, 7, 300])
def test_draws_follow_the_table(levels):
    count = 40_000
    conditional = logistics(levels, batch=1, mixture=3, size=0.2, seed=levels)
    weights, means, log_scales = (
        each.expand(count, -1)
        for each in (conditional.weights, conditional.means, conditional.log_scales)
    )
    many = Logistics(weights, means, log_scales, conditional.centre.expand(count), levels)
    draws = many.sample(torch.Generator().manual_seed(1))
    expected = count * conditional.table()[0]
    seen = draws.bincount(minlength=levels).double()
    often = expected >= 5
    seen, expected = (
        torch.cat([each[often], each[~often].sum(0, keepdim=True)]) for each in (seen, expected)
    )
    statistic = ((seen - expected).square() / expected.clamp(min=1e-9)).sum()
    assert statistic < chi2.ppf(1 - 1e-4, len(seen) - 1)


def test_a_temperature_is_a_power_of_the_probabilities():
    conditional = logistics(20)
    power = conditional.table() ** 2
    expected = power / power.sum(-1, keepdim=True)
    torch.testing.assert_close(conditional.tempered(0.5).table(), expected)


# The prediction


def test_the_prediction_is_that_of_loco_i():
    assert median(*torch.tensor([[10], [20], [5]])) == 20
    assert median(*torch.tensor([[10], [20], [30]])) == 10
    assert median(*torch.tensor([[10], [20], [12]])) == 18
    west, north, northwest = torch.randint(256, (3, 1000))
    three = torch.stack([west, north, west + north - northwest])
    assert torch.equal(median(west, north, northwest), three.median(0).values)


def test_both_faces_predict_the_same_and_from_the_past_alone():
    x = torch.randint(256, (3, 2, 5, 4))
    prediction = predict_maps(x, 256)
    nearby = nearby_maps(x, prediction)
    for row in range(5):
        for column in range(4):
            past = x.clone()
            past[..., row, column:] = -999
            past[..., row + 1 :, :] = -999
            own, differences = past_at(past, row, column, 256)
            assert torch.equal(own, prediction[..., row, column])
            assert torch.equal(differences, nearby[..., row, column, :])
    assert ((prediction >= 0) & (prediction < 256)).all()
    assert (nearby.abs() < 256).all()
    assert nearby.flatten(0, -2).any(0).all()


# The models


def test_periods_are_given_for_each_dimension():
    with pytest.raises(ValueError, match="1 entries for 3 dimensions; give one for each"):
        ar.MADE(3, 20, ordered=True, periods=((7.0,),))


@every_family
@every_kind
def test_the_probabilities_of_all_images_sum_to_one(family, kind, float64):
    ar.check_normalisation(make(family, **kind))


@every_family
@every_kind
def test_the_two_faces_agree(family, kind, float64):
    ar.check_faces(make(family, **kind))


@every_family
def test_the_two_faces_agree_on_deep_colour_in_float32(family):
    ar.check_faces(make(family, event_shape=(3, 4, 5), symbols=65536), rows=4)


@every_family
@pytest.mark.parametrize("kind", [{"scales": ()}, {"scales": (2,), "context": 2}], ids=str)
def test_a_symbol_depends_on_what_is_before_it_and_on_nothing_else(family, kind, float64):
    """On all of it, as far as the layers reach."""
    torch.manual_seed(1)
    model = make(family, event_shape=(3, 3, 3), symbols=16, features=12, **kind)
    causality = ar.check_causality(model)
    if family is not ar.PixelCNN and not kind["scales"]:
        assert not causality.absent or family is ar.DiagonalBiLSTM


def test_a_channel_sees_the_channels_before_it_of_its_own_pixel(float64):
    model = make(ar.GatedPixelCNN, event_shape=(3, 1, 1), symbols=9)
    assert ar.check_causality(model).absent == ()


@every_family
def test_samples_follow_the_probabilities(family, float64):
    model = make(family, event_shape=(2, 2, 1), symbols=3)
    states = all_states(model.symbols.levels)
    probability = model.log_prob(states.view(-1, 2, 2, 1)).detach().exp()
    count = 20_000
    x = model.sample(count, generator=torch.Generator().manual_seed(0)).flatten(1)
    index = (x * 3 ** torch.arange(3, -1, -1)).sum(1)
    expected = count * probability
    statistic = ((index.bincount(minlength=81) - expected).square() / expected).sum()
    assert statistic < chi2.ppf(1 - 1e-6, 80)


@pytest.mark.slow
@every_family
def test_files_of_ordered_levels_are_as_long_as_the_model_says(family):
    model = make(family, event_shape=(3, 8, 8), symbols=256)
    x = torch.cat([model.sample(9), torch.randint(256, (3, 3, 8, 8))])
    content = ar.encode(model, x)
    assert torch.equal(ar.decode(model, content), x)
    bits = -model.log_prob(x).sum().item() / math.log(2)
    assert bits - 1 <= 8 * len(content) <= 1.001 * bits + 8 * 80


@every_family
def test_an_ordered_model_is_saved_whole(family, tmp_path):
    options = {"event_shape": (3, 2, 2), "symbols": 9, "predictor": "none", "mixture": 2}
    model = make(family, **options)
    ar.save(model, tmp_path)
    other = ar.load(tmp_path)
    x = torch.randint(9, (3, 3, 2, 2))
    assert torch.equal(model.log_prob(x), other.log_prob(x))
    assert other.symbols.ordered == (True,) * 12


def test_bits_have_no_order_that_matters():
    assert Symbols((3,), (2, 5, 2), ordered=True).ordered == (False, True, False)
    assert Symbols((2,), 5, ordered=[True, False]).ordered == (True, False)
    assert Symbols((2,), 5).ordered == (False, False)
    torch.manual_seed(0)
    one = ar.PixelCNN((1, 2, 2), 2, layers=1, features=4)
    torch.manual_seed(0)
    other = ar.PixelCNN((1, 2, 2), 2, layers=1, features=4, ordered=False)
    x = torch.randint(2, (3, 1, 2, 2))
    assert torch.equal(one.log_prob(x), other.log_prob(x))


# Start from the data


def images(levels, count=40):
    """Smooth ones, so that a prediction is worth something; darker in one channel."""
    steps = torch.randint(-1, 2, (count, 1, 6, 6))
    first = torch.randint(levels // 2, (count, 1, 1, 1))
    x = first + steps.cumsum(-1) + torch.randint(2, (count, 2, 6, 6))
    return (x + torch.tensor([0, levels // 4])[:, None, None]).clamp(0, levels - 1)


def frequencies(x, levels):
    """Nats of an image if each channel had its own distribution and pixels were independent."""
    nats = 0.0
    for channel in x.unbind(1):
        share = channel.flatten().bincount(minlength=levels).double() / channel.numel()
        nats -= float(torch.special.xlogy(share, share).sum()) * channel[0].numel()
    return nats


@pytest.mark.parametrize("family", [ar.GatedPixelCNN, ar.RowLSTM], ids=lambda f: f.__name__)
@pytest.mark.parametrize("scales", [(), (2,)], ids=str)
def test_a_model_that_starts_from_the_data_is_no_worse_than_its_marginals(family, scales):
    x = images(64)
    marginals = frequencies(x, 64)
    for ordered, most in ((True, 0.7 * marginals), (False, 1.05 * marginals)):
        model = family((2, 6, 6), 64, layers=1, features=6, ordered=ordered, scales=scales)
        before = ar.evaluate(model, x).nats
        model.start_from(x)
        after = ar.evaluate(model, x).nats
        assert after < min(before, most)
        state = {k: v.clone() for k, v in model.state_dict().items()}
        model.start_from(images(64))  # it has started
        assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


def test_bits_start_from_their_odds():
    x = (torch.rand(500, 3, 4, 4) < torch.tensor([0.1, 0.5, 0.97])[:, None, None]).long()
    model = ar.PixelCNN((3, 4, 4), 2, layers=1, features=6)
    model.start_from(x)
    ones, zeros = x.sum((0, 2, 3)) + 1, (1 - x).sum((0, 2, 3)) + 1
    bias: Any = model.networks[0].bias
    torch.testing.assert_close(bias.data, (ones / zeros).log())


@pytest.mark.slow
def test_a_run_that_was_cut_off_goes_on_from_the_same_start(tmp_path):
    x = images(16)
    options: dict[str, Any] = {"quiet": True, "batch_size": 10, "lr": 1e-2, "ema": 0.9}

    def fresh():
        torch.manual_seed(0)
        return ar.GatedPixelCNN((2, 6, 6), 16, layers=1, features=4, mixture=2)

    whole, parts, random = fresh(), fresh(), fresh()
    ar.fit(whole, x, max_epochs=4, **options)
    ar.fit(parts, x, max_epochs=2, run=tmp_path, **options)
    resumed = fresh()
    ar.fit(resumed, x, max_epochs=4, run=tmp_path, **options)
    ar.fit(random, x, max_epochs=4, start="random", **options)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])
    assert ar.evaluate(whole, x).nats < ar.evaluate(random, x).nats


@pytest.mark.slow
@every_family
def test_training_in_bfloat16_learns_ordered_levels(family):
    x = images(64)
    model = family((2, 6, 6), 64, layers=1, features=8)
    model.start_from(x)
    before = ar.evaluate(model, x).nats
    ar.fit(model, x, quiet=True, max_epochs=10, batch_size=10, lr=5e-3, precision="bfloat16")
    assert ar.evaluate(model, x).nats < before - 5


# Clips

CLIPS: dict[str, dict[str, Any]] = {
    "frames": {"event_shape": (3, 1, 1, 2), "symbols": 4, "subscale": (3, 1, 1)},
    "one slice": {"event_shape": (2, 1, 2, 2), "symbols": 3, "subscale": (1, 1, 1)},
    "colour": {"event_shape": (2, 3, 1, 1), "symbols": 4, "subscale": (2, 1, 1), "context": 2},
    "slices": {"event_shape": (2, 1, 2, 2), "symbols": 3, "subscale": (2, 2, 2)},
    "few logistics": {"event_shape": (2, 2, 1, 2), "symbols": 3, "mixture": 2},
    "no predictor": {"event_shape": (2, 2, 1, 2), "symbols": 3, "predictor": "none"},
}
every_clip = pytest.mark.parametrize("kind", CLIPS.values(), ids=CLIPS.keys())


def make_clips(**options):
    """A model with weights large enough for the dependences to matter."""
    small = {"width": 8, "embedding": 6, "head_width": 4, "encoder_layers": 1, "decoder_layers": 1}
    small |= {"heads": 2, "blocks": ((9, 9, 9),), "subscale": (2, 1, 1), "mixture": 4}
    shape = options.pop("event_shape")
    model = ar.VideoTransformer(shape, priming=range(shape[0]), **{**small, **options})
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=1 / math.sqrt(max(parameter[0].numel(), 4)))
    return model


@pytest.mark.parametrize("factors", [(1, 1, 1), (4, 1, 1), (2, 2, 1), (2, 2, 2)], ids=str)
def test_both_faces_predict_a_clip_the_same_and_from_the_past_alone(factors):
    past = PastOfSlices(Subscaling((4, 2, 4, 4), factors), 256, "several")
    index = torch.arange(4 * 2 * 4 * 4).view(1, 4, 2, 4, 4)
    x = torch.randint(256, (3, 4, 2, 4, 4))
    order, used = past.subscaling.split(index)[0], set()
    for frames in range(4):
        seen = torch.full((3, 4, 2, 4, 4), -999)
        seen[:, :frames] = x[:, :frames]
        for number, own in enumerate(order):
            numbers, known = torch.full((3,), number), torch.full((3,), frames)
            whole, places = past(x, numbers, known), past.places(numbers[:1], known[:1])
            t, h, w = past.subscaling.grid
            for place in product(range(t), range(h), range(w)):
                each = past.at(seen, place, places)
                here = (slice(None), *place)
                assert torch.equal(each.predictions, whole.predictions[here])
                assert torch.equal(each.nearby, whole.nearby[here])
                used.update(each.nearby.flatten(0, -2).any(0).nonzero().flatten().tolist())
                pixel = own[place[0], :, place[1], place[2]]
                seen.flatten(1)[:, pixel] = x.flatten(1)[:, pixel]
            assert ((whole.predictions >= 0) & (whole.predictions < 256)).all()
    # The others are on the far side of the pixel's own slice, or relative to themselves.
    assert len(used) >= len(past.nearby) - 1


def test_a_clip_without_change_is_predicted_exactly():
    past = PastOfSlices(Subscaling((4, 1, 3, 5), (4, 1, 1)), 256, "several")
    still = torch.randint(256, (2, 1, 1, 3, 5)).expand(2, 4, 1, 3, 5)
    brighter = still // 2 + 9 * torch.arange(4).view(4, 1, 1, 1)
    for number in range(1, 4):
        slices, frames = torch.full((2,), number), torch.zeros(2, dtype=torch.long)
        _, before, moving, _ = past(still, slices, frames).predictions.unbind(-1)
        assert torch.equal(before.movedim(-1, 2), still[:, :1])
        assert torch.equal(moving, before)
        moving = past(brighter, slices, frames).predictions[..., 2].movedim(-1, 2)
        assert torch.equal(moving.flatten(1)[:, 1:], brighter[:, number].flatten(1)[:, 1:])


@every_clip
def test_the_probabilities_of_all_clips_sum_to_one(kind, float64):
    ar.check_normalisation(make_clips(**kind))


@every_clip
def test_the_two_faces_of_a_clip_agree(kind, float64):
    ar.check_faces(make_clips(**kind))


def test_the_two_faces_agree_on_deep_clips_in_float32():
    ar.check_faces(make_clips(event_shape=(4, 3, 4, 4), symbols=65536, subscale=(2, 2, 2)), rows=4)


@pytest.mark.parametrize("predictor", ["several", "none"])
@pytest.mark.parametrize("factors", [(1, 1, 1), (3, 1, 1), (1, 2, 2), (3, 2, 1)], ids=str)
def test_a_symbol_of_a_clip_depends_on_what_is_before_it_and_on_nothing_else(
    factors, predictor, float64
):
    torch.manual_seed(1)
    options = {"event_shape": (3, 2, 2, 2), "symbols": 16, "kernel": (5, 3, 3)}
    model = make_clips(**options, subscale=factors, predictor=predictor, mixture=6)
    assert not ar.check_causality(model).absent


@pytest.mark.parametrize("factors", [(3, 1, 1), (1, 1, 2), (3, 1, 2)], ids=str)
@torch.no_grad()
def test_the_rest_of_an_ordered_clip_has_mass_one_given_its_first_frames(factors, float64):
    model = make_clips(event_shape=(3, 1, 1, 2), symbols=3, subscale=factors)
    states = all_states((3,) * 6).view(-1, *model.event_shape)
    for frames in (1, 2):
        known = torch.zeros(model.event_shape, dtype=torch.bool)
        known[:frames] = True
        agrees = (states == states[500])[:, known].all(1)
        mass = model.conditional_log_prob(states[agrees], known).exp().sum()
        assert abs(float(mass) - 1) < 1e-10
        x, drawn = model.complete(states[:9], known, return_log_prob=True)
        torch.testing.assert_close(drawn, model.conditional_log_prob(x, known))


def test_clips_follow_the_probabilities(float64):
    model = make_clips(**CLIPS["frames"])
    states = all_states(model.symbols.levels)
    expected = 20_000 * model.log_prob(states.view(-1, *model.event_shape)).detach().exp()
    x = model.sample(20_000, generator=torch.Generator().manual_seed(0)).flatten(1)
    seen = (x * 4 ** torch.arange(5, -1, -1)).sum(1).bincount(minlength=len(expected)).double()
    often = expected >= 5
    seen, expected = (
        torch.cat([each[often], each[~often].sum(0, keepdim=True)]) for each in (seen, expected)
    )
    statistic = ((seen - expected).square() / expected.clamp(min=1e-9)).sum()
    assert statistic < chi2.ppf(1 - 1e-6, len(expected) - 1)


@pytest.mark.slow
@pytest.mark.parametrize("symbols", [256, 65536])
def test_files_of_ordered_clips_are_as_long_as_the_model_says(symbols):
    model = make_clips(event_shape=(3, 3, 4, 4), symbols=symbols, subscale=(3, 1, 1))
    x = torch.cat([model.sample(9), torch.randint(symbols, (3, 3, 3, 4, 4))])
    content = ar.encode(model, x)
    assert torch.equal(ar.decode(model, content), x)
    bits = -model.log_prob(x).sum().item() / math.log(2)
    assert bits - 1 <= 8 * len(content) <= 1.001 * bits + 8 * 80


def clips(levels, count=40):
    """Images that drift, in two channels."""
    x = images(levels, count).unsqueeze(1) + torch.randint(-1, 2, (count, 4, 1, 1, 1)).cumsum(1)
    return (x + torch.randint(2, x.shape)).clamp(0, levels - 1)


@pytest.mark.slow
def test_an_ordered_video_transformer_starts_from_residuals_and_learns():
    x = clips(64)
    options: dict[str, Any] = {"width": 16, "heads": 1, "head_width": 8, "priming": (0, 1)}
    options |= {"encoder_layers": 1, "decoder_layers": 1, "subscale": (4, 1, 1), "mixture": 6}
    model = ar.VideoTransformer((4, 2, 6, 6), 64, blocks=((1, 6, 6),), **options)
    model.start_from(x)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    before = ar.evaluate(model, x).nats
    alike = frequencies(x.movedim(2, 1), 64)
    assert before < 0.7 * alike
    model.start_from(clips(64))  # it has started
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    ar.fit(model, x, quiet=True, max_epochs=10, batch_size=10, lr=5e-3, precision="bfloat16")
    assert ar.evaluate(model, x).nats < before - 20


def test_an_ordered_video_transformer_is_saved_whole(tmp_path):
    model = make_clips(event_shape=(2, 3, 2, 2), symbols=9, mixture=2, subscale=(1, 2, 1))
    ar.save(model, tmp_path)
    x = torch.randint(9, (3, 2, 3, 2, 2))
    assert torch.equal(model.log_prob(x), ar.load(tmp_path).log_prob(x))


# Tables

MADES: dict[str, dict[str, Any]] = {
    "numbers": {"symbols": (3, 5, 4), "ordered": True},
    "mixed": {"symbols": (2, 5, 3, 2, 4), "ordered": (False, True, False, False, True)},
    "one": {"symbols": (6,), "ordered": True, "mixture": 1},
    "everything": {
        "symbols": (4, 2, 3, 5),
        "ordered": (True, False, False, True),
        "periods": ((2.5, 4.0), (), (), (3.0,)),
        "hidden": (8, 5, 6),
        "residual": True,
        "norm": True,
        "conditioning": True,
        "direct": True,
        "orderings": 3,
        "connectivities": 2,
        "context": 2,
    },
    "any": {"symbols": (4, 3, 4), "ordered": (True, False, True), "orderings": "any"},
}
every_made = pytest.mark.parametrize("kind", MADES.values(), ids=MADES.keys())


def make_made(**options):
    options = {"hidden": (8, 6), "mixture": 3, **options}
    model = ar.MADE(len(options["symbols"]), options.pop("symbols"), **options)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


@every_made
def test_the_probabilities_of_all_rows_sum_to_one(kind, float64):
    model = make_made(**kind)
    ar.check_normalisation(model)
    for visit in permutations(range(model.dims)):
        if not model.context:
            ar.check_normalisation(model.ensemble([visit]))


@every_made
@pytest.mark.parametrize("block", [1, 32])
def test_the_two_faces_of_a_made_agree(kind, block, float64, monkeypatch):
    monkeypatch.setattr(made, "UNROLL_BLOCK", block)
    ar.check_faces(make_made(**kind))


def test_the_two_faces_of_a_made_agree_on_65536_levels_in_float32():
    levels = (65536, 2, 40, 65536, 3) * 8
    model = make_made(symbols=levels, ordered=(True, False, False, True, False) * 8, direct=True)
    ar.check_faces(model, rows=4)


@every_made
def test_a_column_depends_on_those_before_it_and_on_nothing_else(kind, float64):
    torch.manual_seed(1)
    assert not ar.check_causality(make_made(**{**kind, "direct": True})).absent


@pytest.mark.slow
@pytest.mark.parametrize("over", [{"orderings": "any"}, {"evidence": True}], ids=str)
@torch.no_grad()
def test_any_columns_of_numbers_complete_the_others(over, float64):
    model = make_made(**MADES["mixed"] | over)
    x = model.sample(40)
    states = all_states(model.symbols.levels)
    for known in all_states((2,) * 5).bool():
        out, log_prob = model.complete(x, known, return_log_prob=True)
        assert torch.equal(out[:, known], x[:, known])
        torch.testing.assert_close(log_prob, model.conditional_log_prob(out, known))
        agrees = (states[:, known] == x[0, known]).all(1)
        mass = model.conditional_log_prob(states[agrees], known).exp().sum()
        assert abs(float(mass) - 1) < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("orderings", ["natural", "any"])
def test_rows_of_65536_levels_are_as_long_as_the_model_says(orderings):
    levels = (65536, 2, 300, 7) * 10
    model = make_made(symbols=levels, ordered=(True, False, True, False) * 10, orderings=orderings)
    x = model.sample(50)
    content = ar.encode(model, x)
    assert torch.equal(ar.decode(model, content), x)
    bits = -model.log_prob(x).sum().item() / math.log(2)
    # The header names the kinds of all columns.
    framed = 8 * (64 + 4 * model.dims)
    assert 8 * len(content) <= 1.001 * bits + framed + 100 * len(model.members)


def test_rows_of_numbers_follow_the_probabilities(float64):
    model = make_made(**MADES["mixed"] | {"orderings": 2})
    levels, count = model.symbols.levels, 20_000
    expected = count * model.log_prob(all_states(levels)).detach().exp()
    x = model.sample(count, generator=torch.Generator().manual_seed(0))
    places = torch.tensor([math.prod(levels[dim + 1 :]) for dim in range(len(levels))])
    seen = (x * places).sum(1).bincount(minlength=len(expected))
    often = expected >= 5
    seen, expected = (
        torch.cat([each[often], each[~often].sum(0, keepdim=True)]) for each in (seen, expected)
    )
    statistic = ((seen - expected).square() / expected.clamp(min=1e-9)).sum()
    assert statistic < chi2.ppf(1 - 1e-6, len(expected) - 1)


def columns_of_numbers(count):
    """Skewed, of two peaks, with most rows at an end, and constant; and one of categories."""
    normal = torch.randn(count, 4)
    peaks = 60 * torch.randint(2, (count,)) + 90
    x = torch.stack(
        [20 * normal[:, 0].exp(), peaks + 3 * normal[:, 1], 300 * normal[:, 2], 0 * normal[:, 3]], 1
    )
    return torch.cat([x.round().clamp(0, 255).long(), torch.randint(3, (count, 1))], 1)


def test_a_new_made_has_about_the_marginals_of_numbers():
    x = columns_of_numbers(1000)
    model = ar.MADE(5, (256,) * 4 + (3,), ordered=(True,) * 4 + (False,), hidden=(20,), direct=True)
    model.start_from(x)
    surprisal = model.surprisal(x).mean(0)
    for dim in range(5):
        share = x[:, dim].bincount().double() / len(x)
        entropy = torch.special.entr(share).sum()
        assert surprisal[dim] < entropy + 0.25


@pytest.mark.slow
def test_numbers_with_neighbours_are_learnt_from_few_rows():
    def rows(count):
        first = 128 + 30 * torch.randn(count)
        x = torch.stack([first, first + 5 * torch.randn(count)], 1)
        return x.round().clamp(0, 255).long()

    train, test = rows(200), rows(500)
    nats = {}
    for ordered in (False, True):
        model = ar.MADE(2, 256, hidden=(50,), ordered=ordered, direct=True)
        ar.fit(model, train, quiet=True, max_epochs=20, batch_size=20, lr=3e-3)
        nats[ordered] = ar.evaluate(model, test).nats
    independent = 2 * math.log(30) + math.log(2 * math.pi * math.e)
    assert nats[True] < independent - 1 < nats[False]


def test_a_made_of_numbers_is_saved_whole(tmp_path):
    model = make_made(**MADES["everything"])
    ar.save(model, tmp_path)
    other = ar.load(tmp_path)
    assert other.symbols.ordered == (True, False, False, True)
    x, context = model.sample(5, torch.randn(5, 2)), torch.randn(5, 2)
    assert torch.equal(model.log_prob(x, context), other.log_prob(x, context))
