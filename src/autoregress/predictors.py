"""Predictions of a symbol from those before it, which both faces of a network can compute.

What a network with ordered levels then has to say is how far a symbol is from its prediction.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from autoregress.configs import Predictor


def median(west: Tensor, north: Tensor, northwest: Tensor) -> Tensor:
    """The median of west, north and west + north − northwest.

    The predictor of LOCO-I (Weinberger, Seroussi and Sapiro, 2000, eq. 1): one of the two
    neighbours at an edge, the plane through all three elsewhere.
    """
    low, high = torch.minimum(west, north), torch.maximum(west, north)
    return torch.clamp(west + north - northwest, low, high)


def predict_maps(x: Tensor, levels: int, predictor: Predictor) -> Tensor:
    """Predictions of all symbols of maps (…, H, W), each from those before it in raster order.

    The first row is predicted from the west, the first column from the north, and the first
    symbol, like everything without a predictor, to be of the middle level.
    """
    middle = levels // 2
    if predictor == "none":
        return torch.full_like(x, middle)
    west, north, northwest = (
        F.pad(x, (right, 0, down, 0))[..., : x.shape[-2], : x.shape[-1]]
        for right, down in ((1, 0), (0, 1), (1, 1))
    )
    prediction = median(west, north, northwest)
    prediction[..., 0, :] = west[..., 0, :]
    prediction[..., :, 0] = north[..., :, 0]
    prediction[..., 0, 0] = middle
    return prediction


def predict_at(x: Tensor, row: int, column: int, levels: int, predictor: Predictor) -> Tensor:
    """The prediction (…) of one symbol of maps x (…, H, W) that are known before it."""
    if predictor == "none" or (row == 0 and column == 0):
        return x.new_full(x.shape[:-2], levels // 2)
    if row == 0:
        return x[..., 0, column - 1]
    if column == 0:
        return x[..., row - 1, 0]
    return median(x[..., row, column - 1], x[..., row - 1, column], x[..., row - 1, column - 1])
