"""What each kind of file has to offer, to be read and written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from autoregress.data.reading import Reading
from autoregress.data.source import Source
from autoregress.symbols import Symbols

Extra = Mapping[str, Sequence[Any] | Tensor]


@dataclass(frozen=True)
class Request:
    """What is wanted of the file at a path.

    Attributes:
        reading: how it is read.
        split: "train", "valid" or "test", where a file has several.
        like: the kind of examples that a trained model takes.
        labels: those that a trained model is conditioned on.
        partial: whether examples are to be completed: what is missing is unknown.
        workers: number of processes that decode.
        quiet: whether to show no progress.
    """

    reading: Reading
    split: str | None = None
    like: Symbols | None = None
    labels: tuple[str, ...] | None = None
    partial: bool = False
    workers: int = 1
    quiet: bool = True

    def of_shape(self, dims: int) -> Reading:
        """How to read images (dims 3) or clips (dims 4), by a model of such if there is one."""
        if self.like is None or len(self.like.event_shape) != dims:
            return self.reading
        *before, channels, height, width = self.like.event_shape
        return replace(
            self.reading,
            levels=max(self.like.levels),
            size=(height, width),
            grey=channels == 1,
            frames=before[0] if before else None,
        )


class Format(ABC):
    """A kind of file. Each is listed once, in ``autoregress.data.open``."""

    holds_what: str
    """What its files hold, as a sentence names it."""
    names: str
    """What its files are called."""
    takes: frozenset[str] = frozenset()
    """The options of :class:`Reading` that mean something to it."""
    says_what_is_known: bool = False
    """Whether examples may be partial."""
    writes: tuple[str, ...] = ()
    """The suffixes of the files that it can write."""

    @abstractmethod
    def holds(self, path: Path, *, clips: bool) -> bool:
        """Whether there is such a file, or a folder of such.

        Args:
            clips: whether clips are asked for, so that a .gif is one.
        """

    @abstractmethod
    def open(self, path: Path, request: Request) -> Source:
        """The examples of a file or folder that :meth:`holds` such.

        Raises:
            ValueError: one sentence that names the file and what is wrong with it.
            OSError: it cannot be read.
        """

    def splits(self, path: Path) -> Sequence[str]:
        """The names of the splits to choose from, if any."""
        return ()

    def check_installed(self, suffix: str) -> None:
        """Raises ImportError if what writes such files is not installed."""
        return

    def write(
        self,
        path: Path,
        x: Tensor,
        symbols: Symbols,
        *,
        known: Tensor | None = None,
        extra: Extra | None = None,
        rate: int = 10,
    ) -> list[Path]:
        """Writes examples as a file of one of the suffixes in ``writes``; the files written."""
        raise NotImplementedError


def one_number(levels: int | tuple[int, ...] | None, path: Path) -> int:
    """The number of levels of images and videos; 256 by default.

    Raises:
        ValueError: several different ones are given.
    """
    if levels is None:
        return 256
    several = set(levels) if isinstance(levels, tuple) else {levels}
    if len(several) != 1:
        raise ValueError(f"{path} holds pixels, which all have the same number of levels")
    return several.pop()
