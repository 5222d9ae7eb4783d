"""Encodes examples, one chunk after another, in bounded memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from autoregress.archive.header import header_of
from autoregress.archive.manifest import pack_manifest
from autoregress.archive.weights import pack_model
from autoregress.archive.workers import Workers, cores
from autoregress.coding import SAMPLE, Packing, require_one_hot, sizes
from autoregress.container import MANIFEST, WEIGHTS, Chunk, Index, frame
from autoregress.data.inputs import as_source, context_of
from autoregress.disk import replacing
from autoregress.model import AutoregressiveModel
from autoregress.portable import prepared
from autoregress.traversal import OnProgress, counter

# The first chunk ends with the batch that reaches this number of bytes or of symbols. Each costs
# some 50 bytes, below 0.1 % of it. The sizes of later ones are guesses from an earlier one, AHEAD
# chunks before, so that those between can be encoded beside each other.
CHUNK_BYTES, CHUNK_SYMBOLS, AHEAD = 2**16, 2**23, 8

Beside = Callable[[int, int], bytes]


class Writer:
    """Encodes examples to a file as they come.

    Args:
        file: a binary file, also a pipe; it is not closed.
        with_model: put the model into the file.
        manifest: what else to keep, as for JSON.
        beside: given the first example of a chunk and their number, further bytes for the chunk.
        verify: decode everything again, and not only the first few examples.
        coded: called with the number of symbols at each dimension of a batch.

    Attributes:
        rows: number of examples that are encoded side by side.
        written: number of bytes written so far.
        of_model: number of those that are the model's.
    """

    def __init__(
        self,
        file: IO[bytes],
        model: AutoregressiveModel,
        *,
        with_model: bool = False,
        manifest: dict[str, Any] | None = None,
        beside: Beside | None = None,
        verify: bool = False,
        coded: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._file, self._model, self._beside = file, prepared(model), beside
        self._verify, self._coded = verify, coded
        self._header = header_of(self._model)
        self._pending: list[tuple[Tensor, Tensor | None]] = []
        self._packing: Packing | None = Packing(self._model)  # of the first chunk, until it ends
        self._held: Chunk | None = None
        self._chunks: list[tuple[int, int]] = []
        self._spent: list[tuple[int, int]] = []  # examples and bytes of each chunk
        self._given, self._first, self.written, self.of_model = 0, 0, 0, 0
        self.rows = self._header.rows
        self._sizes = sizes(self._model, self.rows)
        self._size = next(self._sizes)
        self._workers = Workers(self._packed, cores(self._model.device), coded)
        self._put(self._header.packed())
        if with_model:
            self.of_model = self._put(frame(WEIGHTS, pack_model(model)))
        if manifest is not None:
            self._put(frame(MANIFEST, pack_manifest(manifest)))

    def write(self, x: Tensor, context: Tensor | None = None) -> None:
        """Encodes further examples (batch, *event_shape), with their contexts."""
        model = self._model
        model.symbols.check(x)
        context = model.checked_context(context, len(x))
        if context is not None and model.labels is not None:
            require_one_hot(context)
        for rows in torch.arange(len(x)).split(self.rows):
            self._pending.append((x[rows].long(), None if context is None else context[rows]))
            while sum(len(x) for x, _ in self._pending) >= self._size:
                self._push(self._size)

    def close(self) -> None:
        """Encodes what is left, and writes the index.

        Raises:
            ValueError: there were no examples.
        """
        if left := sum(len(x) for x, _ in self._pending):
            self._push(left)
        if self._packing is not None and self._packing.count:
            self._finish(self._packing)
        for packed in self._workers.finish():
            self._hold(*packed)
        if self._held is None:
            raise ValueError("there are no examples to encode")
        self._release(last=True)
        if len(self._chunks) > 1:
            self._put(Index(self._header.content(), self._chunks).packed())

    def abandon(self) -> None:
        """Ends what is under way, if the file is not to be completed."""
        self._workers.close()

    def _push(self, size: int) -> None:
        """Encodes the next rows: of the first chunk a batch, later a whole chunk."""
        xs, contexts = zip(*self._pending, strict=True)
        x = torch.cat(xs)
        context = None if contexts[0] is None else torch.cat(contexts)
        self._pending = [(x[size:], None if context is None else context[size:])]
        x, context = x[:size], None if context is None else context[:size]
        if self._packing is None:
            self._given += 1
            task = _array(x), None if context is None else _array(context)
            for packed in self._workers.put(task):
                self._hold(*packed)
            self._size = self._rows_of_next()
            return
        packing = self._packing
        first, few = not packing.count, len(x) <= SAMPLE
        self._encode(packing, x, context, self._coded, verify=self._verify or (first and few))
        if first and not few:
            some = None if context is None else context[:SAMPLE]
            _require_same(packing.sample(x[:SAMPLE], some), x[:SAMPLE])
        self._size = next(self._sizes)
        full = packing.count * self._model.dims >= CHUNK_SYMBOLS
        if full or packing.size >= CHUNK_BYTES:
            self._finish(packing)

    def _finish(self, packing: Packing) -> None:
        """Ends the first chunk."""
        self._hold(packing.count, packing.checksum, packing.words())
        self._packing, self._given = None, 1
        self._size = self._rows_of_next()

    def _encode(
        self,
        packing: Packing,
        x: Tensor,
        context: Tensor | None,
        coded: Callable[[int], None],
        *,
        verify: bool,
    ) -> None:
        x = x.to(self._model.device)
        packing.push(x, context, coded)
        if verify:
            _require_same(packing.top(len(x), context), x)

    def _packed(
        self,
        task: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None],
        coded: Callable[[int], None],
    ) -> tuple[int, int, bytes]:
        """Examples of a chunk, and their contexts, as their number, checksum and words."""
        x, context = (None if each is None else torch.from_numpy(each) for each in task)
        assert x is not None
        packing, start = Packing(self._model), 0
        for size in sizes(self._model, self.rows):
            rows = slice(start, start + size)
            own = None if context is None else context[rows].to(self._model.device)
            self._encode(packing, x[rows], own, coded, verify=self._verify)
            start += size
            if start >= len(x):
                break
        return packing.count, packing.checksum, packing.words()

    def _rows_of_next(self) -> int:
        """The number of examples of the next chunk: batches that should fill it."""
        like = max(0, self._given - AHEAD)
        while like >= len(self._spent):
            self._hold(*self._workers.next())
        count, spent = self._spent[like]
        wanted = min(count * CHUNK_BYTES / spent, CHUNK_SYMBOLS / self._model.dims)
        total = 0
        for size in sizes(self._model, self.rows):
            total += size
            if total >= wanted:
                return total
        raise AssertionError  # there is no last size

    def _hold(self, count: int, checksum: int, words: bytes) -> None:
        """Takes a chunk, which is held back until it is known whether it is the last."""
        if self._held is not None:
            self._release()
        first = self._first
        beside = b"" if self._beside is None else self._beside(first, count)
        self._held = Chunk(first, count, checksum, beside, words)
        self._spent.append((count, len(words)))
        self._first += count

    def _release(self, *, last: bool = False) -> None:
        assert self._held is not None
        content = self._held.packed(last=last)
        self._chunks.append((self._held.count, self._put(content)))
        self._held = None

    def _put(self, content: bytes) -> int:
        self._file.write(content)
        self.written += len(content)
        return len(content)


def encode(
    model: AutoregressiveModel,
    data: Any,
    *,
    context: Any = None,
    with_model: bool = False,
    verify: bool = False,
    on_progress: OnProgress | None = None,
) -> bytes:
    """Encodes examples as bytes, from which :func:`decode` restores them exactly.

    The cost is −log₂ p(x) bits for each example and some 60 bytes in all; for the last few
    examples of each chunk of at least 64 KiB also the bits that name the member of each.

    Args:
        data: a source, a tensor, an array, nested lists or a torch ``Dataset``, see
            :func:`autoregress.data.as_source`; or an iterator of batches (batch, *event_shape).
        context: (examples, context) if the model takes one; by default that of the examples. For
            a model with labels the labels are encoded too, at log₂(labels) bits each; other
            contexts are not.
        with_model: put the model into the bytes, so that nothing else is needed to decode them.
        verify: decode everything again; by default only the first few examples.
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
        >>> torch.equal(ar.decode(ar.encode(model, x, with_model=True)), x)
        True
    """
    file = io.BytesIO()
    encode_to(
        file,
        model,
        data,
        context=context,
        with_model=with_model,
        verify=verify,
        on_progress=on_progress,
    )
    return file.getvalue()


def encode_to(
    file: str | Path | IO[bytes],
    model: AutoregressiveModel,
    data: Any,
    *,
    context: Any = None,
    with_model: bool = False,
    verify: bool = False,
    on_progress: OnProgress | None = None,
    **more: Any,
) -> int:
    """Encodes any number of examples to a file, as :func:`encode` does, in bounded memory.

    Args:
        file: a path, or a binary file, also a pipe.
        data: as for :func:`encode`; examples that stay on disk are read a few at a time.
        **more: ``manifest`` and ``beside``, see :class:`~autoregress.archive.writing.Writer`.

    Returns:
        The number of bytes written.

    Raises:
        ValueError: as for :func:`encode`, or the file cannot be written.

    Example:
        >>> model = ar.MADE(5, hidden=(16,))
        >>> size = ar.encode_to("bits.areg", model, (torch.randint(2, (50, 5)) for _ in range(9)))
        >>> len(ar.Archive("bits.areg", model))
        450
    """
    options = {"with_model": with_model, "verify": verify, **more}
    if isinstance(data, Iterator):
        with _writer(file, model, **options) as writer:
            for x in data:
                part = as_source(x, model.symbols, features=model.context)
                writer.write(part[:], context_of(part, None, model.context))
        return writer.written
    source = as_source(data, model.symbols, features=model.context)
    if len(source) == 0:
        raise ValueError("there are no examples to encode")
    context = model.checked_context(context_of(source, context, model.context), len(source))
    if context is not None and model.labels is not None:
        require_one_hot(context)
    coded = counter(len(source) * model.dims, on_progress)
    with _writer(file, model, coded=coded, **options) as writer:
        for rows in torch.arange(len(source)).split(writer.rows):
            writer.write(source[rows], None if context is None else context[rows])
    return writer.written


@contextmanager
def _writer(
    file: str | Path | IO[bytes], model: AutoregressiveModel, **options: Any
) -> Iterator[Writer]:
    """A writer that is closed at the end."""
    named = isinstance(file, str | Path)
    with replacing(Path(file)) if named else nullcontext(file) as opened:
        writer = Writer(opened, model, **options)
        try:
            yield writer
            writer.close()
        finally:
            writer.abandon()


def _require_same(decoded: Tensor, x: Tensor) -> None:
    if not torch.equal(decoded.cpu(), x.cpu()):
        raise ValueError(
            "the examples do not decode to themselves: the model gives other probabilities at "
            "every call"
        )


def _array(x: Tensor) -> np.ndarray[Any, Any]:
    return x.cpu().numpy()
