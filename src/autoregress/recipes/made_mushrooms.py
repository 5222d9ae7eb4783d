"""Mushrooms as in the MADE paper; with -best, as well as we can.

autoregress train made-mushrooms --data mushrooms.npz --run runs/mushrooms
autoregress train made-mushrooms-best --data mushrooms.npz --run runs/mushrooms-best
"""

from dataclasses import replace

from autoregress.configs import MADEConfig
from autoregress.recipes.recipe import Recipe
from autoregress.recipes.uci import ADADELTA
from autoregress.training.options import Training

DATA = "mushrooms.npz: the paper's split, as arrays train, valid and test"

RECIPES = {
    "made-mushrooms": Recipe(
        "Mushrooms as in the MADE paper.",
        "MADE",
        MADEConfig(
            hidden=(500,), orderings=8, connectivities=8, activation="softplus", direct=True
        ),
        replace(ADADELTA, eps=1e-5),
        DATA,
        "9.63 ± 0.03 test nats with seed 0, 3 min on one core",
        shape=(112,),
    ),
    "made-mushrooms-best": Recipe(
        "Mushrooms, as well as we can.",
        "MADE",
        MADEConfig(hidden=(1000,), orderings=8, direct=True, conditioning=True, dropout=0.3),
        Training(start="random", lr=3e-3, ema=0.995, max_epochs=800),
        DATA,
        "9.52 ± 0.03 test nats on average over seeds 0 to 4, 2 min each on one core; "
        "the five mixed (autoregress mix): 9.50 ± 0.03",
        shape=(112,),
    ),
}
