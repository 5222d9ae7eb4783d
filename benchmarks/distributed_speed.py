"""Training by two processes against one, with the same number of examples in an update.

    python benchmarks/distributed_speed.py --write docs/results

Each process has one thread and a core of its own. Processes are started once for each model and
number of processes; after one unmeasured epoch they train the same model on the same examples for
several. A figure is the ratio of the median rates, in examples a second, as `ar.fit` measures them:
without its start, evaluation and checkpoints.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import timing
import torch
from torch import Tensor
from torch.multiprocessing.spawn import spawn

import autoregress as ar

BATCH = {"MADE": 256, "Video Transformer": 8}


def made() -> tuple[ar.AutoregressiveModel, Tensor]:
    """The MADE of its paper's MNIST runs, and the examples of three updates."""
    return ar.MADE(784, hidden=(8000,)), torch.randint(2, (3 * BATCH["MADE"], 784))


def video() -> tuple[ar.AutoregressiveModel, Tensor]:
    """4 + 4 layers of width 128, and two updates of clips of 16 × 32 × 32 in colour."""
    shape = (16, 3, 32, 32)
    blocks = [(4, 8, 4), (4, 4, 8)]
    model = ar.VideoTransformer(
        shape, width=128, encoder_layers=4, decoder_layers=4, blocks=blocks, head_width=32
    )
    return model, torch.randint(256, (2 * BATCH["Video Transformer"], *shape), dtype=torch.uint8)


MODELS: dict[str, Callable[[], tuple[ar.AutoregressiveModel, Tensor]]] = {
    "MADE": made,
    "Video Transformer": video,
}


def process(
    rank: int, size: int, port: int, name: str, sharding: str, rounds: int, rates: Any
) -> None:
    """One of ``size`` processes; the first puts their rates into a queue."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, x = MODELS[name]()
    options: dict[str, Any] = {"batch_size": BATCH[name], "sharding": sharding, "quiet": True}
    options["processes"] = ar.join()
    for turn in range(rounds + 1):
        fitted = ar.fit(model, x, max_epochs=1, **options)
        if turn and rank == 0:
            rates.put(fitted.history[0]["examples_per_second"])


def rate(size: int, name: str, sharding: str, rounds: int) -> float:
    """Median rate of training, in examples a second of all processes together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    rates = multiprocessing.get_context("spawn").SimpleQueue()
    arguments = (size, port, name, sharding, rounds, rates)
    spawn(process, arguments, nprocs=size)
    return statistics.median(rates.get() for _ in range(rounds))


def compare(name: str, rows: timing.Rows, rounds: int) -> None:
    alone = rate(1, name, "none", rounds)
    for sharding, how in (("none", "weights whole (DDP)"), ("full", "in parts (FSDP2)")):
        two = rate(2, name, sharding, rounds)
        rows.add(f"{name}, {how}: two processes / one", two / alone)


PARTS = {"made": partial(compare, "MADE"), "video": partial(compare, "Video Transformer")}


def page(report: dict[str, Any]) -> str:
    """Speed of training by two processes, as ratios."""
    return f"""# Speed of two processes

Rate of two processes, in examples a second, over that of one, with the same number of examples in
an update: 2 would be ideal. Medians of {report["rounds"]} epochs. One core and one
thread for each process, gloo, float32; torch {report["torch"]}, {report["machine"]}.

{timing.table(report)}

The MADE is that of its paper for MNIST, 784–8000–784, with {BATCH["MADE"]} examples an update; the
Video Transformer has 4 + 4 layers of width 128, and {BATCH["Video Transformer"]} clips of 16×32×32
RGB an update. Two processes lose time to the exchange of gradients, which grows with the weights
and not with the examples, and to work that both do: each changes all weights if they are whole, and
half of them if they are in parts.

{timing.commands("distributed_speed", part="made")}"""


if __name__ == "__main__":
    torch.set_num_threads(1)
    timing.main("distributed_speed", PARTS, page, rounds=3)
