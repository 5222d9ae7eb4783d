"""What a file holds: its header, what is before the chunks, and the chunks, as far as undamaged."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import IO, Any

from autoregress.archive.manifest import unpack_manifest
from autoregress.container import (
    CHUNK,
    CONTRADICTION,
    CUT,
    DAMAGED,
    LAST,
    MANIFEST,
    WEIGHTS,
    Chunk,
    Header,
    Place,
    find_index,
    read_frame,
    read_header,
    scan,
)


class Contents:
    """The frames of a file. A file that cannot be searched, such as a pipe, is read once.

    Args:
        file: a binary file.
        skips: leave damaged frames out instead of raising an error.

    Attributes:
        header: what the file says about its examples.
        weights: the packed model, None if it is not there.
        manifest: what else is kept, None if nothing is.
        places: where the chunks are, in order; None if the file cannot be searched.
        lost: numbers of the examples of damaged chunks, as ranges, as far as was read.
        cut: whether the end is missing, so that it is not known how many examples there were.

    Raises:
        ValueError: the file was not written by autoregress, or is damaged.
    """

    header: Header

    def __init__(self, file: IO[bytes], *, skips: bool = False) -> None:
        self._file, self._skips = file, skips
        self.weights: bytes | None = None
        self.manifest: dict[str, Any] | None = None
        self.places: list[Place] | None = None
        self.lost: list[range] = []
        self.cut = False
        self._ahead: tuple[bytes, bytes] | None = None
        if file.seekable():
            self._size = file.seek(0, 2)
            self._survey()
        else:
            self.header = read_header(file)
            while (found := read_frame(file)) is not None:
                if found[0] in (CHUNK, LAST):
                    self._ahead = found
                    break
                self._note(*found)

    @property
    def count(self) -> int:
        """The number of examples, those lost included, of a file that can be searched."""
        ends = [place.first + place.count for place in (self.places or [])[-1:]]
        return max([*ends, *(part.stop for part in self.lost)], default=0)

    def place_of(self, example: int) -> Place | None:
        """Where the chunk of an example is; None if that is not known."""
        places = self.places or []
        which = bisect_right(places, example, key=lambda place: place.first) - 1
        place = places[which] if which >= 0 else None
        return place if place and example < place.first + place.count else None

    def chunk(self, place: Place) -> Chunk | None:
        """The chunk at a place; None if it is damaged, and such are left out.

        Raises:
            ValueError: it is damaged.
        """
        try:
            return self._read_chunk(place)
        except ValueError:
            if not self._skips:
                raise
            self._lose(place.first, place.first + place.count)
            return None

    def chunks(self) -> Iterator[Chunk]:
        """All chunks in order, but for those left out.

        Raises:
            ValueError: one is damaged.
        """
        if self.places is not None:
            for place in list(self.places):
                if (chunk := self.chunk(place)) is not None:
                    yield chunk
            return
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

    def _survey(self) -> None:
        """Finds the chunks, from the index or by looking for them, and what is before them."""
        found = find_index(self._file, self._size)
        self._file.seek(0)
        try:
            self.header = read_header(self._file)
        except ValueError:
            if found is None or not self._skips:
                raise
            self.header = Header.parse(found[0].header)  # which is there once more
        if found is not None:
            index, end = found
            self.places = index.places(end)
            try:
                start = self.places[0].offset if self.places else end
                while self._file.tell() < start:
                    self._note(*(read_frame(self._file) or (CHUNK, b"")))
            except ValueError:
                if not self._skips:
                    raise
                self._scan(places=False)
        elif self._skips:
            self._scan(places=True)
        else:
            self.places = [self._only_place()]

    def _only_place(self) -> Place:
        """Where the only chunk of a file without an index is."""
        while True:
            offset = self._file.tell()
            found = read_frame(self._file)
            if found is None or found[0] == CHUNK:
                raise ValueError(CUT)
            kind, body = found
            if kind != LAST:
                self._note(kind, body)
                continue
            chunk = Chunk.parse(body)
            if chunk.first:
                raise ValueError(CONTRADICTION)
            if self._file.tell() < self._size:
                raise ValueError(DAMAGED)
            return Place(0, chunk.count, offset, self._size - offset)

    def _note(self, kind: bytes, body: bytes) -> None:
        """Keeps what a frame before the chunks holds."""
        if kind == WEIGHTS:
            self.weights = body
        elif kind == MANIFEST:
            self.manifest = unpack_manifest(body)
        else:
            raise ValueError(CONTRADICTION)

    def _scan(self, *, places: bool) -> None:
        """Finds all undamaged frames, wherever they are."""
        found, end, complete = list[Place](), 0, False
        for offset, kind, body in scan(self._file, self._size):
            try:
                if kind in (WEIGHTS, MANIFEST):
                    self._note(kind, body)
                    continue
                chunk = Chunk.parse(body) if places and kind in (CHUNK, LAST) else None
            except ValueError:  # with the right checksum: forged
                continue
            if chunk is None or chunk.first < end:  # or a copy of an earlier one
                continue
            found.append(Place(chunk.first, chunk.count, offset, self._file.tell() - offset))
            self._lose(end, chunk.first)
            end = chunk.first + chunk.count
            complete = kind == LAST
        if places:
            self.places, self.cut = found, not complete

    def _lose(self, start: int, stop: int) -> None:
        lost = range(start, stop)
        if start < stop and lost not in self.lost:
            self.lost = sorted([*self.lost, lost], key=lambda part: part.start)
