"""OCR letters as in the MADE paper; with -best, as well as we can.

autoregress train made-ocr-letters --data ocr_letters.npz --run runs/ocr_letters
autoregress train made-ocr-letters-best --data ocr_letters.npz --run runs/ocr_letters-best
"""

from autoregress.configs import MADEConfig
from autoregress.recipes.recipe import Recipe
from autoregress.recipes.uci import ADADELTA
from autoregress.training.options import Training

DATA = "ocr_letters.npz: the paper's split, as arrays train, valid and test"

RECIPES = {
    "made-ocr-letters": Recipe(
        "OCR letters as in the MADE paper.",
        "MADE",
        MADEConfig(hidden=(500,), orderings=1, activation="softplus", direct=True),
        ADADELTA,
        DATA,
        "28.19 ± 0.22 test nats with seed 0, 4 min on one core",
        shape=(128,),
    ),
    "made-ocr-letters-best": Recipe(
        "OCR letters, as well as we can.",
        "MADE",
        MADEConfig(hidden=(1500,), direct=True, dropout=0.3),
        Training(start="random", lr=5e-4, ema=0.999, max_epochs=100),
        DATA,
        "26.24 ± 0.19 test nats on average over seeds 0 to 2, 5 min each on one core; "
        "the three mixed (autoregress mix): 25.92 ± 0.18",
        shape=(128,),
    ),
}
