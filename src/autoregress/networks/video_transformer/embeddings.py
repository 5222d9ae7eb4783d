"""Learned embeddings of pixel positions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Initial standard deviation of position and slice embeddings; that of the content is about 1.
SCALE = 0.1


class GridEmbedding(nn.Module):
    """Embeddings of the positions in a grid (t, h, w), each the sum of one vector per axis."""

    def __init__(self, grid: Sequence[int], width: int) -> None:
        super().__init__()
        self.axes = nn.ParameterList(SCALE * torch.randn(n, width) for n in grid)

    def forward(self) -> Tensor:
        """The embeddings, (t, h, w, width)."""
        t, h, w = self.axes
        return t[:, None, None] + h[:, None] + w
