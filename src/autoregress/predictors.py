"""Predictions of a symbol from earlier symbols, which both faces of a network can compute.

A network with ordered levels then only has to model the difference of a symbol from its prediction.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# Offsets of the nearest earlier symbols: numbers of rows above and of columns to the left.
NEARBY = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0))


def median(west: Tensor, north: Tensor, northwest: Tensor) -> Tensor:
    """The median of west, north and west + north − northwest.

    This is the predictor of LOCO-I (Weinberger, Seroussi and Sapiro, 2000, eq. 1): one of the two
    neighbours at an edge, and the plane through all three elsewhere.
    """
    low, high = torch.minimum(west, north), torch.maximum(west, north)
    return torch.clamp(west + north - northwest, low, high)


def predict_maps(x: Tensor, levels: int) -> Tensor:
    """The median predictions of all symbols of maps (…, H, W).

    In the first row the prediction is the west neighbour, in the first column the north neighbour,
    and for the first symbol the middle level.
    """
    west, north, northwest = (_moved(x, *place) for place in NEARBY[:3])
    prediction = median(west, north, northwest)
    prediction[..., 0, :] = west[..., 0, :]
    prediction[..., :, 0] = north[..., :, 0]
    prediction[..., 0, 0] = levels // 2
    return prediction


def nearby_maps(x: Tensor, prediction: Tensor) -> Tensor:
    """Differences (…, H, W, 6) of the nearby symbols from each prediction (…, H, W).

    Places outside the map have difference 0.
    """
    inside = torch.ones_like(x[:1])
    return torch.stack(
        [(_moved(x, *place) - prediction) * _moved(inside, *place) for place in NEARBY], -1
    )


def past_at(x: Tensor, row: int, column: int, levels: int) -> tuple[Tensor, Tensor]:
    """The prediction (…) of one symbol of maps (…, H, W), and the differences (…, 6) from it."""
    width = x.shape[-1]
    symbols = {
        (up, left): x[..., row - up, column - left]
        for up, left in NEARBY
        if up <= row and 0 <= column - left < width
    }
    if row and column:
        prediction = median(*(symbols[place] for place in NEARBY[:3]))
    elif row or column:
        prediction = symbols[1, 0] if row else symbols[0, 1]
    else:
        prediction = torch.full_like(x[..., 0, 0], levels // 2)
    nearby = torch.stack([symbols.get(place, prediction) for place in NEARBY], -1)
    return prediction, nearby - prediction.unsqueeze(-1)


def _moved(x: Tensor, up: int, left: int) -> Tensor:
    """Maps moved ``up`` rows down and ``left`` columns right, with 0 from outside."""
    height, width = x.shape[-2:]
    padded = F.pad(x, (max(left, 0), max(-left, 0), up, 0))
    return padded[..., :height, max(-left, 0) :][..., :width]
