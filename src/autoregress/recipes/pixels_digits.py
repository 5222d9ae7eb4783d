"""scikit-learn's digits, with all 17 levels of grey.

    autoregress train gated-pixelcnn-digits --data digits.npz --run runs/digits

The file holds the rows of ``autoregress.data.digits_splits()`` as train, valid and test.
"""

from autoregress.recipes.options import (
    DiagonalBiLSTMOptions,
    GatedPixelCNNOptions,
    PixelCNNOptions,
    PixelOptions,
    Recipe,
    RowLSTMOptions,
)
from autoregress.training import Training

TRAINING = Training(
    start="random",
    max_epochs=25,
    batch_size=32,
    lr=8e-3,
    weight_decay=1.0,
    schedule="cosine",
    warmup=50,
    clip=50.0,
    ema=0.99,
)

RECIPES: dict[str, Recipe[PixelOptions]] = {
    "pixelcnn-digits": Recipe(
        f"PixelCNN on scikit-learn's digits.\n{__doc__}",
        PixelCNNOptions(layers=4, features=24, levels="nominal"),
        TRAINING,
        shape=(1, 8, 8),
        symbols=17,
    ),
    "gated-pixelcnn-digits": Recipe(
        f"Gated PixelCNN on scikit-learn's digits.\n{__doc__}",
        GatedPixelCNNOptions(layers=4, features=32, levels="nominal"),
        TRAINING,
        shape=(1, 8, 8),
        symbols=17,
    ),
    "row-lstm-digits": Recipe(
        f"Row LSTM on scikit-learn's digits.\n{__doc__}",
        RowLSTMOptions(layers=3, features=24, levels="nominal"),
        TRAINING,
        shape=(1, 8, 8),
        symbols=17,
    ),
    "diagonal-bilstm-digits": Recipe(
        f"Diagonal BiLSTM on scikit-learn's digits.\n{__doc__}",
        DiagonalBiLSTMOptions(layers=2, features=24, levels="nominal"),
        TRAINING,
        shape=(1, 8, 8),
        symbols=17,
    ),
}
