"""Binarised MNIST, as in "Pixel Recurrent Neural Networks"; with -brief, in hours.

    autoregress train diagonal-bilstm-mnist --data mnist.npz --size 28 28 --run runs/a
    autoregress train gated-pixelcnn-mnist-brief --data mnist.npz --size 28 28 --run runs/b

The file holds the rows of the static binarisation of Salakhutdinov and Murray (2008) as train,
valid and test. The paper gives RMSProp, batches of 16 and, for the Diagonal BiLSTM, 7 layers of 16
features; it does not give the learning rate, nor the sizes of the other two, which are ours.

The Gated PixelCNN is of a later paper, with settings of ours. It and the brief runs have a learning
rate that falls to 0 and averaged weights; they take one core of a CPU an hour or two. Figures:
docs/results/pixels.md.
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

PAPER = Training(
    start="random", optimiser="rmsprop", lr=1e-3, batch_size=16, max_epochs=200, patience=10
)


def falling(epochs: int, lr: float) -> Training:
    return Training(
        start="random",
        max_epochs=epochs,
        batch_size=32,
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


def recipe(about: str, model: PixelOptions, training: Training) -> Recipe[PixelOptions]:
    return Recipe(f"{about}\n{__doc__}", model, training, shape=(1, 28, 28), symbols=2)


RECIPES: dict[str, Recipe[PixelOptions]] = {
    "pixelcnn-mnist": recipe("PixelCNN on binarised MNIST, as in the paper.", PIXELCNN, PAPER),
    "pixelcnn-mnist-brief": recipe(
        "PixelCNN on binarised MNIST, briefly.", PIXELCNN, falling(8, 6e-3)
    ),
    "gated-pixelcnn-mnist": recipe(
        "Gated PixelCNN on binarised MNIST, in an hour and a half.",
        GatedPixelCNNOptions(layers=8, features=64, head=64),
        falling(6, 2e-3),
    ),
    "gated-pixelcnn-mnist-brief": recipe(
        "Gated PixelCNN on binarised MNIST, briefly.", GATED, falling(5, 6e-3)
    ),
    "row-lstm-mnist": recipe("Row LSTM on binarised MNIST, as in the paper.", ROW, PAPER),
    "row-lstm-mnist-brief": recipe("Row LSTM on binarised MNIST, briefly.", ROW, falling(18, 6e-3)),
    "diagonal-bilstm-mnist": recipe(
        "Diagonal BiLSTM on binarised MNIST, as in the paper.", DIAGONAL, PAPER
    ),
    "diagonal-bilstm-mnist-brief": recipe(
        "Diagonal BiLSTM on binarised MNIST, briefly.", DIAGONAL, falling(5, 6e-3)
    ),
}
