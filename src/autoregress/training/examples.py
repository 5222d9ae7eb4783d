"""What training is given to learn from: checked once, and recognised when it comes back."""

from __future__ import annotations

import hashlib
from typing import Any

from torch import Tensor

from autoregress.data.inputs import as_source
from autoregress.data.source import Data, Source
from autoregress.disk import raw_bytes
from autoregress.model import AutoregressiveModel
from autoregress.symbols import as_tensor


def checked_examples(
    model: AutoregressiveModel, data: Any, context: Any, name: str
) -> tuple[Source, Tensor | None]:
    """The examples, and their context, of the model's device and dtype, once they are found right.

    Args:
        data: what :func:`~autoregress.data.as_source` takes.
        context: (examples, context) if the model takes one; by default that of the examples.

    Raises:
        ValueError: no examples, unknown entries, wrong shapes, dtypes or symbols.
    """
    try:
        source = as_source(data, model.symbols, features=model.context)
    except ValueError as error:
        raise ValueError(f"the {name} examples: {error}") from error
    if len(source) == 0:
        raise ValueError(f"there are no {name} examples")
    if isinstance(source, Data) and source.known is not None and not source.known.all():
        raise ValueError(
            f"the {name} examples have unknown entries; a model learns from whole ones"
        )
    try:
        if context is None:
            context = source.context if model.context else None
        else:
            context = as_tensor(context)
        return source, model.checked_context(context, len(source))
    except ValueError as error:
        raise ValueError(f"the {name} context: {error}") from error


def fingerprint(data: Source, context: Tensor | None) -> dict[str, Any]:
    """What tells these examples from others: their content, and that of their context."""
    digest = hashlib.sha256(data.digest.encode())
    if context is not None:
        digest.update(f"{context.dtype} {tuple(context.shape)}".encode())
        digest.update(raw_bytes(context))
    return {"examples": len(data), "sha256": digest.hexdigest()}
