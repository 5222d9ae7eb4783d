"""CIFAR-10, as in "Pixel Recurrent Neural Networks" (arXiv 1601.06759).

autoregress train diagonal-bilstm-cifar10 --data cifar-10-batches-bin --run runs/a
"""

from autoregress.configs import PixelConfig
from autoregress.recipes.recipe import Recipe
from autoregress.training.options import Training

ABOUT = """{} on CIFAR-10, as in its paper.

The paper has 12 layers of 128 features for the LSTMs and 15 for PixelCNN, 1024 maps before the
output, RMSProp and batches of 16, and reports 3.14 (PixelCNN), 3.07 (Row LSTM) and 3.00 (Diagonal
BiLSTM) bits/dim. Its learning rate is not given; this one is ours.
"""
DATA = "the files of CIFAR-10's binary version"

TRAINING = Training(
    start="random",
    optimiser="rmsprop",
    lr=3e-4,
    batch_size=16,
    max_epochs=100,
    patience=10,
    precision="bfloat16",
)

RECIPES = {
    "pixelcnn-cifar10": Recipe(
        ABOUT.format("PixelCNN"),
        "PixelCNN",
        PixelConfig(layers=15, features=128, head=1024, ordered=False),
        TRAINING,
        DATA,
    ),
    "row-lstm-cifar10": Recipe(
        ABOUT.format("Row LSTM"),
        "RowLSTM",
        PixelConfig(layers=12, features=128, head=1024, ordered=False),
        TRAINING,
        DATA,
    ),
    "diagonal-bilstm-cifar10": Recipe(
        ABOUT.format("Diagonal BiLSTM"),
        "DiagonalBiLSTM",
        PixelConfig(layers=12, features=128, head=1024, ordered=False),
        TRAINING,
        DATA,
    ),
}
