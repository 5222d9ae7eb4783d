"""Image files of any kind that Pillow reads, upright and within a bounded memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from PIL.ExifTags import Base

from autoregress.data.formats.pixels import (
    GREY,
    Losses,
    lost_levels,
    pixels,
    used_values,
)

# The largest number of pixels that are decoded at once, as colour in 1 GiB; and of an image of
# which only a fraction is, as a progressive JPEG keeps its coefficients in memory.
MOST_PIXELS, MOST_OPENED = 2**28, 2**29
# A JPEG to be scaled is decoded at a fraction of its size that is at least this many times larger,
# as Pillow recommends for results that cannot be told from those of the full size.
GAP = 3
# These have further frames that are no pictures of their own.
LAYERED = {"PSD"}
BITS_PER_SAMPLE = 258  # a tag of TIFF
# Where files state the bits of a value: the marker SIZ of JPEG 2000, the property pixi of AVIF.
STATED = {"JPEG2000": b"\xff\x4f\xff\x51.{38}(.)", "AVIF": b"pixi.{5}(.)"}

STDERR = 2
_process = RLock()  # held where something of the whole process is changed


@dataclass
class Looked:
    """What a first reading found in an image file.

    Attributes:
        shapes: (H, W) of each page that can be an example, by its number.
        grey: whether all of them are grey.
        lost: what the examples do not show of them.
        damage: why the file cannot be read, if so.
    """

    shapes: dict[int, tuple[int, int]] = field(default_factory=dict)
    grey: bool = True
    lost: Losses = field(default_factory=dict)
    damage: str | None = None


def look(path: Path, *, size: tuple[int, int] | None, grey: bool | None, levels: int) -> Looked:
    """Reads an image file once, as :class:`ImageFolder` will with these options."""
    looked, used = Looked(), np.zeros(256, bool)
    try:
        with _reasons():
            with _opened(path) as image:
                frames = _frames(image)
                image.verify()  # the checksums of a PNG, which loading ignores
            for page, image, bits in _pages(path, size):
                is_grey = image.mode in GREY
                as_grey = is_grey if grey is None else grey
                values, lost = pixels(image, grey=as_grey, size=size, bits=bits)
                looked.shapes[page] = image.height, image.width
                looked.grey &= is_grey
                looked.lost |= lost
                used |= used_values(values)
    except ValueError as error:
        return Looked(damage=str(error))
    if frames > len(looked.shapes):
        looked.lost[f"reduced to the first of its {frames} frames"] = ""
    looked.lost |= lost_levels(used, levels)
    return looked


def read_page(path: Path, page: int, *, grey: bool, size: tuple[int, int] | None) -> np.ndarray:
    """One page of an image file as (C, H, W) uint8.

    Raises:
        ValueError: the file cannot be read.
    """
    with _reasons():
        ((_, image, bits),) = _pages(path, size, page)
        return pixels(image, grey=grey, size=size, bits=bits)[0]


def _pages(
    path: Path, size: tuple[int, int] | None, only: int | None = None
) -> Iterator[tuple[int, Image.Image, int]]:
    """The pages of an image file: number, image, upright, and number of bits of its values.

    Args:
        size: (H, W) to which they will be scaled.
        only: the number of the only page that is wanted.
    """
    with _opened(path) as image:
        count = _frames(image) if image.format == "TIFF" else 1
        for page in range(count) if only is None else [only]:
            if page:
                image.seek(page)
            _check_size(image, MOST_OPENED)
            if size is not None:
                image.draft(None, (GAP * max(size), GAP * max(size)))
            _check_size(image, MOST_PIXELS)
            bits = _bits(image, path)
            if image.format == "TIFF":
                with _any_size(), _silent():
                    image.load()
            else:
                image.load()
            yield page, _upright(image), bits


@contextmanager
def _reasons() -> Iterator[None]:
    """A context in which whatever Pillow's readers raise becomes a ValueError with the reason."""
    try:
        yield
    except MemoryError as error:
        raise ValueError("there is not enough memory to read it") from error
    except Image.UnidentifiedImageError as error:
        raise ValueError("it is not an image of a kind that Pillow knows") from error
    except Image.DecompressionBombError as error:
        raise ValueError("it has too many pixels to be read at once") from error
    except Exception as error:  # damaged bytes make them raise almost anything
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ValueError(reason) from error


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An open image.

    Pillow gets a file, not a path, which it would map into memory and, if it is a TIFF that lies on
    its side, read in the wrong order.
    """
    with path.open("rb") as file:
        with _any_size():
            image = Image.open(file)
        with image:
            yield image


@contextmanager
def _any_size() -> Iterator[None]:
    """A context without Pillow's own limit on pixels, which warns and does not know drafts."""
    with _process:
        most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = most


@contextmanager
def _silent() -> Iterator[None]:
    """A context in which libtiff cannot print its own messages on standard error."""
    with _process:
        try:
            stderr = os.dup(STDERR)
        except OSError:  # closed from the start
            yield
            return
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), STDERR)
        try:
            yield
        finally:
            os.dup2(stderr, STDERR)
            os.close(stderr)


def _frames(image: Image.Image) -> int:
    return 1 if image.format in LAYERED else getattr(image, "n_frames", 1)


def _upright(image: Image.Image) -> Image.Image:
    """A loaded image as its EXIF says; Pillow turns a TIFF itself, but may keep what it said."""
    if image.format == "TIFF" or image.getexif().get(Base.Orientation, 1) == 1:
        return image
    return ImageOps.exif_transpose(image)


def _check_size(image: Image.Image, most: int) -> None:
    if image.width * image.height > most:
        raise ValueError(
            f"it has {image.width * image.height / 1e6:.0f} megapixels, more than the "
            f"{most / 1e6:.0f} that are read at once; scale it down first"
        )


def _bits(image: Image.Image, path: Path) -> int:
    """The number of bits of a value, for an image that is not loaded yet; at most 16."""
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        raise ValueError("its values are not integers of 8 or 16 bits; convert it first")
    if image.format == "TIFF":
        return max(image.tag_v2.get(BITS_PER_SAMPLE, (8,)))  # type: ignore[attr-defined]  # a TIFF has it
    if image.mode.startswith("I"):
        return 16
    # Colours of more than 8 bits are reduced by Pillow itself, so the files' own words count.
    tiles: list[Any] = getattr(image, "tile", None) or []
    for codec, _, _, how in tiles[:1]:
        if re.search(";16[BLN]", str(how)) or (codec.startswith("ppm") and how[1] > 255):
            return 16
    if image.format in STATED:
        with path.open("rb") as file:
            found = re.search(STATED[image.format], file.read(4096), re.DOTALL)
        if found:  # JPEG 2000 states one less, beside a bit for the sign
            return found[1][0] if image.format == "AVIF" else found[1][0] % 128 + 1
    return 8
