"""The distribution of one symbol given what came before it.

Each class holds the parameters of a batch of such distributions and offers the same three
things: the log-probability of given symbols, a draw, and the table of all probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from autoregress.symbols import Symbols

# Of logistics: the share that is uniform, and the logarithms of the smallest scale in levels, which
# has tails of the same order, and of the largest.
UNIFORM, NARROWEST, WIDEST = 2.0**-12, -3.0, 40.0


class Conditional(Protocol):
    """Distributions of one symbol each, in a batch of any shape."""

    @property
    def logits(self) -> Tensor:
        """The parameters."""
        ...

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-probability in nats of the symbols x, of the shape of x."""
        ...

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One symbol of each distribution, int64."""
        ...

    def tempered(self, temperature: float) -> Conditional:
        """The distributions of which p(level)^(1 / temperature) is a multiple."""
        ...

    def table(self) -> Tensor:
        """Probability of every level, float64 of shape (…, K); sums to 1 over the last axis."""
        ...


def _at_least_float32(logits: Tensor) -> Tensor:
    # bfloat16 is for matrix products; a log-probability needs more than 8 bits.
    return logits if logits.dtype in (torch.float32, torch.float64) else logits.float()


@dataclass(frozen=True)
class Bernoulli:
    """Bits, by the log-odds of a 1."""

    logits: Tensor  # (…)

    def __post_init__(self) -> None:
        object.__setattr__(self, "logits", _at_least_float32(self.logits))

    def log_prob(self, x: Tensor) -> Tensor:
        # BCE-with-logits is softplus(l) - x l: exact in both tails, and one fused operation.
        x = x.to(self.logits.dtype)
        return -F.binary_cross_entropy_with_logits(self.logits, x, reduction="none")

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        # A uniform number of 53 bits: with 24, events rarer than 6e-8 would never happen.
        logits = self.logits
        uniform = torch.rand(
            logits.shape, generator=generator, dtype=torch.float64, device=logits.device
        )
        return (uniform < logits.double().sigmoid()).long()

    def tempered(self, temperature: float) -> Bernoulli:
        return Bernoulli(self.logits / temperature)

    def table(self) -> Tensor:
        one = self.logits.double().sigmoid()
        return torch.stack([(-self.logits.double()).sigmoid(), one], dim=-1)


@dataclass(frozen=True)
class Categorical:
    """Categories, by unnormalised log-probabilities; a level with −∞ does not exist."""

    logits: Tensor  # (…, K)

    def __post_init__(self) -> None:
        object.__setattr__(self, "logits", _at_least_float32(self.logits))

    def log_prob(self, x: Tensor) -> Tensor:
        return self.logits.log_softmax(-1).gather(-1, x.long().unsqueeze(-1)).squeeze(-1)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        table = self.table()
        flat = table.view(-1, table.shape[-1])
        return torch.multinomial(flat, 1, generator=generator).view(table.shape[:-1])

    def tempered(self, temperature: float) -> Categorical:
        return Categorical(self.logits / temperature)

    def table(self) -> Tensor:
        return self.logits.double().softmax(-1)


@dataclass(frozen=True)
class CoarseToFine:
    """B² levels in two digits, coarse · B + fine: p(level) = p(coarse) p(fine | coarse).

    Of the fine digit only what is asked for is computed: a log-probability or a draw needs its
    distribution given one coarse digit, the table given all B of them.
    """

    coarse: Categorical  # (…, B)
    fine: Callable[[Tensor], Categorical]  # given coarse digits, one for each (…) or several

    @property
    def base(self) -> int:
        return self.coarse.logits.shape[-1]

    @property
    def logits(self) -> Tensor:
        """Of all levels, (…, B²); they are log-probabilities."""
        coarse = self.coarse.logits.log_softmax(-1)
        every = torch.arange(self.base, device=coarse.device)
        every = every.view(-1, *(1,) * (coarse.dim() - 1)).expand(-1, *coarse.shape[:-1])
        fine = self.fine(every).logits.log_softmax(-1)  # (B, …, B)
        return (coarse.unsqueeze(-1) + fine.movedim(0, -2)).flatten(-2)

    def log_prob(self, x: Tensor) -> Tensor:
        coarse, fine = x.long() // self.base, x.long() % self.base
        return self.coarse.log_prob(coarse) + self.fine(coarse).log_prob(fine)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        coarse = self.coarse.sample(generator)
        return coarse * self.base + self.fine(coarse).sample(generator)

    def tempered(self, temperature: float) -> Categorical:
        return Categorical(self.logits / temperature)

    def table(self) -> Tensor:
        return self.logits.double().softmax(-1)


@dataclass(frozen=True)
class Logistics:
    """Ordered levels 0 … K − 1: a mixture of M discretised logistics (arXiv 1701.05517, eq. 2).

    A component gives a level what the logistic density has between its edges, half a level to
    either side of it, and the end levels the tails as well. So the mass is exact, and all of it is
    on the K levels. A share of 2⁻¹² is uniform, so that every level can be coded.

    Nothing but a table of all levels takes K numbers; the coder does with :meth:`digits`.
    """

    weights: Tensor  # (…, M), unnormalised log-probabilities
    means: Tensor  # (…, M), in levels, counted from the centre
    log_scales: Tensor  # (…, M), of scales in levels
    centre: Tensor  # (…), a level; apart from the means, as a float32 has few digits
    levels: int

    def __post_init__(self) -> None:
        for name in ("weights", "means", "log_scales"):
            object.__setattr__(self, name, _at_least_float32(getattr(self, name)))

    @classmethod
    def from_parameters(cls, parameters: Tensor, levels: int) -> Logistics:
        """From M weights, M means, M log-scales and the centre side by side, (…, 3M + 1)."""
        weights, means, log_scales = parameters[..., :-1].chunk(3, -1)
        return cls(weights, means, log_scales, parameters[..., -1], levels)

    @property
    def logits(self) -> Tensor:
        """Of all levels, (…, K); they are log-probabilities."""
        return self.table().log()

    def mass(self, first: Tensor, last: Tensor) -> Tensor:
        """The probability of the levels from first ≥ 0 to last, (…); 0 if first is beyond K − 1."""
        last = last.clamp(max=self.levels - 1)
        count = (last - first + 1).to(self.means.dtype)
        mixed = (self.weights.softmax(-1) * self.log_shares(first, last).exp()).sum(-1)
        return ((1 - UNIFORM) * mixed + UNIFORM * count / self.levels).where(count > 0, 0)

    def log_shares(self, first: Tensor, last: Tensor) -> Tensor:
        """The same of each component, without the uniform share: log-probabilities (…, M)."""
        scales = self.log_scales.clamp(NARROWEST, WIDEST).exp()
        # A difference of half integers is exact, so that rounding is relative to the distance.
        a, b = (
            ((edge - self.centre).to(self.means.dtype).unsqueeze(-1) - self.means) / scales
            for edge in (last + 0.5, first - 0.5)
        )
        count = (last - first + 1).clamp(min=1).unsqueeze(-1)
        # log (σ(a) − σ(b)) = log σ(a) + log σ(−b) + log (1 − exp(b − a)), which cancels in neither
        # tail. The first level has all below it, b = −∞, and the last all above it.
        at_first, at_last = (first == 0).unsqueeze(-1), (last == self.levels - 1).unsqueeze(-1)
        between = torch.expm1(-count / scales).neg().log().where(~(at_first | at_last), 0)
        up = F.logsigmoid(a).where(~at_last, 0)
        return up + F.logsigmoid(-b).where(~at_first, 0) + between

    def log_prob(self, x: Tensor) -> Tensor:
        x = x.long()
        return self.mass(x, x).log()

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        # As in Bernoulli, of 53 bits.
        chosen, uniform, quantile = torch.rand(
            3,
            *self.centre.shape,
            generator=generator,
            dtype=torch.float64,
            device=self.means.device,
        )
        ends = self.weights.double().softmax(-1).cumsum(-1)[..., :-1]
        component = (chosen.unsqueeze(-1) > ends).sum(-1, keepdim=True)
        mean, log_scale = (
            p.double().gather(-1, component).squeeze(-1) for p in (self.means, self.log_scales)
        )
        scale = log_scale.clamp(NARROWEST, WIDEST).exp()
        value = self.centre + mean + scale * quantile.logit()
        level = (value + 0.5).where(uniform >= UNIFORM, quantile * self.levels).floor()
        return level.clamp(0, self.levels - 1).long()

    def tempered(self, temperature: float) -> Categorical:
        return Categorical(self.logits / temperature)

    def table(self) -> Tensor:
        return self._masses(torch.arange(self.levels, device=self.means.device), 1)

    def digits(self) -> CoarseToFine:
        """The same distribution in two digits of base ⌈√K⌉."""
        base = math.isqrt(self.levels - 1) + 1
        every = torch.arange(base, device=self.means.device)

        def fine(coarse: Tensor) -> Categorical:
            # Of a block beyond the last level, which only damaged codes name, those of the last.
            block = coarse.clamp(max=(self.levels - 1) // base).unsqueeze(-1)
            return Categorical(self._masses(block * base + every, 1).log())

        return CoarseToFine(Categorical(self._masses(every * base, base).log()), fine)

    def _masses(self, first: Tensor, count: int) -> Tensor:
        """Of ``count`` levels from each of several first ones (…, n), float64."""
        exact = Logistics(
            self.weights.double().unsqueeze(-2),
            self.means.double().unsqueeze(-2),
            self.log_scales.double().unsqueeze(-2),
            self.centre.unsqueeze(-1),
            self.levels,
        )
        return exact.mass(first, first + count - 1)


@dataclass(frozen=True)
class Stacked:
    """Batches of distributions side by side along a new axis ``dim`` ≥ 0 of the batch."""

    parts: Sequence[Conditional]
    dim: int

    @property
    def logits(self) -> Tensor:
        return torch.stack([part.logits for part in self.parts], self.dim)

    def log_prob(self, x: Tensor) -> Tensor:
        pairs = zip(self.parts, x.unbind(self.dim), strict=True)
        return torch.stack([part.log_prob(own) for part, own in pairs], self.dim)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        return torch.stack([part.sample(generator) for part in self.parts], self.dim)

    def tempered(self, temperature: float) -> Stacked:
        return Stacked([part.tempered(temperature) for part in self.parts], self.dim)

    def table(self) -> Tensor:
        return torch.stack([part.table() for part in self.parts], self.dim)


def from_columns(columns: Tensor, symbols: Symbols) -> Conditional:
    """The conditionals of whole events from their logits, (batch, width) as in ``Symbols``.

    Bernoulli where every dimension is a bit, otherwise Categorical; of batch shape
    (batch, *event_shape).
    """
    shape = (len(columns), *symbols.event_shape)
    if symbols.binary:
        return Bernoulli(columns.view(shape))
    if not symbols.uniform:
        columns = F.pad(F.pad(columns, (0, 1)), (0, 1), value=-torch.inf)
        columns = columns[:, symbols.padded.to(columns.device).flatten()]
    return Categorical(columns.reshape(*shape, max(symbols.levels)))
