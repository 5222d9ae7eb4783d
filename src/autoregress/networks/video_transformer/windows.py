"""The encoder's strided convolution over the known pixels of a clip (1906.02634).

Pixels that are not yet known or lie beyond the border are absent: all-zero vectors, unlike the
symbol 0.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoregress.networks.ordered import compressed
from autoregress.networks.video_transformer.subscale import Subscaling
from autoregress.symbols import as_numbers

# Largest number of levels for which one-hot vectors are built in training: the gradient of a sum of
# rows sorts them.
FEW = 2


class DigitWindows(nn.Module):
    """A convolution over one-hot digits.

    The one-hot vectors are not built, unless they are short: their convolution is a sum of rows of
    its weight, one for each tap and digit that is not absent.

    Args:
        subscaling: the slices of a clip.
        channels: F, number of digits of a pixel.
        levels: number of levels of each digit.
        kernel: (kt, kh, kw), odd.
        width: d_e, width of the output.
    """

    def __init__(
        self,
        subscaling: Subscaling,
        channels: int,
        levels: int,
        *,
        kernel: Sequence[int],
        width: int,
    ) -> None:
        super().__init__()
        self.subscaling, self.levels, self.kernel = subscaling, levels, tuple(kernel)
        rows = channels * math.prod(kernel)
        self.taps = nn.Parameter(torch.randn(rows * levels, width) / math.sqrt(rows))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, digits: Tensor, slices: Tensor, frames: Tensor) -> Tensor:
        """The output of the convolution, (batch, t, h, w, d_e).

        Args:
            digits: (batch, T, H, W, F) integers; those of unknown pixels are not read.
            slices: (batch,) the next slice of each clip; its earlier slices are known.
            frames: (batch,) number of frames at the start of each clip that are known as well.
        """
        absent = -1
        visible = self.subscaling.visible(slices, frames)
        digits = digits.int().masked_fill(~visible.unsqueeze(-1), absent).movedim(-1, 1)
        windows = self.subscaling.windows(digits, slices, self.kernel, absent)
        windows = windows.movedim(1, 4)  # (batch, t, h, w, F, kt, kh, kw)
        if self.levels <= FEW and torch.is_grad_enabled():
            hot = windows.unsqueeze(-1) == torch.arange(self.levels, device=windows.device)
            return hot.flatten(4).to(self.taps.dtype) @ self.taps + self.bias
        first = torch.arange(0, len(self.taps), self.levels, device=digits.device)
        rows = windows + first.int().view(windows.shape[4:])
        rows = rows.where(windows != absent, len(self.taps)).flatten(4)
        # The added last row is zero, stands for absent digits, and is left out of the sums.
        table, padding = F.pad(self.taps, (0, 0, 0, 1)), len(self.taps)
        summed = F.embedding_bag(rows.flatten(0, 3), table, mode="sum", padding_idx=padding)
        return summed.view(*rows.shape[:4], -1) + self.bias


class NumberWindows(nn.Module):
    """A convolution over numbers, and over their distances from the known pixel nearest the centre.

    Each pixel also has a constant, which is 0 where it is absent.

    Args: as for :class:`DigitWindows`.
    """

    def __init__(
        self,
        subscaling: Subscaling,
        channels: int,
        levels: int,
        *,
        kernel: Sequence[int],
        width: int,
    ) -> None:
        super().__init__()
        self.subscaling, self.levels, self.kernel = subscaling, levels, tuple(kernel)
        self.project = nn.Linear((2 * channels + 1) * math.prod(kernel), width)
        taps = itertools.product(*(range(-(k // 2), k // 2 + 1) for k in kernel))
        distances = torch.tensor([[t * t + y * y + x * x for t, y, x in taps]], device="cpu")
        self.register_buffer("nearest", distances[0].argsort(stable=True), persistent=False)
        self.nearest: Tensor

    def forward(self, digits: Tensor, slices: Tensor, frames: Tensor) -> Tensor:
        """As for :class:`DigitWindows`."""
        dtype = self.project.weight.dtype
        visible = self.subscaling.visible(slices, frames).unsqueeze(1).to(dtype)
        volume = torch.cat([visible, digits.movedim(-1, 1) * visible], 1)
        windows = self.subscaling.windows(volume, slices, self.kernel, 0)
        windows = windows.movedim(1, 4).flatten(5)  # (batch, t, h, w, 1 + C, taps)
        present, symbols = windows[..., :1, :], windows[..., 1:, :]
        first = self.nearest[present[..., self.nearest].argmax(-1, keepdim=True)]
        reference = symbols.gather(-1, first.expand(*symbols.shape[:-1], 1))
        numbers = as_numbers(symbols, self.levels, dtype) * present
        differences = compressed(symbols - reference, dtype) * present
        return self.project(torch.cat([present, numbers, differences], -2).flatten(4))
