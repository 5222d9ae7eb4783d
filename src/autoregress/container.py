"""The container of compressed examples: a header, frames with checksums, an index at the end.

docs/format.md describes every byte. Nothing here knows of models or of symbols' probabilities, and
nothing that a file claims is believed beyond its own size.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

MAGIC, VERSION = b"\xa4reg", 5
# Every frame begins with this byte and one that names its kind.
MARK = b"\xa4"
WEIGHTS, MANIFEST, CHUNK, LAST, INDEX = b"W", b"M", b"C", b"L", b"I"
KINDS = (WEIGHTS, MANIFEST, CHUNK, LAST, INDEX)
DIGEST = 16  # bytes of a model's digest

LABELS, CONTEXT, GAPS = 1, 2, 4  # flags of a header

BLOCK = 2**20  # bytes read at a time
TAIL = 8  # bytes at the end of an index: its length and checksum
LONGEST = 10  # bytes of a number
MOST, MOST_ROWS = 2**62, 2**10  # examples in all, and side by side
# Scanning a damaged file reads at most this number of times its bytes.
PASSES = 8

NOT_OURS = "not written by autoregress compress or ar.encode"
CUT = "the encoded examples are cut short"
DAMAGED = "the encoded examples are damaged: they are not what was written"
CONTRADICTION = "the encoded examples are damaged: their numbers contradict each other"


@dataclass(frozen=True)
class Header:
    """What a file says about its examples and their model.

    Attributes:
        model: digest of the model's family and weights, 16 bytes.
        family: name of its family.
        event_shape: shape of an example.
        kinds: runs of dimensions of the same kind: number of levels, whether they are ordered, and
            number of dimensions.
        rows: number of examples coded side by side.
        flags: LABELS if each example's label is coded, CONTEXT if a context must be given, GAPS if
            entries may be unknown.
    """

    model: bytes
    family: str
    event_shape: tuple[int, ...]
    kinds: tuple[tuple[int, bool, int], ...]
    rows: int
    flags: int = 0

    def content(self) -> bytes:
        """The fields, without what frames them."""
        # One run is the usual case, and needs no length.
        lengths = len(self.kinds) > 1
        runs = (_numbers(2 * k + o, *([n] if lengths else [])) for k, o, n in self.kinds)
        name = self.family.encode()
        return b"".join(
            (
                self.model,
                number(len(name)),
                name,
                _numbers(self.flags, self.rows, len(self.event_shape), *self.event_shape),
                number(len(self.kinds)),
                *runs,
            )
        )

    @classmethod
    def parse(cls, content: bytes) -> Header:
        """The header of these fields.

        Raises:
            ValueError: they are not a header's.
        """
        read = Reader(content)
        model, name = read.take(DIGEST), read.take(read.number())
        flags, rows, shape = read.number(), read.number(), read.several()
        dims, count = math.prod(shape), read.number()
        if count > len(content):
            raise ValueError(CONTRADICTION)
        kinds = list[tuple[int, bool, int]]()
        for _ in range(count):
            kind = read.number()
            kinds.append((kind // 2, kind % 2 == 1, read.number() if count > 1 else dims))
        read.end()
        least = min((levels for levels, _, _ in kinds), default=0)
        if (
            not 1 <= rows <= MOST_ROWS
            or least < 2
            or dims < 1
            or sum(n for _, _, n in kinds) != dims
        ):
            raise ValueError(CONTRADICTION)
        try:
            return cls(model, name.decode(), tuple(shape), tuple(kinds), rows, flags)
        except UnicodeDecodeError:
            raise ValueError(CONTRADICTION) from None

    def packed(self) -> bytes:
        """The first bytes of a file."""
        content = self.content()
        head = MAGIC + bytes([VERSION]) + number(len(content)) + content
        return head + _check(head)


@dataclass(frozen=True)
class Chunk:
    """Some successive examples, as they are in the file.

    Attributes:
        first: number of examples before.
        count: number of examples.
        symbols: checksum of the symbols, CRC-32.
        beside: further bytes about these examples.
        words: what the entropy coder wrote.
    """

    first: int
    count: int
    symbols: int
    beside: bytes
    words: bytes

    def packed(self, *, last: bool) -> bytes:
        """The frame of this chunk, and whether no examples follow."""
        head = _numbers(self.first, self.count, len(self.beside))
        body = head + self.symbols.to_bytes(4, "little") + self.beside + self.words
        return frame(LAST if last else CHUNK, body)

    @classmethod
    def parse(cls, body: bytes) -> Chunk:
        """The chunk in the body of a frame.

        Raises:
            ValueError: it is none.
        """
        read = Reader(body)
        first, count, beside = read.number(), read.number(), read.number()
        symbols = int.from_bytes(read.take(4), "little")
        further = read.take(beside)
        if count < 1 or first + count > MOST:
            raise ValueError(CONTRADICTION)
        return cls(first, count, symbols, further, read.rest())


@dataclass(frozen=True)
class Place:
    """Where a chunk is: its first example, number of examples, offset and length in bytes."""

    first: int
    count: int
    offset: int
    length: int


@dataclass(frozen=True)
class Index:
    """The chunks of a file in order, and the fields of its header once more."""

    header: bytes
    chunks: Sequence[tuple[int, int]]  # number of examples, and length in bytes

    def packed(self) -> bytes:
        """The frame of the index, which ends with its own length and checksum."""
        fields = _numbers(len(self.header)) + self.header + _numbers(len(self.chunks))
        fields += _numbers(*(n for chunk in self.chunks for n in chunk))
        # The length of the whole frame, so that it is found from the end of the file.
        length = 2 + len(number(len(fields) + 4)) + len(fields) + TAIL
        return frame(INDEX, fields + length.to_bytes(4, "little"))

    @classmethod
    def parse(cls, body: bytes) -> Index:
        """The index in the body of a frame.

        Raises:
            ValueError: it is none.
        """
        read = Reader(body[:-4])
        header, count = read.take(read.number()), read.number()
        if count > len(body):  # each takes two bytes at least
            raise ValueError(CONTRADICTION)
        chunks = [(read.number(), read.number()) for _ in range(count)]
        read.end()
        return cls(header, chunks)

    def places(self, end: int) -> list[Place]:
        """Where the chunks are, if the last one ends at a position.

        Raises:
            ValueError: they are longer than the file.
        """
        offset = end - sum(length for _, length in self.chunks)
        if offset < 0:
            raise ValueError(CONTRADICTION)
        first, places = 0, list[Place]()
        if sum(count for count, _ in self.chunks) > MOST:
            raise ValueError(CONTRADICTION)
        for count, length in self.chunks:
            places.append(Place(first, count, offset, length))
            first, offset = first + count, offset + length
        return places


# Frames


def frame(kind: bytes, body: bytes) -> bytes:
    """A frame: mark, kind, length, body, CRC-32 of all of these."""
    head = MARK + kind + number(len(body)) + body
    return head + _check(head)


def read_frame(file: IO[bytes]) -> tuple[bytes, bytes] | None:
    """The kind and the body of the next frame; None at the end of the file.

    Raises:
        ValueError: it is damaged or cut short.
    """
    head = file.read(2)
    if not head:
        return None
    if len(head) < 2:
        raise ValueError(CUT)
    if head[:1] != MARK or head[1:] not in KINDS:
        raise ValueError(DAMAGED)
    length, raw = _read_number(file)
    body, check = _read(file, length), _read(file, 4)
    if check != _check(head + raw + body):
        raise ValueError(DAMAGED)
    return head[1:], body


def read_header(file: IO[bytes]) -> Header:
    """The header at the beginning of a file.

    Raises:
        ValueError: the file is not one of autoregress, is of another version, damaged or cut short.
    """
    magic = file.read(len(MAGIC))
    if magic != MAGIC:
        raise ValueError(CUT if magic and MAGIC.startswith(magic) else NOT_OURS)
    version = _read(file, 1)
    if version[0] != VERSION:
        raise ValueError(
            f"the examples were encoded in format {version[0]}; this version of autoregress reads "
            f"format {VERSION}"
        )
    length, raw = _read_number(file)
    content, check = _read(file, length), _read(file, 4)
    if check != _check(magic + version + raw + content):
        raise ValueError(DAMAGED)
    return Header.parse(content)


def find_index(file: IO[bytes], size: int) -> tuple[Index, int] | None:
    """The index at the end of a file and its position; None if there is none or it is damaged."""
    if size < TAIL:
        return None
    file.seek(size - TAIL)
    length = int.from_bytes(file.read(4), "little")
    if not TAIL < length <= size:
        return None
    file.seek(size - length)
    try:
        found = read_frame(file)
        if found is None or found[0] != INDEX or file.tell() != size:
            return None
        return Index.parse(found[1]), size - length
    except ValueError:
        return None


def scan(file: IO[bytes], size: int) -> Iterator[tuple[int, bytes, bytes]]:
    """The undamaged frames of a file, wherever they are: position, kind, body."""
    place, budget = 0, PASSES * size + BLOCK
    while budget > 0:
        place = _next_mark(file, place, size)
        if place < 0:
            return
        file.seek(place)
        try:
            found = read_frame(file)
        except ValueError:
            budget -= file.tell() - place
            place += 1
            continue
        if found is None:
            return
        yield place, *found
        place = file.tell()


def _next_mark(file: IO[bytes], place: int, size: int) -> int:
    """The position from ``place`` on at which a frame may begin; −1 if there is none."""
    while place < size:
        file.seek(place)
        block = file.read(BLOCK)
        at = block.find(MARK)
        while at >= 0:
            if block[at + 1 : at + 2] in KINDS or at + 1 == len(block):
                return place + at
            at = block.find(MARK, at + 1)
        place += len(block)
        if not block:
            break
    return -1


# Numbers


def number(n: int) -> bytes:
    """A whole number from 0, seven bits a byte, the lowest first (LEB128)."""
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def _numbers(*several: int) -> bytes:
    return b"".join(map(number, several))


class Reader:
    """Reads fields from bytes; what is not there raises ValueError."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0

    def take(self, count: int) -> bytes:
        """The next bytes."""
        part = self._content[self._place : self._place + count]
        if len(part) < count:
            raise ValueError(CONTRADICTION)
        self._place += count
        return part

    def number(self) -> int:
        """The next number."""
        value = 0
        for n in range(LONGEST):
            byte = self.take(1)[0]
            value |= (byte & 127) << 7 * n
            if byte < 128 and value < 2**63:
                return value
        raise ValueError(CONTRADICTION)

    def several(self) -> list[int]:
        """The next numbers, after their count."""
        count = self.number()
        if count > len(self._content) - self._place:
            raise ValueError(CONTRADICTION)
        return [self.number() for _ in range(count)]

    def rest(self) -> bytes:
        """All that is left."""
        part, self._place = self._content[self._place :], len(self._content)
        return part

    def end(self) -> None:
        """Raises ValueError if anything is left."""
        if self._place < len(self._content):
            raise ValueError(CONTRADICTION)


def _read_number(file: IO[bytes]) -> tuple[int, bytes]:
    """The next number of a file, and its bytes."""
    raw = b""
    while len(raw) < LONGEST:
        raw += _read(file, 1)
        if raw[-1] < 128:
            return Reader(raw).number(), raw
    raise ValueError(DAMAGED)


def _read(file: IO[bytes], count: int) -> bytes:
    """The next bytes of a file, read in blocks, as it may be shorter than it claims."""
    parts, left = list[bytes](), count
    while left:
        part = file.read(min(left, BLOCK))
        if not part:
            raise ValueError(CUT)
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _check(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "little")


def opened(data: object) -> IO[bytes]:
    """Bytes as a file.

    Raises:
        ValueError: they are something else.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ValueError(f"encoded examples are bytes, not a {type(data).__name__}")
    return io.BytesIO(data)
