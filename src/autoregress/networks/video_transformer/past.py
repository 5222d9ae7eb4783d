"""Predictions of the pixels of a slice from the pixels before it in the subscale ordering."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autoregress.configs import ClipPredictor
from autoregress.networks.ordered import Past
from autoregress.networks.video_transformer.subscale import Subscaling
from autoregress.predictors import median

# The position (t, h, w) of a pixel in a slice.
Pixel = tuple[int, int, int]

# Directions of the nearby symbols, in frames, rows and columns: to the west, north, northwest and
# northeast, the same in the frame before, the other pixels around in that frame, and further ones.
WEST, NORTH, NORTHWEST, NORTHEAST = (0, -1), (-1, 0), (-1, -1), (-1, 1)
OWN = [(0, *way) for way in (WEST, NORTH, NORTHWEST, NORTHEAST)]
BEFORE = [(-1, *way) for way in (WEST, NORTH, NORTHWEST, NORTHEAST)]
AROUND = [(-1, 0, 0), (-1, 0, 1), (-1, 1, -1), (-1, 1, 0), (-1, 1, 1)]
FURTHER = [(0, 0, -2), (0, -2, 0), (-2, 0, 0), (-3, 0, 0)]
NEARBY = [*OWN, *BEFORE, *AROUND, *FURTHER]
SAME = NEARBY.index((-1, 0, 0))
# West, north and northwest, and the same in the frame before.
NOW, THEN = slice(0, 3), slice(len(OWN), len(OWN) + 3)


@dataclass(frozen=True)
class Places:
    """Where the nearby symbols of the pixels of a slice are.

    Attributes:
        index: (batch, t, h, w, C, n) positions in flattened clips; 0 if they are not known.
        known: (batch, t, h, w, 1, n) bool: within the clip and before the pixel.
    """

    index: Tensor
    known: Tensor


class PastOfSlices:
    """The past of every pixel, for the parallel and the incremental face.

    A step along an axis leads to the nearest pixel that all pixels of a slice may see: to the next
    one if the slices there are earlier, and to the next one of the slice itself otherwise. Where
    the frame before is known (``priming``), a step in time leads to it.

    Args:
        subscaling: the slices of a clip.
        levels: K.
        predictor: "none" for the middle level as the only prediction, and nothing nearby.
    """

    def __init__(self, subscaling: Subscaling, levels: int, predictor: ClipPredictor) -> None:
        self.subscaling, self.levels = subscaling, levels
        self.nearby = NEARBY if predictor != "none" else []
        self.predictions = 4 if self.nearby else 1

    def places(self, slices: Tensor, frames: Tensor) -> Places:
        """The places of nearby symbols, for a slice of each clip.

        Args:
            slices: (batch,).
            frames: (batch,) number of frames at the start of each clip that are known.
        """
        length, channels, height, width = self.subscaling.shape
        st, sh, sw = factors = self.subscaling.factors
        device = slices.device
        offsets = [slices // (sh * sw), slices // sw % sh, slices % sw]
        own = [
            offset[:, None] + torch.arange(0, count, factor, device=device)
            for offset, count, factor in zip(offsets, (length, height, width), factors, strict=True)
        ]  # the frames (batch, t), rows (batch, h) and columns (batch, w) of the slice
        one_away = [offset[:, None] > 0 for offset in offsets]
        one_away[0] = one_away[0] | (own[0] <= frames[:, None])
        ways = torch.tensor(self.nearby, dtype=torch.long, device=device).view(-1, 3)
        t, y, x = (
            self._along(axis, at, ways[:, axis] * torch.where(one, 1, factor).unsqueeze(-1))
            for axis, (at, one, factor) in enumerate(zip(own, one_away, factors, strict=True))
        )
        number = (t % st * sh + y % sh) * sw + x % sw
        slices, frames = (each.view(-1, 1, 1, 1, 1) for each in (slices, frames))
        earlier = torch.tensor([w < (0, 0, 0) for w in self.nearby], device=device).bool()
        seen = (number < slices) | (t < frames) | ((number == slices) & earlier)
        inside = (t >= 0) & (y >= 0) & (y < height) & (x >= 0) & (x < width)
        known = (inside & seen).unsqueeze(-2)
        channel = torch.arange(channels, device=device).unsqueeze(-1)
        t, y, x = (each.unsqueeze(-2) for each in (t, y, x))
        index = ((t * channels + channel) * height + y) * width + x
        return Places(index.where(known, 0), known)

    @staticmethod
    def _along(axis: int, own: Tensor, steps: Tensor) -> Tensor:
        """The coordinates of nearby symbols, (batch, t, h, w, n) with one axis longer than 1.

        Args:
            own: (batch, t, h or w), those of the pixels.
            steps: (batch, t, h or w; or 1, n).
        """
        near = own.unsqueeze(-1) + steps
        for other in range(3):
            if other != axis:
                near = near.unsqueeze(other + 1)
        return near

    def __call__(self, x: Tensor, slices: Tensor, frames: Tensor) -> Past:
        """The past of all pixels of a slice of each clip x, with batch shape (batch, t, h, w)."""
        places = self.places(slices, frames)
        values = x.flatten(1).gather(1, places.index.flatten(1)).view(places.index.shape)
        return self._past(values.long(), places.known)

    def at(self, x: Tensor, pixel: Pixel, places: Places) -> Past:
        """The past of one pixel (t, h, w) of a slice, the same slice of each clip x.

        Args:
            places: for a batch of one.
        """
        values = x.flatten(1)[:, places.index[(0, *pixel)]]
        return self._past(values, places.known[(0, *pixel)])

    def _past(self, values: Tensor, known: Tensor) -> Past:
        """From the values (…, C, n) of nearby symbols, and whether they are known."""
        if not self.nearby:
            middle = values.new_full((*values.shape[:-1], 1), self.levels // 2)
            return Past(middle, values)
        before, has_before = values[..., SAME], known[..., SAME]
        fallback = before.where(has_before, self.levels // 2)
        still = _filled_median(values[..., NOW], known[..., NOW], fallback)
        changes = values[..., NOW] - values[..., THEN]
        both = known[..., NOW] & known[..., THEN]
        change = _filled_median(changes, both, torch.zeros_like(fallback))
        before = before.where(has_before, still)
        moving = (before + change).clamp(0, self.levels - 1).where(has_before, still)
        nearby = (values - before.unsqueeze(-1)) * known
        # The main one, and three that are means themselves.
        return Past(torch.stack([before, before, moving, still], -1), nearby)


def _filled_median(values: Tensor, known: Tensor, fallback: Tensor) -> Tensor:
    """The median predictor from west, north and northwest (…, 3), of which some are not known.

    One neighbour stands in for the others, and the fallback (…) for all of them.
    """
    west, north, northwest = values.unbind(-1)
    has_west, has_north, has_northwest = known.unbind(-1)
    west = west.where(has_west, north.where(has_north, fallback))
    north = north.where(has_north, west)
    return median(west, north, northwest.where(has_northwest, west))
