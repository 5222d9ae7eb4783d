"""DNA as in the MADE paper; with -best, as well as we can.

    autoregress train made-dna --data dna.npz --run runs/dna
    autoregress train made-dna-best --data dna.npz --run runs/dna-best

made-dna, seed 0: 80.19 ± 0.48 test nats, 2 min on one core.
made-dna-best, seeds 0 to 4: 79.05 ± 0.72 test nats on average, 4 min each on one core;
the five mixed (autoregress mix): 78.20 ± 0.81.
All measured with a thousand orderings (autoregress evaluate --orderings 1000).
"""

from autoregress.recipes.made_paper import recipe
from autoregress.recipes.options import MADEOptions, Recipe
from autoregress.training import Training

PAPER = recipe(
    __doc__,
    MADEOptions(hidden=(500,), orderings="any", connectivities="any", direct=True),
    180,
)

BEST = Recipe(
    __doc__,
    MADEOptions(hidden=(500,), orderings="any", direct=True, conditioning=True, dropout=0.1),
    Training(lr=2e-3, ema=0.999, max_epochs=2500, patience=100),
    shape=(180,),
)
