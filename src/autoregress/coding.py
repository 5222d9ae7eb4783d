"""Compression without loss: the symbols of examples in as many bits as the model is surprised by.

Both ways go through the incremental face, as whoever decodes knows no more of an example than what
comes before. The probabilities have to be the same to the last bit, so that the same rows are taken
side by side, by as many threads.

The coder is a stack (asymmetric numeral systems): what was encoded last is decoded first. So which
of several members an example takes need not cost a bit. It is decoded from what the stack holds
already, by the members' posterior given the example; and once the example is known again, so are
these bits ("bits back", Hinton and van Camp, 1993; Townsend et al., 2019). The net cost is that of
the mixture.
"""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import constriction
import numpy as np
import torch
from torch import Tensor

from autoregress.conditionals import Conditional, Logistics
from autoregress.data.inputs import as_source, context_of
from autoregress.evaluation import measuring
from autoregress.model import AutoregressiveModel, groups
from autoregress.storage import digest
from autoregress.symbols import as_tensor

# What encoded examples begin with: a mark, the version of the format, how many threads computed,
# how many examples there are and how many were taken side by side at most, the model's digest, and
# checksums of the symbols and of all else.
MAGIC, VERSION = b"\xa4reg", 2
HEADER = struct.Struct("<4sHHQI16sII")

stream: Any = constriction.stream  # type: ignore[attr-defined]  # it is compiled, without types

# Examples side by side: enough for a matrix product to be worth it, but no more than have so many
# probabilities. The first to be encoded are few, as the stack is empty and no bits come back.
SIDE_BY_SIDE, PROBABILITIES, FIRST = 256, 2**25, 8

# Digits (batch,), and the probabilities of each (batch, base).
Coded = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def encode(
    model: AutoregressiveModel,
    data: Any,
    *,
    context: Any = None,
) -> bytes:
    """Examples in bytes, from which :func:`decode` gives them back, exactly.

    They take −log₂ p(x) bits each, and some 50 bytes in all; the last few of them as many bits
    more as it takes to say which member each is of.

    Args:
        data: a source, a tensor, an array, nested lists or a torch ``Dataset``, see
            :func:`autoregress.data.as_source`.
        context: (examples, context) if the model takes one, by default that of the examples. Of a
            model with labels they are encoded, too, at log₂(labels) bits each; other contexts are
            not.

    Raises:
        ValueError: no examples, wrong shapes, dtypes or symbols, or a model that gives no
            probabilities.
    """
    data = as_source(data, model.symbols, features=model.context)
    if len(data) == 0:
        raise ValueError("there are no examples to encode")
    context = model.checked_context(context_of(data, context, model.context), len(data))
    if context is not None and model.labels is not None:
        _require_one_hot(context)
    threads, stack, checksum = torch.get_num_threads(), stream.stack.AnsCoder(), 0
    numbers = sum(map(_probabilities, model.symbols.levels, model.symbols.ordered))
    most = max(1, min(SIDE_BY_SIDE, model.piece, PROBABILITIES // numbers))
    with measuring(model):
        for rows in reversed(_batches(len(data), most)):
            x = data[rows].to(model.device)
            model.symbols.check(x)
            x, part = x.long(), _part(context, rows, len(data))
            _push(stack, model, x, part)
            if part is not None and model.labels is not None:
                stack.encode_reverse(_numbers(part.argmax(1)), _label(model))
            checksum = zlib.crc32(_numbers(x).tobytes(), checksum)
    payload = stack.get_compressed().astype("<u4").tobytes()
    return _header(model, threads, len(data), most, checksum, payload) + payload


def decode(model: AutoregressiveModel, data: bytes, *, context: Tensor | None = None) -> Tensor:
    """The examples that :func:`encode` made bytes of, with the same model.

    Args:
        context: as it was given to ``encode``, or one row if all are the same. None for a model
            with labels: they are encoded.

    Returns:
        (examples, *event_shape) int64.

    Raises:
        ValueError: no such bytes, damaged ones, or those of another model or context; or the
            model's probabilities are not the same to the last bit here, which those of another
            kind of processor or version of torch may not be.
    """
    threads, count, most, expected, payload = _opened(model, data)
    if context is not None and model.labels is not None:
        raise ValueError("the labels are in the encoded examples; leave the context out")
    context = None if context is None else as_tensor(context)
    stack = stream.stack.AnsCoder(np.frombuffer(payload, "<u4").astype(np.uint32))
    with measuring(model), _threads(threads):
        parts = []
        for rows in _batches(count, most):
            part = _part(context, rows, count)
            if model.labels is not None:
                labels = torch.from_numpy(stack.decode(_label(model), len(rows))).long()
                part = torch.eye(model.context)[labels]
            part = model.checked_context(part, len(rows))
            parts.append(_pop(stack, model, len(rows), part))
    checksum = 0
    for part in reversed(parts):
        checksum = zlib.crc32(_numbers(part).tobytes(), checksum)
    if checksum != expected:
        raise ValueError(
            "the examples do not come out as they went in: the context or a setting of the model "
            "is another one, or the probabilities are not the same to the last bit on this "
            "machine; decode where it was encoded, with the same version of torch"
        )
    return torch.cat(parts)


def _push(stack: Any, model: AutoregressiveModel, x: Tensor, context: Tensor | None) -> None:
    """Encodes rows side by side."""
    members, back, chosen = model.members, False, np.zeros(len(x), dtype=np.int32)
    if len(members) > 1:
        posterior = _posterior(model, x, context)
        # As many bits as it may take to say which members they are, and some more.
        back = stack.num_valid_bits() > len(x) * math.log2(len(members)) + 64
        if back:
            chosen = stack.decode(_categorical(), posterior)
        else:
            chosen = posterior.argmax(1).astype(np.int32)
    pushed: list[Coded] = []

    for index, own in groups(torch.from_numpy(chosen)):
        symbols = x[own].flatten(1)

        def look_up(position: int, conditional: Conditional, symbols: Tensor = symbols) -> Tensor:
            own = symbols[:, position]
            pushed.extend(_split(conditional, own, model.symbols.levels[position]))
            return own

        given = None if context is None else context[own]
        model.traverse(look_up, len(own), context=given, member=members[index])

    for symbols, table in reversed(pushed):
        stack.encode_reverse(symbols, _categorical(), table)
    if len(members) > 1:
        stack.encode_reverse(chosen, _weights(model))
        stack.encode_reverse(np.array([back], dtype=np.int32), stream.model.Uniform(2))


def _pop(stack: Any, model: AutoregressiveModel, count: int, context: Tensor | None) -> Tensor:
    """Decodes so many rows, (count, *event_shape), and leaves the stack as it was before them."""
    members, back, chosen = model.members, False, np.zeros(count, dtype=np.int32)
    if len(members) > 1:
        back = bool(stack.decode(stream.model.Uniform(2), 1)[0])
        chosen = stack.decode(_weights(model), count)
    x = torch.empty(count, *model.event_shape, dtype=torch.int64, device=model.device)

    def read(position: int, conditional: Conditional) -> Tensor:
        return _join(stack, conditional, model.symbols.levels[position])

    for index, own in groups(torch.from_numpy(chosen)):
        given = None if context is None else context[own]
        x[own] = model.traverse(read, len(own), context=given, member=members[index])
    if back:
        stack.encode_reverse(chosen, _categorical(), _posterior(model, x, context))
    return x


def _batches(count: int, most: int) -> list[Tensor]:
    """The rows side by side, in order; towards the end they are fewer and fewer."""
    sizes = []
    while sum(sizes) < count:
        sizes.append(min(FIRST << len(sizes), most, count - sum(sizes)))
    return list(torch.arange(count).split(sizes[::-1]))


def _posterior(
    model: AutoregressiveModel, x: Tensor, context: Tensor | None
) -> np.ndarray[Any, Any]:
    """(batch, members): which member an example is of."""
    joint = model.member_log_probs(x, context) + model.log_weights[:, None]
    return _finite(joint.softmax(0).T).contiguous().cpu().numpy()


def _weights(model: AutoregressiveModel) -> Any:
    """Which member an example is of, before it is known."""
    return stream.model.Categorical(model.log_weights.exp().cpu().numpy(), perfect=False)


def _probabilities(levels: int, ordered: bool) -> int:
    """Number of them at a dimension; ordered levels are coded in two digits."""
    return 2 * (math.isqrt(levels - 1) + 1) if ordered else levels


def _split(conditional: Conditional, symbols: Tensor, levels: int) -> list[Coded]:
    """Symbols as one digit or two, each with its probabilities; the first is decoded first."""
    if not isinstance(conditional, Logistics):
        return [(_numbers(symbols), _table(conditional.table()[:, :levels]))]
    digits = conditional.digits()
    coarse = symbols // digits.base
    return [
        (_numbers(coarse), _table(digits.coarse)),
        (_numbers(symbols % digits.base), _table(digits.fine(coarse))),
    ]


def _join(stack: Any, conditional: Conditional, levels: int) -> Tensor:
    """The symbols (batch,) that were split, from the stack."""

    def read(probabilities: Tensor) -> Tensor:
        numbers = torch.from_numpy(stack.decode(_categorical(), _table(probabilities)))
        return numbers.long().to(probabilities.device)

    if not isinstance(conditional, Logistics):
        return read(conditional.table()[:, :levels])
    digits = conditional.digits()
    coarse = read(digits.coarse)
    return coarse * digits.base + read(digits.fine(coarse))


def _table(probabilities: Tensor) -> np.ndarray[Any, Any]:
    return _finite(probabilities).contiguous().cpu().numpy()


def _finite(probabilities: Tensor) -> Tensor:
    if not probabilities.isfinite().all():
        raise ValueError("the model gives no probabilities: some are not finite")
    return probabilities


def _require_one_hot(context: Tensor) -> None:
    if not (((context == 0) | (context == 1)).all() and (context.sum(1) == 1).all()):
        raise ValueError("the context of a model with labels is one-hot, for it is encoded as one")


def _label(model: AutoregressiveModel) -> Any:
    """A label, each as likely as any other."""
    return stream.model.Uniform(max(2, model.context))


def _categorical() -> Any:
    return stream.model.Categorical(perfect=False)


def _numbers(symbols: Tensor) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(symbols.cpu().numpy(), dtype=np.int32)


def _part(context: Tensor | None, rows: Tensor, count: int) -> Tensor | None:
    if context is None:
        return None
    if len(context) == 1:
        context = context.expand(count, -1)
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
    """What tells a model from others: its family and its weights.

    Not its settings, of which later versions may have more; another one of those shows in the end.
    """
    text = f"{type(model).__name__} {digest(model.state_dict())}"
    return hashlib.sha256(text.encode()).digest()[:16]
