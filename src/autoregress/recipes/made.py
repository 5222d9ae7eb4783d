"""MADE on vectors of bits or categories of your own, or small images.

autoregress train made --data data.npz --run runs/mine
"""

from autoregress.configs import MADEConfig
from autoregress.recipes.recipe import Recipe
from autoregress.training.options import Training

RECIPES = {
    "made": Recipe(
        """MADE on vectors of bits or categories of your own, or small images.

        It is evaluated in the data's own order of dimensions, and completes from any subset of
        them.
        """,
        "MADE",
        MADEConfig(hidden=(512, 512), evidence=True, direct=True),
        Training(max_epochs=200, ema=0.995),
    ),
}
