"""Learned vectors for where a pixel is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Standard deviation of new position and slice embeddings, beside content of about 1.
SCALE = 0.1


class GridEmbedding(nn.Module):
    """A position in a grid (t, h, w) as the sum of a vector for each axis."""

    def __init__(self, grid: Sequence[int], width: int) -> None:
        super().__init__()
        self.axes = nn.ParameterList(SCALE * torch.randn(n, width) for n in grid)

    def forward(self) -> Tensor:
        """(t, h, w, width)."""
        t, h, w = self.axes
        return t[:, None, None] + h[:, None] + w
