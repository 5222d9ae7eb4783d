"""The Video Transformer on bouncing digits and real clips: trains models, and writes the page.

    python benchmarks/video_tables.py --runs robot natural --seeds 0
    python benchmarks/video_tables.py --page-only

Figures go to docs/results/video.json, one row for each run and seed, and from there to
docs/results/video.md. An interrupted run is resumed; a run that has a row is not repeated unless
the row is removed.

Bouncing digits are made here, new ones for every update. The real clips are in shared/data, and are
scaled to 32 × 32 by Lanczos.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
import video_baselines
from tables import ROOT, Figures
from torch import Tensor

import autoregress as ar
from autoregress.configs import VideoTransformerConfig
from autoregress.data import bouncing_digits
from autoregress.recipes import RECIPES

VIDEO = ROOT.parent / "shared" / "data" / "video"
COMMAND = "python benchmarks/video_tables.py"
HELD_OUT = 200  # clips of bouncing digits for validation, and again for the test
SIDE, FRAMES = 32, 10  # of real clips
KNOWN = 5  # frames of a clip that is continued
SHOWN = 4  # clips in an animation


@dataclass(frozen=True)
class Clips:
    """Three splits of clips (N, T, C, H, W), and their number of levels."""

    train: Any
    valid: Tensor
    test: dict[str, Tensor]
    levels: int


# Data


def bouncing(training: int, *, frames: int) -> Clips:
    """Two digits in a square of 16 × 16; no training clip is seen twice."""
    train, valid, test = (
        bouncing_digits(count, frames=frames, levels=2, digits=2, split=split)
        for count, split in ((training, "train"), (HELD_OUT, "valid"), (HELD_OUT, "test"))
    )
    return Clips(train, valid.data().x, {"bouncing digits": test.data().x}, 2)


def robot() -> Clips:
    """A robot arm: 12 episodes of three views for training, 4 for validation, 4 for the test.

    Training clips are also seen in a mirror.
    """
    file = VIDEO / "bridge_robot_64.npz"
    rest, test = map(torch.from_numpy, video_baselines.robot_clips(file, size=SIDE))
    held = 4 * 3
    train = torch.cat([rest[:-held], rest[:-held].flip(-1)])
    return Clips(_often(train), rest[-held:], {"robot arm": test}, 256)


def natural() -> Clips:
    """Two films: four fifths for training, their last clip for validation, the rest for the test.

    Training clips start at every frame.
    """
    train, valid, test = [], [], {}
    for key, name in (("bigbuckbunny", "Big Buck Bunny"), ("nasa_13013", "NASA")):
        file = VIDEO / "natural_clips_64.npz"
        split = video_baselines.natural_clips(file, key, frames=FRAMES, size=SIDE)
        rest, test[name] = map(torch.from_numpy, split)
        film = rest[:-1].flatten(0, 1)
        train.append(film.unfold(0, FRAMES, 1).movedim(-1, 1))
        valid.append(rest[-1:])
    return Clips(_often(torch.cat(train)), torch.cat(valid), test, 256)


def _often(clips: Tensor, least: int = 500) -> Tensor:
    """The clips repeated, so that an epoch is worth its validation."""
    return clips.repeat(math.ceil(least / len(clips)), 1, 1, 1, 1)


# Runs


@dataclass(frozen=True)
class Run:
    """A model, its data and how it is trained."""

    data: Callable[[], Clips]
    model: VideoTransformerConfig
    training: ar.Training
    facts: dict[str, Any] = field(default_factory=dict)
    """Further cells of its row in the table."""


STEPS, PIXELS = 1000, 2048
SMALL = VideoTransformerConfig(
    kernel=(5, 5, 5),
    blocks=((8, 8, 8),),
    width=64,
    embedding=64,
    heads=(2,),
    head_width=32,
    encoder_layers=2,
    decoder_layers=1,
)
FALLING = ar.Training(max_epochs=1, lr=3e-3, schedule="cosine", warmup=100, clip=100.0, ema=0.99)


def compared(subscale: tuple[int, int, int], lr: float = 3e-3, **sizes: Any) -> Run:
    """STEPS updates of PIXELS pixels each, with slices of as many clips as that needs."""
    batch = PIXELS * math.prod(subscale) // (8 * 16 * 16)
    model = replace(SMALL, subscale=subscale, **sizes)
    facts = {"subscale": subscale, "width": model.width, "layers": _layers(model)}
    data = partial(bouncing, batch * STEPS, frames=8)
    return Run(data, model, replace(FALLING, batch_size=batch, lr=lr), facts)


def _layers(model: VideoTransformerConfig) -> str:
    return f"{model.encoder_layers} + {model.decoder_layers}"


COMPARED = {
    "none": compared((1, 1, 1)),
    "spatial": compared((1, 2, 2)),
    "temporal": compared((8, 1, 1)),
    "spatiotemporal": compared((8, 2, 2)),
    "temporal-small": compared((8, 1, 1), width=32, embedding=32, heads=(1,), encoder_layers=1),
    "temporal-large": compared(
        (8, 1, 1), 1.5e-3, width=128, embedding=128, heads=(4,), decoder_layers=2
    ),
}

LONG_STEPS, LONG_BATCH = 14000, 8
LONG = Run(
    partial(bouncing, LONG_STEPS * LONG_BATCH, frames=16),
    replace(
        SMALL,
        subscale=(16, 1, 1),
        kernel=(7, 5, 5),
        width=96,
        embedding=96,
        heads=(3,),
        decoder_layers=2,
        priming=(0, KNOWN),
    ),
    replace(FALLING, batch_size=LONG_BATCH, lr=2e-3, ema=0.998),
)

# The recipe for clips of one's own, for these numbers of epochs.
OWN = RECIPES["video-small"]
CLIP = (FRAMES, 3, SIDE, SIDE)


def own(data: Callable[[], Clips], epochs: int) -> Run:
    assert isinstance(OWN.config, VideoTransformerConfig)
    training = replace(OWN.training, max_epochs=epochs)
    return Run(data, OWN.config.fitted(CLIP, OWN.config), training)


ROBOT_EPOCHS, NATURAL_EPOCHS = 6, 4

# Categories, and known frames that every slice sees.
NOMINAL = VideoTransformerConfig(
    ordered=False,
    subscale=(5, 2, 2),
    kernel=(5, 3, 3),
    blocks=((2, 8, 8), (2, 16, 4), (2, 4, 16)),
    width=128,
    heads=(4,),
    head_width=32,
    encoder_layers=2,
    decoder_layers=2,
    priming=(0, KNOWN),
)
TWO_CLIPS = replace(FALLING, batch_size=2, lr=2e-3, ema=0.998)

RUNS = {
    **{f"bouncing-{name}": run for name, run in COMPARED.items()},
    "bouncing-long": LONG,
    "robot": own(robot, ROBOT_EPOCHS),
    "natural": own(natural, NATURAL_EPOCHS),
    "robot-nominal": Run(robot, NOMINAL, replace(TWO_CLIPS, max_epochs=12)),
    "natural-nominal": Run(natural, NOMINAL, replace(TWO_CLIPS, max_epochs=8)),
}


def train_and_measure(name: str, seed: int, runs: Path, out: Path, figures: Figures) -> None:
    run = RUNS[name]
    clips = run.data()
    start = time.process_time()
    torch.manual_seed(seed)
    model = ar.VideoTransformer(clips.valid.shape[1:], clips.levels, **vars(run.model))
    fit = ar.fit(
        model,
        clips.train,
        valid=clips.valid,
        run=runs / name / str(seed),
        training=run.training,
        seed=seed,
    )
    assert fit.valid is not None
    spent = time.process_time() - start
    scores = {key: ar.evaluate(model, x) for key, x in clips.test.items()}
    nats = sum(s.nats * s.examples for s in scores.values())
    row = {
        "recipe": name,
        "seed": seed,
        **run.facts,
        "test_nats": nats / sum(s.examples for s in scores.values()),
        "test": {
            key: {
                "clips": score.examples,
                "bits_per_dim": score.bits_per_dim,
                "interval_95": 1.96 * score.standard_error * score.bits_per_dim / score.nats,
                "baselines": baselines(clips.test[key], clips.levels),
            }
            for key, score in scores.items()
        },
        "valid_bits_per_dim": fit.valid.bits_per_dim,
        "updates": fit.steps,
        "cpu_seconds": round(spent),
        "parameters": sum(p.numel() for p in model.parameters()),
        "command": f"{COMMAND} --runs {name} --seeds {seed}",
    }
    figures.add(row)
    if not run.facts:
        animate(out / f"video_{name}.gif", model, clips)


def baselines(x: Tensor, levels: int) -> dict[str, float]:
    """Bits/dim of each on clips."""
    coded = video_baselines.baselines(x.numpy().astype(np.uint8), levels)
    return {name: found.bits_per_dim for name, found in coded.items()}


def animate(path: Path, model: ar.VideoTransformer, clips: Clips) -> None:
    """Test clips above; below, frames drawn after their first ones."""
    sets = list(clips.test.values())
    true = torch.cat([_spread(x, SHOWN // len(sets)) for x in sets])
    known = torch.zeros_like(true, dtype=torch.bool)
    known[:, :KNOWN] = True
    drawn = model.complete(true, known, generator=torch.Generator().manual_seed(0))
    rows = [_row(x * (255 // (clips.levels - 1))) for x in (true, drawn)]
    ar.data.write(path, torch.cat(rows, dim=-2)[None], 256, rate=5)


def _row(clips: Tensor, zoom: int = 3, gap: int = 4) -> Tensor:
    """Clips (N, T, C, H, W) side by side: (T, C, zoom H + gap, N (zoom W + gap))."""
    large = clips.to(torch.uint8).repeat_interleave(zoom, -1).repeat_interleave(zoom, -2)
    apart = torch.nn.functional.pad(large, (gap // 2,) * 4, value=128)
    return torch.cat(list(apart), dim=-1)


def _spread(x: Tensor, count: int) -> Tensor:
    return x[torch.linspace(0, len(x) - 1, count).long()]


# The page


def page(rows: list[dict[str, Any]]) -> str:
    return "\n".join(
        [
            """\
# The Video Transformer on clips

Bits per dimension of held-out clips: −log₂ p over T · C · H · W, where p is the normalised
probability of the whole clip, with no frame given. Lower is better. The test is read once, at the
end; the best epoch is chosen on validation clips. ± is half of a 95 % interval of the mean over
test clips. All models were trained on one core of a CPU.

## Subscaling and size

Two of scikit-learn's digits bounce about a square of 16 × 16 bits for 8 frames; the digits of the
test are not among those of training. Every run has """
            + f"{STEPS:,} updates of {PIXELS:,} pixels.\n"
            "The widest has half the learning rate of the others, after a run at theirs of which\n"
            "validation and test figures were seen together.\n",
            *comparison(rows),
            "\n## Beside file compressors\n",
            *against(rows),
            """
Bouncing digits are two in clips of 16 frames. The test clips of the robot arm (four episodes) and
of the films (the last fifth of each) have 10 frames of 32 × 32 RGB, scaled down from 64 × 64.
`robot` and `natural` are the recipe for clips of one's own, `video-small`: levels are ordered, and
each slice is one frame. The nominal runs are of the paper's kind, with coarse and fine digits and
smaller slices. The
model codes one clip at a time; the compressors are given each clip apart or all at once, in every
way that `benchmarks/video_baselines.py` lists, and the smallest figure is shown.

Test clips above, and below them what the model draws after their first five frames:

"""
            + "\n".join(
                f"![{row['recipe']}](video_{row['recipe']}.gif)\n"
                for row in rows
                if row["recipe"] not in _compared() and row["seed"] == 0
            ),
            "## How each was made\n",
            *commands(rows),
            "\nSeconds are CPU seconds of the process, validation too, for `robot` and `natural`,\n"
            "and seconds on the clock for the others.\n"
            "The page is made from [video.json](video.json) by the benchmark with "
            "`--page-only`.\n",
        ]
    )


def _compared() -> list[str]:
    return [f"bouncing-{name}" for name in COMPARED]


def comparison(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "| subscaling | width | layers | parameters | seeds | test bits/dim |"
    yield "|---|---:|---:|---:|---|---:|"
    for name in _compared():
        if of_name := [row for row in rows if row["recipe"] == name]:
            row = of_name[0]
            figures = [r["test"]["bouncing digits"]["bits_per_dim"] for r in of_name]
            yield (
                f"| {'×'.join(map(str, row['subscale']))} | {row['width']} | {row['layers']} | "
                f"{row['parameters']:,} | {', '.join(str(r['seed']) for r in of_name)} | "
                f"{', '.join(f'{f:.4f}' for f in figures)} |"
            )


def against(rows: list[dict[str, Any]]) -> Iterator[str]:
    others = [row for row in rows if row["recipe"] not in _compared()]
    names = list(next(iter(others[0]["test"].values()))["baselines"]) if others else []
    yield f"| test clips | run | seed | ours | {' | '.join(names)} |"
    yield f"|---|---|---:|---:|{'---:|' * len(names)}"
    for row in others:
        for key, found in row["test"].items():
            coded = " | ".join(f"{found['baselines'][name]:.3f}" for name in names)
            yield (
                f"| {key} ({found['clips']}) | {row['recipe']} | {row['seed']} | "
                f"{found['bits_per_dim']:.3f} ± "
                f"{found['interval_95']:.3f} | {coded} |"
            )


def commands(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "| run | parameters | updates | seconds | validation bits/dim | command |"
    yield "|---|---:|---:|---:|---:|---|"
    for row in rows:
        seconds = row.get("cpu_seconds", row.get("seconds"))
        yield (
            f"| {row['recipe']} | {row['parameters']:,} | {row['updates']:,} | {seconds:,} | "
            f"{row['valid_bits_per_dim']:.4f} | `{row['command']}` |"
        )


def main(
    runs: tuple[str, ...] = tuple(RUNS),
    seeds: tuple[int, ...] = (0,),
    folder: Path = ROOT / "runs" / "video",
    out: Path = ROOT / "docs" / "results",
    page_only: bool = False,
    threads: int = 1,
) -> None:
    """Trains or resumes models, measures them, and writes the page.

    Args:
        runs: Names of the runs.
        seeds: Seeds, one run for each.
        folder: Folder for the run folders.
        out: Folder for video.json, video.md and the animations.
        page_only: Only write the page from video.json.
        threads: Number of threads.
    """
    torch.set_num_threads(threads)
    order = list(RUNS)
    figures = Figures(out / "video.json", lambda r: (order.index(r["recipe"]), r["seed"]))
    for name in () if page_only else runs:
        for seed in seeds:
            if (name, seed) not in {(r["recipe"], r["seed"]) for r in figures.rows}:
                train_and_measure(name, seed, folder, out, figures)
    (out / "video.md").write_text(page(figures.rows))


if __name__ == "__main__":
    tyro.cli(main)
