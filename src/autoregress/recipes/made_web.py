"""Web as in the MADE paper; with -best, as well as we can.

    autoregress train made-web --data web.npz --run runs/web
    autoregress train made-web-best --data web.npz --run runs/web-best

made-web, seed 0: 28.18 ± 0.20 test nats, 8 min on one core.
made-web-best, seeds 0 to 4: 28.19 ± 0.20 test nats on average, 2 to 4 min each on one core; the
five mixed (autoregress mix): 27.82 ± 0.20. Trained on a reconstruction of the paper's cut into
train and validation.
"""

from autoregress.recipes.made_paper import recipe
from autoregress.recipes.options import MADEOptions, Recipe
from autoregress.training import Training

PAPER = recipe(__doc__, MADEOptions(hidden=(500,), orderings=8, connectivities=8, direct=True), 300)

BEST = Recipe(
    __doc__,
    MADEOptions(hidden=(1000,), orderings=1, direct=True, dropout=0.5),
    Training(lr=5e-4, ema=0.995, max_epochs=400),
    shape=(300,),
)
