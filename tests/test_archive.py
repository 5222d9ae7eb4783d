"""Archives: chunks that stand alone, in bounded memory, and the model inside."""

from __future__ import annotations

import gc
import io
import os
import random
import threading
import weakref
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import whole
from families import FAMILIES
from fuzz import damaged
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import autoregress as ar
from autoregress import coding
from autoregress.archive import manifest, writing
from autoregress.archive.contents import Contents
from autoregress.archive.weights import pack_model, unpack_model
from autoregress.container import (
    MANIFEST,
    WEIGHTS,
    Chunk,
    Header,
    Index,
    find_index,
    frame,
    read_frame,
    read_header,
)
from autoregress.portable import prepared
from autoregress.storage import digest

COUNT = 700


@pytest.fixture(autouse=True)
def _few_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding, "SIDE_BY_SIDE", 256)


@pytest.fixture(scope="module")
def model() -> ar.MADE:
    torch.manual_seed(0)
    return ar.MADE(9, symbols=2, hidden=(5,))


@pytest.fixture(scope="module")
def x(model: ar.MADE) -> Tensor:
    return model.sample(COUNT, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def content(model: ar.MADE, x: Tensor) -> bytes:
    """Examples in three chunks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coding, "SIDE_BY_SIDE", 256)
        patch.setattr(writing, "CHUNK_BYTES", 100)
        return ar.encode(model, x)


def index_of(content: bytes) -> tuple[Index, int]:
    found = find_index(io.BytesIO(content), len(content))
    assert found is not None
    return found


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 8]) + content[place + 1 :]


def rest(x: Tensor, lost: list[range]) -> Tensor:
    gone = {n for part in lost for n in part}
    return x[[n for n in range(len(x)) if n not in gone]]


def test_the_index_finds_the_chunks(model, x, content):
    index, end = index_of(content)
    assert [count for count, _ in index.chunks] == [256, 256, 188]
    assert Header.parse(index.header) == read_header(io.BytesIO(content))
    assert torch.equal(ar.decode(model, content), x)
    file = io.BytesIO(content)
    for place in index.places(end):
        file.seek(place.offset)
        found = read_frame(file)
        assert found is not None
        assert Chunk.parse(found[1]).first == place.first


@given(data=st.data())
@settings(max_examples=8)
def test_any_example_alone_is_as_in_the_whole(model, x, content, data):
    archive = ar.Archive(content, model)
    assert len(archive) == COUNT
    for _ in range(3):
        row = data.draw(st.integers(-COUNT, COUNT - 1))
        assert torch.equal(archive[row], x[row])
    part = data.draw(st.slices(COUNT))
    step = 1 if part.step is None else part.step
    assert torch.equal(archive[part], x[list(range(COUNT))[part]]), step
    with pytest.raises(IndexError, match="out of range for 700"):
        archive[COUNT]


def test_all_examples_one_after_another(model, x, content):
    assert torch.equal(torch.stack(list(ar.Archive(content, model))), x)
    parts = list(ar.Archive(content, model).parts())
    assert [part.first for part in parts] == [0, 256, 512]


# Damage


def test_damage_loses_the_chunk_that_it_touches_and_no_other(model, x, content):
    index, end = index_of(content)
    wrong = content
    for place in index.places(end):
        for at in range(place.offset, place.offset + place.length):
            wrong = flipped(content, at)
            with pytest.raises(ValueError, match=r"damaged|cut short|contradict"):
                list(Contents(io.BytesIO(wrong)).chunks())
            contents = Contents(io.BytesIO(wrong), skips=True)
            assert sum(chunk.count for chunk in contents.chunks()) == COUNT - place.count
            assert contents.lost == [range(place.first, place.first + place.count)]
    archive = ar.Archive(wrong, model, on_damage="skip")
    assert torch.equal(torch.stack(list(archive)), x[:512])
    with pytest.raises(ValueError, match="damaged"):
        ar.decode(model, wrong)
    with pytest.warns(UserWarning, match="examples 512 to 699 are lost: the bytes are damaged"):
        left = ar.decode(model, wrong, on_damage="skip")
    assert torch.equal(left, x[:512])
    with pytest.raises(ValueError, match="example 600 is lost"):
        archive[600]
    assert torch.equal(archive[511], x[511])


@pytest.mark.parametrize("part", ["header", "index"])
def test_chunks_are_found_without_header_or_index(model, x, content, part):
    _, end = index_of(content)
    for at in (12, 30) if part == "header" else (end, len(content) - 1):
        wrong = flipped(content, at)
        with pytest.raises(ValueError, match=r"damaged|cut short"):
            ar.decode(model, wrong)
        archive = ar.Archive(wrong, model, on_damage="skip")
        assert torch.equal(torch.stack(list(archive)), x)
        assert (archive.lost, archive.cut, len(archive)) == ([], False, COUNT)


def test_a_file_that_is_cut_keeps_its_whole_chunks(model, x, content):
    index, end = index_of(content)
    places = index.places(end)
    head = places[0].offset
    for length in range(head, len(content)):
        archive = Contents(io.BytesIO(content[:length]), skips=True)
        whole = [p for p in places if p.offset + p.length <= length]
        assert archive.places == whole
        assert archive.cut == (len(whole) < 3)
        assert archive.lost == []
    short = content[: places[1].offset + 9]
    with pytest.warns(UserWarning, match="the bytes are cut short after 256 examples"):
        assert torch.equal(ar.decode(model, short, on_damage="skip"), x[:256])


def test_chunks_may_be_missing_or_doubled(model, x, content):
    index, end = index_of(content)
    first, second, third = (content[p.offset : p.offset + p.length] for p in index.places(end))
    head = content[: index.places(end)[0].offset]
    archive = ar.Archive(head + first + third, model, on_damage="skip")
    assert torch.equal(torch.stack(list(archive)), torch.cat([x[:256], x[512:]]))
    assert archive.lost == [range(256, 512)]
    archive = ar.Archive(head + first + first + second + third, model, on_damage="skip")
    assert torch.equal(torch.stack(list(archive)), x)
    for wrong in (head + first + third, head + second + third, head, head + third):
        with pytest.raises(ValueError, match=r"damaged|cut short"):
            ar.decode(model, wrong)


def survives(content: bytes, chunks: dict[int, Chunk], seed: int) -> bool:
    """Whether all chunks are found in damaged bytes; raises AssertionError if others are."""
    generator = random.Random(seed)
    wrong = damaged(content, generator)
    try:
        contents = Contents(io.BytesIO(wrong), skips=generator.random() < 0.7)
        found = list(contents.chunks())
    except ValueError:
        return False
    for chunk in found:
        assert chunk == chunks[chunk.first], seed
    return len(found) == len(chunks)


@pytest.mark.slow
def test_20000_corruptions_find_the_right_chunks_or_none(content):
    index, end = index_of(content)
    file, chunks = io.BytesIO(content), dict[int, Chunk]()
    for place in index.places(end):
        file.seek(place.offset)
        found = read_frame(file)
        assert found is not None
        chunks[place.first] = Chunk.parse(found[1])
    whole = sum(survives(content, chunks, seed) for seed in range(20_000))
    assert 0 < whole < 20_000


def test_an_index_that_lies(model, content):
    _, end = index_of(content)
    header = read_header(io.BytesIO(content)).content()
    huge = [(2**62, 10), (1, 2**62), (2**61, 1)] * 9
    for chunks in (huge, [(256, end)], [(256, 1)] * 3, [(2**63 - 1, 2**63 - 1)]):
        with pytest.raises(ValueError, match=r"damaged|cut short"):
            ar.decode(model, content[:end] + Index(header, chunks).packed())


@pytest.mark.parametrize("shape", [(2**62,), (2**31, 2**31), (), (0,), (9,) * 9])
def test_a_header_that_lies(model, content, shape):
    header = read_header(io.BytesIO(content))
    lies = Header(header.model, "MADE", shape, ((2, False, 9),), 256)
    with pytest.raises(ValueError, match="contradict each other"):
        ar.decode(model, lies.packed() + content[len(header.packed()) :])


def test_a_planted_mark_does_not_take_for_ever(model, content):
    """Scanning reads a bounded number of times the bytes of the file."""
    head = content[: len(read_header(io.BytesIO(content)).packed())]
    planted = (b"\xa4C" + b"\xff\xff\x3f") * 20_000
    archive = Contents(io.BytesIO(head + planted), skips=True)
    assert archive.places == []


# Streams


@pytest.mark.slow
def test_examples_come_and_go_in_bounded_memory(model, monkeypatch):
    monkeypatch.setattr(writing, "CHUNK_BYTES", 100)
    alive: weakref.WeakSet[Tensor] = weakref.WeakSet()

    def endless():
        for n in range(16):
            batch = model.sample(64)
            alive.add(batch)
            assert len(alive) <= 8, n
            yield batch

    file = io.BytesIO()
    size = ar.encode_to(file, model, endless())
    assert size == len(file.getvalue())
    alive.clear()
    for part in ar.Archive(file, model).parts():
        alive.add(part.x)
        gc.collect()
        assert len(alive) <= 2


def test_through_a_pipe(model, x, content):
    read, write = os.pipe()

    def fill() -> None:
        with os.fdopen(write, "wb") as file:
            ar.encode_to(file, model, iter(x.split(100)))

    thread = threading.Thread(target=fill)
    thread.start()
    with os.fdopen(read, "rb") as file:
        archive = ar.Archive(file, model)
        assert torch.equal(torch.stack(list(archive)), x)
        with pytest.raises(TypeError, match="through a pipe"):
            len(archive)
    thread.join()
    for wrong in (content[:-400], flipped(content, 200)):
        read, write = os.pipe()
        os.write(write, wrong)
        os.close(write)
        with os.fdopen(read, "rb") as file, pytest.raises(ValueError, match=r"cut short|damaged"):
            list(ar.Archive(file, model))


def test_from_a_file_whose_name_the_errors_give(model, x, content, tmp_path):
    path = tmp_path / "x.areg"
    ar.encode_to(path, model, x)
    assert torch.equal(ar.Archive(path, model)[:], x)
    path.write_bytes(flipped(content, 150))
    with pytest.raises(ValueError, match=r"x\.areg: the encoded examples are damaged"):
        list(ar.Archive(path, model))
    with pytest.raises(ValueError, match=r"x\.areg: the model is not in the encoded examples"):
        ar.Archive(path)


def test_contexts_are_those_of_the_examples(monkeypatch):
    monkeypatch.setattr(writing, "CHUNK_BYTES", 100)
    model = ar.MADE(9, symbols=2, hidden=(5,), context=2)
    context = torch.randn(COUNT, 2)
    x = model.sample(COUNT, context)
    content = ar.encode(model, x, context=context)
    archive = ar.Archive(content, model, context=context)
    assert torch.equal(archive[300:600], x[300:600])
    with pytest.raises(ValueError, match="this model takes a context"):
        ar.Archive(content, model)[0]
    with pytest.raises(ValueError, match="context"):
        ar.Archive(content, model, context=context[:5])


def test_unknown_entries_come_back(monkeypatch):
    model = ar.MADE(6, symbols=(2, 5, 3, 2, 4, 3), hidden=(8,), gaps=True, ordered=True)
    x = model.sample(300)
    x[torch.rand(300, 6) < 0.2] = -1
    x[:, 2] = -1
    x[7] = -1
    done = list[int]()
    content = ar.encode(model, x, on_progress=lambda n, _: done.append(n))
    assert torch.equal(ar.decode(model, content), x)
    assert done[-1] == x.numel()


# The model inside


@pytest.mark.parametrize("name", whole.MODELS)
def test_files_with_the_model_inside_are_read_for_ever(name):
    with np.load(whole.SYMBOLS) as file:
        x = torch.from_numpy(file[name]).long()
    assert torch.equal(ar.decode(whole.path_of(name).read_bytes()), x)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_is_in_the_file(family, dtype):
    model = FAMILIES[family]()
    x = model.sample(5)
    model.to(dtype)
    content = ar.encode(model, x, with_model=True)
    assert torch.equal(ar.decode(content), x)
    own = ar.Archive(content).model
    assert type(own) is type(model)
    state, other = own.state_dict(), prepared(model).state_dict()
    assert all(torch.equal(state[name].double(), other[name].double()) for name in other)
    with pytest.raises(ValueError, match="the model is not in the encoded examples"):
        ar.decode(ar.encode(model, x))


def test_another_model_inside_is_noticed(model, x):
    torch.manual_seed(1)
    other = ar.MADE(9, symbols=2, hidden=(5,))
    content = ar.encode(model, x[:5], with_model=True)
    own, wrong = (frame(WEIGHTS, pack_model(each)) for each in (model, other))
    assert own in content
    with pytest.raises(ValueError, match="not the one that encoded"):
        ar.decode(content.replace(own, wrong))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_a_damaged_model_is_refused(model, seed):
    generator, whole = random.Random(seed), pack_model(model)
    wrong = damaged(whole, generator)
    try:
        found = unpack_model(wrong)
    except ValueError:
        return
    assert all(t.isfinite().all() for t in found.state_dict().values())


@given(
    kind=st.sampled_from(["normal", "multiples", "constant", "bits", "huge"]),
    scale=st.floats(1e-30, 1e30),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=25)
def test_weights_come_back_to_the_bit(kind, scale, dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    model = ar.MADE(6, symbols=3, hidden=(20,))
    model.to(dtype)
    for weight in model.parameters():
        noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        values: dict[str, Any] = {
            "normal": noise,
            "multiples": (noise * 2**18).round() / 2**18,
            "constant": torch.full_like(noise, scale),
            "bits": (noise > 0).double() - 0.0,
            "huge": noise * scale,
        }
        weight.data = values[kind].to(dtype)
    state = unpack_model(pack_model(model)).state_dict()
    for name, weight in prepared(model).state_dict().items():
        assert torch.equal(state[name].double(), weight), name
    again = unpack_model(pack_model(unpack_model(pack_model(model))))
    assert digest(again.state_dict()) == digest(state)


def test_weights_cost_their_entropy():
    model = ar.MADE(100, symbols=2, hidden=(200,))
    for weight in model.parameters():
        weight.data.normal_(0, 0.1)
    # Of a normal distribution with that deviation, in the steps to which coding rounds it: 2⁻²⁰ of
    # the power of two above the largest, here 1/2.
    bits = 0.5 * np.log2(2 * np.pi * np.e * (0.1 * 2**21) ** 2)
    matrices, vectors = (
        sum(w.numel() for w in model.parameters() if (w.dim() > 1) == large)
        for large in (True, False)
    )
    assert 8 * len(pack_model(model)) < 1.01 * bits * matrices + 32 * vectors + 8 * 600


def test_a_manifest_is_kept(model, x, monkeypatch):
    file = io.BytesIO()
    ar.encode_to(file, model, x, manifest={"kind": "test", "names": ["ä"] * 3})
    assert ar.Archive(file, model).manifest == {"kind": "test", "names": ["ä"] * 3}
    content = file.getvalue()
    monkeypatch.setattr(manifest, "MOST", 2**16)
    deflate = zlib.compressobj(zdict=manifest.USUAL)
    bomb = deflate.compress(bytes(2**17)) + deflate.flush()
    start = len(read_header(io.BytesIO(content)).packed())
    with pytest.raises(ValueError, match="contradict"):
        Contents(io.BytesIO(content[:start] + frame(MANIFEST, bomb) + content[start:]))


def test_everything_is_verified_if_asked_for(model, x, monkeypatch):
    calls = list[int]()

    def count(name: str, size: Callable[..., int]) -> None:
        decode = getattr(coding.Packing, name)

        def counted(self: Any, *args: Any) -> Tensor:
            calls.append(size(*args))
            return decode(self, *args)

        monkeypatch.setattr(coding.Packing, name, counted)

    count("top", lambda size, context: size)
    count("sample", lambda x, context: len(x))
    ar.encode(model, x)
    assert calls == [32]
    ar.encode(model, x[:5])
    assert calls == [32, 5]
    ar.encode(model, x, verify=True)
    assert calls == [32, 5, 256, 32, 256, 188]


def test_a_model_that_gives_other_probabilities_at_every_call_is_refused(model, x, monkeypatch):
    unroll = type(model).unroll

    def unstable(self: Any, *args: Any, **kwargs: Any) -> Any:
        for weight in self.parameters():
            weight.mul_(-1)
        return unroll(self, *args, **kwargs)

    monkeypatch.setattr(type(model), "unroll", unstable)
    for examples in (x, x[:5]):
        with pytest.raises(ValueError, match="do not decode to themselves"):
            ar.encode(model, examples)
