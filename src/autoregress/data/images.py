"""Folders of images as symbols, and symbols as one picture."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from autoregress.data.dataset import Data
from autoregress.symbols import Columns, Symbols

SUFFIXES = {
    *(".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm"),
    *(".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
}
MID_GREY = 128
WIDEST = 1000


def read_images(
    folder: Path,
    *,
    size: tuple[int, int] | None = None,
    grey: bool | None = None,
    levels: int = 256,
) -> Data:
    """The images below a folder, in the order of their paths: x uint8 (N, C, H, W).

    Transparency is laid over white; of an animation the first frame counts. A value v of 0…255
    becomes the symbol ⌊v · levels / 256⌋.

    Args:
        size: (H, W) to which every image is brought: its centre is cropped to that aspect and
            resampled (Lanczos). None: all must have one size already.
        grey: C = 1 instead of 3. None: grey if every image is.
        levels: 2 to 256.

    Raises:
        ValueError: no images, a damaged one, more than 8 bits, or several sizes; it names them.
    """
    if not 2 <= levels <= 256:
        raise ValueError(f"images have 2 to 256 levels, not {levels}")
    if size is not None and min(size) < 1:
        raise ValueError(f"an image's size is (height, width), at least 1 by 1, not {size}")
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not paths:
        raise ValueError(f"{folder} holds no images ({' '.join(sorted(SUFFIXES))})")

    modes, sizes = set[str](), list[tuple[int, int]]()
    for path in paths:
        with _opened(path) as image:
            modes.add(image.mode)
            sizes.append((image.height, image.width))
    for path, other in zip(paths, sizes, strict=True):
        if size is None and other != sizes[0]:
            raise ValueError(
                f"{folder}: images of several sizes (height, width): {paths[0]} is {sizes[0]}, "
                f"{path} is {other}; bring them to one with --size"
            )
    if grey is None:
        grey = modes <= {"1", "L"}
    mode = "L" if grey else "RGB"
    height, width = size or sizes[0]

    x = np.empty((len(paths), len(mode), height, width), np.uint8)
    for n, path in enumerate(paths):
        with _opened(path) as image:
            flat = _opaque(image).convert(mode)
        if size is not None:
            flat = ImageOps.fit(flat, (width, height), Image.Resampling.LANCZOS)
        values = np.asarray(flat, np.uint16).reshape(height, width, len(mode))
        x[n] = (values * levels // 256).transpose(2, 0, 1)
    return Data(torch.from_numpy(x), levels)


def picture(
    x: Tensor,
    symbols: int | Sequence[int],
    columns: Columns | None = None,
    *,
    scale: int | None = None,
) -> Image.Image:
    """A batch as one picture: a near-square grid of images, parted by lines one pixel wide.

    Level s of K is the grey (or the red, green, blue) ⌊255 s / (K - 1)⌉. Where columns say that
    the labels are whole numbers, it is these that run from black (the least) to white.

    Args:
        x: (N, C, H, W) with C = 1 or 3, (N, H, W), or (N, D) with D a square.
        symbols: number of levels of every dimension, or one number for each.
        scale: every pixel becomes scale × scale; None: what makes the grid up to 1000 wide.

    Raises:
        ValueError: x cannot be shown as images.
    """
    channels, height, width = _as_image(tuple(x.shape[1:]))
    if len(x) == 0:
        raise ValueError("there are no images to show")
    n = len(x)
    across = min(n, math.ceil(math.sqrt(n * height / width)))
    down = -(-n // across)
    if scale is None:
        scale = max(1, WIDEST // max(across * width, down * height))
    if scale < 1:
        raise ValueError(f"the scale of a picture is at least 1, not {scale}")

    images = _brightness(x, symbols, columns).reshape(n, channels, height, width)
    images = images.transpose(0, 2, 3, 1).repeat(scale, 1).repeat(scale, 2)  # (N, sH, sW, C)
    height, width = height * scale, width * scale
    shape = (down * (height + 1) - 1, across * (width + 1) - 1, channels)
    grid = np.full(shape, MID_GREY, np.uint8)
    for i, image in enumerate(images):
        top, left = i // across * (height + 1), i % across * (width + 1)
        grid[top : top + height, left : left + width] = image
    return Image.fromarray(grid[:, :, 0] if channels == 1 else grid)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An open image; what goes wrong in reading it becomes one sentence."""
    damaged = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
    try:
        with Image.open(path) as image:
            # Pillow would clip these to 255 without a word.
            if image.mode[0] in "IF":
                raise ValueError("it has more than 8 bits a value; convert it to 8 first")
            yield image
    except (*damaged, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from error


def _opaque(image: Image.Image) -> Image.Image:
    if not {"A", "a"} & set(image.getbands()) and "transparency" not in image.info:
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA"))


def _as_image(event: tuple[int, ...]) -> tuple[int, int, int]:
    """(C, H, W) of what is shown for an event."""
    match event:
        case (1 | 3, _, _):
            return event
        case (height, width):
            return 1, height, width
        case (dims,) if math.isqrt(dims) ** 2 == dims:
            return 1, math.isqrt(dims), math.isqrt(dims)
    raise ValueError(
        f"examples of shape {event} cannot be shown as a picture: (1, H, W), (3, H, W), (H, W) "
        "and (D,) with D a square can; write .npz or .csv instead"
    )


def _brightness(x: Tensor, symbols: int | Sequence[int], columns: Columns | None) -> np.ndarray:
    """(N, D) uint8, black to white."""
    space = Symbols(x.shape[1:], symbols, columns)
    space.check(x)
    flat = x.flatten(1).long().cpu().numpy()
    if columns is None:
        return np.rint(255 * flat / (np.array(space.levels) - 1)).astype(np.uint8)
    try:
        numbers = [[int(label) for label in labels] or [0] for labels in columns.labels]
    except ValueError:
        raise ValueError(
            "a table whose labels are not whole numbers cannot be shown as a picture; write .npz "
            "or .csv instead"
        ) from None
    # A level beyond the labels (a constant column has one) looks like the last of them.
    values = np.stack(
        [np.array(those)[flat[:, c].clip(max=len(those) - 1)] for c, those in enumerate(numbers)],
        axis=1,
    )
    low = min(map(min, numbers))
    high = max(low + 1, *map(max, numbers))
    return np.rint(255 * (values - low) / (high - low)).astype(np.uint8)
