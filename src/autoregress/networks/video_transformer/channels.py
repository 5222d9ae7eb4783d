"""The channels of a pixel, one after another, from the decoder's state (1906.02634)."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoregress.conditionals import Bernoulli, Categorical, CoarseToFine, Conditional, Stacked
from autoregress.symbols import marginal_logits
from autoregress.traversal import Unrolling


class ChannelHead(nn.Module):
    """A perceptron for each digit of a pixel, over the state and the digits before it.

    u_k = U_k [LN(y); one-hot(x^{<k})], logits = P_k ReLU(u_k). An 8-bit intensity is two digits
    of 16 levels, coarse and then fine, so that RGB is six digits: red's coarse and fine, green's,
    blue's. (The paper predicts these six in an order unknown to us; in this order each intensity
    has its own distribution.) With any other number of levels a symbol is one digit.

    Args:
        width: d, width of the state and of the hidden layers.
        channels: C, number of channels of a pixel.
        symbols: K, number of levels of a channel.
    """

    def __init__(self, width: int, channels: int, symbols: int) -> None:
        super().__init__()
        self.channels = channels
        self.digits_each = 2 if symbols == 256 else 1
        self.levels = 16 if symbols == 256 else symbols
        self.count = channels * self.digits_each
        self.norm = nn.LayerNorm(width)
        self.state = nn.Linear(width, self.count * width)
        # The part of U_k for the one-hot digits, transposed; the first digit has none.
        scale = math.sqrt(1 / width)
        self.earlier = nn.ParameterList(
            scale * torch.randn(k * self.levels, width) for k in range(1, self.count)
        )
        columns = 1 if self.levels == 2 else self.levels
        self.logits = nn.ModuleList(nn.Linear(width, columns) for _ in range(self.count))
        for layer in self.logits:
            nn.init.zeros_(cast(nn.Linear, layer).bias)  # until start_from

    def digits(self, symbols: Tensor) -> Tensor:
        """Symbols (…, C) as digits (…, F), the coarse digit of each symbol first."""
        if self.digits_each == 1:
            return symbols.int()
        both = [symbols // self.levels, symbols % self.levels]
        return torch.stack(both, dim=-1).flatten(-2).int()

    @torch.no_grad()
    def start_from(self, digits: Tensor) -> None:
        """Sets the logits' biases, where still zero, from the frequencies in ``digits`` (…, F)."""
        for k, layer in enumerate(self.logits):
            bias = cast(nn.Linear, layer).bias
            if not bias.any():
                bias.copy_(marginal_logits(digits[..., k], self.levels))

    def forward(self, states: Tensor, digits: Tensor, known: Tensor) -> Conditional:
        """The conditionals of the symbols of many pixels, of batch shape (batch, t, C, h, w).

        Args:
            states: (batch, t, h, w, width).
            digits: (batch, t, h, w, F), those of the symbols; each is predicted from the earlier.
            known: (batch, t, h, w) bool: pixels that are not predicted; all their symbols are
                equally likely.
        """
        bases = self._bases(states)
        parts = [self._conditional(c, bases, digits, known) for c in range(self.channels)]
        return Stacked(parts, dim=2)

    def unroll(self, state: Tensor, pixel: Tensor) -> Unrolling:
        """The conditionals of one pixel, from its state (batch, width); fills in its symbols.

        Args:
            pixel: (batch, C), modified in place.
        """
        bases = self._bases(state)
        for c in range(self.channels):
            pixel[:, c] = yield self._conditional(c, bases, self.digits(pixel))

    def _bases(self, states: Tensor) -> Tensor:
        """The state's contribution to each hidden layer, (…, F, width)."""
        return self.state(self.norm(states)).unflatten(-1, (self.count, -1))

    def _conditional(
        self, channel: int, bases: Tensor, digits: Tensor, known: Tensor | None = None
    ) -> Conditional:
        k = channel * self.digits_each
        earlier = digits[..., :k]
        logits = self._logits(k, bases, earlier, known)
        if self.digits_each == 2:

            def fine(coarse: Tensor) -> Categorical:
                before = earlier.expand(*coarse.shape, k)
                seen = torch.cat([before, coarse.unsqueeze(-1).int()], dim=-1)
                return Categorical(self._logits(k + 1, bases, seen, known))

            return CoarseToFine(Categorical(logits), fine)
        return Bernoulli(logits.squeeze(-1)) if self.levels == 2 else Categorical(logits)

    def _logits(self, k: int, bases: Tensor, earlier: Tensor, known: Tensor | None) -> Tensor:
        """The logits (…, levels) of digit k, one for bits, given the digits before it (…, k)."""
        hidden = bases[..., k, :]
        if k:
            first = self.levels * torch.arange(k, device=earlier.device)
            rows = (earlier + first).flatten(0, -2)
            seen = F.embedding_bag(rows, self.earlier[k - 1], mode="sum")
            hidden = hidden + seen.view(*earlier.shape[:-1], -1)
        logits = self.logits[k](F.relu(hidden))
        return logits if known is None else logits.masked_fill(known.unsqueeze(-1), 0)
