"""PixelCNN (van den Oord et al., arXiv 1601.06759) and Gated PixelCNN (1606.05328)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoregress.families import family
from autoregress.networks.channels import Channels
from autoregress.networks.pixel import PixelModel, ResidualNetwork
from autoregress.networks.raster import (
    Apply,
    Causal,
    CausalConv,
    Condition,
    Conditioning,
    Sizes,
    part,
    spans,
)


@family
class PixelCNN(PixelModel):
    """Masked convolutions (arXiv 1601.06759, section 3.5 and table 1).

    A masked 7×7 convolution, then residual blocks ReLU-1×1, ReLU-3×3, ReLU-1×1 around a stream of
    2h features. It sees 3 + layers pixels to the left and up, but has a blind spot: a layer can
    reach further to the right only by going up a row, so that on the k-th row above a pixel
    nothing beyond k + 2 pixels to the right is seen, whatever the number of layers. With a larger
    ``kernel`` than 3 it sees more with each layer, and the blind spot is smaller.
    :class:`GatedPixelCNN` has no blind spot.

    Example:
        >>> model = ar.PixelCNN((1, 4, 4), symbols=16, layers=2, features=8)
        >>> model.sample(3).shape
        torch.Size([3, 1, 4, 4])
    """

    def _network(
        self,
        sizes: Sizes,
        channels: Channels,
        *,
        layers: int,
        features: int,
        kernel: int,
        **settings: Any,
    ) -> ResidualNetwork:
        stream = sizes.groups(2 * features)
        return ResidualNetwork(
            sizes,
            channels,
            [Block(sizes, features, kernel) for _ in range(layers)],
            CausalConv(sizes, sizes.inputs, stream, above=3, reach=3),
            features=features,
            stream=2 * features,
            **settings,
        )


class Block(nn.Module):
    """A residual block of PixelCNN, without its last 1×1 layer."""

    def __init__(self, sizes: Sizes, features: int, kernel: int) -> None:
        super().__init__()
        inner, reach = sizes.groups(features), kernel // 2
        self.down = CausalConv(sizes, sizes.groups(2 * features), inner)
        self.conv = CausalConv(sizes, inner, inner, above=reach, reach=reach, conditioned=True)

    def forward(self, stream: Tensor, apply: Apply) -> Tensor:
        h = apply(self.down, stream.relu())
        return apply(self.conv, h.relu()).relu()


@family
class GatedPixelCNN(PixelModel):
    """A vertical and a horizontal stack of gated convolutions (arXiv 1606.05328).

    The vertical stack sees everything in the rows above within its reach, 3 + layers pixels to
    either side and upwards (with a ``kernel`` of 3), and feeds the horizontal stack, which sees its
    own row to the left: there is no blind spot. The streams have h features.

    Example:
        >>> model = ar.GatedPixelCNN((3, 4, 4), symbols=256, layers=2, features=12, context=10)
        >>> x, classes = torch.randint(256, (2, 3, 4, 4)), torch.eye(10)[:2]
        >>> model.log_prob(x, classes).shape
        torch.Size([2])
    """

    def _network(
        self,
        sizes: Sizes,
        channels: Channels,
        *,
        layers: int,
        features: int,
        kernel: int,
        **settings: Any,
    ) -> GatedNetwork:
        return GatedNetwork(
            sizes,
            channels,
            [GatedLayer(sizes, features, kernel) for _ in range(layers)],
            CausalConv(sizes, sizes.inputs, sizes.groups(features), reach=3),
            kernel=kernel,
            features=features,
            stream=features,
            **settings,
        )


def gate(x: Tensor) -> Tensor:
    """tanh of the first half of the features times sigmoid of the second (1606.05328, eq. 2)."""
    values, gates = x.chunk(2, -1)
    if x.dtype == torch.bfloat16:  # in which these functions take twice as long on a slice
        values, gates = values.contiguous(), gates.contiguous()
    return values.tanh() * gates.sigmoid()


class GatedLayer(nn.Module):
    """The horizontal half of a layer (1606.05328, figure 2), without its last 1×1 layer."""

    def __init__(self, sizes: Sizes, features: int, kernel: int) -> None:
        super().__init__()
        source, target = sizes.groups(features), sizes.groups(features, parts=2)
        self.conv = CausalConv(sizes, source, target, reach=kernel // 2, conditioned=True)

    def forward(self, stream: Tensor, apply: Apply, *, above: Term) -> Tensor:
        return gate(above(apply(self.conv, stream)))


class GatedNetwork(ResidualNetwork):
    """The horizontal stack, which is a residual network, with the vertical stack beside it."""

    def __init__(
        self,
        sizes: Sizes,
        channels: Channels,
        layers: list[GatedLayer],
        *args: Any,
        kernel: int,
        **settings: Any,
    ) -> None:
        super().__init__(sizes, channels, layers, *args, **settings)
        self.vertical = VerticalStack(sizes, settings["features"], len(layers), kernel)

    @property
    def entries(self) -> list[Causal]:
        return [self.entry, self.vertical]

    def trunk(self, x: Tensor, apply: Apply) -> Tensor:
        given = zip(self.layers, apply(self.vertical, x), strict=True)
        layers = [partial(layer, above=above) for layer, above in given]
        return self._stack(apply(self.entry, x), layers, apply)


# Adds to the sums of a horizontal layer what it is given from above.
Term = Callable[[Tensor], Tensor]


def add_product(sums: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """sums (…, outputs) + x (…, inputs) times weight (outputs, inputs), in one operation."""
    added = torch.addmm(sums.flatten(0, -2), x.flatten(0, -2), weight.t())
    return added.view(sums.shape)


class VerticalStack(Causal):
    """Terms for each horizontal layer, from everything within reach in the rows above a pixel.

    Of the numbers known of a pixel before its channels it is shown only the constant, since it
    sees the pixels around that pixel directly.
    """

    def __init__(self, sizes: Sizes, features: int, layers: int, kernel: int) -> None:
        super().__init__()
        self.reach = kernel // 2
        self.inputs = sizes.inputs[sizes.given - 1 :]
        self.spans, self.places = sizes.spans(features), spans(self.inputs)
        self.entry = nn.Conv2d(len(self.inputs), features, (3, 7))
        size = (self.reach + 1, kernel)
        self.convs = nn.ModuleList(nn.Conv2d(features, 2 * features, size) for _ in range(layers))
        self.conditioning = nn.ModuleList(Conditioning(sizes, 2 * features) for _ in range(layers))
        self.across = nn.ModuleList(
            nn.Linear(2 * features, 2 * features, bias=False) for _ in range(layers)
        )

    def forward(self, x: Tensor, condition: Condition) -> list[Term]:
        # The entry sees only the rows above; the layers after it may see their own row.
        x = x[..., -len(self.inputs) :]
        v = convolve(self.entry, F.pad(x, (0, 0, 3, 3, 3, 0))[:, :-1])
        terms, reach, sums = [], self.reach, None
        for conv, conditioning, across in self.layers():
            v = v if sums is None else gate(sums)
            sums = convolve(conv, F.pad(v, (0, 0, reach, reach, reach, 0)))
            extra = conditioning(condition)
            sums = sums if extra is None else sums + extra
            terms.append(partial(add_product, x=sums, weight=across.weight))
        return terms

    def layers(self) -> Any:
        return zip(self.convs, self.conditioning, self.across, strict=True)

    def steps(self, batch: int, width: int, condition: Condition) -> VerticalSteps:
        return VerticalSteps(self, batch, width, condition)


class VerticalSteps:
    """The vertical stack row by row: a whole row at once, when the row starts."""

    def __init__(self, stack: VerticalStack, batch: int, width: int, condition: Condition) -> None:
        self.stack = stack
        weight = stack.entry.weight
        features, inputs = weight.shape[:2]
        # Four rows of pixels and those of each layer's inputs in view, the current row last.
        self.pixels = weight.new_zeros(batch, 4, width + 6, inputs)
        # Of the current row, the inputs of each group at each pixel.
        columns = self.pixels[:, -1, 3:-3].unbind(1)
        self.own = [[x[:, place] for x in columns] for place in stack.places]
        reach = stack.reach
        self.rows = [
            weight.new_zeros(batch, reach + 1, width + 2 * reach, features) for _ in stack.convs
        ]
        self.extra = [conditioning(condition) for conditioning in stack.conditioning]
        self.terms: list[list[tuple[Tensor, ...]]] = []

    def start_row(self, row: int) -> None:
        self.pixels[:, :-1] = self.pixels[:, 1:].clone()
        self.pixels[:, -1] = 0
        v = convolve(self.stack.entry, self.pixels[:, :-1])
        self.terms = []
        for (conv, _, across), rows, extra in zip(
            self.stack.layers(), self.rows, self.extra, strict=True
        ):
            rows[:, :-1] = rows[:, 1:].clone()
            rows[:, -1, self.stack.reach : -self.stack.reach] = v[:, 0]
            sums = convolve(conv, rows)
            if extra is not None:
                own = row if extra.shape[1] > 1 else 0
                sums = sums + extra[:, own : own + 1]
            terms = across(sums)[:, 0].transpose(0, 1)
            self.terms.append([part(terms, span, 2).unbind() for span in self.stack.spans])
            v = gate(sums)

    def put(self, column: int, group: int, x: Tensor) -> None:
        own = self.own[group][column]
        own.copy_(x[:, -own.shape[1] :])

    def feed(self, column: int, group: int, x: Tensor) -> list[Term]:
        self.put(column, group, x)
        return [partial(torch.add, terms[group][column]) for terms in self.terms]


def convolve(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution of a map whose features are last, (N, H, W, features)."""
    return conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
