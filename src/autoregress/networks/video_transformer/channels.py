"""The channels of a pixel, as the network reads and predicts them (1906.02634).

Nominal levels follow the paper. Ordered ones are numbers, modelled jointly as in the image families
(:class:`~autoregress.networks.ordered.OrderedPixel`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoregress.conditionals import Bernoulli, Categorical, CoarseToFine, Conditional, Stacked
from autoregress.networks.ordered import OrderedPixel, Past
from autoregress.symbols import marginal_logits
from autoregress.traversal import Unrolling


class Head(nn.Module, ABC):
    """The conditionals of the channels of a pixel, one after another, from the decoder's state.

    Attributes:
        count: F, number of digits of a pixel.
        levels: number of levels of each digit.
    """

    count: int
    levels: int

    @abstractmethod
    def digits(self, symbols: Tensor) -> Tensor:
        """Symbols (…, C) as digits (…, F)."""

    @abstractmethod
    def forward(self, states: Tensor, digits: Tensor, past: Past) -> Conditional:
        """The conditionals of the symbols of many pixels, of batch shape (…, C, h, w).

        Args:
            states: (…, h, w, width).
            digits: (…, h, w, F), those of the symbols; each is predicted from the earlier.
            past: that of the pixels (…, h, w).
        """

    def log_prob(self, states: Tensor, digits: Tensor, past: Past, symbols: Tensor) -> Tensor:
        """Log-probabilities of the symbols (…, C, h, w) of many pixels; the rest as for forward."""
        return self(states, digits, past).log_prob(symbols)

    @abstractmethod
    def unroll(self, state: Tensor, pixel: Tensor, past: Past) -> Unrolling:
        """The conditionals of one pixel, from its state (batch, width); fills in its symbols.

        Args:
            pixel: (batch, C), modified in place.
            past: that of the pixel (batch).
        """

    @abstractmethod
    def start_from(self, digits: Tensor, past: Past) -> None:
        """Sets the biases of the outputs, where still zero, from the marginals of pixels (N)."""


class ChannelHead(Head):
    """Nominal levels: a perceptron for each digit, over the state and the digits before it.

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
    def start_from(self, digits: Tensor, past: Past) -> None:
        for k, layer in enumerate(self.logits):
            bias = cast(nn.Linear, layer).bias
            if not bias.any():
                bias.copy_(marginal_logits(digits[..., k], self.levels))

    def forward(self, states: Tensor, digits: Tensor, past: Past) -> Conditional:
        bases = self._bases(states)
        parts = [self._conditional(c, bases, digits) for c in range(self.channels)]
        return Stacked(parts, dim=states.dim() - 3)

    def unroll(self, state: Tensor, pixel: Tensor, past: Past) -> Unrolling:
        bases = self._bases(state)
        for c in range(self.channels):
            pixel[:, c] = yield self._conditional(c, bases, self.digits(pixel))

    def _bases(self, states: Tensor) -> Tensor:
        """The state's contribution to each hidden layer, (…, F, width)."""
        return self.state(self.norm(states)).unflatten(-1, (self.count, -1))

    def _conditional(self, channel: int, bases: Tensor, digits: Tensor) -> Conditional:
        k = channel * self.digits_each
        earlier = digits[..., :k]
        logits = self._logits(k, bases, earlier)
        if self.digits_each == 2:

            def fine(coarse: Tensor) -> Categorical:
                before = earlier.expand(*coarse.shape, k)
                seen = torch.cat([before, coarse.unsqueeze(-1).int()], dim=-1)
                return Categorical(self._logits(k + 1, bases, seen))

            return CoarseToFine(Categorical(logits), fine)
        return Bernoulli(logits.squeeze(-1)) if self.levels == 2 else Categorical(logits)

    def _logits(self, k: int, bases: Tensor, earlier: Tensor) -> Tensor:
        """The logits (…, levels) of digit k, one for bits, given the digits before it (…, k)."""
        hidden = bases[..., k, :]
        if k:
            first = self.levels * torch.arange(k, device=earlier.device)
            rows = (earlier + first).flatten(0, -2)
            seen = F.embedding_bag(rows, self.earlier[k - 1], mode="sum")
            hidden = hidden + seen.view(*earlier.shape[:-1], -1)
        return self.logits[k](F.relu(hidden))


class OrderedHead(Head):
    """Ordered levels: the channels' joint distribution, linear in the normalised state.

    A symbol is one digit. The outputs start at zero. (Rectified units before them died within a few
    updates on clips that hardly change, as large gradients reach all of them at once.)

    Args:
        width: d, width of the state.
        joint: the distribution of the channels, given the outputs.
    """

    def __init__(self, width: int, joint: OrderedPixel) -> None:
        super().__init__()
        self.joint = joint
        self.count, self.levels = joint.count, joint.levels
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, joint.outputs)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def digits(self, symbols: Tensor) -> Tensor:
        return symbols.long()

    @torch.no_grad()
    def start_from(self, digits: Tensor, past: Past) -> None:
        if not self.out.bias.any():
            self.out.bias.copy_(self.joint.start(digits, past))

    def forward(self, states: Tensor, digits: Tensor, past: Past) -> Conditional:
        parameters = self.joint.parameters(self.out(self.norm(states)), digits, past)
        return self.joint.conditional(parameters.movedim(-2, -4))

    def log_prob(self, states: Tensor, digits: Tensor, past: Past, symbols: Tensor) -> Tensor:
        return self.joint.log_prob(self.out(self.norm(states)), digits, past).movedim(-1, -3)

    def unroll(self, state: Tensor, pixel: Tensor, past: Past) -> Unrolling:
        steps = self.joint.unroll(self.out(self.norm(state)), past)
        conditional = next(steps)
        for c in range(self.count):
            pixel[:, c] = yield conditional
            if c < self.count - 1:
                conditional = steps.send(pixel[:, c])
