"""MADE against an unmasked network of the same sizes, and sampling against forward passes.

    python benchmarks/made_speed.py --write docs/results

Everything is timed in one process. The contestants take turns, so that a busy machine disturbs them
alike; a figure is the median over rounds. Sizes are those of the MADE paper's MNIST runs: 784
inputs, 8000 hidden units, 784 outputs, batches of 100, float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import timing
import torch
from timing import alternate
from torch import Tensor, nn
from torch.nn import functional as F

import autoregress as ar

DIMS, HIDDEN, BATCH = 784, 8000, 100


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


def measure(rounds: int) -> timing.Rows:
    rows = timing.Rows()
    for optimiser in (torch.optim.SGD, torch.optim.AdamW):
        t = training(optimiser, rounds)
        for kind, limit in [("fixed", 1.25), ("fresh", 1.6)]:
            what = f"training step, {optimiser.__name__}, {kind} ordering / dense"
            rows.add(what, t[kind] / t["dense"], most=limit)
    t = sampling(rounds)
    rows.add("784 forward passes / 100 samples", DIMS * t["forward"] / t["sample"], least=150)
    rows.add("100 samples / one forward pass", t["sample"] / t["forward"], most=5)
    t = scoring(max(3, rounds // 3))
    what = "log_prob of 10,000 rows, throughput / dense"
    rows.add(what, t["dense"] / t["log_prob"], least=0.9)
    return rows


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

```console
python benchmarks/made_speed.py --write .
```
"""


if __name__ == "__main__":
    timing.main("made_speed", measure, page)
