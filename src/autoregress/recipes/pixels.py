"""Image models on data of your own: a folder of images, or an array of them.

autoregress train gated-pixelcnn --data images/ --size 32 32 --run runs/mine
autoregress train pixelcnn --data images.npz --run runs/mine
autoregress train row-lstm --data images/ --grey True --levels 16 --run runs/mine
autoregress train diagonal-bilstm --data images/ --run runs/mine
"""

from autoregress.configs import PixelConfig
from autoregress.recipes.recipe import Recipe
from autoregress.training.options import Training

ABOUT = """{} on images of your own.

It is of a size that one core of a CPU trains in minutes on some hundred photos of 32×32 pixels;
--layers and --features make it larger.
"""

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

RECIPES = {
    "gated-pixelcnn": Recipe(
        ABOUT.format("Gated PixelCNN"),
        "GatedPixelCNN",
        PixelConfig(layers=6, features=64),
        TRAINING,
    ),
    "pixelcnn": Recipe(
        ABOUT.format("PixelCNN"), "PixelCNN", PixelConfig(layers=8, features=48), TRAINING
    ),
    "row-lstm": Recipe(
        ABOUT.format("Row LSTM"), "RowLSTM", PixelConfig(layers=6, features=32), TRAINING
    ),
    "diagonal-bilstm": Recipe(
        ABOUT.format("Diagonal BiLSTM"),
        "DiagonalBiLSTM",
        PixelConfig(layers=4, features=32),
        TRAINING,
    ),
}
