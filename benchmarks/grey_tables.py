"""MNIST in its 256 levels of grey: trains each image family and MADE, and writes the page.

    pip install pillow-jxl-plugin
    OMP_NUM_THREADS=1 python benchmarks/grey_tables.py --runs gated-pixelcnn
    python benchmarks/grey_tables.py --page-only

Figures go to docs/results/grey.json, one row for each run and seed, and from there to
docs/results/grey.md. An interrupted run is resumed; a run that has a row is not repeated unless the
row is removed.
"""

from __future__ import annotations

import io
import lzma
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from PIL import Image
from tables import ROOT, Figures
from torch import Tensor

import autoregress as ar
from autoregress.configs import MADEConfig, PixelConfig

DATA = ROOT.parent / "shared" / "data" / "mnist" / "mnist_uint8.npz"
COMMAND = "OMP_NUM_THREADS=1 python benchmarks/grey_tables.py"
VALID = 2_000  # of the 60,000 training images
EVERY = 100  # one test image in a hundred is encoded


@dataclass(frozen=True)
class Run:
    """A model, and how it is trained."""

    family: str
    model: PixelConfig | MADEConfig
    training: ar.Training


def falling(epochs: int, lr: float, batch_size: int = 32, ema: float = 0.998) -> ar.Training:
    return ar.Training(
        max_epochs=epochs, batch_size=batch_size, lr=lr, schedule="cosine", warmup=200, clip=100.0,
        ema=ema, precision="bfloat16",
    )  # fmt: skip


RUNS = {
    "made": Run("MADE", MADEConfig(hidden=(1000,), ordered=True), falling(3, 1e-3, 100)),
    "pixelcnn": Run("PixelCNN", PixelConfig(layers=7, features=32), falling(1, 4e-3)),
    "gated-pixelcnn": Run("GatedPixelCNN", PixelConfig(layers=6, features=32), falling(1, 4e-3)),
    "row-lstm": Run("RowLSTM", PixelConfig(layers=5, features=16), falling(1, 6e-3)),
    "diagonal-bilstm": Run("DiagonalBiLSTM", PixelConfig(layers=4, features=16), falling(1, 6e-3)),
}
NAMES = {
    "GatedPixelCNN": "Gated PixelCNN",
    "RowLSTM": "Row LSTM",
    "DiagonalBiLSTM": "Diagonal BiLSTM",
}
# Test bits/dim of other exact models, and where from.
PUBLISHED = {
    "HCLT, a probabilistic circuit (Liu, Mandt and Van den Broeck, arXiv 2111.11632)": 1.20,
    "IDF, a normalising flow of integers (from memory)": 1.90,
}


def images(split: str) -> Tensor:
    """(N, 1, 28, 28) bytes."""
    with np.load(DATA) as file:
        x = torch.from_numpy(file["test_images" if split == "test" else "train_images"][:, None])
    if split == "test":
        return x
    held = torch.zeros(len(x), dtype=torch.bool)
    held[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:VALID]] = True
    return x[held] if split == "valid" else x[~held]


def train_and_measure(name: str, seed: int, runs: Path) -> dict[str, Any]:
    run = RUNS[name]
    train, valid, test = map(images, ("train", "valid", "test"))
    started = time.process_time()
    torch.manual_seed(seed)
    model = getattr(ar, run.family)(train.shape[1:], 256, **vars(run.model))
    fit = ar.fit(
        model, train, valid=valid, run=runs / name / str(seed), training=run.training, seed=seed,
        quiet=True,
    )  # fmt: skip
    spent = time.process_time() - started
    assert fit.valid is not None
    score = ar.evaluate(model, test)
    some = test[::EVERY]
    content = ar.encode(model, some)
    assert torch.equal(ar.decode(model, content), some)
    return {
        "recipe": name,
        "family": run.family,
        "seed": seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "epochs": fit.epochs,
        "cpu_seconds": round(spent),
        "valid_bits_per_dim": fit.valid.bits_per_dim,
        "test_nats": score.nats,
        "test_bits_per_dim": score.bits_per_dim,
        "interval_95": 1.96 * score.standard_error / (model.dims * math.log(2)),
        "file_bits_per_dim": 8 * len(content) / some.numel(),
        "command": f"{COMMAND} --runs {name} --seeds {seed}",
    }


def formats() -> dict[str, float]:
    """Bits/dim of the test images: a file for each, and a file for all side by side."""
    import pillow_jxl  # noqa: F401  # pyright: ignore[reportMissingImports]  # registers the format

    x = images("test")[:, 0].numpy()
    sheet = x.reshape(100, 100, 28, 28).swapaxes(1, 2).reshape(2800, 2800)
    options: dict[str, dict[str, Any]] = {
        "PNG": {"format": "png", "optimize": True},
        "WebP lossless": {"format": "webp", "lossless": True, "quality": 100, "method": 6},
        "JPEG XL, effort 9": {"format": "jxl", "lossless": True, "effort": 9},
    }

    def size(array: np.ndarray, how: dict[str, Any]) -> int:
        file = io.BytesIO()
        Image.fromarray(array).save(file, **how)
        return len(file.getvalue())

    found = {}
    for name, how in options.items():
        sampled = x[::EVERY]
        found[f"{name}, a file for each"] = 8 * sum(size(a, how) for a in sampled) / sampled.size
        found[f"{name}, one sheet of all"] = 8 * size(sheet, how) / x.size
    found["xz, all together"] = 8 * len(lzma.compress(x.tobytes(), preset=9)) / x.size
    return found


# The page


def page(rows: list[dict[str, Any]], of_formats: dict[str, float]) -> str:
    named = [
        (
            r["test_bits_per_dim"],
            f"| {NAMES.get(r['family'], r['family'])}, ours | {r['parameters']:,} | "
            f"{r['cpu_seconds']:,} | **{r['test_bits_per_dim']:.3f}** ± {r['interval_95']:.3f} | "
            f"{r['file_bits_per_dim']:.3f} |",
        )
        for r in rows
    ]
    named += [(bits, f"| {name} | | | {bits:.2f} | |") for name, bits in PUBLISHED.items()]
    named += [(bits, f"| {name} | | | | {bits:.3f} |") for name, bits in of_formats.items()]
    return "\n".join(
        [
            f"""\
# Grey MNIST

Bits/dim of MNIST's 10,000 test images in their 256 levels: −log₂ p over 784, where p is the
normalised probability of an image. Lower is better. Levels are ordered: a mixture of discretised
logistics about the median of three neighbours, for MADE about no prediction. Trained on one core of
a CPU on {60_000 - VALID:,} images; {VALID:,} more choose the epoch. The test is read once, at the
end. ± is half of a 95 % interval of the mean over test images. As a file: what `ar.encode` writes
for one test image in {EVERY}, decoded again, and other formats; a file for each image of those, or
one for all 10,000.

| what | parameters | CPU seconds | bits/dim | as a file |
|---|---:|---:|---:|---:|""",
            *(line for _, line in sorted(named)),
            """
## How each was made

| run | seed | epochs | validation bits/dim | command |
|---|---:|---:|---:|---|""",
            *(
                f"| {r['recipe']} | {r['seed']} | {r['epochs']} | {r['valid_bits_per_dim']:.3f} | "
                f"`{r['command']}` |"
                for r in rows
            ),
            "\nThe page is made from [grey.json](grey.json) by the benchmark with `--page-only`, "
            "which\nmeasures the formats.\n",
        ]
    )


def main(
    runs: tuple[str, ...] = tuple(RUNS),
    seeds: tuple[int, ...] = (0,),
    folder: Path = ROOT / "runs" / "grey",
    out: Path = ROOT / "docs" / "results",
    page_only: bool = False,
) -> None:
    """Trains or resumes models, measures them, and writes the page.

    Args:
        runs: Names of the runs.
        seeds: Seeds, one run for each.
        folder: Folder for the run folders.
        out: Folder for grey.json and grey.md.
        page_only: Only write the page from grey.json.
    """
    torch.set_num_threads(1)
    figures = Figures(out / "grey.json", lambda r: (list(RUNS).index(r["recipe"]), r["seed"]))
    for name in () if page_only else runs:
        for seed in seeds:
            if (name, seed) not in {(r["recipe"], r["seed"]) for r in figures.rows}:
                figures.add(train_and_measure(name, seed, folder))
    (out / "grey.md").write_text(page(figures.rows, formats()))


if __name__ == "__main__":
    tyro.cli(main)
