"""MADE on data of your own: a table of bits or categories, or small images.

    autoregress train made --data data.npz --run runs/mine

Measured in the data's own order of dimensions, and able to complete from any subset of them.
"""

from autoregress.recipes.options import MADEOptions, Recipe
from autoregress.training import Training

RECIPE = Recipe(
    __doc__,
    MADEOptions(hidden=(512, 512), evidence=True, direct=True),
    Training(max_epochs=200, ema=0.995),
)
