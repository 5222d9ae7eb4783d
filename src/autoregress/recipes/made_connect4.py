"""Connect-4 as in the MADE paper; with -best, as well as we can.

    autoregress train made-connect4 --data connect4.npz --run runs/connect4
    autoregress train made-connect4-best --data connect4.npz --run runs/connect4-best

made-connect4, seed 0: 11.91 ± 0.01 test nats, 15 min on one core.
made-connect4-best, seeds 0 to 2: 11.57 ± 0.01 test nats on average, 3 min each on one core;
the three mixed (autoregress mix): 11.56 ± 0.01.
"""

from autoregress.recipes.made_paper import recipe
from autoregress.recipes.options import MADEOptions, Recipe
from autoregress.training import Training

PAPER = recipe(
    __doc__,
    MADEOptions(hidden=(500,), orderings=8, connectivities=8, activation="softplus", direct=True),
    126,
)

BEST = Recipe(
    __doc__,
    MADEOptions(hidden=(1000,), direct=True, dropout=0.5),
    Training(lr=5e-4, ema=0.995, max_epochs=400),
    shape=(126,),
)
