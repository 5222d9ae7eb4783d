"""Moving MNIST at 32 × 32 and at 64 × 64: trains the Video Transformer.

    OMP_NUM_THREADS=1 python benchmarks/moving_tables.py --runs subscaled whole long
    OMP_NUM_THREADS=1 python benchmarks/moving_tables.py --runs full
    python benchmarks/moving_tables.py --page-only

Two MNIST digits move in clips of 20 frames, new ones for every update; the last ten frames are
measured given the first ten, as in Video Pixel Networks (arXiv 1610.00527): halved to 14 × 14 and
rounded to bits, with and without subscaling; and in full, their grey values read as the
probabilities of bits. The generator is that of :func:`autoregress.data.moving_mnist`. Figures go to
docs/results/moving.json, one row for each run and seed, and from there to docs/results/moving.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from tables import ROOT, Figures, Row
from torch import Tensor

import autoregress as ar
from autoregress.configs import VideoTransformerConfig
from autoregress.data.sets.moving import advanced

DATA = ROOT.parent / "shared" / "data" / "mnist" / "mnist_uint8.npz"
COMMAND = "OMP_NUM_THREADS=1 python benchmarks/moving_tables.py"
HALF, FULL = 32, 64  # sizes of frames
FRAMES, KNOWN, DIGITS = 20, 10, 2
HELD_OUT = {HALF: 200, FULL: 100}  # clips for validation, and again for the test
HELD_DIGITS = 10_000  # the last of MNIST's training digits, which move only in validation clips
SHOWN = 4
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Run:
    """Settings of a model, and how many slices an update and how many updates it is trained for."""

    model: VideoTransformerConfig
    batch: int
    updates: int
    about: str
    size: int = HALF


MODEL = VideoTransformerConfig(
    subscale=(FRAMES, 1, 1),
    kernel=(7, 5, 5),
    blocks=((1, 16, 16), (1, 8, 32), (1, 32, 8)),
    width=96,
    embedding=96,
    heads=3,
    head_width=32,
    encoder_layers=3,
    decoder_layers=2,
    priming=(0, KNOWN, KNOWN, KNOWN),
)
RUNS = {
    "subscaled": Run(MODEL, 8, 1200, "a slice is a frame"),
    "whole": Run(
        replace(MODEL, subscale=(1, 1, 1), blocks=((4, 8, 8), (20, 4, 4), (1, 16, 16))),
        1,
        500,
        "one slice, blocks 4×8×8, 20×4×4 and 1×16×16",
    ),
    "long": Run(MODEL, 4, 24_000, "as subscaled, ten times as many pixels"),
    "full": Run(
        replace(MODEL, subscale=(FRAMES, 2, 2), kernel=(7, 9, 9)),
        4,
        12_000,
        "four slices a frame",
        FULL,
    ),
}
# Nats a frame that are published of the protocol, all of them in Video Pixel Networks.
PUBLISHED = {
    "ConvLSTM (Shi et al. 2015)": 367.2,
    "fully connected LSTM (Srivastava et al. 2015)": 341.2,
    "Dynamic Filter Network (De Brabandere et al. 2016)": 285.2,
    "Video Ladder Network (Cricri et al. 2016)": 187.7,
    "Patraucean et al. 2015": 179.8,
    "Video Pixel Network: baseline": 110.1,
    "Video Pixel Network": 87.6,
}


class DrawnBits(ar.data.Source):
    """Clips of grey values 0 to 255, each replaced by a bit that is 1 with probability value / 255.

    The bits of a clip are a function of the seed and of its index alone.
    """

    streamed = True

    def __init__(self, grey: ar.data.Source, seed: int) -> None:
        super().__init__(grey.event_shape, 2)
        self.grey, self.seed = grey, seed

    def __len__(self) -> int:
        return len(self.grey)

    @property
    def digest(self) -> str:
        return f"{self.grey.digest}, drawn with seed {self.seed}"

    def _rows(self, index: Tensor) -> Tensor:
        rngs = [np.random.default_rng((self.seed, i)) for i in index.tolist()]
        draws = [rng.random(self.event_shape, np.float32) for rng in rngs]
        return (255 * torch.from_numpy(np.stack(draws)) < self.grey[index]).to(torch.uint8)


def moving(count: int, split: str, size: int) -> ar.data.Source:
    """Clips of halved digits, or of digits in full, in bits; no digit is in two splits."""
    if size == FULL:
        return DrawnBits(grey(count, split), seed=len(SPLITS) + SPLITS.index(split))
    digits = images(split).reshape(-1, 14, 2, 14, 2).astype(np.float32).mean((2, 4))
    return ar.data.moving_mnist(
        count, images=digits.round().astype(np.uint8), frames=FRAMES, size=size, digits=DIGITS,
        levels=2, seed=SPLITS.index(split),
    )  # fmt: skip


def grey(count: int, split: str) -> ar.data.Source:
    """Clips of whole digits, as in Moving MNIST."""
    return ar.data.moving_mnist(
        count, images=images(split), frames=FRAMES, size=FULL, digits=DIGITS,
        seed=SPLITS.index(split),
    )  # fmt: skip


def images(split: str) -> np.ndarray:
    """(M, 28, 28) uint8 digits."""
    with np.load(DATA) as file:
        digits = file["test_images" if split == "test" else "train_images"].reshape(-1, 28, 28)
    if split == "test":
        return digits
    return digits[-HELD_DIGITS:] if split == "valid" else digits[:-HELD_DIGITS]


def entropy(clips: Tensor) -> float:
    """Nats a frame of the bits drawn in the later frames, for who knows their grey values."""
    p = clips[:, KNOWN:].double() / 255
    nats = -torch.special.xlogy(p, p) - torch.special.xlogy(1 - p, 1 - p)
    return float(nats.sum()) / (len(clips) * (FRAMES - KNOWN))


@torch.no_grad()
def per_frame(model: ar.AutoregressiveModel, x: Tensor) -> tuple[float, float]:
    """Nats a frame of the later frames given the first ones; half of a 95 % interval."""
    known = torch.zeros(x.shape[1:], dtype=torch.bool)
    known[:KNOWN] = True
    parts = [model.conditional_log_prob(part, known) for part in x.split(20)]
    nats = -torch.cat(parts) / (FRAMES - KNOWN)
    return float(nats.mean()), 1.96 * float(nats.std()) / math.sqrt(len(x))


def bound(clips: int = 1000, particles: int = 100_000, seed: int = 0) -> float:
    """Nats a frame that the motion alone leaves open, if all else is known.

    The generator rounds places to whole pixels, so ten of them leave a digit's exact place and
    direction, and with them later places, open. For a true motion, this draws motions near it,
    keeps those with the same first places, and counts which of them have the same later ones: the
    mean of −log of that share, for each digit by itself. What the pixels do not show of the first
    places or of a digit's shape comes on top, so that no model is expected below this.
    """
    rng = np.random.default_rng(seed)
    way = HALF - 14
    total = 0.0
    for _ in range(clips):
        place, angle = rng.random(2), rng.random() * 2 * np.pi
        # The first of them is the true one. Ten rounded places fix the start to less than a pixel,
        # and the angle to less than 0.2.
        apart = np.vstack([np.zeros(3), rng.uniform(-1, 1, (particles, 3))])
        places, angles = place + apart[:, :2] / way, angle + 0.2 * apart[:, 2]
        inside = ((places >= 0) & (places < 1)).all(1)
        places, angles = places[inside], angles[inside]
        velocities = np.stack([np.sin(angles), np.cos(angles)], axis=1)
        past = 0
        for t in range(FRAMES):
            if t == KNOWN:
                past = len(places)
            places, velocities = advanced(places, velocities)
            pixels = (way * places).astype(np.int64)
            same = (pixels == pixels[0]).all(1)
            places, velocities = places[same], velocities[same]
        total -= math.log(len(places) / past)
    return DIGITS * total / clips / (FRAMES - KNOWN)


def train_and_measure(name: str, seed: int, runs: Path, out: Path) -> Row:
    run = RUNS[name]
    valid, test = (moving(HELD_OUT[run.size], each, run.size).data().x for each in SPLITS[1:])
    torch.manual_seed(seed)
    model = ar.VideoTransformer(valid.shape[1:], 2, **vars(run.model))
    training = ar.Training(
        max_epochs=1, batch_size=run.batch, lr=2e-3, schedule="cosine", warmup=100, clip=100.0,
        ema=0.99, precision="bfloat16", seed=seed,
    )  # fmt: skip
    train = moving(run.updates * run.batch, "train", run.size)
    fit = ar.fit(
        model, train, valid=valid[:40], run=runs / name / str(seed), training=training, quiet=True
    )
    score = ar.evaluate(model, test)
    nats, interval = per_frame(model, test)
    animate(out / f"moving_{name}.gif", model, test)
    return {
        "recipe": name,
        "seed": seed,
        "test_nats": nats,
        "interval_95": interval,
        "valid_nats": per_frame(model, valid)[0],
        "bits_per_dim": score.bits_per_dim,
        "updates": fit.steps,
        "pixels": fit.steps * run.batch * FRAMES * run.size**2 // math.prod(run.model.subscale),
        "parameters": sum(p.numel() for p in model.parameters()),
        **({"entropy": entropy(grey(len(test), "test").data().x)} if run.size == FULL else {}),
        "seconds": round(fit.seconds),
        "command": f"{COMMAND} --runs {name} --seeds {seed}",
    }


def animate(path: Path, model: ar.AutoregressiveModel, test: Tensor) -> None:
    """Test clips above; below, what the model draws after their first frames."""
    true = test[:SHOWN]
    known = torch.zeros_like(true, dtype=torch.bool)
    known[:, :KNOWN] = True
    drawn = model.complete(true, known, generator=torch.Generator().manual_seed(0))
    rows = [
        torch.cat(list(torch.nn.functional.pad(x.to(torch.uint8) * 255, (2,) * 4, value=128)), -1)
        for x in (true, drawn)
    ]
    large = torch.cat(rows, dim=-2).repeat_interleave(2, -1).repeat_interleave(2, -2)
    ar.data.write(path, large[None], 256, rate=5)


# The page


def page(rows: list[Row]) -> str:
    halves, fulls = ([r for r in rows if RUNS[r["recipe"]].size == size] for size in (HALF, FULL))
    parts = [
        INTRODUCTION,
        *table(halves),
        f"| motion alone leaves open | | | | | | {bound():.1f} | |",
        HALF_EXPLAINED,
        *pictures(halves),
        FULL_INTRODUCTION,
        *table(fulls),
        *(f"| bits of known grey values | | | | | | {r['entropy']:.1f} | |" for r in fulls[:1]),
        *published(),
        FULL_EXPLAINED,
        *pictures(fulls),
        "## How each was made\n\n| run | validation nats a frame | command |\n|---|---:|---|",
        *(f"| {r['recipe']} | {r['valid_nats']:.1f} | `{r['command']}` |" for r in rows),
        END,
    ]
    return "\n".join(parts)


def table(rows: list[Row]) -> Iterator[str]:
    yield (
        "| run | seed | parameters | updates | pixels | seconds | nats a frame | bits/dim, whole "
        "clip |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for r in rows:
        yield (
            f"| {r['recipe']}: {RUNS[r['recipe']].about} | {r['seed']} | {r['parameters']:,} | "
            f"{r['updates']:,} | {r['pixels']:,} | {r['seconds']:,} | "
            f"**{r['test_nats']:.1f}** ± {r['interval_95']:.1f} | {r['bits_per_dim']:.4f} |"
        )


def published() -> Iterator[str]:
    yield "\n| as given in Video Pixel Networks | nats a frame |\n|---|---:|"
    for name, nats in PUBLISHED.items():
        yield f"| {name} | {nats} |"
    yield "| bound: the entropy of grey values, read as probabilities | 86.3 |"


def pictures(rows: list[Row]) -> Iterator[str]:
    for name in dict.fromkeys(r["recipe"] for r in rows if r["seed"] == 0):
        yield f"![{name}](moving_{name}.gif)\n"


INTRODUCTION = f"""\
# Moving MNIST

Two MNIST digits move in clips of {FRAMES} frames, as {{func}}`autoregress.data.moving_mnist`
generates them. The last {FRAMES - KNOWN} frames are measured given the first {KNOWN}: nats a frame,
−log p of a frame's bits, the mean over test clips, whose digits are MNIST's test digits. Lower is
better. Every update has new clips. The test is read once, when training ends; ± is half of a 95 %
interval of the mean over clips. Seconds of training are by the clock; the core had other work too.

## At 32 × 32, with and without subscaling

Digits are halved to 14 × 14 and rounded to bits. {HELD_OUT[HALF]} test clips.
"""

HALF_EXPLAINED = """
The last row is worked out from the generator: places are rounded to whole pixels, so that ten
frames leave open where exactly a digit is and in which direction it moves, and so how later places
are rounded. It takes the first places and the digits' shapes as known; what overlaps hide comes on
top, so that no model is expected below it.

Test clips above, and below them what the model draws after their first ten frames. The two short
runs have learnt where to expect strokes, but their digits dissolve within ten frames. Those of the
long one go on their way and turn back at the borders, but lose their shape:
"""

FULL_INTRODUCTION = f"""\
## At 64 × 64, the protocol of Video Pixel Networks

Whole digits, whose grey values are read as probabilities (arXiv 1610.00527): each pixel of each
frame is a bit, 1 with the probability that its grey value says, drawn by itself.
{HELD_OUT[FULL]} test clips. The subscaling and the kernel are the best on validation clips of five
settings that were trained for four minutes each. So few updates, all that one core can do in an
hour, do not show what the model can learn here.
"""

FULL_EXPLAINED = """
What is published is the cross-entropy between grey values, read as probabilities, and a model's
probabilities, given the grey values of what is earlier. It is the mean of −log p of bits drawn with
these grey values, and has the same bound: the entropy of bits whose grey values are known (that of
our test clips is above). But our model is given the earlier pixels as bits, each of which shows a
grey value with much noise, so that its figure is that of a harder task.

Test clips above, and below them what the model draws after their first ten frames. It has learnt
what digits look like, but not yet to follow them:
"""

END = """
The page is made from [moving.json](moving.json) by the benchmark with `--page-only`.
"""


def main(
    runs: tuple[str, ...] = tuple(RUNS),
    seeds: tuple[int, ...] = (0,),
    folder: Path = ROOT / "runs" / "moving",
    out: Path = ROOT / "docs" / "results",
    page_only: bool = False,
) -> None:
    """Trains or resumes models, measures them, and writes the page.

    Args:
        runs: Names of the runs.
        seeds: Seeds, one run for each.
        folder: Folder for the run folders.
        out: Folder for moving.json, moving.md and the animations.
        page_only: Only write the page from moving.json.
    """
    torch.set_num_threads(1)
    figures = Figures(out / "moving.json", lambda r: (list(RUNS).index(r["recipe"]), r["seed"]))
    for name in () if page_only else runs:
        for seed in seeds:
            if (name, seed) not in {(r["recipe"], r["seed"]) for r in figures.rows}:
                figures.add(train_and_measure(name, seed, folder, out))
    (out / "moving.md").write_text(page(figures.rows))


if __name__ == "__main__":
    tyro.cli(main)
