"""Prints a hash of the probabilities of every model in a folder, and which golden files decode."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from families import FAMILIES
from torch import Tensor

import autoregress as ar
from autoregress.conditionals import Conditional, Ordered
from autoregress.portable import arithmetic, prepared

ROWS, GOLDEN = 5, Path(__file__).parent / "golden"


def examples(model: ar.AutoregressiveModel, rows: int = ROWS) -> Tensor:
    """The same examples of a model everywhere."""
    numbers = torch.arange(rows * model.dims).view(rows, model.dims)
    return (numbers * 7 % 11 % torch.tensor(model.symbols.levels)).view(rows, *model.event_shape)


def probabilities(model: ar.AutoregressiveModel, x: Tensor) -> list[Tensor]:
    """All that coding examples asks of a model, before it is made whole numbers, (rows, …) each."""
    out, model = list[Tensor](), prepared(model)

    def choose(position: int, conditional: Conditional) -> Tensor:
        symbols = x.flatten(1)[:, position]
        if isinstance(conditional, Ordered):
            digits = conditional.digits()
            out.extend([digits.coarse, digits.fine(symbols // digits.base)])
        else:
            out.append(conditional.table())
        return symbols

    with arithmetic():
        for member in model.members:
            model.traverse(choose, len(x), member=member)
        out.append(model.member_log_probs(x).T)
    return out


def digest(tensors: list[Tensor]) -> str:
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()


def main(folder: str) -> dict[str, Any]:
    found = {}
    for path in sorted(Path(folder).iterdir()):
        name, dtype = path.stem.split("--")
        model = FAMILIES[name]().to(getattr(torch, dtype))
        model.load_state_dict(torch.load(path, weights_only=True))
        found[path.stem] = digest(probabilities(model, examples(model)))
    return found


def golden(folder: Path) -> bool:
    """Whether the examples of a folder decode to its symbols."""
    model = ar.load(folder)
    decoded = ar.decode(model, (folder / "examples.areg").read_bytes())
    return np.array_equal(decoded.numpy(), np.load(folder / "symbols.npy"))


if __name__ == "__main__":
    decoded = {path.parent.name: golden(path.parent) for path in GOLDEN.glob("*/config.json")}
    print(json.dumps([main(sys.argv[1]), decoded]))
