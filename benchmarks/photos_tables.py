"""Crops of photos in bits, beside image formats: trains a recipe, and writes the page.

    OMP_NUM_THREADS=1 python benchmarks/photos_tables.py --seconds 180 600
    python benchmarks/photos_tables.py --page-only

Figures go to docs/results/photos.json, one row for each recipe, seed and time, and from there to
docs/results/photos.md. Each time is in CPU seconds of the whole process, for training and for
measuring validation after each epoch; a longer time resumes the run of the shorter. With --unseen
two photos at a time are left out of training, and their test crops measured: five models, which
together measure the same crops. With --mixed the equal mixture of all seeds is measured.
"""

from __future__ import annotations

import io
import itertools
import lzma
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from PIL import Image
from tables import ROOT, Figures
from torch import Tensor

import autoregress as ar
from autoregress.recipes import RECIPES

DATA = ROOT.parent / "shared" / "data" / "photos" / "crops_32.npz"
COMMAND = "OMP_NUM_THREADS=1 python benchmarks/photos_tables.py"
# Number of each photo's twenty training crops on which the epoch is chosen.
VALID = 2
# Bits/dim of one file for each test crop, measured with libjxl, which Pillow does not have.
JPEG_XL = 3.338


def crops(seed: int, left_out: tuple[str, ...] = ()) -> tuple[Tensor, Tensor, Tensor]:
    """Training, validation and test crops, (N, 3, 32, 32) bytes.

    With `left_out`, the test crops are of these photos, and the others of all others.
    """
    with np.load(DATA) as file:
        train, test = (torch.from_numpy(file[name]) for name in ("train", "test"))
        photos, test_photos = file["train_photo"], file["test_photo"]
    generator = torch.Generator().manual_seed(seed)
    kept, held = (torch.zeros(len(train), dtype=torch.bool) for _ in range(2))
    for photo in sorted(set(photos) - set(left_out)):
        own = torch.from_numpy(np.flatnonzero(photos == photo))
        own = own[torch.randperm(len(own), generator=generator)]
        held[own[:VALID]], kept[own[VALID:]] = True, True
    if left_out:
        test = test[torch.from_numpy(np.isin(test_photos, left_out))]
    return train[kept], train[held], test


def pairs() -> list[tuple[str, ...]]:
    """The photos by name, two at a time."""
    with np.load(DATA) as file:
        names = sorted(set(file["test_photo"].tolist()))
    return [tuple(names[i : i + 2]) for i in range(0, len(names), 2)]


def train_and_measure(
    name: str, seed: int, seconds: list[int], left_out: tuple[str, ...], runs: Path
) -> Iterator[Any]:
    recipe = RECIPES[name]
    train, valid, test = crops(seed, left_out)
    torch.manual_seed(seed)
    model = getattr(ar, recipe.kind)((3, 32, 32), 256, **vars(recipe.config))
    training = replace(recipe.training, seed=seed)
    run = runs / name / "-".join((str(seed), *left_out))
    epochs, best_epoch, spent, per_epoch = 0, 0, 0.0, 0.0
    patient = True
    for budget in sorted(seconds):
        # First one epoch, to time it; then the number that time and patience allow.
        while patient and (epochs == 0 or spent + per_epoch <= budget):
            further = 1 if epochs == 0 else max(1, int(0.9 * (budget - spent) / per_epoch))
            started = time.process_time()
            fit = ar.fit(
                model, train, valid=valid, run=run, training=training,
                max_epochs=epochs + further, quiet=True,
            )  # fmt: skip
            taken, best_epoch = time.process_time() - started, fit.best_epoch
            patient = fit.epochs == epochs + further
            per_epoch = taken / max(1, fit.epochs - epochs)
            epochs, spent = fit.epochs, spent + taken
        yield {
            "recipe": name,
            "seed": seed,
            **({"left_out": list(left_out)} if left_out else {}),
            "seconds": budget,
            "cpu_seconds": round(spent, 1),
            "epochs": epochs,
            "best_epoch": best_epoch,
            "valid_bits_per_dim": ar.evaluate(model, valid).bits_per_dim,
            **measured(model, test),
            "command": f"{COMMAND} --recipes {name} --seeds {seed} --seconds {budget}"
            + " --unseen" * bool(left_out),
        }


def mix_and_measure(name: str, rows: list[dict[str, Any]], runs: Path) -> dict[str, Any]:
    """The equal mixture of the models of rows, which differ in their seeds."""
    seeds = [row["seed"] for row in rows]
    model = ar.Mixture([ar.load(runs / name / str(seed)) for seed in seeds])
    return {
        "recipe": name,
        "seeds": seeds,
        "seconds": rows[0]["seconds"],
        "cpu_seconds": round(sum(row["cpu_seconds"] for row in rows), 1),
        **measured(model, crops(0)[2]),
        "command": f"{COMMAND} --recipes {name} --seeds {' '.join(map(str, seeds))} "
        f"--seconds {rows[0]['seconds']} --mixed",
    }


def measured(model: ar.AutoregressiveModel, test: Tensor) -> dict[str, Any]:
    score = ar.evaluate(model, test)
    started = time.process_time()
    content = ar.encode(model, test)
    encoding = time.process_time() - started
    assert torch.equal(ar.decode(model, content), test)
    return {
        "family": type(model).__name__,
        "parameters": sum(p.numel() for p in model.parameters()),
        "test_bits_per_dim": score.bits_per_dim,
        "interval_95": 1.96 * score.standard_error / (model.dims * math.log(2)),
        "test_nats": score.nats,
        "file_bytes": len(content),
        "file_bits_per_dim": 8 * len(content) / test.numel(),
        "encoding_seconds": round(encoding, 1),
        "formats": formats(test),
    }


def formats(test: Tensor) -> dict[str, float]:
    """Bits/dim of the test crops in each format."""
    images = [Image.fromarray(x.permute(1, 2, 0).numpy()) for x in test]

    def size(image: Image.Image, **options: Any) -> int:
        file = io.BytesIO()
        image.save(file, **options)
        return len(file.getvalue())

    totals = {
        "WebP lossless": sum(
            size(i, format="webp", lossless=True, quality=100, method=6) for i in images
        ),
        "PNG": sum(size(i, format="png", optimize=True) for i in images),
        "xz, of all together": len(lzma.compress(test.numpy().tobytes(), preset=9)),
        "xz, of each": sum(len(lzma.compress(x.numpy().tobytes(), preset=9)) for x in test),
    }
    return {name: 8 * total / test.numel() for name, total in totals.items()}


# The page


def page(rows: list[dict[str, Any]]) -> str:
    seen = [row for row in rows if "left_out" not in row]
    unseen = [row for row in rows if "left_out" in row]
    lines = [
        f"""\
# Crops of photos

Bits/dim of 50 crops of 32×32 pixels, 8-bit RGB, from the right fifth of ten photos that come with
scikit-image and scikit-learn; lower is better. A model is trained on {20 - VALID} crops of each
photo, from its left four fifths, on one core of a CPU; the best epoch is chosen on {VALID} more.
The test crops are read when the time is up, and nothing is chosen on them. ± is half of a 95 %
interval of the mean over test crops.

The recipe is the default one for images of one's own. CPU seconds are those of the process:
training, and measuring the validation crops after each epoch. As a file: the size of what
`ar.encode` writes for all test crops, decoded again; the model itself is not counted, as a format's
program is not.

| what | CPU seconds | bits/dim | as a file |
|---|---:|---:|---:|""",
    ]
    named: list[tuple[float, str]] = []
    for row in seen:
        bits = row["test_bits_per_dim"]
        named.append(
            (
                bits,
                f"| `{row['recipe']}`{mixture(row)} | {row['cpu_seconds']:.0f} | **{bits:.3f}** ± "
                f"{row['interval_95']:.3f} | {row['file_bits_per_dim']:.3f} |",
            )
        )
    for name, bits in {"JPEG XL, effort 9": JPEG_XL, **seen[0]["formats"]}.items():
        named.append((bits, f"| {name} | – | | {bits:.3f} |"))
    lines += [line for _, line in sorted(named)]
    if unseen:
        lines.append(of_unseen(unseen, seen[0]["formats"]))
    lines += [
        """
## How each was made

| recipe | seed | parameters | epochs (best) | CPU seconds | validation | command |
|---|---:|---:|---:|---:|---:|---|""",
    ]
    lines += [
        f"| `{r['recipe']}` | {r['seed']} | {r['parameters']:,} | {r['epochs']} "
        f"({r['best_epoch']}) | {r['cpu_seconds']:.0f} | {r['valid_bits_per_dim']:.3f} | "
        f"`{r['command']}` |"
        if "seed" in r
        else f"| `{r['recipe']}`{mixture(r)} | {', '.join(map(str, r['seeds']))} | "
        f"{r['parameters']:,} | | {r['cpu_seconds']:.0f} | | `{r['command']}` |"
        for r in seen
    ]
    lines.append(
        "\nSome validation crops overlap with training crops of the same photo; test crops do "
        "not.\nThe page is made from [photos.json](photos.json) by the benchmark with "
        "`--page-only`.\n"
    )
    return "\n".join(lines)


def mixture(row: dict[str, Any]) -> str:
    return f", {len(row['seeds'])} mixed" if "seeds" in row else ""


def of_unseen(rows: list[dict[str, Any]], formats: dict[str, float]) -> str:
    """The test crops by models that were trained without their photos."""
    lines = [
        """
## Photos not seen at all

The same crops, five of each photo, by models trained for at most the same time without the two
photos of a row. Here the validation crops, which choose the epoch, are of other photos too.

| photos left out | CPU seconds | epochs (best) | bits/dim | as a file | other formats |
|---|---:|---:|---:|---:|---|""",
    ]
    for r in rows:
        others = ", ".join(f"{name} {bits:.3f}" for name, bits in r["formats"].items())
        lines.append(
            f"| {', '.join(r['left_out'])} | {r['cpu_seconds']:.0f} | {r['epochs']} "
            f"({r['best_epoch']}) | **{r['test_bits_per_dim']:.3f}** | "
            f"{r['file_bits_per_dim']:.3f} | {others} |"
        )
    bits, file = (
        sum(r[key] for r in rows) / len(rows) for key in ("test_bits_per_dim", "file_bits_per_dim")
    )
    others = ", ".join(f"{k} {v:.3f}" for k, v in {"JPEG XL": JPEG_XL, **formats}.items())
    lines.append(f"| all | | | **{bits:.3f}** | {file:.3f} | {others} |")
    lines.append(f"\n`{rows[0]['command']}`")
    return "\n".join(lines)


def main(
    recipes: tuple[str, ...] = ("gated-pixelcnn",),
    seeds: tuple[int, ...] = (0,),
    seconds: tuple[int, ...] = (180, 600),
    runs: Path = ROOT / "runs" / "photos",
    out: Path = ROOT / "docs" / "results",
    mixed: bool = False,
    unseen: bool = False,
    page_only: bool = False,
) -> None:
    """Trains recipes, measures them, and writes the page.

    Args:
        recipes: Names of recipes.
        seeds: Seeds, one run for each.
        seconds: CPU seconds after which to measure.
        runs: Folder for the run folders.
        out: Folder for photos.json and photos.md.
        mixed: Also measure the equal mixture of all seeds, each trained for the longest time.
        unseen: Leave two photos at a time out of training, and measure their crops.
        page_only: Only write the page from photos.json.
    """
    torch.set_num_threads(1)

    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        seeds = row.get("seeds") or [row["seed"]]
        return row["recipe"], len(seeds), seeds, row.get("left_out", []), row["seconds"]

    figures = Figures(out / "photos.json", key)
    for name, seed in () if page_only else itertools.product(recipes, seeds):
        for left_out in pairs() if unseen else [()]:
            there = [key(row)[2:] for row in figures.rows if row["recipe"] == name]
            if missing := [s for s in seconds if ([seed], list(left_out), s) not in there]:
                for row in train_and_measure(name, seed, missing, left_out, runs):
                    figures.add(row)
    for name in recipes if mixed and not page_only else ():
        of_name = [r for r in figures.rows if r["recipe"] == name and "left_out" not in r]
        longest = [r for r in of_name if r["seconds"] == max(seconds) and r.get("seed") in seeds]
        figures.add(mix_and_measure(name, longest, runs))
    (out / "photos.md").write_text(page(figures.rows))


if __name__ == "__main__":
    tyro.cli(main)
