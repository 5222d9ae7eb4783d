"""CIFAR-10, as in "Pixel Recurrent Neural Networks".

    autoregress train diagonal-bilstm-cifar10 --data cifar-10-batches-bin --device cuda --run runs/a

The folder holds the files of CIFAR-10's binary version. The paper has 12 layers of 128 features for
the LSTMs and 15 for PixelCNN, 1024 maps before the output, RMSProp and batches of 16, and reports
3.14 (PixelCNN), 3.07 (Row LSTM) and 3.00 (Diagonal BiLSTM) bits/dim; the learning rate is not
given, and ours. Not run yet: no figure.
"""

from autoregress.recipes.options import (
    DiagonalBiLSTMOptions,
    PixelCNNOptions,
    PixelOptions,
    Recipe,
    RowLSTMOptions,
)
from autoregress.training import Training

TRAINING = Training(
    start="random",
    optimiser="rmsprop",
    lr=3e-4,
    batch_size=16,
    max_epochs=100,
    patience=10,
    precision="bfloat16",
)

RECIPES: dict[str, Recipe[PixelOptions]] = {
    "pixelcnn-cifar10": Recipe(
        f"PixelCNN on CIFAR-10, as in the paper.\n{__doc__}",
        PixelCNNOptions(layers=15, features=128, head=1024, levels="nominal"),
        TRAINING,
    ),
    "row-lstm-cifar10": Recipe(
        f"Row LSTM on CIFAR-10, as in the paper.\n{__doc__}",
        RowLSTMOptions(layers=12, features=128, head=1024, levels="nominal"),
        TRAINING,
    ),
    "diagonal-bilstm-cifar10": Recipe(
        f"Diagonal BiLSTM on CIFAR-10, as in the paper.\n{__doc__}",
        DiagonalBiLSTMOptions(layers=12, features=128, head=1024, levels="nominal"),
        TRAINING,
    ),
}
