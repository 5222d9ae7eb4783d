"""The sizes that other formats give the same content."""

from __future__ import annotations

import lzma
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image, features

from autoregress.archive import model_size
from autoregress.archive.manifest import pack_manifest
from autoregress.baselines import ffv1_size, saved_size
from autoregress.data.source import Source
from autoregress.model import AutoregressiveModel
from autoregress.packing.packed import Packed
from autoregress.packing.pictures import Tiles

# The largest number of symbols that are measured; of more, the sizes are estimated from some.
MOST = 2**22


def comparison(packed: Packed) -> tuple[dict[str, int], bool]:
    """The sizes in bytes of other formats, and whether they were estimated from a part.

    - xz: the original files, or for lack of them the symbols, by ``xz -9e``, all together;
    - PNG, lossless WebP and, with a plugin of Pillow's, lossless JPEG XL: each image or frame;
    - FFV1: each clip, if PyAV is installed.
    """
    source = packed.source
    if isinstance(source, Tiles):
        share, wholes = _some(source)
        sizes = {name: sum(map(size, wholes)) for name, size in _formats(source).items()}
        raw = b"".join(np.ascontiguousarray(whole).tobytes() for whole in wholes)
        sizes = {"xz": len(xz(raw)), **sizes}
        return {name: round(size / share) for name, size in sizes.items()}, share < 1
    if packed.files and sum(path.stat().st_size for path in packed.files) <= 2 * MOST:
        return {"xz": len(xz(b"".join(path.read_bytes() for path in packed.files)))}, False
    count = min(len(source), max(1, MOST // source.symbols.dims))
    size = len(xz(raw_symbols(source, count)))
    return {"xz": round(size * len(source) / count)}, count < len(source)


def model_bytes(packed: Packed, model: AutoregressiveModel) -> int:
    """The number of bytes that the model adds to a file, with what else its table says."""
    size = model_size(model)
    if packed.whole is not None and packed.manifest is not None:
        size += len(pack_manifest(packed.whole)) - len(pack_manifest(packed.manifest))
    return size


def raw_symbols(source: Source, count: int) -> bytes:
    """The first examples, a bit for each symbol of two levels, else one, two or four bytes."""
    x = source[:count].flatten(1).numpy()
    if max(source.symbols.levels) == 2 and x.min(initial=0) >= 0:
        return np.packbits(x.astype(bool), axis=1).tobytes()
    most = max(source.symbols.levels)
    return x.astype(np.uint8 if most < 256 else np.int16 if most < 2**15 else np.int32).tobytes()


def xz(content: bytes) -> bytes:
    """Content as a file of ``xz -9e``."""
    return lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)


def _some(source: Tiles) -> tuple[float, list[np.ndarray]]:
    """Whole pictures, uint8 (…, C, H, W), until they are many, and which share of all they are."""
    wholes, seen = list[np.ndarray](), 0
    for which in range(source.pictures):
        wholes.append(source.whole(which))
        seen += wholes[-1].size
        if seen >= MOST:
            break
    return seen / source.size, wholes


def _formats(source: Tiles) -> dict[str, Callable[[np.ndarray], int]]:
    """By format, the size of a picture uint8 (…, C, H, W)."""
    kinds: dict[str, tuple[str, dict[str, Any]]] = {"PNG": ("png", {"optimize": True})}
    if features.check("webp"):
        kinds["WebP"] = ("webp", {"lossless": True, "method": 6, "quality": 100})
    if _has_jpeg_xl():
        kinds["JPEG XL"] = ("jxl", {"lossless": True, "effort": 9})

    def of(kind: str, options: dict[str, Any]) -> Callable[[np.ndarray], int]:
        return lambda x: sum(saved_size(frame, kind, **options) for frame in _frames(x))

    sizes = {name: of(kind, options) for name, (kind, options) in kinds.items()}
    if len(source.event_shape) == 4:
        try:
            import av
        except ImportError:
            return sizes
        sizes["FFV1"] = lambda clip: ffv1_size(clip, av)
    return sizes


def _has_jpeg_xl() -> bool:
    try:
        import pillow_jxl  # noqa: F401  # pyright: ignore[reportMissingImports]  # for Pillow
    except ImportError:
        Image.init()
        return "JXL" in Image.SAVE
    return True


def _frames(x: np.ndarray) -> Iterator[np.ndarray]:
    """Each image or frame, (H, W) or (H, W, 3); grey if it is."""
    for image in x.reshape(-1, *x.shape[-3:]):
        grey = len(image) == 1 or all(np.array_equal(image[0], other) for other in image[1:])
        yield image[0] if grey else image.transpose(1, 2, 0)
