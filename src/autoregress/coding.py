"""Compression without loss: the symbols of examples in as many bits as the model is surprised by.

Both ways go through the incremental face, as whoever decodes knows no more of an example than what
comes before. The probabilities have to be the same to the last bit, so that the same rows are taken
side by side, by as many threads.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import constriction
import numpy as np
import torch
from torch import Tensor

from autoregress.conditionals import Conditional
from autoregress.evaluation import Examples, as_examples, measuring
from autoregress.model import AutoregressiveModel, groups
from autoregress.storage import described, digest
from autoregress.traversal import Choose, traverse

# What encoded examples begin with: a mark, the version of the format, how many threads computed,
# how many examples there are and how many were taken side by side, the model's digest, and
# checksums of the symbols and of what follows.
MAGIC, VERSION = b"\xa4reg", 1
HEADER = struct.Struct("<4sHHQI16sII")

stream: Any = constriction.stream  # type: ignore[attr-defined]  # it is compiled, without types

# Examples side by side, at most: enough for a matrix product to be worth it.
SIDE_BY_SIDE = 256


def encode(
    model: AutoregressiveModel,
    data: Examples | np.ndarray[Any, Any],
    *,
    context: Tensor | None = None,
) -> bytes:
    """Examples in bytes, from which :func:`decode` gives them back, exactly.

    They take −log₂ p(x) bits each, by arithmetic coding, and some 40 bytes in all. Of several
    members each example takes the one that gives it the most probability, and log₂(members) bits
    to say which: at most so many more than of the mixture.

    Args:
        data: a tensor, an array or anything else with a length that takes an index (batch,) of
            integers and gives integer symbols (batch, *event_shape).
        context: (examples, context) if the model takes one; it is not encoded.

    Raises:
        ValueError: wrong shapes, dtypes or symbols, or a model that gives no probabilities.
    """
    data = as_examples(data)
    if len(data) == 0:
        raise ValueError("there are no examples to encode")
    threads, batch = torch.get_num_threads(), min(SIDE_BY_SIDE, model.piece)
    coder, symbols = stream.queue.RangeEncoder(), 0
    with measuring(model):
        for rows in torch.arange(len(data)).split(batch):
            part = _part(context, rows, len(data))
            x = torch.as_tensor(data[rows], device=model.device)
            model.symbols.check(x)
            members = model.members
            chosen = torch.zeros(len(rows), dtype=torch.int64)
            if len(members) > 1:
                chosen = torch.stack([s.flatten(1).sum(1) for s in model.surprisals(x, part)])
                chosen = chosen.argmin(0).cpu()
                coder.encode(_numbers(chosen), stream.model.Uniform(len(members)))
            flat = x.flatten(1).long()
            for index, own in groups(chosen):
                given = None if part is None else part[own]
                choose, member = _write(coder, flat[own], model.symbols.levels), members[index]
                traverse(model, choose, len(own), context=given, member=member)
            symbols = zlib.crc32(_numbers(flat).tobytes(), symbols)
    payload = coder.get_compressed().astype("<u4").tobytes()
    return _header(model, threads, len(data), batch, symbols, payload) + payload


def decode(model: AutoregressiveModel, data: bytes, *, context: Tensor | None = None) -> Tensor:
    """The examples that :func:`encode` made bytes of, with the same model.

    Args:
        context: as it was given to ``encode``.

    Returns:
        (examples, *event_shape) int64.

    Raises:
        ValueError: no such bytes, damaged ones, or those of another model or context; or the
            model's probabilities are not the same to the last bit here, which those of another
            kind of processor or version of torch may not be.
    """
    threads, count, batch, expected, payload = _opened(model, data)
    coder, symbols = stream.queue.RangeDecoder(np.frombuffer(payload, "<u4").astype(np.uint32)), 0
    x = torch.empty(count, *model.event_shape, dtype=torch.int64, device=model.device)
    with measuring(model), _threads(threads):
        for rows in torch.arange(count).split(batch):
            part = _part(context, rows, count)
            members = model.members
            chosen = torch.zeros(len(rows), dtype=torch.int64)
            if len(members) > 1:
                chosen = torch.from_numpy(
                    coder.decode(stream.model.Uniform(len(members)), len(rows))
                )
            for index, own in groups(chosen):
                given = None if part is None else part[own]
                choose, member = _read(coder, model.symbols.levels), members[index]
                x[rows[own]] = traverse(model, choose, len(own), context=given, member=member)
            symbols = zlib.crc32(_numbers(x[rows]).tobytes(), symbols)
    if symbols != expected:
        raise ValueError(
            "the examples do not come out as they went in: the context is another one, or the "
            "probabilities are not the same to the last bit on this machine; decode where it was "
            "encoded, with the same version of torch"
        )
    return x


# A coder at one position after another


def _write(coder: Any, x: Tensor, levels: tuple[int, ...]) -> Choose:
    def choose(position: int, conditional: Conditional) -> Tensor:
        symbols = x[:, position]
        coder.encode(_numbers(symbols), *_coded(conditional, levels[position]))
        return symbols

    return choose


def _read(coder: Any, levels: tuple[int, ...]) -> Choose:
    def choose(position: int, conditional: Conditional) -> Tensor:
        symbols = coder.decode(*_coded(conditional, levels[position]))
        return torch.from_numpy(symbols).long().to(conditional.logits.device)

    return choose


def _coded(conditional: Conditional, levels: int) -> tuple[Any, Any]:
    """What the coder takes: a distribution of so many levels in each row; of none is there none."""
    table = conditional.table()[:, :levels]
    if not table.isfinite().all():
        raise ValueError("the model gives no probabilities: some are not finite")
    return stream.model.Categorical(perfect=False), table.contiguous().cpu().numpy()


def _numbers(symbols: Tensor) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(symbols.cpu().numpy(), dtype=np.int32)


def _part(context: Tensor | None, rows: Tensor, count: int) -> Tensor | None:
    if context is None:
        return None
    if len(context) != count:
        raise ValueError(f"context has {len(context)} rows for {count} examples")
    return context[rows]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """In which torch computes by so many, for a sum depends on how it is shared out."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# What goes before


def _header(
    model: AutoregressiveModel,
    threads: int,
    count: int,
    batch: int,
    symbols: int,
    payload: bytes,
) -> bytes:
    fields = (MAGIC, VERSION, threads, count, batch, _model(model), symbols)
    check = zlib.crc32(payload, zlib.crc32(HEADER.pack(*fields, 0)))
    return HEADER.pack(*fields, check)


def _opened(model: AutoregressiveModel, data: bytes) -> tuple[int, int, int, int, bytes]:
    """Threads, examples, examples side by side, their checksum, and what is encoded."""
    header, payload = data[: HEADER.size], data[HEADER.size :]
    if not header.startswith(MAGIC):
        raise ValueError("these are no examples that autoregress encoded")
    if len(header) < HEADER.size:
        raise ValueError("the encoded examples are cut short")
    magic, version, threads, count, batch, of_model, symbols, check = HEADER.unpack(header)
    if version != VERSION:
        raise ValueError(
            f"the examples were encoded in format {version}; this version of autoregress reads "
            f"format {VERSION}"
        )
    fields = (magic, version, threads, count, batch, of_model, symbols)
    if check != zlib.crc32(payload, zlib.crc32(HEADER.pack(*fields, 0))):
        raise ValueError("the encoded examples are damaged: they are not what was written")
    if of_model != _model(model):
        raise ValueError("the examples were encoded with another model")
    return threads, count, batch, symbols, payload


def _model(model: AutoregressiveModel) -> bytes:
    """What tells a model from others: its family, its settings and its weights."""
    weights = digest(model.state_dict())
    text = json.dumps([described(model), weights], sort_keys=True)
    return hashlib.sha256(text.encode()).digest()[:16]
