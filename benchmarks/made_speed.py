"""MADE against an unmasked network of the same sizes, and sampling against forward passes.

    python benchmarks/made_speed.py [--json docs/results/made_speed.json]

Everything is timed in one process, the contestants taking turns so that a busy machine disturbs
them alike; a figure is the median over rounds. Sizes are those of the MADE paper's MNIST runs:
784 inputs, 8000 hidden units, 784 outputs, batches of 100, float32.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import autoregress as ar

DIMS, HIDDEN, BATCH = 784, 8000, 100


def alternate(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each, taken in turns after one unmeasured round."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def dense() -> nn.Module:
    return nn.Sequential(nn.Linear(DIMS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, DIMS))


def dense_log_prob(model: nn.Module, x: Tensor) -> Tensor:
    columns = x.float()
    return -F.binary_cross_entropy_with_logits(model(columns), columns, reduction="none").sum(1)


def training_step(
    model: nn.Module, loss: Callable[[int], Tensor], optimiser: type[torch.optim.Optimizer]
) -> Callable[[], None]:
    opt = optimiser(model.parameters(), lr=1e-4)  # type: ignore[call-arg]
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
            "fixed": training_step(fixed, lambda step: fixed.objective(x, step=step), optimiser),
            "fresh": training_step(fresh, lambda step: fresh.objective(x, step=step), optimiser),
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    torch.manual_seed(0)

    rows = []

    def row(what: str, ratio: float, target: str, met: bool, seconds: dict[str, float]) -> None:
        rows.append(
            {"what": what, "ratio": ratio, "target": target, "met": met, "seconds": seconds}
        )
        print(f"{what:58s} {ratio:7.2f}   {target:12s} {'met' if met else 'MISSED'}", flush=True)

    for optimiser in (torch.optim.SGD, torch.optim.AdamW):
        t = training(optimiser, arguments.rounds)
        name = optimiser.__name__
        for kind, limit in [("fixed", 1.25), ("fresh", 1.6)]:
            ratio = t[kind] / t["dense"]
            what = f"training step, {name}, {kind} mask / dense"
            row(what, ratio, f"at most {limit}", ratio <= limit, t)
    t = sampling(arguments.rounds)
    ratio = t["sample"] / t["forward"]
    row("100 samples / one forward pass", ratio, "at most 5", ratio <= 5, t)
    ratio = DIMS * t["forward"] / t["sample"]
    row("784 forward passes / 100 samples", ratio, "at least 150", ratio >= 150, t)
    t = scoring(max(3, arguments.rounds // 6))
    ratio = t["dense"] / t["log_prob"]
    row("log_prob of 10,000 rows, throughput / dense", ratio, "at least 0.9", ratio >= 0.9, t)
    if arguments.json:
        report = {
            "command": "python benchmarks/made_speed.py",
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "machine": platform.machine(),
            "rounds": arguments.rounds,
            "rows": rows,
        }
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
