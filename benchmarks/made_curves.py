"""MADE over many orderings: trains and measures small models, and writes curves and the page.

    python benchmarks/made_curves.py --sets adult dna --recipes 1 2 4 any
    python benchmarks/made_curves.py --page-only

Figures go to docs/results/made_curves.json, one row for each set, number of orderings and seed, and
from there to docs/results/made_curves.md and its pictures. An interrupted run is resumed; a run
that has a row is not repeated unless the row is removed.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import made_tables
import torch
import tyro
from made_tables import PAPER, bits
from tables import ROOT, Figures, nats, png
from torch import Tensor

import autoregress as ar

COMMAND = "python benchmarks/made_curves.py"
TABLES = ROOT / "docs" / "results" / "made.json"
COUNTS = tuple(2**k for k in range(8))
SAMPLES = 48


@dataclass(frozen=True)
class Setting:
    """The settings that all models of a set share."""

    units: int
    passes: int
    """Number of passes over the training rows in an epoch, so that it is worth a validation."""
    chosen_on: int
    """Number of validation rows, the first ones, on which the epoch is chosen."""
    training: ar.Training


SETS = {
    "mnist": Setting(
        1000,
        passes=1,
        chosen_on=1000,
        training=ar.Training(
            max_epochs=3,
            lr=0.015,
            warmup=100,
            schedule="linear",
            ema=0.99,
            precision="bfloat16",
        ),
    ),
    "dna": Setting(
        500,
        passes=5,
        chosen_on=600,
        training=ar.Training(max_epochs=30, lr=0.03, schedule="linear", ema=0.99, patience=8),
    ),
    "adult": Setting(
        500,
        passes=4,
        chosen_on=1414,
        training=ar.Training(max_epochs=15, lr=0.02, schedule="linear", ema=0.99, patience=5),
    ),
}


def members(model: ar.MADE, seed: int) -> ar.MADE:
    """The model with the orderings to measure it in: its own, or for "any" the largest number."""
    if model.options["orderings"] != "any":
        return model
    torch.manual_seed(seed)
    return model.ensemble(COUNTS[-1])


def train_and_measure(name: str, recipe: str, seed: int, runs: Path) -> dict[str, Any]:
    setting = SETS[name]
    train, valid, test = (bits(name, split).x.flatten(1) for split in ("train", "valid", "test"))
    valid = valid[: setting.chosen_on]
    torch.manual_seed(seed)
    model = ar.MADE(
        train.shape[1],
        hidden=(setting.units,),
        orderings=int(recipe) if recipe.isdigit() else recipe,
        direct=True,
    )
    began = time.monotonic(), time.process_time()
    fit = ar.fit(
        model,
        train.repeat(setting.passes, 1),
        valid=valid,
        run=runs / name / recipe / str(seed),
        training=setting.training,
        seed=seed,
    )
    # Share of the time on the processor, which other processes use too.
    share = (time.process_time() - began[1]) / (time.monotonic() - began[0])
    model = members(model, seed)
    (of_valid, _), (of_test, alone) = growing(model, valid), growing(model, test)
    error = of_test.std(1) / math.sqrt(len(test))
    threads = torch.get_num_threads()
    return {
        "set": name,
        "recipe": recipe,
        "seed": seed,
        "test_nats": float(of_test[-1].mean()),
        "interval_95": float(1.96 * error[-1]),
        "valid_nats": float(of_valid[-1].mean()),
        "alone_nats": float(alone.mean()),
        "curve": [
            {
                "orderings": count,
                "test_nats": float(of_test[count - 1].mean()),
                "valid_nats": float(of_valid[count - 1].mean()),
            }
            for count in COUNTS
            if count <= len(model.orderings)
        ],
        "epochs": fit.epochs,
        "best_epoch": fit.best_epoch,
        "seconds": round(fit.seconds * share, 1),
        "parameters": sum(p.numel() for p in model.parameters()),
        "threads": threads,
        "command": f"{COMMAND} --sets {name} --recipes {recipe} --seeds {seed} --threads {threads}",
    }


@torch.no_grad()
def growing(model: ar.MADE, x: Tensor) -> tuple[Tensor, Tensor]:
    """Nats (orderings, rows) of mixtures of the first 1, 2, 3, … orderings, and of each alone.

    p of a mixture is the mean of its orderings' probabilities.
    """
    alone = torch.stack([model.ensemble(o[None]).log_prob(x) for o in model.orderings])
    counts = torch.arange(1, len(alone) + 1, dtype=torch.float64)
    return counts.log()[:, None] - alone.logcumsumexp(0), -alone


def draw(seed: int) -> dict[str, Any]:
    """Samples of the tables' best model of MNIST, and the training images nearest to them."""
    rows = json.loads(TABLES.read_text())["rows"]
    best = next(row for row in rows if (row["set"], row["recipe"]) == ("mnist", "mixed"))
    networks = [made_tables.trained("mnist", "best", s, made_tables.RUNS)[0] for s in best["seeds"]]
    model = ar.Mixture(networks)
    train, valid = (bits("mnist", split).x.flatten(1) for split in ("train", "valid"))
    valid = valid[: SETS["mnist"].chosen_on]
    samples = model.sample(SAMPLES, generator=torch.Generator().manual_seed(seed))
    distances, nearest = differing(samples, train).min(1)
    return {
        "set": "mnist",
        "recipe": "samples",
        "seed": seed,
        "networks": len(networks),
        "test_nats": best["test_nats"],
        "samples": strings(samples),
        "nearest": strings(train[nearest]),
        "distances": distances.tolist(),
        "validation_distances": differing(valid, train).min(1).values.tolist(),
        "command": f"{COMMAND} --sets mnist --recipes samples --seeds {seed}",
    }


def differing(a: Tensor, b: Tensor) -> Tensor:
    """Number of bits in which each row of a differs from each row of b."""
    a, b = a.float(), b.float()
    return (a.sum(1)[:, None] + b.sum(1) - 2 * a @ b.T).int()


def strings(images: Tensor) -> list[str]:
    return ["".join(map(str, image.tolist())) for image in images]


def trained(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["set"] == name and row["recipe"] != "samples"]


# The page


def page(rows: list[dict[str, Any]]) -> str:
    names = [name for name in SETS if trained(rows, name)]
    parts = [INTRODUCTION.format(most=COUNTS[-1]), *settings(names)]
    parts += [AT_TEST.format(most=COUNTS[-1]), *at_test_table(rows, names), ""]
    parts += [at_test_words(row) for name in names if (row := over_all(rows, name))]
    parts += [IN_TRAINING]
    for name in names:
        parts += [f"{name}:\n", *in_training_table(rows, name), "", in_training_words(rows, name)]
    parts += [TIME]
    parts += [sample_words(row) for row in rows if row["recipe"] == "samples"]
    parts += ["## How each was made\n", *command_table(rows)]
    parts += [
        "\nThe page and its pictures are made from [made_curves.json](made_curves.json) and "
        "[made.json](made.json)\nby the benchmark with `--page-only`.\n"
    ]
    return "\n".join(parts)


INTRODUCTION = """\
# MADE over many orderings

How much does training with several orderings of the dimensions gain, and how much does measuring
with several? Lower nats are better. The models are of modest size and trained briefly, so that all
of them take minutes on one core; the best ones are in [the tables](made.md).

- Models are trained with 1, 2, 4, … {most} random orderings, which the updates cycle through, or
  over all: a fresh one each update. The models of a set differ in nothing else: size, optimiser,
  largest number of epochs and seed are the same. They have one hidden layer, and direct connections
  from inputs to outputs.
- log p(x) of n orderings is log (1/n ∑ₒ pₒ(x)), the log-mean-exp of their exact log p. A model of n
  orderings is measured with its n, and one trained over all with {most}. Each set and seed has one
  list of orderings: n orderings are its first n.
- Test nats are the mean of −log p over all test rows. The test is read once for each model. The
  epoch whose weights are kept is chosen on the validation rows in the table below, with the model's
  own orderings, or with 8 if it was trained over all. Validation nats are of the same rows.
- ± is half of a 95 % interval of the mean over test rows: 1.96 s / √N, with s the standard
  deviation of −log p over N rows. The models of a set are measured on the same rows, and rows
  differ more than models do: the difference of two models is more certain than ± says. Each model
  was trained once, and ± does not include the effect of the seed.
- The learning rates are the best, and the largest, of three by validation, in short runs with 8
  (dna: 32) orderings: so few updates need a large one. On dna a smaller one is better for one
  ordering, and worse for many. Some models with smaller ones had been measured on the test before.
"""

AT_TEST = """
## Orderings at test

The same weights, trained with {most} orderings or over all, measured with more and more orderings:
the first 1, 2, 4, … of one list. By Jensen's inequality a mixture is never worse than the average
of its orderings.

![Test nats against orderings at test](made_curves_test.png)

Trained over all orderings:
"""

IN_TRAINING = """
## Orderings in training

A network of n orderings is n models that share their weights, each with one nth of the updates.
That costs each of them something ("one", the mean of the orderings measured alone) where training
is short, and helps where a network of one ordering would overfit; their mixture ("all") always
gains. Where the chosen epoch is the last, more epochs might have helped. The paper's models are
larger, and are trained until they stop improving.

![Test nats against training orderings](made_curves_training.png)
"""

TIME = """\
## Time

Training time on one core, of the models above in processor time, and of those in
[the tables](made.md) by the clock. Both include choosing an epoch: validation with n orderings
takes n passes.

![Test nats against training time](made_curves_time.png)
"""


def settings(names: list[str]) -> Iterator[str]:
    yield "| set | units | epochs, at most | updates, at most | rule | chosen on validation rows |"
    yield "|---|---:|---:|---:|---|---:|"
    for name in names:
        setting, training = SETS[name], SETS[name].training
        updates = training.max_epochs * PAPER[name].train * setting.passes // training.batch_size
        yield (
            f"| {name} | {setting.units} | {training.max_epochs} of {setting.passes} "
            f"{'pass' if setting.passes == 1 else 'passes'} | {updates:,} | "
            f"{training.optimiser}, {training.lr:g} falling to 0, {training.precision}; weights "
            f"averaged with {training.ema:g} | {setting.chosen_on:,} |"
        )


def over_all(rows: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    return next((row for row in trained(rows, name) if row["recipe"] == "any"), None)


def at_test_table(rows: list[dict[str, Any]], names: list[str]) -> Iterator[str]:
    curves = {name: curve(row) for name in names if (row := over_all(rows, name))}
    yield f"| orderings | {' | '.join(curves)} |"
    yield f"|---:|{'---:|' * len(curves)}"
    for count, *points in zip(COUNTS, *curves.values(), strict=True):
        yield f"| {count} | {' | '.join(f'{point:.2f}' for point in points)} |"


def curve(row: dict[str, Any]) -> list[float]:
    """Test nats with the first 1, 2, 4, … of the orderings that a model was measured with."""
    return [point["test_nats"] for point in row["curve"]]


def at_test_words(row: dict[str, Any]) -> str:
    points = curve(row)
    gain, of_eight = points[0] - points[-1], points[0] - points[COUNTS.index(8)]
    return (
        f"- {row['set']}: {COUNTS[-1]} orderings gain {gain:.2f} nats over one, and 8 gain "
        f"{of_eight / gain:.0%} of that; the last doubling gains {points[-2] - points[-1]:.3f}."
    )


def in_training_table(rows: list[dict[str, Any]], name: str) -> Iterator[str]:
    yield "| orderings | seed | test nats, all | test nats, one | validation nats, all | epoch |"
    yield "|---:|---:|---:|---:|---:|---:|"
    for row in trained(rows, name):
        yield (
            f"| {row['recipe']} | {row['seed']} | {nats(row)} | {row['alone_nats']:.2f} | "
            f"{row['valid_nats']:.2f} | {row['best_epoch']} |"
        )


def in_training_words(rows: list[dict[str, Any]], name: str) -> str:
    fixed = [row for row in trained(rows, name) if row["recipe"] != "any"]
    chosen, best = (min(fixed, key=lambda row: row[f"{s}_nats"]) for s in ("valid", "test"))
    first, last = fixed[0], fixed[-1]
    cost = last["alone_nats"] - first["alone_nats"]
    agreed = "the same" if best is chosen else f"{orderings(best)}, {best['test_nats']:.2f}"
    epochs = SETS[name].training.max_epochs
    why = (
        f"A network of one overfits after epoch {first['best_epoch']} of {epochs}; more orderings "
        "delay that."
        if first["best_epoch"] < epochs
        else "A network of one is best at its last epoch: there was no overfitting to delay."
    )
    return (
        f"Validation chooses {orderings(chosen)}, {chosen['test_nats']:.2f} test nats; the test "
        f"would have chosen {agreed}.\n"
        f"One of {orderings(last)} is {abs(cost):.2f} nats {'worse' if cost > 0 else 'better'} "
        f"than a network of one, and their mixture gains "
        f"{last['alone_nats'] - last['test_nats']:.2f}.\n"
        f"{why}\n"
        f"In the paper: {PAPER[name].fixed[0]:.2f} with one, {PAPER[name].sampled[0]:.2f} with "
        "several.\n"
    )


def orderings(row: dict[str, Any]) -> str:
    return "1 ordering" if row["recipe"] == "1" else f"{row['recipe']} orderings"


def sample_words(row: dict[str, Any]) -> str:
    ours, theirs = sorted(row["distances"]), sorted(row["validation_distances"])
    near = theirs[len(theirs) // 20]
    nearer = sum(distance < near for distance in ours)
    return f"""\
## Samples

Samples of the mixture of {row["networks"]} networks in [the tables](made.md), and on the right, in
the same places, the training images that differ from them in the fewest of 784 bits.

![Samples, and the training images nearest to them](made_curves_samples.png)

| bits that differ from the nearest training image | least | median | most |
|---|---:|---:|---:|
| {len(ours)} samples | {ours[0]} | {ours[len(ours) // 2]} | {ours[-1]} |
| {len(theirs):,} validation images | {theirs[0]} | {theirs[len(theirs) // 2]} | {theirs[-1]} |

One validation image in twenty is nearer than {near} bits to a training image, and so are {nearer}
of the {len(ours)} samples. A model that copied its training images would draw many.
"""


def command_table(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "| set | orderings | parameters | epochs | seconds | threads | command |"
    yield "|---|---:|---:|---:|---:|---:|---|"
    for row in rows:
        sizes = "– | – | – | –"
        if row["recipe"] != "samples":
            sizes = f"{row['parameters']:,} | {row['epochs']} | {row['seconds']} | {row['threads']}"
        yield f"| {row['set']} | {row['recipe']} | {sizes} | `{row['command']}` |"


# Pictures


def pictures(
    rows: list[dict[str, Any]], tables: list[dict[str, Any]]
) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files."""
    yield "test", png(panels(rows, at_test_lines, "orderings at test"))
    yield "training", png(panels(rows, in_training_lines, "orderings in training"))
    yield "time", png(panels(rows + tables, time_points, "seconds of training"))
    for row in rows:
        if row["recipe"] == "samples" and row["seed"] == 0:
            yield "samples", png(beside(row["samples"], row["nearest"]))


def panels(
    rows: list[dict[str, Any]], lines: Callable[[Any, list[dict[str, Any]]], None], xlabel: str
) -> Any:
    """A panel for each set, with one legend for all."""
    from matplotlib.figure import Figure

    names = [name for name in SETS if trained(rows, name)]
    figure = Figure(figsize=(11, 4), layout="constrained")
    labelled: dict[str, Any] = {}
    for place, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), place + 1, title=name, xlabel=xlabel)
        axes.grid(alpha=0.3)
        lines(axes, trained(rows, name))
        handles, labels = axes.get_legend_handles_labels()
        labelled |= dict(zip(labels, handles, strict=True))
    figure.axes[0].set_ylabel("test nats")
    figure.legend(labelled.values(), labelled.keys(), loc="outside lower center", ncols=4)
    return figure


def at_test_lines(axes: Any, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["recipe"] in ("any", "8", "128"):
            label = "over all" if row["recipe"] == "any" else f"with {row['recipe']}"
            color = {"any": "C2", "8": "C1", "128": "C0"}[row["recipe"]]
            counts = COUNTS[: len(row["curve"])]
            axes.plot(counts, curve(row), f"{color}.-", label=f"trained {label}")
    _set_counts(axes)


def in_training_lines(axes: Any, rows: list[dict[str, Any]]) -> None:
    for seed in {row["seed"] for row in rows}:
        fixed = [row for row in rows if row["recipe"] != "any" and row["seed"] == seed]
        counts = [int(row["recipe"]) for row in fixed]
        axes.plot(counts, [row["alone_nats"] for row in fixed], "C1.--", label="one of them (mean)")
        axes.plot(counts, [row["test_nats"] for row in fixed], "C0.-", label="all of them")
    for row in rows:
        if row["recipe"] == "any":
            label = f"trained over all, {COUNTS[-1]} at test"
            axes.axhline(row["test_nats"], color="C2", linestyle=":", label=label)
    _set_counts(axes)


def _set_counts(axes: Any) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(COUNTS, labels=list(map(str, COUNTS)))


def time_points(axes: Any, rows: list[dict[str, Any]]) -> None:
    from matplotlib.ticker import LogLocator

    for recipe, style, label in (
        ("paper", "C3s", "as the paper"),
        ("best", "C4*", "our best"),
        ("mixed", "C5P", "several of our best, mixed"),
    ):
        for row in rows:
            if row["recipe"] == recipe:
                axes.plot(row["seconds"], row["test_nats"], style, label=f"in the tables: {label}")
    for row in rows:
        if "curve" in row:
            point = row["seconds"], row["test_nats"]
            label = (
                "over all orderings" if row["recipe"] == "any" else "with this number of orderings"
            )
            axes.plot(*point, "C2D" if row["recipe"] == "any" else "C0o", label=label)
            if row["recipe"] != "any":
                # Labels alternate between the two sides, so that they do not overlap.
                offset = (4, 4) if COUNTS.index(int(row["recipe"])) % 2 else (-4, -11)
                axes.annotate(
                    row["recipe"], point, offset, textcoords="offset points", fontsize="small"
                )
    axes.set_xscale("log")
    axes.margins(0.1)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")


def beside(samples: list[str], nearest: list[str]) -> Any:
    """Samples on the left and, in the same places on the right, the images nearest to them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    for place, (title, images) in enumerate(
        [("samples", samples), ("nearest training images", nearest)]
    ):
        axes = figure.add_subplot(1, 2, place + 1, title=title)
        x = torch.tensor([[int(bit) for bit in image] for image in images])
        rows = x.view(-1, 8, 28, 28).transpose(1, 2).reshape(-1, 8 * 28)
        axes.imshow(rows, cmap="gray_r", interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
    return figure


def main(
    sets: tuple[str, ...] = tuple(SETS),
    recipes: tuple[str, ...] = (*map(str, COUNTS), "any", "samples"),
    seeds: tuple[int, ...] = (0,),
    runs: Path = ROOT / "runs" / "curves",
    out: Path = ROOT / "docs" / "results",
    page_only: bool = False,
    threads: int | None = None,
) -> None:
    """Trains or resumes models, measures them, and writes the page.

    Args:
        sets: Names of the data sets.
        recipes: Numbers of orderings to train with, any, or samples: drawn from the tables' best
            model of MNIST, whose networks are trained if they are missing.
        seeds: Seeds, one run for each.
        runs: Folder for the run folders.
        out: Folder for made_curves.json, made_curves.md and the pictures.
        page_only: Only write the page and the pictures from made_curves.json.
        threads: Number of threads; torch's choice by default.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    sets_in_order, recipes_in_order = list(SETS), [*map(str, COUNTS), "any", "samples"]
    figures = Figures(
        out / "made_curves.json",
        lambda r: (
            sets_in_order.index(r["set"]),
            recipes_in_order.index(r["recipe"]),
            r["seed"],
        ),
    )
    for name in () if page_only else sets:
        for recipe in recipes:
            for seed in seeds:
                done = {(r["set"], r["recipe"], r["seed"]) for r in figures.rows}
                if (name, recipe, seed) in done or (name != "mnist" and recipe == "samples"):
                    continue
                if recipe == "samples":
                    figures.add(draw(seed))
                else:
                    figures.add(train_and_measure(name, recipe, seed, runs))
    (out / "made_curves.md").write_text(page(figures.rows))
    tables = json.loads(TABLES.read_text())["rows"]
    for name, picture in pictures(figures.rows, tables):
        (out / f"made_curves_{name}.png").write_bytes(picture)


if __name__ == "__main__":
    tyro.cli(main)
