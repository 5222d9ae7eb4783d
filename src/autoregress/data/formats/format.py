"""The interface of a file format: how its files are recognised, read and written."""

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
    """A request to open a path.

    Attributes:
        reading: the options for reading it.
        split: "train", "valid" or "test", for a file with several.
        like: the symbols of a trained model.
        labels: the labels that a trained model is conditioned on.
        partial: whether missing values are accepted, as unknowns to be completed.
        workers: number of processes that decode videos, or of threads that decode images.
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
        """The options for images (dims 3) or clips (dims 4); a model of such examples sets them."""
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
    """A file format. All of them are listed in ``autoregress.data.open``."""

    holds_what: str
    """The name of its content, for messages."""
    names: str
    """The names of its files, for messages."""
    takes: frozenset[str] = frozenset()
    """The options of :class:`Reading` that apply to it."""
    says_what_is_known: bool = False
    """Whether examples may be partial."""
    writes: tuple[str, ...] = ()
    """The suffixes of the files that it can write."""

    @abstractmethod
    def holds(self, path: Path, *, clips: bool) -> bool:
        """Whether a path is a file of this format, or a folder of such files.

        Args:
            clips: whether a .gif is to be taken for a clip.
        """

    @abstractmethod
    def open(self, path: Path, request: Request) -> Source:
        """The examples of a file or folder for which :meth:`holds` is true.

        Raises:
            ValueError: the content is unsuitable; one sentence names the file and the fault.
            OSError: the file cannot be read.
        """

    def splits(self, path: Path) -> Sequence[str]:
        """The names of the splits to choose from, if any."""
        return ()

    def check_installed(self, suffix: str) -> None:
        """Raises ImportError if a package that writes such files is not installed."""
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
        """Writes examples to a file with a suffix in ``writes``; returns the files written."""
        raise NotImplementedError


def one_number(levels: int | tuple[int, ...] | None, path: Path) -> int:
    """The number of levels of images and videos; 256 by default.

    Raises:
        ValueError: different numbers are given.
    """
    if levels is None:
        return 256
    several = set(levels) if isinstance(levels, tuple) else {levels}
    if len(several) != 1:
        raise ValueError(f"{path} holds pixels, which all have the same number of levels")
    return several.pop()
