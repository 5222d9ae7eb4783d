"""A small run in a process of its own, for test_training to kill; its argument is the folder."""

from __future__ import annotations

import sys

import torch

from autoregress.networks.made import MADE
from autoregress.training import fit


def run(folder: str | None) -> MADE:
    """Trains with a checkpoint after every update."""
    torch.manual_seed(5)
    model = MADE(6, 3, hidden=(8,), orderings="any", connectivities="any", dropout=0.2)
    x = torch.randint(0, 3, (40, 6))
    fit(
        model,
        x[:30],
        valid=x[30:],
        run=folder,
        max_epochs=40,
        patience=0,
        batch_size=7,
        lr=0.03,
        ema=0.9,
        schedule="cosine",
        checkpoint_minutes=1e-9,
        quiet=True,
    )
    return model


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("ready", flush=True)
    run(sys.argv[1])
    print("done", flush=True)
