"""Lossless compression of successive examples: their symbols in about −log₂ p(x) bits each.

Encoding and decoding both use the incremental face, as the decoder knows only the symbols before
the current one. Their probabilities are the same to the last bit on every machine
(:mod:`autoregress.portable`).

The coder is a stack (asymmetric numeral systems, arXiv 1311.2540): what was encoded last is decoded
first. So the choice among several members costs no bits. When encoding, an example's member is
decoded from the bits already on the stack, by the members' posterior given the example; when
decoding, the example is recovered first, and these bits are put back ("bits back", Hinton and van
Camp, 1993; Townsend et al., arXiv 1901.04866). The net cost is that of the mixture.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

import constriction
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoregress.conditionals import Conditional, Mixed, Ordered
from autoregress.container import CONTRADICTION
from autoregress.model import AutoregressiveModel
from autoregress.portable import TOTAL, arithmetic, frequencies, prepared

stream: Any = constriction.stream  # type: ignore[attr-defined]  # it is compiled, without types

# The largest number of examples side by side, for efficient matrix products, and of the numbers
# kept for their symbols, for memory. With several members the first batch is small, as an empty
# stack gives no bits back.
SIDE_BY_SIDE, KEPT, FIRST = 1024, 2**24, 8
# Number of examples that can be decoded apart from the others of their batch.
SAMPLE = 32

# The words on the stack before the first symbol. With them every symbol costs at least −log₂(1 −
# 2⁻²⁴) bits, as the coder's probabilities are multiples of 2⁻²⁴; an empty stack would take any
# number of likely symbols for nothing. So no header can claim more symbols than the payload pays
# for, and a decoder that takes more from the stack than was on it has gone astray.
BOTTOM, BOTTOM_BITS, CHEAPEST = (0, 1), 32, 2.0**-24

ASTRAY = (
    "the decoded examples differ from the encoded ones: the context or a setting of the model is "
    "different, or this version of autoregress computes other probabilities"
)

# Symbols (batch,), and the frequencies of a few intervals of each, of which one is the symbol's.
Coded = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


class Packing:
    """Successive examples on a stack.

    Attributes:
        count: number of examples pushed so far.
        checksum: CRC-32 of their symbols.
    """

    def __init__(self, model: AutoregressiveModel) -> None:
        self.count, self.checksum = 0, 0
        self._model, self._stack = prepared(model), _stack(BOTTOM)
        self._sample: list[Coded] = []

    def push(self, x: Tensor, context: Tensor | None, coded: Callable[[int], None]) -> None:
        """Encodes the next batch, whose size is the next of :func:`sizes` unless it is the last.

        Args:
            x: int64 symbols (batch, *event_shape), −1 where unknown.
            context: (batch, context) if the model takes one, one-hot if it has labels.
            coded: called with the number of symbols at each dimension.
        """
        model, stack = self._model, self._stack
        with arithmetic():
            self._sample = _push(stack, model, x, context, coded)
        if model.symbols.gaps:
            _push_unknown(stack, x < 0)
            coded(int((x < 0).sum()))
        if context is not None and model.labels is not None:
            stack.encode_reverse(_numbers(context.argmax(1)), _label(model))
        self.checksum = zlib.crc32(_numbers(x).tobytes(), self.checksum)
        self.count += len(x)

    def top(self, size: int, context: Tensor | None) -> Tensor:
        """Decodes the last batch, of that size, from a copy of the stack."""
        stack, model = self._stack.clone(), self._model
        if context is not None and model.labels is not None:
            context = _decoded_labels(stack, model, size)
        with arithmetic():
            x = _pop_batch(stack, model, size, context, lambda _: None)
        return x.clone()

    def sample(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Decodes the first examples x of the last batch, each of the member that all follow.

        They are encoded apart, with the probabilities that they had in the batch.

        Args:
            x: (at most SAMPLE, *event_shape).
        """
        stack = _stack(BOTTOM)
        for symbols, table in reversed(self._sample):
            stack.encode_reverse(symbols, _categorical(), table)
        if self._model.symbols.gaps:
            _push_unknown(stack, x < 0)
        with arithmetic():
            return _pop_batch(stack, self._model, len(x), context, lambda _: None).clone()

    @property
    def size(self) -> int:
        """Number of bytes on the stack."""
        return self._stack.num_bits() // 8

    def words(self) -> bytes:
        """What the entropy coder wrote."""
        return self._stack.get_compressed().astype("<u4").tobytes()


def unpack(
    model: AutoregressiveModel,
    words: bytes,
    count: int,
    checksum: int,
    rows: int,
    context: Tensor | None,
    coded: Callable[[int], None],
) -> tuple[Tensor, Tensor | None]:
    """The examples that a :class:`Packing` put on its stack.

    Nothing is allocated for numbers that the words cannot pay for.

    Args:
        rows: number of examples side by side.
        context: (count, context), or one row if all are the same; None if the model has labels,
            which are encoded.
        coded: called with the number of symbols at each dimension.

    Returns:
        (count, *event_shape) int64 symbols, and (count,) the labels, None if the model has none.

    Raises:
        ValueError: the words cannot be those of that number of examples, or decode to others.
    """
    if not (
        (len(words) % 4 == 0 and len(words) >= 8 and any(words[-4:]))
        and count * model.dims <= 8 * len(words) / CHEAPEST
        and (context is None or len(context) in (1, count))
    ):
        raise ValueError(CONTRADICTION)
    model, stack, stop = prepared(model), _stack(np.frombuffer(words, "<u4")), count
    parts, labels = list[Tensor](), list[Tensor]()
    for size in _sizes_back(model, count, rows):
        part = context
        if context is not None:
            alike = len(context) == 1
            part = context.expand(size, -1) if alike else context[stop - size : stop]
        if model.labels is not None:
            part = _decoded_labels(stack, model, size)
            labels.append(part.argmax(1))
        with arithmetic():
            parts.append(_pop_batch(stack, model, size, part, coded))
        stop -= size
        if stack.num_valid_bits() < BOTTOM_BITS:
            raise ValueError(ASTRAY)
    x, found = torch.cat(parts[::-1]), 0
    for part in reversed(parts):
        found = zlib.crc32(_numbers(part).tobytes(), found)
    if found != checksum or tuple(stack.get_compressed()) != BOTTOM:
        raise ValueError(ASTRAY)
    return x, torch.cat(labels[::-1]) if labels else None


def rows_side_by_side(model: AutoregressiveModel) -> int:
    """The number of examples that are encoded side by side."""
    numbers = sum(6 if ordered else 3 for ordered in model.symbols.ordered)
    return max(1, min(SIDE_BY_SIDE, model.chunk_rows, KEPT // numbers))


def sizes(model: AutoregressiveModel, rows: int) -> Iterator[int]:
    """The sizes of batches, in the order of encoding; the last of a chunk may be smaller."""
    size = rows if len(model.members) == 1 else min(FIRST, rows)
    while True:
        yield size
        size = min(2 * size, rows)


def _sizes_back(model: AutoregressiveModel, count: int, rows: int) -> Iterator[int]:
    """The sizes of the batches of ``count`` examples, in the order of decoding."""
    first = list[int]()
    size = next(upwards := sizes(model, rows))
    while size < rows and sum(first) + size <= count:
        first.append(size)
        size = next(upwards)
    full, rest = divmod(count - sum(first), size)
    yield from chain([rest] if rest else [], repeat(size, full), reversed(first))


def _pop_batch(
    stack: Any,
    model: AutoregressiveModel,
    count: int,
    context: Tensor | None,
    coded: Callable[[int], None],
) -> Tensor:
    """Decodes a batch, (count, *event_shape), and restores the stack as it was before."""
    if not model.symbols.gaps:
        return _pop(stack, model, count, context, None, coded)
    unknown = _pop_unknown(stack, count, model.dims)
    coded(int(unknown.sum()))
    return _pop(stack, model, count, context, ~unknown.to(model.device), coded)


# Unknown entries


def _push_unknown(stack: Any, unknown: Tensor) -> None:
    """Encodes which entries (batch, *event_shape) are unknown, each dimension by its own share."""
    flags = _numbers(unknown.flatten(1))
    counts = flags.sum(0, dtype=np.int32)
    for flag, number in zip(reversed(flags.T), reversed(counts), strict=True):
        if 0 < number < len(flags):
            stack.encode_reverse(np.ascontiguousarray(flag), _share(int(number), len(flags)))
    some = bool(counts.any())
    if some:
        stack.encode_reverse(counts, stream.model.Uniform(len(flags) + 1))
    stack.encode_reverse(np.array([some], np.int32), stream.model.Uniform(2))


def _pop_unknown(stack: Any, count: int, dims: int) -> Tensor:
    """Decodes which entries (count, dims) are unknown."""
    flags = np.zeros((dims, count), bool)
    if stack.decode(stream.model.Uniform(2), 1)[0]:
        counts = stack.decode(stream.model.Uniform(count + 1), dims)
        for dim, number in enumerate(counts.tolist()):
            flags[dim] = number == count
            if 0 < number < count:
                flags[dim] = stack.decode(_share(number, count), count)
    return torch.from_numpy(flags.T.copy())


def _share(number: int, count: int) -> Any:
    """The code for flags of which a number are set."""
    shares = torch.tensor([1 - number / count, number / count], dtype=torch.float64)
    return stream.model.Categorical(frequencies(shares), perfect=False)


def _push(
    stack: Any,
    model: AutoregressiveModel,
    x: Tensor,
    context: Tensor | None,
    coded: Callable[[int], None],
) -> list[Coded]:
    """Encodes rows side by side; calls ``coded`` with the number of symbols at each dimension.

    Returns the symbols of the first SAMPLE rows, unless each row follows a member of its own.
    """
    members, back, chosen = model.members, False, np.zeros(len(x), dtype=np.int32)
    if len(members) > 1:
        posterior = _posterior(model, x, context)
        # At least the bits that the choice of the members may take, and some more.
        back = stack.num_valid_bits() > len(x) * math.log2(len(members)) + 64
        if back:
            chosen = stack.decode(_categorical(), posterior)
        else:
            chosen = posterior.argmax(1).astype(np.int32)
    pushed, sample = list[Coded](), list[Coded]()

    for member, own in members[0].side_by_side(members, torch.from_numpy(chosen)):
        symbols = x[own].flatten(1)

        def look_up(
            position: int | Tensor, conditional: Conditional, symbols: Tensor = symbols
        ) -> Tensor:
            all_of_step = _at(symbols, position)
            for part, rows, levels in _parts(model, position, conditional):
                here = all_of_step if rows is None else all_of_step[rows]
                known = here >= 0 if model.symbols.gaps else None
                split = _split(part, here, levels, known)
                some = SAMPLE if known is None else int(known[:SAMPLE].sum())
                sample.extend((each[:some].copy(), table[:some].copy()) for each, table in split)
                pushed.extend(split)
                coded(len(here) if known is None else int(known.sum()))
            return all_of_step

        given = None if context is None else context[own]
        model.traverse(look_up, len(own), context=given, member=member)

    for symbols, table in reversed(pushed):
        stack.encode_reverse(symbols, _categorical(), table)
    if len(members) > 1:
        stack.encode_reverse(chosen, _weights(model))
        stack.encode_reverse(np.array([back], dtype=np.int32), stream.model.Uniform(2))
    return sample


def _pop(
    stack: Any,
    model: AutoregressiveModel,
    count: int,
    context: Tensor | None,
    known: Tensor | None,
    coded: Callable[[int], None],
) -> Tensor:
    """Decodes ``count`` rows, (count, *event_shape), and restores the stack as it was before.

    Args:
        known: (count, D) bool, which entries are encoded; None if all are. The others become −1.
        coded: called with the number of symbols at each dimension.
    """
    members, back, chosen = model.members, False, np.zeros(count, dtype=np.int32)
    if len(members) > 1:
        back = bool(stack.decode(stream.model.Uniform(2), 1)[0])
        chosen = stack.decode(_weights(model), count)
    x = torch.empty(count, *model.event_shape, dtype=torch.int64, device=model.device)

    for member, own in members[0].side_by_side(members, torch.from_numpy(chosen)):
        own_known = None if known is None else known[own]

        def read(
            position: int | Tensor, conditional: Conditional, known: Tensor | None = own_known
        ) -> Tensor:
            now = None if known is None else _at(known, position)
            symbols = None
            for part, rows, levels in _parts(model, position, conditional):
                here = now if now is None or rows is None else now[rows]
                found = _join(stack, part, levels, here, model.device)
                coded(len(found) if here is None else int(here.sum()))
                if rows is None:
                    return found
                if symbols is None:
                    symbols = found.new_empty(len(position))  # pyright: ignore[reportArgumentType]
                symbols[rows] = found
            assert symbols is not None
            return symbols

        given = None if context is None else context[own]
        x[own] = model.traverse(read, len(own), context=given, member=member)
    if back:
        stack.encode_reverse(chosen, _categorical(), _posterior(model, x, context))
    return x


def _at(values: Tensor, position: int | Tensor) -> Tensor:
    """Of values (batch, D) those of a dimension, or of one for each row, (batch,)."""
    if isinstance(position, int):
        return values[:, position]
    return values.gather(1, position.unsqueeze(1)).squeeze(1)


def _parts(
    model: AutoregressiveModel, position: int | Tensor, conditional: Conditional
) -> Iterator[tuple[Conditional, Tensor | None, int]]:
    """The conditionals of a step, one kind of dimension after another.

    Yields each with its rows, None for all, and the number of levels.
    """
    levels = model.symbols.levels
    if isinstance(position, int):
        yield conditional, None, levels[position]
    elif isinstance(conditional, Mixed):
        for part, rows in zip(conditional.parts, conditional.places, strict=True):
            yield part, rows, levels[int(position[rows[0]])]
    else:
        yield conditional, None, levels[int(position[0])]


def _stack(words: Any) -> Any:
    """The coder with these words on its stack."""
    return stream.stack.AnsCoder(np.array(words, np.uint32))


def _posterior(
    model: AutoregressiveModel, x: Tensor, context: Tensor | None
) -> np.ndarray[Any, Any]:
    """The posterior over the members of each example, (batch, members)."""
    joint = model.member_log_probs(x, context) + model.log_weights[:, None]
    return frequencies(joint.softmax(0).T.contiguous())  # in the order in which the coder reads


def _weights(model: AutoregressiveModel) -> Any:
    """The prior over the members, the code for the member of an example."""
    return stream.model.Categorical(frequencies(model.log_weights.exp()), perfect=False)


def _split(
    conditional: Conditional, symbols: Tensor, levels: int, known: Tensor | None
) -> list[Coded]:
    """Symbols as one or two digits, each with its probabilities; the first is decoded first.

    Args:
        symbols: (batch,).
        known: (batch,) bool, which of them are encoded; None if all are.
    """

    def some(each: Tensor) -> Tensor:
        return each if known is None else each[known]

    if not isinstance(conditional, Ordered):
        return [_interval(some(conditional.table()[:, :levels]), some(symbols))]
    digits = conditional.digits()
    coarse, fine = symbols.clamp(min=0) // digits.base, symbols % digits.base
    return [
        _interval(some(digits.coarse), some(coarse)),
        _interval(some(digits.fine(coarse)), some(fine)),
    ]


def _interval(probabilities: Tensor, symbols: Tensor) -> Coded:
    """Symbols (batch,), and their frequencies less 1, between those below and those above them.

    These three intervals are a code for the symbol as good as all its levels, in less memory.
    """
    table, numbers = frequencies(probabilities), _numbers(symbols)
    if table.shape[1] <= 3:
        return numbers, table
    rows, last = np.arange(len(table)), table.shape[1] - 1
    own = table[rows, numbers]
    below = table.cumsum(1)[rows, numbers] - own + numbers
    above = TOTAL - 1 - own - below
    # Without a level on one side there are several on the other, one of which is split off.
    lowest, highest = numbers == 0, numbers == last
    first = np.where(lowest, own, np.where(highest, 0, below - 1))
    final = np.where(highest, own, np.where(lowest, 0, above - 1))
    three = np.stack([first, TOTAL - 3 - first - final, final], 1)
    return (1 - lowest + highest).astype(np.int32), three


def _join(
    stack: Any,
    conditional: Conditional,
    levels: int,
    known: Tensor | None,
    device: torch.device,
) -> Tensor:
    """Decodes symbols (batch,) that :func:`_split` split, −1 where they are not known."""

    def read(probabilities: Tensor) -> NDArray[np.int64]:
        own = probabilities if known is None else probabilities[known]
        found = stack.decode(_categorical(), frequencies(own)).astype(np.int64)
        if known is None:
            return found
        every = np.zeros(len(known), np.int64)
        every[_numbers(known) > 0] = found
        return every

    def within(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        if (numbers >= levels).any():  # there may be fewer levels than pairs of digits
            raise ValueError(ASTRAY)
        return numbers

    if isinstance(conditional, Ordered):
        digits = conditional.digits()
        coarse = read(digits.coarse)
        first = within(coarse * digits.base)
        numbers = within(first + read(digits.fine(_tensor(coarse, device))))
    else:
        numbers = read(conditional.table()[:, :levels])
    if known is not None:
        numbers[_numbers(known) == 0] = -1
    return _tensor(numbers, device)


def require_one_hot(context: Tensor) -> None:
    """Raises ValueError unless every row (batch, labels) is that of a label."""
    if not (((context == 0) | (context == 1)).all() and (context.sum(1) == 1).all()):
        raise ValueError("the context of a model with labels must be one-hot, to be encoded")


def _label(model: AutoregressiveModel) -> Any:
    """The code for a label: uniform."""
    return stream.model.Uniform(max(2, model.context))


def _categorical() -> Any:
    """The code for levels of given frequencies, each less 1.

    It divides them by their sum, 2²⁴ − K, multiplies them by that, and adds 1: all exact.
    """
    return stream.model.Categorical(perfect=False)


def _numbers(symbols: Tensor) -> np.ndarray[Any, Any]:
    with torch._C._DisableTorchDispatch():  # whole numbers are the same everywhere
        return np.ascontiguousarray(symbols.cpu().numpy(), dtype=np.int32)


def _tensor(numbers: NDArray[np.int64], device: torch.device) -> Tensor:
    with torch._C._DisableTorchDispatch():
        return torch.from_numpy(numbers).to(device)


def _decoded_labels(stack: Any, model: AutoregressiveModel, count: int) -> Tensor:
    """The contexts (count, context) of the next rows of a model with labels."""
    labels = torch.from_numpy(stack.decode(_label(model), count)).long()
    if (labels >= model.context).any():  # a single label has the code of two
        raise ValueError(ASTRAY)
    return model.checked_context(torch.eye(model.context)[labels], count)
