"""Clips as files: FFV1 in Matroska to keep them, GIF and MP4 to view them."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from autoregress.data.formats.ffmpeg import pyav
from autoregress.data.formats.images import MID_GREY, columns_of_grid, grid, values_of
from autoregress.disk import write_file
from autoregress.symbols import Symbols

WIDEST = 512
COLOURS = 256
LARGEST_GIF = 2**16 - 1


def write_mkv(path: Path, x: Tensor, symbols: Symbols, *, rate: int = 10) -> list[Path]:
    """Writes clips without loss (FFV1), one to ``path`` or several to name-000.mkv, ….

    Symbol s of K becomes the brightness ⌊255 s / (K - 1)⌉, or the nearest to it that is read back
    as s with ``levels=K``.

    Args:
        x: (N, T, C, H, W) with C = 1 or 3.
        rate: number of frames a second.

    Returns:
        The files written.
    """
    films = _as_films(x, symbols)
    digits = max(3, len(str(len(films) - 1)))
    paths = [path.with_stem(f"{path.stem}-{n:0{digits}}") for n in range(len(films))]
    paths = [path] if len(films) == 1 else paths
    for name, film in zip(paths, films, strict=True):
        write_file(name, ffv1(film, rate))
    return paths


def ffv1(film: np.ndarray, rate: int | Fraction) -> memoryview:
    """A film, uint8 (T, H, W, C), as the content of an .mkv, without loss."""
    pixel_format = "gray" if film.shape[-1] == 1 else "bgr0"
    options = {"level": "3", "slices": "1", "slicecrc": "1"}
    return _encode(film, "matroska", "ffv1", pixel_format, rate, options)


def write_mp4(path: Path, x: Tensor, symbols: Symbols, *, rate: int = 10) -> None:
    """Writes clips (N, T, C, H, W) side by side as one film (H.264, with loss), enlarged."""
    films = _as_films(x, symbols)
    sheets = _side_by_side(films.repeat(3 // films.shape[-1], -1), MID_GREY)
    even = [(0, size % 2) for size in sheets.shape[1:3]]  # H.264 halves the colours' resolution
    sheets = np.pad(sheets, [(0, 0), *even, (0, 0)], mode="edge")
    write_file(path, _encode(sheets, "mp4", "libx264", "yuv420p", rate, {"crf": "12"}))


def write_gif(path: Path, x: Tensor, symbols: Symbols, *, rate: int = 10) -> None:
    """Writes clips (N, T, C, H, W) side by side as one endless animation, enlarged.

    Greys are exact, and so are up to 256 colours; more are reduced to the 256 that fit best.
    Successive identical frames become one that is shown for longer.
    """
    films = _as_films(x, symbols)
    if films.shape[-1] == 1:
        palette, index, line = np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1), films, MID_GREY
    else:
        palette, index = _palette(films)
        line = int(np.abs(palette.astype(int) - MID_GREY).sum(1).argmin())
    sheets = _side_by_side(index, line)
    if max(sheets.shape[1:3]) > LARGEST_GIF:
        raise ValueError(
            f"a GIF is at most {LARGEST_GIF:,} pixels high and wide; write fewer clips, or .npz"
        )
    images = [Image.fromarray(sheet[:, :, 0]) for sheet in sheets]
    for image in images:
        image.putpalette(palette.tobytes())
    time = round(100 / rate) * 10  # a GIF counts hundredths of a second
    content, others = io.BytesIO(), images[1:]
    images[0].save(content, "gif", save_all=True, append_images=others, duration=time, loop=0)
    write_file(path, content.getbuffer())


def _as_films(x: Tensor, symbols: Symbols) -> np.ndarray:
    """The values of clips, uint8 (N, T, H, W, C)."""
    if x.dim() != 5 or x.shape[2] not in (1, 3):
        raise ValueError(
            f"examples of shape {tuple(x.shape[1:])} cannot be shown as a film, unlike clips "
            "(T, 1, H, W) and (T, 3, H, W); write .npz, or .png for images"
        )
    if len(x) == 0:
        raise ValueError("there are no clips to show")
    return values_of(x, symbols).transpose(0, 1, 3, 4, 2)


def _side_by_side(films: np.ndarray, line: int) -> np.ndarray:
    """Films (N, T, H, W, C) as one, in a grid: (T, H', W', C)."""
    n, _, height, width, _ = films.shape
    across = columns_of_grid(n, height, width)
    scale = max(1, WIDEST // max(across * width, -(-n // across) * height))
    return np.stack([grid(images, across, scale, line) for images in films.swapaxes(0, 1)])


def _palette(films: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most 256 colours, uint8 (K, 3), and the index of each pixel's colour among them."""
    *shape, _ = films.shape
    packed = (films.astype(np.int64) * (1 << 16, 1 << 8, 1)).sum(-1)
    used = np.union1d(packed, MID_GREY * 0x010101)  # with the colour of the lines
    if len(used) <= COLOURS:
        colours = np.stack([used >> 16, used >> 8, used], axis=1).astype(np.uint8)
        return colours, np.searchsorted(used, packed).astype(np.uint8)[..., None]
    # One palette for all frames, and no dithering: still areas must not flicker.
    image = Image.fromarray(films.reshape(-1, films.shape[3], 3)).quantize(
        COLOURS, dither=Image.Dither.NONE
    )
    colours = np.array(image.getpalette(), np.uint8).reshape(-1, 3)
    return colours, np.asarray(image).reshape(*shape, 1)


def _encode(
    frames: np.ndarray,
    container: str,
    codec: str,
    pixel_format: str,
    rate: int | Fraction,
    options: dict[str, str],
) -> memoryview:
    """A film as the content of a file; in memory, as containers go back to their beginning."""
    av, content = pyav(), io.BytesIO()
    try:
        with av.open(content, "w", format=container) as file:
            stream = file.add_stream(codec, rate=rate, options=options)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = pixel_format
            for values in frames:
                grey = values.shape[-1] == 1
                pixels = np.ascontiguousarray(values[:, :, 0] if grey else values)
                frame = av.VideoFrame.from_ndarray(pixels, format="gray" if grey else "rgb24")
                file.mux(stream.encode(frame.reformat(format=pixel_format)))
            file.mux(stream.encode(None))
    except (av.error.FFmpegError, OverflowError) as error:
        height, width = frames.shape[1:3]
        raise ValueError(
            f"a film of {height} by {width} pixels cannot be encoded by {codec}; write fewer "
            "clips side by side, or another format"
        ) from error
    return content.getbuffer()
