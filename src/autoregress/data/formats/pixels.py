"""Images as arrays of a given size and number of levels, and what is lost on the way."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image, ImageOps

# How an image was changed, and the option of ``Reading`` that asks for it, if any.
Losses = dict[str, str]

GREY = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"}
BAND = 256  # rows at a time, so that large images are not copied several times
# Kinds that Pillow opens without decoding them, or only by starting another program.
NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}


@cache
def suffixes() -> frozenset[str]:
    """The suffixes of the images that Pillow reads here."""
    known = Image.registered_extensions().items()
    return frozenset(
        suffix for suffix, kind in known if kind in Image.OPEN and kind not in NOT_DECODED
    )


def check_size(size: tuple[int, int] | None, levels: int) -> None:
    """Raises ValueError for a size or a number of levels that no image can have."""
    if not 2 <= levels <= 256:
        raise ValueError(f"images have 2 to 256 levels, not {levels}")
    if size is not None and min(size) < 1:
        raise ValueError(f"an image's size is (height, width), at least 1 by 1, not {size}")


def pixels(
    image: Image.Image, *, grey: bool, size: tuple[int, int] | None = None, bits: int = 8
) -> tuple[np.ndarray, Losses]:
    """An image as (C, H, W) uint8, cropped and resampled as :class:`ImageFolder` says.

    Args:
        bits: number of bits of a value in the file.

    Returns:
        The values, and what they do not show of the image.
    """
    lost: Losses = {}
    if bits > 8:
        lost[f"reduced from {bits} to 8 bits a value"] = ""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> (bits - 8)).astype(np.uint8))
    if image.mode == "CMYK":
        lost["converted from CMYK to RGB"] = ""
    if _has_alpha(image):
        image, transparent = _over_white(image)
        if transparent:
            lost["laid over white"] = ""
    if grey and _is_coloured(image):
        lost["turned grey"] = "grey"
    image = _converted(image, "L" if grey else "RGB")
    if size not in (None, (image.height, image.width)):
        lost[f"scaled or cropped to {size[0]} × {size[1]}"] = "size"
        image = ImageOps.fit(image, (size[1], size[0]), Image.Resampling.LANCZOS)
    values = np.asarray(image)
    return (values[None] if grey else values.transpose(2, 0, 1)), lost


def reduce_levels(x: np.ndarray, levels: int) -> np.ndarray:
    """The symbols ⌊v · levels / 256⌋ of uint8 values v."""
    return x if levels == 256 else (x.astype(np.uint16) * levels // 256).astype(np.uint8)


def restored(levels: int) -> np.ndarray:
    """The value 0…255 that stands for each symbol, uint8 (levels,).

    It is the brightness ⌊255 s / (levels - 1)⌉, or the nearest to it that is read as s.
    """
    s = np.arange(levels)
    least = -(-256 * s // levels)
    most = -(-256 * (s + 1) // levels) - 1
    return np.rint(255 * s / (levels - 1)).clip(least, most).astype(np.uint8)


def lost_levels(used: np.ndarray, levels: int) -> Losses:
    """What is lost of the values v for which ``used[v]``, bool (256,), is true."""
    values = np.arange(256, dtype=np.uint8)
    kept = restored(levels)[reduce_levels(values, levels)] == values
    return {} if kept[used].all() else {f"reduced to {levels} levels": "levels"}


def used_values(x: np.ndarray) -> np.ndarray:
    """Whether each of the values 0…255 occurs in x, bool (256,)."""
    return np.bincount(x.reshape(-1), minlength=256) > 0


def _has_alpha(image: Image.Image) -> bool:
    bands = image.palette.mode if image.mode == "P" and image.palette else image.mode
    return "transparency" in image.info or bands.endswith(("A", "a"))


def _over_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """An image laid over white, in RGB, and whether it is transparent anywhere."""
    flat, transparent = Image.new("RGB", image.size, "white"), False
    for top in range(0, image.height, BAND):
        box = (0, top, image.width, min(top + BAND, image.height))
        band = image.crop(box).convert("RGBA")
        transparent |= band.getchannel("A").getextrema() != (255, 255)
        flat.paste(band, box, band)
    return flat, transparent


def _is_coloured(image: Image.Image) -> bool:
    if image.mode in GREY:
        return False
    red, green, blue = np.moveaxis(np.asarray(_converted(image, "RGB")), -1, 0)
    return not (np.array_equal(red, green) and np.array_equal(green, blue))


def _converted(image: Image.Image, mode: str) -> Image.Image:
    """An image in a mode, not copied if it is in that mode."""
    return image if image.mode == mode else image.convert(mode)
