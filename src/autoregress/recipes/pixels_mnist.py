"""Binarised MNIST, as in "Pixel Recurrent Neural Networks" (arXiv 1601.06759), or in hours.

    autoregress train diagonal-bilstm-mnist --data mnist.npz --size 28 28 --run runs/a
    autoregress train gated-pixelcnn-mnist-brief --data mnist.npz --size 28 28 --run runs/b

The paper gives RMSProp, batches of 16 and, for the Diagonal BiLSTM, 7 layers of 16 features; it
does not give the learning rate, nor the sizes of the other two, which are ours. The Gated PixelCNN
is of a later paper (arXiv 1606.05328), with settings of ours. It, the brief and the deep runs have
a learning rate that falls to 0 and averaged weights; the deep ones are for a GPU. Figures:
docs/results/pixels.md.
"""

from dataclasses import replace

from autoregress.configs import PixelConfig
from autoregress.recipes.recipe import Recipe
from autoregress.training.options import Training

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


def deep(epochs: int) -> Training:
    return replace(falling(epochs, 3e-3), batch_size=64, patience=0)


def recipe(
    about: str, kind: str, config: PixelConfig, training: Training, measured: str | None = None
) -> Recipe:
    return Recipe(
        about,
        kind,
        config,
        training,
        "the static binarisation of Salakhutdinov and Murray (2008), as arrays train, valid, test",
        measured,
        shape=(1, 28, 28),
        levels=2,
    )


PIXELCNN = PixelConfig(layers=7, features=32, head=32)
PIXELCNN_WIDE = PixelConfig(layers=8, features=32, kernel=9, head=64, dropout=0.1)
GATED = PixelConfig(layers=8, features=64, head=64)
DEEP = PixelConfig(layers=15, features=64, head=64)
GATED_DEEP = PixelConfig(layers=12, features=64, head=64)
GATED_BRIEF = PixelConfig(layers=8, features=32, head=32)
GATED_WIDE = PixelConfig(layers=6, features=32, kernel=9, head=64, dropout=0.1)
LSTM = PixelConfig(layers=7, features=16, head=32)
LSTM_WIDE = PixelConfig(layers=7, features=16, kernel=9, head=32)
LSTM_LARGE = PixelConfig(layers=7, features=32, kernel=9, head=64, dropout=0.15)
LSTM_DEEP = PixelConfig(layers=7, features=32, head=64)

RECIPES = {
    "pixelcnn-mnist": recipe(
        "PixelCNN on binarised MNIST, as in its paper.", "PixelCNN", PIXELCNN, PAPER
    ),
    "pixelcnn-mnist-brief": recipe(
        "PixelCNN on binarised MNIST, briefly.",
        "PixelCNN",
        PIXELCNN,
        falling(8, 6e-3),
        "87.81 ± 0.40 test nats with seed 0, 88 min on one core",
    ),
    "pixelcnn-mnist-deep": recipe(
        "PixelCNN of 15 layers on binarised MNIST, for a GPU.",
        "PixelCNN",
        DEEP,
        deep(11),
        "82.97 ± 0.40 test nats with seed 0, 6 min on an H200 beside another run",
    ),
    "pixelcnn-mnist-wide": recipe(
        "PixelCNN with kernels of 9 on binarised MNIST, in two hours.",
        "PixelCNN",
        PIXELCNN_WIDE,
        falling(12, 6e-3),
        "80.76 ± 0.39 test nats with seed 0, 114 min on one core beside other work",
    ),
    "gated-pixelcnn-mnist": recipe(
        "Gated PixelCNN on binarised MNIST.",
        "GatedPixelCNN",
        GATED,
        falling(6, 2e-3),
        "84.02 ± 0.39 test nats with seed 0, 80 min on one core",
    ),
    "gated-pixelcnn-mnist-deep": recipe(
        "Gated PixelCNN of 12 layers on binarised MNIST, for a GPU.",
        "GatedPixelCNN",
        GATED_DEEP,
        deep(10),
        "81.99 ± 0.39 test nats with seed 0, 6 min on an H200 beside another run",
    ),
    "gated-pixelcnn-mnist-wide": recipe(
        "Gated PixelCNN with kernels of 9 on binarised MNIST, in two hours.",
        "GatedPixelCNN",
        GATED_WIDE,
        falling(11, 2e-3),
        "80.14 ± 0.39 test nats with seed 0, 119 min on one core beside other work",
    ),
    "gated-pixelcnn-mnist-brief": recipe(
        "Gated PixelCNN on binarised MNIST, briefly.",
        "GatedPixelCNN",
        GATED_BRIEF,
        falling(5, 6e-3),
    ),
    "row-lstm-mnist": recipe(
        "Row LSTM on binarised MNIST, as in its paper.", "RowLSTM", LSTM, PAPER
    ),
    "row-lstm-mnist-brief": recipe(
        "Row LSTM on binarised MNIST, briefly.",
        "RowLSTM",
        LSTM,
        falling(18, 6e-3),
        "82.09 ± 0.40 test nats with seed 0, 128 min on one core",
    ),
    "row-lstm-mnist-wide": recipe(
        "Row LSTM with kernels of 9 on binarised MNIST, in two hours.",
        "RowLSTM",
        LSTM_WIDE,
        falling(12, 5e-3),
        "80.74 ± 0.39 test nats with seed 0, 123 min on one core beside other work",
    ),
    "row-lstm-mnist-large": recipe(
        "Row LSTM with kernels of 9 and twice the width on binarised MNIST, for a GPU.",
        "RowLSTM",
        LSTM_LARGE,
        replace(falling(10, 4e-3), batch_size=64, patience=0),
        "79.86 ± 0.39 test nats with seed 0, 9 min on an H200 beside other runs and 66 on one core",
    ),
    "diagonal-bilstm-mnist": recipe(
        "Diagonal BiLSTM on binarised MNIST, as in its paper.", "DiagonalBiLSTM", LSTM, PAPER
    ),
    "diagonal-bilstm-mnist-brief": recipe(
        "Diagonal BiLSTM on binarised MNIST, briefly.",
        "DiagonalBiLSTM",
        LSTM,
        falling(5, 6e-3),
        "80.27 ± 0.39 test nats with seed 0, 94 min on one core",
    ),
    "diagonal-bilstm-mnist-deep": recipe(
        "Diagonal BiLSTM of twice the width on binarised MNIST, for a GPU.",
        "DiagonalBiLSTM",
        LSTM_DEEP,
        replace(
            deep(33),
            batch_size=256,
            shift=1,
            lr=5e-3,
            schedule="linear",
            warmup=300,
            ema=0.998,
        ),
        "79.61 ± 0.39 test nats with seed 0, 12 min on an H200 beside another run",
    ),
}
