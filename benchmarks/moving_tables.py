"""Moving MNIST at 32 × 32: trains the Video Transformer with and without subscaling.

    OMP_NUM_THREADS=1 python benchmarks/moving_tables.py --runs subscaled whole
    python benchmarks/moving_tables.py --page-only

Two MNIST digits, halved to 14 × 14 and made bits, move in clips of 20 frames, new ones for every
update; the last ten frames are measured given the first ten, as in Video Pixel Networks (arXiv
1610.00527). The generator is that of :func:`autoregress.data.moving_mnist`. Figures go to
docs/results/moving.json, one row for each run and seed, and from there to docs/results/moving.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from tables import ROOT, Figures
from torch import Tensor

import autoregress as ar
from autoregress.configs import VideoTransformerConfig
from autoregress.data.sets.moving import advanced

DATA = ROOT.parent / "shared" / "data" / "mnist" / "mnist_uint8.npz"
COMMAND = "OMP_NUM_THREADS=1 python benchmarks/moving_tables.py"
SIDE, FRAMES, KNOWN, DIGITS = 32, 20, 10, 2
HELD_OUT = 200  # clips for validation, and again for the test
HELD_DIGITS = 10_000  # the last of MNIST's training digits, which move only in validation clips
SHOWN = 4
PIXELS = FRAMES * SIDE**2


@dataclass(frozen=True)
class Run:
    """Settings of a model, and how many slices an update and how many updates it is trained for."""

    model: VideoTransformerConfig
    batch: int
    updates: int
    about: str


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
}


def moving(count: int, split: str) -> ar.data.Source:
    """Clips of halved digits, in bits; no digit is in two splits."""
    with np.load(DATA) as file:
        digits = file["test_images" if split == "test" else "train_images"]
    if split != "test":
        digits = digits[-HELD_DIGITS:] if split == "valid" else digits[:-HELD_DIGITS]
    halved = digits.reshape(-1, 14, 2, 14, 2).astype(np.float32).mean((2, 4))
    return ar.data.moving_mnist(
        count, images=halved.round().astype(np.uint8), frames=FRAMES, size=SIDE, digits=DIGITS,
        levels=2, seed=("train", "valid", "test").index(split),
    )  # fmt: skip


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
    way = SIDE - 14
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


def train_and_measure(name: str, seed: int, runs: Path, out: Path) -> dict[str, Any]:
    run = RUNS[name]
    valid, test = (moving(HELD_OUT, split).data().x for split in ("valid", "test"))
    torch.manual_seed(seed)
    model = ar.VideoTransformer(valid.shape[1:], 2, **vars(run.model))
    training = ar.Training(
        max_epochs=1, batch_size=run.batch, lr=2e-3, schedule="cosine", warmup=100, clip=100.0,
        ema=0.99, precision="bfloat16", seed=seed,
    )  # fmt: skip
    train = moving(run.updates * run.batch, "train")
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
        "pixels": fit.steps * run.batch * PIXELS // math.prod(run.model.subscale),
        "parameters": sum(p.numel() for p in model.parameters()),
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


def page(rows: list[dict[str, Any]]) -> str:
    table = [
        f"| {r['recipe']}: {RUNS[r['recipe']].about} | {r['seed']} | {r['parameters']:,} | "
        f"{r['updates']:,} | {r['pixels']:,} | {r['seconds']:,} | "
        f"**{r['test_nats']:.1f}** ± {r['interval_95']:.1f} | {r['bits_per_dim']:.4f} |"
        for r in rows
    ]
    return "\n".join(
        [
            f"""\
# Moving MNIST at 32 × 32

Two MNIST digits, halved to 14 × 14 and made bits, move in clips of {FRAMES} frames of
{SIDE} × {SIDE}, as {{func}}`autoregress.data.moving_mnist` generates them. The last
{FRAMES - KNOWN} frames are measured given the first {KNOWN}: nats a frame, −log p of a frame's
{SIDE**2:,} bits, the mean of {HELD_OUT} test clips, whose digits are MNIST's test digits. Lower is
better. Every update has new clips. The test is read once, when training ends; ± is half of a 95 %
interval of the mean over clips. Seconds of training are by the clock; the core had other work too.

This is the protocol of Video Pixel Networks (arXiv 1610.00527) at half its size, in bits, so that
one core of a CPU can do it. Their 87.6 nats a frame, of a bound of 86.3, are cross-entropies of
grey values read as probabilities, and not comparable.

| run | seed | parameters | updates | pixels | seconds | nats a frame | bits/dim, whole clip |
|---|---:|---:|---:|---:|---:|---:|---:|""",
            *table,
            f"| motion alone leaves open | | | | | | {bound():.1f} | |",
            """
The last row is worked out from the generator: places are rounded to whole pixels, so that ten
frames leave open where exactly a digit is and in which direction it moves, and so how later places
are rounded. It takes the first places and the digits' shapes as known; what overlaps hide comes on
top, so that no model is expected below it.

Test clips above, and below them what the model draws after their first ten frames. So short a run
has learnt where to expect strokes, but the digits dissolve within ten frames:
""",
            *(f"![{r['recipe']}](moving_{r['recipe']}.gif)\n" for r in rows if r["seed"] == 0),
            "## How each was made\n\n| run | validation nats a frame | command |\n|---|---:|---|",
            *(f"| {r['recipe']} | {r['valid_nats']:.1f} | `{r['command']}` |" for r in rows),
            "\nThe page is made from [moving.json](moving.json) by the benchmark with "
            "`--page-only`.\n",
        ]
    )


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
