"""Simpler models and compressors of the same examples, as figures for a model to beat."""

from __future__ import annotations

import io
import lzma
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from autoregress.data.source import Source
from autoregress.symbols import Symbols

# Largest number of symbols to count marginals from, and to measure.
COUNTED, FILED = 2**22, 2**18


def baselines(train: Source, test: Source) -> tuple[dict[str, float], int]:
    """Bits per dimension of some examples, by methods that need no model.

    - independent dimensions: each by the frequencies of its levels in the training examples, with
      every count increased by one;
    - xz: all examples at once, by LZMA2 without a container;
    - PNG and lossless WebP: each image, or each frame of a clip;
    - FFV1: each clip, without a container, if PyAV is installed.

    The compressors are left out for more than 256 levels.

    Args:
        train: examples that marginals are counted from.
        test: examples of the same kind.

    Returns:
        Bits per dimension by name, and the number of examples of ``test``, taken at equal
        intervals, that were measured.
    """
    symbols = train.symbols
    x = some(test, FILED // symbols.dims)
    own = some(train, COUNTED // symbols.dims)
    found = {"independent dimensions": independent(own, x, symbols)}
    bits = x.numel() / 8
    if max(symbols.levels) <= 256:
        values = x.to(torch.uint8).cpu().numpy()
        found["xz"] = len(_lzma(values.tobytes())) / bits
        for name, size in _pictured(values).items():
            found[name] = size() / bits
    return found, len(x)


def independent(train: Tensor, test: Tensor, symbols: Symbols) -> float:
    """Bits per dimension of ``test`` by each dimension's own marginals in ``train``."""
    total, levels = 0.0, torch.tensor(symbols.levels)
    for dims in torch.arange(symbols.dims).split(max(1, COUNTED // max(symbols.levels))):
        own, first = levels[dims], levels[dims].cumsum(0) - levels[dims]
        counted, asked = (x.flatten(1)[:, dims].long() + first for x in (train, test))
        counts = counted.flatten().bincount(minlength=int(own.sum())).double() + 1
        share = counts / (len(train) + own).repeat_interleave(own)
        total -= float(share.log()[asked].sum())
    return total / (test.numel() * math.log(2))


def some(source: Source, most: int) -> Tensor:
    """At most ``most`` examples, but at least one, at equal intervals."""
    count = min(len(source), max(1, most))
    return source[torch.arange(count) * len(source) // count]


def _lzma(data: bytes) -> bytes:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
    return lzma.compress(data, format=lzma.FORMAT_RAW, filters=filters)


def _pictured(x: np.ndarray) -> dict[str, Callable[[], int]]:
    """Functions for the bytes of each format, for images (N, C, H, W) or clips (N, T, C, H, W)."""
    if x.ndim not in (4, 5) or x.shape[-3] not in (1, 3):
        return {}
    sizes: dict[str, Callable[[], int]] = {
        "PNG": lambda: sum(saved_size(frame, "png", optimize=True) for frame in _frames(x)),
        "lossless WebP": lambda: sum(
            saved_size(frame, "webp", lossless=True, method=6, quality=100) for frame in _frames(x)
        ),
    }
    if x.ndim == 5:
        try:
            import av
        except ImportError:
            return sizes
        sizes["FFV1"] = lambda: sum(ffv1_size(clip, av) for clip in x)
    return sizes


def _frames(x: np.ndarray) -> Iterator[np.ndarray]:
    """Each image or frame, (H, W) or (H, W, 3)."""
    for image in x.reshape(-1, *x.shape[-3:]):
        yield image[0] if len(image) == 1 else image.transpose(1, 2, 0)


def saved_size(image: np.ndarray, kind: str, **options: Any) -> int:
    """The size in bytes of an image, (H, W) or (H, W, 3), in a format of Pillow's."""
    file = io.BytesIO()
    if image.ndim == 2 and image.max() <= 1:
        Image.fromarray(image.astype(bool)).save(file, kind, **options)  # one bit per pixel
    else:
        Image.fromarray(image).save(file, kind, **options)
    return len(file.getvalue())


def ffv1_size(clip: np.ndarray, av: Any) -> int:
    """The total size of a clip's packets, in bytes."""
    coder = av.CodecContext.create("ffv1", "w")
    _, channels, coder.height, coder.width = clip.shape
    coder.pix_fmt = "gray" if channels == 1 else "bgr0"
    coder.time_base = Fraction(1, 25)
    coder.options = {"level": "3", "context": "1"}
    packets = []
    for frame in _frames(clip):
        kind = "gray" if channels == 1 else "rgb24"
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=kind)
        packets += coder.encode(picture.reformat(format=coder.pix_fmt))
    packets += coder.encode(None)
    return sum(packet.size for packet in packets)
