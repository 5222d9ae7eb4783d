"""What is at a path, opened as examples or written as a file: each kind of file is listed here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from autoregress.data.formats import arrays, images, shards, tables, videos
from autoregress.data.formats.format import Extra, Format, Request
from autoregress.data.reading import Reading
from autoregress.data.sets import published
from autoregress.data.source import Data, Source
from autoregress.symbols import Columns, Symbols

# The first that holds what is at a path opens it: folders are of images if of nothing else.
FORMATS: tuple[Format, ...] = (
    shards.FORMAT,
    arrays.FORMAT,
    tables.FORMAT,
    videos.FORMAT,
    published.FORMAT,
    images.FORMAT,
)
READS = ", ".join(format.names for format in FORMATS)
WRITES = {suffix: format for format in FORMATS for suffix in format.writes}


def open(
    path: str | Path,
    reading: Reading | None = None,
    *,
    split: str | None = None,
    like: Symbols | None = None,
    labels: Sequence[str] | None = None,
    partial: bool = False,
    workers: int = 1,
    quiet: bool = True,
) -> Source:
    """Opens a file or a folder of examples, which stay on disk until they are needed.

    What can be read are .npy, .npz (``file.npz:name`` is one of its arrays) and .csv files; an
    image or a folder of images; a video or a folder of videos; a folder with the files that MNIST
    or the binary version of CIFAR-10 is published in; and prepared shards, ``folder:name`` being
    one split of them. An .npz, a .csv and a published set come into memory.

    Args:
        reading: the options; its defaults if not given.
        split: "train", "valid" or "test": which array of an .npz, or which part of a published
            set or of shards.
        like: the kind of examples that a trained model takes, ``model.symbols``: levels, columns
            and the size of images and clips are as it has them.
        labels: those that a trained model is conditioned on, with ``Reading.condition``.
        partial: the examples are to be completed: what is missing is unknown instead of refused.
        workers: number of processes that decode videos.
        quiet: show no progress on standard error.

    Raises:
        ValueError: one sentence that names the file and what is wrong with it, such as an option
            that means nothing to its kind.
        ImportError: what reads such files is not installed.
    """
    path, reading = Path(path), reading or Reading()
    labels = None if labels is None else tuple(labels)
    request = Request(reading, split, like, labels, partial, workers, quiet)
    try:
        format = format_at(path, clips=_asks_for_clips(reading, like))
        _refuse_options(path, format, request)
        source = format.open(path, request)
    except OSError as error:
        name = error.filename or path
        raise ValueError(f"{name} cannot be read: {error.strerror or error}") from error
    if like is not None:
        try:
            like.check_array((len(source), *source.event_shape))
            if isinstance(source, Data):
                like.check(source.x)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    return source


def read(
    path: str | Path,
    *,
    split: str | None = None,
    like: Symbols | None = None,
    labels: Sequence[str] | None = None,
    partial: bool = False,
    **options: Any,
) -> Data:
    """Reads a file or a folder of examples into memory, see :func:`open`.

    Args:
        **options: those of :class:`Reading`, by name.

    Raises:
        TypeError: there is no such option.
        ValueError: as for :func:`open`.
    """
    reading = Reading(**options)
    source = open(path, reading, split=split, like=like, labels=labels, partial=partial)
    return source.data()


def format_at(path: str | Path, *, clips: bool = False) -> Format:
    """The kind of file that is at a path.

    Args:
        clips: clips are asked for, so that a .gif is one.

    Raises:
        ValueError: there is nothing, or nothing that can be read.
    """
    path = Path(path)
    for format in FORMATS:
        if format.holds(path, clips=clips):
            return format
    if not path.exists():
        raise ValueError(f"no such file or folder: {path}")
    raise ValueError(f"{path}: what can be read are {READS}")


def splits(path: str | Path) -> Sequence[str]:
    """The names of the splits at a path, such as train and valid; none where it has no several."""
    return format_at(path).splits(Path(path))


def write(
    path: str | Path,
    x: Tensor,
    levels: int | Sequence[int],
    columns: Columns | None = None,
    *,
    known: Tensor | None = None,
    extra: Extra | None = None,
    rate: int = 10,
) -> list[Path]:
    """Writes x (N, *event_shape) as the kind of file that its name says.

    .npy, .npz and .csv hold any examples; a .png shows images in a grid, and clips with a row
    each. Clips also go into .mkv without loss, each to a file of its own: several to name-000.mkv,
    name-001.mkv, …. To be looked at, .gif and .mp4 show them side by side and enlarged.

    Args:
        levels: number of levels of every dimension, or one number for each.
        columns: the names and labels of a table.
        known: bool, the entries that were given; kept in .npz alone.
        extra: N further values each, by name, beside the examples in .npz and .csv alone.
        rate: number of frames a second, of clips.

    Returns:
        the files written: ``path``, unless it is several .mkv.

    Raises:
        ValueError: the place or the kind of file cannot be written, x is not symbols within
            their levels, or cannot be shown as images.
    """
    path = Path(path)
    check_writable(path)
    symbols = Symbols(x.shape[1:], levels, columns)
    symbols.check(x)
    format = WRITES[path.suffix.lower()]
    return format.write(path, x, symbols, known=known, extra=extra, rate=rate)


def check_writable(path: str | Path) -> None:
    """Raises ValueError, before the long work, if :func:`write` could not write there.

    What is not installed raises ImportError.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITES:
        raise ValueError(f"{path}: the files that can be written are {', '.join(WRITES)}")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a file")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ValueError(f"{path} may not be written: no permission")
    WRITES[suffix].check_installed(suffix)


def _asks_for_clips(reading: Reading, like: Symbols | None) -> bool:
    return reading.frames is not None or (like is not None and len(like.event_shape) == 4)


def _refuse_options(path: Path, format: Format, request: Request) -> None:
    """Raises ValueError for what means nothing to a kind of file."""
    if request.partial and not format.says_what_is_known:
        raise ValueError(f"{path} holds {format.holds_what}, which cannot say what is known")
    for option in request.reading.given:
        if option not in format.takes:
            others = [other.holds_what for other in FORMATS if option in other.takes]
            raise ValueError(
                f"{path} holds {format.holds_what}, which {option} is not for; it is for "
                f"{' and '.join(others)}"
            )
