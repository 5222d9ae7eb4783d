"""MADE against an unmasked network of the same sizes, sampling against forward passes, and known
sets that differ from row to row against one set after another.

    python benchmarks/made_speed.py --write docs/results

Everything is timed in one process. The contestants take turns, so that a busy machine disturbs them
alike; a figure is the median over rounds. Sizes are those of the MADE paper's MNIST runs: 784
inputs, 8000 hidden units, 784 outputs, batches of 100, float32. Known sets are measured on one
thread, by the default recipe's model of 37 columns with the numbers of levels of the ALARM network.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import timing
import torch
from timing import alternate
from torch import Tensor, nn
from torch.nn import functional as F

import autoregress as ar
from autoregress.recipes import RECIPES

DIMS, HIDDEN, BATCH = 784, 8000, 100
# Columns with 2, 3 and 4 levels; rows with a known set of their own, and those that are also
# computed one set after another.
COLUMNS, KNOWN_ROWS, APART = (2,) * 13 + (3,) * 17 + (4,) * 7, 2048, 100


def dense() -> nn.Module:
    return nn.Sequential(nn.Linear(DIMS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, DIMS))


def dense_log_prob(model: nn.Module, x: Tensor) -> Tensor:
    columns = x.float()
    return -F.binary_cross_entropy_with_logits(model(columns), columns, reduction="none").sum(1)


def training_step(
    model: nn.Module, loss: Callable[[int], Tensor], optimiser: Callable[..., torch.optim.Optimizer]
) -> Callable[[], None]:
    opt = optimiser(model.parameters(), lr=1e-4)
    step = 0

    def run() -> None:
        nonlocal step
        opt.zero_grad()
        loss(step).mean().backward()
        opt.step()
        step += 1

    return run


def training(optimiser: type[torch.optim.Optimizer], rounds: int) -> dict[str, float]:
    x = (torch.rand(BATCH, DIMS) < 0.3).to(torch.uint8)
    mlp = dense()
    fixed = ar.MADE(DIMS, hidden=(HIDDEN,), orderings=1)
    fresh = ar.MADE(DIMS, hidden=(HIDDEN,), orderings="any")
    return alternate(
        {
            "dense": training_step(mlp, lambda _: -dense_log_prob(mlp, x), optimiser),
            "fixed": training_step(
                fixed, lambda step: fixed.objective(x, None, ar.Update(step)), optimiser
            ),
            "fresh": training_step(
                fresh, lambda step: fresh.objective(x, None, ar.Update(step)), optimiser
            ),
        },
        rounds,
    )


@torch.no_grad()
def sampling(rounds: int) -> dict[str, float]:
    model = ar.MADE(DIMS, hidden=(HIDDEN,), orderings=1)
    x = model.sample(BATCH)
    return alternate(
        {"sample": lambda: model.sample(BATCH), "forward": lambda: model.forward(x)}, rounds
    )


@torch.no_grad()
def scoring(rounds: int) -> dict[str, float]:
    x = (torch.rand(10_000, DIMS) < 0.3).to(torch.uint8)
    mlp, model = dense(), ar.MADE(DIMS, hidden=(HIDDEN,), orderings=1)
    return alternate(
        {"dense": lambda: dense_log_prob(mlp, x), "log_prob": lambda: model.log_prob(x)}, rounds
    )


@torch.no_grad()
def completing(rounds: int) -> dict[str, float]:
    """CPU seconds per row, with a random known set for each row."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    together = RECIPES["made"].build((len(COLUMNS),), COLUMNS)
    apart = copy.copy(together)
    apart.row_orderings = False
    x = together.sample(KNOWN_ROWS)
    known = torch.rand(x.shape) < torch.rand(KNOWN_ROWS, 1)
    contestants: dict[str, Callable[[], object]] = {}
    counts = {"together": KNOWN_ROWS, "apart": APART, "shared": KNOWN_ROWS}
    for method in ("conditional_log_prob", "complete"):
        for kind, count in counts.items():
            call = getattr(apart if kind == "apart" else together, method)
            masks = known[0] if kind == "shared" else known[:count]
            contestants[f"{method}, {kind}"] = partial(call, x[:count], masks)
    seconds = alternate(contestants, rounds, time.process_time)
    torch.set_num_threads(threads)
    return {name: s / counts[name.rpartition(", ")[2]] for name, s in seconds.items()}


def add_completing(rows: timing.Rows, rounds: int) -> None:
    t = completing(max(3, rounds // 3))
    for method in ("conditional_log_prob", "complete"):
        together, apart, shared = (t[f"{method}, {k}"] for k in ("together", "apart", "shared"))
        what = f"{method}, a known set for each row"
        rows.add(f"{what}, thousand rows per CPU second", 1e-3 / together, least=3)
        rows.add(f"{what}, throughput / one after another", apart / together)
        rows.add(f"{what}, throughput / one set for all", shared / together)


def add_training(rows: timing.Rows, rounds: int) -> None:
    for optimiser in (torch.optim.SGD, torch.optim.AdamW):
        t = training(optimiser, rounds)
        for kind, limit in [("fixed", 1.25), ("fresh", 1.6)]:
            what = f"training step, {optimiser.__name__}, {kind} ordering / dense"
            rows.add(what, t[kind] / t["dense"], most=limit)


def add_sampling(rows: timing.Rows, rounds: int) -> None:
    t = sampling(rounds)
    rows.add("784 forward passes / 100 samples", DIMS * t["forward"] / t["sample"], least=150)
    rows.add("100 samples / one forward pass", t["sample"] / t["forward"], most=5)


def add_scoring(rows: timing.Rows, rounds: int) -> None:
    t = scoring(max(3, rounds // 3))
    what = "log_prob of 10,000 rows, throughput / dense"
    rows.add(what, t["dense"] / t["log_prob"], least=0.9)


PARTS = {
    "training": add_training,
    "sampling": add_sampling,
    "scoring": add_scoring,
    "known": add_completing,
}


def page(report: dict[str, Any]) -> str:
    """Speed of MADE, as ratios."""
    return f"""# Speed of MADE

Against an unmasked network of the same sizes, 784–8000–784, in batches of 100 and float32:
{timing.circumstances(report)}

{timing.table(report)}

A fixed ordering costs no less than a fresh one: masks are never stored. Sorted by degree, they are
staircases: of what is masked, only blocks along the edge are computed, and the arithmetic is about
half that of the dense network. In training, rearranging the weights takes the time that this saves;
in scoring it does not.

Rows with different known sets are rows with different orderings. The degrees of hidden units count
steps, whatever dimension a step visits, so that such rows share all products with the weights; the
last rows of the table are of the default recipe's model of 37 columns of 2 to 4 levels, each row
with a random known set of its own, on one thread and by its CPU seconds.

{timing.commands("made_speed", part="sampling")}"""


if __name__ == "__main__":
    timing.main("made_speed", PARTS, page)
