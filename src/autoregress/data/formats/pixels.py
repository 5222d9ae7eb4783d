"""Image files, and images as arrays of a given size and number of levels."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SUFFIXES = {
    *(".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm"),
    *(".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
}


def check_size(size: tuple[int, int] | None, levels: int) -> None:
    """Raises ValueError for a size or a number of levels that no image can have."""
    if not 2 <= levels <= 256:
        raise ValueError(f"images have 2 to 256 levels, not {levels}")
    if size is not None and min(size) < 1:
        raise ValueError(f"an image's size is (height, width), at least 1 by 1, not {size}")


def files_below(folder: Path, suffixes: Set[str]) -> list[Path]:
    """The files below a folder with one of these suffixes, hidden ones apart, in order."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
    )


def pixels(image: Image.Image, *, grey: bool, size: tuple[int, int] | None = None) -> np.ndarray:
    """An image as (C, H, W) uint8, cropped and resampled as :class:`ImageFolder` says."""
    flat = _opaque(image).convert("L" if grey else "RGB")
    if size not in (None, (flat.height, flat.width)):
        flat = ImageOps.fit(flat, (size[1], size[0]), Image.Resampling.LANCZOS)
    values = np.asarray(flat)
    return values[None] if grey else values.transpose(2, 0, 1)


def reduce_levels(x: np.ndarray, levels: int) -> np.ndarray:
    """The symbols ⌊v · levels / 256⌋ of uint8 values v."""
    return x if levels == 256 else (x.astype(np.uint16) * levels // 256).astype(np.uint8)


def _opaque(image: Image.Image) -> Image.Image:
    if not {"A", "a"} & set(image.getbands()) and "transparency" not in image.info:
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA"))
