"""What the network is shown of pixels and of their positions."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoregress.networks.ordered import OrderedPixel, Past

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


class PixelEmbedding(nn.Module, ABC):
    """Pixels as the decoder's convolution reads them.

    Attributes:
        width: d_e.
        given: width of what it reads at the pixel that it predicts; 0 for nothing.
    """

    width: int
    given: int = 0

    @abstractmethod
    def forward(self, digits: Tensor, past: Past, dtype: torch.dtype) -> Tensor:
        """(…, d_e), from digits (…, F) and the past of the pixels (…)."""

    @abstractmethod
    def before(self, past: Past, dtype: torch.dtype) -> Tensor:
        """What is read of pixels (…) that are not known yet, (…, given)."""


class DigitEmbedding(PixelEmbedding):
    """A learned vector for each value of each digit, summed over digits."""

    def __init__(self, count: int, levels: int, width: int) -> None:
        super().__init__()
        self.levels, self.width = levels, width
        self.table = nn.Parameter(torch.randn(count * levels, width) / math.sqrt(count))

    def forward(self, digits: Tensor, past: Past, dtype: torch.dtype) -> Tensor:
        first = torch.arange(0, len(self.table), self.levels, device=digits.device)
        rows = (digits + first).flatten(0, -2)
        return F.embedding_bag(rows, self.table, mode="sum").view(*digits.shape[:-1], -1)

    def before(self, past: Past, dtype: torch.dtype) -> Tensor:
        return past.nearby.flatten(-2).to(dtype)


class NumberEmbedding(PixelEmbedding):
    """Numbers, and their distances from predictions; no parameters."""

    def __init__(self, joint: OrderedPixel) -> None:
        super().__init__()
        self.joint = joint
        self.width = joint.encoded + 1
        self.given = joint.given if joint.nearby else 0

    def forward(self, digits: Tensor, past: Past, dtype: torch.dtype) -> Tensor:
        # The constant distinguishes pixels from the zeros around them.
        return F.pad(self.joint.encode(digits, past, dtype), (0, 1), value=1)

    def before(self, past: Past, dtype: torch.dtype) -> Tensor:
        return self.joint.encode_past(past, dtype)
