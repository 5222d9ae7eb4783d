"""The distribution of one symbol given what came before it.

Each class holds the parameters of a batch of such distributions and offers the same three
things: the log-probability of given symbols, a draw, and the table of all probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from autoregress.symbols import Symbols


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
