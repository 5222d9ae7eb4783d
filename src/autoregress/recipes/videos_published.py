"""Moving MNIST, BAIR robot pushing and Kinetics-600, as the Video Transformer's paper has them.

    autoregress train video-bair --data bair/train --valid bair/valid --device cuda --run runs/bair
    autoregress train video-kinetics600 --data kinetics/train --valid kinetics/valid \\
        --device cuda --run runs/kinetics
    autoregress train video-moving-mnist --data moving.npz --device cuda --run runs/moving

All are of 64 × 64 pixels. BAIR: a folder of its films, 16 frames, one of them known. Kinetics-600:
a folder of its videos, of which the centre is cropped and scaled, 16 frames, five known; also as
-large. Moving MNIST: an array train (N, 20, 1, 64, 64), such as
``ar.data.moving_mnist(10_000, images=…).data().x``, of which ten frames are known; the published
figures are of training on clips that are made as they are needed,
``ar.fit(model, ar.data.moving_mnist(10**7, images=…), …)``.

The paper's optimiser and sizes, and what they take of memory and time, are those of video-base and
video-large (:mod:`autoregress.recipes.videos`). The mixture of numbers of known frames is ours: one
time in four none, so that the clip as a whole is learned too. The data could not be had here: the
recipes have been tried on generated clips of these shapes only, and there is no figure.
"""

from autoregress.recipes.options import Recipe, VideoTransformerOptions
from autoregress.recipes.videos import BASE_STEPS, LARGE, LARGE_STEPS, PAPER

CLIPS = {"frames": 16, "size": (64, 64)}

RECIPES: dict[str, Recipe[VideoTransformerOptions]] = {
    "video-bair": Recipe(
        f"Video Transformer on BAIR robot pushing.\n{__doc__}",
        VideoTransformerOptions(priming=(0, 1, 1, 1)),
        PAPER,
        CLIPS,
        steps=BASE_STEPS,
    ),
    "video-kinetics600": Recipe(
        f"Video Transformer on Kinetics-600.\n{__doc__}",
        VideoTransformerOptions(priming=(0, 5, 5, 5)),
        PAPER,
        CLIPS,
        steps=BASE_STEPS,
    ),
    "video-kinetics600-large": Recipe(
        f"The large Video Transformer on Kinetics-600.\n{__doc__}",
        VideoTransformerOptions(priming=(0, 5, 5, 5), **LARGE),
        PAPER,
        CLIPS,
        steps=LARGE_STEPS,
    ),
    "video-moving-mnist": Recipe(
        f"Video Transformer on Moving MNIST.\n{__doc__}",
        VideoTransformerOptions(subscale=(5, 2, 2), priming=(0, 10, 10, 10)),
        PAPER,
        shape=(20, 1, 64, 64),
        steps=BASE_STEPS,
    ),
}
