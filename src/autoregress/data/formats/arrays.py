"""NumPy's .npy and .npz files as symbols, and back. Nothing is ever unpickled."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autoregress.data.source import Data
from autoregress.symbols import Columns, Symbols

SPLITS = ("train", "valid", "test")
BESIDE = ("dim", "known")  # arrays of an .npz that say something about the examples
LARGEST = 2**31 - 1


def read_arrays(
    path: Path,
    *,
    key: str | None = None,
    split: str | None = None,
    symbols: int | tuple[int, ...] | None = None,
    columns: Columns | None = None,
    partial: bool = False,
    size: tuple[int, int] | None = None,
    mapped: bool = False,
) -> Data:
    """The examples of an .npy or .npz file; a 1-D array is N rows of one column.

    An .npz gives the array named ``key``; without a key the one named as the split, else ``x``,
    else its only one. Beside it may lie an integer ``dim``: an array uint8 (N, ⌈dim/8⌉) is then
    the rows of dim bits that np.packbits made of them; and for partial data ``known``, bool, of
    the shape of x or of one example. What is not known becomes symbol 0.

    With a ``size`` (H, W) the examples are images (C, H, W): such they may be already, or maps
    (H, W), or have their channels last, or be the H · W or 3 · H · W numbers of one in a row.

    Bits and uint8 are uint8; all else is int64. Without ``symbols`` or ``columns`` the levels
    are the largest symbol and those below it, at least two.

    Args:
        mapped: the array of an .npy stays on disk and is mapped into memory, so that it may be
            larger; as long as it is in use, the file must stay what it is.

    Raises:
        ValueError: damaged, empty, not whole numbers ≥ 0, not within ``symbols``, or no way to
            tell which array is meant.
    """
    array, known = _load(path, key, split, mapped)
    if array.dtype.kind not in "buif":
        raise ValueError(f"{path} holds values of type {array.dtype}; symbols are integers")
    if array.ndim == 0:
        raise ValueError(f"{path} holds a single number; examples are the rows of an array")
    if array.ndim == 1:
        array = array[:, None]
        known = known[:, None] if known is not None and known.ndim == 1 else known
    if array.size == 0:
        raise ValueError(f"{path} is empty: its array has shape {array.shape}")
    if array.ndim == 5 and array.shape[4] == 3 and array.shape[2] not in (1, 3):
        raise ValueError(
            f"{path}: clips are arrays (N, T, C, H, W), and this one of shape {array.shape} has "
            "its channels last; np.moveaxis(x, -1, 2) brings them to their place"
        )
    if not partial:
        known = None
    if known is not None:
        known = _mask(known, array.shape, path)
        array[~known] = 0
    if size is not None:
        array = _images(array, size, path)
        known = None if known is None else _images(known, size, path)
    x = torch.from_numpy(_whole(array, path))
    if columns is not None:
        symbols = columns.symbols
    if symbols is None:
        symbols = max(2, int(x.max()) + 1)
    try:
        return Data(x, symbols, columns, None if known is None else torch.from_numpy(known))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def holds_split(path: Path, split: str) -> bool:
    """Whether a file is an .npz with an array of that name."""
    if path.suffix.lower() != ".npz" or not zipfile.is_zipfile(path):
        return False
    with np.load(path, allow_pickle=False) as archive:
        return split in archive.files


def write_npy(path: Path, x: Tensor) -> None:
    """Writes x as an .npy file."""
    with path.open("wb") as file:  # a file, because np.save would add .npy to a name in capitals
        np.save(file, x.cpu().numpy(), allow_pickle=False)


def write_npz(
    path: Path,
    x: Tensor,
    *,
    known: Tensor | None = None,
    extra: Mapping[str, Sequence[Any] | Tensor] | None = None,
) -> None:
    """Writes an .npz file of x, of known where given, and of further arrays by name.

    Raises:
        ValueError: a further array has the name of one that means something else.
    """
    arrays = {"x": x.cpu().numpy()}
    if known is not None:
        arrays["known"] = known.cpu().numpy()
    for name, values in (extra or {}).items():
        if name in ("x", *BESIDE):
            raise ValueError(f"{path}: a further array cannot be called {name!r}")
        arrays[name] = values.cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    with path.open("wb") as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns what NumPy raises for a file that is not its own into one sentence."""
    try:
        yield
    except (ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        if "Object arrays" in str(error):
            raise ValueError(f"{path} holds Python objects; symbols are integers") from error
        raise ValueError(f"{path} is damaged, or no .npy or .npz file at all") from error


def _load(
    path: Path, key: str | None, split: str | None, mapped: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    if mapped and path.suffix.lower() == ".npy":
        with _reading(path):  # copied on write: torch knows no tensors that cannot be written to
            return np.load(path, mmap_mode="c", allow_pickle=False), None
    with path.open("rb") as file:  # opened here, because np.load leaves a damaged file open
        with _reading(path):
            loaded = np.load(file, allow_pickle=False)
        # NumPy looks at the file and not at its name: an .npy called .npz is read all the same.
        if isinstance(loaded, np.ndarray):
            return loaded, None
        with loaded as archive:
            name = _choose(path, archive.files, key, split)
            with _reading(path):
                array = archive[name]
                dim = archive["dim"] if "dim" in archive.files else None
                known = archive["known"] if "known" in archive.files else None
                if not isinstance(array, np.ndarray):  # a member that is no array comes as bytes
                    raise ValueError(f"{name} is not an array")
    return array if dim is None else _unpack(array, dim), known


def _choose(path: Path, names: Sequence[str], key: str | None, split: str | None) -> str:
    arrays = [name for name in names if name not in BESIDE]
    if key is not None:
        if key in names:
            return key
        raise ValueError(f"{path} has no array {key!r}; it has {', '.join(names) or 'none'}")
    for name in (split, "x"):
        if name in arrays:
            return name
    # An only array that is called "train" is not what was meant by the test set.
    if len(arrays) == 1 and (split is None or arrays[0] not in SPLITS):
        return arrays[0]
    wanted = "'x'" if split is None else f"{split!r} or 'x'"
    raise ValueError(
        f"{path} has no array {wanted}; it has {', '.join(arrays) or 'none'}: "
        f"write {path}:name to choose one"
    )


def _images(array: np.ndarray, size: tuple[int, int], path: Path) -> np.ndarray:
    """Examples as images (N, C, H, W) of that size."""
    height, width = size
    match array.shape[1:]:
        case (_, h, w) if (h, w) == size:
            return array
        case (h, w, 1 | 3) if (h, w) == size:
            return np.moveaxis(array, -1, 1)
        case (h, w) if (h, w) == size:
            return array[:, None]
        case (d,) if d in (height * width, 3 * height * width):
            return array.reshape(len(array), -1, height, width)
    raise ValueError(
        f"{path}: examples of shape {array.shape[1:]} are no images of {height} by {width}; arrays "
        "are not scaled"
    )


def _unpack(array: np.ndarray, dim: np.ndarray) -> np.ndarray:
    if dim.size != 1 or dim.dtype.kind not in "iu" or array.dtype != np.uint8 or array.ndim != 2:
        return array
    count = int(dim.reshape(()))
    if array.shape[1] != -(-count // 8):
        return array
    return np.unpackbits(array, axis=1, count=count)


def _mask(known: np.ndarray, shape: tuple[int, ...], path: Path) -> np.ndarray:
    if known.dtype != np.bool_ or known.shape not in (shape, shape[1:]):
        raise ValueError(
            f"{path}: known has type {known.dtype} and shape {known.shape}; it must be bool, of "
            f"shape {shape} or {shape[1:]}"
        )
    return np.broadcast_to(known, shape).copy()


def _whole(array: np.ndarray, path: Path) -> np.ndarray:
    """The same values as uint8 or int64, once they have been found to be symbols."""
    if array.dtype.kind == "f":
        _refuse(path, array, ~np.isfinite(array), "fill it in, or leave its row out")
        advice = "symbols are whole numbers, so bin or quantise the values first"
        _refuse(path, array, array != np.floor(array), advice)
    if array.dtype.kind in "if":
        _refuse(path, array, array < 0, "symbols count from 0")
    if array.dtype.itemsize > 2:
        _refuse(path, array, array > LARGEST, "that is too large for a symbol: bin the values")
    small = array.dtype.kind == "b" or array.dtype == np.uint8
    return np.ascontiguousarray(array, dtype=np.uint8 if small else np.int64)


def _refuse(path: Path, array: np.ndarray, wrong: np.ndarray, because: str) -> None:
    if not wrong.any():
        return
    event = Symbols(array.shape[1:], 2)
    row, dim = divmod(int(wrong.argmax()), event.dims)
    value = array.reshape(len(array), -1)[row, dim]
    shown = "NaN" if value != value else value
    raise ValueError(f"{path}: row {row}, {event.name(dim)} is {shown}; {because}")
