"""Exponentials, logarithms and their kin, the same bits on every machine.

They are polynomials of single additions, multiplications and divisions of float64 numbers, on which
IEEE 754 leaves no choice; docs/format.md defines every step. Each is written once, for tensors on
an accelerator and, on a CPU, for NumPy's arrays, whose operations take half the time of torch's on
few numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Number of elements whose intermediate results fit into a processor's cache.
CACHED = 2**15

# Adding and subtracting it rounds a number below 2⁵¹ to a whole one.
WHOLE = 1.5 * 2.0**52
LARGEST = 1000.0  # exponents of powers of two are kept within ±LARGEST

# 2^r − 1 for |r| ≤ 1/2, to 5e-11: coefficients of r, r², …
POWER = (
    *(0.6931471805416519, 0.24022651075850363, 0.05550410962582675, 0.009618036911040342),
    *(0.0013333430777164841, 0.00015467110330655515, 1.5314949215190667e-05),
)
# log((1 + s) / (1 − s)) for |s| ≤ 0.172, to 5e-10: coefficients of s, s³, …
LOGARITHM = (2.0, 0.6666673193505133, 0.39982392791124227, 0.29753758148099857)
LN2, LOG2E = 0.6931471805599453, 1.4426950408889634
# erf(x) = 1 − (a₁ t + a₂ t² + …) exp(−x²) with t = 1 / (1 + p x), to 1.5e-7 (Abramowitz and
# Stegun, 7.1.26).
ERF_P = 0.3275911
ERF = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)

Array = Any  # a tensor or a NumPy array, float64


def _elementwise(function: Callable[[Array], Array]) -> Callable[[Tensor], Tensor]:
    """A function of tensors, which takes as many elements at a time as caches hold."""

    def apply(x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return function(x)
        flat = x.reshape(-1).numpy()
        if len(flat) <= CACHED:
            out = function(flat)
        else:
            out = np.empty_like(flat)
            for start in range(0, len(flat), CACHED):
                out[start : start + CACHED] = function(flat[start : start + CACHED])
        return torch.from_numpy(out).view(x.shape)

    return apply


def _library(x: Array) -> Any:
    """The library of an array's functions, which have the same names in both."""
    return torch if isinstance(x, Tensor) else np


def _clipped(x: Array, low: float, high: float) -> Array:
    if isinstance(x, Tensor):
        return x.clamp(low, high)
    # NumPy's minimum and maximum take five times as long.
    return torch.from_numpy(x).clamp(low, high).numpy()


def _power(x: Array) -> Array:
    """2^x."""
    own = _library(x)
    x = _clipped(x, -LARGEST, LARGEST)
    whole = x + WHOLE
    x -= whole - WHOLE
    p = _polynomial(x, POWER)
    p += 1.0
    # The last bits of ``whole`` are the whole number, which goes into the exponent.
    bits, exponent = p.view(own.int64), whole.view(own.int64)
    exponent <<= 52
    bits += exponent
    return p


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    """The sum of coefficients times x, x², …"""
    p = x * coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        p += coefficient
        p *= x
    return p


def _logarithm(x: Array) -> Array:
    """log x of positive numbers."""
    own = _library(x)
    bits = x.view(own.int64)
    # The exponent such that the rest, m, is between √½ and √2.
    exponent = bits - 0x3FE6A09E667F3BCD
    exponent >>= 52
    m = (bits - (exponent << 52)).view(own.float64)
    s = m - 1.0
    m += 1.0
    s /= m
    square = s * s
    p = _polynomial(square, LOGARITHM[1:])
    p += LOGARITHM[0]
    p *= s
    p += own.asarray(exponent, dtype=own.float64) * LN2
    return p


def _exp(x: Array) -> Array:
    return _power(x * LOG2E)


def _log(x: Array) -> Array:
    own = _library(x)
    out = _logarithm(_clipped(x, 2.0**-1022, math.inf))
    out = own.where(x == 0, -math.inf, out)
    return own.where((x < 0) | (x != x), math.nan, out)


def _expm1(x: Array) -> Array:
    # Near 0 by the polynomial itself, which loses no digits there.
    own = _library(x)
    x = x * LOG2E
    far = _power(x)
    far -= 1.0
    return own.where(abs(x) <= 0.5, _polynomial(_clipped(x, -0.5, 0.5), POWER), far)


def _log1p(x: Array) -> Array:
    # As log u · x / (u − 1) with u = 1 + x as it was rounded, no digits of a small x are lost.
    u = x + 1.0
    return _library(x).where(u != 1.0, _log(u) * (x / (u - 1.0)), x)


def _sigmoid(x: Array) -> Array:
    p = _power(x * -LOG2E)
    p += 1.0
    return _one_over(p)


def _tanh(x: Array) -> Array:
    p = _power(x * (2 * LOG2E))
    p += 1.0
    p = _one_over(p)
    p *= -2.0
    p += 1.0
    return p


def _log_sigmoid(x: Array) -> Array:
    p = _power(abs(x) * -LOG2E)
    p += 1.0
    return _clipped(x, -math.inf, 0.0) - _logarithm(p)


def _erf(x: Array) -> Array:
    size = abs(x)
    t = size * ERF_P
    t += 1.0
    p = _polynomial(_one_over(t), ERF)
    p *= _exp(-(size * size))
    return (1.0 - p) * _library(x).sign(x)


def _asinh(x: Array) -> Array:
    size = abs(x)
    square = size * size
    square += 1.0
    return _log(_sqrt(square) + size) * _library(x).sign(x)


def _sqrt(x: Array) -> Array:
    # Torch's own, where it is built with MKL, is not always the nearest number.
    return _library(x).sqrt(x)


def _one_over(x: Array) -> Array:
    # Torch's own would multiply by an inverse.
    return torch.div(x.new_ones(()), x) if isinstance(x, Tensor) else 1.0 / x


exp = _elementwise(_exp)
expm1 = _elementwise(_expm1)
log = _elementwise(_log)
log1p = _elementwise(_log1p)
sigmoid = _elementwise(_sigmoid)
tanh = _elementwise(_tanh)
log_sigmoid = _elementwise(_log_sigmoid)
erf = _elementwise(_erf)
asinh = _elementwise(_asinh)
sqrt = _elementwise(_sqrt)
one_over = _elementwise(_one_over)
