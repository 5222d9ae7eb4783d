"""ImageNet at 32×32 and 64×64, as in "Pixel Recurrent Neural Networks" (arXiv 1601.06759).

autoregress train row-lstm-imagenet32 --data train_32x32 --valid valid_32x32 --run runs/a
"""

from autoregress.configs import PixelConfig
from autoregress.recipes.recipe import Recipe
from autoregress.training.options import Training

ABOUT = """Row LSTM on ImageNet at {}, as in its paper.

The paper has a Row LSTM of 12 layers of 384 features in batches of 64 for images of 32×32, and of 4
layers of 512 features, without residual connections, in batches of 32 for 64×64, and reports 3.86
and 3.63 bits/dim on the validation images.
"""
DATA = "folders of the training and the validation images of that size"

RECIPES = {
    "row-lstm-imagenet32": Recipe(
        ABOUT.format("32×32"),
        "RowLSTM",
        PixelConfig(layers=12, features=384, head=1024, ordered=False),
        Training(
            start="random",
            optimiser="rmsprop",
            lr=3e-4,
            batch_size=64,
            max_epochs=20,
            precision="bfloat16",
        ),
        DATA,
    ),
    "row-lstm-imagenet64": Recipe(
        ABOUT.format("64×64"),
        "RowLSTM",
        PixelConfig(layers=4, features=512, head=1024, residual=False, ordered=False),
        Training(
            start="random",
            optimiser="rmsprop",
            lr=3e-4,
            batch_size=32,
            max_epochs=20,
            precision="bfloat16",
        ),
        DATA,
        shape=(3, 64, 64),
    ),
}
