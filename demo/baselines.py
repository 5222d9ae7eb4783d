"""Simpler models and a compressor of the same symbols: the figures to beat."""

from __future__ import annotations

import lzma
import math

import numpy as np
import torch.nn.functional as F
from torch import Tensor

import autoregress as ar
from autoregress.data import Data


def independent(train: Data, test: Data) -> ar.Score:
    """Each pixel on its own, by the frequencies of its levels in the training digits.

    One is added to each count, so that a level that was never seen is not impossible.
    """
    assert isinstance(train.levels, int)
    counts = F.one_hot(train.x.flatten(1).long(), train.levels).sum(0) + 1.0  # (D, K)
    log_p = (counts / counts.sum(1, keepdim=True)).double().log()
    nats = -log_p.T.gather(0, test.x.flatten(1).long()).sum(1)
    return score(nats, test.x[0].numel())


def xz(test: Data) -> tuple[ar.Score, str]:
    """The smallest size of all rows by LZMA2, without a container, and the packing that gave it."""
    sizes = {name: len(compress(data)) for name, data in packings(test).items()}
    best = min(sizes, key=sizes.__getitem__)
    return file(sizes[best], test), best


def file(size: int, test: Data) -> ar.Score:
    """The nats of each row of a file of ``size`` bytes; there is no standard error."""
    nats = size * 8 * math.log(2) / len(test)
    return ar.Score(nats, nats / (test.x[0].numel() * math.log(2)), len(test), math.nan)


def packings(data: Data) -> dict[str, bytes]:
    """The same symbols as bytes, packed in several ways."""
    assert isinstance(data.levels, int)
    x = data.x.flatten(1).numpy().astype(np.uint8)
    width = (data.levels - 1).bit_length()
    bits = np.unpackbits(x[..., None], axis=2)[..., -width:]  # (N, D, width)
    return {
        "a byte a pixel": x.tobytes(),
        f"{width} bit{'s' * (width > 1)} a pixel": np.packbits(bits).tobytes(),
        "a byte a pixel, all first pixels first": x.T.tobytes(),
    }


def compress(data: bytes) -> bytes:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
    return lzma.compress(data, format=lzma.FORMAT_RAW, filters=filters)


def score(nats: Tensor, dims: int) -> ar.Score:
    mean, count = nats.mean().item(), len(nats)
    error = nats.std().item() / math.sqrt(count)
    return ar.Score(mean, mean / (dims * math.log(2)), count, error)
