"""A MADE or a table as one self-contained page, which computes the same conditionals by itself."""

from __future__ import annotations

import base64
import json
import re
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from autoregress.model import AutoregressiveModel
from autoregress.networks.encoding import Bits, Categories, Kind, Numbers
from autoregress.networks.made import MADE
from autoregress.storage import parameters
from autoregress.tables.columns import Column
from autoregress.tables.dates import Dates
from autoregress.tables.numbers import Numbers as NumberColumn
from autoregress.tables.table import Table

# The largest page that a browser handles well: number of weights, of columns of a table, and of
# pixels of an image.
LARGEST, COLUMNS, PIXELS = 20_000_000, 200, 1024
STATIC = files("autoregress.page") / "static"
PARTS = {"style": "explore.css", "arithmetic": "made.js", "script": "explore.js"}
KINDS: dict[type[Any], str] = {Bits: "bits", Categories: "categories", Numbers: "numbers"}


def self_contained(model: AutoregressiveModel | Table, title: str) -> str:
    """The page, as HTML.

    Images of one channel are painted on; any other model is a list of columns. It holds the
    weights in float32, and computes in float64.

    Args:
        title: its heading.

    Raises:
        ValueError: the page cannot compute this model.
    """
    made = model.model if isinstance(model, Table) else model
    if not isinstance(made, MADE) or not made.order_agnostic or made.context:
        raise ValueError(
            f"a page computes a MADE trained over orderings, or a table; this is {_what(made)}"
        )
    shape = made.event_shape
    image = len(shape) == 3 and shape[0] == 1
    if parameters(made) > LARGEST or made.dims > (PIXELS if image else COLUMNS):
        raise ValueError(
            f"a model of {parameters(made):,} parameters and {made.dims} dimensions is too large "
            "for a page"
        )
    network, weights = described(made)
    content: dict[str, Any] = {"title": title, "model": network, "weights": weights}
    if image:
        content["image"] = {"height": shape[1], "width": shape[2], "levels": made.symbols.levels[0]}
    elif isinstance(model, Table):
        content["columns"] = [_column(column) for column in model.schema.columns]
    else:
        content["columns"] = [_dimension(made, dim) for dim in range(made.dims)]
    # "<" cannot end the element in which the content is.
    text = json.dumps(content, allow_nan=False).replace("<", "\\u003c")
    parts = {"title": escape(title), "content": text}
    for name, file in PARTS.items():
        parts[name] = (STATIC / file).read_text("utf-8")
    page = (STATIC / "explore.html").read_text("utf-8")
    return re.sub(r"\{(\w+)\}", lambda found: parts[found[1]], page)


def described(made: MADE) -> tuple[dict[str, Any], str]:
    """The network as JSON, and its weights in float32, as base64."""
    config, state = made.config, made.state_dict()
    kinds = made.encoding.kinds
    groups: dict[Kind, list[int]] = {}
    for dim, kind in enumerate(kinds):
        groups.setdefault(kind, []).append(dim)
    tensors, parts, start = dict[str, list[int]](), list[bytes](), 0
    for name, tensor in state.items():
        if tensor.is_floating_point():
            tensors[name] = [start, *tensor.shape]
            start += tensor.numel()
            parts.append(tensor.cpu().float().numpy().astype("<f4").tobytes())
    layers = range(len(config.hidden))
    degrees = [state[f"degrees_{layer}"].tolist() for layer in layers]
    network = {
        "kinds": [{"type": KINDS[type(k)], **_fields(k)} for k in kinds],
        "groups": [[KINDS[type(k)], getattr(k, "levels", 2), dims] for k, dims in groups.items()],
        "activation": config.activation,
        "residual": config.residual,
        "norm": config.norm,
        "direct": config.direct,
        "gaps": config.gaps,
        "unordered": config.gaps and config.evidence,
        "nodes": made.nodes,
        "degrees": [list(each) for each in zip(*degrees, strict=True)],
        "orderings": state["orderings"].tolist(),
        "tensors": tensors,
    }
    return network, base64.b64encode(b"".join(parts)).decode()


def _fields(kind: Kind) -> dict[str, Any]:
    """The fields of a kind, without what was computed from them."""
    return {name: value for name, value in vars(kind).items() if not name.startswith("_")}


def _column(column: Column) -> dict[str, Any]:
    """A column of a table: the texts of its symbols and, for numbers, where its bins lie."""
    texts = column.typical(np.arange(column.levels))
    out: dict[str, Any] = {"name": column.name, "texts": texts}
    if not isinstance(column, NumberColumn):
        return out
    low, high = (int(column.low), int(column.high))
    cuts = [int(cut) for cut in column.cuts]
    if cuts and cuts[0] < low:  # the end bins hold what lies beyond the range that was seen
        texts[0], texts[-1] = f"below {column.text(low)}", f"above {column.text(high)}"
    if column.ordered:
        starts = [low, *(min(cut + 1, high) for cut in cuts)]
        stops = [*(max(cut, low) for cut in cuts), high]
        out |= {"low": low, "high": high, "starts": starts, "stops": stops}
    if not isinstance(column, Dates):
        out["numbers"] = [column.number(middle) for middle in column.middles]
        out["decimals"] = column.decimals
    return out


def _dimension(made: MADE, dim: int) -> dict[str, Any]:
    """A dimension of a vector, likewise."""
    symbols, levels = made.symbols, range(made.symbols.levels[dim])
    name, texts = f"x{dim}", [str(level) for level in levels]
    if symbols.columns is not None:
        name = symbols.columns.names[dim]
        texts = [symbols.columns.text(dim, level) for level in levels]
    out: dict[str, Any] = {"name": name, "texts": texts}
    if symbols.ordered[dim]:
        each = list(levels)
        out |= {"low": 0, "high": each[-1], "starts": each, "stops": each}
        out |= {"numbers": each, "decimals": 0}
    return out


def _what(model: AutoregressiveModel) -> str:
    kind = type(model).__name__
    if not isinstance(model, MADE):
        return f"a {kind}"
    return f"a {kind} with a context" if model.context else f"a {kind} of one ordering"
