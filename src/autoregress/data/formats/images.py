"""Images as symbols, and symbols as one picture."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from autoregress.data.conditions import from_labels
from autoregress.data.formats.format import Extra, Format, Request, one_number
from autoregress.data.formats.pixels import (
    SUFFIXES,
    check_size,
    files_below,
    pixels,
    reduce_levels,
)
from autoregress.data.source import Source, hash_files
from autoregress.disk import write_file
from autoregress.symbols import Columns, Symbols

MID_GREY = 128
WIDEST = 1000


class ImageFolder(Source):
    """The images below a folder, in the order of their paths, or one file, read on demand.

    Transparent images are laid over white; of an animation only the first frame is used. A value
    v of 0…255 becomes the symbol ⌊v · levels / 256⌋.

    Args:
        path: a folder, or a file.
        size: (H, W) of the images: the centre is cropped to that aspect ratio and resampled
            (Lanczos). None: all images must already have the same size.
        grey: C = 1 instead of 3. None: grey if every image is.
        levels: 2 to 256.
        condition: "folder": each subfolder is a class, on which its images are conditioned.
        labels: the names of the classes of a trained model; by default those of the subfolders.

    Raises:
        ValueError: there are no images, or one is damaged, has more than 8 bits a value or
            differs in size; the message names it.

    Example:
        >>> ar.data.picture(torch.ones(1, 1, 8, 8, dtype=torch.int64), 2, scale=1).save("white.png")
        >>> ar.data.ImageFolder("white.png", size=(4, 4), levels=2)[0].shape
        torch.Size([1, 4, 4])
    """

    def __init__(
        self,
        path: str | Path,
        *,
        size: tuple[int, int] | None = None,
        grey: bool | None = None,
        levels: int = 256,
        condition: str | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        check_size(size, levels)
        path = Path(path)
        if not path.exists():
            raise ValueError(f"no such file or folder: {path}")
        self._paths = [path] if path.is_file() else files_below(path, SUFFIXES)
        if not self._paths:
            raise ValueError(f"{path} holds no images ({' '.join(sorted(SUFFIXES))})")
        modes, sizes = set[str](), list[tuple[int, int]]()
        for name in self._paths:
            with _open_image(name) as image:
                modes.add(image.mode)
                sizes.append((image.height, image.width))
        for name, other in zip(self._paths, sizes, strict=True):
            if size is None and other != sizes[0]:
                raise ValueError(
                    f"{path}: images of several sizes (height, width): {self._paths[0]} is "
                    f"{sizes[0]}, {name} is {other}; scale them to one size with --size"
                )
        if grey is None:
            grey = modes <= {"1", "L"}
        context, labels = _classes(path, self._paths, condition, labels)
        shape = (1 if grey else 3, *(size or sizes[0]))
        super().__init__(shape, levels, context=context, labels=labels)
        self._size, self._levels = size, levels

    @property
    def digest(self) -> str:
        """A hash of the files, in order, which identifies the content."""
        return hash_files(self._paths, self.event_shape, self.levels)

    def __len__(self) -> int:
        return len(self._paths)

    def _rows(self, index: Tensor) -> Tensor:
        x = np.empty((len(index), *self.event_shape), np.uint8)
        for values, i in zip(x, index.tolist(), strict=True):
            with _open_image(self._paths[i]) as image:
                values[:] = pixels(image, grey=len(values) == 1, size=self._size)
        return torch.from_numpy(reduce_levels(x, self._levels))


class Images(Format):
    """An image, or any folder that no other format recognises (:class:`ImageFolder`)."""

    holds_what = "images"
    names = "images and folders of them"
    takes = frozenset({"levels", "size", "grey", "condition"})
    writes = (".png",)

    def holds(self, path: Path, *, clips: bool) -> bool:
        return path.is_dir() or (path.suffix.lower() in SUFFIXES and path.is_file())

    def open(self, path: Path, request: Request) -> Source:
        reading = request.of_shape(3)
        return ImageFolder(
            path,
            size=reading.size,
            grey=reading.grey,
            levels=one_number(reading.levels, path),
            condition=reading.condition,
            labels=request.labels,
        )

    def write(
        self,
        path: Path,
        x: Tensor,
        symbols: Symbols,
        *,
        known: Tensor | None = None,
        extra: Extra | None = None,
        rate: int = 10,
    ) -> list[Path]:
        content = io.BytesIO()
        picture(x, symbols.levels, symbols.columns).save(content, format="png")
        write_file(path, content.getbuffer())
        return [path]


FORMAT = Images()


def _classes(
    root: Path, paths: Sequence[Path], condition: str | None, labels: Sequence[str] | None
) -> tuple[Tensor | None, Sequence[str] | None]:
    """The class of each image as its context, and the names of the classes."""
    if condition is None:
        return None, None
    if condition != "folder":
        raise ValueError(f"{root}: images are conditioned on 'folder', not on {condition!r}")
    inside = [path.relative_to(root).parts for path in paths]
    for path, parts in zip(paths, inside, strict=True):
        if len(parts) < 2:
            raise ValueError(f"{path} is not in a class folder, like {root}/CLASS/{path.name}")
    return from_labels([parts[0] for parts in inside], labels, str(root))


def picture(
    x: Tensor,
    levels: int | Sequence[int],
    columns: Columns | None = None,
    *,
    scale: int | None = None,
) -> Image.Image:
    """A batch as one picture: a near-square grid of images, separated by lines one pixel wide.

    Clips make a sheet with a row for each, its frames from left to right.

    Level s of K becomes the brightness ⌊255 s / (K - 1)⌉ of its channel. If the labels of
    ``columns`` are whole numbers, these run from black (the least) to white instead.

    Args:
        x: (N, C, H, W) with C = 1 or 3, (N, H, W), (N, D) with D a square, or clips
            (N, T, C, H, W).
        levels: number of levels of every dimension, or one number for each.
        scale: every pixel becomes scale × scale; None: the largest, at least 1, for which the
            picture stays within 1000 × 1000.

    Raises:
        ValueError: x cannot be shown as images.

    Example:
        >>> ar.data.picture(torch.zeros(6, 1, 8, 8, dtype=torch.int64), levels=2, scale=1).size
        (26, 17)
    """
    event = tuple(x.shape[1:])
    frames = event[0] if len(event) == 4 else 1
    shape = channels, height, width = _as_image(event[1:] if len(event) == 4 else event)
    if len(x) == 0:
        raise ValueError("there are no images to show")
    images = (
        brightness(x, Symbols(x.shape[1:], levels, columns))
        .reshape(-1, *shape)
        .transpose(0, 2, 3, 1)
    )
    across = frames if len(event) == 4 else columns_of_grid(len(x), height, width)
    if scale is None:
        scale = max(1, WIDEST // max(across * width, -(-len(images) // across) * height))
    if scale < 1:
        raise ValueError(f"the scale of a picture must be at least 1, not {scale}")
    sheet = grid(images, across, scale)
    return Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet)


def columns_of_grid(count: int, height: int, width: int) -> int:
    """The number of images side by side in a grid that is nearly square."""
    return min(count, math.ceil(math.sqrt(count * height / width)))


def grid(images: np.ndarray, across: int, scale: int, line: int = MID_GREY) -> np.ndarray:
    """Images (N, H, W, C), each pixel scale × scale, ``across`` in a row, separated by lines."""
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
def _open_image(path: Path) -> Iterator[Image.Image]:
    """An open image; any error in reading it becomes a ValueError that names the file."""
    damaged = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
    try:
        with Image.open(path) as image:
            # Pillow would clip these to 255 without a word.
            if image.mode[0] in "IF":
                raise ValueError("it has more than 8 bits a value; convert it to 8 bits first")
            yield image
    except (*damaged, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from error


def _as_image(event: tuple[int, ...]) -> tuple[int, int, int]:
    """The shape (C, H, W) in which an event is shown."""
    match event:
        case (1 | 3, _, _):
            return event
        case (height, width):
            return 1, height, width
        case (dims,) if math.isqrt(dims) ** 2 == dims:
            return 1, math.isqrt(dims), math.isqrt(dims)
    raise ValueError(
        f"examples of shape {event} cannot be shown as a picture, unlike (1, H, W), (3, H, W), "
        "(H, W), (D,) with D a square, and clips; write .npz or .csv instead"
    )


def brightness(x: Tensor, symbols: Symbols) -> np.ndarray:
    """The brightness of symbols, uint8 (N, D), from black to white."""
    symbols.check(x)
    columns = symbols.columns
    flat = x.flatten(1).long().cpu().numpy()
    if columns is None:
        return np.rint(255 * flat / (np.array(symbols.levels) - 1)).astype(np.uint8)
    try:
        numbers = [[int(label) for label in labels] or [0] for labels in columns.labels]
    except ValueError:
        raise ValueError(
            "a table whose labels are not whole numbers cannot be shown as a picture; write .npz "
            "or .csv instead"
        ) from None
    # A level beyond the labels (a constant column has one) is shown as the last label.
    values = np.stack(
        [np.array(those)[flat[:, c].clip(max=len(those) - 1)] for c, those in enumerate(numbers)],
        axis=1,
    )
    low = min(map(min, numbers))
    high = max(low + 1, *map(max, numbers))
    return np.rint(255 * (values - low) / (high - low)).astype(np.uint8)
