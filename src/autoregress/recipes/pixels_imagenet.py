"""ImageNet at 32×32 and 64×64, as in "Pixel Recurrent Neural Networks".

    autoregress train row-lstm-imagenet32 --data train_32x32 --valid valid_32x32 \\
        --device cuda --run runs/a

The folders hold the images of that size. The paper has a Row LSTM of 12 layers of 384 features in
batches of 64 for the smaller, and of 4 layers of 512, without residual connections, in batches of
32 for the larger, and reports 3.86 and 3.63 bits/dim on the validation images. Not run yet: no
figure.
"""

from autoregress.recipes.options import PixelOptions, Recipe, RowLSTMOptions
from autoregress.training import Training

RECIPES: dict[str, Recipe[PixelOptions]] = {
    "row-lstm-imagenet32": Recipe(
        f"Row LSTM on ImageNet at 32×32, as in the paper.\n{__doc__}",
        RowLSTMOptions(layers=12, features=384, head=1024, levels="nominal"),
        Training(
            start="random",
            optimiser="rmsprop",
            lr=3e-4,
            batch_size=64,
            max_epochs=20,
            precision="bfloat16",
        ),
    ),
    "row-lstm-imagenet64": Recipe(
        f"Row LSTM on ImageNet at 64×64, as in the paper.\n{__doc__}",
        RowLSTMOptions(layers=4, features=512, head=1024, residual=False, levels="nominal"),
        Training(
            start="random",
            optimiser="rmsprop",
            lr=3e-4,
            batch_size=32,
            max_epochs=20,
            precision="bfloat16",
        ),
        shape=(3, 64, 64),
    ),
}
