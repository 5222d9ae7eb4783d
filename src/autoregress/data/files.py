"""One way in and one way out: the kind of a file says how it is read or written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from autoregress.data.arrays import read_arrays, write_npy, write_npz
from autoregress.data.dataset import Data
from autoregress.data.images import picture, read_images
from autoregress.data.tables import read_csv, write_csv
from autoregress.symbols import Columns, Symbols

READS = ".npy, .npz, .csv and folders of images"
WRITES = (".npy", ".npz", ".csv", ".png")


def read(
    path: str | Path,
    *,
    split: str | None = None,
    symbols: int | tuple[int, ...] | None = None,
    columns: Columns | None = None,
    partial: bool = False,
    max_categories: int = 256,
    labels_from: Sequence[str | Path] = (),
    size: tuple[int, int] | None = None,
    grey: bool | None = None,
    levels: int | None = None,
) -> Data:
    """Reads a file or a folder of examples as symbols.

    Args:
        path: an .npy, .npz or .csv file, or a folder of images; ``file.npz:name`` is one array.
        split: "train", "valid" or "test": which array of an .npz.
        symbols: the numbers of levels, where they are known already, as a trained model's are.
        columns: a trained model's names and labels.
        partial: the data is to be completed: what is missing is unknown instead of refused.
        max_categories, labels_from: for tables, see :func:`~autoregress.data.tables.read_csv`.
        size, grey, levels: for images, see :func:`~autoregress.data.images.read_images`;
            without levels those of ``symbols``, or 256.

    Raises:
        ValueError: one sentence that names the file and what is wrong with it.
    """
    path, key = _address(path)
    try:
        if not path.exists():
            raise ValueError(f"no such file or folder: {path}")
        suffix = path.suffix.lower()
        if not path.is_dir() and suffix not in (".npy", ".npz", ".csv"):
            raise ValueError(f"{path}: the files that can be read are {READS}")
        if not path.is_dir() and (size, grey, levels) != (None, None, None):
            raise ValueError(f"{path} is a file; size, grey and levels are for folders of images")
        if labels_from and suffix != ".csv":
            raise ValueError(f"{path} is no .csv file, so it takes no labels from others")
        if path.is_dir():
            if levels is None and symbols is not None:
                levels = symbols if isinstance(symbols, int) else max(symbols)
            return read_images(path, size=size, grey=grey, levels=256 if levels is None else levels)
        if suffix == ".csv":
            return read_csv(
                path,
                symbols=symbols,
                columns=columns,
                partial=partial,
                max_categories=max_categories,
                labels_from=labels_from,
            )
        return read_arrays(
            path, key=key, split=split, symbols=symbols, columns=columns, partial=partial
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
) -> None:
    """Writes x (N, *event_shape) as .npy, .npz, .csv or, in a grid of images, .png.

    Args:
        symbols: number of levels of every dimension, or one number for each.
        columns: the names and labels of a table.
        known: bool, the entries that were given; kept in .npz alone.
        extra: N further values each, by name, beside the examples in .npz and .csv alone.

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
        case _:
            picture(x, symbols, columns).save(path, format="png")


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
