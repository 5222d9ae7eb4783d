"""The slice encoder: the known pixels of a clip, seen from those of the next slice (1906.02634)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autoregress.networks.video_transformer.attention import BlockLayer, apply_layers
from autoregress.networks.video_transformer.embeddings import SCALE, GridEmbedding
from autoregress.networks.video_transformer.subscale import Subscaling
from autoregress.networks.video_transformer.windows import DigitWindows, NumberWindows


class SliceEncoder(nn.Module):
    """A strided convolution over all known pixels, then layers.

    Args:
        subscaling: the slices of a clip.
        entry: the convolution (:mod:`~autoregress.networks.video_transformer.windows`).
        embedding: d_e, width of the convolution's output.
        width: d, width of the stream and of the output.
        context: number of features of the conditioning vector, 0 for none.
        layers: the unmasked layers.
    """

    def __init__(
        self,
        subscaling: Subscaling,
        entry: DigitWindows | NumberWindows,
        *,
        embedding: int,
        width: int,
        context: int,
        layers: Sequence[BlockLayer],
    ) -> None:
        super().__init__()
        self.entry = entry
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
        seen = (
            self.entry(digits, slices, frames)
            + self.positions()
            + self.slices[slices][:, None, None, None]
        )
        stream = self.project(seen)
        if self.context is not None:
            stream = stream + self.context(context)[:, None, None, None]
        return self.norm(apply_layers(self.layers, stream, checkpointing=checkpointing))
