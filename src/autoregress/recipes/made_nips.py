"""NIPS 0-12 as in the MADE paper; with -best, as well as we can.

    autoregress train made-nips --data nips.npz --run runs/nips
    autoregress train made-nips-best --data nips.npz --run runs/nips-best

made-nips, seed 0: 276.17 ± 1.00 test nats, 3 min on one core.
made-nips-best, seeds 0 to 4: 274.68 ± 1.07 test nats on average, 1 min each on one core;
the five mixed (autoregress mix): 273.84 ± 1.06.
"""

from autoregress.recipes.made_paper import recipe
from autoregress.recipes.options import MADEOptions, Recipe
from autoregress.training import Training

PAPER = recipe(
    __doc__,
    MADEOptions(
        hidden=(500, 500), orderings=16, connectivities=16, activation="softplus", direct=True
    ),
    500,
    eps=1e-9,
)

BEST = Recipe(
    __doc__,
    MADEOptions(hidden=(2000,), orderings=8, direct=True, conditioning=True, dropout=0.5),
    Training(ema=0.995, max_epochs=400),
    shape=(500,),
)
