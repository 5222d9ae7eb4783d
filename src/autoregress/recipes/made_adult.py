"""Adult as in the MADE paper; with -best, as well as we can.

    autoregress train made-adult --data adult.npz --run runs/adult
    autoregress train made-adult-best --data adult.npz --run runs/adult-best

made-adult, seed 0: 13.11 ± 0.04 test nats, 3 min on one core.
made-adult-best, seeds 0 to 4: 13.07 ± 0.04 test nats on average, 2 min each on one core;
the five mixed (autoregress mix): 13.02 ± 0.04.
"""

from autoregress.recipes.made_paper import recipe
from autoregress.recipes.options import MADEOptions, Recipe
from autoregress.training import Training

PAPER = recipe(
    __doc__,
    MADEOptions(hidden=(500,), orderings=1, activation="softplus", direct=True),
    123,
    eps=1e-9,
)

BEST = Recipe(
    __doc__,
    MADEOptions(hidden=(1000,), orderings=4, direct=True, conditioning=True, dropout=0.4),
    Training(ema=0.995, max_epochs=400),
    shape=(123,),
)
