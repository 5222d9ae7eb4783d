"""One of scikit-learn's digits bouncing about a square of 16 × 16, for 8 frames of bits.

    autoregress train video-bouncing --data bouncing.npz --run runs/bouncing

The file holds clips such as ``ar.data.bouncing_digits(12_000, levels=2).data().x`` as train, and
200 of split="valid" and of split="test" as these. Single-frame subscaling: a slice is a frame,
given all those before it.

With seed 0: 0.031 bits/dim on the test clips, two minutes on one core. Blocks are whole frames: all
of a digit says how it moves; with blocks of 8 × 8 it was 0.045. On these clips
xz needs 0.166 (a file for each; 0.053 if all are one file) and FFV1 0.383 (0.224).
"""

from autoregress.recipes.options import Recipe, VideoTransformerOptions
from autoregress.training import Training

RECIPES: dict[str, Recipe[VideoTransformerOptions]] = {
    "video-bouncing": Recipe(
        f"Video Transformer on bouncing digits.\n{__doc__}",
        VideoTransformerOptions(
            subscale=(8, 1, 1),
            kernel=(5, 5, 5),
            blocks=((1, 16, 16),),
            width=64,
            embedding=32,
            heads=(2,),
            head_width=32,
            encoder_layers=2,
            decoder_layers=1,
            priming=(0, 4),
        ),
        Training(
            max_epochs=2,
            batch_size=8,
            lr=3e-3,
            schedule="cosine",
            warmup=100,
            clip=100.0,
            ema=0.99,
            precision="bfloat16",
        ),
        shape=(8, 1, 16, 16),
        symbols=2,
    ),
}
