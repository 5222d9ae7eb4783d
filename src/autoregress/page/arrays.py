"""Symbols in JSON: the bytes of an array, in base64."""

from __future__ import annotations

import base64
import binascii

import numpy as np
import torch
from torch import Tensor

from autoregress.symbols import Symbols


def to_text(x: Tensor, symbols: Symbols) -> str:
    """The symbols of an event, in the order of its flattened dimensions."""
    array = x.flatten().cpu().numpy().astype(_kind(symbols))
    return base64.b64encode(array.tobytes()).decode()


def from_text(text: str, symbols: Symbols) -> Tensor:
    """The symbols (1, *event_shape) in a text; raises ValueError if it holds anything else."""
    array = _decoded(text, _kind(symbols), symbols.dims)
    x = torch.from_numpy(array.astype(np.int64)).view(1, *symbols.event_shape)
    symbols.check(x)
    return x


def mask_from_text(text: str, symbols: Symbols) -> Tensor:
    """The known dimensions, bool (*event_shape); raises ValueError for anything else."""
    array = _decoded(text, np.dtype(np.uint8), symbols.dims)
    return torch.from_numpy(array != 0).view(symbols.event_shape)


def rounded(values: Tensor | np.ndarray, digits: int = 5) -> list[float]:
    """Numbers with a few significant digits, flat."""
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    return [float(f"{value:.{digits}g}") for value in array.ravel().tolist()]


def _kind(symbols: Symbols) -> np.dtype:
    return np.dtype(np.uint8 if max(symbols.levels) <= 256 else "<u2")


def _decoded(text: str, kind: np.dtype, count: int) -> np.ndarray:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the symbols are not base64") from None
    if len(content) != count * kind.itemsize:
        raise ValueError(f"the symbols are {len(content)} bytes, not {count * kind.itemsize}")
    return np.frombuffer(content, kind)
