"""NumPy's .npy format: what a header claims is compared with the file before it is believed."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np
from numpy.lib import format as npy

from autoregress.brief import brief

MAGIC = npy.MAGIC_PREFIX
BLOCK = 2**24  # bytes that are read at a time


class Header(NamedTuple):
    """The shape, memory order and dtype of an array."""

    shape: tuple[int, ...]
    order: Literal["C", "F"]
    dtype: np.dtype


def read_header(file: IO[bytes], size: int, path: Path) -> Header:
    """Reads the header of an array, up to the first byte of its content.

    Args:
        size: number of bytes of the file.
        path: its name, for messages.

    Raises:
        ValueError: it is no .npy file, is cut short, or holds Python objects.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about headers from Python 2
            version = npy.read_magic(file)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = read(file)
    except Exception as error:  # it is parsed as Python, with errors of any kind
        raise ValueError(f"{path} is damaged, or not an .npy or .npz file") from error
    if dtype.hasobject:
        raise ValueError(f"{path} holds Python objects; symbols are integers")
    shape = tuple(map(int, shape))  # True is taken for a number
    content, claimed = size - file.tell(), math.prod(shape) * dtype.itemsize
    extent = math.prod(n or 1 for n in shape) * dtype.itemsize  # NumPy's limit holds for it
    if min(shape, default=0) < 0 or claimed > content or not 0 < extent < 2**63:
        raise ValueError(
            f"{path} is damaged: an array of shape {brief(shape)} and type {dtype} does not "
            f"fit into its {content:,} bytes"
        )
    return Header(shape, "F" if fortran else "C", dtype)


def read_array(file: IO[bytes], size: int, path: Path) -> np.ndarray:
    """Reads an array that fills a file of ``size`` bytes.

    Raises:
        ValueError: it is no .npy file, is damaged, or holds Python objects.
    """
    shape, order, dtype = read_header(file, size, path)
    content = np.empty(math.prod(shape) * dtype.itemsize, np.uint8)
    rest = content.data
    while rest:
        block = file.read(min(len(rest), BLOCK))
        if not block:
            raise ValueError(f"{path} is damaged: it is cut short")
        rest[: len(block)] = block
        rest = rest[len(block) :]
    if file.read(1):  # a compressed file also checks its content here
        raise ValueError(f"{path} is damaged: it is longer than its array")
    if dtype.kind == "b" and (content > 1).any():
        raise ValueError(f"{path} is damaged: it holds bytes that are neither true nor false")
    return content.view(dtype).reshape(shape, order=order)
