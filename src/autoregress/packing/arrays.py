"""Arrays that come back with their type, shape and layout."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from autoregress.data.formats.arrays import write_npy
from autoregress.data.source import Layout, Source
from autoregress.disk import replacing
from autoregress.kinds import as_kind
from autoregress.packing.packed import Packed

KIND = "array"
SUFFIXES = (".npy", ".npz")
BROKEN = "the compressed file is damaged: it describes an array that its examples do not fill"


def pack_array(source: Source, layout: Layout, path: Path) -> Packed:
    """An array in a file whose rows are examples."""
    return Packed(source, {"kind": KIND, **asdict(layout)}, None, [_file(path)])


def loss(path: Path, layout: Layout) -> str:
    """What does not come back of an array, empty if all does."""
    if np.dtype(layout.dtype).kind != "f" and layout.packed is None:
        return ""
    if layout.name is None:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    else:
        with np.load(_file(path), allow_pickle=False) as file:
            stored = file[layout.name]
    if layout.packed is not None:
        beyond = np.unpackbits(stored, axis=1)[:, layout.packed :]
        return "cleared beyond the bits of its rows" if beyond.any() else ""
    return "changed where it holds −0" if (np.signbit(stored) & (stored == 0)).any() else ""


def _file(path: Path) -> Path:
    """The file of ``file.npz:name``."""
    stem, colon, _ = str(path).rpartition(".npz:")
    return Path(f"{stem}.npz") if colon else path


def as_stored(x: Tensor, layout: Layout) -> np.ndarray:
    """Examples as the array that they were read from.

    Raises:
        ValueError: they do not fill it.
    """
    values = x.cpu().numpy()
    try:
        dtype = np.dtype(layout.dtype)
    except TypeError as error:
        raise ValueError(BROKEN) from error
    if dtype.kind not in "buif":
        raise ValueError(BROKEN)
    if layout.packed is not None:
        values = np.packbits(values.reshape(len(values), -1).astype(bool), axis=1)
    shape = layout.shape
    if values.ndim == 4 and len(shape) == 4 and values.shape != shape:
        values = np.moveaxis(values, 1, -1)  # channels last
    if math.prod(shape) != values.size:
        raise ValueError(BROKEN)
    return np.asarray(values.reshape(shape).astype(dtype), order=layout.order)


def layout_in(manifest: dict[str, Any]) -> Layout:
    """The layout of a manifest.

    Raises:
        ValueError: it is damaged.
    """
    return as_kind(manifest, Layout, "the array")


def restore(x: Tensor, layout: Layout, out: Path) -> list[Path]:
    """Writes an array as .npy, or as .npz under its name; of fewer rows if some were lost."""
    rows = replace(layout, shape=(len(x), *layout.shape[1:]))
    array = as_stored(x, rows if len(x) < layout.shape[0] else layout)
    with replacing(out) as file:
        if out.suffix.lower() == ".npy":
            write_npy(file, array)
        else:
            np.savez(file, **{layout.name or "x": array})  # pyright: ignore[reportArgumentType]
    return [out]
