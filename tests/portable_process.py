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
from autoregress import coding
from autoregress.conditionals import Conditional, Ordered
from autoregress.portable import arithmetic, prepared

ROWS, GOLDEN = 5, Path(__file__).parent / "golden"


def examples(model: ar.AutoregressiveModel, rows: int = ROWS) -> Tensor:
    """The same examples of a model everywhere."""
    numbers = torch.arange(rows * model.dims).view(rows, model.dims)
    return (numbers * 7 % 11 % torch.tensor(model.symbols.levels)).view(rows, *model.event_shape)


def probabilities(
    model: ar.AutoregressiveModel, x: Tensor, chosen: Tensor | None = None
) -> list[Tensor]:
    """All that coding examples asks of a model, before it is made whole numbers, (rows, …) each.

    Args:
        chosen: (rows,) the member that each row follows, all in one traversal; by default each
            member is followed by all rows.
    """
    out, model = list[Tensor](), prepared(model)

    def choose(position: int | Tensor, conditional: Conditional) -> Tensor:
        symbols = coding._at(x.flatten(1), position)
        for part, rows, _ in coding._parts(model, position, conditional):
            own = slice(None) if rows is None else rows
            if isinstance(part, Ordered):
                digits = part.digits()
                tables = [digits.coarse, digits.fine(symbols[own] // digits.base)]
            else:
                tables = [part.table()]
            for table in tables:
                whole = table.new_zeros(len(x), table.shape[-1])
                whole[own] = table
                out.append(whole)
        return symbols

    with arithmetic():
        if chosen is None:
            for member in model.members:
                model.traverse(choose, len(x), member=member)
        else:
            ((member, _),) = model.members[0].side_by_side(model.members, chosen)
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
