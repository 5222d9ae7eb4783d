"""scikit-learn's digits, with all 17 levels of grey.

autoregress train gated-pixelcnn-digits --data digits.npz --run runs/digits
"""

from autoregress.configs import PixelConfig
from autoregress.recipes.recipe import Recipe
from autoregress.training.options import Training

TRAINING = Training(
    max_epochs=25,
    batch_size=32,
    lr=8e-3,
    weight_decay=1.0,
    schedule="cosine",
    warmup=50,
    clip=50.0,
    ema=0.99,
)


def recipe(name: str, kind: str, config: PixelConfig, measured: str) -> Recipe:
    return Recipe(
        f"{name} on scikit-learn's digits.",
        kind,
        config,
        TRAINING,
        "the rows of autoregress.data.digits_splits() as arrays train, valid and test",
        f"{measured} by make gallery, seed 0; make demo trains for 12 epochs",
        shape=(1, 8, 8),
        levels=17,
    )


RECIPES = {
    "pixelcnn-digits": recipe(
        "PixelCNN",
        "PixelCNN",
        PixelConfig(layers=4, features=24),
        "81.16 ± 0.67 test nats in 23 CPU seconds",
    ),
    "gated-pixelcnn-digits": recipe(
        "Gated PixelCNN",
        "GatedPixelCNN",
        PixelConfig(layers=4, features=32),
        "78.34 ± 0.64 test nats in 36 CPU seconds",
    ),
    "row-lstm-digits": recipe(
        "Row LSTM",
        "RowLSTM",
        PixelConfig(layers=3, features=24),
        "79.24 ± 0.67 test nats in 33 CPU seconds",
    ),
    "diagonal-bilstm-digits": recipe(
        "Diagonal BiLSTM",
        "DiagonalBiLSTM",
        PixelConfig(layers=2, features=24),
        "79.29 ± 0.67 test nats in 36 CPU seconds",
    ),
}
