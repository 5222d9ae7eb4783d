"""PixelRNN: Row LSTM and Diagonal BiLSTM (van den Oord et al., arXiv 1601.06759)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoregress.configs import PixelConfig
from autoregress.families import family
from autoregress.networks.channels import Channels
from autoregress.networks.pixel import PixelModel, ResidualNetwork
from autoregress.networks.raster import Apply, Causal, CausalConv, Condition, Sizes, part


@family
class RowLSTM(PixelModel):
    """An LSTM that processes one row at a time (arXiv 1601.06759, section 3.1).

    The state of a pixel depends on the states of the ``kernel`` pixels above it, so that the
    context of a layer is a triangle, broader for a larger kernel; its input comes from the pixel
    itself and those to its left (a masked k×1 convolution of the whole map at once). A masked 7×7
    convolution comes first.

    Example:
        >>> model = ar.RowLSTM((1, 4, 4), symbols=2, layers=1, features=4)
        >>> known = torch.tensor([True, True, False, False]).view(1, 4, 1).expand(1, 4, 4)
        >>> x = torch.ones(2, 1, 4, 4, dtype=torch.int64)
        >>> bool(model.complete(x, known)[:, :, :2].all())  # the two rows on top
        True
    """

    def _network(
        self, sizes: Sizes, channels: Channels, *, kernel: int, **settings: Any
    ) -> ResidualNetwork:
        cell = partial(RowCell, kernel=kernel)
        return _network(sizes, channels, cell, maps=1, reach=kernel // 2, **settings)


@family
class DiagonalBiLSTM(PixelModel):
    """LSTMs along the diagonals, from either side (arXiv 1601.06759, section 3.2).

    The state of a pixel depends on the states of the pixels beside it and above it. One map runs
    from the left and the other from the right; the map from the right is moved down by one row
    and added. So every layer sees all pixels that precede a pixel, except one: because the first
    convolution hides a pixel from its own position, the map from the right lacks the last pixel
    of the row above, and only the 7×7 convolution shows it, to pixels at most three to its left.

    Example:
        >>> model = ar.DiagonalBiLSTM((1, 3, 3), symbols=2, layers=1, features=4)
        >>> print(f"{ar.check_normalisation(model):.4f}")
        1.0000
    """

    def _network(
        self, sizes: Sizes, channels: Channels, *, kernel: int, **settings: Any
    ) -> ResidualNetwork:
        if kernel != PixelConfig.kernel:
            raise ValueError("the kernel of a Diagonal BiLSTM cannot be chosen; it sees two pixels")
        return _network(sizes, channels, DiagonalCell, maps=2, reach=0, **settings)


def _network(
    sizes: Sizes,
    channels: Channels,
    cell: Callable[[Sizes, int], Cell],
    *,
    maps: int,
    reach: int,
    layers: int,
    features: int,
    **settings: Any,
) -> ResidualNetwork:
    """A network of recurrent layers of ``maps`` maps, whose inputs reach ``reach`` pixels left."""
    source, target = sizes.groups(2 * features), sizes.groups(features, parts=4 * maps)
    made = [
        LSTMLayer(
            CausalConv(sizes, source, target, reach=reach, conditioned=True), cell(sizes, features)
        )
        for _ in range(layers)
    ]
    entry = CausalConv(sizes, sizes.inputs, source, above=3, reach=3)
    return ResidualNetwork(
        sizes, channels, made, entry, features=features, stream=2 * features, **settings
    )


class LSTMLayer(nn.Module):
    """The input-to-state component, for the whole map, and the recurrence (1601.06759, eq. 3)."""

    def __init__(self, inputs: CausalConv, cell: Cell) -> None:
        super().__init__()
        self.inputs, self.cell = inputs, cell
        # The forget gates start open, which is the better start; the paper does not specify this.
        with torch.no_grad():
            inputs.bias.view(-1, 4, cell.features)[:, 1] += 1

    def forward(self, stream: Tensor, apply: Apply) -> Tensor:
        return apply(self.cell, apply(self.inputs, stream))


def lstm(sums: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The new state h and memory c of an LSTM (eq. 3), from its sums o, f, i, g side by side."""
    # Contiguous, because sigmoid and tanh take two to five times as long on a slice.
    gates, candidate = sums.split([3 * c.shape[-1], c.shape[-1]], -1)
    o, f, i = gates.contiguous().sigmoid().chunk(3, -1)
    c = f * c + i * candidate.contiguous().tanh()
    return o * c.tanh(), c


class Cell(Causal):
    """The weights of a recurrence, and its learned initial state.

    Args:
        features: h, number of features of a state.
        maps: number of maps side by side.
        seen: number of pixels whose states it sees.
    """

    def __init__(self, sizes: Sizes, features: int, *, maps: int, seen: int) -> None:
        super().__init__()
        self.features, self.spans = features, sizes.spans(features)
        # Maps the states of the pixels seen, side by side, to the four sums.
        self.weight = nn.Parameter(torch.empty(maps, seen * features, 4 * features))
        self.h = nn.Parameter(torch.zeros(maps, features))
        self.c = nn.Parameter(torch.zeros(maps, features))
        bound = 1 / math.sqrt(seen * features)
        nn.init.uniform_(self.weight, -bound, bound)


class RowCell(Cell):
    """A state-to-state k×1 convolution of the row above, which sees all channels of that row."""

    def __init__(self, sizes: Sizes, features: int, *, kernel: int) -> None:
        super().__init__(sizes, features, maps=1, seen=kernel)
        self.kernel = kernel

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        batch, _, width, _ = x.shape
        h, c = (v.expand(batch, width, -1) for v in (self.h, self.c))
        out = []
        for sums in x.unbind(1):
            h, c = lstm(sums + self.from_above(h), c)
            out.append(h)
        return torch.stack(out, 1)

    def from_above(self, h: Tensor) -> Tensor:
        """The terms (N, W, 4h) of a row's sums from the states (N, W, h) of the row above."""
        reach = self.kernel // 2
        return self.from_around(F.pad(h, (0, 0, reach, reach)), 1)

    def from_around(self, h: Tensor, axis: int) -> Tensor:
        """The same, from states with zeros on either side, whose axis ``axis`` is the row."""
        width = h.shape[axis] - self.kernel + 1
        seen = [h.narrow(axis, start, width) for start in range(self.kernel)]
        return torch.cat(seen, -1) @ self.weight[0]

    def steps(self, batch: int, width: int, condition: Condition) -> RowSteps:
        return RowSteps(self, batch, width)


class RowSteps:
    """The terms from the row above, when a row starts; then the gates of each pixel."""

    def __init__(self, cell: RowCell, batch: int, width: int) -> None:
        self.cell = cell
        # The states (width, N, h) of the current row, those of h between zeros; before the first
        # row, the learned initial ones.
        self.reach = cell.kernel // 2
        self.h = cell.h.new_zeros(width + 2 * self.reach, batch, cell.features)
        self.h[self.reach : self.reach + width] = cell.h
        self.c = cell.c.expand(width, batch, -1).clone()
        self.sums: list[Tensor] = []

    def start_row(self, row: int) -> None:
        sums = self.cell.from_around(self.h, 0)
        self.sums = [part(sums, span, 4) for span in self.cell.spans]

    def feed(self, column: int, group: int, x: Tensor) -> Tensor:
        span = self.cell.spans[group]
        c = self.c[column][:, span]
        h, memory = lstm(x + self.sums[group][column], c)
        c.copy_(memory)
        self.h[column + self.reach][:, span] = h
        return h


class DiagonalCell(Cell):
    """A state-to-state 2×1 convolution of the previous diagonal, in two maps.

    The paper skews the map so that diagonals become columns; here the pixels are sorted by
    diagonal instead, which requires no padding. The second map is mirrored, then treated alike.
    """

    def __init__(self, sizes: Sizes, features: int) -> None:
        super().__init__(sizes, features, maps=2, seen=2)

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        batch, height, width, _ = x.shape
        order, lengths = diagonals(height, width, x.device)
        orders = [order, order // width * width + width - 1 - order % width]
        pixels = x.flatten(1, 2).transpose(0, 1)  # (HW, N, 8h)
        sums = torch.stack(
            [
                side.index_select(0, order)
                for side, order in zip(pixels.chunk(2, -1), orders, strict=True)
            ]
        )

        # The learned initial state lies beyond the left and the upper border.
        first_h, first_c = (v[:, None, None].expand(-1, 1, batch, -1) for v in (self.h, self.c))
        h, c, out = first_h[:, :0], first_c[:, :0], []
        for d, own in enumerate(sums.split(lengths, 1)):
            # The states of the previous diagonal, (2, pixels, N, h), from the row above this
            # diagonal's first pixel to the row of its last.
            upper, lower = d < width, d < height
            h = torch.cat([first_h] * upper + [h] + [first_h] * lower, 1)
            c = torch.cat([first_c] * upper + [c] + [first_c] * lower, 1)
            seen = torch.cat([h[:, 1:], h[:, :-1]], -1).flatten(1, 2)  # beside, and above
            own = torch.baddbmm(own.flatten(1, 2), seen, self.weight).view_as(own)
            h, c = lstm(own, c[:, 1:])
            out.append(h)
        left, right = (
            states.index_select(0, order.argsort()).unflatten(0, (height, width))
            for states, order in zip(torch.cat(out, 1), orders, strict=True)
        )  # (H, W, N, h)
        return (left + F.pad(right, (0, 0, 0, 0, 0, 0, 1, 0))[:-1]).permute(2, 0, 1, 3)

    def steps(self, batch: int, width: int, condition: Condition) -> DiagonalSteps:
        return DiagonalSteps(self, batch, width)


class DiagonalSteps:
    """The left map pixel by pixel, and the right map of each row once the row is complete."""

    def __init__(self, cell: DiagonalCell, batch: int, width: int) -> None:
        self.cell = cell
        self.before, self.above = cell.weight.chunk(2, 1)  # (2, h, 4h) each
        self.own = [part(self.before[0], span, 4) for span in cell.spans]
        # The states (width, N, h) of each map on the last row that has them; those of the left
        # map are preceded by the state beyond the border.
        self.left_h, self.left_c = (
            v[0].expand(width + 1, batch, -1).clone() for v in (cell.h, cell.c)
        )
        self.right_h = cell.h[1].expand(width, batch, -1).clone()
        self.right_inputs = cell.h.new_zeros(width, batch, 4 * cell.features)
        self.from_right = torch.zeros_like(self.right_h)
        self.sums: list[Tensor] = []

    def start_row(self, row: int) -> None:
        if row:
            self._finish_right()
        sums = self.left_h[1:] @ self.above[0]
        self.sums = [part(sums, span, 4) for span in self.cell.spans]

    def _finish_right(self) -> None:
        """Computes the right map on the row above, from right to left."""
        sums = self.right_inputs.add_(self.right_h @ self.above[1])
        h, c = (v[1].expand_as(self.right_h[0]) for v in (self.cell.h, self.cell.c))
        for column in reversed(range(len(sums))):
            h, c = lstm(torch.addmm(sums[column], h, self.before[1]), c)
            self.right_h[column] = h
        self.from_right = self.right_h

    def feed(self, column: int, group: int, x: Tensor) -> Tensor:
        span = self.cell.spans[group]
        x, right = x.chunk(2, -1)
        self.right_inputs[column].unflatten(-1, (4, -1))[..., span] = right.unflatten(-1, (4, -1))
        sums = torch.addmm(x + self.sums[group][column], self.left_h[column], self.own[group])
        h, c = lstm(sums, self.left_c[column][:, span])
        self.left_h[column + 1][:, span], self.left_c[column + 1][:, span] = h, c
        return h + self.from_right[column][:, span]


def diagonals(height: int, width: int, device: torch.device) -> tuple[Tensor, list[int]]:
    """The pixels sorted by diagonal, each from top to bottom, and the length of each diagonal.

    Pixel (r, c) is number r · width + c, on diagonal r + c.
    """
    rows, columns = (torch.arange(n, device=device) for n in (height, width))
    order = (rows[:, None] + columns).flatten().argsort(stable=True)
    last = range(height + width - 1)
    return order, [min(d, height - 1) - max(0, d - width + 1) + 1 for d in last]
