"""PixelCNN and PixelRNN against their equations written out, and all states of small images."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import all_states
from families import IMAGES
from scipy.stats import chi2
from torch import nn

import autoregress as ar
from autoregress.networks.pixelrnn import lstm
from autoregress.networks.raster import Condition

pytestmark = pytest.mark.usefixtures("float64")

FAMILIES = [getattr(ar, name) for name in IMAGES]
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)

KINDS = {
    "bits": {"event_shape": (1, 3, 3), "symbols": 2},
    "colour": {"event_shape": (3, 1, 2), "symbols": 2},
    "ternary": {"event_shape": (2, 2, 2), "symbols": 3, "residual": False},
    "one pixel": {"event_shape": (1, 1, 1), "symbols": 4},
    "one row": {"event_shape": (1, 1, 8), "symbols": 2, "skip": False},
    "one column": {"event_shape": (1, 8, 1), "symbols": 2},
    "scales": {"event_shape": (1, 3, 3), "symbols": 2, "scales": (2,)},
    "more scales": {"event_shape": (2, 5, 1), "symbols": 2, "scales": (4, 2)},
    "context": {"event_shape": (1, 2, 3), "symbols": 3, "context": 3},
    "everything": {"event_shape": (2, 2, 3), "symbols": 2, "scales": (2,), "context": 2},
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


def make(family, **options):
    """A model with weights and first states large enough for the dependences to matter."""
    model = family(**{"layers": 2, "features": 6, **options})
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=1 / np.sqrt(max(parameter[0].numel(), 4)))
    return model


def network_of(model) -> Any:
    return model.networks[0]


# The mass, the two faces, and who sees whom


@every_family
@every_kind
def test_the_probabilities_of_all_images_sum_to_one(family, kind):
    ar.check_normalisation(make(family, **kind))


@every_family
@every_kind
def test_the_parallel_and_the_incremental_face_agree(family, kind):
    ar.check_faces(make(family, **kind))


@every_family
@pytest.mark.parametrize(
    "kind",
    [
        {"event_shape": (1, 6, 9), "symbols": 2},
        {"event_shape": (3, 5, 4), "symbols": 4, "head": 7},
        {"event_shape": (4, 9, 3), "symbols": 2, "features": 7, "layers": 3},
        {"event_shape": (1, 8, 11), "symbols": 3, "scales": (6, 3), "context": 2},
    ],
    ids=str,
)
def test_the_faces_agree_on_larger_images(family, kind):
    ar.check_faces(make(family, **kind), rows=5)


# Those whose kernel can be chosen.
OF_KERNELS = [ar.PixelCNN, ar.GatedPixelCNN, ar.RowLSTM]


@pytest.mark.parametrize("family", OF_KERNELS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    "kind",
    [
        {"event_shape": (1, 6, 9), "symbols": 2, "kernel": 5},
        {"event_shape": (2, 5, 3), "symbols": 4, "kernel": 9, "scales": (2,), "context": 2},
    ],
    ids=str,
)
def test_the_faces_agree_with_larger_kernels(family, kind):
    ar.check_faces(make(family, **kind), rows=5)


def test_a_kernel_is_odd_and_that_of_a_diagonal_bilstm_is_given():
    for kernel in (1, 4, 10**6 + 1):
        with pytest.raises(ValueError, match="kernel"):
            ar.RowLSTM((1, 4, 4), 2, layers=1, features=4, kernel=kernel)
    with pytest.raises(ValueError, match="cannot be chosen"):
        ar.DiagonalBiLSTM((1, 4, 4), 2, layers=1, features=4, kernel=5)


def before(row, column, width, above, reach):
    """The pixels in view of a convolution, but for the own one."""
    for r, c in itertools.product(
        range(row - above, row), range(column - reach, column + reach + 1)
    ):
        if r >= 0 and 0 <= c < width:
            yield r, c
    yield from ((row, c) for c in range(max(0, column - reach), column))


class Sight:
    """Who sees whom: features of group g at each pixel, as sets of (channel, row, column)."""

    def __init__(self, shape, above, reach):
        self.channels, self.height, self.width = shape
        self.sets = {
            (r, c, g): {
                (k, *p) for p in before(r, c, self.width, above, reach) for k in self.groups
            }
            | {(k, r, c) for k in range(g)}
            for r, c, g in self.places
        }

    @property
    def groups(self):
        return range(self.channels)

    @property
    def places(self):
        return itertools.product(range(self.height), range(self.width), self.groups)

    def conv(self, sets, above=0, reach=0):
        return {
            (r, c, g): set().union(
                *(sets[*p, k] for p in before(r, c, self.width, above, reach) for k in self.groups),
                *(sets[r, c, k] for k in range(g + 1)),
            )
            for r, c, g in self.places
        }

    def recur(self, sets, neighbours, backwards=False):
        """States that also see the states, of all groups, at the neighbours (row, column) away."""
        states = {}
        for r in range(self.height):
            for c in sorted(range(self.width), reverse=backwards):
                for g in self.groups:
                    near = [(r + dr, c + dc, k) for dr, dc in neighbours for k in self.groups]
                    seen = [states[p] for p in near if p in states]
                    states[r, c, g] = set().union(sets[r, c, g], *seen)
        return states

    def add(self, sets):
        sets = self.conv(sets)
        self.sets = {p: self.sets[p] | sets.get(p, set()) for p in self.sets}


def sight(family, shape, layers, kernel=3):
    reach = kernel // 2
    around = range(-reach, reach + 1)
    view = Sight(shape, 0 if family is ar.GatedPixelCNN else 3, 3)
    # The vertical stack of the gated one.
    vertical = {
        (r, c): {
            (k, r - dr, c + dc)
            for k, dr, dc in itertools.product(view.groups, (1, 2, 3), range(-3, 4))
            if r - dr >= 0 and 0 <= c + dc < view.width
        }
        for r in range(view.height)
        for c in range(view.width)
    }
    for _ in range(layers):
        if family is ar.PixelCNN:
            view.add(view.conv(view.sets, reach, reach))
        elif family is ar.RowLSTM:
            view.add(view.recur(view.conv(view.sets, 0, reach), [(-1, dc) for dc in around]))
        elif family is ar.DiagonalBiLSTM:
            inputs = view.conv(view.sets)
            right = view.recur(inputs, [(0, 1), (-1, 0)], backwards=True)
            view.add(view.recur(inputs, [(0, -1), (-1, 0)]))
            view.add({(r, c, g): right.get((r - 1, c, g), set()) for r, c, g in view.places})
        else:
            vertical = {
                (r, c): set().union(
                    *(
                        vertical.get((r - dr, c + dc), set())
                        for dr in range(reach + 1)
                        for dc in around
                    )
                )
                for r, c in vertical
            }
            view.add(view.conv(view.sets, 0, reach))
            view.add({(r, c, g): vertical[r, c] for r, c, g in view.places})
    return view.conv(view.sets)


SEEN = [
    *itertools.product(FAMILIES, [((1, 7, 10), 2, 3), ((3, 4, 3), 2, 3), ((2, 3, 6), 1, 3)]),
    *itertools.product(OF_KERNELS, [((1, 7, 14), 1, 7), ((2, 6, 9), 1, 5)]),
]


@pytest.mark.parametrize(
    ("family", "shape", "layers", "kernel"),
    [pytest.param(family, *sizes, id=f"{family.__name__}-{sizes}") for family, sizes in SEEN],
)
def test_a_pixel_sees_all_that_its_layers_let_it_see_and_nothing_else(
    family, shape, layers, kernel
):
    torch.manual_seed(2)
    model = make(family, event_shape=shape, symbols=2, layers=layers, features=24, kernel=kernel)
    causality = ar.check_causality(model, trials=6)
    number = np.arange(model.dims).reshape(shape)
    seen = {
        (number[source], number[g, r, c])
        for (r, c, g), sources in sight(family, shape, layers, kernel).items()
        for source in sources
    }
    rank = model.members[0].ordering.rank.tolist()
    allowed = {(i, j) for i, j in itertools.permutations(range(model.dims), 2) if rank[i] < rank[j]}
    assert seen <= allowed
    assert set(causality.absent) == allowed - seen


@every_family
def test_causality_of_the_multi_scale_model(family):
    model = make(family, event_shape=(2, 5, 4), symbols=2, features=12, scales=(4, 2), context=2)
    causality = ar.check_causality(model)
    assert len(causality.absent) < causality.pairs / 4


@pytest.mark.parametrize(("layers", "rows"), [(1, 4), (2, 5), (9, 9)])
def test_the_blind_spot_of_the_plain_stack_is_where_it_is_said_to_be(layers, rows):
    shape = (1, rows, 16)
    plain = sight(ar.PixelCNN, shape, layers)[rows - 1, 0, 0]
    gated = sight(ar.GatedPixelCNN, shape, layers)[rows - 1, 0, 0]
    reach = 3 + layers
    for above, right in itertools.product(range(1, rows), range(16)):
        pixel = (0, rows - 1 - above, right)
        assert (pixel in plain) == (right <= min(above + 2, reach) and above <= reach)
        assert (pixel in gated) == (right <= reach and above <= reach)


def test_the_diagonal_bilstm_sees_all_but_the_last_pixel_of_the_row_above():
    shape = (1, 4, 9)
    sets = sight(ar.DiagonalBiLSTM, shape, 3)
    for (row, column, _), seen in sets.items():
        pixels = {(0, r, c) for r in range(4) for c in range(9) if (r, c) < (row, column)}
        missing = {(0, row - 1, 8)} if row and column < 8 - 3 else set()
        assert seen == pixels - missing


# The equations, pixel by pixel


def image(*shape):
    return torch.randn(*shape)


def test_row_lstm_is_its_equations():
    model = make(ar.RowLSTM, event_shape=(2, 4, 5), symbols=2, layers=1)
    layer = network_of(model).layers[0]
    x = image(3, 4, 5, 12)
    inputs = layer.inputs.own_weights()[:, :, 0]  # (4h, 2h, 2): left, own
    weight = layer.cell.weight[0].view(3, 6, 24)  # left above, above, right above
    h, c = {}, {}
    for row, column in itertools.product(range(4), range(5)):
        sums = layer.inputs.bias + x[:, row, column] @ inputs[:, :, 1].T
        if column:
            sums = sums + x[:, row, column - 1] @ inputs[:, :, 0].T
        for tap, other in enumerate((column - 1, column, column + 1)):
            if 0 <= other < 5:
                state = h[row - 1, other] if row else layer.cell.h.expand(3, -1)
                sums = sums + state @ weight[tap]
        o, f, i, g = sums.chunk(4, -1)
        memory = c[row - 1, column] if row else layer.cell.c.expand(3, -1)
        c[row, column] = f.sigmoid() * memory + i.sigmoid() * g.tanh()
        h[row, column] = o.sigmoid() * c[row, column].tanh()
    expected = torch.stack([h[p] for p in itertools.product(range(4), range(5))], 1)
    out = layer(x, lambda module, x: module(x, Condition()))
    torch.testing.assert_close(out.flatten(1, 2), expected)


@pytest.mark.parametrize(("height", "width"), [(4, 5), (5, 3), (1, 4), (4, 1), (1, 1)])
def test_diagonal_bilstm_is_its_equations(height, width):
    model = make(ar.DiagonalBiLSTM, event_shape=(1, height, width), symbols=2, layers=1)
    cell = network_of(model).layers[0].cell
    sums = image(2, height, width, 48)

    def states(side, inputs):
        h, c = {}, {}
        before, above = cell.weight[side].chunk(2)
        for row, column in itertools.product(range(height), range(width)):
            first = (cell.h[side].expand(2, -1), cell.c[side].expand(2, -1))
            left = h[row, column - 1] if column else first[0]
            up = h[row - 1, column] if row else first[0]
            memory = c[row, column - 1] if column else first[1]
            total = inputs[:, row, column] + left @ before + up @ above
            h[row, column], c[row, column] = lstm(total, memory)
        pixels = itertools.product(range(height), range(width))
        return torch.stack([h[p] for p in pixels], 1).unflatten(1, (height, width))

    left, right = sums.chunk(2, -1)
    expected = states(0, left)
    mirrored = states(1, right.flip(2)).flip(2)
    expected[:, 1:] += mirrored[:, :-1]
    torch.testing.assert_close(cell(sums, Condition()), expected)


def test_an_lstm_is_equation_3():
    sums, c = torch.randn(5, 12), torch.randn(5, 3)
    o, f, i, g = sums[:, :3], sums[:, 3:6], sums[:, 6:9], sums[:, 9:]
    memory = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h, new = lstm(sums, c)
    torch.testing.assert_close(new, memory)
    torch.testing.assert_close(h, torch.sigmoid(o) * torch.tanh(memory))


@pytest.mark.parametrize(("size", "strict"), [(7, True), (3, False)])
def test_a_convolution_is_that_of_the_whole_kernel_masked(size, strict):
    """The paper's masks A and B, on a kernel of size × size and three colour groups."""
    network = network_of(make(ar.PixelCNN, event_shape=(3, 6, 5), symbols=2, features=7))
    conv = network.entry if strict else network.layers[0].conv
    inputs = 3 if strict else 7
    groups = torch.arange(7) * 3 // 7
    sources = torch.arange(3) if strict else groups
    targets = (torch.arange(14) * 3 // 14) if strict else groups
    half = size // 2
    kernel = torch.zeros(len(targets), inputs, size, size)
    skip = 1 if strict else 0  # the constant
    kernel[:, :, :half] = conv.above[:, skip:]
    kernel[:, :, half, : half + 1] = conv.own[:, skip:, 0]
    mask = sources < targets[:, None] if strict else sources <= targets[:, None]
    kernel[:, :, half, half] *= mask
    x = image(2, inputs, 6, 5)
    expected = F.conv2d(x, kernel, conv.bias, padding=half)
    if strict:
        constant = torch.zeros(len(targets), 1, size, size)
        constant[:, :, :half] = conv.above[:, :1]
        constant[:, :, half, : half + 1] = conv.own[:, :1, 0]
        expected = expected + F.conv2d(torch.ones(2, 1, 6, 5), constant, padding=half)
        x = torch.cat([torch.ones(2, 1, 6, 5), x], 1)
    out = conv(x.permute(0, 2, 3, 1), Condition()).permute(0, 3, 1, 2)
    torch.testing.assert_close(out, expected)


def test_a_gated_layer_is_its_figure():
    """Figure 2 of the paper: n×n and 1×n, the vertical stack moved down by a row."""
    model = make(ar.GatedPixelCNN, event_shape=(1, 5, 6), symbols=2, layers=1, features=4)
    network = network_of(model)
    x = torch.randint(2, (3, 1, 5, 6))
    pixels = torch.cat([torch.ones(3, 1, 5, 6), x * 2.0 - 1], 1)
    vertical = network.vertical
    # As in the paper: on the own row and the two above it, then moved down.
    v = F.conv2d(F.pad(pixels, (3, 3, 2, 0)), vertical.entry.weight, vertical.entry.bias)
    v = F.pad(v, (0, 0, 1, 0))[:, :, :-1]
    v[:, :, 0] = vertical.entry.bias[:, None]
    sums = vertical.convs[0](F.pad(v, (1, 1, 1, 0)))
    across = torch.einsum("oi,nihw->nohw", vertical.across[0].weight, sums)

    conv, layer, up = network.entry, network.layers[0].conv, network.up[0]
    own = conv.own.clone()
    own[:, 1, 0, -1] = 0  # mask A: the pixel itself, though not the constant
    stream = F.conv2d(F.pad(pixels, (3, 0, 0, 0)), own, conv.bias)
    a, b = (F.conv2d(F.pad(stream, (1, 0, 0, 0)), layer.own, layer.bias) + across).chunk(2, 1)
    out = F.conv2d(a.tanh() * b.sigmoid(), up.own, up.bias)
    residual, skip = out.chunk(2, 1)
    h = stream + residual + skip
    for last in network.head:
        h = F.conv2d(h.relu(), last.own, last.bias)
    torch.testing.assert_close(model(x).logits, h)


def test_residual_and_skip_connections_are_where_they_are_said_to_be():
    x = torch.randint(2, (3, 1, 4, 4))
    outs = {}
    for residual, skip in itertools.product((True, False), repeat=2):
        torch.manual_seed(0)
        model = make(
            ar.RowLSTM, event_shape=(1, 4, 4), symbols=2, residual=residual, skip=skip, layers=1
        )
        network = network_of(model)
        for parameter in network.up.parameters():
            nn.init.zeros_(parameter)
        outs[residual, skip] = model(x).logits
        # With nothing from the layers the entry is all that the head has, or not even that.
        assert (outs[residual, skip].std(0) > 0).any() == residual


# Drawing and completing


@every_family
def test_frequencies_of_samples_are_the_probabilities(family):
    torch.manual_seed(0)
    model = make(family, event_shape=(2, 2, 1), symbols=2, scales=(2,))
    states = all_states(model.symbols.levels)
    probability = model.log_prob(states.view(-1, 2, 2, 1)).detach().exp()
    count = 20_000
    x = model.sample(count, generator=torch.Generator().manual_seed(0)).flatten(1)
    index = (x * 2 ** torch.arange(3, -1, -1)).sum(1)
    observed = index.bincount(minlength=16)
    expected = count * probability
    statistic = float(((observed - expected).square() / expected).sum())
    assert statistic < chi2.ppf(1 - 1e-6, 15)


@every_family
@pytest.mark.parametrize("scales", [(), (2,)], ids=str)
def test_completion_is_exact_for_what_comes_first_and_refused_otherwise(family, scales):
    model = make(family, event_shape=(1, 2, 3), symbols=2, scales=scales)
    ordering = model.members[0].ordering
    states = all_states(model.symbols.levels).view(-1, 1, 2, 3)
    log_prob = model.log_prob(states)
    known = torch.zeros(6, dtype=torch.bool)
    known[ordering.visit[:3]] = True
    x = states[37:38]
    agree = (states.flatten(1) == x.flatten(1))[:, known].all(1)
    exact = log_prob - log_prob[agree].logsumexp(0)
    drawn, given = model.complete(
        x.expand(50, -1, -1, -1), known.view(1, 2, 3), return_log_prob=True
    )
    assert torch.equal(drawn.flatten(1)[:, known], x.flatten(1)[:, known].expand(50, -1))
    index = (drawn.flatten(1) * 2 ** torch.arange(5, -1, -1)).sum(1)
    torch.testing.assert_close(given, exact[index])

    known[ordering.visit[0]] = False
    with pytest.raises(ValueError, match="fixed order"):
        model.complete(x, known.view(1, 2, 3))


# Context


@every_family
@pytest.mark.parametrize("scales", [(), (2,)], ids=str)
def test_context_changes_the_distribution_and_only_through_its_door(family, scales):
    model = make(family, event_shape=(1, 3, 3), symbols=2, context=4, scales=scales)
    x, context = torch.randint(2, (5, 1, 3, 3)), torch.randn(5, 4)
    one, other = model.log_prob(x, context), model.log_prob(x, context + 1)
    assert not torch.isclose(one, other).any()
    torch.testing.assert_close(model.log_prob(x[:2], context[:2]), one[:2])  # each row its own

    doors = [p for name, p in model.named_parameters() if ".context." in name]
    assert all(p.shape[1] == 4 for p in doors)
    for door in doors:
        nn.init.zeros_(door)
    assert torch.equal(model.log_prob(x, context), model.log_prob(x, context + 1))
    with pytest.raises(ValueError, match="context"):
        model.log_prob(x)


@every_family
def test_each_row_of_an_unrolled_batch_has_its_own_context(family):
    model = make(family, event_shape=(1, 3, 3), symbols=2, context=4, scales=(2,))
    context = torch.randn(6, 4)
    ar.check_faces(model, rows=6, context=context)


# Storage, precision, memory, mistakes


@every_family
def test_a_saved_model_is_the_same_model(family, tmp_path):
    model = make(family, event_shape=(3, 4, 4), symbols=5, scales=(2,), context=2, head=5)
    ar.save(model, tmp_path)
    other = ar.load(tmp_path).double()
    x, context = torch.randint(5, (3, 3, 4, 4)), torch.randn(3, 2)
    assert torch.equal(model.log_prob(x, context), other.log_prob(x, context))
    assert other.options == model.options


@every_family
def test_a_likelihood_does_not_depend_on_how_many_are_measured_at_once(family):
    model = make(family, event_shape=(1, 4, 4), symbols=2)
    x = torch.randint(2, (7, 1, 4, 4))
    whole = model.log_prob(x)
    model.chunk_rows = 3
    torch.testing.assert_close(model.log_prob(x), whole)


@every_family
@pytest.mark.parametrize("scales", [(), (2,)])
def test_dropout_is_in_the_objective_and_never_in_the_likelihood(family, scales):
    options = {"event_shape": (1, 4, 4), "symbols": 3, "scales": scales}
    model = make(family, dropout=0.5, **options).train()
    without = make(family, **options)
    without.load_state_dict(model.state_dict())
    x = torch.randint(3, (7, 1, 4, 4))
    assert torch.equal(model.log_prob(x), -without.objective(x))
    assert not torch.equal(model.objective(x), model.objective(x))


@pytest.mark.slow
@every_family
def test_training_in_bfloat16_learns(family):
    torch.manual_seed(0)
    x = torch.randint(2, (64, 1, 4, 1)).expand(-1, -1, -1, 4)
    model = family((1, 4, 4), 2, layers=2, features=8).float()
    fitted = ar.fit(
        model, x, quiet=True, max_epochs=40, batch_size=16, lr=1e-2, precision="bfloat16"
    )
    assert fitted.history[0]["train_nats"] > 6
    # A row's first pixel is a coin, and the others are as it is.
    assert ar.evaluate(model, x).nats < 4 * np.log(2) + 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"event_shape": 784}, r"\(C, H, W\)"),
        ({"event_shape": (1, 2, 2), "symbols": (2, 2, 3, 2)}, "same number of levels"),
        ({"event_shape": (3, 4, 4), "symbols": 2, "features": 2}, "features must be at least 3"),
        ({"event_shape": (3, 4, 4), "ordered": False, "head": 2}, "head must be at least 3"),
        ({"event_shape": (1, 4, 4), "layers": 0}, "layers and widths must be at least 1"),
        ({"event_shape": (1, 4, 4), "scales": (3, 2)}, "multiple of the next"),
        ({"event_shape": (1, 4, 4), "scales": (2, 2)}, "multiple of the next"),
        ({"event_shape": (1, 4, 4), "scales": (1,)}, "above 1"),
        ({"event_shape": (1, 4, 4), "dropout": 1.0}, "dropout must be"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ar.PixelCNN(**options)
