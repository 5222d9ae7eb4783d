"""Binarised MNIST as in the MADE paper; with -best, as well as we can on one core.

    autoregress train made-mnist --data binarized_mnist.npz --run runs/mnist
    autoregress train made-mnist-best --data binarized_mnist.npz --run runs/mnist-best

made-mnist has two layers of 8000 units and 32 masks, the paper's best by validation; its learning
rate and direct connections are those of the authors' own command. It has 77 million weights: an
update takes 12 s on one core, and so an epoch takes 1 h 40 min. No figure: it wants a GPU.
made-mnist-best, seeds 0 to 11: 88.38 ± 0.45 test nats on average, 9 min each on one core that had
other work beside it; the twelve mixed (autoregress mix): 86.35 ± 0.43.
"""

from autoregress.recipes.options import MADEOptions, Recipe
from autoregress.training import Training

PAPER = Recipe(
    __doc__,
    MADEOptions(hidden=(8000, 8000), orderings=32, connectivities=32, direct=True),
    Training(optimiser="adagrad", lr=0.01, eps=1e-6, patience=30, max_epochs=1000),
    shape=(784,),
)

BEST = Recipe(
    __doc__,
    MADEOptions(hidden=(4000,), orderings=1, direct=True, dropout=0.4),
    Training(lr=2e-3, ema=0.999, max_epochs=16, schedule="linear", precision="bfloat16"),
    shape=(784,),
)
