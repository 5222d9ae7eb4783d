"""Writes files with the model inside, that all later versions must decode.

    PYTHONPATH=src python tests/whole.py

To be run for a new version of the format only; until then the files stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from families import FAMILIES

import autoregress as ar

FOLDER = Path(__file__).parent / "whole"
SYMBOLS = FOLDER / "symbols.npz"
COUNT = 12

MODELS: dict[str, Callable[[], ar.AutoregressiveModel]] = {
    **{name: FAMILIES[name] for name in ("ordered MADE", "VideoTransformer", "Mixture")},
    "labels": lambda: ar.MADE(5, symbols=3, hidden=(8,), labels=("a", "b")),
    "members": lambda: ar.MADE(6, symbols=3, hidden=(8,), orderings=7),
    "gaps": lambda: ar.MADE(5, (2, 3, 9, 2, 4), hidden=(8,), gaps=True, ordered=True),
    "deep": lambda: FAMILIES["PixelCNN"](event_shape=(1, 3, 4), symbols=65536),
}


def path_of(name: str) -> Path:
    """The file of a model."""
    return FOLDER / f"{name.replace(' ', '-')}.areg"


def main() -> None:
    """Writes all files."""
    FOLDER.mkdir(exist_ok=True)
    symbols = dict[str, np.ndarray]()
    for name, build in MODELS.items():
        torch.manual_seed(0)
        model = build()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0, 0.5)
        labels = torch.arange(COUNT) % model.context if model.context else None
        context = None if labels is None else torch.eye(model.context)[labels]
        x = model.sample(COUNT, context)
        if model.symbols.gaps:
            x[torch.rand(x.shape) < 0.2] = -1
        path_of(name).write_bytes(ar.encode(model, x, context=context, with_model=True))
        symbols[name] = x.numpy().astype(np.int32)
    np.savez_compressed(SYMBOLS, **symbols)  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    main()
