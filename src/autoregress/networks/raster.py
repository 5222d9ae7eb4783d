"""Layers over the pixels of an image in raster order, and the code that runs their two faces.

Maps have their features last, (N, H, W, features). Features belong to groups. With one group for
each channel, the features of group g see every earlier pixel and, of their own pixel, the channels
before g (PixelRNN, van den Oord et al., 2016, arXiv 1601.06759, section 3.4); a single group sees
nothing of its own pixel. A network is written once, as a text over :class:`Causal` modules:
``parallel`` runs it on all pixels at once, and :class:`Incremental` runs it group by group and
pixel by pixel, with each module keeping what it will need again.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Condition:
    """The conditioning of the pixels, apart from other pixels.

    Attributes:
        context: (N, context) one vector for each image.
        map: (N, H, W, features) one vector for each pixel.
    """

    context: Tensor | None = None
    map: Tensor | None = None


@dataclass(frozen=True)
class Sizes:
    """The sizes that all modules of a network share.

    Attributes:
        count: number of groups of features.
        given: number of inputs known at a pixel before any of its channels; the last is constant.
        encoded: number of inputs that each group adds.
        context: length of the conditioning vector of an image, 0 for none.
        map: length of the conditioning vector of a pixel, 0 for none.
    """

    count: int
    given: int = 1
    encoded: int = 1
    context: int = 0
    map: int = 0

    def groups(self, features: int, *, parts: int = 1) -> Tensor:
        """(parts · features,) the group of each feature; group sizes differ by at most one.

        Several parts, such as the gates of an LSTM, repeat the same groups one after another.
        """
        numbers = torch.arange(features, device="cpu")
        return (numbers * self.count // features).repeat(parts)

    def spans(self, features: int) -> list[slice]:
        """The span of features of each group."""
        return spans(self.groups(features))

    @property
    def inputs(self) -> Tensor:
        """The group of each input of an encoded pixel.

        The first mask is strict (the paper's mask A): inputs that group g adds count as group
        g + 1.
        """
        numbers = torch.tensor([self.given, *[self.encoded] * self.count], device="cpu")
        return torch.arange(self.count + 1, device="cpu").repeat_interleave(numbers)


class Steps(Protocol):
    """A module that runs pixel by pixel."""

    def start_row(self, row: int) -> None:
        """Does all the work that needs only the rows above, which are complete."""
        ...

    def feed(self, column: int, group: int, x: Tensor) -> Any:
        """Takes the inputs (N, …) of a group of a pixel and returns the outputs of that group."""
        ...


class EntrySteps(Steps, Protocol):
    """Steps of a module that reads the pixels themselves."""

    def put(self, column: int, group: int, x: Tensor) -> None:
        """Takes inputs of a pixel, for later pixels to see."""
        ...


class Causal(nn.Module, ABC):
    """A module whose outputs see earlier pixels and, at their own, groups up to their own group.

    Attributes:
        dropped: whether dropout acts on its inputs.
    """

    dropped = False

    @abstractmethod
    def forward(self, x: Tensor, condition: Condition) -> Any:
        """All outputs, from all inputs (N, H, W, features)."""

    @abstractmethod
    def steps(self, batch: int, width: int, condition: Condition) -> Steps:
        """The same outputs, one pixel at a time, from the top left."""


# How a network's text calls a module: on whole maps or at one pixel.
Apply = Callable[[Causal, Tensor], Any]


def parallel(condition: Condition, dropout: float = 0.0) -> Apply:
    """Runs a network's text on whole maps, with dropout where a module has it."""

    def apply(module: Causal, x: Tensor) -> Any:
        return module(F.dropout(x, dropout) if dropout and module.dropped else x, condition)

    return apply


class Incremental:
    """Runs a network's text pixel by pixel and, at each pixel, group by group."""

    def __init__(self, batch: int, width: int, condition: Condition) -> None:
        self._batch, self._width, self._condition = batch, width, condition
        self._steps: dict[Causal, Steps] = {}
        self._row = self._column = self._group = 0

    def start_row(self, row: int) -> None:
        self._row = row
        for steps in self._steps.values():
            steps.start_row(row)

    def move(self, column: int, group: int) -> None:
        self._column, self._group = column, group

    def put(self, module: Causal, x: Tensor) -> None:
        """Gives an entry module further inputs of the pixel, for later pixels to see."""
        cast(EntrySteps, self._steps[module]).put(self._column, self._group, x)

    def __call__(self, module: Causal, x: Tensor) -> Any:
        steps = self._steps.get(module)
        if steps is None:
            steps = module.steps(self._batch, self._width, self._condition)
            steps.start_row(self._row)
            self._steps[module] = steps
        return steps.feed(self._column, self._group, x)


class Conditioning(nn.Module):
    """Terms that the conditioning adds to a layer's sums."""

    def __init__(self, sizes: Sizes, outputs: int) -> None:
        super().__init__()
        self.context = nn.Linear(sizes.context, outputs, bias=False) if sizes.context else None
        self.map = nn.Linear(sizes.map, outputs, bias=False) if sizes.map else None

    def forward(self, condition: Condition) -> Tensor | None:
        """(N, H or 1, W or 1, outputs), or None without conditioning."""
        terms = None
        if self.context is not None:
            assert condition.context is not None
            terms = self.context(condition.context)[:, None, None]
        if self.map is not None:
            assert condition.map is not None
            mapped = self.map(condition.map)
            terms = mapped if terms is None else terms + mapped
        return terms


class CausalConv(Causal):
    """A masked convolution (arXiv 1601.06759): (N, H, W, inputs) to (N, H, W, outputs).

    It sees ``above`` rows above the pixel, from ``reach`` pixels to the left to ``reach`` to the
    right; ``reach`` pixels to the left in its own row; and the features of groups up to its own at
    its own pixel. With ``above`` and ``reach`` 3 and 3 it is the masked 7×7 convolution, with 1 and
    1 the 3×3, with 0 and 1 the Row LSTM's, and with 0 and 0 the 1×1. Taps that the paper's masks
    set to zero do not exist, except between the groups of one pixel.

    Args:
        sources: (inputs,) group of each input.
        targets: (outputs,) group of each output.
        above: number of rows in view above the pixel.
        reach: number of pixels in view to the left, and in the rows above also to the right.
        conditioned: whether to add terms from the condition.
    """

    def __init__(
        self,
        sizes: Sizes,
        sources: Tensor,
        targets: Tensor,
        *,
        above: int = 0,
        reach: int = 0,
        conditioned: bool = False,
    ) -> None:
        super().__init__()
        self.count, self.rows, self.reach = sizes.count, above, reach
        self.masked = not bool((sources <= targets[:, None]).all())
        n, m = len(targets), len(sources)
        # A tap for every pixel in view; (n, m, rows, columns).
        self.above = nn.Parameter(torch.empty(n, m, above, 2 * reach + 1)) if above else None
        self.own = nn.Parameter(torch.empty(n, m, 1, reach + 1))
        self.bias = nn.Parameter(torch.empty(n))
        self.sources: Tensor
        self.targets: Tensor
        self.register_buffer("sources", sources.to(self.bias.device), persistent=False)
        self.register_buffer("targets", targets.to(self.bias.device), persistent=False)
        # ``by_group`` lists the outputs group by group, sizes[group] of them for each; the inputs
        # of a group are adjacent, at places[group].
        self.by_group: Tensor
        by_group = targets.argsort(stable=True).to(self.bias.device)
        self.register_buffer("by_group", by_group, persistent=False)
        self.sizes = targets.bincount(minlength=sizes.count).tolist()
        self.places = spans(sources, sizes.count + 1)
        self.conditioning = Conditioning(sizes, n) if conditioned else None
        # Torch's initialisation, for the taps that exist. He's learns faster at first but ends with
        # a higher loss.
        bound = 1 / math.sqrt(m * (above * (2 * reach + 1) + reach + 1))
        for parameter in (self.above, self.own):
            if parameter is not None:
                nn.init.uniform_(parameter, -bound, bound)
        nn.init.zeros_(self.bias)

    def own_weights(self) -> Tensor:
        """The weights within the row, (outputs, inputs, 1, reach + 1), masked between groups."""
        if not self.masked:
            return self.own
        allowed = (self.sources <= self.targets[:, None])[..., None, None]
        return torch.cat([self.own[..., :-1], self.own[..., -1:] * allowed], -1)

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        own = self.own_weights()
        if self.above is None and self.reach == 0:
            sums = F.linear(x, own[..., 0, 0], self.bias)
        else:
            weight, right = own, 0
            if self.above is not None:
                weight, right = torch.cat([self.above, F.pad(own, (0, self.reach))], 2), self.reach
            x = F.pad(x, (0, 0, self.reach, right, self.rows, 0))
            sums = F.conv2d(x.permute(0, 3, 1, 2), weight, self.bias).permute(0, 2, 3, 1)
        terms = None if self.conditioning is None else self.conditioning(condition)
        return sums if terms is None else sums + terms

    def steps(self, batch: int, width: int, condition: Condition) -> ConvSteps:
        return ConvSteps(self, batch, width, condition)


class ConvSteps:
    """Steps that add the rows above by one convolution, and a row's own pixels one by one."""

    def __init__(self, conv: CausalConv, batch: int, width: int, condition: Condition) -> None:
        self.reach, self.above, self.bias = conv.reach, conv.above, conv.bias
        self.terms = None if conv.conditioning is None else conv.conditioning(condition)
        # The last rows of inputs, the current row last, with ``reach`` zeros on either side.
        padded = width + 2 * conv.reach
        self.inputs = conv.bias.new_zeros(batch, conv.rows + 1, padded, len(conv.sources))
        own = conv.own_weights()[:, :, 0].transpose(1, 2)  # (outputs, reach + 1, inputs)
        # With one group, whose outputs are in order, a view instead of a copy.
        every = [slice(None)]
        self.targets = every if conv.count == 1 else conv.by_group.split(conv.sizes)
        # The groups of the current pixel that are not yet known are the last inputs in view.
        inputs = len(conv.sources)
        seen = [conv.reach * inputs + place.stop for place in conv.places]
        self.weights = [
            own[target].flatten(1)[:, :n].T.contiguous()
            for target, n in zip(self.targets, seen, strict=False)
        ]
        # A 1×1 convolution in one group needs to keep no inputs.
        self.alone = conv.count == 1 and conv.above is None and conv.reach == 0
        # Views of the current row, for each group and pixel: the group's inputs, and all in view.
        row, first = self.inputs[:, -1].view(batch, -1), conv.reach * inputs
        starts = [] if self.alone else [column * inputs for column in range(width)]
        self.own = [
            [row[:, a + first + place.start : a + first + place.stop] for a in starts]
            for place in conv.places
        ]
        self.seen = [[row[:, a : a + n] for a in starts] for n in seen]
        # For each group, (N, outputs) of each pixel of the row; the bias alone by default.
        self.sums: list[tuple[Tensor, ...]] = [
            (self.bias[target].expand(batch, -1),) * width for target in self.targets
        ]

    def start_row(self, row: int) -> None:
        inputs = self.inputs
        # The copy left in the current row is overwritten, pixel by pixel, before it is seen.
        inputs[:, :-1] = inputs[:, 1:].clone()
        if self.above is None and self.terms is None:
            return
        if self.above is None:
            sums = self.bias.expand(len(inputs), inputs.shape[2] - 2 * self.reach, -1)
        else:
            above = inputs[:, :-1].permute(0, 3, 1, 2)
            sums = F.conv2d(above, self.above, self.bias)[:, :, 0].transpose(1, 2)
        if self.terms is not None:
            sums = sums + self.terms[:, row if self.terms.shape[1] > 1 else 0]
        self.sums = [
            sums[..., target].transpose(0, 1).contiguous().unbind() for target in self.targets
        ]

    def put(self, column: int, group: int, x: Tensor) -> None:
        self.own[group][column].copy_(x)

    def feed(self, column: int, group: int, x: Tensor) -> Tensor:
        sums, weights = self.sums[group][column], self.weights[group]
        if self.alone:
            return torch.addmm(sums, x, weights)
        self.put(column, group, x)
        return torch.addmm(sums, self.seen[group][column], weights)


def spans(groups: Tensor, count: int = 0) -> list[slice]:
    """The span of adjacent features of each group, for at least ``count`` groups."""
    ends = groups.bincount(minlength=count).cumsum(0).tolist()
    return [slice(a, b) for a, b in pairwise([0, *ends])]


def part(x: Tensor, span: slice, parts: int) -> Tensor:
    """The features of a group: its span in each of several adjacent parts."""
    return x.unflatten(-1, (parts, -1))[..., span].flatten(-2).contiguous()
