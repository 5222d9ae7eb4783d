"""The grid of the MADE paper (arXiv 1502.03509), walked one choice at a time, by validation.

    python benchmarks/made_grid.py --sets adult mushrooms

The grid of the experiments on the binary UCI sets has 120 points: one or two layers of 500 units,
ReLU or softplus, adadelta's ε of 1e-5, 1e-7 or 1e-9, conditioning weights or none, and 1, 8, 16, 32
or a fresh ordering each update. The paper does not say whether these networks had direct
connections, as those of its authors' MNIST command have; so both are tried, first. The walk starts
at the first value of each choice below, changes one choice after another and keeps the value that
is best on validation: some ten points. The test is not read.

Points go to docs/results/made_grid.json; a point that is there is not run again. The page of
``made_tables.py`` shows where each walk ended.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import tyro
from made_tables import PAPER, bits, recipe_name
from tables import ROOT

import autoregress as ar
from autoregress.recipes import RECIPES

SETS = tuple(name for name in PAPER if name != "mnist")
ORDERINGS = 64  # with which "any" is measured here
# Choices and their values, in the order in which they are tried.
GRID: dict[str, tuple[Any, ...]] = {
    "direct": (False, True),
    "orderings": (1, 8, 16, 32, "any"),
    "layers": (1, 2),
    "conditioning": (False, True),
    "activation": ("relu", "softplus"),
    "eps": (1e-7, 1e-5, 1e-9),
}

Point = dict[str, Any]


def settings(name: str, point: Point) -> tuple[ar.MADEConfig, ar.Training]:
    """Model and training of the recipe, moved to a point."""
    recipe = RECIPES[recipe_name(name, "paper")]
    assert isinstance(recipe.config, ar.MADEConfig)
    model = replace(
        recipe.config,
        hidden=(500,) * point["layers"],
        activation=point["activation"],
        direct=point["direct"],
        conditioning=point["conditioning"],
        orderings=point["orderings"],
        connectivities=point["orderings"],
    )
    return model, replace(recipe.training, eps=point["eps"])


def measure(name: str, point: Point, seed: int) -> dict[str, Any]:
    """Trains at a point; returns its row, with the validation nats."""
    options, training = settings(name, point)
    train, valid = bits(name, "train"), bits(name, "valid")
    torch.manual_seed(seed)
    model = ar.MADE(train.event_shape, train.levels, **vars(options))
    started = time.monotonic()
    fit = ar.fit(model, train, valid=valid, training=training, seed=seed, quiet=True)
    if point["orderings"] == "any":
        model = model.ensemble(ORDERINGS)
    nats = ar.evaluate(model, valid).nats
    seconds = round(time.monotonic() - started)
    found = {"valid_nats": nats, "epochs": fit.epochs, "seconds": seconds}
    return {"set": name, **point, "seed": seed, **found}


def main(
    sets: tuple[str, ...] = SETS,
    choices: tuple[str, ...] = tuple(GRID),
    seed: int = 0,
    out: Path = ROOT / "docs" / "results",
    threads: int | None = None,
) -> None:
    """Walks through the grid.

    Args:
        sets: Names of the data sets.
        choices: Choices to change, in turn.
        seed: Seed of every run.
        out: Folder for made_grid.json.
        threads: Number of threads; torch's choice by default.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    file = out / "made_grid.json"
    for name in sets:
        best = {choice: values[0] for choice, values in GRID.items()}
        for choice in choices:
            tried: list[dict[str, Any]] = []
            for value in GRID[choice]:
                point = {**best, choice: value}
                rows = json.loads(file.read_text())["rows"] if file.exists() else []
                key = {"set": name, **point, "seed": seed}
                row = next((r for r in rows if key.items() <= r.items()), None)
                if row is None:
                    row = measure(name, point, seed)
                    file.write_text(json.dumps({"rows": [*rows, row]}, indent=1) + "\n")
                    print(f"{name} {point}: {row['valid_nats']:.3f}", flush=True)
                tried.append(row)
            found = min(tried, key=lambda row: row["valid_nats"])
            best = {each: found[each] for each in GRID}
        print(f"{name}: best of the walk {best}", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
