"""The subscale Video Transformer on clips of your own.

    autoregress train video-small --data clips/ --run runs/clips
    autoregress complete runs/clips clip.mp4 --known-frames 5 --out continued.gif

The folder holds videos: mp4, mkv, avi, webm, mov. Clips are of 16 frames, by default of at most
64 × 64 pixels. video-small has 1.5 million parameters, for a CPU: one core takes about a quarter
of a second for each clip of an update. Its updates are small, of two clips: at the same cost, many
of them learn more than few large ones. It learns to be given 0, 1, 5 or 8 first frames. A model
of this size is measured on real clips in docs/results/video.md.

video-base and video-large are the paper's models, of 46 and 373 million parameters, with its
optimiser: RMSProp at a constant rate of 2e-5 with decay 0.95 and momentum 0.9, 64 clips an update
and of each a slice. Averaged weights and bfloat16 are ours.

Worked out by ``autoregress plan`` for clips of 16 × 3 × 64 × 64: weights, gradients, two moments
of the optimiser and the average take 20 bytes a parameter, 0.9 GB for base and 7.5 GB for large. A
clip's slice takes 1.0 GiB more in training base in bfloat16 and 2.8 GiB for large, in float32
without fused attention about twice as much; --accumulate takes the clips of an update in parts, and
--checkpointing keeps of each layer only what enters it. An update is 8e13 operations for base and
6e14 for large; at 4e14 a second, a fifth of a second and one and a half. Neither has been run:
there is no figure. See docs/scale.md.
"""

from autoregress.recipes.options import Recipe, VideoTransformerOptions
from autoregress.training import Training

PAPER = Training(
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
# From memory, and not certain.
BASE_STEPS, LARGE_STEPS = 300_000, 1_000_000
LARGE = {"width": 2048, "heads": (8,) * 4 + (16,) * 4}

RECIPES: dict[str, Recipe[VideoTransformerOptions]] = {
    "video-small": Recipe(
        f"A small Video Transformer on clips of your own.\n{__doc__}",
        VideoTransformerOptions(
            width=128,
            heads=(4,),
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
        f"The paper's base Video Transformer on clips of your own.\n{__doc__}",
        VideoTransformerOptions(priming=(0, 1, 5)),
        PAPER,
        steps=BASE_STEPS,
    ),
    "video-large": Recipe(
        f"The paper's large Video Transformer on clips of your own.\n{__doc__}",
        VideoTransformerOptions(priming=(0, 1, 5), **LARGE),
        PAPER,
        steps=LARGE_STEPS,
    ),
}
