"""The Video Transformer: cached sampling against full passes, and a training step of `base`.

    python benchmarks/video_speed.py --write docs/results

Sampling is timed on one slice of clips of 8-bit RGB, width 128, 4 + 4 layers, 8 clips at once, in
float32. The slow way takes one pass of the decoder over the whole slice for each pixel, and the
channels of that pixel from its state; as every pass costs the same, only a few are timed.

The training step is one update by RMSProp on one slice of one clip of 16 × 64 × 64 RGB, in a
process of its own, whose peak memory is measured. Its time is compared with that of the matrix
products that it cannot do without: those of its linear layers, its attention and its convolution
over the slice, once forwards and twice backwards, timed alone on matrices of the same sizes.

Times are those of the processor, in one thread, so that a busy machine disturbs them little.
"""

from __future__ import annotations

import math
import multiprocessing
import resource
import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import timing
import torch
from torch import Tensor, nn

import autoregress as ar
from autoregress.networks.video_transformer.attention import BlockLayer
from autoregress.networks.video_transformer.decoder import TAPS

CLIPS = 8
# They fit slices of all sizes timed here, so that a pixel attends to the same number of others.
BLOCKS = [(4, 8, 4), (4, 4, 8)]
SIDES = (8, 16, 32)
BASE = (16, 3, 64, 64)


def seconds(run: Callable[[], object], times: int = 1) -> float:
    """Processor time; of several runs, the median of all but the first."""
    took = []
    for _ in range(times):
        start = time.process_time()
        run()
        took.append(time.process_time() - start)
    return statistics.median(took[1:] or took)


# Sampling


def small(side: int, *, ordered: bool = False) -> ar.VideoTransformer:
    """A model with slices of 4 × side × side."""
    sizes: dict[str, Any] = {"width": 128, "encoder_layers": 4, "decoder_layers": 4}
    shape = (16, 3, 2 * side, 2 * side)
    return ar.VideoTransformer(shape, blocks=BLOCKS, ordered=ordered, **sizes).eval()


def cached(model: ar.VideoTransformer) -> float:
    """Seconds for each pixel of the 8 clips when a whole slice is drawn, encoder included."""
    t, h, w = model.subscaling.grid
    steps = model.unroll(CLIPS)

    def draw() -> None:
        conditional = next(steps)
        for _ in range(t * h * w * model.event_shape[1] - 1):
            conditional = steps.send(conditional.sample())

    return seconds(draw) / (t * h * w)


def recomputed(model: ar.VideoTransformer, rounds: int) -> float:
    """Seconds for each pixel of the 8 clips when the decoder passes over the whole slice again."""
    grid = model.subscaling.grid
    digits = torch.zeros(CLIPS, *grid, model.channels.count, dtype=torch.int32)
    encoded = torch.randn(CLIPS, *grid, 128)
    clips = torch.zeros(CLIPS, *model.event_shape, dtype=torch.int64)
    past = model.past(clips, *torch.zeros(2, CLIPS, dtype=torch.int64))
    pixel, own = clips[:, 0, :, 0, 0], past.map(lambda each: each[:, 0, 0, 0])

    def draw() -> None:
        state = model.decoder(digits, past, encoded)[:, 0, 0, 0]
        steps = model.channels.unroll(state, pixel, own)
        conditional = next(steps)
        for _ in range(model.event_shape[1] - 1):
            conditional = steps.send(conditional.sample())
        conditional.sample()

    return seconds(draw, 1 + rounds)


# Training


def update_of(model: ar.VideoTransformer, times: int) -> float:
    """Seconds of the forward and backward pass of one slice of each of the 8 clips."""
    x = torch.randint(256, (CLIPS, *model.event_shape), dtype=torch.uint8)

    def update() -> None:
        model.zero_grad()
        model.objective(x).mean().backward()

    return seconds(update, 1 + times)


def training_step() -> dict[str, float]:
    """Seconds of an update of `base` and of its products alone, and the process's peak memory."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
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
    """Number of matrix products of each size (batch, m, k, n) in an update."""
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
        every[batch, m, n, k] += count  # the gradient of the input
        every[batch, k, m, n] += count  # and of the weight
    return every


def time_of(batch: int, m: int, k: int, n: int) -> float:
    """Seconds of one product."""
    a, b = torch.randn(batch, m, k), torch.randn(batch, k, n)
    return seconds(lambda: a @ b, 4)


# The page


def compare_levels(rows: timing.Rows, rounds: int) -> None:
    """Nominal and ordered levels, in slices of 4 × 8 × 8."""
    nominal, ordered = small(8), small(8, ordered=True)
    with torch.no_grad():
        ratio = cached(nominal) / cached(ordered)
    rows.add("a pixel with caches, of nominal levels / of ordered ones", ratio, least=0.95)
    ratio = update_of(nominal, rounds) / update_of(ordered, rounds)
    rows.add("an update of 4×8×8 slices, of nominal levels / of ordered ones", ratio, least=0.95)


def with_caches(rows: timing.Rows, rounds: int) -> None:
    with torch.no_grad():
        models = {side: small(side) for side in SIDES}
        per_pixel = {side: cached(model) for side, model in models.items()}
        slow = recomputed(models[16], rounds)
    what = "a pixel of a 4×16×16 slice, by a pass of the decoder / with caches"
    rows.add(what, slow / per_pixel[16], least=100)
    what = "a pixel with caches, of a 4×32×32 slice / of a 4×8×8 slice"
    rows.add(what, per_pixel[32] / per_pixel[8], most=1.25)


def an_update_of_base(rows: timing.Rows, rounds: int) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        step = pool.apply(training_step)
    rows.add("peak memory of an update of base / 16 GiB", step["peak_bytes"] / 2**34, most=1)
    what = "its time / that of its matrix products alone"
    rows.add(what, step["seconds"] / step["products_seconds"])
    share = step["products_flop"] / step["seconds"] / step["peak_flop_per_second"]
    rows.add("its rate / that of a product of 2048×2048 matrices", share)


PARTS = {"caches": with_caches, "levels": compare_levels, "base": an_update_of_base}


def page(report: dict[str, Any]) -> str:
    """Speed of the Video Transformer, as ratios."""
    return f"""# Speed of the Video Transformer

torch {report["torch"]}, {report["machine"]}, float32, time of the processor in one thread.

{timing.table(report)}

Samples are 8-bit RGB clips, 8 at once, by a model of width 128, 4 + 4 layers and blocks of 128
pixels. Without caches every pixel takes a pass of the decoder over the whole slice; all passes cost
the same, and {report["rounds"]} were timed. With caches a pixel attends to at most 127 others,
whatever the size of the slice. Ordered levels are compared on the same model and clips; all other
models have nominal levels. The update whose memory and rate are measured is that of
`VideoTransformer.base` on one slice of one clip of 16×64×64 RGB, by RMSProp, without activation
checkpointing; its rate counts its matrix products only.

{timing.commands("video_speed", part="levels")}"""


if __name__ == "__main__":
    torch.set_num_threads(1)
    timing.main("video_speed", PARTS, page, rounds=4)
