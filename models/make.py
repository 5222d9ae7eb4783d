"""Trains the models that come with the package, and measures them on held-out examples.

    python models/make.py                 # all, into src/autoregress/bundled
    python models/make.py digits --out .  # one of them, elsewhere

    digits    a MADE (arXiv 1502.03509) of scikit-learn's 8 × 8 digits in 17 levels of grey, over
              any ordering; 1 min on one core
    bouncing  a Video Transformer (arXiv 1906.02634) of one of these digits bouncing about a square,
              the recipe video-bouncing; 3 min on one core
    penguins  a table: 344 penguins of three species (package palmerpenguins; Gorman, Williams and
              Fraser, 2014; CC0); 20 s on one core

Weights are rounded to 11 significant bits before anything is measured, so that the package is
smaller: the rounded weights are the model. All is made with seed 0, chosen on validation examples
and measured once on test examples, which the card of each model (README.md) says.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor

import autoregress as ar
from autoregress.bundled import HERE
from autoregress.card import Card
from autoregress.configs import MADEConfig
from autoregress.recipes import RECIPES
from autoregress.storage import model_config, parameters
from autoregress.training import Training

CLIPS, HELD_OUT = 12_000, 200  # of the bouncing digits
TEST = 44  # of the 344 penguins
NETWORK = MADEConfig(
    hidden=(128, 128, 128),
    orderings="any",
    evidence=True,
    residual=True,
    norm=True,
    ordered=True,
    dropout=0.1,
)
TRAINING = Training(
    max_epochs=150, patience=80, lr=2e-3, schedule="cosine", weight_decay=0.1, ema=0.99
)


def digits(out: Path) -> None:
    train, valid, test = ar.data.digits_splits()
    torch.manual_seed(0)
    # A single ordering to validate with after each epoch, which takes an eighth of the time.
    model = ar.MADE(train.event_shape, train.levels, **vars(NETWORK))
    ar.fit(model.ensemble(1), train, valid=valid, training=TRAINING)
    rounded(model)
    with torch.no_grad():
        half = -model.conditional_log_prob(test.x, random_half())
    save(
        model,
        out,
        "scikit-learn's handwritten digits, 8 × 8 pixels in 17 levels of grey, over any ordering "
        "of the pixels: it completes a digit from any of its pixels, and gives the distribution "
        "of any others.",
        {
            "test digits, mixture of 8 orderings": ar.evaluate(model, test),
            "a random half of the pixels given the other": f"{figure(half)} nats",
        },
        TRAINING,
        (train, valid),
    )


def random_half() -> Tensor:
    """(1, 8, 8) bool: the known pixels."""
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    return (order < 32).view(1, 8, 8)


def bouncing(out: Path) -> None:
    recipe = RECIPES["video-bouncing"]
    train, valid, test = (
        ar.data.bouncing_digits(count, levels=2, split=split)
        for count, split in ((CLIPS, "train"), (HELD_OUT, "valid"), (HELD_OUT, "test"))
    )
    torch.manual_seed(0)
    model = recipe.build(train.event_shape, train.levels)
    ar.fit(model, train, valid=valid, training=recipe.training)
    rounded(model)
    save(
        model,
        out,
        "Clips of 8 frames of 16 × 16 bits, in which one of scikit-learn's digits bounces off the "
        "walls. It continues a clip from its first frames.",
        {"test clips": ar.evaluate(model, test.data())},
        recipe.training,
        (train, valid),
    )


def penguins(out: Path) -> None:
    train, test = penguin_rows()
    # Half the default width, so that the file is small. A tenth of these rows chooses the epoch.
    table = ar.Table.fit(train, network={"hidden": (128, 128)})
    rounded(table.model)
    table.save(out)
    table.card(
        out.name,
        out.name,
        about="344 penguins of three species on islands of the Palmer Archipelago (Gorman, "
        "Williams and Fraser, 2014; CC0): a table of labels and numbers, with gaps.",
        scores={"test rows": f"{figure(-table.log_prob(test))} nats ({TEST} rows)"},
    ).write(out)


def penguin_rows() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The columns of the rows to train on, and of the test rows."""
    table = (files("palmerpenguins") / "data" / "penguins.csv").read_text("utf-8")
    names, *rows = csv.reader(table.splitlines())
    order = np.random.default_rng(0).permutation(len(rows))
    train, test = (
        dict(zip(names, map(list, zip(*(rows[i] for i in part), strict=True)), strict=True))
        for part in (order[TEST:], order[:TEST])
    )
    return train, test


def rounded(model: ar.AutoregressiveModel) -> None:
    """Rounds the weights to numbers of float16, which compress to half the size."""
    with torch.no_grad():
        for weight in model.state_dict().values():
            if weight.is_floating_point():
                weight.copy_(weight.half())
    model.load_state_dict(model.state_dict())  # what is derived from them is derived anew


def save(
    model: ar.AutoregressiveModel,
    out: Path,
    about: str,
    scores: dict[str, object],
    training: Training,
    data: tuple[ar.data.Source, ar.data.Source],
) -> None:
    ar.save(model, out)
    prints = {
        name: {"examples": len(source), "sha256": source.digest}
        for name, source in zip(("train", "valid"), data, strict=True)
    }
    load = f'model = ar.load("{out.name}")'
    Card(
        out.name,
        model_config(model),
        parameters(model),
        load,
        about,
        scores,
        prints,
        vars(training),
    ).write(out)


def figure(nats: Tensor | np.ndarray) -> str:
    """The mean of nats, with its standard error."""
    each = np.asarray(nats)
    return f"{each.mean():.4f} ± {each.std(ddof=1) / np.sqrt(len(each)):.4f}"


MADE_BY: dict[str, Callable[[Path], None]] = {
    "digits": digits,
    "bouncing": bouncing,
    "penguins": penguins,
}


def main(names: tyro.conf.Positional[tuple[str, ...]] = (), out: Path = HERE) -> None:
    """Makes the models of these names, or all.

    Args:
        names: Names of models.
        out: Folder in which each gets a folder of its own.
    """
    torch.set_num_threads(1)
    for name in names or MADE_BY:
        MADE_BY[name](out / name)


if __name__ == "__main__":
    tyro.cli(main)
