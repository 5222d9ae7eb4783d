"""Binary vectors with ten to a few hundred dimensions, to be mixed; the density-estimation suite.

    autoregress train made-density --data accidents.npz --run runs/accidents

FIGURES
"""

from autoregress.recipes.options import MADEOptions, Recipe
from autoregress.training import Training

RECIPE = Recipe(
    __doc__,
    MADEOptions(hidden=(1000,), orderings=1, direct=True, dropout=0.3),
    Training(ema=0.999, max_epochs=150, patience=12),
)
