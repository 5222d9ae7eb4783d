"""DNA as in the MADE paper; with -best, as well as we can.

    autoregress train made-dna --data dna.npz --run runs/dna
    autoregress train made-dna-best --data dna.npz --run runs/dna-best

made-dna, seed 0: 84.67 ± 0.49 test nats,
1 min on one core.
made-dna-best, seeds 0 and 1: 79.62 ± 0.70 test nats on average,
3 min on one core.
The second with 64 orderings.
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
