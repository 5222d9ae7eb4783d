"""The channels of a pixel: their encoding for an image network, and their conditionals.

Nominal channels follow PixelRNN (arXiv 1601.06759) and Gated PixelCNN (arXiv 1606.05328): groups of
features, one for each channel, run through the whole network. Ordered channels follow PixelCNN++
(arXiv 1701.05517): they are modelled together, from features of the earlier pixels, so that the
network has only one group.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from autoregress.conditionals import Bernoulli, Categorical, Conditional, Logistics
from autoregress.configs import Predictor
from autoregress.predictors import (
    NEARBY,
    nearby_at,
    nearby_maps,
    predict_at,
    predict_maps,
)
from autoregress.symbols import as_numbers, marginal_logits

# A function of a group's number and the inputs of its pixel that are new since the previous group,
# (N, …), that returns the network's outputs for that group, (N, …).
Text = Callable[[int, Tensor], Tensor]


class Channels(ABC):
    """C channels of K levels.

    Attributes:
        groups: number of groups of features in the network.
        given: number of inputs known at a pixel before any of its channels; the last is constant.
        encoded: number of inputs that each group adds.
        outputs: (outputs,) group of each output of the network.
    """

    groups: int
    given: int
    encoded: int
    outputs: Tensor

    def __init__(self, count: int, levels: int) -> None:
        self.count, self.levels = count, levels

    @abstractmethod
    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Symbols (N, C, H, W) as network inputs (N, H, W, given + groups · encoded)."""

    @abstractmethod
    def parameters(self, out: Tensor, x: Tensor) -> Tensor:
        """Parameters for the conditionals of symbols (N, C, H, W), from outputs (N, H, W, outputs).

        Returns:
            (N, H, W, C, parameters).
        """

    @abstractmethod
    def pixel(
        self, x: Tensor, row: int, column: int, text: Text, dtype: torch.dtype
    ) -> Generator[Conditional, Tensor, Tensor]:
        """The conditionals of one pixel, given the pixels before it in x (N, C, H, W).

        Yields the conditionals (N,) of one channel after another, and receives the symbols (N,) of
        that channel, which x then holds too.

        Returns:
            The inputs that the last group adds to the encoded pixel, (N, encoded).
        """

    @abstractmethod
    def conditional(self, parameters: Tensor) -> Conditional:
        """Conditionals of batch shape (…), from parameters (…, parameters)."""

    @abstractmethod
    def start(self, x: Tensor) -> Tensor:
        """Outputs (outputs,), the same at all pixels, that best fit symbols (N, C, H, W)."""


class NominalChannels(Channels):
    """Nominal channels of K logits each, or of one logit for bits."""

    def __init__(self, count: int, levels: int) -> None:
        super().__init__(count, levels)
        self.groups, self.given, self.encoded = count, 1, 1
        self.outputs = torch.arange(count, device="cpu").repeat_interleave(
            1 if levels == 2 else levels
        )

    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        # The constant distinguishes the image from the zeros around it.
        return F.pad(as_numbers(x.permute(0, 2, 3, 1), self.levels, dtype), (1, 0), value=1)

    def parameters(self, out: Tensor, x: Tensor) -> Tensor:
        return out.unflatten(-1, (self.count, -1))

    def pixel(
        self, x: Tensor, row: int, column: int, text: Text, dtype: torch.dtype
    ) -> Generator[Conditional, Tensor, Tensor]:
        new = x.new_ones(len(x), 1, dtype=dtype)
        for group in range(self.groups):
            symbols = yield self.conditional(text(group, new))
            new = as_numbers(symbols, self.levels, dtype)[:, None]
        return new

    def conditional(self, parameters: Tensor) -> Conditional:
        if self.levels == 2:
            return Bernoulli(parameters.squeeze(-1))
        return Categorical(parameters)

    def start(self, x: Tensor) -> Tensor:
        """Log-frequencies, or log-odds, as if each level had been seen once more."""
        return torch.cat([marginal_logits(c, self.levels) for c in x.unbind(1)])


class OrderedChannels(Channels):
    """A mixture of M logistics whose channels share one component (PixelCNN++).

    Salimans et al., 2017, arXiv 1701.05517, section 2.2: a component's mean for a channel is linear
    in the channels before it. Written as a chain, the conditional of a channel is a mixture whose
    weights are the posterior of the component given the channels before it.

    With a predictor, all values are relative to a prediction: the network's inputs include the
    difference of each symbol from its own prediction, and the differences of the symbols near a
    pixel from the pixel's prediction; the means are linear in the latter too.

    Args:
        mixture: M.
        predictor: how a symbol is predicted from earlier pixels; without a predictor ("none"),
            the prediction is the middle level.
    """

    def __init__(self, count: int, levels: int, mixture: int, predictor: Predictor) -> None:
        super().__init__(count, levels)
        self.mixture = mixture
        self.predictor: Predictor = predictor
        self.nearby = len(NEARBY) if predictor != "none" else 0
        self.groups, self.given, self.encoded = 1, 1 + count * self.nearby, 2 * count
        # Pairs (before, channel) such that the mean of ``channel`` is linear in ``before``, in the
        # order of the slopes.
        self.slopes = list(combinations(range(count), 2))
        each = [1, count, count, len(self.slopes)]
        self.parts = [*(n * mixture for n in each), count * self.nearby]
        # Initial log-scales: between half a level and a quarter of all levels.
        narrow, wide = math.log(0.5), math.log(levels / 4)
        self.spread = [narrow + (wide - narrow) * (m + 0.5) / mixture for m in range(mixture)]
        self.outputs = torch.zeros(sum(self.parts), dtype=torch.long, device="cpu")

    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        x, centre, nearby = self._maps(x)
        return torch.cat([self._given(nearby, dtype), self._new(x, centre, dtype)], -1)

    def _given(self, nearby: Tensor, dtype: torch.dtype) -> Tensor:
        """(…, given) from the differences of nearby symbols from predictions, (…, C, nearby)."""
        # The constant distinguishes the image from the zeros around it.
        return F.pad(_compressed(nearby, dtype).flatten(-2), (0, 1), value=1)

    def _new(self, x: Tensor, centre: Tensor, dtype: torch.dtype) -> Tensor:
        """(…, encoded) from symbols and predictions (…, C)."""
        return torch.cat([as_numbers(x, self.levels, dtype), _compressed(x - centre, dtype)], -1)

    def _maps(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Symbols (N, H, W, C), predictions, and nearby differences (N, H, W, C, nearby)."""
        x = x.long()
        if self.predictor == "none":
            x = x.movedim(1, -1)
            return x, torch.full_like(x, self.levels // 2), x.new_zeros(*x.shape, 0)
        centre = predict_maps(x, self.levels)
        nearby = nearby_maps(x, centre)
        return x.movedim(1, -1), centre.movedim(1, -1), nearby.movedim(1, -2)

    def _at(self, x: Tensor, row: int, column: int) -> tuple[Tensor, Tensor]:
        """The predictions (N, C) of a pixel, and the nearby differences (N, C, nearby)."""
        if self.predictor == "none":
            return torch.full_like(x[..., 0, 0], self.levels // 2), x.new_zeros(*x.shape[:2], 0)
        centre = predict_at(x, row, column, self.levels)
        return centre, nearby_at(x, centre, row, column)

    def parameters(self, out: Tensor, x: Tensor) -> Tensor:
        return self._all(out, *self._maps(x))

    def _all(self, out: Tensor, x: Tensor, centre: Tensor, nearby: Tensor) -> Tensor:
        """Parameters (…, C, parameters) for symbols (…, C)."""
        steps = self._chain(out, centre, nearby)
        each = [next(steps)] + [steps.send(symbols) for symbols in x.unbind(-1)[:-1]]
        return torch.stack(
            [
                torch.cat([c.weights, c.means, c.log_scales, c.centre.unsqueeze(-1)], -1)
                for c in each
            ],
            -2,
        )

    def conditional(self, parameters: Tensor) -> Logistics:
        weights, means, log_scales, centre = parameters.split([*[self.mixture] * 3, 1], -1)
        return Logistics(weights, means, log_scales, centre.squeeze(-1), self.levels)

    def pixel(
        self, x: Tensor, row: int, column: int, text: Text, dtype: torch.dtype
    ) -> Generator[Conditional, Tensor, Tensor]:
        centre, nearby = self._at(x, row, column)
        steps = self._chain(text(0, self._given(nearby, dtype)), centre, nearby)
        conditional = next(steps)
        for _ in range(self.count - 1):
            conditional = steps.send((yield conditional))
        yield conditional
        return self._new(x[:, :, row, column], centre, dtype)

    def _chain(
        self, out: Tensor, centre: Tensor, nearby: Tensor
    ) -> Generator[Logistics, Tensor, None]:
        """Yields the conditional of one channel after another, and receives its symbols.

        Args:
            out: (…, outputs).
            centre: (…, C) predictions.
            nearby: (…, C, nearby) differences of nearby symbols from the predictions.
        """
        out = out if out.dtype == torch.float64 else out.float()
        weights, means, log_scales, slopes, kernel = out.split(self.parts, -1)
        means = means.unflatten(-1, (self.count, -1)) * (self.levels / 32)
        if self.nearby:
            kernel = kernel.unflatten(-1, (self.count, -1))
            means = means + (kernel * nearby).sum(-1, keepdim=True) / 8
        log_scales = log_scales.unflatten(-1, (self.count, -1)) + out.new_tensor(self.spread)
        slopes = slopes.unflatten(-1, (-1, self.mixture))
        distances: list[Tensor] = []
        for channel in range(self.count):
            mean = means[..., channel, :]
            for before, distance in enumerate(distances):
                slope = self.slopes.index((before, channel))
                mean = torch.addcmul(mean, slopes[..., slope, :], distance)
            own = centre[..., channel]
            conditional = Logistics(weights, mean, log_scales[..., channel, :], own, self.levels)
            symbols = yield conditional
            distances.append((symbols - own).to(out.dtype).unsqueeze(-1))
            weights = weights + conditional.log_shares(symbols)

    def start(self, x: Tensor) -> Tensor:
        """Outputs of the greatest likelihood, by gradient descent on some of the pixels."""
        pixels = [each.flatten(0, 2) for each in self._maps(x)]
        count = len(pixels[0])
        some = torch.arange(0, count, max(1, count // PIXELS), device=x.device)
        x, centre, nearby = (each[some] for each in pixels)
        out = torch.zeros(len(self.outputs), dtype=torch.float64, device=x.device)
        with torch.enable_grad():
            out.requires_grad_()
            optimiser = torch.optim.Adam([out])
            for step in range(STEPS):
                optimiser.param_groups[0]["lr"] = 0.1 * (1 - step / STEPS)
                optimiser.zero_grad()
                parameters = self._all(out.expand(len(x), -1), x, centre, nearby)
                (-self.conditional(parameters).log_prob(x).mean()).backward()
                optimiser.step()
        return out.detach()


def _compressed(differences: Tensor, dtype: torch.dtype) -> Tensor:
    """Differences in levels, on a scale that keeps small ones visible."""
    return (differences.to(dtype) / 2).asinh() / 2


# Approximate number of pixels that the marginals of ordered channels are fitted to, and number of
# steps.
PIXELS, STEPS = 2048, 100
