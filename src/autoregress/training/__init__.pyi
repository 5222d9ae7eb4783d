from .loop import Fit as Fit
from .loop import fit as fit
from .options import Training as Training

__all__ = ["Fit", "Training", "fit"]
