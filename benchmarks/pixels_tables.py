"""PixelCNN and PixelRNN on binarised MNIST: trains recipes, measures them, and writes the page.

    python benchmarks/pixels_tables.py --recipes gated-pixelcnn-mnist-brief
    python benchmarks/pixels_tables.py --page-only

Figures go to docs/results/pixels.json, one row for each recipe and seed, and from there to
docs/results/pixels.md and two pictures. An interrupted run is resumed; a run that has a row is not
repeated unless the row is removed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import density_baselines
import numpy as np
import torch
import tyro
from tables import ROOT, Figures, nats, png
from torch import Tensor
from torch.nn import functional as F

import autoregress as ar
from autoregress.recipes.pixels_mnist import RECIPES as MNIST
from autoregress.recipes.pixels_mnist import falling

DATA = ROOT.parent / "shared" / "data" / "mnist" / "binarized_mnist.npz"
COMMAND = "python benchmarks/pixels_tables.py"
# Test nats in the paper, table 4.
PAPER = {"PixelCNN": 81.30, "RowLSTM": 80.54, "DiagonalBiLSTM": 79.20}
NAMES = {
    "PixelCNN": "PixelCNN",
    "GatedPixelCNN": "Gated PixelCNN",
    "RowLSTM": "Row LSTM",
    "DiagonalBiLSTM": "Diagonal BiLSTM",
    "Average": "Average, pixel by pixel",
}
GPU = replace(falling(20, 3e-3), batch_size=128, shift=1, schedule="linear", warmup=300, patience=0)
RECIPES = MNIST | {
    "gated-pixelcnn-mnist-shifted": replace(MNIST["gated-pixelcnn-mnist-deep"], training=GPU),
    "row-lstm-mnist-deep": replace(
        MNIST["row-lstm-mnist-brief"],
        config=ar.PixelConfig(layers=9, features=32, head=64),
        training=replace(GPU, max_epochs=11, batch_size=256, lr=5e-3, ema=0.998),
    ),
}


def further(epochs: int) -> ar.Training:
    return replace(falling(epochs, 1e-3), batch_size=64, schedule="linear", warmup=100, patience=0)


# Runs that go on with the weights of another: which, with what dropout, and how.
FURTHER = {
    "gated-pixelcnn-mnist-dropout": ("gated-pixelcnn-mnist-shifted", 0.2, further(3)),
    "diagonal-bilstm-mnist-dropout": ("diagonal-bilstm-mnist-deep", 0.1, further(5)),
}
# The runs whose log-odds are averaged.
AVERAGED = (
    "diagonal-bilstm-mnist-dropout",
    "diagonal-bilstm-mnist-deep",
    "gated-pixelcnn-mnist-shifted",
    "row-lstm-mnist-deep",
)
SAMPLES = 40
EVERY = 10  # one test image in ten is encoded; they are sorted by digit


def digits(split: str) -> ar.data.Data:
    return ar.data.read(DATA, split=split, size=(28, 28))


def train_and_measure(name: str, seed: int, runs: Path) -> dict[str, Any]:
    train, valid = digits("train"), digits("valid")
    torch.manual_seed(seed)
    if name in FURTHER:
        before, dropout, training = FURTHER[name]
        model = with_dropout(ar.load(runs / before / str(seed)), dropout)
    else:
        model = RECIPES[name].build(train.event_shape, train.levels)
        training = RECIPES[name].training
    run = runs / name / str(seed)
    fit = ar.fit(model, train, valid=valid, run=run, training=training, seed=seed)
    score, of_valid = ar.evaluate(model, digits("test")), ar.evaluate(model, valid)
    samples = model.sample(SAMPLES, generator=torch.Generator().manual_seed(0))
    threads = torch.get_num_threads()
    return {
        "recipe": name,
        "family": type(model).__name__,
        "seed": seed,
        "test_nats": score.nats,
        "interval_95": 1.96 * score.standard_error,
        "valid_nats": of_valid.nats,
        "epochs": fit.epochs,
        "seconds": round(fit.seconds),
        "parameters": sum(p.numel() for p in model.parameters()),
        "threads": threads,
        **({"device": torch.cuda.get_device_name()} if model.device.type == "cuda" else {}),
        "curve": [[round(h["train_nats"], 3), round(h["valid_nats"], 3)] for h in fit.history],
        "samples": ["".join(map(str, x.flatten().tolist())) for x in samples],
        **encoded(model),
        "command": f"{COMMAND} --recipes {name} --seeds {seed} --threads {threads}",
    }


def with_dropout(model: ar.AutoregressiveModel, dropout: float) -> ar.AutoregressiveModel:
    """A model of the same weights that is trained with dropout."""
    options = {**model.options, "dropout": dropout}
    changed = type(model)(model.event_shape, model.symbols.compact, **options)
    changed.load_state_dict(model.state_dict())
    return changed


def average(seed: int, runs: Path) -> dict[str, Any]:
    """The model whose log-odds at each pixel are a weighted sum of those of several models.

    All visit the pixels in the same order, and one minus a probability of a bit is that of the
    other: so this is a normalised autoregressive model too. Weights are those of least validation
    nats.
    """
    start = time.perf_counter()
    models = [ar.load(runs / name / str(seed)) for name in AVERAGED]
    weights = torch.full((len(models),), 1 / len(models), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")
    scores = {}
    for split in ("valid", "test"):
        x = digits(split).x
        odds = torch.stack([log_odds(model, x) for model in models])
        bits = x.flatten(1).double()

        def each(odds: Tensor = odds, bits: Tensor = bits) -> Tensor:
            summed = torch.einsum("m,mnd->nd", weights, odds)
            return F.binary_cross_entropy_with_logits(summed, bits, reduction="none").sum(1)

        def closure() -> float:
            optimiser.zero_grad()
            nats = each().mean()
            nats.backward()
            return nats.item()

        if split == "valid":
            optimiser.step(closure)
        scores[split] = each().detach()
    return {
        "recipe": "average",
        "family": "Average",
        "seed": seed,
        "test_nats": scores["test"].mean().item(),
        "interval_95": 1.96 * scores["test"].std().item() / math.sqrt(len(scores["test"])),
        "valid_nats": scores["valid"].mean().item(),
        "weights": dict(zip(AVERAGED, weights.tolist(), strict=True)),
        "seconds": round(time.perf_counter() - start),
        "parameters": sum(p.numel() for model in models for p in model.parameters()),
        "threads": torch.get_num_threads(),
        "command": f"{COMMAND} --recipes average --seeds {seed}",
    }


@torch.no_grad()
def log_odds(model: ar.AutoregressiveModel, x: Tensor) -> Tensor:
    """The log-odds of each bit being 1, given those before it: (images, pixels), float64."""
    parts = [model.forward(part.long()).logits.double() for part in x.split(100)]
    return torch.cat(parts).flatten(1)


def encoded(model: ar.AutoregressiveModel) -> dict[str, int]:
    """Size of a file of some test images, which is decoded again, and of one by xz.

    xz is given the images as bits, eight to a byte.
    """
    x = digits("test").x[::EVERY]
    content = ar.encode(model, x)
    assert torch.equal(ar.decode(model, content), x)
    nats = density_baselines.xz_nats(x.flatten(1).numpy().astype(np.uint8))
    return {"file_bytes": len(content), "xz_bytes": round(nats * len(x) / (8 * math.log(2)))}


# The page


def page(rows: list[dict[str, Any]]) -> str:
    parts = [
        """\
# PixelCNN and PixelRNN on binarised MNIST

Test nats of the static binarisation of Salakhutdinov and Murray (2008): the mean of −log p over the
10,000 test images, where p is the model's normalised probability of an image. Lower is better. The
test split is read once, at the end; the best epoch is chosen on validation. ± is half of a
95 % interval of the mean over test images.
""",
        *table(rows),
        f"""
As a file: size in bytes of every tenth test image, 1,000 in all, as written by `ar.encode` and
decoded again; beside it, that of the same images as bits, compressed by xz.

The paper (arXiv 1601.06759) trains with RMSProp until validation stops improving, with sizes that
it does not all give. Ours are runs of the few epochs that one core of a CPU does in an hour or two,
or a GPU in six to twelve minutes (the deep ones), with AdamW, a falling learning rate, averaged
weights and bfloat16 matrix products; validation and test are measured in float32. The run with
dropout goes on with the weights of the deep one; that of the large Row LSTM began on a GPU and
ended on a core. Models that were not trained are left out.

What brings most is the width of the layers' kernels (`--kernel`). The paper gives PixelCNN kernels
of 3×3; of the Row LSTM's it says that they have three pixels at least, and see more the wider they
are. After the first epoch, validation nats are {first(rows, "pixelcnn-mnist-deep")} for a PixelCNN
with kernels of 3 and {first(rows, "pixelcnn-mnist-wide")} for the one with kernels of 9, which has
about half the layers, of half the width; {first(rows, "row-lstm-mnist-brief")} and
{first(rows, "row-lstm-mnist-wide")} for Row LSTMs that otherwise have the same size.

Training nats are means over an epoch, with the weights of each update; validation nats are those of
the averaged weights at its end. Where the first are below the second, more epochs alone would not
help: the deep PixelCNNs learn their images by heart. Images moved by a pixel (`--shift 1`), from
which a MADE gains 3 nats, do not prevent it, as a convolution knows moved images already: Gated
PixelCNN then had 82.63 on validation after 20 epochs, and PixelCNN 83.68 after 33. A Row LSTM of 9
layers of 32 features had 82.81 after 11. The Diagonal BiLSTM gained 0.5 nats in the four epochs at
the end that see images in their places. What does help it is dropout, of a tenth of the features
of each layer, for five epochs more. The PixelCNNs of wide kernels had dropout from the start, and
were not trained without it. The Row LSTM of wide kernels, whose layers have 16 features, had 81.23
on validation after two such epochs more, which is worse than before; the large one, of 32 features,
had dropout from the start.

Mixtures of the deep models are no better than the best of them, whose p is so much greater for most
images that the others count for nothing. As all visit the pixels in the same order, they can be
averaged pixel by pixel instead: the log-odds of each bit are a sum of theirs, with weights of least
validation nats ({weights(rows)}). That is an autoregressive model too.

![Nats after each epoch](pixels_curves.png)

![Samples](pixels_samples.png)

## How each was made
""",
        *commands(rows),
        "\nThe page is made from [pixels.json](pixels.json) by the benchmark with `--page-only`.\n",
    ]
    return "\n".join(parts)


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "| model | recipe | test nats, ours | validation nats | in the paper | as a file |"
    yield "|---|---|---:|---:|---:|---:|"
    for row in rows:
        paper = PAPER.get(row["family"])
        yield (
            f"| {NAMES[row['family']]} | `{row['recipe']}` | {nats(row)} | "
            f"{row['valid_nats']:.2f} | {'–' if paper is None else f'{paper:.2f}'} | "
            f"{as_file(row)} |"
        )


def weights(rows: list[dict[str, Any]]) -> str:
    """The weights of the averages, in words."""
    found = [row["weights"].items() for row in rows if "weights" in row]
    return ", ".join(f"{weight:.2f} of `{name}`" for pairs in found for name, weight in pairs)


def first(rows: list[dict[str, Any]], recipe: str) -> str:
    """Validation nats after the first epoch."""
    return next(f"{row['curve'][0][1]:.1f}" for row in rows if row["recipe"] == recipe)


def as_file(row: dict[str, Any]) -> str:
    return f"{row['file_bytes']:,} (xz {row['xz_bytes']:,})" if "file_bytes" in row else "–"


def commands(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "Minutes are by the clock; the core, or the GPU, had other work as well.\n"
    yield "| recipe | parameters | epochs | minutes | on | command |"
    yield "|---|---:|---:|---:|---|---|"
    for row in rows:
        device = row.get("device", f"{row['threads']} thread")
        yield (
            f"| `{row['recipe']}` | {row['parameters']:,} | {row.get('epochs', '–')} | "
            f"{row['seconds'] / 60:.0f} | {device} | `{row['command']}` |"
        )


def curves(rows: list[dict[str, Any]]) -> bytes:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    families = dict.fromkeys(row["family"] for row in rows)
    figure = Figure(figsize=(10, 7), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    for family, axes in zip(families, panels.flat, strict=False):
        axes.set_title(NAMES[family])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for row in rows:
            if row["family"] == family:
                train, valid = zip(*row["curve"], strict=True)
                epochs = range(1, len(valid) + 1)
                (drawn,) = axes.plot(epochs, valid, label=row["recipe"])
                axes.plot(epochs, train, color=drawn.get_color(), linestyle=":")
        axes.legend(fontsize="small", loc="upper right")
    panels[0, 0].set_ylim(77, 95)
    figure.supxlabel("epoch")
    figure.supylabel("nats: validation, and training (dotted)")
    return png(figure)


def samples(rows: list[dict[str, Any]]) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 1.75 * len(rows)), layout="constrained")
    for number, row in enumerate(rows):
        axes = figure.add_subplot(len(rows), 1, number + 1)
        x = torch.tensor([[int(bit) for bit in image] for image in row["samples"]])
        images = x.view(2, -1, 28, 28).transpose(1, 2).reshape(2 * 28, -1)
        axes.imshow(images, cmap="gray_r", interpolation="nearest")
        axes.set_title(row["recipe"], fontsize="medium")
        axes.set_axis_off()
    return png(figure)


def main(
    recipes: tuple[str, ...] = tuple(name for name in MNIST if name.endswith("-brief")),
    seeds: tuple[int, ...] = (0,),
    runs: Path = ROOT / "runs" / "pixels",
    out: Path = ROOT / "docs" / "results",
    page_only: bool = False,
    threads: int | None = None,
) -> None:
    """Trains or resumes recipes, measures them, and writes the page.

    Args:
        recipes: Names of recipes; the brief ones by default.
        seeds: Seeds, one run for each.
        runs: Folder for the run folders.
        out: Folder for pixels.json, pixels.md and the pictures.
        page_only: Only write the page and the pictures from pixels.json.
        threads: Number of threads; torch's choice by default.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    order = list(NAMES)
    figures = Figures(
        out / "pixels.json", lambda r: (order.index(r["family"]), r["recipe"], r["seed"])
    )
    for name in () if page_only else recipes:
        for seed in seeds:
            if (name, seed) not in {(r["recipe"], r["seed"]) for r in figures.rows}:
                figures.add(
                    average(seed, runs)
                    if name == "average"
                    else train_and_measure(name, seed, runs)
                )
    (out / "pixels.md").write_text(page(figures.rows))
    trained = [row for row in figures.rows if "curve" in row]
    (out / "pixels_curves.png").write_bytes(curves(trained))
    (out / "pixels_samples.png").write_bytes(samples(trained))


if __name__ == "__main__":
    tyro.cli(main)
