"""Coding uses the same probabilities, bit for bit, on every machine, and refuses what it cannot."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import constriction
import numpy as np
import portable_process
import pytest
import torch
from families import FAMILIES
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info
from torch import Tensor, nn
from torch.nn import functional as F

import autoregress as ar
from autoregress.grids import operands
from autoregress.portable import TOTAL, arithmetic, elementary, frequencies, prepared
from autoregress.traversal import Unrolling

DTYPES, GOLDEN = ("float32", "float64"), portable_process.GOLDEN
# Settings in which torch and its libraries take sums in other orders, with other instructions.
SETTINGS: dict[str, dict[str, str]] = {
    "default": {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE", "OMP_NUM_THREADS": "2"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "avx512": {"ATEN_CPU_CAPABILITY": "avx512", "OMP_NUM_THREADS": "4"},
    "capped": {"ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "without oneDNN": {"TORCH_MKLDNN": "0"},
}


def made(name: str, dtype: str = "float32") -> ar.AutoregressiveModel:
    torch.manual_seed(0)
    model = FAMILIES[name]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    return model.to(getattr(torch, dtype))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights, as random numbers differ between settings too."""
    folder = tmp_path_factory.mktemp("weights")
    for name in FAMILIES:
        for dtype in DTYPES:
            torch.save(made(name, dtype).state_dict(), folder / f"{name}--{dtype}.pt")
    return folder


@pytest.fixture(scope="module")
def here(weights: Path) -> dict[str, str]:
    return portable_process.main(str(weights))


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_every_family_has_the_same_bits_under_every_setting(name, weights, here):
    script = Path(__file__).parent / "portable_process.py"
    found = subprocess.run(
        [sys.executable, script, weights],
        env={**os.environ, **SETTINGS[name]},
        capture_output=True,
        text=True,
        check=True,
    )
    bits, decoded = json.loads(found.stdout)
    assert bits == here
    assert len(here) == len(DTYPES) * len(FAMILIES)
    assert len(decoded) > len(FAMILIES)
    assert all(decoded.values())


@pytest.mark.parametrize("name", FAMILIES)
def test_golden_files_are_decoded_for_ever(name):
    assert portable_process.golden(GOLDEN / name.replace(" ", "-"))


@pytest.mark.parametrize("name", ["MADE", "bits"])
def test_a_decoder_written_from_the_documentation_decodes_them(name):
    script = Path(__file__).parent / "numpy_decoder.py"
    found = subprocess.run(
        [sys.executable, script, GOLDEN / name], capture_output=True, text=True, check=True
    )
    printed = json.loads(found.stdout)
    assert np.array_equal(printed["symbols"], np.load(GOLDEN / name / "symbols.npy"))
    assert not printed["torch"]


@pytest.mark.slow
@pytest.mark.parametrize("threads", [2, 4])
def test_every_family_has_the_same_bits_with_any_number_of_threads(threads, weights, here):
    torch.set_num_threads(threads)
    try:
        assert portable_process.main(str(weights)) == here
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_row_has_the_same_bits_in_any_batch(name):
    model = made(name)
    x = portable_process.examples(model)
    together = portable_process.probabilities(model, x)
    for rows in ([2], [4, 2, 0], [1, 1, 1, 1, 1, 1, 1, 3, 2]):
        apart = portable_process.probabilities(model, x[rows])
        assert all(torch.equal(a[rows], b) for a, b in zip(together, apart, strict=True))


@pytest.mark.parametrize("ordered", [False, True])
def test_a_row_has_the_same_bits_beside_rows_of_other_orderings(ordered):
    torch.manual_seed(0)
    options: dict[str, Any] = {"orderings": 4, "direct": True, "conditioning": True}
    model = FAMILIES["MADE"](event_shape=(6,), symbols=5, ordered=ordered, **options)
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.5)
    x, chosen = portable_process.examples(model, 9), torch.arange(9) % 4
    together = portable_process.probabilities(model, x, chosen)
    for rows in ([2], [4, 2, 0], [1, 1, 1, 3, 8]):
        apart = portable_process.probabilities(model, x[rows], chosen[rows])
        assert all(torch.equal(a[rows], b) for a, b in zip(together, apart, strict=True))
    # Each in its own ordering, though it is computed in another way than alone.
    for member, own in enumerate(model.members):
        rows = chosen == member
        alone = portable_process.probabilities(model, x[rows])
        steps = len(alone) // len(model.members)
        for a, b in zip(together, alone[member * steps :][:steps], strict=False):
            assert torch.allclose(a[rows], b, atol=1e-5), own


@pytest.mark.parametrize("name", FAMILIES)
def test_they_are_those_of_the_model(name):
    """To a part of what coding in whole numbers costs; so the price is nothing."""
    model = made(name)
    x = portable_process.examples(model)
    log_probs = model.double().member_log_probs(x).T
    assert torch.allclose(portable_process.probabilities(model, x)[-1], log_probs, atol=1e-4)


# The arithmetic

FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "exp": (torch.exp, 1e-10),
    "expm1": (torch.expm1, 1e-9),
    "log": (lambda x: (x.abs() + 1e-300).log(), 3e-9),
    "log1p": (lambda x: x.abs().log1p(), 3e-9),
    "sigmoid": (torch.sigmoid, 1e-10),
    "tanh": (torch.tanh, 1e-9),
    "softplus": (F.softplus, 3e-9),
    "logsigmoid": (F.logsigmoid, 3e-9),
    "asinh": (torch.asinh, 3e-9),
    "gelu": (F.gelu, 1e-5),
    "silu": (F.silu, 1e-9),
    "elu": (F.elu, 1e-9),
    "softmax": (lambda x: x.softmax(-1), 1e-9),
    "log_softmax": (lambda x: x.log_softmax(-1), 3e-9),
    "logsumexp": (lambda x: x.logsumexp(-1), 3e-9),
    "layer_norm": (lambda x: F.layer_norm(x, x.shape[-1:]), 1e-9),
    "sum": (lambda x: x.sum(-1), 1e-9),
    "mean": (lambda x: x.mean(), 1e-9),
    "var": (lambda x: x.var(-1), 1e-9),
    "cumsum": (lambda x: x.cumsum(0), 1e-9),
    "rsqrt": (lambda x: (x.abs() + 1).rsqrt(), 1e-12),
    "matmul": (lambda x: x @ x.T, 1e-4),
    "addmm": (lambda x: torch.addmm(x, x, x.T, beta=2, alpha=3), 1e-4),
    "conv2d": (lambda x: F.conv2d(x[None, None], x[None, None, :3, :2], padding=1, stride=2), 1e-4),
    "conv_transpose": (
        lambda x: F.conv_transpose2d(x[None, None], x[None, None, :4, :4], stride=2, padding=1),
        1e-4,
    ),
    "attention": (
        lambda x: F.scaled_dot_product_attention(
            x[None], x[None], x[None], attn_mask=x[None, :, 0]
        ),
        1e-4,
    ),
    "einsum": (lambda x: torch.einsum("ij,kj->ik", x, x), 1e-4),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-3, 1.0, 30.0]))
def test_functions_are_nearly_those_of_torch(name, seed, scale):
    function, error = FUNCTIONS[name]
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(6, 6, generator=generator, dtype=torch.float64) * scale
    with arithmetic():
        found = function(x.clone()).clone()
    expected = function(x)
    assert found.dtype == expected.dtype
    assert torch.allclose(found, expected, rtol=error, atol=error * max(scale, scale**2))


@pytest.mark.parametrize(
    "name",
    [
        "exp",
        "expm1",
        "log",
        "log1p",
        "sigmoid",
        "tanh",
        "log_sigmoid",
        "erf",
        "one_over",
    ],
)
def test_elementary_functions_have_the_same_bits_on_an_accelerator(name):
    generator = torch.Generator().manual_seed(0)
    scales = torch.tensor([1e-320, 1e-9, 1e-3, 1, 10, 1e3, 1e300], dtype=torch.float64)
    x = torch.randn(6000, 7, generator=generator, dtype=torch.float64) * scales
    x[:3] = torch.tensor([[0.0], [math.inf], [math.nan]])
    with arithmetic(), torch._C._DisableTorchDispatch():
        here, there = getattr(elementary, name)(x), getattr(elementary, f"_{name}")(x)
    same = here.view(torch.int64) == there.view(torch.int64)
    assert (same | (here.isnan() & there.isnan())).all()


def test_one_thread_does_the_arithmetic():
    def threads() -> list[int]:
        blas = [each for each in threadpool_info() if each["user_api"] == "blas"]
        return [torch.get_num_threads(), *(each["num_threads"] for each in blas)]

    before = threads()
    with arithmetic():
        within = threads()
    assert set(within) == {1}
    assert threads() == before


# Large enough for every computation in parts, and odd enough for the last part to be smaller.
LARGE: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "products": (lambda x: x @ torch.ones(40, 96, dtype=torch.float64).tril(), (4001, 40)),
    "batched products": (lambda x: x[:, :1] @ x, (999, 12, 12)),
    "layer norm": (lambda x: F.layer_norm(x, x.shape[-1:]), (4001, 40)),
    "attention": (lambda x: F.scaled_dot_product_attention(x, x, x), (99, 2, 30, 24)),
    "masked attention": (
        lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=x[:, :, :, :1]),
        (99, 2, 30, 24),
    ),
    "short sums": (lambda x: x.sum(-1), (4001, 7)),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_row_has_the_same_bits_beside_any_number_of_others(name):
    function, shape = LARGE[name]
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with arithmetic():
        together = function(x.clone())
        for own in (slice(1), slice(500, 502), slice(-1, None)):
            assert torch.equal(together[own], function(x[own].clone()))


@pytest.mark.parametrize("batch", [3, 1100])
def test_vectors_that_many_products_share_are_rounded_once(batch):
    """Twice would round those whose largest number is just below a power of two differently."""
    length, width = 5, 64
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(length, batch, 1, width, generator=generator, dtype=torch.float64)
    x[..., 0] = 8 - 2.0**-30
    x[..., 1] = 2.0**-17 * 3  # on the first grid, between two numbers of the second
    with arithmetic():
        plain, kept = (x.new_zeros(batch, 1, length, width) for _ in range(2))
        operands(kept)
        for place, vector in enumerate(x):
            plain[:, :, place] = kept[:, :, place] = vector
            seen = slice(place + 1)
            expected, found = (
                F.scaled_dot_product_attention(
                    vector.unsqueeze(2), keys[:, :, seen], plain[:, :, seen]
                )
                for keys in (plain, kept)
            )
            assert torch.equal(found, expected)
        assert not torch.equal(kept, plain)
        kept += plain  # no longer vectors that were rounded one by one
        expected = x[0] @ kept.clone()[:, 0].mT
        assert torch.equal(x[0] @ kept[:, 0].mT, expected)


def test_roots_are_the_nearest_numbers():
    """As IEEE 754 demands, but not all libraries of a CPU fulfil."""
    x = torch.rand(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with arithmetic():
        roots = x.sqrt().tolist()
    assert roots == [math.sqrt(value) for value in x.tolist()]


@given(
    rows=st.integers(1, 6),
    levels=st.integers(2, 40),
    seed=st.integers(0, 2**32 - 1),
    sharp=st.sampled_from([0.1, 1.0, 100.0]),
)
def test_frequencies_are_whole_numbers_that_the_coder_uses_as_they_are(rows, levels, seed, sharp):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, levels, generator=generator, dtype=torch.float64) * sharp
    table = frequencies(logits.softmax(-1))
    assert (table >= 0).all()
    assert (table == np.floor(table)).all()
    assert (table.sum(1) == TOTAL - levels).all()
    symbols = torch.randint(levels, (rows,), generator=generator).numpy().astype(np.int32)
    stream: Any = constriction.stream  # type: ignore[attr-defined]
    coder = stream.stack.AnsCoder(np.array([0, 1], np.uint32))
    coder.encode_reverse(symbols, stream.model.Categorical(perfect=False), table)
    words, state = list[int](), 2**32
    for row, symbol in reversed(list(zip(table.astype(int) + 1, symbols.tolist(), strict=True))):
        own, below = int(row[symbol]), int(row[:symbol].sum())
        if state >= own << 40:
            words, state = [*words, state % 2**32], state >> 32
        state = (state // own << 24) + below + state % own
    words += [state % 2**32] + [state >> 32] * (state >= 2**32)
    assert coder.get_compressed().tolist() == words


@pytest.mark.parametrize("wrong", [[0.5, math.nan], [math.inf, 0.0], [0.7, 0.7]])
def test_what_is_no_distribution_has_no_frequencies(wrong):
    with pytest.raises(ValueError, match="no probabilities"):
        frequencies(torch.tensor([wrong], dtype=torch.float64))


# Families of others


class Independent(ar.AutoregressiveModel):
    """Independent bits, whose logits are a function of a weight."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__(3, 2)
        self.weight = nn.Parameter(torch.tensor([0.5, -1.0, 2.0]))
        self.function = function

    @property
    def members(self) -> list[ar.Member]:
        return [ar.Member(ar.Ordering.natural(3))]

    def forward(self, x: Tensor, context: Any = None, member: Any = None) -> Any:
        from autoregress.conditionals import Bernoulli

        return Bernoulli(self.function(self.weight).expand(len(x), 3))

    def unroll(self, batch: int, context: Any = None, member: Any = None) -> Unrolling:
        from autoregress.conditionals import Bernoulli

        for logit in self.function(self.weight):
            yield Bernoulli(logit.expand(batch))


def test_a_new_family_needs_no_line_of_its_own():
    model = Independent(
        lambda weight: torch.einsum("i,ij->j", weight.cos() * 0 + weight, torch.eye(3))
    )
    model.function = lambda weight: torch.einsum("i,ij->j", weight.tanh(), torch.eye(3))
    x = torch.tensor([[0, 1, 1], [1, 1, 0]])
    assert torch.equal(ar.decode(model, ar.encode(model, x)), x)


@pytest.mark.parametrize(
    ("name", "function"),
    {
        "cos": torch.cos,
        "randn": lambda weight: weight + torch.randn(3),
        "pow": lambda weight: weight.abs() ** 1.7,
        "_fft_r2c": lambda weight: torch.fft.rfft(weight).real[:1].expand(3),
        "prod": lambda weight: weight.prod() * weight,
    }.items(),
)
def test_an_operation_that_is_not_known_is_refused_by_name(name, function):
    with pytest.raises(ValueError, match=rf"the model computes .*{name}"):
        ar.encode(Independent(function), torch.zeros(2, 3, dtype=torch.int64))


def test_numbers_computed_apart_from_the_weights_are_refused():
    model = Independent(torch.tanh)
    model.register_buffer("waves", torch.ones(3).sin(), persistent=False)
    with pytest.raises(ValueError, match="computes waves when it is made"):
        ar.encode(model, torch.zeros(2, 3, dtype=torch.int64))


def test_weights_that_were_written_to_are_rounded_again():
    """So that no sum passes 2⁵³, a view that has been changed is no longer taken for rounded."""
    model = prepared(ar.MADE(4, symbols=3, hidden=(5,)))
    weight = next(p for p in model.parameters() if p.dim() == 2)
    x = torch.full((1, len(weight)), math.pi, dtype=torch.float64)
    with arithmetic():
        written = weight.clone()
        written[:, 1:].mul_(1 / 3)
        fresh = written.cpu().clone() + 0.0
        assert torch.equal(x @ written, x @ fresh)
        assert not torch.equal(written, fresh @ torch.eye(fresh.shape[1], dtype=fresh.dtype))
