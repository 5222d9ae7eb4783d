"""Images as symbols, and symbols as one picture."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from autoregress.data.source import Data
from autoregress.symbols import Columns, Symbols

SUFFIXES = {
    *(".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm"),
    *(".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
}
MID_GREY = 128
WIDEST = 1000


class ImageFolder:
    """The images below a folder, in the order of their paths, or one file, read as they are needed.

    Transparency is laid over white; of an animation the first frame counts. A value v of 0…255
    becomes the symbol ⌊v · levels / 256⌋.

    Args:
        path: a folder, or a file.
        size: (H, W) to which every image is brought: its centre is cropped to that aspect and
            resampled (Lanczos). None: all must have one size already.
        grey: C = 1 instead of 3. None: grey if every image is.
        levels: 2 to 256.

    Attributes:
        event_shape: (C, H, W).
        symbols: the number of levels.

    Raises:
        ValueError: no images, a damaged one, more than 8 bits, or several sizes; it names them.
    """

    columns = None  # as tables have

    def __init__(
        self,
        path: Path,
        *,
        size: tuple[int, int] | None = None,
        grey: bool | None = None,
        levels: int = 256,
    ) -> None:
        check_size(size, levels)
        self._paths = [path] if path.is_file() else files_below(path, SUFFIXES)
        if not self._paths:
            raise ValueError(f"{path} holds no images ({' '.join(sorted(SUFFIXES))})")
        modes, sizes = set[str](), list[tuple[int, int]]()
        for name in self._paths:
            with _opened(name) as image:
                modes.add(image.mode)
                sizes.append((image.height, image.width))
        for name, other in zip(self._paths, sizes, strict=True):
            if size is None and other != sizes[0]:
                raise ValueError(
                    f"{path}: images of several sizes (height, width): {self._paths[0]} is "
                    f"{sizes[0]}, {name} is {other}; bring them to one with --size"
                )
        if grey is None:
            grey = modes <= {"1", "L"}
        self.event_shape = (1 if grey else 3, *(size or sizes[0]))
        self.symbols = levels
        self._size = size

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: Tensor) -> Tensor:
        """The images of an index (batch,) of integers: uint8 (batch, C, H, W)."""
        x = np.empty((len(index), *self.event_shape), np.uint8)
        for values, i in zip(x, index.tolist(), strict=True):
            with _opened(self._paths[i]) as image:
                values[:] = pixels(image, grey=len(values) == 1, size=self._size)
        return torch.from_numpy(reduce_levels(x, self.symbols))

    def data(self) -> Data:
        """All images, in memory."""
        return Data(self[torch.arange(len(self))], self.symbols)


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
    """An image as (C, H, W) uint8, brought to a size as :class:`ImageFolder` says."""
    flat = _opaque(image).convert("L" if grey else "RGB")
    if size not in (None, (flat.height, flat.width)):
        flat = ImageOps.fit(flat, (size[1], size[0]), Image.Resampling.LANCZOS)
    values = np.asarray(flat)
    return values[None] if grey else values.transpose(2, 0, 1)


def reduce_levels(x: np.ndarray, levels: int) -> np.ndarray:
    """The symbols ⌊v · levels / 256⌋ of values v uint8."""
    return x if levels == 256 else (x.astype(np.uint16) * levels // 256).astype(np.uint8)


def picture(
    x: Tensor,
    symbols: int | Sequence[int],
    columns: Columns | None = None,
    *,
    scale: int | None = None,
) -> Image.Image:
    """A batch as one picture: a near-square grid of images, parted by lines one pixel wide.

    Of clips it is a sheet: a row for each, its frames from left to right.

    Level s of K is the grey (or the red, green, blue) ⌊255 s / (K - 1)⌉. Where columns say that
    the labels are whole numbers, it is these that run from black (the least) to white.

    Args:
        x: (N, C, H, W) with C = 1 or 3, (N, H, W), (N, D) with D a square, or clips
            (N, T, C, H, W).
        symbols: number of levels of every dimension, or one number for each.
        scale: every pixel becomes scale × scale; None: what makes the grid up to 1000 wide.

    Raises:
        ValueError: x cannot be shown as images.
    """
    event = tuple(x.shape[1:])
    frames = event[0] if len(event) == 4 else 1
    shape = channels, height, width = _as_image(event[1:] if len(event) == 4 else event)
    if len(x) == 0:
        raise ValueError("there are no images to show")
    images = brightness(x, symbols, columns).reshape(-1, *shape).transpose(0, 2, 3, 1)
    across = frames if len(event) == 4 else columns_of_grid(len(x), height, width)
    if scale is None:
        scale = max(1, WIDEST // max(across * width, -(-len(images) // across) * height))
    if scale < 1:
        raise ValueError(f"the scale of a picture is at least 1, not {scale}")
    sheet = grid(images, across, scale)
    return Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet)


def columns_of_grid(count: int, height: int, width: int) -> int:
    """How many images lie side by side in a grid that is nearly square."""
    return min(count, math.ceil(math.sqrt(count * height / width)))


def grid(images: np.ndarray, across: int, scale: int, line: int = MID_GREY) -> np.ndarray:
    """Images (N, H, W, C), each pixel scale × scale, in rows of so many, parted by lines."""
    images = images.repeat(scale, 1).repeat(scale, 2)
    n, height, width, channels = images.shape
    down = -(-n // across)
    shape = (down * (height + 1) - 1, across * (width + 1) - 1, channels)
    sheet = np.full(shape, line, np.uint8)
    for i, image in enumerate(images):
        top, left = i // across * (height + 1), i % across * (width + 1)
        sheet[top : top + height, left : left + width] = image
    return sheet


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
        f"examples of shape {event} cannot be shown as a picture: (1, H, W), (3, H, W), (H, W), "
        "(D,) with D a square and clips can; write .npz or .csv instead"
    )


def brightness(x: Tensor, symbols: int | Sequence[int], columns: Columns | None) -> np.ndarray:
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
