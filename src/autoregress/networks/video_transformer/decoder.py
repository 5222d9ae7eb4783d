"""The slice decoder: a state for each pixel of a slice, from the pixels before it (1906.02634)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoregress.networks.ordered import Past
from autoregress.networks.video_transformer.attention import BlockLayer, apply_layers
from autoregress.networks.video_transformer.embeddings import GridEmbedding, PixelEmbedding
from autoregress.networks.video_transformer.past import Pixel

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
        embed: what the convolution reads of pixels.
        width: d, width of the stream and of the states.
        layers: the masked layers.
    """

    def __init__(
        self,
        grid: Sequence[int],
        embed: PixelEmbedding,
        *,
        width: int,
        layers: Sequence[BlockLayer],
    ) -> None:
        super().__init__()
        self.grid = tuple(grid)
        self.embed = embed
        fan_in = TAPS * embed.width
        self.taps = nn.Parameter(torch.randn(width, TAPS, embed.width) / math.sqrt(fan_in))
        self.positions = GridEmbedding(grid, width)
        self.condition = nn.Linear(width, width)
        nn.init.xavier_normal_(self.condition.weight)
        nn.init.zeros_(self.condition.bias)
        self.before = nn.Linear(embed.given, width, bias=False) if embed.given else None
        self.layers = nn.ModuleList(layers)

    def forward(
        self, digits: Tensor, past: Past, encoded: Tensor, *, checkpointing: bool = False
    ) -> Tensor:
        """The states, (batch, t, h, w, width).

        Args:
            digits: (batch, t, h, w, F) integers.
            past: that of these pixels.
            encoded: (batch, t, h, w, width), the encoder's output.
        """
        # (batch, d_e, t, h, w), with a border of zeros: two frames before, and all around.
        embedded = self.embed(digits, past, self.taps.dtype)
        pixels = F.pad(embedded.movedim(-1, 1), (1, 1, 1, 1, 2, 0))
        kernel = F.pad(self.taps, (0, 0, 0, 27 - TAPS)).transpose(1, 2).unflatten(2, (3, 3, 3))
        stream = F.conv3d(pixels, kernel).movedim(1, -1) + self._told(encoded)
        return apply_layers(self.layers, self._given(stream, past), checkpointing=checkpointing)

    def unroll(self, encoded: Tensor) -> Incremental:
        """The same states one at a time."""
        return Incremental(self, encoded)

    def _told(self, encoded: Tensor) -> Tensor:
        return self.condition(encoded) + self.positions()

    def _given(self, stream: Tensor, past: Past) -> Tensor:
        if self.before is None:
            return stream
        return stream + self.before(self.embed.before(past, self.taps.dtype))


class Incremental:
    """The states of the pixels of a slice, one at a time in raster order.

    Embedded pixels, keys and values are kept, so that the cost of a pixel depends neither on its
    position nor on the number of pixels.
    """

    def __init__(self, decoder: SliceDecoder, encoded: Tensor) -> None:
        t, h, w = decoder.grid
        self.decoder = decoder
        self.told = decoder._told(encoded)
        self.layers = [layer for layer in decoder.layers if isinstance(layer, BlockLayer)]
        self.caches = [layer.cache(len(encoded), decoder.grid) for layer in self.layers]
        shape = (len(encoded), t + 2, h + 2, w + 2, decoder.embed.width)
        self.pixels = decoder.taps.new_zeros(shape)
        self.kernel = decoder.taps.flatten(1)
        self.position = 0

    def state(self, pixel: Pixel, past: Past) -> Tensor:
        """The state (batch, width) of the next pixel, at (t, h, w) in the slice."""
        i, j, k = pixel
        window = self.pixels[:, i : i + 3, j : j + 3, k : k + 3].flatten(1, 3)[:, :TAPS]
        stream = F.linear(window.flatten(1), self.kernel) + self.told[:, i, j, k]
        stream = self.decoder._given(stream, past)
        for layer, cache in zip(self.layers, self.caches, strict=True):
            stream = layer.step(stream, cache, self.position)
        self.position += 1
        return stream

    def put(self, pixel: Pixel, digits: Tensor, past: Past) -> None:
        """Makes the digits (batch, F) of a pixel known."""
        i, j, k = pixel
        embedded = self.decoder.embed(digits, past, self.pixels.dtype)
        self.pixels[:, i + 2, j + 1, k + 1] = embedded
