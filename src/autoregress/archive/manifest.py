"""What a file keeps beside examples: JSON, compressed, within bounds."""

from __future__ import annotations

import json
import zlib
from typing import Any

from autoregress.container import CONTRADICTION
from autoregress.disk import parse_json

# The largest manifest, and how much larger than its bytes it can be (that of deflate).
MOST, EXPANSION = 2**28, 1032


def pack_manifest(content: dict[str, Any]) -> bytes:
    """JSON in few bytes."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return zlib.compress(text.encode("utf-8", "surrogatepass"), 9)


def unpack_manifest(content: bytes) -> dict[str, Any]:
    """What :func:`pack_manifest` packed.

    Raises:
        ValueError: it is damaged.
    """
    return parse_json(inflated(content), dict[str, Any])


def inflated(content: bytes, most: int = MOST) -> bytes:
    """Decompresses bytes of zlib.

    Raises:
        ValueError: they are damaged, or become more than ``most``.
    """
    inflate = zlib.decompressobj()
    try:
        text = inflate.decompress(content, most)
    except zlib.error as error:
        raise ValueError(CONTRADICTION) from error
    if not inflate.eof or inflate.unused_data:
        raise ValueError(CONTRADICTION)
    return text
