"""The subscale Video Transformer (arXiv 1906.02634) on clips of your own.

    autoregress train video-small --data clips/ --run runs/clips
    autoregress complete runs/clips clip.mp4 --known-frames 5 --out continued.gif

Estimates by ``autoregress plan`` for clips of 16 × 3 × 64 × 64: weights, gradients, the two moments
of the optimiser and the average take 20 bytes a parameter, 0.9 GB for the paper's base model and
7.5 GB for the large one. In training, a slice of a clip takes a further 1.0 GiB for base and 2.8
GiB for large in bfloat16, and about twice that in float32 without fused attention. --accumulate
processes the clips of an update in parts, and --checkpointing stores only the inputs of each layer.
An update takes 8e13 operations for base and 6e14 for large; at 4e14 a second, 0.2 s and 1.5 s. One
of base was measured to take 1 s on an H200. See docs/scale.md.
"""

from autoregress.configs import VideoTransformerConfig
from autoregress.recipes.recipe import Recipe
from autoregress.training.options import Training

SMALL = """A small Video Transformer on clips of your own.

The data is a folder of videos: mp4, mkv, avi, webm or mov. Clips have 16 frames, by default of at
most 64 × 64 pixels. The model has 0.7 million parameters, for a CPU: one core takes about a quarter
of a second for each clip of an update. Updates have only two clips, as many small updates teach
more than a few large ones at the same cost. Each slice is a frame, given all earlier ones, so that
the model continues clips of which any number of frames are known. docs/results/video.md has its
figures on real clips.
"""
PAPERS = """The paper's {} Video Transformer on clips of your own, for GPUs.

It has {} million parameters. The optimiser is the paper's: RMSProp at a constant rate of 2e-5 with
decay 0.95 and momentum 0.9, on one slice of each of 64 clips an update. Averaged weights and
bfloat16 are ours. For memory and time, see autoregress plan.
"""

PAPER = Training(
    start="random",
    optimiser="rmsprop",
    lr=2e-5,
    decay=0.95,
    momentum=0.9,
    batch_size=64,
    accumulate=8,
    ema=0.999,
    precision="bfloat16",
    max_epochs=1000,
)
BASE_STEPS, LARGE_STEPS = 300_000, 1_000_000

RECIPES = {
    "video-small": Recipe(
        SMALL,
        "VideoTransformer",
        VideoTransformerConfig(
            subscale=(16, 1, 1),
            kernel=(5, 5, 5),
            blocks=((1, 8, 8),),
            width=128,
            heads=4,
            head_width=32,
            encoder_layers=2,
            decoder_layers=3,
            mixture=9,
        ),
        Training(
            max_epochs=200,
            batch_size=2,
            lr=1.5e-3,
            warmup=100,
            clip=100.0,
            ema=0.998,
            precision="bfloat16",
        ),
    ),
    "video-base": Recipe(
        PAPERS.format("base", 46),
        "VideoTransformer",
        VideoTransformerConfig.base(priming=(0, 1, 5)),
        PAPER,
        steps=BASE_STEPS,
    ),
    "video-large": Recipe(
        PAPERS.format("large", 373),
        "VideoTransformer",
        VideoTransformerConfig.large(priming=(0, 1, 5)),
        PAPER,
        steps=LARGE_STEPS,
    ),
}
