"""One way in and one way out: the kind of a file says how it is read or written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from autoregress.data.formats.animations import write_gif, write_mkv, write_mp4
from autoregress.data.formats.arrays import read_arrays, write_npy, write_npz
from autoregress.data.formats.images import SUFFIXES as IMAGES
from autoregress.data.formats.images import ImageFolder, picture
from autoregress.data.formats.shards import Shards, holds_shards
from autoregress.data.formats.tables import MAX_CATEGORIES, read_csv, write_csv
from autoregress.data.formats.videos import DEFAULT_FRAMES, VideoFolder, holds_videos
from autoregress.data.sets.published import is_published, read_published
from autoregress.data.source import Data
from autoregress.symbols import Columns, Symbols

TABLES = (".npy", ".npz", ".csv")
READS = (
    ".npy, .npz, .csv, images, videos and folders of them, MNIST's and CIFAR-10's own files, and "
    "prepared shards"
)
WRITES = (*TABLES, ".png", ".gif", ".mp4", ".mkv")


def read(
    path: str | Path,
    *,
    split: str | None = None,
    symbols: int | tuple[int, ...] | None = None,
    columns: Columns | None = None,
    partial: bool = False,
    max_categories: int = MAX_CATEGORIES,
    labels_from: Sequence[str | Path] = (),
    size: tuple[int, int] | None = None,
    grey: bool | None = None,
    levels: int | None = None,
    frames: int | None = None,
    stride: int = 1,
    step: int | None = None,
    mapped: bool = False,
) -> Data:
    """Reads a file or a folder of examples as symbols, into memory.

    Args:
        path: an .npy, .npz or .csv file, ``file.npz:name`` being one array; an image or a folder
            of images; a video or a folder of videos; a folder with the files that MNIST or the
            binary version of CIFAR-10 is published in; or prepared shards, ``folder:name`` being
            one split of them.
        split: "train", "valid" or "test": which array of an .npz, or which part of a published
            set or of shards.
        symbols: the numbers of levels, where they are known already, as a trained model's are.
        columns: a trained model's names and labels.
        partial: the data is to be completed: what is missing is unknown instead of refused.
        max_categories, labels_from: for tables, see ``read_csv``.
        size, grey, levels: for images and videos, see
            ``ImageFolder``; without levels those of ``symbols``,
            or 256; with a size, an array's examples are images too, as
            ``read_arrays`` says.
        frames, stride, step: for videos, see ``VideoFolder``, which
            reads no more of them into memory than is needed. With frames a .gif is a video,
            otherwise an image.
        mapped: leave the array of an .npy on disk, see
            ``read_arrays``.

    Raises:
        ValueError: one sentence that names the file and what is wrong with it.
    """
    if holds_shards(path):
        shards = Shards(path, split)
        shards.require(
            frames=frames,
            size=size,
            grey=grey,
            levels=symbols if levels is None else levels,
            stride=stride,
            step=step,
            labels_from=labels_from,
            max_categories=max_categories,
        )
        if columns not in (None, shards.columns):
            raise ValueError(f"{path} was prepared with other labels than the model's")
        return shards.data()
    path, key = _address(path)
    try:
        if not path.exists():
            raise ValueError(f"no such file or folder: {path}")
        suffix = path.suffix.lower()
        if labels_from and suffix != ".csv":
            raise ValueError(f"{path} is no .csv file, so it takes no labels from others")
        if levels is None and symbols is not None and suffix not in TABLES:
            levels = symbols if isinstance(symbols, int) else max(symbols)
        of_256 = 256 if levels is None else levels
        if holds_videos(path, gif=frames is not None):
            frames = DEFAULT_FRAMES if frames is None else frames
            return VideoFolder(
                path, frames=frames, size=size, stride=stride, step=step, grey=grey, levels=of_256
            ).data()
        if (frames, stride, step) != (None, 1, None):
            raise ValueError(f"{path} holds no video; frames, stride and step are for videos")
        if is_published(path):
            return read_published(path, split=split, size=size, grey=grey, levels=of_256)
        if path.is_dir() or suffix in IMAGES:
            return ImageFolder(path, size=size, grey=grey, levels=of_256).data()
        if suffix not in TABLES:
            raise ValueError(f"{path}: what can be read are {READS}")
        if (grey, levels) != (None, None):
            raise ValueError(
                f"{path} is no image or video; grey and levels are for those and for folders"
            )
        if suffix == ".csv":
            if size is not None:
                raise ValueError(f"{path} is a table; a size is for images, videos and arrays")
            return read_csv(
                path,
                symbols=symbols,
                columns=columns,
                partial=partial,
                max_categories=max_categories,
                labels_from=labels_from,
            )
        return read_arrays(
            path,
            key=key,
            split=split,
            symbols=symbols,
            columns=columns,
            partial=partial,
            size=size,
            mapped=mapped,
        )
    except OSError as error:
        name = error.filename or path
        raise ValueError(f"{name} cannot be read: {error.strerror or error}") from error


def write(
    path: str | Path,
    x: Tensor,
    symbols: int | Sequence[int],
    columns: Columns | None = None,
    *,
    known: Tensor | None = None,
    extra: Mapping[str, Sequence[Any] | Tensor] | None = None,
    rate: int = 10,
) -> list[Path]:
    """Writes x (N, *event_shape) as the kind of file that its name says.

    .npy, .npz and .csv hold any examples; a .png shows images in a grid, and clips with a row
    each. Clips also go into .mkv without loss, each to a file of its own: several to name-000.mkv,
    name-001.mkv, …. To be looked at, .gif and .mp4 show them side by side and enlarged.

    Args:
        symbols: number of levels of every dimension, or one number for each.
        columns: the names and labels of a table.
        known: bool, the entries that were given; kept in .npz alone.
        extra: N further values each, by name, beside the examples in .npz and .csv alone.
        rate: frames a second, of clips.

    Returns:
        the files written: ``path``, unless it is several .mkv.

    Raises:
        ValueError: the place or the kind of file cannot be written, x is not symbols within
            their levels, or cannot be shown as images.
    """
    path = Path(path)
    check_writable(path)
    Symbols(x.shape[1:], symbols, columns).check(x)
    match path.suffix.lower():
        case ".npy":
            write_npy(path, x)
        case ".npz":
            write_npz(path, x, known=known, extra=extra)
        case ".csv":
            write_csv(path, x, columns, extra=extra)
        case ".gif":
            write_gif(path, x, symbols, rate=rate)
        case ".mp4":
            write_mp4(path, x, symbols, rate=rate)
        case ".mkv":
            return write_mkv(path, x, symbols, rate=rate)
        case _:
            picture(x, symbols, columns).save(path, format="png")
    return [path]


def check_writable(path: str | Path) -> None:
    """Raises ValueError, before the long work, if :func:`write` could not write there."""
    path = Path(path)
    if path.suffix.lower() not in WRITES:
        raise ValueError(f"{path}: the files that can be written are {', '.join(WRITES)}")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a file")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ValueError(f"{path} may not be written: no permission")


def _address(path: str | Path) -> tuple[Path, str | None]:
    """``file.npz:name`` as the file and the name of the array in it."""
    stem, colon, key = str(path).rpartition(".npz:")
    return (Path(stem + ".npz"), key) if colon else (Path(path), None)
