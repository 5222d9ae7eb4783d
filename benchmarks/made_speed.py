"""MADE against an unmasked network of the same sizes, and sampling against forward passes.

    python benchmarks/made_speed.py --write docs/results

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
from typing import Any

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


def measure(rounds: int) -> list[dict[str, object]]:
    """A row for every promise: what is compared, the ratio, and what it should be."""
    rows: list[dict[str, object]] = []

    def row(what: str, ratio: float, target: str, met: bool) -> None:
        rows.append({"what": what, "ratio": round(ratio, 2), "target": target, "met": met})
        print(f"{what:58s} {ratio:7.2f}   {target:12s} {'met' if met else 'MISSED'}", flush=True)

    for optimiser in (torch.optim.SGD, torch.optim.AdamW):
        t = training(optimiser, rounds)
        for kind, limit in [("fixed", 1.25), ("fresh", 1.6)]:
            ratio = t[kind] / t["dense"]
            what = f"training step, {optimiser.__name__}, {kind} ordering / dense"
            row(what, ratio, f"at most {limit}", ratio <= limit)
    t = sampling(rounds)
    ratio = DIMS * t["forward"] / t["sample"]
    row("784 forward passes / 100 samples", ratio, "at least 150", ratio >= 150)
    ratio = t["sample"] / t["forward"]
    row("100 samples / one forward pass", ratio, "at most 5", ratio <= 5)
    t = scoring(max(3, rounds // 3))
    ratio = t["dense"] / t["log_prob"]
    row("log_prob of 10,000 rows, throughput / dense", ratio, "at least 0.9", ratio >= 0.9)
    return rows


def page(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    table = "\n".join(
        f"| {r['what']} | {r['ratio']:.2f} | {r['target']} | {'yes' if r['met'] else '**no**'} |"
        for r in report["rows"]
    )
    return f"""# Speed of MADE

Against an unmasked network of the same sizes, 784–8000–784, in batches of 100 and float32: the
medians of {report["rounds"]} rounds in which the contestants take turns in one process.
torch {report["torch"]}, {report["threads"]} threads, {report["machine"]}.

| what | ratio | target | met |
|---|---:|---|---|
{table}

A fixed ordering costs no less than a fresh one: masks are never stored. Sorted by degree, they
are staircases, so that nothing is computed for what is masked but blocks along the edge, and
there is about half the arithmetic of the dense network. In training the rearranging takes what
that saves; in scoring it does not.

```console
python benchmarks/made_speed.py --write .
```
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of MADE, as ratios.")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each contestant")
    parser.add_argument("--write", type=Path, help="folder for made_speed.json and made_speed.md")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    report = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "rounds": arguments.rounds,
        "rows": measure(arguments.rounds),
    }
    if arguments.write:
        (arguments.write / "made_speed.json").write_text(json.dumps(report, indent=2) + "\n")
        (arguments.write / "made_speed.md").write_text(page(report))


if __name__ == "__main__":
    main()
