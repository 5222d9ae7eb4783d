"""The base of PixelCNN and PixelRNN: an image model whose network sees pixels in raster order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn

from autoregress.conditionals import Conditional
from autoregress.configs import PixelConfig
from autoregress.model import ONLY_UPDATE, AutoregressiveModel, Member, Update
from autoregress.networks.channels import Channels, NominalChannels, OrderedChannels
from autoregress.networks.raster import (
    Apply,
    Causal,
    CausalConv,
    Condition,
    Incremental,
    Sizes,
    parallel,
)
from autoregress.orderings import Ordering
from autoregress.symbols import Columns, as_numbers
from autoregress.traversal import Unrolling

# A layer's output from the stream, at all pixels or at one.
Layer = Callable[[Tensor, Apply], Tensor]

# Largest number of elements of a map held at once when measuring: a quarter of a GiB in float32.
CHUNK = 2**26


class PixelNetwork(nn.Module, ABC):
    """The parameters of each channel of each pixel, given the pixels and channels before it.

    Args:
        sizes: what all modules of the network share.
        channels: how the network reads the channels, and how its outputs parametrise them.
        features: number of features of the trunk's output.
        head: number of maps of each of the two 1×1 layers before the output.
    """

    def __init__(self, sizes: Sizes, channels: Channels, features: int, head: int) -> None:
        super().__init__()
        self.channels = channels
        groups = [sizes.groups(n) for n in (features, head, head)] + [channels.outputs]
        self.head = nn.ModuleList(CausalConv(sizes, a, b) for a, b in pairwise(groups))

    @property
    @abstractmethod
    def entries(self) -> Sequence[Causal]:
        """The modules that read the pixels themselves."""

    @abstractmethod
    def trunk(self, x: Tensor, apply: Apply) -> Tensor:
        """The features of encoded pixels: the text of both faces, up to the head."""

    def _text(self, x: Tensor, apply: Apply) -> Tensor:
        h = self.trunk(x, apply)
        for conv in self.head:
            h = apply(cast(CausalConv, conv), h.relu())
        return h

    @property
    def bias(self) -> nn.Parameter:
        """The bias of the outputs."""
        return cast(CausalConv, self.head[-1]).bias

    def forward(self, x: Tensor, condition: Condition, dropout: float = 0.0) -> Tensor:
        """The outputs (N, H, W, outputs) for symbols x (N, C, H, W)."""
        return self._text(self.channels.encode(x, self.bias.dtype), parallel(condition, dropout))

    def unroll(self, x: Tensor, condition: Condition) -> Generator[Conditional, Tensor, None]:
        """Yields the conditional (N,) of the next channel and is sent its symbols (N,).

        The caller also writes these symbols to x (N, C, H, W).
        """
        batch, _, height, width = x.shape
        machine = Incremental(batch, width, condition)
        for row in range(height):
            machine.start_row(row)
            for column in range(width):

                def text(group: int, new: Tensor, column: int = column) -> Tensor:
                    machine.move(column, group)
                    return self._text(new, machine)

                new = yield from self.channels.pixel(x, row, column, text, self.bias.dtype)
                machine.move(column, self.channels.groups)
                for module in self.entries:
                    machine.put(module, new)


class ResidualNetwork(PixelNetwork):
    """Layers around a stream of features, each with an optional residual and skip connection.

    A layer reads the stream at a pixel and before it, and computes h features. A 1×1 layer maps
    these to a term that is added to the stream (the residual connection) and to a term of the sum
    that the head reads (the skip connection); the final stream is added to that sum as well.
    Dropout in training drops some of the h features.

    Args:
        layers: the family's own layers, each from (stream, apply) to h features.
        entry: the layer from pixels to the stream.
        features: h, number of features of each layer.
        stream: number of features of the stream.
        residual, skip: whether the layers have these connections.
    """

    def __init__(
        self,
        sizes: Sizes,
        channels: Channels,
        layers: Sequence[nn.Module],
        entry: CausalConv,
        *,
        features: int,
        stream: int,
        head: int,
        residual: bool,
        skip: bool,
    ) -> None:
        super().__init__(sizes, channels, stream, head)
        self.entry, self.layers = entry, nn.ModuleList(layers)
        self.residual, self.skip = residual, skip
        source, target = sizes.groups(features), sizes.groups(stream, parts=1 + skip)
        self.up = nn.ModuleList(CausalConv(sizes, source, target) for _ in layers)
        for up in self.up:
            cast(CausalConv, up).dropped = True

    @property
    def entries(self) -> list[Causal]:
        return [self.entry]

    def trunk(self, x: Tensor, apply: Apply) -> Tensor:
        return self._stack(apply(self.entry, x), self.layers, apply)

    def _stack(self, stream: Tensor, layers: Iterable[Layer], apply: Apply) -> Tensor:
        skips: Tensor | None = None
        for layer, up in zip(layers, self.up, strict=True):
            out = apply(cast(CausalConv, up), layer(stream, apply))
            if self.skip:
                out, skip = out.chunk(2, -1)
                skips = skip if skips is None else skips + skip
            stream = stream + out if self.residual else out
        return stream if skips is None else stream + skips


class Upsampling(nn.Module):
    """A vector for each pixel of an image, from the symbols of a coarser one."""

    def __init__(self, channels: int, levels: int, features: int, factor: int) -> None:
        super().__init__()
        self.levels = levels
        self.read = nn.Conv2d(channels, features, 3, padding=1)
        # Twice as wide as the stride, so that a pixel sees the coarse pixels on either side of it.
        self.grow = nn.ConvTranspose2d(
            features, features, 2 * factor, stride=factor, padding=factor // 2
        )
        self.mix = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Vectors (N, H, W, features) from symbols (N, C, ⌈H / factor⌉, ⌈W / factor⌉)."""
        x = as_numbers(x, self.levels, self.read.weight.dtype)
        grown = self.grow(self.read(x).relu()).relu()[:, :, : size[0], : size[1]]
        return self.mix(grown).relu().permute(0, 2, 3, 1)


class PixelModel(AutoregressiveModel):
    """An image model in raster order: row by row, and channel by channel within each pixel.

    With ``scales`` it is the multi-scale model (arXiv 1601.06759, section 3.6): first every s-th
    pixel of every s-th row, then, given those, the other pixels of a finer grid, and finally those
    of the image. Each grid has its own network, which is conditioned on the coarser image through
    learned deconvolutions at every layer. Pixels of a coarser grid are not predicted again, so
    the likelihood is exactly that of the image.

    A family defines its network in :meth:`_network`.

    Levels are ordered by default: the network is shown them as numbers and predicts how far they
    are from a first guess, for all channels of a pixel together. Nominal levels, as in the papers,
    are categories without neighbours, predicted channel by channel, each from its own group of
    features. Bits are the same in either case, and have such groups.

    Args:
        event_shape: (C, H, W).
        symbols: number of levels K ≥ 2 of every channel; its values are taken as intensities.
        context: number of features of an optional conditioning vector, such as a one-hot class;
            it shifts the sums of every layer (arXiv 1606.05328, eq. 4).
        labels: as for any :class:`~autoregress.model.AutoregressiveModel`.
        **options: the fields of :class:`~autoregress.configs.PixelConfig`.

    Raises:
        ValueError: invalid sizes.
    """

    Config = PixelConfig
    config: PixelConfig

    def __init__(
        self,
        event_shape: Sequence[int],
        symbols: int | Sequence[int] = 256,
        *,
        context: int = 0,
        labels: Sequence[str] | None = None,
        columns: Columns | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            event_shape, symbols, context=context, labels=labels, columns=columns, **options
        )
        config = self.config
        features, scales = config.features, config.scales
        head = 2 * features if config.head is None else config.head
        if len(self.event_shape) != 3:
            raise ValueError(
                f"an image has a shape (C, H, W), got {self.event_shape}; rows of numbers become "
                "images with a size, --size H W on the command line"
            )
        if not self.symbols.uniform:
            raise ValueError("the channels of an image all have the same number of levels")
        count, k = self.event_shape[0], self.symbols.levels[0]
        channels = (
            OrderedChannels(count, k, config.mixture, config.predictor)
            if self.symbols.ordered[0]
            else NominalChannels(count, k)
        )
        for name, width in {"features": features, "head": head}.items():
            if width < channels.groups:
                raise ValueError(
                    f"{name} must be at least {channels.groups}, a group for each channel, "
                    f"got {width}"
                )
        if scales and scales[0] > max(self.event_shape[1:]):
            raise ValueError(
                f"scales are at most the size of an image, got {scales[0]} for {self.event_shape}"
            )
        self._strides = [*scales, 1]
        settings: dict[str, Any] = {
            "layers": config.layers,
            "features": features,
            "kernel": config.kernel,
            "head": head,
            "residual": config.residual,
            "skip": config.skip,
        }
        self.networks = nn.ModuleList()
        self.upsampling = nn.ModuleList()
        for i in range(len(self._strides)):
            own = features if i else 0
            sizes = Sizes(channels.groups, channels.given, channels.encoded, self.context, own)
            self.networks.append(self._network(sizes, channels, **settings))
            if i:
                factor = self._strides[i - 1] // self._strides[i]
                self.upsampling.append(Upsampling(count, k, features, factor))
        self._channels = channels
        # Only this was tried on a GPU; the constants of ordered channels are on the CPU.
        self.replayable = k == 2 and not scales
        self._raster = [self._member()]
        widest = max(len(c.targets) for c in self.modules() if isinstance(c, CausalConv))
        self.chunk_rows = max(1, CHUNK // (self.dims // count * widest))

    @abstractmethod
    def _network(
        self, sizes: Sizes, channels: Channels, *, layers: int, features: int, **settings: Any
    ) -> PixelNetwork:
        """The network for the images of one grid."""

    @property
    def members(self) -> list[Member]:
        return self._raster

    def _member(self) -> Member:
        index = torch.arange(self.dims, device="cpu").view(self.event_shape).movedim(0, -1)
        fresh = torch.ones(self.event_shape[1:], dtype=torch.bool, device="cpu")
        visit = []
        for stride in self._strides:
            visit.append(index[::stride, ::stride][fresh[::stride, ::stride]].flatten())
            fresh[::stride, ::stride] = False
        return Member(Ordering(torch.cat(visit)))

    def _condition(self, x: Tensor, level: int, context: Tensor | None) -> Condition:
        """The condition of a grid's pixels, given an image that is correct on the coarser grids."""
        if level == 0:
            return Condition(context)
        coarse, stride = self._strides[level - 1], self._strides[level]
        height, width = x[0, 0, ::stride, ::stride].shape
        upsampling = self.upsampling[level - 1]
        return Condition(context, upsampling(x[:, :, ::coarse, ::coarse], (height, width)))

    def forward(
        self, x: Tensor, context: Tensor | None = None, member: Member | None = None
    ) -> Conditional:
        parameters = self._parallel(x, context, self._channels.parameters)
        return self._channels.conditional(parameters.movedim(3, 1))

    def objective(
        self, x: Tensor, context: Tensor | None = None, update: Update = ONLY_UPDATE
    ) -> Tensor:
        """−log p, with dropout: (batch,) nats, float64."""
        log_prob = self._parallel(x, context, self._channels.log_prob, self.config.dropout)
        return -log_prob.flatten(1).sum(1, dtype=torch.float64)

    def _parallel(
        self,
        x: Tensor,
        context: Tensor | None,
        read: Callable[[Tensor, Tensor], Tensor],
        dropout: float = 0.0,
    ) -> Tensor:
        """What is read for each symbol, (N, H, W, C, …), from a network's outputs and a grid."""
        found: Tensor | None = None
        for level, (stride, network) in enumerate(zip(self._strides, self.networks, strict=True)):
            condition, grid = self._condition(x, level, context), x[:, :, ::stride, ::stride]
            finer = read(network(grid, condition, dropout), grid)
            if found is not None:
                factor = self._strides[level - 1] // stride
                finer = finer.clone()
                finer[:, ::factor, ::factor] = found
            found = finer
        assert found is not None
        return found

    def unroll(
        self, batch: int, context: Tensor | None = None, member: Member | None = None
    ) -> Unrolling:
        """Keeps the rows, states and sums that later pixels need.

        A finished row is never computed again, and a pixel costs only its own work.
        """
        x = torch.zeros(batch, *self.event_shape, dtype=torch.int64, device=self.device)
        for level, (stride, network) in enumerate(zip(self._strides, self.networks, strict=True)):
            grid, known = x[:, :, ::stride, ::stride], 0
            if level:  # every known-th pixel of every known-th row is on the coarser grid
                known = self._strides[level - 1] // stride
            steps = cast(PixelNetwork, network).unroll(grid, self._condition(x, level, context))
            left = grid[0].numel()
            conditional = next(steps)
            for row, pixels in enumerate(grid.unbind(2)):
                for column, pixel in enumerate(pixels.unbind(-1)):
                    fresh = not known or row % known or column % known
                    for symbols in pixel.unbind(1):
                        if fresh:
                            symbols.copy_((yield conditional))
                        left -= 1
                        if left:
                            conditional = steps.send(symbols)

    def start_from(self, x: Tensor) -> None:
        for stride, network in zip(self._strides, self.networks, strict=True):
            own = cast(PixelNetwork, network)
            if not own.bias.any():
                with torch.no_grad():
                    own.bias.copy_(own.channels.start(x[:, :, ::stride, ::stride]))
