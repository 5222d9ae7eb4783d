"""Reads examples back: all, some, or what damage has left of them."""

from __future__ import annotations

import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Literal, cast, overload

import numpy as np
import torch
from torch import Tensor

from autoregress.archive.contents import Contents
from autoregress.archive.header import check_header, fingerprint
from autoregress.archive.weights import unpack_model
from autoregress.archive.workers import Workers, cores
from autoregress.coding import unpack
from autoregress.container import Chunk, opened, read_header
from autoregress.disk import open_file
from autoregress.model import AutoregressiveModel
from autoregress.portable import prepared
from autoregress.symbols import CONTEXT, as_tensor
from autoregress.traversal import OnProgress, counter

Bytes = bytes | bytearray | memoryview
OnDamage = Literal["raise", "skip"]
Numbers = np.ndarray[Any, Any]


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
        model: the model.

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
            file = cast(IO[bytes], data) if hasattr(data, "read") else opened(data)
        self._name = data if isinstance(data, str | Path) else None
        if file is not data:
            weakref.finalize(self, file.close)
        self._cached: Part | None = None
        with self._named():
            self._contents = Contents(file, skips=on_damage == "skip")
            self.model = self._own_model() if model is None else model
            check_header(self._contents.header, self.model)
        self._context: Tensor | None = None
        if context is not None:
            self.condition(context)

    @property
    def manifest(self) -> dict[str, Any] | None:
        """What else the file keeps, None if nothing."""
        return self._contents.manifest

    @property
    def lost(self) -> list[range]:
        """Numbers of the examples that damage has destroyed, as ranges, as far as was read."""
        return self._contents.lost

    @property
    def cut(self) -> bool:
        """Whether the end is missing, so that it is not known how many examples there were."""
        return self._contents.cut

    def condition(self, context: Any) -> None:
        """Gives the context of the examples, as when opening the file.

        Raises:
            ValueError: it has the wrong shape, or the labels are in the file.
        """
        if self.model.labels is not None:
            raise ValueError("the labels are in the encoded examples; leave the context out")
        given = as_tensor(context, CONTEXT)
        alike = given.shape[:1] == (1,) or self._contents.places is None
        self._context = self.model.checked_context(given, len(given) if alike else len(self))

    def __len__(self) -> int:
        """The number of examples, those lost included."""
        if self._contents.places is None:
            raise TypeError("these examples come through a pipe; go through them once, in order")
        return self._contents.count

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
            some = [self._example(row) for row in range(*index.indices(count))]
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
        total = sum(place.count for place in self._contents.places or ())
        coded = counter(total * self.model.dims, on_progress)
        chunks, ahead = self._contents.chunks(), deque[Chunk]()
        workers = Workers(self._unpacked, cores(self._prepared.device), coded)
        try:
            while True:
                with self._named():
                    chunk = next(chunks, None)
                results = workers.finish() if chunk is None else workers.put(self._task(chunk))
                if chunk is not None:
                    ahead.append(chunk)
                while True:
                    with self._named():
                        found = next(results, None)
                    if found is None:
                        break
                    yield self._part(ahead.popleft(), found)
                if chunk is None:
                    return
        finally:
            workers.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """A context in which errors name the file, if it has a name."""
        try:
            yield
        except ValueError as error:
            if self._name is None:
                raise
            raise ValueError(f"{self._name}: {error}") from None

    def _own_model(self) -> AutoregressiveModel:
        """The model in the file."""
        if self._contents.weights is None:
            raise ValueError(
                "the model is not in the encoded examples; give the one that encoded them "
                "(autoregress decompress RUN COMPRESSED)"
            )
        model = unpack_model(self._contents.weights)
        if bytes.fromhex(fingerprint(model)) != self._contents.header.model:
            raise ValueError("the model in the file is not the one that encoded its examples")
        return model

    @cached_property
    def _prepared(self) -> AutoregressiveModel:
        """The model as coding uses it."""
        return prepared(self.model)

    def _example(self, row: int) -> Tensor:
        cached = self._cached
        if cached is None or not cached.first <= row < cached.first + len(cached.x):
            place = self._contents.place_of(row)
            with self._named():
                chunk = None if place is None else self._contents.chunk(place)
                if chunk is None:
                    raise ValueError(f"example {row} is lost: its part of the file is damaged")
            cached = self._cached = self._decoded(chunk, lambda _: None)
        return cached.x[row - cached.first]

    def _decoded(self, chunk: Chunk, coded: Callable[[int], None]) -> Part:
        with self._named():
            return self._part(chunk, self._unpacked(self._task(chunk), coded))

    def _task(self, chunk: Chunk) -> tuple[Chunk, Numbers | None]:
        """A chunk, less what is not decoded, with the context of its examples."""
        context = self._context
        if context is None and self.model.labels is None:
            self.model.checked_context(None, 1)  # raises if the model takes one
        if context is not None and len(context) > 1:
            context = context[chunk.first : chunk.first + chunk.count]
        return replace(chunk, beside=b""), None if context is None else context.cpu().numpy()

    def _unpacked(
        self, task: tuple[Chunk, Numbers | None], coded: Callable[[int], None]
    ) -> tuple[Numbers, Numbers | None]:
        """The symbols and the labels of a chunk."""
        chunk, context = task
        x, labels = unpack(
            self._prepared,
            chunk.words,
            chunk.count,
            chunk.symbols,
            self._contents.header.rows,
            None if context is None else torch.from_numpy(context),
            coded,
        )
        return x.cpu().numpy(), None if labels is None else labels.cpu().numpy()

    def _part(self, chunk: Chunk, found: tuple[Numbers, Numbers | None]) -> Part:
        x, labels = (
            None if each is None else torch.from_numpy(each).to(self.model.device) for each in found
        )
        assert x is not None
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
    model gives that number of bits.

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
            model or context.

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
