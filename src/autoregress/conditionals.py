"""Distributions of one symbol given the symbols before it.

Each class holds the parameters of a batch of such distributions and offers the same operations:
the log-probability of given symbols, a draw, the distributions at another temperature, and the
table of all probabilities.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

# Logistics: the uniform share, and the logarithms of the smallest and largest scales in levels; at
# the smallest, the tails are of the same order as the uniform share.
UNIFORM, NARROWEST, WIDEST = 2.0**-12, -3.0, 40.0

NO_PROBABILITIES = "the model gives no probabilities: some are not finite"


class Conditional(Protocol):
    """A batch, of any shape, of distributions of one symbol each."""

    @property
    def logits(self) -> Tensor:
        """The parameters."""
        ...

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-probability of the symbols x, in nats, with the shape of x."""
        ...

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One symbol from each distribution, int64."""
        ...

    def tempered(self, temperature: float) -> Conditional:
        """The distributions proportional to p(level)^(1 / temperature)."""
        ...

    def table(self) -> Tensor:
        """Probabilities of all levels, float64 of shape (…, K), summing to 1 over the last axis."""
        ...


def _at_least_float32(logits: Tensor) -> Tensor:
    # bfloat16 is for matrix products; a log-probability needs more than 8 bits.
    return logits if logits.dtype in (torch.float32, torch.float64) else logits.float()


def draw(probabilities: Tensor, generator: torch.Generator | None) -> Tensor:
    """One index, int64, from each of the distributions (…, K).

    Raises:
        ValueError: a probability is NaN.
    """
    # With exponential noise q, the largest of all p / q has each index with its probability, as in
    # torch.multinomial, whose checks take longer.
    noise = torch.empty_like(probabilities).exponential_(generator=generator)
    quotients = probabilities / noise
    if quotients.isnan().any():
        raise ValueError(NO_PROBABILITIES)
    return quotients.argmax(-1)


def _tempered(logits: Tensor, temperature: float) -> Categorical:
    # In float64 from the largest one, which stays 0 at any temperature.
    highest = logits.amax(-1, keepdim=True)
    return Categorical((logits - highest).double() / temperature)


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
        # A uniform number of 53 bits: with 24 bits, events rarer than 6e-8 would never happen.
        logits = self.logits
        uniform = torch.rand(
            logits.shape, generator=generator, dtype=torch.float64, device=logits.device
        )
        return (uniform < logits.double().sigmoid()).long()

    def tempered(self, temperature: float) -> Bernoulli:
        return Bernoulli(self.logits.double() / temperature)

    def table(self) -> Tensor:
        one = self.logits.double().sigmoid()
        return torch.stack([(-self.logits.double()).sigmoid(), one], dim=-1)


@dataclass(frozen=True)
class Categorical:
    """Categories, by unnormalised log-probabilities; levels at −∞ do not exist."""

    logits: Tensor  # (…, K)

    def __post_init__(self) -> None:
        object.__setattr__(self, "logits", _at_least_float32(self.logits))

    def log_prob(self, x: Tensor) -> Tensor:
        return self.logits.log_softmax(-1).gather(-1, x.long().unsqueeze(-1)).squeeze(-1)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        return draw(self.table(), generator)

    def tempered(self, temperature: float) -> Categorical:
        return _tempered(self.logits, temperature)

    def table(self) -> Tensor:
        return self.logits.double().softmax(-1)


@dataclass(frozen=True)
class CoarseToFine:
    """B² levels in two digits, coarse · B + fine: p(level) = p(coarse) p(fine | coarse).

    The fine digit's distribution is computed only where needed: for a log-probability or a draw
    given one coarse digit, for the table given all B of them.
    """

    coarse: Categorical  # (…, B)
    fine: Callable[[Tensor], Categorical]  # given coarse digits of shape (…) or (B, …)

    @property
    def base(self) -> int:
        return self.coarse.logits.shape[-1]

    @property
    def logits(self) -> Tensor:
        """Log-probabilities of all levels, (…, B²)."""
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
        return _tempered(self.logits, temperature)

    def table(self) -> Tensor:
        return self.logits.double().softmax(-1)


@dataclass(frozen=True)
class Digits:
    """Probabilities of the two digits of a level, coarse · base + fine, float64.

    Attributes:
        base: number of values of the fine digit.
        coarse: (…, B) probabilities of the coarse digit.
        fine: function from coarse digits (…) to probabilities (…, base) of the fine digit.
    """

    base: int
    coarse: Tensor
    fine: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Ordered(ABC):
    """Ordered levels 0 … K − 1: a mixture of M logistics (PixelCNN++, eq. 2).

    Salimans et al., 2017, arXiv 1701.05517. A component gives each level the mass of its density
    between the level's edges, and gives the tails to the end levels. So the mass is exact, and all
    of it is on the K levels. A share of 2⁻¹² is uniform, so that every level can be coded.

    Only a table of all levels requires K numbers; :meth:`digits` suffices for the coder.
    """

    weights: Tensor  # (…, M), unnormalised log-probabilities
    means: Tensor  # (…, M)
    log_scales: Tensor  # (…, M)

    def __post_init__(self) -> None:
        for name in ("weights", "means", "log_scales"):
            object.__setattr__(self, name, _at_least_float32(getattr(self, name)))

    @property
    @abstractmethod
    def levels(self) -> int | Tensor:
        """K, or (…) if it differs."""

    @abstractmethod
    def log_shares(self, x: Tensor) -> Tensor:
        """Log-probabilities (…, M) of symbols (…) by each component, without the uniform share."""

    @abstractmethod
    def _function(self) -> Callable[[Tensor], Tensor]:
        """The cumulative distribution function, of whole numbers in float64."""

    @abstractmethod
    def _level(self, component: Tensor, quantile: Tensor) -> Tensor:
        """The levels, not yet clamped, at quantiles (…) of the components (…, 1)."""

    @property
    def logits(self) -> Tensor:
        """Log-probabilities of all levels, (…, K)."""
        return self.table().log()

    def log_prob(self, x: Tensor) -> Tensor:
        return self.mix(self.log_shares(x))

    def mix(self, log_shares: Tensor) -> Tensor:
        """Log-probabilities (…) of symbols from those by each component (…, M)."""
        # log_softmax takes five times as long on an axis of so few components.
        weights = self.weights - self.weights.detach().amax(-1, keepdim=True)
        mixed = (weights + log_shares).logsumexp(-1) - weights.logsumexp(-1)
        uniform = UNIFORM / self.levels
        if isinstance(uniform, Tensor):
            uniform = uniform.to(mixed.dtype)
        # In the far tails exp() underflows, and only the uniform share remains.
        return ((1 - UNIFORM) * mixed.exp() + uniform).log()

    def _between(self, x: Tensor, low: Tensor, high: Tensor, width: Tensor) -> Tensor:
        """Log-masses of levels x (…) from standardised edges and their distance, (…, M) each."""
        # log (σ(a) − σ(b)) = log σ(a) + log σ(−b) + log (1 − exp(b − a)), which suffers no
        # cancellation in either tail. The first level includes all below it, b = −∞, and the last
        # all above it, a = ∞.
        first, last = (x == 0).unsqueeze(-1), (x == self.levels - 1).unsqueeze(-1)
        up = F.logsigmoid(high).masked_fill_(last, 0)
        down = F.logsigmoid(-low).masked_fill_(first, 0)
        between = torch.expm1(-width).neg().log().masked_fill(first | last, 0)
        return up + down + between

    def cdf(self, x: Tensor) -> Tensor:
        """Cumulative probabilities of the levels up to x (…, n) or (n,), float64.

        They are 0 below the first level, and 1 from the last level on. The difference of two is
        exact to 1e-16, a small part of the uniform share.
        """
        return self._function()(x.double())

    def _mixing(self) -> Tensor:
        """The weights of the components, (…, 1, M), float64, without the uniform share."""
        return self.weights.double().softmax(-1).unsqueeze(-2) * (1 - UNIFORM)

    def _mixed(self, shares: Tensor, weights: Tensor, x: Tensor) -> Tensor:
        """The distribution function from those of the components, (…, n, M), at x."""
        levels = self.levels
        if isinstance(levels, Tensor):
            levels = levels.unsqueeze(-1)
        # No matrix product, whose operands are rounded in coding: levels are differences of these.
        inside = (shares * weights).sum(-1) + (x + 1) * (UNIFORM / levels)
        return inside.masked_fill(x < 0, 0).masked_fill(x >= levels - 1, 1)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        component = draw(self.weights.softmax(-1), generator).unsqueeze(-1)
        # Of 53 bits, as in Bernoulli.
        quantile, uniform = torch.rand(
            2,
            *self.weights.shape[:-1],
            generator=generator,
            dtype=torch.float64,
            device=self.weights.device,
        )
        drawn = self._level(component, quantile)
        levels = drawn.where(uniform >= UNIFORM, (quantile * self.levels).floor())
        return _inside(levels, self.levels).long()

    def tempered(self, temperature: float) -> Categorical:
        return _tempered(self.logits, temperature)

    def table(self) -> Tensor:
        return self.cdf(torch.arange(-1, _most(self.levels), device=self.means.device)).diff()

    def digits(self) -> Digits:
        """The same distribution in two digits, in base ⌈√K⌉."""
        levels = _most(self.levels)
        base = math.isqrt(levels - 1) + 1
        function, device = self._function(), self.means.device
        ends = torch.arange(-1, levels + base - 1, base, dtype=torch.float64, device=device)
        edges = torch.arange(-1, base, dtype=torch.float64, device=device)

        def fine(coarse: Tensor) -> Tensor:
            block = function(coarse.unsqueeze(-1) * base + edges).diff()
            return block / block.sum(-1, keepdim=True)

        return Digits(base, function(ends).diff(), fine)


@dataclass(frozen=True)
class Logistics(Ordered):
    """Ordered levels at equal distances: means and scales are in levels."""

    centre: Tensor  # (…), a level from which means count, as float32 has few digits
    size: int

    @property
    def levels(self) -> int:
        return self.size

    def log_shares(self, x: Tensor) -> Tensor:
        x = x.long()
        inverse = self._log_scales.neg().exp()
        distance = (x - self.centre).to(inverse.dtype).unsqueeze(-1) - self.means
        return self._between(x, (distance - 0.5) * inverse, (distance + 0.5) * inverse, inverse)

    @property
    def _log_scales(self) -> Tensor:
        return self.log_scales.clamp(NARROWEST, WIDEST)

    def _function(self) -> Callable[[Tensor], Tensor]:
        means = (self.centre.unsqueeze(-1) + self.means.double()).unsqueeze(-2)
        inverse = self._log_scales.double().neg().exp().unsqueeze(-2)
        weights = self._mixing()

        def function(x: Tensor) -> Tensor:
            shares = (((x + 0.5).unsqueeze(-1) - means) * inverse).sigmoid()
            return self._mixed(shares, weights, x)

        return function

    def _level(self, component: Tensor, quantile: Tensor) -> Tensor:
        mean = self.means.gather(-1, component).squeeze(-1)
        scale = self._log_scales.gather(-1, component).squeeze(-1).exp()
        return (quantile.logit() * scale + mean + self.centre).round()


def _most(levels: int | Tensor) -> int:
    return levels if isinstance(levels, int) else int(levels.max())


def _inside(x: Tensor, levels: int | Tensor) -> Tensor:
    """x (…), with what is no level moved to the nearest one."""
    if isinstance(levels, int):
        return x.clamp(0, levels - 1)
    return x.clamp(min=0).minimum((levels - 1).to(x.dtype))


@dataclass(frozen=True)
class Scale:
    """Where the levels of ordered dimensions lie, as the logits of a distribution function.

    The edges of a level are the logits of the probability of the levels below it, and of those up
    to it. A single logistic of mean 0 and scale 1 is then that distribution, exactly.

    The levels of all dimensions are kept one after another, which need not be equal in number.
    """

    edges: Tensor  # (n,), float64, the upper edge of each level; of the last one that below it
    middles: Tensor  # (n,), the middle of each level
    first: Tensor  # (…), int64, the place of each dimension's first level
    narrowest: Tensor  # (…), the logarithm of the smallest scale of a component
    levels: int | Tensor  # K, or (…), float64, if it differs

    @classmethod
    def of(cls, log_masses: Tensor) -> Scale:
        """The scale of the distributions proportional to exp(log_masses) (…, K)."""
        mass = log_masses.double().softmax(-1)
        below, above = mass.cumsum(-1), mass.flip(-1).cumsum(-1).flip(-1)
        edges = below[..., :-1].log() - above[..., 1:].log()
        middles = (below - mass / 2).log() - (above - mass / 2).log()
        least = F.pad(edges.diff(), (0, 1), value=1.0).amin(-1)  # with two levels, the 1
        first = torch.arange(0, mass.numel(), mass.shape[-1], device=mass.device)
        return cls(
            torch.cat([edges, edges[..., -1:]], -1).flatten(),
            middles.flatten(),
            first.view(mass.shape[:-1]),
            least.log().clamp(min=-10) + NARROWEST,
            mass.shape[-1],
        )

    @classmethod
    def joined(cls, scales: Sequence[Scale]) -> Scale:
        """Scales of one dimension each as one of batch shape (n,)."""
        counts = [len(scale.edges) for scale in scales]
        levels = torch.tensor(counts, dtype=torch.float64, device=scales[0].edges.device)
        return cls(
            torch.cat([scale.edges for scale in scales]),
            torch.cat([scale.middles for scale in scales]),
            (levels.cumsum(0) - levels).long(),
            torch.stack([scale.narrowest for scale in scales]),
            counts[0] if len(set(counts)) == 1 else levels,
        )

    def edge(self, level: Tensor) -> Tensor:
        """The upper edges of levels (…), of the last but one for the last one, float64."""
        return self.edges[self.first + _inside(level, self.levels)]

    def middle(self, level: Tensor) -> Tensor:
        """The middles of levels (…)."""
        return self.middles[self.first + level]

    def level(self, place: Tensor) -> Tensor:
        """The levels in which places (…) on the scale are, int64."""
        if not self.first.dim():
            return torch.searchsorted(self.edges[:-1], place)
        low = torch.zeros_like(place, dtype=torch.int64)
        high = _inside(torch.full_like(low, len(self.edges)), self.levels)
        for _ in range(_most(self.levels).bit_length()):
            middle = (low + high) // 2
            above = (self.edges[self.first + middle] < place) & (low < high)
            low, high = torch.where(above, middle + 1, low), torch.where(above, high, middle)
        return low

    def rows(self, which: Tensor) -> Scale:
        """Of the scales of n dimensions, the one of each row, for batches (rows,)."""
        levels = self.levels if isinstance(self.levels, int) else self.levels[which]
        first, narrowest = self.first[which], self.narrowest[which]
        return Scale(self.edges, self.middles, first, narrowest, levels)

    def unflatten(self, shape: Sequence[int]) -> Scale:
        """The same scales in a batch of that shape."""
        levels = self.levels if isinstance(self.levels, int) else self.levels.unflatten(0, shape)
        first, narrowest = self.first.unflatten(0, shape), self.narrowest.unflatten(0, shape)
        return Scale(self.edges, self.middles, first, narrowest, levels)


@dataclass(frozen=True)
class ScaledLogistics(Ordered):
    """Ordered levels whose edges lie on a scale, which is that of means and scales too."""

    scale: Scale

    @property
    def levels(self) -> int | Tensor:
        return self.scale.levels

    def log_shares(self, x: Tensor) -> Tensor:
        x = x.long()
        low, high = (self.scale.edge(each).unsqueeze(-1) for each in (x - 1, x))
        inverse = self._log_scales.neg().exp()
        a, b = ((edge.to(inverse.dtype) - self.means) * inverse for edge in (high, low))
        # The distance of two edges may be far less than float32 resolves of the edges themselves.
        return self._between(x, b, a, (high - low).to(inverse.dtype).clamp(min=1e-30) * inverse)

    @property
    def _log_scales(self) -> Tensor:
        narrowest = self.scale.narrowest.to(self.log_scales.dtype).unsqueeze(-1)
        return self.log_scales.clamp(max=WIDEST).maximum(narrowest)

    def _function(self) -> Callable[[Tensor], Tensor]:
        means = self.means.double().unsqueeze(-2)
        inverse = self._log_scales.double().neg().exp().unsqueeze(-2)
        weights = self._mixing()

        def function(x: Tensor) -> Tensor:
            # (n, …), as scales broadcast over the axes before their own.
            index = x.long().expand(*self.weights.shape[:-1], -1).movedim(-1, 0)
            edges = self.scale.edge(index).movedim(0, -1).unsqueeze(-1)
            return self._mixed(((edges - means) * inverse).sigmoid(), weights, x)

        return function

    def _level(self, component: Tensor, quantile: Tensor) -> Tensor:
        mean = self.means.gather(-1, component).squeeze(-1)
        scale = self._log_scales.gather(-1, component).squeeze(-1).exp()
        place = quantile.logit() * scale + mean
        return self.scale.level(place).double()


@dataclass(frozen=True)
class Stacked:
    """Batches of distributions stacked along a new axis ``dim`` ≥ 0 of the batch."""

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


@dataclass(frozen=True)
class Mixed:
    """Distributions of several kinds, interleaved along axis ``dim`` of the batch.

    They are those of the dimensions of events (along axis 1, which then has the event's shape), or
    of rows (along axis 0). Only the table, and the logits (its logarithms), pad every distribution
    to the largest number of levels, with levels that do not exist.
    """

    parts: Sequence[Conditional]  # each with n of them along the axis
    places: Sequence[Tensor]  # (n,) for each part, their places along the axis
    shape: tuple[int, ...]  # of the axis, which is flattened for the places
    dim: int = 1

    @property
    def logits(self) -> Tensor:
        return self.table().log()

    def log_prob(self, x: Tensor) -> Tensor:
        flat = x.flatten(self.dim, self.dim + len(self.shape) - 1)
        pairs = zip(self.parts, self.places, strict=True)
        return self._joined(
            [part.log_prob(flat.index_select(self.dim, own)) for part, own in pairs]
        )

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        return self._joined([part.sample(generator) for part in self.parts])

    def tempered(self, temperature: float) -> Mixed:
        return replace(self, parts=[part.tempered(temperature) for part in self.parts])

    def table(self) -> Tensor:
        tables = [part.table() for part in self.parts]
        most = max(table.shape[-1] for table in tables)
        return self._joined([F.pad(table, (0, most - table.shape[-1])) for table in tables])

    def _joined(self, each: list[Tensor]) -> Tensor:
        """Results of the parts, n along the axis, in the order of the places."""
        order = torch.cat(list(self.places)).argsort()
        joined = torch.cat(each, self.dim).index_select(self.dim, order)
        return joined.unflatten(self.dim, self.shape)


@dataclass(frozen=True)
class Ensemble:
    """The mean of the distributions of several members: of probabilities, never of logits."""

    parts: Sequence[Conditional]  # of one batch shape, (batch, …)
    log_weights: Tensor  # (members, batch), float64

    @property
    def logits(self) -> Tensor:
        return self.table().log()

    def log_prob(self, x: Tensor) -> Tensor:
        each = torch.stack([part.log_prob(x).double() for part in self.parts])
        return (each + self._like(each)).logsumexp(0)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        each = torch.stack([part.sample(generator) for part in self.parts])
        weights = self._like(each).exp().expand(each.shape).flatten(1).T
        chosen = torch.multinomial(weights, 1, generator=generator).view(1, *each.shape[1:])
        return each.gather(0, chosen).squeeze(0)

    def tempered(self, temperature: float) -> Categorical:
        return Categorical(self.logits / temperature)

    def table(self) -> Tensor:
        each = torch.stack([part.table() for part in self.parts])
        return (each * self._like(each).exp()).sum(0)

    def _like(self, each: Tensor) -> Tensor:
        """The log-weights, with as many axes as ``each``, (members, batch, …)."""
        return self.log_weights.view(*self.log_weights.shape, *(1,) * (each.dim() - 2))
