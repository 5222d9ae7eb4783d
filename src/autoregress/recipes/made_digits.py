"""MADE on scikit-learn's digits in black and white, for completing from any subset.

    autoregress train made-digits --data digits.npz --run runs/digits

One core is faster than two (OMP_NUM_THREADS=1), as the matrices are small.
"""

from autoregress.configs import MADEConfig
from autoregress.recipes.recipe import Recipe
from autoregress.training.options import Training

RECIPES = {
    "made-digits": Recipe(
        "MADE on scikit-learn's digits in black and white, for completing from any subset.",
        "MADE",
        MADEConfig(
            hidden=(1024,),
            orderings="any",
            direct=True,
            conditioning=True,
            norm=True,
            dropout=0.3,
        ),
        Training(
            start="random",
            max_epochs=300,
            patience=80,
            lr=2e-3,
            schedule="cosine",
            weight_decay=0.1,
            ema=0.99,
        ),
        "the rows of autoregress.data.digits_splits(threshold=8) as arrays train, valid and test",
        "17.76 ± 0.20 nats a digit on valid and on test with seed 0 and the mixture of 8 "
        "orderings, 40 s on one core",
        shape=(1, 8, 8),
    ),
}
