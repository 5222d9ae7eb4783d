"""The slice encoder: the known pixels of a clip, seen from those of the next slice (1906.02634)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoregress.networks.video_transformer.attention import BlockLayer, apply_layers
from autoregress.networks.video_transformer.embeddings import SCALE, GridEmbedding
from autoregress.networks.video_transformer.subscale import Subscaling


class SliceEncoder(nn.Module):
    """A strided convolution over the one-hot digits of all known pixels, then layers.

    Pixels that are not yet known or lie beyond the border are absent: all-zero vectors, unlike
    the symbol 0. The one-hot vectors are never built: their convolution is a sum of rows of its
    weight, one for each tap and digit that is not absent.

    Args:
        subscaling: the slices of a clip.
        channels: F, number of digits of a pixel.
        levels: number of levels of each digit.
        kernel: (kt, kh, kw), odd.
        embedding: d_e, width of the convolution's output.
        width: d, width of the stream and of the output.
        context: number of features of the conditioning vector, 0 for none.
        layers: the unmasked layers.
    """

    def __init__(
        self,
        subscaling: Subscaling,
        channels: int,
        levels: int,
        *,
        kernel: Sequence[int],
        embedding: int,
        width: int,
        context: int,
        layers: Sequence[BlockLayer],
    ) -> None:
        super().__init__()
        self.subscaling = subscaling
        self.kernel = tuple(kernel)
        self.levels = levels
        rows = channels * math.prod(kernel)
        self.taps = nn.Parameter(torch.randn(rows * levels, embedding) / math.sqrt(rows))
        self.bias = nn.Parameter(torch.zeros(embedding))
        self.positions = GridEmbedding(subscaling.grid, embedding)
        self.slices = nn.Parameter(SCALE * torch.randn(len(subscaling.offsets), embedding))
        self.project = nn.Linear(embedding, width)
        self.context = nn.Linear(context, width, bias=False) if context else None
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        digits: Tensor,
        slices: Tensor,
        frames: Tensor,
        context: Tensor | None,
        *,
        checkpointing: bool = False,
    ) -> Tensor:
        """The input of a slice's decoder, (batch, t, h, w, width).

        Args:
            digits: (batch, T, H, W, F) integers; those of unknown pixels are not read.
            slices: (batch,) the next slice of each clip; its earlier slices are known.
            frames: (batch,) number of frames at the start of each clip that are known as well.
            context: (batch, context) if there is one.
        """
        seen = self._convolve(digits, slices, frames)
        seen = seen + self.positions() + self.slices[slices][:, None, None, None]
        stream = self.project(seen)
        if self.context is not None:
            stream = stream + self.context(context)[:, None, None, None]
        return self.norm(apply_layers(self.layers, stream, checkpointing=checkpointing))

    def _convolve(self, digits: Tensor, slices: Tensor, frames: Tensor) -> Tensor:
        """The output of the convolution, (batch, t, h, w, d_e)."""
        absent = -1
        visible = self.subscaling.visible(slices, frames)
        digits = digits.int().masked_fill(~visible.unsqueeze(-1), absent).movedim(-1, 1)
        windows = self.subscaling.windows(digits, slices, self.kernel, absent)
        windows = windows.movedim(1, 4)  # (batch, t, h, w, F, kt, kh, kw)
        first = torch.arange(0, len(self.taps), self.levels, device=digits.device)
        rows = windows + first.int().view(windows.shape[4:])
        rows = rows.where(windows != absent, len(self.taps)).flatten(4)
        # The added last row is zero, stands for absent digits, and is left out of the sums.
        table, padding = F.pad(self.taps, (0, 0, 0, 1)), len(self.taps)
        summed = F.embedding_bag(rows.flatten(0, 3), table, mode="sum", padding_idx=padding)
        return summed.view(*rows.shape[:4], -1) + self.bias
