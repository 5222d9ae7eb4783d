"""Arithmetic whose results are the same bits on every machine.

Machines differ in the order in which they take sums, in fused multiply-adds, and in their exp and
log. They agree in the sum, difference, product, quotient and square root of two float64 numbers,
and in sums of whole numbers below 2⁵³, in any order (IEEE 754). So here the operands of a matrix
product or a convolution are rounded to whole multiples of a power of two, few enough bits that no
sum passes 2⁵³; other sums are treated alike; and exp and log are polynomials, evaluated one
operation at a time. All else a network does moves, compares or chooses numbers. Integer arithmetic
serves the same end in Ballé et al., Integer Networks for Data Compression (ICLR 2019).

:class:`Arithmetic` does this below all networks, at the level of torch's operations, and refuses an
operation for which it has no such form. docs/format.md defines every step.
"""

from autoregress.portable.mode import Arithmetic
from autoregress.portable.models import TOTAL, arithmetic, frequencies, prepared

__all__ = ["TOTAL", "Arithmetic", "arithmetic", "frequencies", "prepared"]
