"""Image models on data of your own: a folder of images, or an array of them.

    autoregress train gated-pixelcnn --data images/ --size 32 32 --run runs/mine
    autoregress train pixelcnn --data images.npz --run runs/mine
    autoregress train row-lstm --data images/ --grey True --levels 16 --run runs/mine
    autoregress train diagonal-bilstm --data images/ --run runs/mine

Of a size that one core of a CPU trains in minutes on some hundred photos of 32×32 pixels;
--layers and --features make it larger. Figures of the Gated PixelCNN: docs/results/photos.md.
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
    max_epochs=100,
    batch_size=8,
    lr=3e-3,
    warmup=50,
    clip=100.0,
    ema=0.995,
    precision="bfloat16",
    patience=10,
)

RECIPES: dict[str, Recipe[PixelOptions]] = {
    "pixelcnn": Recipe(
        f"PixelCNN on images of your own.\n{__doc__}",
        PixelCNNOptions(layers=8, features=48),
        TRAINING,
    ),
    "gated-pixelcnn": Recipe(
        f"Gated PixelCNN on images of your own.\n{__doc__}",
        GatedPixelCNNOptions(layers=6, features=64),
        TRAINING,
    ),
    "row-lstm": Recipe(
        f"Row LSTM on images of your own.\n{__doc__}",
        RowLSTMOptions(layers=6, features=32),
        TRAINING,
    ),
    "diagonal-bilstm": Recipe(
        f"Diagonal BiLSTM on images of your own.\n{__doc__}",
        DiagonalBiLSTMOptions(layers=4, features=32),
        TRAINING,
    ),
}
