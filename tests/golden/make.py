"""Writes the golden files: a tiny model of every family, and examples that it encoded.

    PYTHONPATH=src:tests python tests/golden/make.py

They are decoded for ever. Make them anew only with a new version of the format.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from families import FAMILIES
from portable_process import examples

import autoregress as ar

FOLDER, ROWS = Path(__file__).parent, 20
MODELS = {
    **FAMILIES,
    "bits": lambda: ar.MADE(40, hidden=(24, 16), direct=True, orderings=1),
}


def main() -> None:
    for name, build in MODELS.items():
        folder = FOLDER / name.replace(" ", "-")
        shutil.rmtree(folder, ignore_errors=True)
        torch.manual_seed(0)
        model = build()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0, 0.5)
        x = examples(model, ROWS)
        ar.save(model, folder)
        (folder / "examples.areg").write_bytes(ar.encode(model, x))
        np.save(folder / "symbols.npy", x.numpy().astype(np.uint8))


if __name__ == "__main__":
    main()
