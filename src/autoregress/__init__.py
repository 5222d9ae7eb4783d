"""Exact-likelihood autoregressive models of bits, categories, images and video."""

from autoregress.model import AutoregressiveModel
from autoregress.networks.made import MADE
from autoregress.orderings import Ordering
from autoregress.symbols import Columns

__version__ = "0.1.0"
__all__ = ["MADE", "AutoregressiveModel", "Columns", "Ordering"]
