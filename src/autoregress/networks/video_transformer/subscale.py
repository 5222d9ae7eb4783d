"""The slices of a clip: their pixels, what each may see, and windows centred on its pixels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from autoregress.orderings import slice_shape

Axis = TypeVar("Axis")


@dataclass(frozen=True)
class Subscaling:
    """The S = st · sh · sw slices of a clip (T, C, H, W), each of t × h × w pixels.

    Slice (a, b, c) is ``clip[a::st, :, b::sh, c::sw]``; slices are numbered in row-major order.

    Raises:
        ValueError: the factors do not divide the clip.
    """

    shape: tuple[int, ...]
    factors: tuple[int, ...]

    def __post_init__(self) -> None:
        """Raises ValueError unless the factors divide the clip."""
        slice_shape(self.shape, self.factors)

    @property
    def grid(self) -> tuple[int, int, int]:
        """(t, h, w) of a slice."""
        return slice_shape(self.shape, self.factors)

    @cached_property
    def offsets(self) -> list[tuple[int, int, int]]:
        """(a, b, c) of each slice."""
        st, sh, sw = self.factors
        return list(itertools.product(range(st), range(sh), range(sw)))

    def split(self, clips: Tensor) -> Tensor:
        """Clips (batch, T, C, H, W) as their slices (batch, S, t, C, h, w)."""
        (t, h, w), (st, sh, sw) = self.grid, self.factors
        parts = clips.reshape(len(clips), t, st, -1, h, sh, w, sw)
        return parts.permute(0, 2, 5, 7, 1, 3, 4, 6).flatten(1, 3)

    def weave(self, slices: Tensor) -> Tensor:
        """The inverse of :meth:`split`."""
        parts = slices.unflatten(1, self.factors).permute(0, 4, 1, 5, 6, 2, 7, 3)
        return parts.flatten(6).flatten(4, 5).flatten(1, 2)

    def visible(self, slices: Tensor, frames: Tensor) -> Tensor:
        """Which pixels are known before a slice is generated, (batch, T, H, W) bool.

        Args:
            slices: (batch,) the slice of each clip; the slices before it are known.
            frames: (batch,) number of frames at the start of each clip that are known as well.
        """
        steps = [torch.arange(n, device=slices.device) for n in self.shape]
        a, b, c = (step % s for step, s in zip(_grid(steps), self.factors, strict=True))
        _, sh, sw = self.factors
        number = (a[:, None, None] * sh + b[:, None]) * sw + c
        first = steps[0][:, None, None] < frames.view(-1, 1, 1, 1)
        return (number < slices.view(-1, 1, 1, 1)) | first

    def windows(self, volumes: Tensor, slices: Tensor, kernel: Sequence[int], fill: int) -> Tensor:
        """The windows of a strided convolution whose taps are centred on the pixels of a slice.

        Args:
            volumes: (batch, channels, T, H, W).
            slices: (batch,) the slice of each volume.
            kernel: (kt, kh, kw), odd.
            fill: value beyond the border.

        Returns:
            (batch, channels, t, h, w, kt, kh, kw), a view of a copy of ``volumes``.
        """
        reach = [k // 2 for k in kernel]
        padded = F.pad(volumes, [n for r in reversed(reach) for n in (r, r)], value=fill)
        # Each volume is shifted so that its slice begins at the first window's centre; then the
        # windows of all volumes are in the same places.
        lengths = [
            n - s + k for n, s, k in zip(_grid(self.shape), self.factors, kernel, strict=True)
        ]
        # Gathered rather than cut out one by one, which would require the slices' numbers on the
        # host.
        _, sh, sw = self.factors
        starts = [slices // (sh * sw), slices // sw % sh, slices % sw]
        t, h, w = (
            start[:, None] + torch.arange(length, device=slices.device)
            for start, length in zip(starts, lengths, strict=True)
        )
        batch = torch.arange(len(slices), device=slices.device)[:, None, None, None]
        own = batch, t[:, :, None, None], h[:, None, :, None], w[:, None, None, :]
        shifted = padded.movedim(1, -1)[own].movedim(-1, 1)
        for axis, (k, s) in enumerate(zip(kernel, self.factors, strict=True), start=2):
            shifted = shifted.unfold(axis, k, s)
        return shifted


def _grid(per_axis: Sequence[Axis]) -> list[Axis]:
    """The entries for frames, rows and columns among those for (T, C, H, W)."""
    return [per_axis[0], per_axis[2], per_axis[3]]
