"""Examples: integer symbols, what they stand for, and what each is conditioned on."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from autoregress.symbols import Columns, Symbols, require_finite

BLOCK = 2**23  # bytes of symbols that are read, and hashed, at a time

Index = int | slice | Tensor | np.ndarray[Any, Any] | Sequence[int]


@dataclass(frozen=True)
class Change:
    """A file whose examples do not hold all that it shows.

    Attributes:
        how: what was done to it, as in "scaled or cropped to 12 × 12".
        option: the option of ``Reading`` that asks for this, if there is one.
    """

    path: Path
    how: str
    option: str = ""


@dataclass(frozen=True)
class Layout:
    """How an array was stored that examples were read from.

    Attributes:
        name: its name in an .npz, None for an .npy.
        dtype: its type, as NumPy writes it.
        shape: its shape.
        order: "C" or "F".
        packed: number of bits of a row if its bits are packed, else None.
    """

    name: str | None
    dtype: str
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    packed: int | None = None


@dataclass
class Account:
    """What became of the files that examples were read from.

    Attributes:
        kind: what they are called.
        files: number of files read.
        skipped: files left out, because they are damaged or hold no example, each with the reason.
        changed: files that the examples do not fully restore.
        remarks: further facts about the reading, each a sentence without its stop.
    """

    kind: str = "files"
    files: int = 0
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def complaint(self) -> str:
        """The files skipped and changed, in one line; empty if nothing was lost."""
        parts = []
        if self.skipped:
            reasons = [f"{path.name} ({reason})" for path, reason in self.skipped]
            more = f"; and {len(reasons) - 8} more" if len(reasons) > 8 else ""
            files = "1 file" if len(reasons) == 1 else f"{len(reasons)} files"
            parts.append(f"{files} skipped: {'; '.join(reasons[:8])}{more}")
        # What was done to the same files is said of them together.
        done: dict[tuple[Path, ...], list[str]] = {}
        for how in dict.fromkeys(change.how for change in self.changed):
            paths = tuple(change.path for change in self.changed if change.how == how)
            done.setdefault(paths, []).append(how)
        for paths, hows in done.items():
            names = ", ".join([*(path.name for path in paths[:3]), *(["…"] * (len(paths) > 3))])
            how = " and ".join([", ".join(hows[:-1]), hows[-1]] if hows[1:] else hows)
            if self.files == 1:
                parts.append(f"{names} was {how}")
            else:
                were = "was" if len(paths) == 1 else "were"
                parts.append(f"{len(paths)} of {self.files} {self.kind} {were} {how}: {names}")
        return "; ".join(parts)


class Source(ABC):
    """N examples: in memory, on disk, or generated on demand.

    A subclass defines their number, ``__len__``, and reads those of an index, :meth:`_rows`.
    ``source[3]`` is one example; ``source[2:9]`` and ``source[index]`` are several.

    Args:
        event_shape: the shape of one example.
        levels: number of levels of every dimension, or one number for each.
        columns: names and labels, when an example is a row of a table.
        context: (N, C), the conditioning vector of each example.
        labels: names of the C features of ``context``, if it is one-hot.

    Attributes:
        symbols: event shape, levels and columns together, as a model has them.
        account: what became of the files that the examples were read from.
        layout: how they were stored, if they were read from an array in a file.

    Raises:
        ValueError: the levels do not fit the shape.

    Example:
        >>> source = ar.data.as_source(torch.arange(10).view(5, 2))
        >>> source[1:3].tolist(), len(source.split(0.2, seed=0)[1])
        ([[2, 3], [4, 5]], 1)
    """

    streamed: bool = False
    """Whether examples are meant to be read, or generated, anew at each use.

    If not, call :meth:`data` first to use them more than once.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        levels: int | Sequence[int],
        columns: Columns | None = None,
        context: Tensor | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        self.symbols = Symbols(event_shape, levels, columns)
        self.labels = None if labels is None else tuple(labels)
        self.account = Account()
        self.layout: Layout | None = None
        self._context = context

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def _rows(self, index: Tensor) -> Tensor:
        """The examples (batch, *event_shape) at an index (batch,) int64, from 0 to N − 1."""

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return self.symbols.event_shape

    @property
    def levels(self) -> int | tuple[int, ...]:
        """The number of levels of every dimension, or one number for each."""
        return self.symbols.levels[0] if self.symbols.uniform else self.symbols.levels

    @property
    def columns(self) -> Columns | None:
        """Names and labels, when an example is a row of a table."""
        return self.symbols.columns

    @property
    def context(self) -> Tensor | None:
        """(N, C), the conditioning vector of each example; None if there is none."""
        return self._context

    @property
    def features(self) -> int:
        """C, the number of features of the context; 0 if there is none."""
        return 0 if self.context is None else self.context.shape[1]

    @property
    def skipped(self) -> list[tuple[Path, str]]:
        """The files that were left out, each with the reason."""
        return self.account.skipped

    @property
    def complaint(self) -> str:
        """The files left out or changed in reading, in one line; empty if nothing was lost."""
        return self.account.complaint

    @property
    def digest(self) -> str:
        """A hash of all symbols, in order, which identifies the content."""
        content = begin_hash(self.symbols)
        for rows in self._blocks():
            content.update(stored(self._rows(rows), self.symbols).data)
        return content.hexdigest()

    def __getitem__(self, index: Index) -> Tensor:
        """One example (*event_shape) by number, or several (batch, *event_shape) by index.

        Raises:
            IndexError: an index is outside −N to N − 1.
        """
        if isinstance(index, int):
            return self._rows(self._index([index]))[0]
        return self._rows(self._index(index))

    def data(self) -> Data:
        """All examples, read into memory."""
        x = self._rows(torch.arange(len(self)))
        data = Data(x, self.levels, self.columns, context=self.context, labels=self.labels)
        data.account = self.account
        return data

    def split(self, fraction: float, seed: int) -> tuple[Source, Source]:
        """Splits the examples in two: those kept, and a random ``fraction`` of them held out.

        The choice is a function of the seed, the fraction and N alone. Each part keeps the
        original order.

        Raises:
            ValueError: one of the parts would be empty.
        """
        kept, held = self._parts(fraction, seed)
        return self.subset(kept), self.subset(held)

    def subset(self, index: Index) -> Source:
        """Some of the examples, read from this source on demand."""
        return Subset(self, self._index(index))

    def _index(self, index: Index) -> Tensor:
        """An index as int64 from 0 to N − 1."""
        count = len(self)
        if isinstance(index, slice):
            return torch.from_numpy(np.arange(*index.indices(count)))
        rows = torch.as_tensor(index, device="cpu")
        if rows.dtype == torch.bool:
            rows = rows.nonzero().flatten()
        rows = rows.long()
        if len(rows) and not -count <= int(rows.min()) <= int(rows.max()) < count:
            raise IndexError(f"an index is out of range for {count} examples")
        return rows.where(rows >= 0, rows + count)

    def _blocks(self) -> Iterator[Tensor]:
        """Every row once, in order, as indices of a few megabytes of symbols each."""
        row = stored_as(self.symbols).itemsize * self.symbols.dims
        yield from torch.arange(len(self)).split(max(1, BLOCK // row))

    def _parts(self, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
        """Indices of the examples that a split keeps, and of those that it holds out."""
        count = len(self)
        held = round(fraction * count) if 0 < fraction < 1 else 0
        if not 0 < held < count:
            raise ValueError(
                f"holding out a fraction of {fraction} of {count} rows leaves one part empty; "
                "each part needs at least one row"
            )
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
        return order[held:].sort().values, order[:held].sort().values


class Data(Source):
    """N examples in memory.

    Args:
        x: (N, *event_shape) integers.
        levels: number of levels of every dimension, or one number for each.
        columns: names and labels, when an example is a row of a table.
        known: (N, *event_shape) bool, for partial data: False where x is unknown, and may be −1.
        context: (N, C), the conditioning vector of each example.
        labels: names of the C features of ``context``, if it is one-hot.

    Raises:
        ValueError: x is not integers within its levels, or known or context has the wrong shape.

    Example:
        >>> data = ar.data.Data(torch.tensor([[0, 2], [1, 0]]), levels=(2, 3))
        >>> data.x.shape, data.levels
        (torch.Size([2, 2]), (2, 3))
    """

    def __init__(
        self,
        x: Tensor,
        levels: int | Sequence[int],
        columns: Columns | None = None,
        known: Tensor | None = None,
        context: Tensor | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        super().__init__(x.shape[1:], levels, columns, context, labels)
        if known is not None and known.shape != x.shape:
            raise ValueError(
                f"known has shape {tuple(known.shape)}, x {tuple(x.shape)}; they must be the same"
            )
        self.symbols.check(x if known is None else x.where(known, 0))
        if context is not None:
            check_context(context, len(x))
        self.x = x
        self.known = known

    @property
    def digest(self) -> str:
        """A hash of all symbols, in order, and of which are known."""
        if self.known is None:
            return super().digest
        content = hashlib.sha256(super().digest.encode())
        content.update(self.known.numpy().tobytes())
        return content.hexdigest()

    def __len__(self) -> int:
        return len(self.x)

    def _rows(self, index: Tensor) -> Tensor:
        return self.x[index]

    def data(self) -> Data:
        """These examples themselves."""
        return self

    def split(self, fraction: float, seed: int) -> tuple[Data, Data]:
        """Two parts as in :meth:`Source.split`, each in memory."""
        kept, held = self._parts(fraction, seed)
        return self.subset(kept), self.subset(held)

    def subset(self, index: Index) -> Data:
        """Some of the examples, in memory."""
        rows = self._index(index)
        known = None if self.known is None else self.known[rows]
        context = None if self.context is None else self.context[rows]
        return Data(self.x[rows], self.levels, self.columns, known, context, self.labels)


class Subset(Source):
    """Some of a source's examples, read on demand.

    Args:
        source: the source of all examples.
        index: (N,) int64, the places of the chosen examples in it.

    Example:
        >>> source = ar.data.bouncing_digits(8, frames=4, size=16)
        >>> type(source.subset([1, 5])).__name__, source.subset([1, 5])[0].shape
        ('Subset', torch.Size([4, 1, 16, 16]))
    """

    def __init__(self, source: Source, index: Tensor) -> None:
        super().__init__(source.event_shape, source.levels, source.columns, labels=source.labels)
        self.streamed, self.account = source.streamed, source.account
        self._source, self._chosen = source, index

    @property
    def context(self) -> Tensor | None:
        """(N, C), the conditioning vector of each example; None if there is none."""
        context = self._source.context
        return None if context is None else context[self._chosen]

    @property
    def digest(self) -> str:
        """A hash of the whole source's digest and of the chosen places."""
        content = hashlib.sha256(self._source.digest.encode())
        content.update(self._chosen.numpy().data)
        return content.hexdigest()

    def __len__(self) -> int:
        return len(self._chosen)

    def _rows(self, index: Tensor) -> Tensor:
        return self._source._rows(self._chosen[index])


def stored_as(symbols: Symbols) -> np.dtype[Any]:
    """The smallest unsigned integer dtype that holds the symbols."""
    most = max(symbols.levels)
    return np.dtype("|u1" if most <= 2**8 else "<u2" if most <= 2**16 else "<u4")


def stored(x: Tensor, symbols: Symbols) -> np.ndarray[Any, Any]:
    """Symbols in the form in which they are written and hashed."""
    return np.ascontiguousarray(x.cpu().numpy(), stored_as(symbols))


def description(symbols: Symbols) -> dict[str, Any]:
    """The kind of examples, in the form in which it comes back from JSON."""
    columns = None if symbols.columns is None else vars(symbols.columns)
    kind = {"event_shape": symbols.event_shape, "symbols": symbols.compact, "columns": columns}
    return json.loads(json.dumps(kind))


def begin_hash(symbols: Symbols) -> Any:
    """A new hash of a source's content, to be updated with its symbols as they are stored."""
    return hashlib.sha256(json.dumps(description(symbols)).encode())


def hash_files(paths: Sequence[Path], *settings: object) -> str:
    """A hash of the content of files, in order, and of the settings with which they are read."""
    content = hashlib.sha256(repr(settings).encode())
    for path in paths:
        with path.open("rb") as file:
            content.update(hashlib.file_digest(file, "sha256").digest())
    return content.hexdigest()


def check_context(context: Tensor, count: int) -> None:
    """Raises ValueError unless it is a context (N, C) of finite numbers for N examples."""
    if context.dim() != 2 or not context.shape[1]:
        raise ValueError(
            f"a context is an array (examples, features), not one of shape {tuple(context.shape)}"
        )
    if len(context) != count:
        raise ValueError(f"context has {len(context)} rows for {count} examples")
    require_finite(context)
