"""What training is given to learn from: checked once, and recognised when it comes back."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor

from autoregress.data.dataset import Data
from autoregress.evaluation import Examples
from autoregress.model import AutoregressiveModel
from autoregress.storage import raw_bytes


def content(data: Examples) -> Tensor | None:
    """All examples (N, *event_shape) if they are in memory; None if they are read as needed."""
    if isinstance(data, Data):
        return data.x
    return data if isinstance(data, Tensor) else None


def check_examples(
    model: AutoregressiveModel, data: Examples, context: Tensor | None, name: str
) -> Tensor | None:
    """The context, of the model's device and dtype, once it and the examples are found right.

    Raises:
        ValueError: no examples, unknown entries, wrong shapes, dtypes or symbols.
    """
    if len(data) == 0:
        raise ValueError(f"there are no {name} examples")
    if isinstance(data, Data) and data.known is not None and not data.known.all():
        raise ValueError(
            f"the {name} examples have unknown entries; a model learns from whole ones"
        )
    if (x := content(data)) is not None:
        try:
            model.symbols.check(x)
        except ValueError as error:
            raise ValueError(f"the {name} examples: {error}") from error
    try:
        return model._checked_context(context, len(data))
    except ValueError as error:
        raise ValueError(f"the {name} context: {error}") from error


def some(data: Examples, dims: int) -> Tensor:
    """Examples at equal distances, enough for marginals: at most 1,024, or 2²² symbols."""
    count = max(1, min(len(data), 1024, 2**22 // dims))
    return data[torch.arange(count) * len(data) // count]


def fingerprint(data: Examples, context: Tensor | None) -> dict[str, Any]:
    """What tells these examples from others: all that is in memory, else what they say of it."""
    digest = hashlib.sha256(getattr(data, "digest", "").encode())
    for tensor in (content(data), context):
        if tensor is not None:
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(raw_bytes(tensor))
    return {"examples": len(data), "sha256": digest.hexdigest()}
