"""A model in few bytes: its configuration as JSON, its weights entropy-coded.

A weight is a whole number of 64 bits: multiples of a power of two are their multiple, other
floating-point numbers the bits that represent them. Its leading bits are coded by how often they
occur in their tensor; the others are nearly uniform, and are written as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import constriction
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoregress.archive.manifest import inflated, pack_manifest, squeezed, unsqueezed
from autoregress.container import CONTRADICTION, WEIGHTS, Reader, frame, number
from autoregress.disk import raw_bytes
from autoregress.model import AutoregressiveModel
from autoregress.portable import frequencies, prepared
from autoregress.storage import build_model, model_config, set_weights

Words = NDArray[np.uint64]

stream: Any = constriction.stream  # type: ignore[attr-defined]  # it is compiled, without types

# The ways in which a tensor is written.
PLAIN, MULTIPLES, FLOATS = range(3)
# The finest power of two of which weights are taken for multiples, and the largest multiple.
FINEST, LARGEST = 40, 2.0**52
# Number of leading bits of a floating-point number that are coded: sign, exponent, two more.
LEADING = {torch.float32: 11, torch.float64: 14}
DIGIT = 24  # bits that the coder takes at once
DTYPES = (
    *(torch.float32, torch.float64, torch.int64, torch.bool, torch.int32, torch.int16),
    *(torch.uint8, torch.float16, torch.bfloat16),
)
# The largest number of weights that a byte can stand for.
EXPANSION = 2**10
NAME = "the model in the file"


def pack_model(model: AutoregressiveModel) -> bytes:
    """A model as bytes, its weights as coding uses them.

    Raises:
        ValueError: its family is not known, or a weight is NaN or infinite.
    """
    config = pack_manifest(model_config(model))
    state = sorted(_short(prepared(model).state_dict()).items())
    parts = [number(len(config)), config, number(sum(t.numel() for _, t in state))]
    plain = list[Tensor]()
    for _, tensor in state:
        tensor = tensor.detach().cpu().contiguous()
        coded = _packed(tensor)
        if coded is None:
            plain.append(tensor)
        head = b"".join(map(number, (DTYPES.index(tensor.dtype), tensor.dim(), *tensor.shape)))
        parts.append(head + (number(PLAIN) if coded is None else coded))
    together = b"".join(bytes(raw_bytes(tensor)) for tensor in plain)
    parts.append(squeezed(together))
    return b"".join(parts)


def model_size(model: AutoregressiveModel) -> int:
    """The number of bytes that a model adds to a file."""
    return len(frame(WEIGHTS, pack_model(model)))


def unpack_model(content: bytes) -> AutoregressiveModel:
    """The model of :func:`pack_model`, in eval mode.

    Raises:
        ValueError: it is damaged, or of a family that is not known.
    """
    read = Reader(content)
    config = inflated(read.take(read.number()))
    count = read.number()
    if count > EXPANSION * len(content):
        raise ValueError(CONTRADICTION)
    try:
        described = json.loads(config)
    except ValueError as error:
        raise ValueError(f"{NAME} is damaged") from error
    model = build_model(described, count, NAME)
    state, plain = dict[str, Tensor](), list[tuple[str, torch.dtype, torch.Size]]()
    for name in sorted(model.state_dict()):
        place, shape, way = read.number(), torch.Size(read.several()), read.number()
        count -= shape.numel()
        if place >= len(DTYPES) or way > FLOATS or count < 0:
            raise ValueError(CONTRADICTION)
        if way == PLAIN:
            plain.append((name, DTYPES[place], shape))
        else:
            state[name] = _unpacked(read, way, DTYPES[place], shape)
    sizes = [shape.numel() * dtype.itemsize for _, dtype, shape in plain]
    rest = Reader(unsqueezed(read.rest(), sum(sizes)))
    for (name, dtype, shape), size in zip(plain, sizes, strict=True):
        values = torch.frombuffer(bytearray(rest.take(size)), dtype=torch.uint8) if size else None
        flat = torch.empty(0, dtype=dtype) if values is None else values.view(dtype)
        state[name] = flat.view(shape)
    set_weights(model, state, NAME)
    return model.eval()


def _short(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in float32 if that changes none of them, as matrices are rounded to fewer bits."""
    wide = {name: t for name, t in state.items() if t.is_floating_point()}
    short = {name: t.float() for name, t in wide.items()}
    exact = all(torch.equal(t.double(), wide[name].double()) for name, t in short.items())
    return {**state, **(short if exact else wide)}


# A tensor


def _packed(tensor: Tensor) -> bytes | None:
    """A tensor coded, None if it is not worth it or not of floating-point numbers."""
    if tensor.dtype not in LEADING or tensor.numel() == 0:
        return None
    values = tensor.double().flatten()
    for fine in range(FINEST + 1):
        multiples = values * 2.0**fine
        if bool((multiples == multiples.round()).all()) and bool((multiples.abs() < LARGEST).all()):
            whole = multiples.long().numpy()
            words = ((whole << 1) ^ (whole >> 63)).astype(np.uint64)
            head, classes, bits = number(MULTIPLES) + number(fine), *_by_length(words)
            break
    else:
        unsigned = np.uint32 if tensor.dtype == torch.float32 else np.uint64
        words = tensor.flatten().numpy().view(unsigned).astype(np.uint64)
        shift = 8 * tensor.dtype.itemsize - LEADING[tensor.dtype]
        head, classes = number(FLOATS), (words >> np.uint64(shift)).astype(np.int64)
        bits = np.full(len(words), shift)
    known, index, counts = np.unique(classes, return_inverse=True, return_counts=True)
    coder = stream.stack.AnsCoder()
    for width in np.unique(bits)[::-1]:
        own = words[bits == width] & np.uint64((1 << int(width)) - 1)
        for low, size in reversed(_digits(int(width))):
            digit = (own >> np.uint64(low)) & np.uint64((1 << size) - 1)
            coder.encode_reverse(digit.astype(np.int32), stream.model.Uniform(1 << size))
    if len(known) > 1:
        coder.encode_reverse(index.astype(np.int32), _frequencies(counts))
    coded = coder.get_compressed().astype("<u4").tobytes()
    steps = np.diff(known, prepend=0).tolist()
    table = b"".join(number(n) for pair in zip(steps, counts.tolist(), strict=True) for n in pair)
    packed = head + number(len(known)) + table + number(len(coded)) + coded
    plain = tensor.numel() * tensor.dtype.itemsize
    if len(tensor.unique()) * 8 < tensor.numel():  # repetitions, which the coder does not see
        plain = len(squeezed(bytes(raw_bytes(tensor))))
    return packed if len(packed) < plain else None


def _unpacked(read: Reader, way: int, dtype: torch.dtype, shape: torch.Size) -> Tensor:
    fine = read.number() if way == MULTIPLES else 0
    count = shape.numel()
    kinds = read.number()
    if dtype not in LEADING or fine > FINEST or not 1 <= kinds <= count:
        raise ValueError(CONTRADICTION)
    pairs = [(read.number(), read.number()) for _ in range(kinds)]
    known = np.cumsum([step for step, _ in pairs], dtype=np.int64)
    counts = np.array([n for _, n in pairs], np.int64)
    shift = 8 * dtype.itemsize - LEADING[dtype]
    most = 8 + 4 * 60 if way == MULTIPLES else 2 ** LEADING[dtype]
    if known[-1] >= most or (np.diff(known) < 1).any() or int(counts.sum()) != count:
        raise ValueError(CONTRADICTION)
    coded = read.take(read.number())
    if len(coded) % 4 or (coded and not any(coded[-4:])) or (counts < 1).any():
        raise ValueError(CONTRADICTION)
    coder = stream.stack.AnsCoder(np.frombuffer(coded, "<u4").astype(np.uint32))
    index = np.zeros(count, np.int64)
    if kinds > 1:
        index = coder.decode(_frequencies(counts), count).astype(np.int64)
    classes = known[index]
    if way == MULTIPLES:
        words, bits = _of_length(classes)
    else:
        words, bits = classes.astype(np.uint64) << np.uint64(shift), np.full(count, shift)
    for width in np.unique(bits):
        own = bits == width
        for low, size in _digits(int(width)):
            digit = coder.decode(stream.model.Uniform(1 << size), int(own.sum()))
            words[own] |= digit.astype(np.uint64) << np.uint64(low)
    if way == MULTIPLES:
        whole = (words >> np.uint64(1)).astype(np.int64) ^ -(words & np.uint64(1)).astype(np.int64)
        values = torch.from_numpy(whole).double() * 2.0**-fine
        return values.to(dtype).view(shape)
    unsigned, signed = (
        (np.uint32, np.float32) if dtype == torch.float32 else (np.uint64, np.float64)
    )
    return torch.from_numpy(words.astype(unsigned).view(signed)).view(shape)


def _by_length(words: Words) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The class of each number, by its length and two further leading bits, and its other bits."""
    length = _bit_length(words)
    bits = np.maximum(length - 3, 0)
    leading = (words >> bits.astype(np.uint64)).astype(np.int64)
    return np.where(length <= 3, leading, 8 + 4 * (length - 4) + (leading & 3)), bits


def _of_length(classes: NDArray[np.int64]) -> tuple[Words, NDArray[np.int64]]:
    """The least number of each class, and the number of its other bits."""
    bits = np.where(classes < 8, 0, (classes - 8) // 4 + 1)
    leading = np.where(classes < 8, classes, 4 + (classes - 8) % 4)
    return leading.astype(np.uint64) << bits.astype(np.uint64), bits


def _bit_length(words: Words) -> NDArray[np.int64]:
    length, rest = np.zeros(len(words), np.int64), words.copy()
    for step in (32, 16, 8, 4, 2, 1):
        large = rest >= np.uint64(1 << step)
        length += step * large
        rest = np.where(large, rest >> np.uint64(step), rest)
    return length + (rest > 0)


def _digits(width: int) -> list[tuple[int, int]]:
    """Where the digits of a number of that many bits begin, and their numbers of bits."""
    return [(low, min(DIGIT, width - low)) for low in range(0, width, DIGIT)]


def _frequencies(counts: NDArray[np.int64]) -> Any:
    shares = torch.from_numpy(counts / counts.sum())
    return stream.model.Categorical(frequencies(shares), perfect=False)
