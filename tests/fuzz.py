"""Damaged and hostile files at every door: they are read rightly, or refused in one sentence.

    python tests/fuzz.py [DOOR …] [--start SEED] [--cases N]

tries one seed after another at each door, without end unless --cases is given, and prints what
fails with its seed; ``--start SEED --cases 1`` repeats it.

A door is a function of a random generator and an empty folder. It writes a damaged file there, and
returns the text that an error must contain (the name of the file) and a function that opens the
file. That function checks what it read, if it can read it, and is run with bounds on its time and
memory. Only a ValueError or an OSError, in one line that names the file, is a refusal.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import io
import itertools
import json
import math
import re
import resource
import signal
import sys
import tempfile
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from families import FAMILIES
from PIL import Image
from torch import Tensor

import autoregress as ar
from autoregress import coding
from autoregress.archive import writing
from autoregress.archive.contents import Contents
from autoregress.archive.manifest import USUAL, inflated
from autoregress.container import (
    LAST,
    MANIFEST,
    WEIGHTS,
    Chunk,
    Index,
    frame,
    read_frame,
    read_header,
)
from autoregress.data import read
from autoregress.data.formats.shards import write_shards
from autoregress.packing import pack, restore
from autoregress.storage import write_weights
from autoregress.symbols import Columns
from autoregress.training.checkpoints import _signed
from autoregress.training.log import read_log

Case = tuple[str, Callable[[], object]]
Door = Callable[[Random, Path], Case]

DOORS: dict[str, Door] = {}
SECONDS, WAITING = 5, 30
BYTES = 2**30  # of address space beyond what the process has


def door(function: Door) -> Door:
    """Adds a door, under the name of the function."""
    DOORS[function.__name__] = function
    return function


# Damage


def damaged(content: bytes, random: Random) -> bytes:
    """The content with one or a few faults."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 9))):
        content = random.choice(FAULTS)(content, random)
    return content


def _flip(content: bytes, random: Random) -> bytes:
    if not content:
        return content
    place = random.randrange(len(content))
    changed = bytes([content[place] ^ 1 << random.randrange(8)])
    return content[:place] + changed + content[place + 1 :]


def _cut(content: bytes, random: Random) -> bytes:
    return content[: random.randrange(len(content) + 1)]


def _insert(content: bytes, random: Random) -> bytes:
    place = random.randrange(len(content) + 1)
    return content[:place] + random.randbytes(random.randint(1, 9)) + content[place:]


def _delete(content: bytes, random: Random) -> bytes:
    place = random.randrange(len(content) + 1)
    return content[:place] + content[place + random.randint(1, 9) :]


def _repeat(content: bytes, random: Random) -> bytes:
    """A part of the content copied over, or into, another place."""
    start, place = (random.randrange(len(content) + 1) for _ in range(2))
    part = content[start : start + random.randint(1, 64)]
    return content[:place] + part + content[place + random.choice((0, len(part))) :]


def _number(content: bytes, random: Random) -> bytes:
    """An extreme binary integer somewhere."""
    size = random.choice((1, 2, 4, 8))
    number = random.choice(
        (0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1)
    )
    place = random.randrange(len(content) + 1)
    written = number.to_bytes(size, random.choice(("little", "big")))
    return content[:place] + written + content[place + size :]


def _digits(content: bytes, random: Random) -> bytes:
    """Another number instead of one in decimal digits, as in a header or a table."""
    if not (found := list(re.finditer(rb"-?\d+", content))):
        return content
    number = random.choice(found)
    return content[: number.start()] + random.choice(NUMBERS) + content[number.end() :]


NUMBERS = (
    *(b"", b"0", b"-1", b"1", b"2", b"3", b"256", b"65536", b"2147483648", b"1000000000000"),
    *(b"9223372036854775807", b"9223372036854775808", b"1" + b"0" * 25, b"9" * 5000),
    *(b"1e400", b"nan", b"NaN", b"Infinity", b"1.5", b"True", b"None", b"'", b"(", b"[", b"{"),
)
FAULTS = (_flip, _flip, _cut, _insert, _delete, _repeat, _number, _digits)


def damaged_json(text: str, random: Random) -> str:
    """JSON with values of other kinds, or none, in some places; seldom text that is not JSON."""
    content = json.loads(text)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        content = _replaced(content, random)
    text = json.dumps(content).replace('"DEEP"', "[" * 100_000 + "]" * 100_000)
    if random.random() < 0.2:
        text = damaged(text.encode(), random).decode("utf-8", "replace")
    return text


def _replaced(value: Any, random: Random) -> Any:
    """The value with a random part of it replaced, removed or repeated."""
    if not isinstance(value, dict | list) or not value or random.random() < 0.1:
        return random.choice(VALUES)()
    holder: Any = value
    key = random.choice(list(value if isinstance(value, dict) else range(len(value))))
    match random.randrange(8):
        case 0:
            del holder[key]
        case 1 if isinstance(value, list):
            value.append(value[key])
        case 1:
            holder[random.choice(("x", "", "kind", *value))] = holder[key]
        case _:
            holder[key] = _replaced(holder[key], random)
    return value


VALUES: tuple[Callable[[], Any], ...] = (
    *(lambda: None, lambda: True, lambda: [], dict, lambda: "", lambda: "x", lambda: "DEEP"),
    *(lambda: 0, lambda: -1, lambda: 1, lambda: 3, lambda: 1.5, lambda: 1e308, lambda: 10**12),
    *(lambda: 2**31, lambda: 2**63, lambda: 10**25, lambda: float("nan"), lambda: float("inf")),
    *(lambda: [1], lambda: [[]], lambda: ["x"], lambda: {"x": 1}, lambda: [2] * 1000),
    *(lambda: "\ud800", lambda: "\0", lambda: "x" * 5000, lambda: "../../x"),
)


# Running


class Slow(BaseException):
    """More than the allowed time has passed."""


@contextmanager
def bounded() -> Iterator[None]:
    """A context with bounds on time (Slow) and on additional memory (MemoryError)."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Slow(f"more than {SECONDS} s of computing, or {WAITING} s of waiting")

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    timers = {
        (signal.SIGPROF, signal.ITIMER_PROF): SECONDS,
        (signal.SIGALRM, signal.ITIMER_REAL): WAITING,
    }
    for (number, timer), seconds in timers.items():
        signal.signal(number, stop)
        signal.setitimer(timer, seconds)
    # If it is code in C that does not return, Python never sees the signals.
    faulthandler.dump_traceback_later(2 * WAITING, exit=True)
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        faulthandler.cancel_dump_traceback_later()
        for number, timer in timers:
            signal.setitimer(timer, 0)
            signal.signal(number, signal.SIG_DFL)


def attempt(name: str, seed: int) -> bool:
    """Tries a case; returns whether it was read.

    Raises:
        AssertionError: it was neither read rightly nor refused in one sentence.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        named, opened = DOORS[name](Random(f"{name} {seed}"), Path(folder))
        try:
            with bounded():
                opened()
        except BaseException as error:
            if fault := _fault(error, named):
                raise AssertionError(f"{name} {seed}: {fault}: {error!r:.500}") from error
            return False
    return True


def _fault(error: BaseException, named: str) -> str:
    """What is wrong with an error as the answer to a damaged file; empty if nothing is."""
    if type(error) is not ValueError and not isinstance(error, OSError):
        return "no refusal"
    message = str(error)
    if named not in message:
        return f"it does not contain {named}"
    return "not a short line" if "\n" in message or len(message) > 1000 else ""


# Tables


TABLE = b"colour,size,n\nred,1,0\nblue,2,1\n\xc3\xa9,3,2\nred,1,3\nblue,,?\n"
NUMBERED = b"0,1,1\n1,0,2\n1,1,0\n0,0,1\n"


@door
def csv(random: Random, folder: Path) -> Case:
    path = folder / "table.csv"
    content, levels = random.choice(((TABLE, None), (NUMBERED, None), (NUMBERED, (2, 2, 3))))
    path.write_bytes(damaged(content, random))
    condition = random.choice((None, None, "n"))

    def opened() -> None:
        _check(read(path, partial=random.random() < 0.5, levels=levels, condition=condition))

    return str(path), opened


def _check(data: ar.data.Data) -> None:
    """Checks that examples are within their levels, and as many as their contexts."""
    data.symbols.check(data.x)
    assert len(data) > 0
    assert data.known is None or data.known.shape == data.x.shape
    assert data.context is None or len(data.context) == len(data)
    assert data.context is None or data.context.isfinite().all()
    if data.columns is not None:
        assert len(data.columns.names) == data.symbols.dims


# Arrays


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


ARRAYS = (
    np.arange(12, dtype=np.uint8).reshape(4, 3),
    np.arange(24, dtype=np.int64).reshape(2, 3, 2, 2) % 5,
    np.asfortranarray(np.arange(12, dtype=">i2").reshape(4, 3)),
    np.array([[0.0, 1.0], [1.0, 2.0]], np.float32),
    np.array([True, False, True]),
)


@door
def npy(random: Random, folder: Path) -> Case:
    path = folder / "x.npy"
    path.write_bytes(damaged(_npy(random.choice(ARRAYS)), random))
    return str(path), lambda: _check(read(path))


def _npz(arrays: dict[str, Any], random: Random) -> bytes:
    """An .npz some of whose arrays are damaged before they are archived, with right checksums."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", random.choice((0, zipfile.ZIP_DEFLATED))) as archive:
        for name, array in arrays.items():
            content = _npy(np.asarray(array))
            if random.random() < 0.3:
                content = damaged(content, random)
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


ARCHIVES: tuple[dict[str, Any], ...] = (
    {"x": ARRAYS[0], "known": np.eye(4, 3, dtype=bool)},
    {"x": ARRAYS[0], "y": np.array(["a", "b", "a", "c"])},
    {"x": ARRAYS[0], "y": np.arange(4)},
    {"x": ARRAYS[0], "y": np.eye(4, 2)},
    {"train": np.packbits(np.eye(4, 9, dtype=np.uint8), axis=1), "dim": 9},
)


@door
def npz(random: Random, folder: Path) -> Case:
    path = folder / "x.npz"
    arrays = dict(random.choice(ARCHIVES))
    name = random.choice([name for name in arrays if name not in ("x", "train")])
    if random.random() < 0.3:  # which does not fit
        arrays[name] = random.choice((*ARRAYS, np.array("text"), np.array(-1), np.zeros((0, 2))))
    content = _npz(arrays, random)
    path.write_bytes(content if random.random() < 0.5 else damaged(content, random))
    condition = "y" if "y" in arrays else None
    return str(path), lambda: _check(read(path, condition=condition, partial="known" in arrays))


# Shards


@cache
def _shards() -> dict[str, bytes]:
    """The files of a folder of shards with contexts, by name."""
    with tempfile.TemporaryDirectory() as folder:
        x = torch.arange(12).view(6, 2) % 3
        context = torch.arange(12.0).view(6, 2)
        data = ar.data.Data(x, (3, 3), COLUMNS, context=context)
        write_shards(folder, {"train": data, "valid": data}, megabytes=8 / 2**20)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


COLUMNS = Columns(("a", "b"), (("1", "2", "3"), ("x", "y", "z")))


@door
def shards(random: Random, folder: Path) -> Case:
    files = dict(_shards())
    name = random.choice(["shards.json", random.choice(list(files))])
    if name == "shards.json" and random.random() < 0.9:
        files[name] = damaged_json(files[name].decode(), random).encode("utf-8", "replace")
    else:
        files[name] = damaged(files[name], random)
    _write(folder, files)

    def opened() -> None:
        source = ar.data.open(folder, split=random.choice(("train", "valid")))
        source.digest  # noqa: B018
        _check(source.data())
        source[torch.tensor([len(source) - 1])]

    return str(folder), opened


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


# Models and runs


MODELS: tuple[Callable[[], ar.AutoregressiveModel], ...] = (
    lambda: ar.MADE(2, COLUMNS.levels, hidden=(3,), columns=COLUMNS, orderings=2),
    lambda: ar.MADE((1, 2), 3, hidden=(3, 3), residual=True, labels=("a", "b"), ordered=True),
    lambda: ar.PixelCNN((1, 2, 2), 4, layers=1, features=2, context=1),
    lambda: ar.Mixture([ar.MADE(2, hidden=(2,)), ar.MADE(2, hidden=(3,), dropout=0.5)]),
    lambda: FAMILIES["VideoTransformer"](),
)


@cache
def _model(number: int) -> ar.AutoregressiveModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(number)
        return MODELS[number]()


@cache
def _saved(number: int) -> dict[str, bytes]:
    """The files of a saved model."""
    with tempfile.TemporaryDirectory() as folder:
        ar.save(_model(number), folder)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@door
def config(random: Random, folder: Path) -> Case:
    """A damaged config.json, at times with weights that claim to be of that model."""
    number = random.randrange(len(MODELS))
    files = dict(_saved(number))
    text = files["config.json"].decode()
    wrong = damaged_json(text, random)
    files["config.json"] = wrong.encode("utf-8", "replace")
    _write(folder, files)
    forged = random.random() < 0.7
    if forged:
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            write_weights(
                folder / "model.safetensors",
                _model(number).state_dict(),
                json.loads(wrong)["model"],
            )
    return str(folder), lambda: ar.load(folder).sample


@door
def weights(random: Random, folder: Path) -> Case:
    """Damaged weights: any bytes, the header, or tensors with the right checksum."""
    number = random.randrange(len(MODELS))
    files = dict(_saved(number))
    content = files["model.safetensors"]
    if random.random() < 0.4:
        files["model.safetensors"] = damaged(content, random)
    else:
        size = int.from_bytes(content[:8], "little")
        header = damaged_json(content[8 : 8 + size].decode(), random).encode("utf-8", "replace")
        length = random.choice((len(header), len(header), len(header), 0, 2**63, 2**64 - 1, size))
        files["model.safetensors"] = length.to_bytes(8, "little") + header + content[8 + size :]
    _write(folder, files)
    if random.random() < 0.3:
        state = {name: tensor.clone() for name, tensor in _model(number).state_dict().items()}
        name = random.choice(list(state))
        state[name] = random.choice(TENSORS)(state[name])
        settings = json.loads(files["config.json"])["model"]
        with suppress(KeyError):  # old versions of safetensors do not write complex numbers
            write_weights(folder / "model.safetensors", state, settings)

    def opened() -> None:
        model = ar.load(folder)
        assert all(t.isfinite().all() for t in model.state_dict().values())

    return str(folder), opened


TENSORS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda t: t.float() * torch.nan,
    lambda t: t.float() + torch.inf,
    lambda t: t.bool(),
    lambda t: t.flatten(),
    lambda t: t[:0] if t.dim() else t,
    lambda t: t - 1,
    lambda t: t * 0 + 2**30,
    lambda t: t.to(torch.bfloat16),
    lambda t: t.to(torch.complex64),
)


@cache
def _run() -> dict[str, bytes]:
    """The files of a run of one epoch."""
    with tempfile.TemporaryDirectory() as folder:
        _train(Path(folder), epochs=1)
        paths = [path for path in Path(folder).rglob("*") if path.is_file()]
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def _train(folder: Path, *, epochs: int) -> ar.Fit:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ar.MADE(2, hidden=(3,))
    x = torch.arange(16).view(8, 2) % 2
    return ar.fit(model, x, valid=x, run=folder, max_epochs=epochs, batch_size=4, quiet=True)


@door
def run(random: Random, folder: Path) -> Case:
    """A run one of whose files is damaged, at times with its checksum, resumed and described."""
    files = dict(_run())
    name = random.choice(["last.json", "last.json", "config.json", "log.jsonl", *files])
    text = files[name]
    if name in ("last.json", "config.json") and random.random() < 0.9:
        text = damaged_json(text.decode(), random).encode("utf-8", "replace")
        if name == "last.json" and random.random() < 0.8:
            with suppress(ValueError, TypeError, AttributeError, RecursionError):
                content = json.loads(text)
                content.pop("sha256", None)
                text = _signed(content).encode()
    elif name == "log.jsonl" and random.random() < 0.9:
        text = damaged_json(text.decode(), random).encode("utf-8", "replace") + b"\n"
    else:
        text = damaged(text, random)
    if text != files[name] and name.startswith("last-"):  # with the checksum of the damage
        files["last.json"] = _with_digest(files["last.json"], Path(name).name, text)
    files[name] = text
    _write(folder, files)

    def opened() -> None:
        if name == "log.jsonl":
            read_log(folder / name)
        with suppress(FloatingPointError):  # of numbers that are finite, but absurd
            assert _train(folder, epochs=2).epochs >= 0

    return str(folder), opened


def _with_digest(last: bytes, name: str, content: bytes) -> bytes:
    """The text of last.json with another file's checksum."""
    described = json.loads(last)
    del described["sha256"]
    described["files"][name] = hashlib.sha256(content).hexdigest()
    return _signed(described).encode()


# Models of tables


@cache
def _table() -> dict[str, bytes]:
    """The files of a model of a table with columns of all kinds."""
    columns = {
        "name": ["a", "b", "a", "c"] * 20,
        "size": [1.5, 2.25, 30.0, 4.0] * 20,
        "count": list(range(80)),
        "yes": [True, False, True, True] * 20,
        "day": [f"2020-01-{1 + n % 28:02}" for n in range(80)],
        "constant": ["x"] * 80,
    }
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ar.Table.fit(columns, network={"hidden": (4,)}, max_epochs=1, quiet=True).save(folder)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@door
def table(random: Random, folder: Path) -> Case:
    """A model of a table whose schema is damaged."""
    files = dict(_table())
    name = "schema.json"
    files[name] = damaged_json(files[name].decode(), random).encode("utf-8", "replace")
    _write(folder, files)
    return str(folder), lambda: ar.Table.load(folder)


# Compressed files


@cache
def _compressed(number: int) -> tuple[bytes, Tensor]:
    model = _model(number)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(number)
        context = (
            torch.eye(model.context)[torch.arange(20) % model.context] if model.context else None
        )
        x = model.sample(20, context)
    if context is not None and model.labels is None:
        context = torch.ones(20, model.context)
    return ar.encode(model, x, context=context), x


EXTREMES = (0, 1, 2, 8, 21, 255, 256, 257, 65535, 10**9, 2**32 - 1, 2**62, 2**63 - 1)


@door
def compressed(random: Random, folder: Path) -> Case:
    """A damaged compressed file, mostly with the right checksums."""
    number = random.randrange(len(MODELS))
    model, (content, x) = _model(number), _compressed(number)
    if random.random() < 0.1:
        wrong = damaged(content, random)
    else:
        file = io.BytesIO(content)
        header, (kind, body) = read_header(file), read_frame(file) or (b"", b"")
        chunk = Chunk.parse(body)
        for _ in range(random.choice((0, 1, 1, 1, 2))):
            name, value = random.choice(("rows", "flags", "first", "count", "symbols")), EXTREMES
            if name in ("rows", "flags"):
                header = replace(header, **{name: random.choice(value)})
            else:
                chunk = replace(chunk, **{name: random.choice(value) % 2**32})
        if random.random() < 0.5:
            chunk = replace(chunk, words=damaged(chunk.words, random))
        body = chunk.packed(last=True)
        if random.random() < 0.2:
            body = frame(kind, damaged(Chunk.packed(chunk, last=True)[4:-4], random))
        wrong = header.packed() + body
        if random.random() < 0.2:
            counts = [(random.choice(EXTREMES), random.choice(EXTREMES)) for _ in range(3)]
            wrong += Index(header.content(), counts).packed()
    context = torch.ones(1, model.context) if model.context and model.labels is None else None

    def opened() -> None:
        decoded = ar.decode(
            model, random.choice((bytes, bytearray, memoryview))(wrong), context=context
        )
        model.symbols.check(decoded)
        if wrong == content:
            assert torch.equal(decoded, x)

    return "", opened


@cache
def _archive() -> tuple[bytes, Tensor, dict[int, Chunk]]:
    """Examples in several chunks with an index, and these chunks."""
    x = _compressed(0)[1].repeat(60, 1)
    before = writing.CHUNK_BYTES, coding.SIDE_BY_SIDE
    writing.CHUNK_BYTES, coding.SIDE_BY_SIDE = 20, 256
    try:
        content = ar.encode(_model(0), x, with_model=True)
    finally:
        writing.CHUNK_BYTES, coding.SIDE_BY_SIDE = before
    chunks = {chunk.first: chunk for chunk in Contents(io.BytesIO(content)).chunks()}
    assert len(chunks) > 3
    return content, x, chunks


@door
def salvage(random: Random, folder: Path) -> Case:
    """A damaged archive, of which the undamaged chunks are wanted: no other may come."""
    content, x, whole = _archive()
    wrong, skips = damaged(content, random), random.random() < 0.8

    def opened() -> None:
        if random.random() < 0.999:  # decoding takes a thousand times as long
            for chunk in Contents(io.BytesIO(wrong), skips=skips).chunks():
                assert chunk == whole[chunk.first]
            return
        model = _model(0) if random.random() < 0.5 else None
        for part in ar.Archive(wrong, model, on_damage="skip").parts():
            assert torch.equal(part.x, x[part.first : part.first + len(part.x)])

    return "", opened


@cache
def _restorable(kind: str) -> bytes:
    """A compressed file from which files are restored."""
    with tempfile.TemporaryDirectory() as name, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        folder, taker = Path(name), None
        if kind == "pictures":
            for n, size in enumerate(((2, 3), (5, 4))):
                image = np.arange(math.prod(size), dtype=np.uint8).reshape(size)
                Image.fromarray(image).save(folder / f"{n}.png")
            taker, path = ar.MADE((1, 2, 2), 256, hidden=(2,), ordered=True), folder
        elif kind == "array":
            path = folder / "x.npz"
            np.savez(path, x=np.arange(12, dtype=">i4").reshape(4, 3) % 2)
            taker = ar.MADE(3, 2, hidden=(2,))
        else:
            path = folder / ("t.csv" if kind == "table" else "t.parquet")
            path.write_text("a,b,n\n" + "".join(f"{n},{n % 3}.50,{n * n}\n" for n in range(30)))
            if kind == "typed":
                columns = {"a": [*range(30)], "b": ["x", None, "y"] * 10, "c": [[1], [], None] * 10}
                pq.write_table(pa.table(columns), path)
            taker = ar.Table.fit(path, network={"hidden": (2,)}, max_epochs=1, quiet=True)
        model = taker.coder if isinstance(taker, ar.Table) else taker
        packed, file = pack(taker, path, ar.data.Reading()), io.BytesIO()
        ar.encode_to(
            file,
            model,
            packed.source,
            with_model=True,
            manifest=packed.whole or packed.manifest,
            beside=packed.beside,
        )
        return file.getvalue()


@door
def restored(random: Random, folder: Path) -> Case:
    """A compressed file whose manifest, model or further bytes are damaged, with checksums."""
    kind, out = random.choice(
        (("pictures", "p"), ("array", "x.npz"), ("table", "t.csv"), ("typed", "t.parquet"))
    )
    file, frames = io.BytesIO(_restorable(kind)), list[tuple[bytes, bytes]]()
    header = read_header(file)
    while (found := read_frame(file)) is not None:
        frames.append(found)
    chosen = random.choice((MANIFEST, MANIFEST, LAST, WEIGHTS))
    content = header.packed()
    for name, body in frames:
        if name == chosen and random.random() < 0.95:
            if name == MANIFEST and random.random() < 0.9:
                text = damaged_json(inflated(body).decode(), random)
                deflate = zlib.compressobj(zdict=USUAL)
                body = deflate.compress(text.encode("utf-8", "replace")) + deflate.flush()
            elif name == LAST:
                chunk = Chunk.parse(body)
                wrong = damaged(chunk.beside, random)
                content += replace(chunk, beside=wrong).packed(last=True)
                continue
            else:
                body = damaged(body, random)
        content += frame(name, body)
    inside = folder / "inside"
    inside.mkdir()

    def opened() -> None:
        try:
            restore(ar.Archive(content), inside / out)
        finally:
            assert [path.name for path in folder.iterdir()] == ["inside"]

    return "", opened


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("doors", nargs="*", metavar="DOOR", help=f"of {', '.join(DOORS)}")
    parser.add_argument("--start", type=int, default=0, metavar="SEED")
    parser.add_argument("--cases", type=int, metavar="N")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    start, cases = arguments.start, arguments.cases
    seeds = itertools.count(start) if cases is None else range(start, start + cases)
    failures, seed = 0, start
    try:
        for seed in seeds:
            for name in arguments.doors or DOORS:
                # The last line, if the whole process is ended.
                print(f"\r{name} {seed}: {failures} failures ", end="", file=sys.stderr, flush=True)
                try:
                    attempt(name, seed)
                except AssertionError as error:
                    failures += 1
                    print(f"\r{error}")
                    cause = error.__cause__ or error
                    traceback.print_tb(cause.__traceback__, limit=-4, file=sys.stdout)
    except KeyboardInterrupt:
        pass
    print(f"\n{failures} failures up to seed {seed}", file=sys.stderr)
    return failures > 0


if __name__ == "__main__":
    import fuzz  # whose doors are these, and not those of __main__
    import fuzz_media  # noqa: F401  # adds its doors

    sys.exit(fuzz.main())
