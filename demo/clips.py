"""The demo's part on clips: a small Video Transformer learns how digits bounce."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch
from findings import Clips
from lanes import Tell, updates

import autoregress as ar
from autoregress.data import bouncing_digits
from autoregress.recipes import RECIPES
from autoregress.report import film

# The compressors are the benchmarks', which the published results are compared with.
sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
import video_baselines

TRAIN, LARGE, HELD_OUT = 5_000, 12_000, 200  # clips, LARGE in the gallery
SECONDS = 0.02  # for each clip that is trained on
KNOWN, LONG = 4, 16  # frames of a continued clip
CONTINUED = 6


def examine(run: Path, gif: Path, clips: int, seed: int, tell: Tell) -> Clips:
    """Trains the recipe's model, measures it, and writes an animation of continued clips."""
    recipe = RECIPES["video-bouncing"]
    train, valid, test = (
        bouncing_digits(count, levels=2, split=split, seed=seed)
        for count, split in ((clips, "train"), (HELD_OUT, "valid"), (HELD_OUT, "test"))
    )
    torch.manual_seed(seed)
    model = recipe.build(train.event_shape, train.levels)
    assert isinstance(model, ar.VideoTransformer)
    training = recipe.training
    hook = updates(tell, math.ceil(clips / training.batch_size) * training.max_epochs, 0.8)
    fit = ar.fit(
        model, train, valid=valid, run=run, training=training, seed=seed, quiet=True, on_update=hook
    )

    held_out = test.data().x
    x = held_out.numpy()
    coded = {
        "FFV1, a film a clip": video_baselines.ffv1(x, 2),
        "FFV1, one film of all": video_baselines.ffv1(x.reshape(1, -1, *x.shape[2:]), 2),
        "xz, a file a clip": video_baselines.xz(x, 2, apart=True),
        "xz, one file of all": video_baselines.xz(x, 2),
    }
    bits = {"Video Transformer": ar.evaluate(model, held_out).bits_per_dim}
    bits |= {name: figure.bits_per_dim for name, figure in coded.items()}

    long = bouncing_digits(CONTINUED, frames=LONG, levels=2, split="test", seed=seed + 1)
    true = long.data().x
    generator = torch.Generator().manual_seed(seed)
    drawn = model.continue_clip(true[:, :KNOWN], LONG - KNOWN, given=KNOWN, generator=generator)
    gif.write_bytes(film(true, drawn, KNOWN, 2))
    with torch.no_grad():
        nats = model.surprisal(held_out)
    parameters = sum(p.numel() for p in model.parameters())
    return Clips(parameters, fit, bits, held_out, nats, gif.read_bytes())
