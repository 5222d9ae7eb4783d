"""OCR letters as in the MADE paper; with -best, as well as we can.

    autoregress train made-ocr-letters --data ocr_letters.npz --run runs/ocr_letters
    autoregress train made-ocr-letters-best --data ocr_letters.npz --run runs/ocr_letters-best

made-ocr-letters, seed 0: 28.19 ± 0.22 test nats, 4 min on one core.
made-ocr-letters-best, seeds 0 to 2: 26.24 ± 0.19 test nats on average, 5 min each on one core;
the three mixed (autoregress mix): 25.92 ± 0.18.
"""

from autoregress.recipes.made_paper import recipe
from autoregress.recipes.options import MADEOptions, Recipe
from autoregress.training import Training

PAPER = recipe(
    __doc__, MADEOptions(hidden=(500,), orderings=1, activation="softplus", direct=True), 128
)

BEST = Recipe(
    __doc__,
    MADEOptions(hidden=(1500,), direct=True, dropout=0.3),
    Training(lr=5e-4, ema=0.999, max_epochs=100),
    shape=(128,),
)
