"""Prints a hash of the probabilities of every model in a folder, as they are coded here."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
from families import FAMILIES
from torch import Tensor

import autoregress as ar
from autoregress.conditionals import Conditional, Ordered
from autoregress.portable import arithmetic, prepared

ROWS = 5


def examples(model: ar.AutoregressiveModel) -> Tensor:
    """The same examples of a model everywhere."""
    numbers = torch.arange(ROWS * model.dims).view(ROWS, model.dims)
    return (numbers * 7 % 11 % torch.tensor(model.symbols.levels)).view(ROWS, *model.event_shape)


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


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
