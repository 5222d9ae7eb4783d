"""Trains a model of each family on scikit-learn's data, and shows the uses of exact likelihoods.

python demo/demo.py            # make demo, on two cores; writes demo/out/report.html
python demo/demo.py --gallery --out demo/out/gallery  # make gallery: larger models, for longer

It measures held-out digits, draws new ones, completes half-hidden ones, finds pixels that do not
belong, continues clips, and fills in a table.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import clips
import digits
import pictures
import report
import torch
import tyro
import wines
from lanes import Part, side_by_side
from rich.console import Console

PICTURES = 20.0  # seconds that the pictures take
CLIPS, TABLE = "clips", "table"
TABLE_SECONDS = 15.0

OWN = """Your own data next:
  {0} train table --data YOUR.csv --run runs/table
  {0} train gated-pixelcnn --data FOLDER_OF_IMAGES --size 32 32 --run runs/images
  {0} train video-small --data FOLDER_OF_VIDEOS --size 32 32 --frames 8 --run runs/clips"""


def main(
    out: Path = Path("demo/out"),
    *,
    gallery: bool = False,
    picture: Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
) -> None:
    """Trains, measures, draws, completes and looks for surprises, on scikit-learn's data.

    Args:
        out: Folder for the report and the runs; earlier runs are deleted.
        gallery: Train larger models for longer.
        picture: File for one picture of everything, too.
        epochs: Largest number of epochs, for a short run.
        seed: Seed of everything random.
    """
    started = time.monotonic()
    torch.set_num_threads(1)
    runs = out / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    count = clips.LARGE if gallery else clips.TRAIN
    table: dict[str, Any] = {"seed": seed}
    if epochs is not None:
        count, table = 8 * epochs, {**table, "max_epochs": epochs}
    moving = partial(clips.examine, runs / "moving", out / "continued.gif", count, seed)
    parts = [
        *digits.parts(runs, large=gallery, epochs=epochs, seed=seed),
        Part(CLIPS, 30 + clips.SECONDS * count, moving),
        Part(TABLE, TABLE_SECONDS, partial(wines.examine, runs / "wines", table)),
    ]
    made = side_by_side(parts, afterwards=PICTURES)

    bits, grey = (made[title].value for title in digits.TITLES)
    others = [made[name].value for name in digits.OTHERS]
    scores = {**grey.scores, **{other.name: other.score for other in others}}
    findings = [bits, replace(grey, scores=scores, others=others)]
    console = Console()
    for title, rows in report.TABLES.items():
        console.print(report.terminal(title, rows(findings)))
    console.print(report.terminal("Held-out clips", report.clip_rows(made[CLIPS].value)))
    for title, rows in report.WINE_TABLES.items():
        console.print(report.terminal(title, rows(made[TABLE].value)))
    bodies = {heading: body(findings) for heading, body in report.SECTIONS.items()}
    bodies["Moving digits"] = report.moving(made[CLIPS].value)
    bodies["A table with gaps"] = report.wines(made[TABLE].value)
    if picture is not None:
        summary = partial(pictures.summary, found=bits)
        picture.write_bytes(pictures.png(summary, 15, 6.5, dpi=110))
    console.print(report.terminal("Time", report.time_rows(made)))
    command = "make gallery" if gallery else "make demo"
    seconds = time.monotonic() - started
    path = report.write(out, bodies, made, command=command, seed=seed, seconds=seconds)
    # Not by rich, which would wrap a long path.
    print(f"{seconds:.0f} seconds\n\n{OWN.format(program())}\n\nThe report: {path}")
    print(f"The models in the browser: {program()} serve {runs}")


def program() -> str:
    """The command line of this environment, as one types it here."""
    if shutil.which("autoregress"):
        return "autoregress"
    return os.path.relpath(Path(sys.executable).parent / "autoregress")


if __name__ == "__main__":
    tyro.cli(main)
