"""Files, contexts and weights that claim what is not so are refused in one sentence, at once."""

from __future__ import annotations

import io
import json
import os
import resource
import zipfile
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import run
from families import FAMILIES
from torch import Tensor

import autoregress as ar
from autoregress.data import read
from autoregress.disk import read_json
from autoregress.symbols import Columns

# Pipes and devices


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.csv", "x.png", "x.mp4", "x"])
def test_a_pipe_is_refused_without_waiting(name, tmp_path):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name} is a pipe or a device; give a file"):
        read(tmp_path / name)


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused(name, capsys):
    with pytest.raises(ValueError, match=f"{name} is a pipe or a device"):
        read(name)
    with pytest.raises(ValueError, match=f"{name} is a pipe or a device"):
        read_json(Path(name), dict[str, Any])


def test_a_pipe_in_the_place_of_a_file_of_a_model_or_a_run(tmp_path):
    x = torch.arange(16).view(8, 2) % 2
    ar.fit(ar.MADE(2, hidden=(3,)), x, run=tmp_path, max_epochs=1, quiet=True)
    for name in ("model.safetensors", "last.json", "config.json"):
        (tmp_path / name).unlink()
        os.mkfifo(tmp_path / name)
        opened: dict[str, Any] = {"run": tmp_path, "max_epochs": 2, "quiet": True}
        with pytest.raises(ValueError, match=f"{name} is a pipe or a device"):
            ar.fit(ar.MADE(2, hidden=(3,)), x, **opened) if "last" in name else ar.load(tmp_path)


def test_tables_of_further_labels_are_not_pipes(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\nx,1\ny,2\n")
    os.mkfifo(tmp_path / "b.csv")
    with pytest.raises(ValueError, match=r"b\.csv is a pipe"):
        read(tmp_path / "a.csv", labels_from=(tmp_path / "b.csv",))


# Claims


@pytest.fixture
def little_memory() -> Iterator[None]:
    """512 MB beyond what the process has."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def npy(shape: str, content: bytes = bytes(12), dtype: str = "'|u1'") -> bytes:
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


SHAPES = ("(10**12, 3)", "(1000000000000, 3)", "(9223372036854775808, 3)", "(-4, 3)", "(5, 3)")
HEADERS = {
    **{shape: npy(shape) for shape in SHAPES},
    "no quote": npy("(4, 3)").replace(b"'shape'", b"'shape"),
    "no end": npy("(4, 3").replace(b"}", b" "),
    "deep": npy("(" * 5000),
    "objects": npy("(4, 3)", dtype="'|O'"),
    "records": npy("(4, 3)", dtype="[('a', '|u1')]"),
    "nothing": npy("(1000000000000, 3)", dtype="'<U0'"),
    "neither": npy("(4, 3)", b"\2" * 12, dtype="'|b1'"),
}


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_do_not_fit_their_files(name, suffix, tmp_path, little_memory):
    path = tmp_path / f"x{suffix}"
    if suffix == ".npy":
        path.write_bytes(HEADERS[name])
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", HEADERS[name])
    with pytest.raises(ValueError, match=rf"x\{suffix}\b.*") as caught:
        read(path)
    assert "memory" not in str(caught.value)


def test_an_archive_that_claims_more_than_its_bytes_can_become(tmp_path, little_memory):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy("(8000000000, 3)"))
        (info,) = archive.infolist()
        info.file_size = 24 * 10**9 + 128
    (tmp_path / "x.npz").write_bytes(file.getvalue())
    with pytest.raises(ValueError, match=r"x\.npz is damaged: an array of shape \(8000000000, 3\)"):
        read(tmp_path / "x.npz")


def test_an_encrypted_archive(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 3), np.uint8))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    for mark, offset in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        content[content.index(mark) + offset] |= 1
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.npz is encrypted"):
        read(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("dim", "message"),
    [
        (25, r"dim is 25, which does not fit an array of shape \(4, 3\) and uint8"),
        (16, "dim is 16, which does not fit"),
        (-1, "dim is -1, which does not fit"),
        (2**62, "dim is 4611686018427387904, which does not fit"),
        (1.5, r"dim is the number of bits of a row, not float64 \(\)"),
        ([9, 9], r"dim is the number of bits of a row, not int64 \(2,\)"),
        ("24", "dim is the number of bits of a row, not <U2"),
    ],
)
def test_a_number_of_bits_that_does_not_fit(dim, message, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.ones((4, 3), np.uint8), dim=dim)
    with pytest.raises(ValueError, match=rf"x\.npz: {message}"):
        read(tmp_path / "x.npz")


def test_a_number_of_bits_that_fits(tmp_path):
    for dim in (17, 24, 3):
        np.savez(tmp_path / "x.npz", x=np.ones((4, 3), np.uint8), dim=dim)
        assert read(tmp_path / "x.npz").x.shape == (4, dim)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (np.zeros((3, 2)), "context has 3 rows for 4 examples"),
        (np.zeros((4, 0)), r"not one of shape \(4, 0\)"),
        (np.full((4, 2), np.nan), "row 0 of the context is not finite"),
        (np.array([[0.0, 1], [1, 1e300], [0, 1], [0, 1]]), "row 1 of the context is not finite"),
        (np.zeros((4, 2, 2)), "a condition must be"),
        (np.zeros(4), "a condition must be"),
        (np.array(1), "a condition must be"),
    ],
)
def test_conditions_that_do_not_fit(condition, message, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.ones((4, 3), np.uint8), y=condition)
    with pytest.raises(ValueError, match=rf"x\.npz: .*{message}"):
        read(tmp_path / "x.npz", condition="y")


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "[]", "1", '{"model": 3}', "NaN"]
)
@pytest.mark.parametrize("name", ["config.json", "last.json", "log.jsonl"])
def test_nonsense_in_the_files_of_a_run(name, text, tmp_path, capsys):
    x = torch.arange(16).view(8, 2) % 2
    ar.fit(ar.MADE(2, hidden=(3,)), x, run=tmp_path, max_epochs=1, quiet=True)
    (tmp_path / name).write_text(text + "\n")
    if name == "log.jsonl":
        assert run("info", tmp_path) == 2
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        assert f"{tmp_path / name} is damaged: " in message
    else:
        with pytest.raises(ValueError, match=rf"{name} is damaged"):
            ar.fit(ar.MADE(2, hidden=(3,)), x, run=tmp_path, max_epochs=2, quiet=True)


@pytest.mark.parametrize(
    "change",
    [
        {"event_shape": [10**12]},
        {"event_shape": [0, 2]},
        {"event_shape": []},
        {"event_shape": ["2"]},
        {"symbols": 10**30},
        {"symbols": True},
        {"columns": {"names": ["a"], "labels": []}},
        {"splits": {"../x": {}}},
        {"splits": {"train": {"sha256": "", "shards": []}}},
        {
            "splits": {
                "train": {"sha256": "", "shards": [{"examples": -1, "bytes": 0, "sha256": ""}]}
            }
        },
        {"splits": []},
    ],
)
def test_an_index_that_does_not_fit_its_shards(change, tmp_path, little_memory):
    data = ar.data.Data(torch.arange(12).view(6, 2) % 3, 3)
    ar.data.write_shards(tmp_path, {"train": data})
    index = json.loads((tmp_path / "shards.json").read_text())
    (tmp_path / "shards.json").write_text(json.dumps(index | change))
    with pytest.raises(ValueError, match=r"shards\.json is damaged: "):
        ar.data.open(tmp_path, split="train")


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1])
def test_weights_whose_header_has_no_such_length(length, tmp_path, little_memory):
    ar.save(ar.MADE(2, hidden=(3,)), tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        ar.load(tmp_path)


# Contexts


def doors(model: ar.AutoregressiveModel, x: Tensor) -> dict[str, Callable[[Any], object]]:
    """Everything that takes a context, given one."""
    known = torch.zeros(model.event_shape, dtype=torch.bool)
    right = torch.ones(len(x), model.context) if model.context else None
    train = {"max_epochs": 1, "quiet": True}
    return {
        "log_prob": lambda c: model.log_prob(x, c),
        "surprisal": lambda c: model.surprisal(x, c),
        "member_log_probs": lambda c: model.member_log_probs(x, c),
        "conditional_log_prob": lambda c: model.conditional_log_prob(x, known, c),
        "sample": lambda c: model.sample(len(x), c),
        "complete": lambda c: model.complete(x, known, c),
        "traverse": lambda c: model.traverse(lambda _, p: p.sample(), len(x), context=c),
        "encode": lambda c: ar.encode(model, x, context=c),
        "decode": lambda c: ar.decode(model, ar.encode(model, x, context=right), context=c),
        "evaluate": lambda c: ar.evaluate(model, x, context=c),
        "fit": lambda c: ar.fit(model, x, context=c, **train),
        "valid": lambda c: ar.fit(model, x, context=right, valid=x, valid_context=c, **train),
    }


DOORS = list(doors(FAMILIES["MADE"](), torch.zeros(4, 2, 3, dtype=torch.int64)))
WRONG: dict[str, Any] = {
    "none": None,
    "rows": torch.zeros(3, 2),
    "features": torch.zeros(4, 3),
    "flat": torch.zeros(4),
    "number": 1.0,
    "nan": np.array([[0, 1], [0, np.nan], [0, 1], [0, 1]]),
    "infinite": torch.full((4, 2), -torch.inf),
    "too large for float32": torch.full((4, 2), 1e300, dtype=torch.float64),
    "complex": torch.zeros(4, 2, dtype=torch.complex64),
    "texts": [["a", "b"]] * 4,
    "ragged": [[1, 2], [1], [1, 2], [1, 2]],
}
RIGHT: dict[str, Any] = {
    "float64": torch.ones(4, 2, dtype=torch.float64),
    "float16": torch.ones(4, 2, dtype=torch.float16),
    "integers": torch.ones(4, 2, dtype=torch.int64),
    "bits": torch.ones(4, 2, dtype=torch.bool),
    "array": np.ones((4, 2), ">f8"),
    "lists": [[1, 1]] * 4,
}


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("family", ["MADE", "PixelCNN", "VideoTransformer", "Mixture"])
def test_contexts_are_converted_or_refused_alike_everywhere(family, door):
    model = FAMILIES[family](context=2)
    x = model.sample(4, torch.ones(4, 2))
    opened = doors(model, x)[door]
    for context in WRONG.values():
        with pytest.raises(ValueError, match="context"):
            opened(context)
    for context in RIGHT.values():
        opened(context)
    opened = doors(FAMILIES[family](), x)[door]
    for context in (torch.zeros(4, 2), np.zeros((4, 1)), torch.zeros(4, 0), torch.zeros(1, 2)):
        with pytest.raises(ValueError, match=r"takes no context|context has"):
            opened(context)


def test_a_context_of_validation_examples_that_are_not_there():
    x = torch.zeros(4, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match="valid_context is given without validation examples"):
        ar.fit(ar.MADE(2, hidden=(2,)), x, valid_context=torch.zeros(4, 2), quiet=True)


# No probabilities, no draws


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_that_are_not_finite_draw_save_and_encode_nothing(family, tmp_path):
    model = FAMILIES[family]()
    x, known = model.sample(3), torch.zeros(model.event_shape, dtype=torch.bool)
    content = ar.encode(model, x)
    for parameter, wrong in zip(
        model.parameters(), cycle([torch.nan, torch.inf, -torch.inf]), strict=False
    ):
        before = parameter.detach().clone()
        with torch.no_grad():
            parameter.view(-1)[-1:] = wrong
        for draws in (
            lambda: model.sample(3),
            lambda: model.sample(3, temperature=0.5),
            lambda: model.complete(x, known),
            lambda: ar.encode(model, x),
            lambda: ar.save(model, tmp_path),
        ):
            with pytest.raises(ValueError, match="the model gives no probabilities: "):
                draws()
        with torch.no_grad():
            parameter.copy_(before)
    assert not list(tmp_path.iterdir())
    assert torch.equal(ar.decode(model, content), x)


def test_weights_that_are_not_finite_are_not_loaded(tmp_path):
    from autoregress.storage import model_config, write_weights

    model = FAMILIES["MADE"]()
    ar.save(model, tmp_path)
    state = model.state_dict()
    state["output.bias"][0] = torch.nan
    write_weights(tmp_path / "model.safetensors", state, model_config(model))
    with pytest.raises(ValueError, match=r"model\.safetensors: .*output\.bias holds NaN or inf"):
        ar.load(tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_any_temperature_draws(family):
    model = FAMILIES[family]()
    for temperature in (1e-300, 1e-5, 1e300):
        model.symbols.check(model.sample(3, temperature=temperature))


# Few characters, few examples


@pytest.mark.slow
def test_a_repr_is_short():
    names = tuple(map(str, range(30_000)))
    columns = Columns(names, (("a", "b"),) * 30_000)
    symbols = ar.data.Data(torch.zeros(1, 30_000, dtype=torch.uint8), 2, columns).symbols
    orders = [list(range(30_000))]
    model = ar.MADE(30_000, [2, 3] * 15_000, hidden=(2,), orderings=orders, ordered=[True] * 30_000)
    reading = ar.data.Reading(levels=(2,) * 30_000)
    for value in (columns, symbols, model, model.symbols, model.config, model.members, reading):
        assert len(repr(value)) < 2000
    assert repr(symbols) == "Symbols((30000,), 2)"


def test_no_examples_have_no_likelihoods():
    for build in FAMILIES.values():
        model = build()
        x = torch.zeros(0, *model.event_shape, dtype=torch.int64)
        known = torch.zeros(model.event_shape, dtype=torch.bool)
        assert model.log_prob(x).shape == model.conditional_log_prob(x, known).shape == (0,)
        assert model.surprisal(x).shape == model.complete(x, known).shape == x.shape
        with pytest.raises(ValueError, match="count must be at least 1, got 0"):
            model.sample(0)


def test_a_score_of_one_example_has_no_error():
    score = ar.evaluate(FAMILIES["MADE"](), torch.zeros(1, 2, 3, dtype=torch.int64))
    assert str(score) == f"{score.nats:.4f} nats, {score.bits_per_dim:.4f} bits/dim (1 example)"


def test_no_clip_is_continued_backwards():
    model: Any = FAMILIES["VideoTransformer"](priming=(0, 1))
    x = model.sample(2)
    assert torch.equal(model.continue_clip(x, 0), x)
    with pytest.raises(ValueError, match="frames to add must be at least 0, got -1"):
        model.continue_clip(x, -1)
