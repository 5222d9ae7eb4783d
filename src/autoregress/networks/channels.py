"""The channels of a pixel: how an image network is shown them, and what its outputs say of them.

Nominal channels are those of the papers: groups of features, one for each channel, run through the
whole network. Ordered ones are modelled together, from features of the pixels before theirs, so
that the network has one group only.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Generator
from itertools import combinations

import torch
from torch import Tensor

from autoregress.conditionals import Bernoulli, Categorical, Conditional, Logistics
from autoregress.predictors import Predictor, predict_at, predict_maps
from autoregress.symbols import as_numbers


class Channels(ABC):
    """C channels of K levels.

    Attributes:
        groups: of features, of the network.
        encoded: numbers that each group brings to an encoded pixel.
        outputs: (outputs,) groups of the network's.
    """

    groups: int
    encoded: int
    outputs: Tensor

    def __init__(self, count: int, levels: int) -> None:
        self.count, self.levels = count, levels

    @abstractmethod
    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Symbols (N, C, H, W) as the network is shown them, (N, H, W, groups · encoded)."""

    @abstractmethod
    def parameters(self, out: Tensor, x: Tensor) -> Tensor:
        """Of the conditionals of symbols (N, C, H, W), from outputs (N, H, W, outputs).

        Returns:
            (N, H, W, C, parameters).
        """

    @abstractmethod
    def read(
        self, out: Tensor, x: Tensor, row: int, column: int, group: int
    ) -> Generator[Tensor, Tensor, Tensor]:
        """The same for the channels of a group of one pixel, from its outputs (N, …).

        Yields the parameters (N, parameters) of each of its channels and is sent the symbols (N,)
        there, which x (N, C, H, W) then holds too, as it does all before.

        Returns:
            What the group brings to the encoded pixel, (N, encoded).
        """

    @abstractmethod
    def conditional(self, parameters: Tensor) -> Conditional:
        """From parameters (…, parameters), of batch shape (…)."""

    @abstractmethod
    def start(self, x: Tensor) -> Tensor:
        """Outputs (outputs,), the same at all pixels, that suit symbols (N, C, H, W) best."""


class NominalChannels(Channels):
    """Each of K logits, or of one for bits."""

    def __init__(self, count: int, levels: int) -> None:
        super().__init__(count, levels)
        self.groups, self.encoded = count, 1
        self.outputs = torch.arange(count, device="cpu").repeat_interleave(
            1 if levels == 2 else levels
        )

    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        return as_numbers(x.permute(0, 2, 3, 1), self.levels, dtype)

    def parameters(self, out: Tensor, x: Tensor) -> Tensor:
        return out.unflatten(-1, (self.count, -1))

    def read(
        self, out: Tensor, x: Tensor, row: int, column: int, group: int
    ) -> Generator[Tensor, Tensor, Tensor]:
        symbols = yield out
        return as_numbers(symbols, self.levels, out.dtype)[:, None]

    def conditional(self, parameters: Tensor) -> Conditional:
        if self.levels == 2:
            return Bernoulli(parameters.squeeze(-1))
        return Categorical(parameters)

    def start(self, x: Tensor) -> Tensor:
        """Log frequencies, or log odds, as if each level had been seen once more."""
        seen = torch.stack([c.flatten().bincount(minlength=self.levels) for c in x.unbind(1)])
        log_frequency = (seen + 1).double().log()
        if self.levels == 2:
            return log_frequency[:, 1] - log_frequency[:, 0]
        return log_frequency.log_softmax(-1).flatten()


class OrderedChannels(Channels):
    """A mixture of M logistics, of which one component is that of all channels (PixelCNN++).

    Salimans et al., 2017, section 2.2: a component's mean of a channel is linear in the channels
    before it. Written as a chain, the conditional of a channel is a mixture whose weights are the
    posterior of the component, given the channels before it. Means are counted from a prediction,
    and so is what they are linear in.

    Args:
        mixture: M.
        predictor: of a channel's symbol from the pixels before.
    """

    def __init__(self, count: int, levels: int, mixture: int, predictor: Predictor) -> None:
        super().__init__(count, levels)
        self.groups, self.encoded = 1, 2 * count
        self.mixture = mixture
        self.predictor: Predictor = predictor
        # Which channel's mean is linear in which, in the order of the slopes.
        self.slopes = list(combinations(range(count), 2))
        self.parts = [1, count, count, len(self.slopes)]
        self.outputs = torch.zeros(sum(self.parts) * mixture, dtype=torch.long, device="cpu")

    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        return self._encoded(*self._predicted(x), dtype)

    def _encoded(self, x: Tensor, centre: Tensor, dtype: torch.dtype) -> Tensor:
        """(…, 2C) from symbols and predictions (…, C): as they are, and how far from predicted.

        The latter on a logarithmic scale, on which small differences show.
        """
        far = ((x - centre).to(dtype) / 2).asinh() / 2
        return torch.cat([as_numbers(x, self.levels, dtype), far], -1)

    def _predicted(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Symbols (N, C, H, W) and their predictions, both (N, H, W, C)."""
        x = x.long()
        centre = predict_maps(x, self.levels, self.predictor)
        return x.movedim(1, -1), centre.movedim(1, -1)

    def parameters(self, out: Tensor, x: Tensor) -> Tensor:
        return self._all(out, *self._predicted(x))

    def _all(self, out: Tensor, x: Tensor, centre: Tensor) -> Tensor:
        """(…, C, parameters) of symbols (…, C) that are predicted to be ``centre``."""
        steps = self._chain(out, centre)
        each = [next(steps)] + [steps.send(symbols) for symbols in x.unbind(-1)[:-1]]
        return torch.stack(each, -2)

    def read(
        self, out: Tensor, x: Tensor, row: int, column: int, group: int
    ) -> Generator[Tensor, Tensor, Tensor]:
        centre = predict_at(x, row, column, self.levels, self.predictor)
        steps = self._chain(out, centre)
        parameters = next(steps)
        for _ in range(self.count - 1):
            parameters = steps.send((yield parameters))
        yield parameters
        return self._encoded(x[:, :, row, column], centre, out.dtype)

    def _chain(self, out: Tensor, centre: Tensor) -> Generator[Tensor, Tensor, None]:
        """Yields the parameters of one channel after the other, and is sent its symbols.

        Args:
            out: (…, outputs).
            centre: (…, C) predictions.
        """
        out = out if out.dtype == torch.float64 else out.float()
        parts = out.unflatten(-1, (-1, self.mixture)).split(self.parts, -2)
        (weights,), means, scales, slopes = (part.unbind(-2) for part in parts)
        slope = dict(zip(self.slopes, slopes, strict=True))
        unit, spread = self.levels / 32, self._spread(out)
        distances: list[Tensor] = []
        for channel in range(self.count):
            mean = means[channel] * unit
            for before, distance in enumerate(distances):
                mean = mean + slope[before, channel] * distance
            own = centre[..., channel]
            log_scale = scales[channel] + spread
            symbols = yield torch.cat([weights, mean, log_scale, own.unsqueeze(-1)], -1)
            distances.append((symbols - own).unsqueeze(-1))
            posterior = Logistics(weights, mean, log_scale, own, self.levels)
            weights = (weights + posterior.log_shares(symbols, symbols)).log_softmax(-1)

    def _spread(self, like: Tensor) -> Tensor:
        """(M,) log-scales to begin with: from less than a level to a quarter of them all."""
        return torch.linspace(
            math.log(0.5), math.log(self.levels / 4), self.mixture, dtype=like.dtype
        ).to(like.device)

    def conditional(self, parameters: Tensor) -> Conditional:
        return Logistics.from_parameters(parameters, self.levels)

    def start(self, x: Tensor) -> Tensor:
        """Of the greatest likelihood, by gradient on some of the pixels."""
        x, centre = (each.flatten(0, 2) for each in self._predicted(x))
        some = torch.arange(0, len(x), max(1, len(x) // PIXELS), device=x.device)
        x, centre = x[some], centre[some]
        out = torch.zeros(len(self.outputs), dtype=torch.float64, device=x.device)
        with torch.enable_grad():
            out.requires_grad_()
            optimiser = torch.optim.Adam([out], lr=0.1)
            for _ in range(STEPS):
                optimiser.zero_grad()
                parameters = self._all(out.expand(len(x), -1), x, centre)
                (-self.conditional(parameters).log_prob(x).mean()).backward()
                optimiser.step()
        return out.detach()


# What marginals of ordered channels are fitted to, and for how long.
PIXELS, STEPS = 4096, 150
