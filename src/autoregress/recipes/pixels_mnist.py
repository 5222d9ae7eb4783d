"""Binarised MNIST, as in "Pixel Recurrent Neural Networks"; with -brief, within the hour.

    autoregress train diagonal-bilstm-mnist --data mnist.npz --size 28 28 --run runs/a
    autoregress train gated-pixelcnn-mnist-brief --data mnist.npz --size 28 28 --run runs/b

The file holds the rows of the static binarisation of Salakhutdinov and Murray (2008) as train,
valid and test. The paper gives RMSProp, batches of 16 and, for the Diagonal BiLSTM, 7 layers of 16
features; it does not give the learning rate, nor the sizes of the other two, which are ours.

The Gated PixelCNN is of a later paper, with settings of ours. It and the brief runs have a learning
rate that falls to 0 and averaged weights. Figures: docs/results/pixels.md.
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

PAPER = Training(optimiser="rmsprop", lr=1e-3, batch_size=16, max_epochs=200, patience=10)


def falling(epochs: int, lr: float, batch_size: int = 32) -> Training:
    return Training(
        max_epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        schedule="cosine",
        warmup=500,
        clip=100.0,
        ema=0.999,
        precision="bfloat16",
    )


PIXELCNN = PixelCNNOptions(layers=7, features=32, head=32)
GATED = GatedPixelCNNOptions(layers=8, features=32, head=32)
ROW = RowLSTMOptions(layers=7, features=16, head=32)
DIAGONAL = DiagonalBiLSTMOptions(layers=7, features=16, head=32)

RECIPES: dict[str, Recipe[PixelOptions]] = {
    "pixelcnn-mnist": Recipe(
        f"PixelCNN on binarised MNIST, as in the paper.\n{__doc__}", PIXELCNN, PAPER
    ),
    "pixelcnn-mnist-brief": Recipe(
        f"PixelCNN on binarised MNIST, briefly.\n{__doc__}", PIXELCNN, falling(8, 6e-3)
    ),
    "gated-pixelcnn-mnist": Recipe(
        f"Gated PixelCNN on binarised MNIST, in two hours and a half.\n{__doc__}",
        GatedPixelCNNOptions(layers=8, features=64, head=64),
        falling(10, 2e-3, batch_size=16),
    ),
    "gated-pixelcnn-mnist-brief": Recipe(
        f"Gated PixelCNN on binarised MNIST, briefly.\n{__doc__}", GATED, falling(5, 6e-3)
    ),
    "row-lstm-mnist": Recipe(
        f"Row LSTM on binarised MNIST, as in the paper.\n{__doc__}", ROW, PAPER
    ),
    "row-lstm-mnist-brief": Recipe(
        f"Row LSTM on binarised MNIST, briefly.\n{__doc__}", ROW, falling(6, 6e-3)
    ),
    "diagonal-bilstm-mnist": Recipe(
        f"Diagonal BiLSTM on binarised MNIST, as in the paper.\n{__doc__}", DIAGONAL, PAPER
    ),
    "diagonal-bilstm-mnist-brief": Recipe(
        f"Diagonal BiLSTM on binarised MNIST, briefly.\n{__doc__}", DIAGONAL, falling(4, 6e-3)
    ),
}
