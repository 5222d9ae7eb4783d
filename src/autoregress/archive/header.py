"""The header of a model's examples."""

from __future__ import annotations

import hashlib
from itertools import groupby

from autoregress.coding import rows_side_by_side
from autoregress.container import CONTEXT, CONTRADICTION, DIGEST, GAPS, LABELS, Header
from autoregress.model import AutoregressiveModel
from autoregress.portable import prepared
from autoregress.storage import digest


def header_of(model: AutoregressiveModel) -> Header:
    """What a file says about a model's examples."""
    symbols, flags = model.symbols, 0
    if model.context:
        flags |= CONTEXT if model.labels is None else LABELS
    kinds = zip(symbols.levels, symbols.ordered, strict=True)
    runs = tuple((*kind, len(list(same))) for kind, same in groupby(kinds))
    return Header(
        bytes.fromhex(fingerprint(model)),
        type(model).__name__,
        symbols.event_shape,
        runs,
        rows_side_by_side(model),
        flags | (GAPS if symbols.gaps else 0),
    )


def check_header(header: Header, model: AutoregressiveModel) -> None:
    """Raises ValueError unless a model encoded the examples of a header."""
    own = header_of(model)
    if header.model != own.model:
        raise ValueError("the examples were encoded with another model")
    same = (own.event_shape, own.kinds, own.flags) == (
        header.event_shape,
        header.kinds,
        header.flags,
    )
    if not same:
        raise ValueError(CONTRADICTION)


def fingerprint(model: AutoregressiveModel) -> str:
    """The digest of a model's family and weights, as coding uses these, in hexadecimal.

    It leaves out the settings, of which later versions may have more; a difference in those is
    caught by the checksum of the symbols.
    """
    state = prepared(model).state_dict()
    whole = {name: t.double() if t.is_floating_point() else t for name, t in state.items()}
    text = f"{type(model).__name__} {digest(whole)}"
    return hashlib.sha256(text.encode()).digest()[:DIGEST].hex()
