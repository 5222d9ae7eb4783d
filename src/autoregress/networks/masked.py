"""Layers of units that know their degree: how much of the ordering they may depend on.

A unit of degree m depends on the first m visited dimensions only. A source feeds a unit when
the unit's degree is at least its own, so a mask is a comparison of two short vectors; it is
made when it is used and never stored (MADE, Algorithm 1).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def mask(degrees: Tensor, source_degrees: Tensor, dtype: torch.dtype) -> Tensor:
    """(units, sources): 1 where a unit may see a source, else 0.

    M^W of Algorithm 1, 1[m^l(k′) ≥ m^{l−1}(k)]. For outputs the degree is m⁰(d) − 1, which
    makes it M^V, 1[m⁰(d) > m^L(k)].
    """
    # Floats compared straight into the weights' dtype: an order of magnitude faster on a CPU than
    # comparing int32 or converting a bool mask, and exact for degrees up to 2^24.
    out = torch.empty(len(degrees), len(source_degrees), dtype=dtype, device=degrees.device)
    return torch.ge(degrees.float()[:, None], source_degrees.float()[None, :], out=out)


class MaskedLinear(nn.Module):
    """b + (W ⊙ M) x, and on request (U ⊙ M) 1 (eq. 14) and an unmasked context term.

    Args:
        sources: number of inputs.
        units: number of outputs.
        conditioning: add (U ⊙ M) 1, a bias that tells a unit what it is connected to.
        context: number of context features, each seen by every unit; 0 for none.
        bias: whether there is a b.
    """

    def __init__(
        self,
        sources: int,
        units: int,
        *,
        conditioning: bool = False,
        context: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        linear = nn.Linear(sources, units, bias=bias)  # for torch's initialisation
        self.weight, self.bias = linear.weight, linear.bias
        self.conditioning = nn.Parameter(torch.zeros(units, sources)) if conditioning else None
        self.context = nn.Linear(context, units, bias=False) if context else None

    def forward(
        self, x: Tensor, degrees: Tensor, source_degrees: Tensor, context: Tensor | None
    ) -> Tensor:
        """x (batch, sources) -> (batch, units)."""
        allowed = mask(degrees, source_degrees, self.weight.dtype)
        bias = self.bias
        if self.conditioning is not None:
            bias = _plus(bias, (self.conditioning * allowed).sum(1))
        out = F.linear(x, self.weight * allowed, bias)
        return out if self.context is None else out + self.context(context)

    def offset(self, degrees: Tensor, source_degrees: Tensor, context: Tensor | None) -> Tensor:
        """What does not depend on x: (units,), or (batch, units) with a context."""
        offset = torch.zeros_like(self.weight[:, 0]) if self.bias is None else self.bias
        if self.conditioning is not None:
            allowed = mask(degrees, source_degrees, self.weight.dtype)
            offset = offset + (self.conditioning * allowed).sum(1)
        return offset if self.context is None else offset + self.context(context)


def _plus(bias: Tensor | None, term: Tensor) -> Tensor:
    return term if bias is None else bias + term


class PrefixNorm(nn.Module):
    """Layer normalisation that respects degrees.

    A unit of degree m is centred and scaled by the mean and variance of the units of degree at
    most m, so that it learns nothing of what comes later. One imagined unit, of value 0 and
    square 1, is counted with them: else a lone first unit would always be normalised to 0.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(units))
        self.bias = nn.Parameter(torch.zeros(units))

    def forward(self, z: Tensor, degrees: Tensor) -> Tensor:
        """z (batch, units) -> (batch, units)."""
        ordered, index = degrees.sort()
        count = torch.searchsorted(ordered, degrees, right=True)  # units of degree ≤ mine
        z_ordered = z[:, index]
        last = count - 1
        total, square = z_ordered.cumsum(1)[:, last], z_ordered.square().cumsum(1)[:, last]
        return self.normalise(z, total, square, count, slice(None))

    def normalise(
        self, z: Tensor, total: Tensor, square: Tensor, count: Tensor | int, units: Tensor | slice
    ) -> Tensor:
        """The given units' z (batch, n), by the sum and sum of squares over ``count`` units."""
        mean = total / (count + 1)
        variance = (square + 1) / (count + 1) - mean.square()
        return (z - mean) * variance.rsqrt() * self.gain[units] + self.bias[units]
