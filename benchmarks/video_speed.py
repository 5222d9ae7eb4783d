"""The Video Transformer: cached sampling against full passes, and a training step of `base`.

    python benchmarks/video_speed.py --write docs/results

Sampling is timed on one slice of clips of 8-bit RGB, width 128, 4 + 4 layers, 8 clips at once,
float32. The slow way is one pass of the decoder over the whole slice for each pixel, and the
channels of that pixel from its state; as every pass costs the same, a few are timed.

The training step is one update by RMSProp on one slice of one clip of 16 × 64 × 64 RGB, in a
process of its own, whose peak memory it is. It is compared with the matrix products that it
cannot do without: those of its linear layers, its attention and its convolution over the slice,
forwards and twice backwards, timed alone on matrices of the same sizes.

Times are those of the processor, in one thread, so that a busy machine disturbs them little.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import autoregress as ar
from autoregress.networks.video_transformer.attention import BlockLayer
from autoregress.networks.video_transformer.decoder import TAPS

CLIPS = 8
# They fit slices of all sizes timed here, so that a pixel attends to as many others in each.
BLOCKS = [(4, 8, 4), (4, 4, 8)]
SIDES = (8, 16, 32)
BASE = (16, 3, 64, 64)


def seconds(run: Callable[[], object]) -> float:
    """Of the processor."""
    start = time.process_time()
    run()
    return time.process_time() - start


# Sampling


def small(side: int) -> ar.VideoTransformer:
    """For slices of 4 × side × side."""
    return ar.VideoTransformer(
        (16, 3, 2 * side, 2 * side), width=128, encoder_layers=4, decoder_layers=4, blocks=BLOCKS
    ).eval()


def cached(model: ar.VideoTransformer) -> float:
    """Seconds for a pixel of the 8 clips when a whole slice is drawn, the encoder included."""
    t, h, w = model.subscaling.grid
    steps = model.unroll(CLIPS)

    def draw() -> None:
        conditional = next(steps)
        for _ in range(t * h * w * model.event_shape[1] - 1):
            conditional = steps.send(conditional.sample())

    return seconds(draw) / (t * h * w)


def recomputed(model: ar.VideoTransformer, passes: int) -> float:
    """Median seconds for a pixel of the 8 clips when the decoder sees the whole slice again."""
    grid = model.subscaling.grid
    digits = torch.zeros(CLIPS, *grid, model.channels.count, dtype=torch.int32)
    encoded = torch.randn(CLIPS, *grid, 128)
    pixel = torch.zeros(CLIPS, model.event_shape[1], dtype=torch.int64)

    def draw() -> None:
        state = model.decoder(digits, encoded)[:, 0, 0, 0]
        steps = model.channels.unroll(state, pixel)
        conditional = next(steps)
        for _ in range(model.event_shape[1] - 1):
            conditional = steps.send(conditional.sample())
        conditional.sample()

    return statistics.median([seconds(draw) for _ in range(passes + 1)][1:])


# Training


def training_step() -> dict[str, float]:
    """Seconds of an update of `base`, the process's peak memory, and its products alone."""
    model = ar.VideoTransformer.base(BASE)
    optimiser = torch.optim.RMSprop(model.parameters(), lr=2e-5, alpha=0.95, momentum=0.9)
    x = torch.randint(256, (1, *BASE), dtype=torch.uint8)
    products = products_of(model, x)

    def update() -> None:
        optimiser.zero_grad()
        model.objective(x).mean().backward()
        optimiser.step()

    took = seconds(update)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    alone = sum(count * time_of(*shape) for shape, count in products.items())
    flop = sum(2 * count * math.prod(shape) for shape, count in products.items())
    side = 2048
    fastest = 2 * side**3 / time_of(1, side, side, side)
    return {
        "seconds": took,
        "peak_bytes": peak,
        "products_seconds": alone,
        "products_flop": flop,
        "peak_flop_per_second": fastest,
    }


def products_of(model: ar.VideoTransformer, x: Tensor) -> Counter[tuple[int, int, int, int]]:
    """How many products of each (batch, m, k, n) an update takes."""
    forwards: Counter[tuple[int, int, int, int]] = Counter()

    def linear(module: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        assert isinstance(module, nn.Linear)
        rows = inputs[0].numel() // module.in_features
        forwards[1, rows, module.in_features, module.out_features] += 1

    def attention(module: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        assert isinstance(module, BlockLayer)
        length, rows = math.prod(module.block), inputs[0].numel() // inputs[0].shape[-1]
        head_width = module.merge.in_features // module.heads
        blocks = module.heads * rows // length
        forwards[blocks, length, head_width, length] += 1
        forwards[blocks, length, length, head_width] += 1

    hooks = [
        module.register_forward_hook(linear if isinstance(module, nn.Linear) else attention)
        for module in model.modules()
        if isinstance(module, nn.Linear | BlockLayer)
    ]
    with torch.no_grad():
        model.objective(x)
    for hook in hooks:
        hook.remove()
    width, _, embedding = model.decoder.taps.shape
    forwards[1, math.prod(model.subscaling.grid), TAPS * embedding, width] += 1
    every = Counter(forwards)
    for (batch, m, k, n), count in forwards.items():
        every[batch, m, n, k] += count  # the gradient of what came in
        every[batch, k, m, n] += count  # and of the weight
    return every


def time_of(batch: int, m: int, k: int, n: int) -> float:
    """Median seconds of one product."""
    a, b = torch.randn(batch, m, k), torch.randn(batch, k, n)
    return statistics.median([seconds(lambda: a @ b) for _ in range(4)][1:])


# The page


def measure(passes: int) -> list[dict[str, Any]]:
    """A row for every promise: what, how much, and what it should be."""
    rows: list[dict[str, Any]] = []

    def row(what: str, figure: str, target: str = "", met: bool | None = None) -> None:
        rows.append({"what": what, "figure": figure, "target": target, "met": met})
        print(f"{what:66s} {figure:>10s}   {target}", flush=True)

    with torch.no_grad():
        models = {side: small(side) for side in SIDES}
        per_pixel = {side: cached(model) for side, model in models.items()}
        slow = recomputed(models[16], passes)
    fast = per_pixel[16]
    row("4×16×16, a pixel by a pass of the decoder", f"{1e3 * slow:.0f} ms")
    row("4×16×16, a pixel with caches", f"{1e3 * fast:.2f} ms")
    row("the former / the latter", f"{slow / fast:.0f}", "at least 100", slow / fast >= 100)
    for side in (8, 32):
        row(f"4×{side}×{side}, a pixel with caches", f"{1e3 * per_pixel[side]:.2f} ms")
    ratio = per_pixel[32] / per_pixel[8]
    row("4×32×32 / 4×8×8, 16 times the pixels", f"{ratio:.2f}", "about 1", ratio < 1.25)

    run = subprocess.run(
        [sys.executable, __file__, "--step"], check=True, capture_output=True, text=True
    )
    step = json.loads(run.stdout)
    gib = step["peak_bytes"] / 2**30
    row("an update of base on a slice of 16×64×64 RGB, peak memory", f"{gib:.1f} GiB",
        "below 16 GiB", gib < 16)  # fmt: skip
    row("the same, time", f"{step['seconds']:.1f} s")
    row("its matrix products alone", f"{step['products_seconds']:.1f} s")
    row("the former / the latter", f"{step['seconds'] / step['products_seconds']:.2f}")
    share = step["products_flop"] / step["seconds"] / step["peak_flop_per_second"]
    row("its rate / that of a product of 2048 × 2048 matrices", f"{share:.2f}")
    return rows


def page(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    met = {None: "", True: "yes", False: "**no**"}
    table = "\n".join(
        f"| {r['what']} | {r['figure']} | {r['target']} | {met[r['met']]} |" for r in report["rows"]
    )
    return f"""# Speed of the Video Transformer

torch {report["torch"]}, {report["machine"]}, float32, seconds of the processor in one thread. The
machine was shared with other work, so the figures are preliminary.

| what | | target | met |
|---|---:|---|---|
{table}

Sampling is of 8-bit RGB clips, 8 at once, width 128, 4 + 4 layers, blocks of 128 pixels. Without
caches every pixel takes a pass of the decoder over the whole slice; {report["passes"]} of them
were timed, as all are alike. With caches a pixel attends to at most 127 others however large the
slice is. The update is by RMSProp and without activation checkpointing.

```console
python benchmarks/video_speed.py --write .
```
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the Video Transformer.")
    parser.add_argument("--passes", type=int, default=5, help="full passes that are timed")
    parser.add_argument("--step", action="store_true", help="only the training step, as JSON")
    parser.add_argument("--write", type=Path, help="folder for video_speed.json and video_speed.md")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    if arguments.step:
        print(json.dumps(training_step()))
        return
    report = {
        "torch": torch.__version__,
        "machine": platform.machine(),
        "passes": arguments.passes,
        "rows": measure(arguments.passes),
    }
    if arguments.write:
        (arguments.write / "video_speed.json").write_text(json.dumps(report, indent=2) + "\n")
        (arguments.write / "video_speed.md").write_text(page(report))


if __name__ == "__main__":
    main()
