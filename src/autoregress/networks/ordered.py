"""The ordered channels of a pixel: their encoding for a network, and their joint distribution.

They follow PixelCNN++ (arXiv 1701.05517): one mixture of logistics for all channels of a pixel,
from what is known before the first of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from autoregress.conditionals import Logistics
from autoregress.symbols import as_numbers

# Approximate number of pixels that the marginals are fitted to, and number of steps.
PIXELS, STEPS = 2048, 100


@dataclass(frozen=True)
class Past:
    """What is known of pixels (…) before their first channel.

    Attributes:
        predictions: (…, C, P) predictions of each symbol, the main one first.
        nearby: (…, C, n) differences of earlier symbols from the main prediction.
    """

    predictions: Tensor
    nearby: Tensor

    @property
    def centre(self) -> Tensor:
        """(…, C) the main predictions."""
        return self.predictions[..., 0]

    def map(self, function: Callable[[Tensor], Tensor]) -> Past:
        """The past of other pixels, by a function of tensors (…, C, P or n)."""
        return Past(function(self.predictions), function(self.nearby))


class OrderedPixel:
    """A mixture of M logistics whose C channels share one component (PixelCNN++).

    Salimans et al., 2017, arXiv 1701.05517, section 2.2: a component's mean for a channel is linear
    in the channels before it. Written as a chain, the conditional of a channel is a mixture whose
    weights are the posterior of the component given the channels before it.

    All values are relative to predictions. The mean of a component is at any distance from the main
    prediction, and linear in the nearby symbols too. If there are further predictions, the
    components take turns: those of a further one have it as their mean, as symbols often equal a
    prediction, of which a learned distance would miss.

    Args:
        count: C.
        levels: K.
        mixture: M.
        nearby: n, number of nearby symbols of each channel.
        predictions: P.

    Attributes:
        given: number of inputs known before the first channel; the last is constant.
        encoded: number of inputs of the channels themselves.
        outputs: number of outputs that parametrise the conditionals.
    """

    def __init__(
        self, count: int, levels: int, mixture: int, *, nearby: int, predictions: int = 1
    ) -> None:
        self.count, self.levels, self.mixture, self.nearby = count, levels, mixture, nearby
        self.given, self.encoded = 1 + count * nearby, 2 * count
        # For each component, the number of the prediction it counts from, if there are several; and
        # whether it is at any distance from it.
        sources = [m % predictions for m in range(mixture)]
        self.sources = sources if predictions > 1 else None
        self.free = torch.tensor([float(source == 0) for source in sources], device="cpu")
        # Pairs (before, channel) such that the mean of ``channel`` is linear in ``before``, in the
        # order of the slopes.
        self.slopes = list(combinations(range(count), 2))
        each = [1, count, count, len(self.slopes)]
        self.parts = [*(n * mixture for n in each), count * nearby]
        self.outputs = sum(self.parts)
        # Initial log-scales: between half a level and a quarter of all levels.
        narrow, wide = math.log(0.5), math.log(levels / 4)
        places = [(m + 0.5) / mixture for m in range(mixture)]
        self.spread = torch.tensor(
            [narrow + (wide - narrow) * place for place in places],
            dtype=torch.float64,
            device="cpu",
        )

    def encode_past(self, past: Past, dtype: torch.dtype) -> Tensor:
        """What is known of pixels (…) before their first channel, (…, given)."""
        # The constant distinguishes the image from the zeros around it.
        return F.pad(compressed(past.nearby, dtype).flatten(-2), (0, 1), value=1)

    def encode(self, x: Tensor, past: Past, dtype: torch.dtype) -> Tensor:
        """The symbols (…, C) themselves, (…, encoded)."""
        differences = compressed(x - past.centre, dtype)
        return torch.cat([as_numbers(x, self.levels, dtype), differences], -1)

    def parameters(self, out: Tensor, x: Tensor, past: Past) -> Tensor:
        """Parameters (…, C, parameters) of symbols x (…, C), from outputs (…, outputs)."""
        steps = self.unroll(out, past)
        each = [next(steps)] + [steps.send(symbols) for symbols in x.unbind(-1)[:-1]]
        return torch.stack(
            [
                torch.cat([c.weights, c.means, c.log_scales, c.centre.unsqueeze(-1)], -1)
                for c in each
            ],
            -2,
        )

    def log_prob(self, out: Tensor, x: Tensor, past: Past) -> Tensor:
        """Log-probabilities (…, C) of symbols x (…, C), from outputs (…, outputs)."""
        steps = self._chain(out, past)
        conditional, found = next(steps), []
        for symbols in x.unbind(-1):
            shares = conditional.log_shares(symbols)
            found.append(conditional.mix(shares))
            if len(found) < self.count:
                conditional = steps.send((symbols, shares))
        return torch.stack(found, -1)

    def conditional(self, parameters: Tensor) -> Logistics:
        """Conditionals of batch shape (…), from parameters (…, parameters)."""
        weights, means, log_scales, centre = parameters.split([*[self.mixture] * 3, 1], -1)
        return Logistics(weights, means, log_scales, centre.squeeze(-1), self.levels)

    def unroll(self, out: Tensor, past: Past) -> Generator[Logistics, Tensor, None]:
        """Yields the conditional (…) of one channel after another, and receives its symbols.

        Args:
            out: (…, outputs).
        """
        steps = self._chain(out, past)
        conditional = next(steps)
        for _ in range(self.count - 1):
            symbols = yield conditional
            conditional = steps.send((symbols, conditional.log_shares(symbols)))
        yield conditional

    def _chain(self, out: Tensor, past: Past) -> Generator[Logistics, tuple[Tensor, Tensor], None]:
        """Yields the conditionals, and receives symbols (…) and their log-shares (…, M)."""
        out = out if out.dtype == torch.float64 else out.float()
        weights, means, log_scales, slopes, kernel = out.split(self.parts, -1)
        means = means.unflatten(-1, (self.count, -1)) * (self.levels / 32)
        if self.nearby:
            kernel = kernel.unflatten(-1, (self.count, -1))
            means = means + (kernel * past.nearby).sum(-1, keepdim=True) / 8
        log_scales = log_scales.unflatten(-1, (self.count, -1)) + self.spread.to(out)
        origins = past.predictions[..., :1]  # (…, C, M or 1)
        if self.sources is not None:
            means = means * self.free.to(out)
            origins = past.predictions[..., self.sources]
            means = means + (origins - past.predictions[..., :1])
        slopes = slopes.unflatten(-1, (-1, self.mixture)).unbind(-2)
        each = (means.unbind(-2), log_scales.unbind(-2), origins.unbind(-2), past.centre.unbind(-1))
        distances: list[Tensor] = []
        for channel, (mean, own, origin, centre) in enumerate(zip(*each, strict=True)):
            for before, distance in enumerate(distances):
                slope = self.slopes.index((before, channel))
                mean = torch.addcmul(mean, slopes[slope], distance)
            conditional = Logistics(weights, mean, own, centre, self.levels)
            symbols, shares = yield conditional
            distances.append((symbols.unsqueeze(-1) - origin).to(out.dtype))
            weights = weights + shares

    def start(self, x: Tensor, past: Past) -> Tensor:
        """Outputs (outputs,) of the greatest likelihood, the same for all pixels x (N, C).

        They are found by gradient descent on some of the pixels.
        """
        some = torch.arange(0, len(x), max(1, len(x) // PIXELS), device=x.device)
        x, past = x[some], past.map(lambda each: each[some])
        out = torch.zeros(self.outputs, dtype=torch.float64, device=x.device)
        with torch.enable_grad():
            out.requires_grad_()
            optimiser = torch.optim.Adam([out])
            for step in range(STEPS):
                optimiser.param_groups[0]["lr"] = 0.1 * (1 - step / STEPS)
                optimiser.zero_grad()
                (-self.log_prob(out.expand(len(x), -1), x, past).mean()).backward()
                optimiser.step()
        return out.detach()


def compressed(differences: Tensor, dtype: torch.dtype) -> Tensor:
    """Differences in levels, on a scale that keeps small ones visible."""
    return (differences.to(dtype) / 2).asinh() / 2
