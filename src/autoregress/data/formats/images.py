"""Images as symbols, and symbols as one picture."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from autoregress.data.conditions import from_labels
from autoregress.data.formats.folders import (
    files_below,
    left_out,
    of_split,
    splits_of,
    with_progress,
)
from autoregress.data.formats.format import Extra, Format, Request, one_number
from autoregress.data.formats.image_files import Looked, look, read_page
from autoregress.data.formats.pixels import (
    check_size,
    reduce_levels,
    restored,
    suffixes,
)
from autoregress.data.prefetch import read_ahead
from autoregress.data.source import Account, Change, Source, hash_files
from autoregress.disk import new_folder, write_file
from autoregress.symbols import Columns, Symbols

MOST_PIXELS = 2**20  # of an example
MID_GREY = 128
WIDEST = 1000


class ImageFolder(Source):
    """The images below a folder, in the order of their paths, or one file, read on demand.

    An image is read as it is meant to be seen: upright (EXIF), laid over white if it is
    transparent, and with 8 bits a value. Every page of a TIFF is an image; of other files with
    several frames the first is used. A value v of 0…255 becomes the symbol ⌊v · levels / 256⌋.

    Each file is decoded once when the folder is opened. Damaged files are left out, and those
    whose pixels the examples do not restore are noted as changed; ``account`` lists both.

    Args:
        path: a folder, or a file.
        size: (H, W) of the images: the centre is cropped to that aspect ratio and resampled
            (Lanczos). None: all images must already have the same size.
        grey: C = 1 instead of 3. None: grey if every image is.
        levels: 2 to 256.
        condition: "folder": each subfolder is a class, on which its images are conditioned.
        labels: the names of the classes of a trained model; by default those of the subfolders.
        workers: number of threads that decode the files when the folder is opened.
        quiet: show no progress on standard error.

    Raises:
        ValueError: there is no readable image, or images differ in size; the message names them.

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
        workers: int = 1,
        quiet: bool = True,
    ) -> None:
        check_size(size, levels)
        path = Path(path)
        if not path.exists():
            raise ValueError(f"no such file or folder: {path}")
        paths, remarks = [path], []
        if path.is_dir():
            paths = files_below(path, suffixes())
            remarks = left_out(path, suffixes(), "images")
        if not paths:
            raise ValueError("; ".join([f"{path} holds no images, such as .png or .jpg", *remarks]))
        account = Account("images", remarks=remarks)
        self._pages: list[tuple[Path, int]] = []
        shapes, all_grey = dict[tuple[int, int], Path](), True
        for file, looked in first_looks(paths, size, grey, levels, workers, quiet):
            if looked.damage:
                account.skipped.append((file, looked.damage))
            account.changed += [Change(file, *loss) for loss in looked.lost.items()]
            for page, shape in looked.shapes.items():
                self._pages.append((file, page))
                shapes.setdefault(shape, file)
            if size is None:
                _check_one_size(path, shapes)
            all_grey &= looked.grey
        account.files = len({file for file, _ in self._pages})
        if not self._pages:
            if path.is_file():
                raise ValueError(f"{path} cannot be read as an image: {account.skipped[0][1]}")
            raise ValueError(f"{path} holds no image that can be read: {account.complaint}")
        if grey is None:
            grey = all_grey
        context, labels = classes_of(path, [file for file, _ in self._pages], condition, labels)
        shape = (1 if grey else 3, *(size or next(iter(shapes))))
        super().__init__(shape, levels, context=context, labels=labels)
        self._size, self._levels, self.account = size, levels, account

    @property
    def digest(self) -> str:
        """A hash of the files, in order, which identifies the content."""
        files = dict.fromkeys(file for file, _ in self._pages)
        pages = [page for _, page in self._pages]
        return hash_files(list(files), self.event_shape, self.levels, pages)

    def __len__(self) -> int:
        return len(self._pages)

    def _rows(self, index: Tensor) -> Tensor:
        x = np.empty((len(index), *self.event_shape), np.uint8)
        for values, i in zip(x, index.tolist(), strict=True):
            file, page = self._pages[i]
            try:
                values[:] = read_page(file, page, grey=len(values) == 1, size=self._size)
            except ValueError as error:
                raise ValueError(f"{file} cannot be read as an image: {error}") from error
        return torch.from_numpy(reduce_levels(x, self._levels))


class Images(Format):
    """An image, or any folder that no other format recognises (:class:`ImageFolder`).

    A .png of one image is that image, pixel for pixel; of several examples it is a sheet to view.
    A folder, which is a path without a suffix, gets a .png for each image.
    """

    holds_what = "images"
    names = "images and folders of them"
    takes = frozenset({"levels", "size", "grey", "condition"})
    writes = (".png", "")

    def holds(self, path: Path, *, clips: bool) -> bool:
        return path.is_dir() or (path.suffix.lower() in suffixes() and path.is_file())

    def open(self, path: Path, request: Request) -> Source:
        reading = request.of_shape(3)
        folder, remarks = of_split(path, request.split)
        images = ImageFolder(
            folder,
            size=reading.size,
            grey=reading.grey,
            levels=one_number(reading.levels, path),
            condition=reading.condition,
            labels=request.labels,
            workers=request.workers,
            quiet=request.quiet,
        )
        images.account.remarks += remarks
        return images

    def splits(self, path: Path) -> Sequence[str]:
        return list(splits_of(path))

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
        event = symbols.event_shape
        if path.suffix:
            exact = len(x) == 1 and len(event) in (2, 3)
            image = _exactly(x, symbols)[0] if exact else None
            image = image or picture(x, symbols.levels, symbols.columns)
            write_file(path, png(image))
            return [path]
        if len(event) == 4:
            raise ValueError(f"{path}: clips are written as .mkv, a file for each")
        images = _exactly(x, symbols)
        digits = max(3, len(str(len(images) - 1)))
        with new_folder(path) as folder:
            for n, image in enumerate(images):
                write_file(folder / f"{n:0{digits}}.png", png(image))
        return [path]


FORMAT = Images()


def first_looks(
    paths: list[Path],
    size: tuple[int, int] | None,
    grey: bool | None,
    levels: int,
    workers: int,
    quiet: bool,
) -> Iterator[tuple[Path, Looked]]:
    """Each file, with what a first reading finds in it."""
    first = partial(look, size=size, grey=grey, levels=levels)
    shown = with_progress(paths, "Reading images", quiet=quiet)
    with closing(read_ahead(first, paths, workers=workers)) as looks:
        yield from zip(shown, looks, strict=True)


def _check_one_size(path: Path, shapes: dict[tuple[int, int], Path]) -> None:
    """Raises ValueError if images of these shapes (H, W), each with a file, cannot be examples."""
    for shape, file in shapes.items():
        if math.prod(shape) > MOST_PIXELS:
            raise ValueError(
                f"{file} has {shape[0]} × {shape[1]} pixels, too many for a model; scale it down "
                "with --size"
            )
    if len(shapes) > 1:
        (one, first), (other, second), *_ = shapes.items()
        raise ValueError(
            f"{path}: images of several sizes (height, width): {first} is {one}, {second} is "
            f"{other}; scale them to one size with --size"
        )


def classes_of(
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


def values_of(x: Tensor, symbols: Symbols) -> np.ndarray:
    """The values 0…255 of images or clips, uint8 of the same shape.

    They are the brightness, or the nearest to it that is read back as x with ``levels=K``.
    """
    if symbols.uniform and max(symbols.levels) <= 256 and symbols.columns is None:
        symbols.check(x)
        return restored(symbols.levels[0])[x.cpu().numpy()]
    return brightness(x, symbols).reshape(x.shape)


def _exactly(x: Tensor, symbols: Symbols) -> list[Image.Image]:
    """Each example as an image of its own size."""
    shape = _as_image(symbols.event_shape)
    values = values_of(x, symbols).reshape(-1, *shape)
    return [Image.fromarray(v[0] if len(v) == 1 else v.transpose(1, 2, 0)) for v in values]


def png(image: Image.Image) -> memoryview:
    """An image as the content of a .png."""
    content = io.BytesIO()
    image.save(content, format="png")
    return content.getbuffer()


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
