"""The subscale Video Transformer (arXiv 1906.02634) on clips of your own.

    autoregress train video-small --data clips/ --run runs/clips
    autoregress complete runs/clips clip.mp4 --known-frames 5 --out continued.gif

Worked out by ``autoregress plan`` for clips of 16 × 3 × 64 × 64: weights, gradients, two moments of
the optimiser and the average take 20 bytes a parameter, 0.9 GB for the paper's base model and 7.5
GB for the large one. A clip's slice takes 1.0 GiB more in training base in bfloat16 and 2.8 GiB for
large, in float32 without fused attention about twice as much; --accumulate takes the clips of an
update in parts, and --checkpointing keeps of each layer only what enters it. An update is 8e13
operations for base and 6e14 for large; at 4e14 a second, a fifth of a second and one and a half.
See docs/scale.md.
"""

from autoregress.configs import VideoTransformerConfig
from autoregress.recipes.recipe import Recipe
from autoregress.training.options import Training

SMALL = """A small Video Transformer on clips of your own.

The data is a folder of videos: mp4, mkv, avi, webm, mov. Clips are of 16 frames, by default of at
most 64 × 64 pixels. The model has 1.5 million parameters, for a CPU: one core takes about a quarter
of a second for each clip of an update. Its updates are small, of two clips: at the same cost, many
small updates teach more than few large ones. It learns to be given 0, 1, 5 or 8 first frames. A
model of this size is measured on real clips in docs/results/video.md.
"""
PAPERS = """The paper's {} Video Transformer on clips of your own, for GPUs.

It has {} million parameters, and its paper's optimiser: RMSProp at a constant rate of 2e-5 with
decay 0.95 and momentum 0.9, 64 clips an update and of each a slice. Averaged weights and bfloat16
are ours. Memory and time: autoregress plan.
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
            width=128,
            heads=4,
            head_width=32,
            encoder_layers=2,
            decoder_layers=2,
            priming=(0, 1, 5, 8),
        ),
        Training(
            max_epochs=200,
            batch_size=2,
            lr=1e-3,
            warmup=100,
            clip=100.0,
            ema=0.998,
            precision="bfloat16",
        ),
    ),
    "video-base": Recipe(
        PAPERS.format("base", 46),
        "VideoTransformer",
        VideoTransformerConfig(priming=(0, 1, 5)),
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
