"""NumPy's .npy and .npz files as symbols, and back. Nothing is ever unpickled."""

from __future__ import annotations

import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from autoregress.data.conditions import from_labels
from autoregress.data.formats.format import Extra, Format, Request
from autoregress.data.formats.npy import MAGIC, read_array, read_header
from autoregress.data.source import Data, Layout, Source
from autoregress.disk import open_file, replacing
from autoregress.symbols import Columns, Symbols

SPLITS = ("train", "valid", "test")
BESIDE = ("dim", "known")  # arrays of an .npz that describe the examples
LARGEST = 2**31 - 1
# The most bytes that one byte of an .npz can become; np.savez writes these two kinds.
EXPANSION = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1032}


class MappedArray(Source):
    """An array that stays on disk: only the requested examples are read into memory.

    The file must not change while it is in use.

    Args:
        array: (N, *event_shape) whole numbers.
        levels: number of levels of every dimension, or one number for each; by default the
            largest number plus one, at least 2.
        columns: names and labels, when an example is a row of a table.

    Raises:
        ValueError: a value is not a whole number from 0.
    """

    def __init__(
        self,
        array: np.ndarray,
        levels: int | Sequence[int] | None = None,
        columns: Columns | None = None,
    ) -> None:
        self._array = array
        if levels is None:
            # Provisional: two levels only set the size of the blocks.
            super().__init__(array.shape[1:], 2)
            largest = [int(self._rows(rows).max()) for rows in self._blocks()]
            levels = max(2, *(number + 1 for number in largest))
        super().__init__(array.shape[1:], levels, columns)

    def __len__(self) -> int:
        return len(self._array)

    def _rows(self, index: Tensor) -> Tensor:
        rows = self._array[index.numpy()]
        first = int(index[0]) if len(index) else 0
        return torch.from_numpy(whole_numbers(rows, first=first))

    def check(self) -> None:
        """Reads everything; raises ValueError if a symbol is outside its levels."""
        for rows in self._blocks():
            self.symbols.check(self._rows(rows), first=int(rows[0]))


class Arrays(Format):
    """An .npy or .npz file; ``file.npz:name`` is one of its arrays. A 1-D array has N rows of one.

    Without a name, the array of an .npz is the one named after the split, else ``x``, else the
    only one. If the .npz has an integer ``dim``, an array uint8 (N, ⌈dim/8⌉) holds rows of dim
    bits packed by np.packbits. For partial data, ``known``, bool, of the shape of x or of one
    example, marks the known entries. Unknown entries become symbol 0.

    With a ``size`` (H, W) the examples become images (C, H, W): they may have that shape already,
    or be (H, W), or have their channels last, or be flattened to H · W or 3 · H · W numbers.

    A ``condition`` names a further array: floating-point numbers (N, C), or N labels, which are
    whole numbers or texts. For the array ``train`` it is ``train_NAME``, or else NAME.

    Bits and uint8 are read as uint8, all else as int64. Without ``levels`` or a model, the number
    of levels is the largest symbol plus one, at least 2.
    """

    holds_what = "arrays"
    names = ".npy, .npz"
    takes = frozenset({"levels", "size", "condition"})
    says_what_is_known = True
    writes = (".npy", ".npz")

    def holds(self, path: Path, *, clips: bool) -> bool:
        file, _ = _address(path)
        return file.suffix.lower() in self.writes and file.is_file()

    def open(self, path: Path, request: Request) -> Source:
        file, key = _address(path)
        reading, like = request.of_shape(3), request.like
        array, known, condition, layout = _load(file, key, request)
        array, known = _as_rows(array, known, file)
        if not request.partial:
            known = None
        if known is not None:
            known = _mask(known, array.shape, file)
            array[~known] = 0
        if reading.size is not None:
            array = _images(array, reading.size, file)
            known = None if known is None else _images(known, reading.size, file)
        levels = reading.levels if like is None else like.levels
        columns = None if like is None else like.columns
        with _naming(file):
            if like is not None:
                like.check_array(array.shape)
            if isinstance(array, np.memmap):
                mapped = MappedArray(array, levels, columns)
                mapped.check()
                mapped.layout = layout
                return mapped
            x = torch.from_numpy(whole_numbers(array))
            levels = max(2, int(x.max()) + 1) if levels is None else levels
            known = None if known is None else torch.from_numpy(known)
            context, labels = _context(condition, request.labels)
            data = Data(x, levels, columns, known, context, labels)
            data.layout = layout
            return data

    def splits(self, path: Path) -> Sequence[str]:
        file, key = _address(path)
        if key is not None or file.suffix.lower() != ".npz" or not zipfile.is_zipfile(file):
            return ()
        with open_file(file) as opened, _archive(opened, file) as arrays:
            return [name for name in SPLITS if name in arrays]

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
        arrays = {"x": x.cpu().numpy()}
        if known is not None:
            arrays["known"] = known.cpu().numpy()
        for name, values in (extra or {}).items():
            if name in ("x", *BESIDE):
                raise ValueError(f"{path}: a further array cannot be called {name!r}")
            arrays[name] = (
                values.cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
            )
        with replacing(path) as file:
            if path.suffix.lower() == ".npy":
                write_npy(file, arrays["x"])
            else:
                np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]  # NumPy's stub
        return [path]


FORMAT = Arrays()


def write_npy(file: IO[bytes], array: np.ndarray) -> None:
    """Writes an .npy; unlike ``np.save`` also to a pipe, and with the system's own errors."""
    array = array if array.flags.f_contiguous else np.ascontiguousarray(array)
    header = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(file, header)
    file.write((array if array.flags.c_contiguous else array.T).data)


def whole_numbers(array: np.ndarray, *, first: int = 0) -> np.ndarray:
    """Checks that values can be symbols, and returns them as uint8 or int64.

    Raises:
        ValueError: a value is not a whole number from 0, or too large; the message names its
            row, counted from ``first``.
    """

    def refuse(wrong: np.ndarray, because: str) -> None:
        if not wrong.any():
            return
        event = Symbols(array.shape[1:], 2)
        row, dim = divmod(int(wrong.argmax()), event.dims)
        value = array.reshape(len(array), -1)[row, dim]
        shown = "NaN" if value != value else value
        raise ValueError(f"row {first + row}, {event.name(dim)} is {shown}; {because}")

    if array.dtype.kind == "b":  # a damaged file may hold other bytes than 0 and 1
        array = array.view(np.uint8)
        refuse(array > 1, "it must be true or false")
    if array.dtype.kind == "f":
        refuse(~np.isfinite(array), "fill it in, or leave its row out")
        advice = "symbols are whole numbers, so bin or quantise the values first"
        refuse(array != np.floor(array), advice)
    if array.dtype.kind in "if":
        refuse(array < 0, "symbols count from 0, so subtract the least value first")
    if array.dtype.itemsize > 2:
        refuse(array > LARGEST, "that is too large for a symbol: bin the values")
    return np.ascontiguousarray(array, dtype=np.uint8 if array.dtype == np.uint8 else np.int64)


def _address(path: Path) -> tuple[Path, str | None]:
    """``file.npz:name`` as the file and the name of the array in it."""
    stem, colon, key = str(path).rpartition(".npz:")
    return (Path(stem + ".npz"), key) if colon else (path, None)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Adds the name of the file to errors about its content."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


@contextmanager
def _archive(file: IO[bytes], path: Path) -> Iterator[dict[str, Callable[[], np.ndarray]]]:
    """The arrays of an .npz by name, each with a function that reads it.

    Raises:
        ValueError: the file is damaged, encrypted, or no .npz; also while the context lasts.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            yield {
                info.filename.removesuffix(".npy"): partial(_member, archive, info, path)
                for info in archive.infolist()
            }
    except (
        *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError),
        *(OverflowError, UnicodeDecodeError, struct.error),
    ) as error:
        raise ValueError(f"{path} is damaged, or not an .npy or .npz file") from error


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> np.ndarray:
    if info.flag_bits & 1:
        raise ValueError(f"{path} is encrypted; write it without a password")
    most = info.file_size
    if info.compress_type in EXPANSION:  # no more than its bytes can become, whatever it claims
        compressed = min(info.compress_size, path.stat().st_size)
        most = min(most, EXPANSION[info.compress_type] * compressed)
    with archive.open(info) as file:
        return read_array(file, most, path)


def _load(
    path: Path, key: str | None, request: Request
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None, Layout]:
    """An array, its mask of known entries and its conditions, each None if there is none."""
    condition = request.reading.condition
    with open_file(path) as file:
        # The content decides, not the name.
        magic = file.read(len(MAGIC))
        file.seek(0)
        if magic == MAGIC:
            if condition is not None:
                raise ValueError(f"{path} is a single array, with no {condition!r} beside it")
            shape, order, dtype = read_header(file, path.stat().st_size, path)
            array = np.memmap(file, dtype, "r", file.tell(), shape, order)
            return array, None, None, Layout(None, dtype.str, shape, order)
        with _archive(file, path) as arrays:
            name = _choose(path, list(arrays), key, request.split, condition)
            beside = _beside(path, list(arrays), name, condition)
            array = arrays[name]()
            known = arrays["known"]() if "known" in arrays else None
            given = None if beside is None else arrays[beside]()
            order = "C" if array.flags.c_contiguous else "F"
            layout = Layout(name, array.dtype.str, array.shape, order)
            if "dim" in arrays:
                rows = _unpack(array, arrays["dim"](), path)
                packed = None if rows is array else rows.shape[1]
                array, layout = rows, replace(layout, packed=packed)
            return array, known, given, layout


def _choose(
    path: Path, names: Sequence[str], key: str | None, split: str | None, condition: str | None
) -> str:
    conditions = [name for name in names if condition in (name, name.partition("_")[2])]
    arrays = [name for name in names if name not in (*BESIDE, *conditions)]
    if key is not None:
        if key in names:
            return key
        raise ValueError(f"{path} has no array {key!r}; it has {_listed(names)}")
    for name in (split, "x"):
        if name in arrays:
            return name
    # If the only array is called "train", it is not the test set.
    if len(arrays) == 1 and (split is None or arrays[0] not in SPLITS):
        return arrays[0]
    wanted = "'x'" if split is None else f"{split!r} or 'x'"
    raise ValueError(
        f"{path} has no array {wanted}; it has {_listed(arrays)}: write {path}:name to choose one"
    )


def _listed(names: Sequence[str]) -> str:
    """Names of arrays, each on the line, as a damaged file may hold any."""
    shown = [name if name.isprintable() else repr(name) for name in names[:20]]
    return ", ".join(shown + ["…"] * (len(names) > 20)) or "none"


def _beside(path: Path, names: Sequence[str], array: str, condition: str | None) -> str | None:
    """The name of the array with the conditions of another's examples."""
    if condition is None:
        return None
    for name in (f"{array}_{condition}", condition):
        if name in names:
            return name
    raise ValueError(f"{path} has no array {condition!r} to condition on; it has {_listed(names)}")


def _context(
    condition: np.ndarray | None, labels: tuple[str, ...] | None
) -> tuple[Tensor | None, tuple[str, ...] | None]:
    if condition is None:
        return None, None
    match condition.ndim, condition.dtype.kind:
        case 2, "f":
            with np.errstate(over="ignore"):  # infinite, and refused
                return torch.from_numpy(condition.astype(np.float32)), None
        case 1, "b" | "i" | "u" | "U":
            texts = condition.astype(int) if condition.dtype.kind == "b" else condition
            return from_labels([str(text) for text in texts.tolist()], labels, "the condition")
    raise ValueError(
        "a condition must be floating-point numbers (examples, features) or a label for each "
        f"example, not an array {condition.shape} of {condition.dtype}"
    )


def _as_rows(
    array: np.ndarray, known: np.ndarray | None, path: Path
) -> tuple[np.ndarray, np.ndarray | None]:
    """An array as rows of examples; raises ValueError if it cannot be."""
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
            f"{path}: clips are arrays (N, T, C, H, W), but this one of shape {array.shape} has "
            "its channels last; move them with np.moveaxis(x, -1, 2)"
        )
    return array, known


def _images(array: np.ndarray, size: tuple[int, int], path: Path) -> np.ndarray:
    """Examples as images (N, C, H, W) of a given size (H, W)."""
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
        f"{path}: examples of shape {array.shape[1:]} are not images of {height} by {width}, and "
        "arrays are not scaled"
    )


def _unpack(array: np.ndarray, dim: np.ndarray, path: Path) -> np.ndarray:
    """Rows of ``dim`` bits, from an array in which they may be packed."""
    if dim.size != 1 or dim.dtype.kind not in "iu":
        raise ValueError(f"{path}: dim is the number of bits of a row, not {dim.dtype} {dim.shape}")
    count, shape = int(dim.reshape(())), array.shape
    if array.dtype == np.uint8 and shape[1:] == (-(-count // 8),):
        return np.unpackbits(array, axis=1, count=count)
    if math.prod(shape[1:]) == count:
        return array
    raise ValueError(
        f"{path}: dim is {count}, which does not fit an array of shape {shape} and {array.dtype}"
    )


def _mask(known: np.ndarray, shape: tuple[int, ...], path: Path) -> np.ndarray:
    if known.dtype != np.bool_ or known.shape not in (shape, shape[1:]):
        raise ValueError(
            f"{path}: known has type {known.dtype} and shape {known.shape}; it must be bool, of "
            f"shape {shape} or {shape[1:]}"
        )
    return np.broadcast_to(known, shape).copy()
