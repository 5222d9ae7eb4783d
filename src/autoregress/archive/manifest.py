"""What a file keeps beside examples: JSON and texts, compressed, within bounds."""

from __future__ import annotations

import json
import lzma
import zlib
from typing import Any

from autoregress.container import CONTRADICTION
from autoregress.disk import parse_json

# The largest manifest, and the largest dictionary of LZMA.
MOST, DICTIONARY = 2**28, 2**26
# What zlib finds in any manifest; a part of the format.
USUAL = (
    b'"start":"training","orderings":"natural","hidden":[,"event_shape":[,"symbols":256,"context":0,'
    b'"layers":,"features":,"ordered":true,"mixture":5,"predictor":"median","scales":[],{"kind":"MADE",'
    b'{"kind":"table","head":"","encoding":"utf-8","lines":[",","\n"],"columns":[[0,{"texts":["'
    b'"]},{}],[null,null,{"missing":"","before":"","after":"","counts":true"decimals":0,"style":"fixed",'
    b'{"kind":"array","name":"x","dtype":"<f4"dtype":"<i8"dtype":"|b1","order":"F","packed":'
    b'{"kind":"array","name":null,"dtype":"|u1","shape":[,"order":"C","packed":null}'
    b'{"kind":"pictures","pictures":[{"name":".mkv","frames":,"rate":[25,1]},{"name":".png","frames":0,'
    b'"height":,"width":,"grey":false,"rate":[10,1]},{"name":"'
)


def pack_manifest(content: dict[str, Any]) -> bytes:
    """JSON in few bytes."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    deflate = zlib.compressobj(9, zdict=USUAL)
    return deflate.compress(text.encode("utf-8", "surrogatepass")) + deflate.flush()


def unpack_manifest(content: bytes) -> dict[str, Any]:
    """What :func:`pack_manifest` packed.

    Raises:
        ValueError: it is damaged.
    """
    return parse_json(inflated(content), dict[str, Any])


def inflated(content: bytes) -> bytes:
    """Decompresses bytes of zlib.

    Raises:
        ValueError: they are damaged, or become too many.
    """
    inflate = zlib.decompressobj(zdict=USUAL)
    try:
        text = inflate.decompress(content, MOST)
    except zlib.error as error:
        raise ValueError(CONTRADICTION) from error
    if not inflate.eof or inflate.unused_data:
        raise ValueError(CONTRADICTION)
    return text


def squeezed(content: bytes) -> bytes:
    """Bytes in few, by LZMA2 without a container."""
    # The encoder's time grows with the dictionary, not only with the content.
    size = min(DICTIONARY, max(2**12, 1 << len(content).bit_length()))
    return lzma.compress(content, lzma.FORMAT_RAW, filters=_filters(size))


def unsqueezed(content: bytes, most: int) -> bytes:
    """What :func:`squeezed` squeezed.

    Raises:
        ValueError: it is damaged, or becomes more than a number of bytes.
    """
    try:
        decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_filters(DICTIONARY))
        found = decoder.decompress(content, most + 1)
    except (lzma.LZMAError, EOFError) as error:
        raise ValueError(CONTRADICTION) from error
    if len(found) > most:
        raise ValueError(CONTRADICTION)
    return found


def _filters(dictionary: int) -> list[dict[str, int]]:
    preset = 9 | lzma.PRESET_EXTREME
    return [{"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": dictionary}]
