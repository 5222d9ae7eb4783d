"""Reads examples back: all, some, or what damage has left of them."""

from __future__ import annotations

import warnings
import weakref
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast, overload

import torch
from torch import Tensor

from autoregress.archive.header import check_header, fingerprint
from autoregress.archive.manifest import unpack_manifest
from autoregress.archive.weights import unpack_model
from autoregress.coding import unpack
from autoregress.container import (
    CHUNK,
    CONTRADICTION,
    CUT,
    DAMAGED,
    INDEX,
    LAST,
    MANIFEST,
    WEIGHTS,
    Chunk,
    Header,
    Place,
    find_index,
    opened,
    read_frame,
    read_header,
    scan,
)
from autoregress.disk import open_file
from autoregress.evaluation import measuring
from autoregress.model import AutoregressiveModel
from autoregress.symbols import CONTEXT, as_tensor
from autoregress.traversal import OnProgress, counter

Bytes = bytes | bytearray | memoryview
OnDamage = Literal["raise", "skip"]


@dataclass(frozen=True)
class Part:
    """Successive examples of a file.

    Attributes:
        first: number of examples before.
        x: (count, *event_shape) int64.
        labels: (count,) int64, the labels of a model that has some.
        beside: further bytes about them.
    """

    first: int
    x: Tensor
    labels: Tensor | None
    beside: bytes


class Archive:
    """The examples of a file, each decoded when it is asked for.

    ``archive[3]`` is one example, ``archive[2:9]`` are several; what is decoded is the chunks, of
    some 64 KiB, that hold them. A file that cannot be searched, such as a pipe, can be read once,
    from beginning to end: ``for x in archive``.

    Args:
        data: a path, bytes, or a binary file.
        model: the model that encoded the examples; by default the one in the file.
        context: the context given to ``encode``, or one row if all are the same. None for a model
            with labels, which are encoded.
        on_damage: what to do about damaged chunks: raise ValueError, or leave their examples out
            and list them in ``lost``. Nothing else of the file suffers.

    Attributes:
        header: what the file says about its examples.
        model: the model.
        manifest: what else the file keeps, None if nothing.
        lost: numbers of the examples that damage has destroyed, as ranges, as far as was read.
        cut: whether the end is missing, so that it is not known how many examples there were.

    Raises:
        ValueError: the bytes were not encoded by autoregress, are damaged, or belong to another
            model or context.

    Example:
        >>> model, x = ar.MADE(5, hidden=(16,)), torch.randint(2, (100, 5))
        >>> archive = ar.Archive(ar.encode(model, x), model)
        >>> len(archive), torch.equal(archive[7], x[7]), torch.equal(archive[90:], x[90:])
        (100, True, True)
    """

    def __init__(
        self,
        data: str | Path | Bytes | IO[bytes],
        model: AutoregressiveModel | None = None,
        *,
        context: Any = None,
        on_damage: OnDamage = "raise",
    ) -> None:
        if isinstance(data, str | Path):
            file = open_file(Path(data))
        else:
            file = data if hasattr(data, "read") else opened(data)
        self._file = cast(IO[bytes], file)
        self._name = data if isinstance(data, str | Path) else None
        if file is not data:
            weakref.finalize(self, self._file.close)
        self._skips = on_damage == "skip"
        self.lost: list[range] = []
        self.cut = False
        self.manifest: dict[str, Any] | None = None
        self._weights: bytes | None = None
        self._places: list[Place] | None = None
        self._ahead: tuple[bytes, bytes] | None = None
        self._cached: tuple[Place, Part] | None = None
        with self._named():
            if self._file.seekable():
                self._size = self._file.seek(0, 2)
                self._file.seek(0)
                self._survey()
            else:
                self.header = read_header(self._file)
                self._ahead = self._read_before_chunks()
            self.model = self._model_of(model)
            check_header(self.header, self.model)
        self._context: Tensor | None = None
        if context is not None:
            self.condition(context)

    def condition(self, context: Any) -> None:
        """Gives the context of the examples, as when opening the file.

        Raises:
            ValueError: it has the wrong shape, or the labels are in the file.
        """
        if self.model.labels is not None:
            raise ValueError("the labels are in the encoded examples; leave the context out")
        given = as_tensor(context, CONTEXT)
        if given.shape[:1] == (1,) or self._places is None:
            self._context = self.model.checked_context(given, len(given))
        else:
            self._context = self.model.checked_context(given, len(self))

    def __len__(self) -> int:
        """The number of examples, those lost included."""
        places = self._searchable()
        ends = [places[-1].first + places[-1].count] if places else []
        return max([*ends, *(part.stop for part in self.lost)], default=0)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> Tensor: ...

    def __getitem__(self, index: int | slice) -> Tensor:
        """One example (*event_shape) by number, or several (count, *event_shape) by slice.

        Raises:
            IndexError: the number is outside −N to N − 1.
            ValueError: a chunk is damaged, or was lost.
        """
        count = len(self)
        if isinstance(index, slice):
            rows = range(*index.indices(count))
            some = [self._example(row) for row in rows]
            return torch.stack(some) if some else torch.empty(0, *self.model.event_shape).long()
        if not -count <= index < count:
            raise IndexError(f"an index is out of range for {count} examples")
        return self._example(index % count)

    def __iter__(self) -> Iterator[Tensor]:
        """Every example in order, but for those lost."""
        for part in self.parts():
            yield from part.x

    def parts(self, on_progress: OnProgress | None = None) -> Iterator[Part]:
        """All examples in order, one chunk after another, but for those lost.

        Args:
            on_progress: called at every dimension of a batch with the number of symbols decoded so
                far and that of all, 0 if that is not known.
        """
        total = 0 if self._places is None else sum(place.count for place in self._places)
        coded = counter(total * self.model.dims, on_progress)
        if self._places is None:
            for chunk in self._following():
                yield self._decoded(chunk, coded)
            return
        for place in list(self._places):
            chunk = self._chunk(place)
            if chunk is not None:
                yield self._decoded(chunk, coded)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """A context in which errors name the file, if it has a name."""
        try:
            yield
        except ValueError as error:
            if self._name is None:
                raise
            raise ValueError(f"{self._name}: {error}") from None

    # What is in the file

    def _survey(self) -> None:
        """Finds the chunks of a file, from its index or by scanning it, and what is before them."""
        index = find_index(self._file, self._size)
        self._file.seek(0)
        try:
            self.header = read_header(self._file)
        except ValueError:
            if index is None or not self._skips:
                raise
            self.header = Header.parse(index[0].header)  # which is there once more
        if index is not None:
            self._places = index[0].places(index[1])
            try:
                while self._file.tell() < (self._places[0].offset if self._places else 0):
                    self._note(*(read_frame(self._file) or (CHUNK, b"")))
            except ValueError:
                if not self._skips:
                    raise
                self._scan(places=False)
        elif self._skips:
            self._scan(places=True)
        else:
            self._places = self._walked()

    def _read_before_chunks(self) -> tuple[bytes, bytes] | None:
        """Reads the frames from the position in the file to the first chunk, which it returns."""
        while (found := read_frame(self._file)) is not None:
            kind, body = found
            if kind in (CHUNK, LAST, INDEX):
                return found
            self._note(kind, body)
        return None

    def _note(self, kind: bytes, body: bytes) -> None:
        """Keeps what a frame before the chunks holds."""
        if kind == WEIGHTS:
            self._weights = body
        elif kind == MANIFEST:
            self.manifest = unpack_manifest(body)
        else:
            raise ValueError(CONTRADICTION)

    def _walked(self) -> list[Place]:
        """The chunks of a file without an index, each of which must be whole."""
        places, last = list[Place](), False
        while True:
            offset = self._file.tell()
            if last and self._file.read(1):
                raise ValueError(DAMAGED)
            found = read_frame(self._file)
            if found is None:
                break
            kind, body = found
            if kind in (CHUNK, LAST):
                chunk = Chunk.parse(body)
                if chunk.first != (places[-1].first + places[-1].count if places else 0):
                    raise ValueError(CONTRADICTION)
                length = self._file.tell() - offset
                places.append(Place(chunk.first, chunk.count, offset, length))
                last = kind == LAST
            elif kind in (WEIGHTS, MANIFEST) and not places:
                self._note(kind, body)
            else:
                raise ValueError(CONTRADICTION)
        if not last:
            raise ValueError(CUT)
        if len(places) > 1:
            raise ValueError(CUT)  # an index follows several chunks
        return places

    def _scan(self, *, places: bool) -> None:
        """Finds all undamaged frames, wherever they are."""
        found, end, complete = list[Place](), 0, False
        for offset, kind, body in scan(self._file, self._size):
            if kind in (WEIGHTS, MANIFEST):
                self._note(kind, body)
            elif places and kind in (CHUNK, LAST):
                try:
                    chunk = Chunk.parse(body)
                except ValueError:
                    continue
                if chunk.first < end:  # a copy of an earlier chunk
                    continue
                found.append(Place(chunk.first, chunk.count, offset, self._file.tell() - offset))
                self._lose(end, chunk.first)
                end = chunk.first + chunk.count
                complete = kind == LAST
        if places:
            self._places, self.cut = found, not complete

    def _lose(self, start: int, stop: int) -> None:
        lost = range(start, stop)
        if start < stop and lost not in self.lost:
            self.lost = sorted([*self.lost, lost], key=lambda part: part.start)

    # Decoding

    def _model_of(self, given: AutoregressiveModel | None) -> AutoregressiveModel:
        if given is not None:
            return given
        if self._weights is None:
            raise ValueError(
                "the model is not in the encoded examples; give the one that encoded them"
            )
        model = unpack_model(self._weights)
        if bytes.fromhex(fingerprint(model)) != self.header.model:
            raise ValueError("the model in the file is not the one that encoded its examples")
        return model

    def _searchable(self) -> list[Place]:
        if self._places is None:
            raise ValueError("these examples come through a pipe; go through them once, in order")
        return self._places

    def _example(self, row: int) -> Tensor:
        places = self._searchable()
        which = bisect_right(places, row, key=lambda place: place.first) - 1
        place = places[which] if which >= 0 else None
        if place is not None and row < place.first + place.count:
            if self._cached is None or self._cached[0] != place:
                chunk = self._chunk(place)
                if chunk is not None:
                    self._cached = place, self._decoded(chunk, lambda _: None)
            if self._cached is not None and self._cached[0] == place:
                return self._cached[1].x[row - place.first]
        raise ValueError(f"example {row} is lost: its part of the file is damaged")

    def _chunk(self, place: Place) -> Chunk | None:
        """The chunk at a place; None if it is damaged, and such may be skipped."""
        try:
            with self._named():
                return self._read_chunk(place)
        except ValueError:
            if not self._skips:
                raise
            self._lose(place.first, place.first + place.count)
            return None

    def _read_chunk(self, place: Place) -> Chunk:
        self._file.seek(place.offset)
        found = read_frame(self._file)
        if found is None or self._file.tell() != place.offset + place.length:
            raise ValueError(DAMAGED)
        if found[0] not in (CHUNK, LAST):
            raise ValueError(DAMAGED)
        chunk = Chunk.parse(found[1])
        if (chunk.first, chunk.count) != (place.first, place.count):
            raise ValueError(CONTRADICTION)
        return chunk

    def _following(self) -> Iterator[Chunk]:
        """The chunks that come through a pipe."""
        found, end = self._ahead, 0
        while found is not None and found[0] in (CHUNK, LAST):
            chunk = Chunk.parse(found[1])
            if chunk.first != end:
                raise ValueError(CONTRADICTION)
            end += chunk.count
            yield chunk
            if found[0] == LAST:
                return
            found = read_frame(self._file)
        raise ValueError(CUT)

    def _decoded(self, chunk: Chunk, coded: Any) -> Part:
        context = self._context
        if context is None and self.model.labels is None:
            self.model.checked_context(None, chunk.count)  # raises if the model takes one
        if context is not None and len(context) > 1:
            context = context[chunk.first : chunk.first + chunk.count]
        with self._named(), measuring(self.model):
            x, labels = unpack(
                self.model,
                chunk.words,
                chunk.count,
                chunk.symbols,
                self.header.rows,
                context,
                coded,
            )
        return Part(chunk.first, x, labels, chunk.beside)


@overload
def decode(
    model: AutoregressiveModel,
    data: Bytes,
    *,
    context: Any = None,
    on_damage: OnDamage = "raise",
    on_progress: OnProgress | None = None,
) -> Tensor: ...


@overload
def decode(
    model: Bytes,
    data: None = None,
    *,
    context: Any = None,
    on_damage: OnDamage = "raise",
    on_progress: OnProgress | None = None,
) -> Tensor: ...


def decode(
    model: AutoregressiveModel | Bytes,
    data: Bytes | None = None,
    *,
    context: Any = None,
    on_damage: OnDamage = "raise",
    on_progress: OnProgress | None = None,
) -> Tensor:
    """Restores the examples that :func:`encode` encoded with the same model.

    Whatever the bytes claim, time and memory are those of encoding and holding examples that the
    model gives so many bits.

    Args:
        model: the model; it may be left out if it is in the bytes (``with_model=True``).
        context: the context given to ``encode``, or one row if all are the same. None for a model
            with labels, which are encoded.
        on_damage: "skip" leaves out the examples of damaged chunks, and warns of them, instead of
            raising an error.
        on_progress: called at every dimension of a batch with the number of symbols decoded so
            far and that of all.

    Returns:
        (examples, *event_shape) int64.

    Raises:
        ValueError: the bytes were not encoded by autoregress, are damaged, or belong to another
            model or context; or the model's probabilities are not the same to the last bit here,
            as can happen with another kind of processor or another version of torch.

    Warns:
        UserWarning: examples were lost, with their numbers.

    Example:
        >>> model, x = ar.MADE(5, hidden=(16,)), torch.randint(2, (100, 5))
        >>> ar.decode(model, ar.encode(model, x)[:-4])
        Traceback (most recent call last):
        ValueError: the encoded examples are cut short
    """
    if isinstance(model, AutoregressiveModel):
        archive = Archive(opened(data), model, context=context, on_damage=on_damage)
    else:
        archive = Archive(opened(model), context=context, on_damage=on_damage)
    parts = [part.x for part in archive.parts(on_progress)]
    if archive.lost:
        warnings.warn(f"{described(archive.lost)} lost: the bytes are damaged", stacklevel=2)
    if archive.cut:
        warnings.warn(f"the bytes are cut short after {len(archive)} examples", stacklevel=2)
    return torch.cat(parts) if parts else torch.empty(0, *archive.model.event_shape).long()


def digest_in(path: Path) -> str | None:
    """The :func:`~autoregress.archive.fingerprint` of the model that encoded a file.

    None if it does not hold encoded examples, or is damaged at its beginning.
    """
    with open_file(path) as file:
        try:
            return read_header(file).model.hex()
        except ValueError:
            return None


def described(lost: list[range]) -> str:
    """Numbers of lost examples for people, as the subject of a sentence."""
    shown = [
        str(part.start) if len(part) == 1 else f"{part.start} to {part.stop - 1}" for part in lost
    ]
    more = f" and {len(shown) - 8} more ranges" if len(shown) > 8 else ""
    one = sum(map(len, lost)) == 1
    return f"example{'' if one else 's'} {', '.join(shown[:8])}{more} {'is' if one else 'are'}"
