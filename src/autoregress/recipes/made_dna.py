"""DNA as in the MADE paper; with -best, as well as we can.

autoregress train made-dna --data dna.npz --run runs/dna
autoregress train made-dna-best --data dna.npz --run runs/dna-best
"""

from autoregress.recipes.made_paper import recipe
from autoregress.recipes.options import MADEOptions, Recipe
from autoregress.training import Training

PAPER = recipe(__doc__, MADEOptions(hidden=(500,), orderings=32, connectivities=32))

BEST = Recipe(
    __doc__,
    MADEOptions(hidden=(500,), orderings="any", direct=True, conditioning=True, dropout=0.1),
    Training(lr=2e-3, ema=0.999, max_epochs=2500, patience=100),
)
