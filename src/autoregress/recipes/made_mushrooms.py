"""Mushrooms as in the MADE paper; with -best, as well as we can.

    autoregress train made-mushrooms --data mushrooms.npz --run runs/mushrooms
    autoregress train made-mushrooms-best --data mushrooms.npz --run runs/mushrooms-best

made-mushrooms, seed 0: 9.63 ± 0.03 test nats, 3 min on one core.
made-mushrooms-best, seeds 0 to 4: 9.52 ± 0.03 test nats on average, 2 min each on one core;
the five mixed (autoregress mix): 9.50 ± 0.03.
"""

from autoregress.recipes.made_paper import recipe
from autoregress.recipes.options import MADEOptions, Recipe
from autoregress.training import Training

PAPER = recipe(
    __doc__,
    MADEOptions(hidden=(500,), orderings=8, connectivities=8, activation="softplus", direct=True),
    112,
    eps=1e-5,
)

BEST = Recipe(
    __doc__,
    MADEOptions(hidden=(1000,), orderings=8, direct=True, conditioning=True, dropout=0.3),
    Training(lr=3e-3, ema=0.995, max_epochs=800),
    shape=(112,),
)
