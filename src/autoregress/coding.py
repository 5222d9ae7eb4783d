"""Lossless compression: the symbols of examples in about −log₂ p(x) bits each.

Encoding and decoding both use the incremental face, as the decoder knows only the symbols before
the current one. The probabilities must be the same to the last bit, so the same rows are processed
side by side, with the same number of threads.

The coder is a stack (asymmetric numeral systems, arXiv 1311.2540): what was encoded last is decoded
first. So the choice among several members costs no bits. When encoding, an example's member is
decoded from the bits already on the stack, by the members' posterior given the example; when
decoding, the example is recovered first, and these bits are put back ("bits back", Hinton and van
Camp, 1993; Townsend et al., arXiv 1901.04866). The net cost is that of the mixture.
"""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from typing import Any

import constriction
import numpy as np
import torch
from torch import Tensor

from autoregress.conditionals import NO_PROBABILITIES, Conditional, Ordered
from autoregress.data.inputs import as_source, context_of
from autoregress.evaluation import measuring
from autoregress.model import AutoregressiveModel, groups
from autoregress.storage import digest
from autoregress.symbols import CONTEXT, as_tensor
from autoregress.traversal import OnProgress, counter

# The header: a mark, the version of the format, the numbers of threads, of examples and of examples
# side by side at most, the model's digest, and checksums of the symbols and of everything else.
MAGIC, VERSION = b"\xa4reg", 3
HEADER = struct.Struct("<4sHHQI16sII")

stream: Any = constriction.stream  # type: ignore[attr-defined]  # it is compiled, without types

# The largest number of examples side by side, for efficient matrix products, and of their
# probabilities, for memory. The first batch to be encoded is small, as an empty stack gives no bits
# back.
SIDE_BY_SIDE, PROBABILITIES, FIRST = 256, 2**25, 8

# The words on the stack before the first symbol. With them every symbol costs at least −log₂(1 −
# 2⁻²⁴) bits, as the coder's probabilities are multiples of 2⁻²⁴; an empty stack would take any
# number of likely symbols for nothing. So no header can claim more symbols than the payload pays
# for, and a decoder that takes more from the stack than was on it has gone astray.
BOTTOM, BOTTOM_BITS, CHEAPEST = (0, 1), 32, 2.0**-24

# The largest number of threads: far more cannot be started on most machines.
THREADS = 64

ASTRAY = (
    "the decoded examples differ from the encoded ones: the context or a setting of the model is "
    "different, or the probabilities are not the same to the last bit on this machine; decode "
    "where they were encoded, with the same version of torch"
)

# Digits (batch,), and the probabilities of each (batch, base).
Coded = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def encode(
    model: AutoregressiveModel,
    data: Any,
    *,
    context: Any = None,
    on_progress: OnProgress | None = None,
) -> bytes:
    """Encodes examples as bytes, from which :func:`decode` restores them exactly.

    The cost is −log₂ p(x) bits for each example and some 50 bytes in all; for the last few
    examples also the bits that name the member of each.

    Args:
        data: a source, a tensor, an array, nested lists or a torch ``Dataset``, see
            :func:`autoregress.data.as_source`.
        context: (examples, context) if the model takes one; by default that of the examples. For
            a model with labels the labels are encoded too, at log₂(labels) bits each; other
            contexts are not.
        on_progress: called at every dimension of a batch with the number of symbols encoded so
            far and that of all.

    Raises:
        ValueError: there are no examples, they have wrong shapes, dtypes or symbols, or the
            model's probabilities are not finite.

    Example:
        >>> model, x = ar.MADE(5, hidden=(16,), orderings=3), torch.randint(2, (100, 5))
        >>> packed = ar.encode(model, x)
        >>> torch.equal(ar.decode(model, packed), x)
        True
    """
    data = as_source(data, model.symbols, features=model.context)
    if len(data) == 0:
        raise ValueError("there are no examples to encode")
    context = model.checked_context(context_of(data, context, model.context), len(data))
    if context is not None and model.labels is not None:
        _require_one_hot(context)
    threads, stack, checksum = min(torch.get_num_threads(), THREADS), _stack(BOTTOM), 0
    numbers = sum(map(_probabilities, model.symbols.levels, model.symbols.ordered))
    most = max(1, min(SIDE_BY_SIDE, model.chunk_rows, PROBABILITIES // numbers))
    coded = counter(len(data) * model.dims, on_progress)
    with measuring(model), _threads(threads):
        for rows in reversed(list(_batches(len(data), most))):
            x = data[rows].to(model.device)
            model.symbols.check(x)
            x, part = x.long(), None if context is None else context[rows]
            _push(stack, model, x, part, coded)
            if part is not None and model.labels is not None:
                stack.encode_reverse(_numbers(part.argmax(1)), _label(model))
            checksum = zlib.crc32(_numbers(x).tobytes(), checksum)
    payload = stack.get_compressed().astype("<u4").tobytes()
    return _header(model, threads, len(data), most, checksum, payload) + payload


def decode(
    model: AutoregressiveModel,
    data: bytes | bytearray | memoryview,
    *,
    context: Any = None,
    on_progress: OnProgress | None = None,
) -> Tensor:
    """Restores the examples that :func:`encode` encoded with the same model.

    Whatever the bytes claim, time and memory are those of encoding and holding examples that the
    model gives so many bits.

    Args:
        context: the context given to ``encode``, or one row if all are the same. None for a model
            with labels, which are encoded.
        on_progress: called at every dimension of a batch with the number of symbols decoded so
            far and that of all.

    Returns:
        (examples, *event_shape) int64.

    Raises:
        ValueError: the bytes were not encoded by autoregress, are damaged, or belong to another
            model or context; or the model's probabilities are not the same to the last bit here,
            as can happen with another kind of processor or another version of torch.

    Example:
        >>> model, x = ar.MADE(5, hidden=(16,)), torch.randint(2, (100, 5))
        >>> ar.decode(model, ar.encode(model, x)[:-4])
        Traceback (most recent call last):
        ValueError: the encoded examples are damaged: they are not what was written
    """
    threads, count, most, expected, payload = _opened(model, data)
    if context is not None and model.labels is not None:
        raise ValueError("the labels are in the encoded examples; leave the context out")
    if model.labels is None:
        context = _context_of_all(model, context, count)
    coded, stack = counter(count * model.dims, on_progress), _stack(payload)
    parts, checksum = list[Tensor](), 0
    with measuring(model), _threads(threads):
        for rows in _batches(count, most):
            size, part = rows.stop - rows.start, None if context is None else context[rows]
            if model.labels is not None:
                part = _decoded_labels(stack, model, size)
            parts.append(_pop(stack, model, size, part, coded))
            if stack.num_valid_bits() < BOTTOM_BITS:
                raise ValueError(ASTRAY)
    for part in reversed(parts):
        checksum = zlib.crc32(_numbers(part).tobytes(), checksum)
    if checksum != expected or tuple(stack.get_compressed()) != BOTTOM:
        raise ValueError(ASTRAY)
    return torch.cat(parts)


def _push(
    stack: Any,
    model: AutoregressiveModel,
    x: Tensor,
    context: Tensor | None,
    coded: Callable[[int], None],
) -> None:
    """Encodes rows side by side; calls ``coded`` with the number of symbols at each dimension."""
    members, back, chosen = model.members, False, np.zeros(len(x), dtype=np.int32)
    if len(members) > 1:
        posterior = _posterior(model, x, context)
        # At least the bits that the choice of the members may take, and some more.
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
            coded(len(own))
            return own

        given = None if context is None else context[own]
        model.traverse(look_up, len(own), context=given, member=members[index])

    for symbols, table in reversed(pushed):
        stack.encode_reverse(symbols, _categorical(), table)
    if len(members) > 1:
        stack.encode_reverse(chosen, _weights(model))
        stack.encode_reverse(np.array([back], dtype=np.int32), stream.model.Uniform(2))


def _pop(
    stack: Any,
    model: AutoregressiveModel,
    count: int,
    context: Tensor | None,
    coded: Callable[[int], None],
) -> Tensor:
    """Decodes ``count`` rows, (count, *event_shape), and restores the stack as it was before.

    Calls ``coded`` with the number of symbols at each dimension.
    """
    members, back, chosen = model.members, False, np.zeros(count, dtype=np.int32)
    if len(members) > 1:
        back = bool(stack.decode(stream.model.Uniform(2), 1)[0])
        chosen = stack.decode(_weights(model), count)
    x = torch.empty(count, *model.event_shape, dtype=torch.int64, device=model.device)

    def read(position: int, conditional: Conditional) -> Tensor:
        symbols = _join(stack, conditional, model.symbols.levels[position])
        coded(len(symbols))
        return symbols

    for index, own in groups(torch.from_numpy(chosen)):
        given = None if context is None else context[own]
        x[own] = model.traverse(read, len(own), context=given, member=members[index])
    if back:
        stack.encode_reverse(chosen, _categorical(), _posterior(model, x, context))
    return x


def _stack(words: Any) -> Any:
    """The coder with these words on its stack."""
    return stream.stack.AnsCoder(np.array(words, np.uint32))


def _batches(count: int, most: int) -> Iterator[slice]:
    """The rows to process side by side, in order; the batches shrink towards the end."""
    last: list[int] = []
    while sum(last) < count and (not last or last[-1] < most):
        last.append(min(FIRST << len(last), most, count - sum(last)))
    before, rest = divmod(count - sum(last), most)
    start = 0
    for size in chain([rest] if rest else [], repeat(most, before), reversed(last)):
        yield slice(start, start + size)
        start += size


def _posterior(
    model: AutoregressiveModel, x: Tensor, context: Tensor | None
) -> np.ndarray[Any, Any]:
    """The posterior over the members of each example, (batch, members)."""
    joint = model.member_log_probs(x, context) + model.log_weights[:, None]
    return _finite(joint.softmax(0).T).contiguous().cpu().numpy()


def _weights(model: AutoregressiveModel) -> Any:
    """The prior over the members, the code for the member of an example."""
    return stream.model.Categorical(model.log_weights.exp().cpu().numpy(), perfect=False)


def _probabilities(levels: int, ordered: bool) -> int:
    """Number of probabilities at a dimension; ordered levels are coded in two digits."""
    return 2 * (math.isqrt(levels - 1) + 1) if ordered else levels


def _split(conditional: Conditional, symbols: Tensor, levels: int) -> list[Coded]:
    """Symbols as one or two digits, each with its probabilities; the first is decoded first."""
    if not isinstance(conditional, Ordered):
        return [(_numbers(symbols), _table(conditional.table()[:, :levels]))]
    digits = conditional.digits()
    coarse = symbols // digits.base
    return [
        (_numbers(coarse), _table(digits.coarse)),
        (_numbers(symbols % digits.base), _table(digits.fine(coarse))),
    ]


def _join(stack: Any, conditional: Conditional, levels: int) -> Tensor:
    """Decodes symbols (batch,) that :func:`_split` split."""

    def read(probabilities: Tensor) -> Tensor:
        numbers = torch.from_numpy(stack.decode(_categorical(), _table(probabilities)))
        return numbers.long().to(probabilities.device)

    def within(x: Tensor) -> Tensor:
        if (x >= levels).any():  # there may be fewer levels than pairs of digits
            raise ValueError(ASTRAY)
        return x

    if not isinstance(conditional, Ordered):
        return read(conditional.table()[:, :levels])
    digits = conditional.digits()
    coarse = within(read(digits.coarse) * digits.base)
    return within(coarse + read(digits.fine(coarse // digits.base)))


def _table(probabilities: Tensor) -> np.ndarray[Any, Any]:
    return _finite(probabilities).contiguous().cpu().numpy()


def _finite(probabilities: Tensor) -> Tensor:
    if not probabilities.isfinite().all():
        raise ValueError(NO_PROBABILITIES)
    return probabilities


def _require_one_hot(context: Tensor) -> None:
    if not (((context == 0) | (context == 1)).all() and (context.sum(1) == 1).all()):
        raise ValueError("the context of a model with labels must be one-hot, to be encoded")


def _label(model: AutoregressiveModel) -> Any:
    """The code for a label: uniform."""
    return stream.model.Uniform(max(2, model.context))


def _categorical() -> Any:
    return stream.model.Categorical(perfect=False)


def _numbers(symbols: Tensor) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(symbols.cpu().numpy(), dtype=np.int32)


def _decoded_labels(stack: Any, model: AutoregressiveModel, count: int) -> Tensor:
    """The contexts (count, context) of the next rows of a model with labels."""
    labels = torch.from_numpy(stack.decode(_label(model), count)).long()
    if (labels >= model.context).any():  # a single label has the code of two
        raise ValueError(ASTRAY)
    return model.checked_context(torch.eye(model.context)[labels], count)


def _context_of_all(model: AutoregressiveModel, context: Any, count: int) -> Tensor | None:
    """The context of ``count`` rows, from as many or a single one."""
    if context is None:
        return model.checked_context(None, count)
    given = as_tensor(context, CONTEXT)
    return model.checked_context(given, 1 if given.shape[:1] == (1,) else count).expand(count, -1)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """A context with a given number of torch's threads, on which the rounding of sums depends."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# Header


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


def fingerprint(model: AutoregressiveModel) -> str:
    """The name of a model's family and weights, as :func:`encoded_by` reads it."""
    return _model(model).hex()


def encoded_by(data: bytes) -> str | None:
    """The :func:`fingerprint` of the model that encoded these bytes, None if none did."""
    header = data[: HEADER.size]
    if len(header) < HEADER.size or not header.startswith(MAGIC):
        return None
    return HEADER.unpack(header)[5].hex()


def _opened(model: AutoregressiveModel, data: Any) -> tuple[int, int, int, int, np.ndarray]:
    """The numbers of threads, examples, and examples side by side; their checksum; the payload.

    Nothing is allocated yet: numbers that :func:`encode` cannot have written are refused.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ValueError(f"encoded examples are bytes, not a {type(data).__name__}")
    data = bytes(data)
    header, payload = data[: HEADER.size], data[HEADER.size :]
    if not header.startswith(MAGIC):
        raise ValueError("these bytes were not encoded by autoregress")
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
    if not (
        (1 <= threads <= THREADS and 1 <= batch <= SIDE_BY_SIDE)
        and (len(payload) % 4 == 0 and len(payload) >= 8 and any(payload[-4:]))
        and 1 <= count * model.dims <= 8 * len(payload) / CHEAPEST
    ):
        raise ValueError("the encoded examples are damaged: their numbers contradict each other")
    return threads, count, batch, symbols, np.frombuffer(payload, "<u4")


def _model(model: AutoregressiveModel) -> bytes:
    """A hash of a model's family and weights.

    It leaves out the settings, of which later versions may have more; a difference in those is
    caught by the checksum of the symbols.
    """
    text = f"{type(model).__name__} {digest(model.state_dict())}"
    return hashlib.sha256(text.encode()).digest()[:16]
