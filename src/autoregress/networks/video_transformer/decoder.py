"""The slice decoder: a state for each pixel of a slice, from the pixels before it (1906.02634)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoregress.networks.video_transformer.attention import BlockLayer, apply_layers
from autoregress.networks.video_transformer.embeddings import GridEmbedding

# Number of taps before the pixel itself, in raster order, of a 3 × 3 × 3 kernel that lies over
# frames t - 2 to t and is centred in space: all of the two frames before, the row above and the
# pixel to the left.
TAPS = 9 + 9 + 3 + 1


class SliceDecoder(nn.Module):
    """A masked convolution over a slice, plus the encoder's output, then masked layers.

    The convolution's kernel is causal in time and centred in space, so that it has no blind
    side. (The paper's kernel is masked and 3 × 3 × 3; its position is our reading.)

    Args:
        grid: (t, h, w) of a slice.
        channels: F, number of digits of a pixel.
        levels: number of levels of each digit.
        embedding: d_e, width of a pixel's embedding.
        width: d, width of the stream and of the states.
        layers: the masked layers.
    """

    def __init__(
        self,
        grid: Sequence[int],
        channels: int,
        levels: int,
        *,
        embedding: int,
        width: int,
        layers: Sequence[BlockLayer],
    ) -> None:
        super().__init__()
        self.grid = tuple(grid)
        self.levels = levels
        self.pixels = nn.Parameter(torch.randn(channels * levels, embedding) / math.sqrt(channels))
        fan_in = TAPS * embedding
        self.taps = nn.Parameter(torch.randn(width, TAPS, embedding) / math.sqrt(fan_in))
        self.positions = GridEmbedding(grid, width)
        self.condition = nn.Linear(width, width)
        nn.init.xavier_normal_(self.condition.weight)
        nn.init.zeros_(self.condition.bias)
        self.layers = nn.ModuleList(layers)

    def forward(self, digits: Tensor, encoded: Tensor, *, checkpointing: bool = False) -> Tensor:
        """The states, (batch, t, h, w, width).

        Args:
            digits: (batch, t, h, w, F) integers.
            encoded: (batch, t, h, w, width), the encoder's output.
        """
        # (batch, d_e, t, h, w), with a border of zeros: two frames before, and all around.
        pixels = F.pad(self._embed(digits).movedim(-1, 1), (1, 1, 1, 1, 2, 0))
        kernel = F.pad(self.taps, (0, 0, 0, 27 - TAPS)).transpose(1, 2).unflatten(2, (3, 3, 3))
        stream = F.conv3d(pixels, kernel).movedim(1, -1) + self._told(encoded)
        return apply_layers(self.layers, stream, checkpointing=checkpointing)

    def unroll(self, encoded: Tensor) -> Generator[Tensor, Tensor, None]:
        """Yields the same states one at a time, in raster order, each (batch, width).

        It is sent the digits (batch, F) of the pixel whose state it yielded. Embedded pixels, keys
        and values are kept, so that the cost of a pixel depends neither on its position nor on the
        number of pixels.
        """
        batch = len(encoded)
        told = self._told(encoded)
        layers = [layer for layer in self.layers if isinstance(layer, BlockLayer)]
        caches = [layer.cache(batch, self.grid) for layer in layers]
        t, h, w = self.grid
        pixels = self.pixels.new_zeros(batch, t + 2, h + 2, w + 2, self.pixels.shape[1])
        kernel = self.taps.flatten(1)
        for position, (i, j, k) in enumerate(itertools.product(range(t), range(h), range(w))):
            window = pixels[:, i : i + 3, j : j + 3, k : k + 3].flatten(1, 3)[:, :TAPS]
            stream = F.linear(window.flatten(1), kernel) + told[:, i, j, k]
            for layer, cache in zip(layers, caches, strict=True):
                stream = layer.step(stream, cache, position)
            digits = yield stream
            pixels[:, i + 2, j + 1, k + 1] = self._embed(digits)

    def _told(self, encoded: Tensor) -> Tensor:
        return self.condition(encoded) + self.positions()

    def _embed(self, digits: Tensor) -> Tensor:
        """The embedding (…, d_e) of pixels given as digits (…, F)."""
        first = torch.arange(0, len(self.pixels), self.levels, device=digits.device)
        rows = (digits + first).flatten(0, -2)
        return F.embedding_bag(rows, self.pixels, mode="sum").view(*digits.shape[:-1], -1)
