"""Moving MNIST, BAIR robot pushing and Kinetics-600, as in "Scaling Autoregressive Video Models"
(arXiv 1906.02634).

    autoregress train video-bair --data bair/train --valid bair/valid --run runs/bair
    autoregress train video-kinetics600 --data kinetics/train --valid kinetics/valid --run runs/k600
    autoregress train video-moving-mnist --data moving.npz --run runs/moving

The paper's optimiser and sizes, and their memory and time, are those of video-base and video-large
(:mod:`autoregress.recipes.videos`). The mixture of numbers of known frames is ours: none in one
case out of four, so that whole clips are learned too. The data was not available here; the recipes
have been tried only on generated clips of these shapes.
"""

from autoregress.configs import VideoTransformerConfig
from autoregress.recipes.recipe import Recipe
from autoregress.recipes.videos import BASE_STEPS, LARGE_STEPS, PAPER

CLIPS = {"frames": 16, "size": (64, 64)}
BAIR = "a folder of BAIR's videos: clips of 16 frames of 64 × 64 pixels, with one frame known"
KINETICS = (
    "a folder of Kinetics-600's videos, whose centres are cropped and scaled to 64 × 64 pixels: "
    "clips of 16 frames, with five known"
)
MOVING = (
    "an array train (N, 20, 1, 64, 64) such as ar.data.moving_mnist(10_000, images=…).data().x, "
    "with ten frames of each clip known. Published figures are for clips generated on demand: "
    "ar.fit(model, ar.data.moving_mnist(10**7, images=…), …)"
)

RECIPES = {
    "video-bair": Recipe(
        "Video Transformer on BAIR robot pushing.",
        "VideoTransformer",
        VideoTransformerConfig.base(priming=(0, 1, 1, 1)),
        PAPER,
        BAIR,
        reading=CLIPS,
        steps=BASE_STEPS,
    ),
    "video-kinetics600": Recipe(
        "Video Transformer on Kinetics-600.",
        "VideoTransformer",
        VideoTransformerConfig.base(priming=(0, 5, 5, 5)),
        PAPER,
        KINETICS,
        reading=CLIPS,
        steps=BASE_STEPS,
    ),
    "video-kinetics600-large": Recipe(
        "The large Video Transformer on Kinetics-600.",
        "VideoTransformer",
        VideoTransformerConfig.large(priming=(0, 5, 5, 5)),
        PAPER,
        KINETICS,
        reading=CLIPS,
        steps=LARGE_STEPS,
    ),
    "video-moving-mnist": Recipe(
        "Video Transformer on Moving MNIST.",
        "VideoTransformer",
        VideoTransformerConfig.base(subscale=(5, 2, 2), priming=(0, 10, 10, 10)),
        PAPER,
        MOVING,
        shape=(20, 1, 64, 64),
        steps=BASE_STEPS,
    ),
}
