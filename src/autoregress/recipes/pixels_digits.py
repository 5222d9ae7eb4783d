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


def recipe(name: str, kind: str, config: PixelConfig) -> Recipe:
    return Recipe(
        f"{name} on scikit-learn's digits.",
        kind,
        config,
        TRAINING,
        "the rows of autoregress.data.digits_splits() as arrays train, valid and test",
        "part of make gallery; make demo trains for 12 epochs",
        shape=(1, 8, 8),
        levels=17,
    )


RECIPES = {
    "pixelcnn-digits": recipe("PixelCNN", "PixelCNN", PixelConfig(layers=4, features=24)),
    "gated-pixelcnn-digits": recipe(
        "Gated PixelCNN", "GatedPixelCNN", PixelConfig(layers=4, features=32)
    ),
    "row-lstm-digits": recipe("Row LSTM", "RowLSTM", PixelConfig(layers=3, features=24)),
    "diagonal-bilstm-digits": recipe(
        "Diagonal BiLSTM", "DiagonalBiLSTM", PixelConfig(layers=2, features=24)
    ),
}
