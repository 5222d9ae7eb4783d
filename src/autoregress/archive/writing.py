"""Encodes examples, one chunk after another, in bounded memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from autoregress.archive.header import header_of
from autoregress.archive.manifest import pack_manifest
from autoregress.archive.weights import pack_model
from autoregress.coding import Packing, require_one_hot, sizes
from autoregress.container import MANIFEST, WEIGHTS, Chunk, Index, frame
from autoregress.data.inputs import as_source, context_of
from autoregress.disk import replacing
from autoregress.model import AutoregressiveModel
from autoregress.portable import prepared
from autoregress.traversal import OnProgress, counter

# A chunk ends with the batch that reaches this number of bytes or of symbols. Each costs some 25
# bytes, below 0.1 % of it.
CHUNK_BYTES, CHUNK_SYMBOLS = 2**16, 2**23

Beside = Callable[[int, int], bytes]


class Writer:
    """Encodes examples to a file as they come.

    Args:
        file: a binary file, also a pipe; it is not closed.
        with_model: put the model into the file.
        manifest: what else to keep, as for JSON.
        beside: given the first example of a chunk and their number, further bytes for the chunk.
        verify: decode every batch again, and not only the first.
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
        self._held: Chunk | None = None
        self._chunks: list[tuple[int, int]] = []
        self._first, self.written, self.of_model = 0, 0, 0
        self.rows = self._header.rows
        self._begin()
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
        self._finish()
        if self._held is None:
            raise ValueError("there are no examples to encode")
        self._release(last=True)
        if len(self._chunks) > 1:
            self._put(Index(self._header.content(), self._chunks).packed())

    def _begin(self) -> None:
        self._packing = Packing(self._model)
        self._sizes = sizes(self._model, self.rows)
        self._size = next(self._sizes)

    def _push(self, size: int) -> None:
        """Encodes the next rows as a batch."""
        xs, contexts = zip(*self._pending, strict=True)
        x = torch.cat(xs)
        context = None if contexts[0] is None else torch.cat(contexts)
        self._pending = [(x[size:], None if context is None else context[size:])]
        x = x[:size].to(self._model.device)
        context = None if context is None else context[:size]
        if self._held is not None:
            self._release()
        self._packing.push(x, context, self._coded)
        sample = self._verify or not (self._first or self._packing.count > size)
        if sample and not torch.equal(self._packing.top(size, context), x):
            raise ValueError(
                "the examples do not decode to themselves: the model gives other probabilities at "
                "every call"
            )
        self._size = next(self._sizes)
        full = self._packing.count * self._model.dims >= CHUNK_SYMBOLS
        if full or self._packing.size >= CHUNK_BYTES:
            self._finish()

    def _finish(self) -> None:
        """Ends a chunk, which is held back until it is known whether it is the last."""
        packing, first = self._packing, self._first
        if not packing.count:
            return
        beside = b"" if self._beside is None else self._beside(first, packing.count)
        self._held = Chunk(first, packing.count, packing.checksum, beside, packing.words())
        self._first += packing.count
        self._begin()

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
        verify: decode everything again; by default only the first batch.
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
        with _file(file) as opened:
            writer = Writer(opened, model, **options)
            for x in data:
                part = as_source(x, model.symbols, features=model.context)
                writer.write(part[:], context_of(part, None, model.context))
            writer.close()
        return writer.written
    source = as_source(data, model.symbols, features=model.context)
    if len(source) == 0:
        raise ValueError("there are no examples to encode")
    context = model.checked_context(context_of(source, context, model.context), len(source))
    if context is not None and model.labels is not None:
        require_one_hot(context)
    coded = counter(len(source) * model.dims, on_progress)
    with _file(file) as opened:
        writer = Writer(opened, model, coded=coded, **options)
        for rows in torch.arange(len(source)).split(writer.rows):
            writer.write(source[rows], None if context is None else context[rows])
        writer.close()
    return writer.written


@contextmanager
def _file(file: str | Path | IO[bytes]) -> Iterator[IO[bytes]]:
    with replacing(Path(file)) if isinstance(file, str | Path) else nullcontext(file) as opened:
        yield opened
