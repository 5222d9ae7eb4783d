"""Images and videos of any size as tiles of the size that a model takes, and back to files."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from autoregress.data.formats import videos
from autoregress.data.formats.animations import ffv1
from autoregress.data.formats.decoding import (
    cache_folder,
    decoded,
    for_each,
    frame_rate,
    mapped,
    size_and_grey,
)
from autoregress.data.formats.folders import files_below, left_out
from autoregress.data.formats.image_files import read_page
from autoregress.data.formats.images import classes_of, first_looks, png
from autoregress.data.formats.pixels import lost_levels, reduce_levels, restored, suffixes
from autoregress.data.source import Account, Change, Source
from autoregress.disk import make_folder, new_folder, write_file
from autoregress.kinds import Count, as_kind
from autoregress.model import AutoregressiveModel
from autoregress.packing.packed import Packed, inside, restored_names

KIND = "pictures"
# The most pixels of all pictures together that a manifest may name.
MOST = 2**48


@dataclass(frozen=True)
class Picture:
    """An image or a video.

    Attributes:
        name: the path under which it comes back, with / between folders.
        frames: number of frames, 0 for an image.
        height, width: size in pixels.
        grey: whether it is grey, whatever the model takes.
        rate: numerator and denominator of the number of frames a second.
    """

    name: str
    frames: Count
    height: Count
    width: Count
    grey: bool
    rate: tuple[Count, Count] = (Count(10), Count(1))

    def tiles(self, event: Sequence[int]) -> tuple[int, ...]:
        """The number of tiles along each axis."""
        return tuple(-(-n // t) for n, t in zip(self.extent, _axes(event), strict=True))

    @property
    def extent(self) -> tuple[int, ...]:
        """Its size along each axis, but for channels."""
        size = self.height, self.width
        return (self.frames, *size) if self.frames else size


class Tiles(Source):
    """The tiles of pictures, in raster order, one picture after another.

    A tile that reaches over an edge repeats the last pixels.

    Args:
        pictures: the pictures.
        read: given the number of a picture, its values uint8 (…, C, H, W).
        event: the shape of a tile, (C, H, W) or (T, C, H, W).
        levels: number of levels.
        context: (pictures, C), if the model takes one.

    Attributes:
        pictures: number of pictures.
        size: number of their values.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        read: Callable[[int], np.ndarray],
        event: tuple[int, ...],
        levels: int,
        context: Tensor | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        self._counts = [picture.tiles(event) for picture in pictures]
        numbers = [math.prod(counts) for counts in self._counts]
        self._starts = np.concatenate([[0], np.cumsum(numbers)]).tolist()
        if context is not None:
            context = context.repeat_interleave(torch.tensor(numbers), 0)
        super().__init__(event, levels, context=context, labels=labels)
        self._read, self._levels = lru_cache(1)(read), levels
        self.pictures = len(pictures)
        channels = event[-3]
        self.size = sum(math.prod(picture.extent) * channels for picture in pictures)

    def whole(self, which: int) -> np.ndarray:
        """The values uint8 (…, C, H, W) of a picture."""
        return self._read(which)

    def __len__(self) -> int:
        return self._starts[-1]

    def _rows(self, index: Tensor) -> Tensor:
        x = np.empty((len(index), *self.event_shape), np.uint8)
        for tile, i in zip(x, index.tolist(), strict=True):
            which = bisect_right(self._starts, i) - 1
            place = np.unravel_index(i - self._starts[which], self._counts[which])
            part = self._read(which)[_part(place, self.event_shape)]
            short = [(0, n - m) for n, m in zip(tile.shape, part.shape, strict=True)]
            tile[:] = np.pad(part, short, mode="edge")
        return torch.from_numpy(reduce_levels(x, self._levels))


def takes(model: AutoregressiveModel) -> bool:
    """Whether a model takes images or clips."""
    shape = model.event_shape
    return (
        len(shape) in (3, 4)
        and shape[-3] in (1, 3)
        and model.symbols.uniform
        and model.symbols.levels[0] <= 256
        and model.symbols.columns is None
    )


def pack_images(
    model: AutoregressiveModel, path: Path, condition: str | None, *, workers: int = 1
) -> Packed:
    """The images below a folder, or of a file, for a model of images of any size.

    Raises:
        ValueError: there is no image that can be read.
    """
    levels, grey = model.symbols.levels[0], model.event_shape[0] == 1
    paths, remarks = [path], []
    if path.is_dir():
        paths = files_below(path, suffixes())
        remarks = left_out(path, suffixes(), "images")
    if not paths:
        raise ValueError("; ".join([f"{path} holds no images, such as .png or .jpg", *remarks]))
    account = Account("images", remarks=remarks)
    pages, shapes = list[tuple[Path, int, bool]](), list[tuple[int, int]]()
    for file, looked in first_looks(paths, None, grey, levels, workers, True):
        if looked.damage:
            account.skipped.append((file, looked.damage))
        account.changed += [Change(file, *loss) for loss in looked.lost.items()]
        for page, shape in looked.shapes.items():
            pages.append((file, page, looked.grey))
            shapes.append(shape)
    account.files = len({file for file, _, _ in pages})
    if not pages:
        raise ValueError(f"{path} holds no image that can be read: {account.complaint}")
    context, labels = classes_of(path, [file for file, _, _ in pages], condition, model.labels)
    several = {file for file, page, _ in pages if page}
    names = [_named(path, file, page if file in several else None) for file, page, _ in pages]
    pictures = [
        Picture(name, Count(0), Count(height), Count(width), is_grey)
        for name, (height, width), (_, _, is_grey) in zip(
            restored_names(names, ".png"), shapes, pages, strict=True
        )
    ]

    def read(which: int) -> np.ndarray:
        file, page, _ = pages[which]
        return read_page(file, page, grey=grey, size=None)

    source = Tiles(pictures, read, model.event_shape, levels, context, labels)
    return _packed(source, pictures, list(dict.fromkeys(file for file, _, _ in pages)), account)


def pack_videos(
    model: AutoregressiveModel, path: Path, cache: Path | None, *, workers: int = 1
) -> Packed:
    """The videos below a folder, or of a file, for a model of clips of any size.

    Raises:
        ValueError: there is no video that can be read.
    """
    levels, grey = model.symbols.levels[0], model.event_shape[1] == 1
    paths, remarks = [path], []
    if path.is_dir():
        paths = files_below(path, videos.SUFFIXES)
        remarks = left_out(path, videos.SUFFIXES, "videos")
    account, folder = Account("videos", remarks=remarks), cache_folder(cache)
    read = partial(_decoded, grey=grey, cache=folder)
    arrays, files, found = list[Path](), list[Path](), list[tuple[Any, ...]]()
    for file, result in for_each(read, paths, workers, True):
        if isinstance(result, ValueError):
            account.skipped.append((file, str(result)))
            continue
        clip, is_grey = result
        lost = clip.lost | lost_levels(np.isin(np.arange(256), clip.values), levels)
        account.changed += [Change(file, *loss) for loss in lost.items()]
        arrays.append(clip.array)
        files.append(file)
        rate = frame_rate(file)
        found.append((mapped(clip.array).shape, is_grey, (rate.numerator, rate.denominator)))
    account.files = len(files)
    if not files:
        raise ValueError(f"{path} holds no clip that can be read: {account.complaint}")
    names = restored_names([_named(path, file, None) for file in files], ".mkv")
    pictures = [
        Picture(name, Count(shape[0]), Count(shape[2]), Count(shape[3]), is_grey, rate)
        for name, (shape, is_grey, rate) in zip(names, found, strict=True)
    ]
    source = Tiles(pictures, lambda n: mapped(arrays[n]), model.event_shape, levels)
    return _packed(source, pictures, files, account)


def pictures_in(manifest: dict[str, Any]) -> list[Picture]:
    """The pictures of a manifest.

    Raises:
        ValueError: it is damaged.
    """
    pictures = as_kind(manifest.get("pictures"), list[Picture], "pictures")
    pixels = sum(max(1, p.frames) * p.height * p.width for p in pictures)
    if not pictures or pixels > MOST or any(not p.height or not p.width for p in pictures):
        raise ValueError("the compressed file is damaged: its pictures have no size")
    if any(not all(p.rate) for p in pictures):
        raise ValueError("the compressed file is damaged: its clips have no rate")
    return pictures


def restore(
    parts: Iterable[tuple[int, Tensor]], pictures: Sequence[Picture], levels: int, out: Path
) -> tuple[list[Path], list[str]]:
    """Writes pictures into a new folder, or a single one into a file.

    Args:
        parts: tiles (count, *event_shape), and the number of those before.
        out: a folder, or for a single picture a file.

    Returns:
        The files, and the names of those that were not restored, as tiles are missing.
    """
    if out.suffix:
        whole = [values for _, values in _whole(parts, pictures)]
        for values in whole:
            write_file(out, _content(pictures[0], restored(levels)[values]))
        return [out] * len(whole), [] if whole else [pictures[0].name]
    lost = {picture.name for picture in pictures}
    targets = [inside(out, picture.name) for picture in pictures]
    if len(set(targets)) < len(targets):
        raise ValueError("the compressed file is damaged: two of its files have the same name")
    with new_folder(out) as folder:
        for picture, values in _whole(parts, pictures):
            target = inside(folder, picture.name)
            make_folder(target.parent)
            write_file(target, _content(picture, restored(levels)[values]))
            lost.remove(picture.name)
    return targets, sorted(lost)


def _whole(
    parts: Iterable[tuple[int, Tensor]], pictures: Sequence[Picture]
) -> Iterator[tuple[Picture, np.ndarray]]:
    """The pictures all of whose tiles are there, with their symbols (…, C, H, W)."""
    numbered = ((first + n, tile) for first, x in parts for n, tile in enumerate(x.cpu()))
    start, waiting = 0, next(numbered, None)
    for picture in pictures:
        counts, values, seen = None, np.empty(0), 0
        while waiting is not None:
            number, tile = waiting
            event = tuple(tile.shape)
            if counts is None:
                counts = picture.tiles(event)
            if number >= start + math.prod(counts):
                break
            if not seen:
                channels = event[-3]
                *before, height, width = picture.extent
                try:
                    values = np.zeros((*before, channels, height, width), np.uint8)
                except MemoryError as error:
                    raise ValueError(f"{picture.name} is too large for memory") from error
            place = np.unravel_index(number - start, counts)
            part = values[_part(place, event)]
            part[:] = tile[tuple(slice(n) for n in part.shape)].numpy()
            seen, waiting = seen + 1, next(numbered, None)
        if counts is None:
            return
        start += math.prod(counts)
        if seen == math.prod(counts):
            yield picture, values


def _content(picture: Picture, values: np.ndarray) -> memoryview:
    """The content of a file."""
    shown = np.moveaxis(values, -3, -1)
    shown = shown[..., :1] if picture.grey else shown
    if picture.frames:
        return ffv1(np.ascontiguousarray(shown), Fraction(*picture.rate))
    return png(Image.fromarray(shown[:, :, 0] if shown.shape[2] == 1 else shown))


def _packed(source: Tiles, pictures: list[Picture], files: list[Path], account: Account) -> Packed:
    source.account = account
    suffix = ".mkv" if pictures[0].frames else ".png"
    others = sorted({file.suffix.lower() for file in files} - {suffix})
    if others:
        account.remarks.append(
            f"{', '.join(others)} come back as {suffix}, with the same pixels and without metadata"
        )
    manifest = {"kind": KIND, "pictures": [asdict(picture) for picture in pictures]}
    return Packed(source, manifest, None, files, account)


def _decoded(path: Path, grey: bool, cache: Path) -> tuple[Any, bool]:
    size, is_grey = size_and_grey(path, cache)
    return decoded(path, size, grey, cache), is_grey


def _named(root: Path, file: Path, page: int | None) -> str:
    """The name of a file, or of one of its pages, relative to the folder that was given."""
    name = file.relative_to(root) if root.is_dir() else Path(file.name)
    if page is not None:
        name = name.with_stem(f"{name.stem}-{page}")
    try:
        name.as_posix().encode()
    except UnicodeEncodeError:
        raise ValueError(f"{file}: its name is not UTF-8; rename it") from None
    return name.as_posix()


def _axes(event: Sequence[int]) -> tuple[int, ...]:
    """The size of a tile along each axis, but for channels."""
    *before, _, height, width = event
    return (*before, height, width)


def _part(place: Sequence[Any], event: Sequence[int]) -> tuple[slice, ...]:
    """The part of a picture (…, C, H, W) that a tile shows."""
    *before, rows, columns = (
        slice(int(p) * n, (int(p) + 1) * n) for p, n in zip(place, _axes(event), strict=True)
    )
    return (*before, slice(None), rows, columns)
