"""Training: one readable loop, whose runs stop and go on at any moment without a trace."""

from autoregress.training.loop import Fit, fit
from autoregress.training.options import Training

__all__ = ["Fit", "Training", "fit"]
