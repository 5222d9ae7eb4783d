"""The Video Transformer against its definition, and against all states of tiny clips."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from conftest import all_states
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from torch import Tensor
from torch.nn import functional as F

import autoregress as ar
from autoregress.conditionals import Categorical, CoarseToFine, Stacked
from autoregress.networks.video_transformer import VideoTransformer
from autoregress.networks.video_transformer.attention import BlockLayer, from_blocks, to_blocks
from autoregress.networks.video_transformer.model import PrimedMember
from autoregress.networks.video_transformer.subscale import Subscaling
from autoregress.networks.video_transformer.windows import DigitWindows

pytestmark = pytest.mark.usefixtures("float64")

SMALL: dict[str, Any] = {
    "width": 8,
    "embedding": 6,
    "heads": (1, 2),
    "head_width": 4,
    "encoder_layers": 2,
    "decoder_layers": 2,
}
# Every kind of subscaling, of clips of 8 bits.
SUBSCALINGS = {
    "none": (1, 1, 1),
    "temporal": (2, 1, 1),
    "spatial": (1, 2, 2),
    "rows": (1, 2, 1),
    "spatiotemporal": (2, 2, 2),
}
WHOLE = [(9, 9, 9)]  # a block as large as any slice here


def make(shape, symbols=2, *, given=0, **options) -> VideoTransformer:
    """A model of the paper's, with weights large enough for the dependences to matter.

    With ``given`` known frames it is the primed member that is measured, as if it were its own.
    """
    options = {"blocks": WHOLE, "priming": range(shape[0]), "ordered": False} | SMALL | options
    model = (Primed if given else VideoTransformer)(shape, symbols, **options)
    if isinstance(model, Primed):
        model.given = given
    for name, parameter in model.named_parameters():
        if "bias.axes" in name or "channels.logits" in name:
            torch.nn.init.normal_(parameter)
        elif not parameter.any():
            torch.nn.init.normal_(parameter, std=0.3)
    return model


class Primed(VideoTransformer):
    given = 1

    @property
    def members(self) -> list[PrimedMember]:
        return [self._member(self.given)]


# Subscaling


@given(st.tuples(*[st.integers(1, 3)] * 3), st.tuples(*[st.integers(1, 3)] * 3), st.integers(1, 3))
def test_a_slice_is_every_so_many_th_pixel_and_slices_make_up_the_clip(grid, factors, channels):
    t, h, w = (n * s for n, s in zip(grid, factors, strict=True))
    subscaling = Subscaling((t, channels, h, w), factors)
    clips = torch.randint(99, (2, t, channels, h, w))
    slices = subscaling.split(clips)
    assert slices.shape == (2, math.prod(factors), grid[0], channels, *grid[1:])
    assert torch.equal(subscaling.weave(slices), clips)
    for number, (a, b, c) in enumerate(itertools.product(*map(range, factors))):
        own = clips[:, a :: factors[0], :, b :: factors[1], c :: factors[2]]
        assert torch.equal(slices[:, number], own)

    index = torch.arange(t * channels * h * w).view(1, t, channels, h, w)
    visited = subscaling.split(index).movedim(3, -1).flatten()
    ordering = ar.Ordering.subscale((t, channels, h, w), factors)
    assert torch.equal(ordering.visit, visited)
    if factors == (1, 1, 1):
        assert ordering == ar.Ordering.raster((t, channels, h, w))


@settings(deadline=None, max_examples=30)
@given(
    factors=st.tuples(*[st.integers(1, 3)] * 3),
    kernel=st.tuples(*[st.sampled_from([1, 3, 5])] * 3),
    frames=st.integers(0, 3),
    levels=st.sampled_from([2, 3]),
    data=st.data(),
)
def test_the_encoder_s_convolution_is_one_over_one_hots_of_what_is_known(
    factors, kernel, frames, levels, data
):
    shape = tuple(2 * s for s in factors)
    clip_shape = (shape[0], 2, *shape[1:])
    model = make(clip_shape, levels, subscale=factors, kernel=kernel, priming=(0,))
    entry, count = model.encoder.entry, math.prod(factors)
    numbers = [data.draw(st.integers(0, count - 1)) for _ in range(3)]
    x = torch.randint(levels, (3, *clip_shape))
    assert isinstance(entry, DigitWindows)
    digits = model.channels.digits(x.movedim(2, -1))
    given = digits, torch.tensor(numbers), torch.tensor([frames] * 3)
    out = entry(*given)
    with torch.no_grad():
        assert torch.allclose(out, entry(*given), atol=1e-12)

    # (d_e, F · levels, kt, kh, kw)
    weight = entry.taps.view(2, *kernel, levels, -1).permute(5, 0, 4, 1, 2, 3).flatten(1, 2)
    for clip, number, ours in zip(x, numbers, out, strict=True):
        one_hot = F.one_hot(clip, levels).movedim(-1, 2).double()  # (T, C, levels, H, W)
        for t, y, z in itertools.product(*map(range, shape)):
            own = ((t % factors[0]) * factors[1] + y % factors[1]) * factors[2] + z % factors[2]
            if own >= number and t >= frames:
                one_hot[t, :, :, y, z] = 0
        volume = one_hot.flatten(1, 2).movedim(0, 1)  # (F · levels, T, H, W)
        offset = list(itertools.product(*map(range, factors)))[number]
        # Generous padding, and a stride of 1: the output at a pixel is centred on it.
        whole = F.conv3d(volume[None], weight, entry.bias, padding=[k // 2 for k in kernel])[0]
        a, b, c = offset
        theirs = whole[:, a :: factors[0], b :: factors[1], c :: factors[2]].movedim(0, -1)
        assert torch.allclose(ours, theirs, atol=1e-12)


# Attention


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("block", [(2, 4, 2), (1, 2, 6), (2, 1, 1), (1, 1, 1), (2, 4, 6)], ids=str)
def test_a_layer_is_its_definition(block, causal):
    grid, width, heads, head_width = (2, 4, 6), 5, 3, 4
    layer = BlockLayer(width, heads, head_width, block, causal=causal)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(2, *grid, width)
    out = layer(x)
    with torch.no_grad():
        assert torch.allclose(out, layer(x), atol=1e-12)

    q, k, v = layer.qkv.weight.view(3, heads, head_width, width)
    by_t, by_h, by_w = layer.bias.axes
    places = list(itertools.product(*map(range, grid)))
    normal = layer.norm(x)
    for n, i in itertools.product(range(2), places):
        mates = [
            j for j in places if all(a // s == b // s for a, b, s in zip(i, j, block, strict=True))
        ]
        if causal:
            mates = [j for j in mates if j <= i]
        merged = []
        for head in range(heads):
            query = q[head] @ normal[(n, *i)]
            scores = torch.stack(
                [
                    query @ (k[head] @ normal[(n, *j)]) / math.sqrt(head_width)
                    + by_t[head, i[0] - j[0] + block[0] - 1]
                    + by_h[head, i[1] - j[1] + block[1] - 1]
                    + by_w[head, i[2] - j[2] + block[2] - 1]
                    for j in mates
                ]
            )
            values = torch.stack([v[head] @ normal[(n, *j)] for j in mates])
            merged.append(scores.softmax(0) @ values)
        y = x[(n, *i)] + layer.merge(torch.cat(merged))
        assert torch.allclose(out[(n, *i)], y + layer.perceptron(y), atol=1e-10)


def test_blocks_are_in_raster_order_and_so_is_what_is_in_them():
    x = torch.arange(2 * 4 * 6).view(1, 2, 4, 6, 1)
    blocks = to_blocks(x, (1, 2, 3))
    assert blocks.shape == (8, 6, 1)
    assert blocks[0].flatten().tolist() == [0, 1, 2, 6, 7, 8]
    assert blocks[1, 0] == 3
    assert torch.equal(from_blocks(blocks, (1, 2, 3), (2, 4, 6)), x)


def test_new_weights_have_xavier_s_spread_a_head_and_no_bias():
    layer = BlockLayer(512, 8, 128, (4, 8, 4), causal=True)
    assert float(layer.qkv.weight.std().detach()) == pytest.approx(0.056, abs=0.001)
    assert [tuple(table.shape) for table in layer.bias.axes] == [(8, 7), (8, 15), (8, 7)]
    assert not any(table.any() for table in layer.bias.axes)


# Mass


@pytest.mark.parametrize("frames", [0, 1])
@pytest.mark.parametrize("factors", list(SUBSCALINGS.values()), ids=list(SUBSCALINGS))
def test_mass_sums_to_one(factors, frames):
    model = make((2, 1, 2, 2), subscale=factors, given=frames)
    assert abs(ar.check_normalisation(model) - 1) < 1e-10


@pytest.mark.parametrize("frames", [0, 1, 2, 3])
def test_mass_of_twelve_bits_whatever_is_known(frames):
    model = make((4, 1, 1, 3), subscale=(2, 1, 3), blocks=[(1, 1, 1), (2, 1, 1)], given=frames)
    assert abs(ar.check_normalisation(model) - 1) < 1e-10


def test_mass_of_ternary_clips_of_two_channels():
    model = make((2, 2, 1, 2), 3, subscale=(2, 1, 1))
    assert abs(ar.check_normalisation(model) - 1) < 1e-10


def test_mass_of_an_8_bit_pixel_of_two_channels():
    model = make((1, 2, 1, 1), 256, subscale=(1, 1, 1))
    assert abs(ar.check_normalisation(model) - 1) < 1e-10


# Causality


def receptive_field(model: VideoTransformer, frames: int) -> set[tuple[int, int]]:
    """Pairs (i, j) of which j may depend on i, from the docstring of the model."""
    subscaling, kernel = model.subscaling, model.encoder.entry.kernel
    (st, sh, sw), grid = subscaling.factors, subscaling.grid
    number_of: dict[tuple[int, ...], int] = {}
    channels = model.event_shape[1]
    for number, (a, b, c) in enumerate(subscaling.offsets):
        for t, y, x in itertools.product(*map(range, grid)):
            number_of[(a + t * st, b + y * sh, c + x * sw)] = number
    places = list(itertools.product(*map(range, grid)))

    def connected(layers) -> dict[tuple, set[tuple]]:
        """Which places of a slice each one reaches through layers."""
        reach = {i: {i} for i in places}
        for layer in layers:
            mates = {
                i: {
                    j
                    for j in places
                    if all(p // s == q // s for p, q, s in zip(i, j, layer.block))  # noqa: B905
                    and (j <= i or not layer.bias.causal)
                }
                for i in places
            }
            reach = {i: set().union(*(reach[j] for j in mates[i])) for i in places}
        return reach

    encoder, decoder = connected(model.encoder.layers), connected(model.decoder.layers)
    pairs = set()
    index = torch.arange(model.dims).view(model.event_shape).tolist()
    for number, (a, b, c) in enumerate(subscaling.offsets):
        at: dict[tuple[int, ...], tuple[int, ...]]
        at = {(t, y, x): (a + t * st, b + y * sh, c + x * sw) for t, y, x in places}
        taps = {
            i: {
                p
                for p in itertools.product(*(range(q - k // 2, q + k // 2 + 1)
                                             for q, k in zip(at[i], kernel, strict=True)))
                if p in number_of and (number_of[p] < number or p[0] < frames)
            }
            for i in places
        }  # fmt: skip
        own = {
            (t, y, x): {
                at[j]
                for j in itertools.product(range(t - 2, t + 1), range(y - 1, y + 2),
                                           range(x - 1, x + 2))
                if j in at and j < (t, y, x)
            }
            for t, y, x in places
        }  # fmt: skip
        for i in places:
            seen = set()
            for j in decoder[i]:
                seen |= own[j].union(*(taps[k] for k in encoder[j]))
            t, y, x = at[i]
            if t < frames:
                continue  # nothing is predicted there
            for channel in range(channels):
                target = index[t][channel][y][x]
                pairs |= {(index[t][c][y][x], target) for c in range(channel)}
                pairs |= {(index[p][c][q][r], target) for p, q, r in seen for c in range(channels)}
    return pairs


@pytest.mark.parametrize(
    ("shape", "symbols", "options"),
    [
        ((2, 1, 4, 6), 2, {"subscale": (1, 1, 1), "blocks": [(2, 2, 2), (1, 4, 3)]}),
        ((3, 1, 3, 4), 2, {"subscale": (1, 1, 1)}),
        ((4, 2, 2, 2), 3, {"subscale": (4, 1, 1), "blocks": [(1, 2, 1), (1, 1, 2)]}),
        ((4, 1, 2, 4), 2, {"subscale": (4, 1, 1), "kernel": (3, 1, 1), "blocks": [(1, 2, 2)]}),
        ((2, 1, 4, 4), 5, {"subscale": (1, 2, 2), "blocks": [(2, 1, 2), (1, 2, 1)]}),
        ((4, 1, 4, 2), 2, {"subscale": (2, 2, 2), "blocks": [(1, 2, 1), (2, 1, 1)]}),
        ((2, 3, 2, 2), 256, {"subscale": (1, 2, 1), "blocks": [(1, 1, 2), (2, 1, 1)]}),
    ],
    ids=str,
)
@pytest.mark.parametrize("frames", [0, 1])
def test_a_symbol_depends_on_its_receptive_field_and_on_nothing_else(
    shape, symbols, options, frames
):
    model = make(shape, symbols, given=frames, **options)
    causality = ar.check_causality(model, trials=2 if symbols == 256 else 8)  # bit-equal
    precedes = model.members[0].ordering.precedes().nonzero().tolist()
    depends = {(i, j) for i, j in precedes} - set(causality.absent)
    assert depends == receptive_field(model, frames)


def test_with_kernels_and_blocks_as_large_as_that_all_that_precedes_is_seen():
    model = make((2, 2, 2, 4), 3, subscale=(2, 2, 2))
    assert ar.check_causality(model).absent == ()


# Two faces


@pytest.mark.parametrize("frames", [0, 2])
@pytest.mark.parametrize(
    ("shape", "symbols", "options"),
    [
        ((4, 1, 4, 4), 2, {"subscale": (2, 2, 2), "blocks": [(1, 2, 1), (2, 1, 2)]}),
        ((4, 1, 4, 4), 17, {"subscale": (1, 2, 2), "blocks": [(4, 1, 2), (2, 2, 1)]}),
        ((4, 3, 2, 4), 256, {"subscale": (2, 1, 2), "blocks": [(2, 1, 2), (1, 2, 1)]}),
        ((4, 3, 4, 2), 2, {"subscale": (4, 1, 1), "blocks": [(1, 2, 1)], "context": 3}),
        ((3, 2, 4, 6), 3, {"subscale": (1, 1, 1), "blocks": [(3, 2, 2), (1, 4, 3)]}),
    ],
    ids=str,
)
def test_parallel_and_unrolled_passes_agree(shape, symbols, options, frames):
    assert ar.check_faces(make(shape, symbols, given=frames, **options)) < 1e-9


def test_passes_agree_in_float32():
    assert ar.check_faces(make((4, 3, 8, 8), 256, subscale=(2, 2, 2)).float(), rows=4) < 1e-2


@pytest.mark.parametrize("symbols", [2, 17, 256])
def test_likelihood_slice_by_slice_is_that_of_the_whole_pass(symbols, monkeypatch):
    model = make((4, 2, 2, 4), symbols, subscale=(2, 1, 2))
    x = torch.randint(symbols, (5, *model.event_shape))
    for frames in (0, 2):
        member = model._member(frames)
        whole = -model.forward(x, member=member).log_prob(x)
        assert torch.allclose(model.member_surprisal(x, None, member), whole, atol=1e-12)
    whole = model.log_prob(x)
    monkeypatch.setattr(model, "chunk_rows", 2)
    assert torch.allclose(model.log_prob(x), whole, atol=1e-12)
    assert torch.allclose(model.surprisal(x).flatten(1).sum(1), -whole)
    small = torch.uint8 if symbols > 2 else torch.bool
    assert torch.equal(model.log_prob(x.to(small)), model.log_prob(x))


def test_the_encoder_runs_once_a_slice_and_a_layer_once_a_pixel(monkeypatch):
    model = make((4, 1, 4, 4), subscale=(2, 2, 2), blocks=[(1, 2, 1), (2, 1, 2)])
    calls = {"encode": 0, "step": 0}
    encode, step = model._encode, BlockLayer.step

    def counted_encode(*args):
        calls["encode"] += 1
        return encode(*args)

    def counted_step(*args):
        calls["step"] += 1
        return step(*args)

    monkeypatch.setattr(model, "_encode", counted_encode)
    monkeypatch.setattr(BlockLayer, "step", counted_step)
    model.sample(2)
    assert calls == {"encode": 8, "step": model.dims * SMALL["decoder_layers"]}


# Conditionals


def test_two_digits_are_one_distribution():
    coarse, fine = torch.randn(3, 4), torch.randn(4, 4)
    conditional = CoarseToFine(Categorical(coarse), lambda digit: Categorical(fine[digit]))
    joint = coarse.softmax(-1)[..., None] * fine.softmax(-1)
    assert torch.allclose(conditional.table(), joint.flatten(1))
    x = torch.randint(16, (3,))
    expected = joint.flatten(1).gather(1, x[:, None]).squeeze(1).log()
    assert torch.allclose(conditional.log_prob(x), expected)
    both = Stacked([conditional, conditional], dim=0)
    assert torch.allclose(both.log_prob(x.expand(2, 3)), expected.expand(2, 3))
    assert both.table().shape == (2, 3, 16)
    assert both.logits.shape == (2, 3, 16)
    assert both.sample().shape == (2, 3)


def chi_square_fits(counts: Tensor, probabilities: Tensor) -> bool:
    """Whether counts follow their probabilities, at the 0.999 level; rare ones are pooled."""
    rare = probabilities * counts.sum() < 5
    counts = torch.cat([counts[~rare], counts[rare].sum()[None]])
    expected = torch.cat([probabilities[~rare], probabilities[rare].sum()[None]]) * counts.sum()
    expected = expected.clamp(min=1e-9)
    statistic = ((counts - expected) ** 2 / expected).sum()
    return float(statistic.detach()) < float(chi2.ppf(0.999, len(counts) - 1))


@pytest.mark.parametrize("symbols", [2, 17, 256])
@torch.no_grad()
def test_draws_of_one_step_follow_its_table(symbols):
    model = make((2, 1, 2, 2), symbols, subscale=(1, 2, 1))
    count = 20_000
    steps = model.unroll(count)
    conditional = next(steps)
    for _ in range(3):
        conditional = steps.send(torch.full((count,), symbols - 1))
    draws = conditional.sample(torch.Generator().manual_seed(1))
    table = conditional.table()
    assert torch.allclose(table[0], table[-1])
    assert chi_square_fits(torch.bincount(draws, minlength=symbols).double(), table[0])


@torch.no_grad()
def test_samples_have_the_model_s_frequencies():
    model = make((3, 1, 1, 2), subscale=(3, 1, 1))
    states = all_states((2,) * 6).view(-1, *model.event_shape)
    x = model.sample(20_000, generator=torch.Generator().manual_seed(5)).flatten(1)
    counts = torch.bincount((x * 2 ** torch.arange(5, -1, -1)).sum(1), minlength=64).double()
    assert chi_square_fits(counts, model.log_prob(states).exp())


# Known frames


@pytest.mark.parametrize("factors", [(1, 1, 1), (2, 1, 1), (1, 1, 2), (2, 1, 2)], ids=str)
@pytest.mark.parametrize("frames", [0, 1, 3])
@torch.no_grad()
def test_completions_have_probabilities_that_sum_to_one(factors, frames):
    model = make((4, 1, 1, 2), subscale=factors)
    known = torch.zeros(model.event_shape, dtype=torch.bool)
    known[:frames] = True
    states = all_states((2,) * 8).view(-1, *model.event_shape)
    evidence = states[200]
    agrees = (states == evidence)[:, known].all(1)
    log_prob = model.conditional_log_prob(states[agrees], known)
    assert abs(float(log_prob.exp().sum()) - 1) < 1e-10
    x, drawn = model.complete(
        evidence.expand(2000, *model.event_shape),
        known,
        generator=torch.Generator().manual_seed(0),
        return_log_prob=True,
    )
    assert (x == evidence)[:, known].all()
    place = (x[:, None] == states[agrees]).flatten(2).all(2).int().argmax(1)
    assert torch.allclose(drawn, log_prob[place], atol=1e-10)
    counts = torch.bincount(place, minlength=int(agrees.sum())).double()
    assert chi_square_fits(counts, log_prob.exp())


def test_known_frames_are_seen_from_the_first_slice_on():
    """Under temporal subscaling the first slice sees known frames of the second."""
    model = make((4, 1, 1, 2), subscale=(2, 1, 1), kernel=(7, 1, 1))
    x = torch.randint(2, (1, *model.event_shape))
    y = x.clone()
    y[:, 1] = 1 - y[:, 1]  # of the second slice
    known = torch.zeros(model.event_shape, dtype=torch.bool)
    known[:2] = True
    (primed,) = model.members_given(known.flatten())
    (own,) = model.members
    first = slice(2, 3)  # of the first slice, and not known
    for member, sees in [(primed, True), (own, False)]:
        before, after = (model.forward(z, member=member).table()[:, first] for z in (x, y))
        assert torch.equal(before, after) != sees


def test_a_prefix_of_the_ordering_is_known_as_in_every_family():
    model = make((2, 1, 2, 2), subscale=(2, 1, 1), priming=(0,))
    known = torch.zeros(model.dims, dtype=torch.bool)
    known[model.members[0].ordering.visit[:3]] = True
    known = known.view(model.event_shape)
    states = all_states((2,) * 8).view(-1, *model.event_shape)
    agrees = (states == states[77])[:, known].all(1)
    joint = model.log_prob(states[agrees])
    expected = joint - joint.logsumexp(0)
    assert torch.allclose(model.conditional_log_prob(states[agrees], known), expected, atol=1e-10)


def test_what_cannot_be_known_is_refused():
    model = make((4, 1, 2, 2), subscale=(2, 1, 1), priming=(0, 1))
    x = torch.zeros(1, *model.event_shape, dtype=torch.int64)
    known = torch.zeros(model.event_shape, dtype=torch.bool)
    known[:2] = True
    with pytest.raises(ValueError, match=r"0 or 1 known frames, not 2.*priming=\(0, 2\)"):
        model.complete(x, known)
    known[1, 0, 0, 0] = False
    with pytest.raises(ValueError, match=r"on the first 0 or 1 frames"):
        model.conditional_log_prob(x, known)


@torch.no_grad()
@pytest.mark.parametrize("symbols", [2, 256])
def test_cold_draws_are_the_likeliest_symbols(symbols):
    model = make((4, 1, 2, 2), symbols, subscale=(2, 1, 1))
    x = model.continue_clip(torch.randint(symbols, (3, 1, 1, 2, 2)), 3, temperature=1e-9)
    likeliest = model.forward(x, member=model._member(1)).table().argmax(-1)
    assert torch.equal(x[:, 1:], likeliest[:, 1:])


@torch.no_grad()
def test_a_clip_is_continued_by_a_sliding_window():
    model = make((4, 1, 2, 2), subscale=(2, 1, 1), priming=(0, 1, 3))
    x = torch.randint(2, (2, 5, 1, 2, 2))
    longer = model.continue_clip(x, 7, generator=torch.Generator().manual_seed(0))
    assert longer.shape == (2, 12, 1, 2, 2)
    assert torch.equal(longer[:, :5], x)
    # By default each window is given 3 frames and adds one: replay the first two.
    generator = torch.Generator().manual_seed(0)
    known = torch.zeros(model.event_shape, dtype=torch.bool)
    known[:3] = True
    for n in (5, 6):
        window = F.pad(longer[:, n - 3 : n], (0, 0, 0, 0, 0, 0, 0, 1))
        drawn = model.complete(window, known, generator=generator)
        assert torch.equal(drawn[:, 3], longer[:, n])
    assert model.continue_clip(x[:, :2].byte(), 3).shape == (2, 5, 1, 2, 2)
    with pytest.raises(ValueError, match=r"\(batch, frames, 1, 2, 2\), got \(2, 5, 1, 2\)"):
        model.continue_clip(x[..., 0], 3)
    with pytest.raises(ValueError, match="0, 1, 3; there are 2 and given is 3"):
        model.continue_clip(x[:, :2], 3, given=3)


@torch.no_grad()
def test_with_a_slice_a_frame_any_number_of_frames_is_given():
    model = make((4, 1, 2, 2), subscale=(4, 1, 1), priming=(0,))
    x = torch.randint(2, (2, 4, 1, 2, 2))
    known = torch.zeros(model.event_shape, dtype=torch.bool)
    known[:2] = True
    quotient = model.log_prob(x) + model.surprisal(x)[:, :2].flatten(1).sum(1)
    assert torch.allclose(model.conditional_log_prob(x, known), quotient)
    assert torch.equal(model.continue_clip(x[:, :2], 3)[:, :2], x[:, :2])


# Objective


def distinct(model: VideoTransformer, x: Tensor, draws: int) -> Tensor:
    """Values that the objective of one clip takes, rounded, without repetition."""
    generator = torch.Generator().manual_seed(0)
    many = model.objective(x.expand(draws, *x.shape[1:]), update=ar.Update(generator=generator))
    return (many * 1e9).round().unique() / 1e9


@pytest.mark.parametrize("factors", list(SUBSCALINGS.values()), ids=list(SUBSCALINGS))
@torch.no_grad()
def test_the_objective_is_an_unbiased_estimate(factors):
    """Its mean over slices, each as likely as another, is −log p."""
    model = make((4, 2, 2, 2), 3, subscale=factors, priming=(0,))
    x = torch.randint(3, (1, *model.event_shape))
    values = distinct(model, x, 60 * math.prod(factors))
    assert len(values) == math.prod(factors)
    assert float(values.mean()) == pytest.approx(-float(model.log_prob(x)), abs=1e-8)


@pytest.mark.parametrize("factors", [(4, 1, 1), (2, 1, 2), (1, 2, 1)], ids=str)
@torch.no_grad()
def test_with_known_frames_it_is_one_of_what_is_not_known_scaled_to_the_clip(factors):
    model = make((4, 2, 2, 2), 3, subscale=factors, priming=(0, 2))
    x = torch.randint(3, (1, *model.event_shape))
    known = torch.zeros(model.event_shape, dtype=torch.bool)
    known[:2] = True
    of_two = -2 * float(model.conditional_log_prob(x, known))
    everything = distinct(make_copy(model, slices="all"), x, 50)
    expected = sorted([of_two, -float(model.log_prob(x))])
    assert everything.tolist() == pytest.approx(expected, abs=1e-8)
    model._priming = (2,)  # always
    values = distinct(model, x, 60 * math.prod(factors))
    # Slices that are known altogether are not drawn.
    assert len(values) == {(4, 1, 1): 2, (2, 1, 2): 4, (1, 2, 1): 2}[factors]
    assert float(values.mean()) == pytest.approx(of_two, abs=1e-8)


def make_copy(model: VideoTransformer, **changes: Any) -> VideoTransformer:
    options = model.options | changes
    other = VideoTransformer(model.event_shape, model.symbols.levels[0], **options)
    other.load_state_dict(model.state_dict())
    return other


@torch.no_grad()
def test_clips_of_a_batch_may_have_different_slices_and_known_frames():
    model = make((4, 2, 4, 2), 5, subscale=(2, 2, 1))
    x = torch.randint(5, (8, *model.event_shape))
    slices, frames = torch.arange(8) % 4, torch.arange(8) // 2
    together = model._slice_log_prob(x, slices, frames, None)
    for n in range(8):
        row = slice(n, n + 1)
        alone = model._slice_log_prob(x[row], slices[row], frames[row], None)
        assert torch.allclose(together[row], alone, atol=1e-12)


def test_all_slices_are_the_likelihood_and_checkpointing_changes_nothing():
    model = make((4, 3, 4, 4), 256, subscale=(2, 2, 2), priming=(0,), slices="all")
    other = make_copy(model, checkpointing=True)
    x = torch.randint(256, (2, *model.event_shape))
    nats = model.objective(x)
    assert torch.allclose(nats, -model.log_prob(x))
    for each in (model, other):
        each.objective(x).sum().backward()
    for (name, p), q in zip(model.named_parameters(), other.parameters(), strict=True):
        assert p.grad is not None, name
        assert p.grad.any(), name
        assert q.grad is not None
        assert torch.allclose(p.grad, q.grad, atol=1e-12)


def test_the_objective_is_a_function_of_the_generator():
    model = make((4, 1, 2, 2), subscale=(2, 2, 2))
    x = torch.randint(2, (6, *model.event_shape))
    a, b, c = (
        model.objective(x, update=ar.Update(generator=torch.Generator().manual_seed(s)))
        for s in (1, 1, 2)
    )
    assert a.dtype == torch.float64
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_bfloat16_autocast_computes_the_same_roughly_and_gives_float32_gradients():
    model = make((4, 3, 4, 4), 256, subscale=(2, 2, 2), slices="all", priming=(0,)).float()
    x = torch.randint(256, (4, *model.event_shape))
    exact = model.objective(x).mean()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model.objective(x).mean()
    rough.backward()
    assert abs(float((rough - exact).detach())) < 0.01 * float(exact.detach())
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


@pytest.mark.slow
def test_it_learns_to_copy_the_frame_before():
    torch.set_default_dtype(torch.float32)
    model = VideoTransformer(
        (4, 1, 4, 4), subscale=(2, 1, 1), symbols=2, blocks=WHOLE, priming=(0, 1), **SMALL
    )
    frame = (torch.rand(512, 1, 1, 4, 4) < 0.5).long()
    x = frame.expand(512, 4, 1, 4, 4)
    ar.fit(model, x, max_epochs=20, batch_size=32, lr=0.01, schedule="cosine", quiet=True)
    # A frame costs 16 bits and its repetitions nothing.
    assert ar.evaluate(model, x).nats < 16 * math.log(2) * 1.15
    known = torch.zeros(model.event_shape, dtype=torch.bool)
    known[:1] = True
    assert torch.equal(model.complete(x[:20], known), x[:20])


# Context, folders, sizes, mistakes


def test_context_changes_the_distribution():
    model = make((2, 1, 2, 2), subscale=(2, 1, 1), context=3)
    assert abs(ar.check_normalisation(model) - 1) < 1e-10
    x = torch.randint(2, (4, *model.event_shape))
    a, b = torch.randn(2, 4, 3)
    assert not torch.allclose(model.log_prob(x, a), model.log_prob(x, b), atol=1e-3)
    assert model.sample(2, a[:2]).shape == (2, *model.event_shape)


def test_a_model_comes_back(tmp_path):
    model = make(
        (4, 3, 4, 4), 256, subscale=(2, 2, 2), blocks=[(1, 2, 1), (2, 1, 2)], context=2,
        slices="all",
    )  # fmt: skip
    ar.save(model, tmp_path)
    back = ar.load(tmp_path)
    assert isinstance(back, VideoTransformer)
    x, context = torch.randint(256, (2, *model.event_shape)), torch.randn(2, 2)
    assert torch.equal(model.log_prob(x, context), back.log_prob(x, context))
    assert back._priming == model._priming


def test_the_paper_s_sizes():
    with torch.device("meta"):
        base = VideoTransformer.base((16, 3, 64, 64))
        large = VideoTransformer.large((16, 3, 64, 64))
    counts = [sum(p.numel() for p in model.parameters()) for model in (base, large)]
    assert counts == [pytest.approx(46.4e6, rel=0.01), pytest.approx(373e6, rel=0.01)]
    assert base.subscaling.grid == (4, 32, 32)
    assert base.encoder.entry.kernel == (5, 3, 3)
    for layers in (base.encoder.layers, base.decoder.layers):
        blocks = [layer.block for layer in layers if isinstance(layer, BlockLayer)]
        assert blocks == 2 * [(4, 8, 4), (4, 4, 8), (1, 32, 4), (1, 4, 32)]
    heads = [layer.heads for layer in large.decoder.layers if isinstance(layer, BlockLayer)]
    assert sum(heads) / len(heads) == 12


def test_what_is_larger_than_the_slice_is_cut_and_settings_are_cycled_through():
    model = VideoTransformer((8, 1, 16, 16), heads=(1, 2, 3), encoder_layers=5, decoder_layers=1)
    layers = [layer for layer in model.encoder.layers if isinstance(layer, BlockLayer)]
    assert [layer.block for layer in layers] == [
        (2, 8, 4), (2, 4, 8), (1, 8, 4), (1, 4, 8), (2, 8, 4)
    ]  # fmt: skip
    assert [layer.heads for layer in layers] == [1, 2, 3, 1, 2]


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((4, 4, 4), {}, "a clip is"),
        ((6, 1, 8, 8), {}, r"\(4, 2, 2\) does not divide the 6 frames"),
        ((20, 1, 64, 64), {}, r"\(4, 8, 4\) does not divide a slice of 5 frames, 32 rows"),
        ((4, 1, 8, 8), {"kernel": (2, 3, 3)}, "three odd sizes"),
        ((4, 1, 8, 8), {"priming": (1,)}, r"0 among them.*got \(1,\)"),
        ((4, 1, 8, 8), {"priming": (0, 4)}, "all below 4"),
        ((4, 1, 8, 8), {"slices": "two"}, "one of one, all"),
        ((4, 1, 2, 2), {"symbols": [2, 3] * 8, "subscale": (1, 1, 1)}, "same number of levels"),
    ],
    ids=str,
)
def test_senseless_options_are_refused(shape, options, message):
    with pytest.raises(ValueError, match=message):
        VideoTransformer(shape, **({"encoder_layers": 1, "decoder_layers": 1} | options))
