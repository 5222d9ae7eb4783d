"""The channels of a pixel: their encoding for an image network, and their conditionals.

Nominal channels follow PixelRNN (arXiv 1601.06759) and Gated PixelCNN (arXiv 1606.05328): groups of
features, one for each channel, run through the whole network. Ordered channels follow PixelCNN++
(arXiv 1701.05517): they are modelled together, from features of the earlier pixels, so that the
network has only one group.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator

import torch
from torch import Tensor
from torch.nn import functional as F

from autoregress.conditionals import Bernoulli, Categorical, Conditional, Logistics
from autoregress.configs import Predictor
from autoregress.networks.ordered import OrderedPixel, Past
from autoregress.predictors import NEARBY, nearby_maps, past_at, predict_maps
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

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """Log-probabilities (N, H, W, C) of symbols (N, C, H, W), from outputs."""
        return self.conditional(self.parameters(out, x)).log_prob(x.movedim(1, -1))

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
    """Ordered channels, modelled together around a prediction (:class:`OrderedPixel`).

    The network's inputs include the difference of each symbol from its own prediction, and the
    differences of the symbols near a pixel from the pixel's prediction.

    Args:
        mixture: number of logistics.
        predictor: how a symbol is predicted from earlier pixels; without a predictor ("none"),
            the prediction is the middle level.
    """

    def __init__(self, count: int, levels: int, mixture: int, predictor: Predictor) -> None:
        super().__init__(count, levels)
        self.predictor: Predictor = predictor
        nearby = len(NEARBY) if predictor != "none" else 0
        self.joint = OrderedPixel(count, levels, mixture, nearby=nearby)
        self.groups, self.given, self.encoded = 1, self.joint.given, self.joint.encoded
        self.outputs = torch.zeros(self.joint.outputs, dtype=torch.long, device="cpu")

    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        x, past = self._maps(x)
        return torch.cat(
            [self.joint.encode_past(past, dtype), self.joint.encode(x, past, dtype)], -1
        )

    def _maps(self, x: Tensor) -> tuple[Tensor, Past]:
        """Symbols (N, H, W, C), and what is known before each."""
        x = x.long()
        if self.predictor == "none":
            x = x.movedim(1, -1)
            return x, self._nothing(x)
        centre = predict_maps(x, self.levels)
        nearby = nearby_maps(x, centre).movedim(1, -2)
        return x.movedim(1, -1), Past(centre.movedim(1, -1).unsqueeze(-1), nearby)

    def _at(self, x: Tensor, row: int, column: int) -> Past:
        """What is known before one pixel of x (N, C, H, W)."""
        if self.predictor == "none":
            return self._nothing(x[:, :, row, column])
        centre, nearby = past_at(x, row, column, self.levels)
        return Past(centre.unsqueeze(-1), nearby)

    def _nothing(self, x: Tensor) -> Past:
        middle = torch.full_like(x, self.levels // 2).unsqueeze(-1)
        return Past(middle, middle[..., :0])

    def parameters(self, out: Tensor, x: Tensor) -> Tensor:
        return self.joint.parameters(out, *self._maps(x))

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        return self.joint.log_prob(out, *self._maps(x))

    def pixel(
        self, x: Tensor, row: int, column: int, text: Text, dtype: torch.dtype
    ) -> Generator[Conditional, Tensor, Tensor]:
        past = self._at(x, row, column)
        yield from self.joint.unroll(text(0, self.joint.encode_past(past, dtype)), past)
        return self.joint.encode(x[:, :, row, column], past, dtype)

    def conditional(self, parameters: Tensor) -> Logistics:
        return self.joint.conditional(parameters)

    def start(self, x: Tensor) -> Tensor:
        x, past = self._maps(x)
        return self.joint.start(x.flatten(0, 2), past.map(lambda each: each.flatten(0, 2)))
