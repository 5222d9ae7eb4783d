"""Coding with portable arithmetic against coding with the model's own floats.

    OMP_NUM_THREADS=1 python benchmarks/coding_speed.py --write docs/results

The floats are float32, with 256 examples side by side, and are the same bits on one machine only.
The portable arithmetic takes as many examples side by side as ``ar.encode`` does. Weights and
examples are random; the times are CPU seconds for each example, in one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import timing
import torch

import autoregress as ar
from autoregress import coding

BITS = (1, 28, 28)
SMALL: dict[str, Any] = {"symbols": 2, "layers": 7, "features": 32, "head": 32}
CLIPS: dict[str, Any] = {
    **{"subscale": (1, 2, 2), "width": 64, "embedding": 32, "heads": (2, 2), "head_width": 32},
    **{"encoder_layers": 2, "decoder_layers": 2, "blocks": ((4, 4, 4),)},
}
FLOATS = 256  # examples side by side
# What a batch of floats was in earlier versions, for any number of members.
GROWING = [8, 16, 32, 64, 128, 8]

Build = Callable[[], ar.AutoregressiveModel]
FAMILIES: dict[str, tuple[str, Build]] = {
    "made": ("MADE, 784 bits", partial(ar.MADE, 784, 2, hidden=(500,))),
    "ordered-made": (
        "MADE, 50 columns of 256 ordered levels",
        partial(ar.MADE, 50, 256, hidden=(300, 300), ordered=True),
    ),
    "pixelcnn": ("PixelCNN, 28×28 bits", partial(ar.PixelCNN, BITS, **SMALL)),
    "gated": (
        "Gated PixelCNN, 8×32 pixels of RGB",
        partial(ar.GatedPixelCNN, (3, 8, 32), layers=5, features=48),
    ),
    "nominal-gated": (
        "Gated PixelCNN, 8×8 pixels of nominal RGB",
        partial(ar.GatedPixelCNN, (3, 8, 8), layers=5, features=48, ordered=False),
    ),
    "row-lstm": ("Row LSTM, 28×28 bits", partial(ar.RowLSTM, BITS, **SMALL | {"features": 16})),
    "bilstm": (
        "Diagonal BiLSTM, 28×28 bits",
        partial(ar.DiagonalBiLSTM, BITS, **SMALL | {"features": 16}),
    ),
    "video": (
        "Video Transformer, 4 frames of 16×16, 256 levels",
        partial(ar.VideoTransformer, (4, 1, 16, 16), 256, **CLIPS),
    ),
}


def nothing(symbols: int) -> None:
    pass


@torch.no_grad()
def floats(model: ar.AutoregressiveModel, batches: list[torch.Tensor]) -> None:
    stack = coding._stack(coding.BOTTOM)
    for x in batches:
        coding._push(stack, model, x, None, nothing)


def packed(model: ar.AutoregressiveModel, x: torch.Tensor) -> coding.Packing:
    packing = coding.Packing(model)
    packing.push(x, None, nothing)
    return packing


def family(name: str, rows: timing.Rows, rounds: int) -> None:
    what, build = FAMILIES[name]
    model = build()
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.05)
    count = coding.rows_side_by_side(model)
    x = torch.randint(model.symbols.levels[0], (count, *model.event_shape))
    few = x[:FLOATS]
    packing = packed(model, x)
    contestants = {
        "floats": lambda: floats(model, [few]),
        "encoding": lambda: packed(model, x),
        "decoding": lambda: packing.top(count, None),
    }
    if name == "made":
        contestants["growing"] = lambda: floats(model, list(few.split(GROWING)))
    t = timing.alternate(contestants, rounds, time.process_time)
    once = t["floats"] / len(few)
    for way in ("encoding", "decoding"):
        rows.add(f"{what}: {way} / floats", t[way] / count / once, most=2)
    if name == "made":
        speed = t["growing"] / len(few) / (t["encoding"] / count)
        rows.add(f"{what}: examples a second / those of floats in growing batches", speed, least=2)
    if name == "gated":
        pixels = count * x[0, 0].numel()
        rows.add(f"{what}: 1,000 pixels a second", pixels / t["encoding"] / 1000, least=20)


def page(report: dict[str, Any]) -> str:
    """Speed of coding with portable arithmetic, as ratios."""
    return f"""# Speed of portable coding

Coding computes in whole numbers, which are the same on every machine ({{doc}}`../format`), with
up to 1,024 examples side by side. Beside it, the same coder with the probabilities of the model in
float32, 256 examples side by side, which only the same machine could decode. CPU seconds for each
example; {timing.circumstances(report)}

{timing.table(report)}

Whole numbers of 53 bits need float64, whose matrix products take twice the time of float32; a
function such as tanh takes some twenty operations where the processor's own takes a few; and every
operation of torch passes through Python. Against that, more examples share what an operation costs.

{timing.commands("coding_speed", part="made")}"""


if __name__ == "__main__":
    parts = {name: partial(family, name) for name in FAMILIES}
    timing.main("coding_speed", parts, page, rounds=3)
