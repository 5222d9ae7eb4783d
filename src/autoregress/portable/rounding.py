"""Operands, summands and constants with few enough bits that sums of them are exact."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autoregress.grids import grid_of

# Bits of an operand of a product.
BITS = 20
# Significant bits that are kept of a constant, as Python's own log may differ in the last one.
CONSTANT = 32
EXPONENT = 0x7FF << 52  # the exponent's bits in a float64


def rounded(x: Tensor, dims: int | tuple[int, ...], bits: int) -> Tensor:
    """x rounded to ``bits`` bits below the power of two above its largest number along ``dims``."""
    magic = rounder(x.abs().amax(dims, keepdim=True), bits)
    return x.add(magic).sub_(magic)


def rounder(largest: Tensor, bits: int) -> Tensor:
    """The numbers whose last bit is worth as much as the last to be kept; overwrites ``largest``.

    Adding and subtracting such a number rounds what is at most ``largest``.
    """
    # NumPy takes half the time of torch, as these are few.
    whole: Any = largest.numpy().view(np.int64) if largest.is_cpu else largest.view(torch.int64)
    whole &= EXPONENT
    whole += (53 - bits << 52) + (1 << 51)
    return largest


def operand(x: Tensor, dims: int | tuple[int, ...]) -> Tensor:
    """x rounded for a product along ``dims``, if it is not already."""
    return x if grid_of(x) is not None else rounded(x, dims, BITS)


def fresh(x: Tensor) -> Tensor:
    """Constants that Python computed, rounded to :data:`CONSTANT` significant bits."""
    if not x.is_floating_point() or x.dtype != torch.float64:
        return x
    high = x * (2.0 ** (53 - CONSTANT) + 1)
    return (high - (high - x)).where(x.isfinite(), x)


@lru_cache(4096)
def constant(value: Any) -> Any:
    """A number of Python, rounded to :data:`CONSTANT` significant bits."""
    if type(value) is not float or not math.isfinite(value):
        return value
    fraction, exponent = math.frexp(value)
    return math.ldexp(round(math.ldexp(fraction, CONSTANT)), exponent - CONSTANT)


def refusal(what: str) -> ValueError:
    return ValueError(
        f"the model computes {what}, which has no form that gives the same bits on every machine "
        "(autoregress.portable); build its conditionals from other operations of torch"
    )
