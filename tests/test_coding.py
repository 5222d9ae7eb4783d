"""What was encoded comes back, in as many bits as the model says; what is wrong is said."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, cast

import numpy as np
import pytest
import torch
from families import FAMILIES
from hypothesis import given, settings
from hypothesis import strategies as st

from autoregress import coding
from autoregress.archive import decode, encode
from autoregress.conditionals import Bernoulli
from autoregress.container import CHUNK, LAST, Chunk, Header, read_frame, read_header
from autoregress.model import AutoregressiveModel

IMAGE: dict[str, Any] = {"event_shape": (3, 4, 4), "symbols": 4}
DEEP: dict[str, Any] = {"event_shape": (1, 4, 4), "symbols": 65536}
MADE, PIXELS, GATED = (FAMILIES[name] for name in ("MADE", "PixelCNN", "GatedPixelCNN"))
FEW = 256  # side by side, so that several batches are quick
MODELS: dict[str, Callable[[], AutoregressiveModel]] = {
    **FAMILIES,
    "bits": lambda: MADE(event_shape=9, symbols=2),
    "levels": lambda: MADE(event_shape=4, symbols=(2, 7, 3, 300), hidden=(20,)),
    "orderings": lambda: MADE(orderings=5),
    "many": lambda: MADE(event_shape=6, symbols=3, orderings="any").over_orderings(64),
    "context": lambda: MADE(event_shape=9, symbols=2, context=2),
    "labels": lambda: MADE(event_shape=9, symbols=2, labels=("a", "b", "c")),
    "gated": lambda: GATED(**IMAGE | {"symbols": 256}, scales=(2,)),
    "nominal": lambda: GATED(**IMAGE | {"symbols": 256}, ordered=False),
    "deep": lambda: PIXELS(**DEEP),
    "video": lambda: FAMILIES["VideoTransformer"](symbols=256),
    "ordered video": lambda: FAMILIES["ordered VideoTransformer"](symbols=256),
}


@pytest.fixture(autouse=True)
def _few_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding, "SIDE_BY_SIDE", FEW)


def made(name: str) -> Any:
    torch.manual_seed(0)
    model = MODELS[name]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    return model


def rows(model: AutoregressiveModel, count: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    context = torch.randn(count, model.context) if model.context else None
    if model.labels is not None:
        context = torch.eye(model.context)[torch.arange(count) % model.context]
    return model.sample(count, context), context


SLOW = {"many": pytest.mark.slow}


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW.get(name, ())) for name in MODELS])
def test_they_come_back_in_as_many_bits_as_the_model_says(name):
    model = made(name)
    count = 5 if "video" in name else FEW + 20
    x, context = rows(model, count)
    content = encode(model, x, context=context)
    assert torch.equal(decode(model, content, context=None if model.labels else context), x)
    bits = -model.log_prob(x, context).sum().item() / math.log(2)
    bits += count * math.log2(len(model.labels or "1"))
    _, chunks = parts_of(content)
    spent = 8 * sum(len(chunk.words) for chunk in chunks)
    # Which members they are costs only the first ones something; the rest get the bits back.
    each = 96 + 24 * math.log2(len(model.members))
    assert bits - 1 <= spent <= 1.001 * bits + each * len(chunks)
    # What frames them is no more than 0.1 %.
    assert len(content) - spent / 8 <= 80 + len(model.symbols.levels) + 0.001 * spent / 8


@pytest.mark.slow
@given(
    orderings=st.integers(1, 5),
    connectivities=st.sampled_from([1, 2]),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=25)
def test_members_and_gaps_of_any_kind_go_side_by_side(orderings, connectivities, share, seed):
    torch.manual_seed(seed)
    levels, kinds = (2, 5, 3, 2, 4, 3), (False, True, False, False, True, True)
    model = MADE(
        event_shape=6, symbols=levels, ordered=kinds, gaps=True, evidence=seed % 2 == 0,
        orderings=orderings, connectivities=connectivities, direct=True,
    )  # fmt: skip
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.3)
    x = model.sample(30)
    x[torch.rand(x.shape) < share] = -1
    traversals = list[int]()

    class Counted(type(model)):
        def traverse(self, choose: Any, batch: int, **options: Any) -> torch.Tensor:
            traversals.append(batch)
            return super().traverse(choose, batch, **options)

    model.__class__ = Counted
    packing = coding.Packing(model)
    packing.push(x, None, lambda _: None)
    # One for each connectivity, however many patterns of gaps and orderings there are.
    assert sum(traversals) == len(x)
    assert len(traversals) <= connectivities
    assert torch.equal(packing.top(len(x), None), x)


@pytest.mark.slow
@given(count=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
def test_unlikely_ones_come_back_too(count, seed):
    model = made("levels")
    generator = torch.Generator().manual_seed(seed)
    levels = torch.tensor(model.symbols.levels)
    x = (torch.rand(count, 4, generator=generator) * levels).long()
    with torch.no_grad():
        model.output.bias[:2] = torch.tensor([60.0, -60.0])
    assert torch.equal(decode(model, encode(model, x.numpy().astype(np.int16))), x)


def test_a_change_anywhere_is_found():
    model = made("bits")
    content = encode(model, rows(model, 7)[0])
    for place in range(len(content)):
        changed = content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]
        with pytest.raises(ValueError, match=r"autoregress compress|damaged|in format|cut short"):
            decode(model, changed)
    for length in range(len(content)):
        with pytest.raises(ValueError, match=r"autoregress compress|damaged|cut short"):
            decode(model, content[:length])
    with pytest.raises(ValueError, match="damaged"):
        decode(model, content + b"\0")


def test_another_model_is_refused():
    model, other = made("bits"), made("bits")
    x = rows(model, 7)[0]
    content = encode(model, x)
    assert torch.equal(decode(other, content), x)
    assert torch.equal(decode(other.double(), content), x)  # of the same weights
    with torch.no_grad():
        other.output.bias[0] += 1e-6
    for different in (other, MADE(event_shape=9, symbols=2, hidden=(20,))):
        with pytest.raises(ValueError, match="another model"):
            decode(different, content)


def test_another_context_or_other_probabilities_are_noticed(monkeypatch):
    model = made("context")
    x, context = rows(model, 50)
    content = encode(model, x, context=context)
    assert context is not None
    with pytest.raises(ValueError, match="differ from the encoded ones"):
        decode(model, content, context=-context)
    table = Bernoulli.table
    monkeypatch.setattr(Bernoulli, "table", lambda self: table(self) * 0.99 + 0.005)
    with pytest.raises(ValueError, match="computes other probabilities"):
        decode(model, content, context=context)


def test_what_cannot_be_encoded():
    model = made("bits")
    with pytest.raises(ValueError, match="no examples"):
        encode(model, torch.zeros(0, 9, dtype=torch.int64))
    with pytest.raises(ValueError, match="shape"):
        encode(model, torch.zeros(2, 8, dtype=torch.int64))
    with pytest.raises(ValueError, match="symbol"):
        encode(model, torch.full((2, 9), 2))
    with pytest.raises(ValueError, match="context has 3 rows for 2"):
        encode(made("context"), torch.zeros(2, 9, dtype=torch.int64), context=torch.zeros(3, 2))
    with torch.no_grad():
        model.output.bias[3] = torch.nan
    with pytest.raises(ValueError, match=r"no probabilities: output\.bias holds NaN"):
        encode(model, torch.zeros(2, 9, dtype=torch.int64))


def parts_of(content: bytes) -> tuple[Header, list[Chunk]]:
    """The header and the chunks of encoded examples."""
    file, chunks = io.BytesIO(content), list[Chunk]()
    header = read_header(file)
    while (found := read_frame(file)) is not None:
        if found[0] in (CHUNK, LAST):
            chunks.append(Chunk.parse(found[1]))
    return header, chunks


def forged(content: bytes, rows: int | None = None, **changes: Any) -> bytes:
    """Encoded examples with other numbers, and the right checksums."""
    header, (chunk,) = parts_of(content)
    header = replace(header, rows=header.rows if rows is None else rows)
    return header.packed() + replace(chunk, **changes).packed(last=True)


@cache
def seven_encoded(name: str) -> tuple[Any, bytes]:
    model = made("bits" if name == "sure" else name)
    if name == "sure":  # nearly, so that a symbol costs next to nothing
        with torch.no_grad():
            model.output.bias.fill_(-40)
    x, context = rows(model, 7)
    return model, encode(model, x, context=context)


LARGE = (10**6, 10**9, 2**32, 2**62, 2**63 - 1)


@pytest.mark.parametrize(
    "changes",
    [
        *({"count": count} for count in (0, 6, 8, *LARGE)),
        *({"count": count, "rows": rows} for count in LARGE for rows in (1, 7)),
        *({"rows": rows} for rows in (0, 1, 1025, 2**32 - 1, 2**63 - 1)),
        *({"first": first} for first in (1, *LARGE)),
        *({"words": words} for words in (b"", b"\1", bytes(8), b"\1" * 7, b"\1" * 4001)),
        *({"words": b"\xff" * 2000, "count": count} for count in LARGE),
    ],
)
@pytest.mark.parametrize("name", ["bits", "sure", "many", "labels", "ordered MADE"])
def test_numbers_that_the_payload_does_not_pay_for(name, changes):
    if name == "many" and ("words" in changes or changes.get("count", 0) not in (0, 8, LARGE[0])):
        return  # 64 members are slow
    if changes == {"rows": 1}:  # is seen by the ordering of the batches only
        return
    model, content = seven_encoded(name)
    with pytest.raises(ValueError, match=r"contradict each other|differ from the encoded ones"):
        decode(model, forged(content, **changes))


def test_any_number_of_sure_examples_comes_back():
    """Of symbols that cost nothing on an empty stack, there may be any number in a few bytes."""
    model = made("bits")
    with torch.no_grad():
        model.output.weight.zero_()
        model.output.bias.fill_(-40)
    x = torch.zeros(5000, 9, dtype=torch.int64)
    content = encode(model, x)
    assert len(content) < 70
    assert torch.equal(decode(model, content), x)
    with pytest.raises(ValueError, match="differ from the encoded ones"):
        decode(model, forged(content, count=6000))


def test_any_kind_of_bytes_and_nothing_else():
    model = made("bits")
    x = rows(model, 7)[0]
    content = encode(model, x)
    for kind in (bytes, bytearray, memoryview):
        assert torch.equal(decode(model, kind(content)), x)
    for other in ("a4reg", None, np.frombuffer(content, np.uint8), [1, 2]):
        with pytest.raises(ValueError, match="encoded examples are bytes, not a"):
            decode(model, cast(bytes, other))


@pytest.mark.slow
def test_a_digit_beyond_the_levels_is_noticed():
    """Five levels are coded as two digits of three values, which make nine."""
    model = made("ordered MADE")
    content = encode(model, model.sample(3))
    generator = random.Random(0)
    for _ in range(50):
        payload = generator.randbytes(40) + b"\1\0\0\0"
        with pytest.raises(ValueError, match="differ from the encoded ones"):
            decode(model, forged(content, words=payload))
