"""Decodes video files, once each, to arrays in a cache on disk, optionally in several processes.

Torch is not imported here, so that these processes start quickly.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from PIL import Image

from autoregress.data.formats.ffmpeg import pyav
from autoregress.data.formats.folders import with_progress
from autoregress.data.formats.pixels import GREY, Losses, pixels, used_values
from autoregress.disk import make_folder

T = TypeVar("T")

CACHED_AS = 2  # to be raised when the same file would be decoded differently

MOST_PIXELS = 2**26  # of a frame
# These decoders mark each frame that they could not decode right. Their messages are of no account:
# they also complain of references to frames before a cut, though all frames come out right.
MARKING = {"h264", "hevc"}


def cache_folder(cache: str | Path | None) -> Path:
    if cache is None:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        cache = Path(home) / "autoregress" / "clips"
    folder = Path(cache)
    make_folder(folder)
    return folder


def mapped(array: Path) -> np.ndarray:
    return np.load(array, mmap_mode="r", allow_pickle=False)


def for_each(
    function: Callable[[Path], T], paths: list[Path], workers: int, quiet: bool
) -> Iterator[tuple[Path, T | ValueError]]:
    """Each path with the function's result for it, or with the ValueError that it raised."""
    attempt = partial(_attempt, function)
    shown = with_progress(paths, "Decoding videos", quiet=quiet)
    if workers == 1:
        yield from zip(shown, map(attempt, paths), strict=True)
        return
    # Processes, not threads: PyAV cannot tell which thread a decoder's message belongs to.
    # They ignore Ctrl-C, which the waiting process handles.
    quietly = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_IGN)}
    with ProcessPoolExecutor(workers, get_context("spawn"), **quietly) as pool:
        yield from zip(shown, pool.map(attempt, paths), strict=True)


def _attempt(function: Callable[[Path], T], path: Path) -> T | ValueError:
    try:
        return function(path)
    except ValueError as error:
        return error


def _in_cache(cache: Path, path: Path, suffix: str, *settings: object) -> Path:
    """The path in the cache of what is derived from a file in its present state."""
    stat = path.stat()
    key = (CACHED_AS, str(path.resolve()), stat.st_size, stat.st_mtime_ns, *settings)
    return cache / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}{suffix}"


@contextmanager
def _atomic_file(target: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name once it is complete, so that a kill leaves no partial file.

    Unlike those of ``disk.replacing``, its errors are OSErrors: a full disk must not be taken for
    a damaged video, which is left out.
    """
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".part-", delete=False) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, target)
        except BaseException:
            os.unlink(file.name)
            raise


@dataclass(frozen=True)
class Decoded:
    """A decoded video file.

    Attributes:
        array: the .npy file, uint8 (frames, C, H, W).
        lost: what it does not show of the video.
        values: the values 0…255 that occur in it.
    """

    array: Path
    lost: Losses
    values: list[int]


def size_and_grey(path: Path, cache: Path) -> tuple[tuple[int, int], bool]:
    """The (H, W) of a video file, and whether it is grey.

    Raises:
        ValueError: the file is damaged.
    """
    target = _in_cache(cache, path, ".json")
    if not target.exists():
        with closing(_frames(path)) as frames:
            image, _ = next(frames)
        _write(target, [image.height, image.width, image.mode in GREY])
    height, width, grey = json.loads(target.read_bytes())
    return (height, width), grey


def frame_rate(path: Path) -> Fraction:
    """The number of frames a second of a video file, 10 if it does not say."""
    with pyav().open(path) as file:
        return file.streams.video[0].average_rate or Fraction(10)


def decoded(path: Path, size: tuple[int, int], grey: bool, cache: Path) -> Decoded:
    """A video file as an array, which is written on first use.

    Raises:
        ValueError: the file is damaged.
    """
    settings = (tuple(size), grey)
    target = _in_cache(cache, path, ".npy", *settings)
    notes = _in_cache(cache, path, ".json", *settings)
    if not target.exists() or not notes.exists():
        lost: Losses = {}
        used = np.zeros(256, bool)
        with _atomic_file(target) as file:
            shape = (0, 1 if grey else 3, *size)
            _write_header(file, shape)
            count = 0
            for image, bits in _frames(path):
                values, losses = pixels(image, grey=grey, size=size, bits=bits)
                lost |= losses
                used |= used_values(values)
                file.write(values.tobytes())
                count += 1
            file.seek(0)
            _write_header(file, (count, *shape[1:]))
        _write(notes, [lost, used.nonzero()[0].tolist()])
    return Decoded(target, *json.loads(notes.read_bytes()))


def _write(target: Path, content: Any) -> None:
    with _atomic_file(target) as file:
        file.write(json.dumps(content).encode())


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Writes an .npy header, which NumPy pads to the same length for any number of frames."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _frames(path: Path) -> Generator[tuple[Image.Image, int], None, None]:
    """The frames of a video file, upright, each with the number of bits of its values.

    Raises:
        ValueError: the file has no frames or is damaged.
    """
    av = pyav()
    with _complaints() as complaints:
        try:
            with av.open(path) as file:
                stream = file.streams.best("video")
                if stream is None:
                    raise ValueError("it holds no video")
                if stream.codec_context is None:
                    raise ValueError("there is no decoder for it")
                # Messages from the decoder's own threads could deadlock PyAV.
                stream.codec_context.thread_count = 1
                stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
                heard = {file.format.name, stream.codec_context.codec.name} - MARKING
                count = 0
                for count, frame in enumerate(file.decode(stream), start=1):
                    if frame.is_corrupt:
                        raise ValueError(f"frame {count - 1} is damaged")
                    if _of_damage(complaints, heard):
                        break
                    yield _picture(frame)
        except (av.error.FFmpegError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ValueError(f"cannot be decoded: {reason}") from error
        if found := _of_damage(complaints, heard):
            raise ValueError(f"damaged: {found[0]}")
        if count == 0:
            raise ValueError("it holds no frames")


@contextmanager
def _complaints() -> Iterator[list[tuple[int, str, str]]]:
    """Collects the decoders' error messages, the only sign of damage that they conceal."""
    av = pyav()
    level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture() as messages:
            yield messages
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skips)


def _of_damage(complaints: list[tuple[int, str, str]], heard: set[str]) -> list[str]:
    """The messages of those that are heard."""
    return [text.strip() for _, speaker, text in complaints if speaker in heard]


def _picture(frame: Any) -> tuple[Image.Image, int]:
    """A frame as an image, upright, and the number of bits of its values."""
    bits = max(component.bits for component in frame.format.components)
    if frame.format.name.startswith(("gray", "mono")):
        values = frame.to_ndarray(format="gray")
    elif any(component.is_alpha for component in frame.format.components):
        values = frame.to_ndarray(format="rgba")
    else:
        values = frame.to_ndarray(format="rgb24")
    return Image.fromarray(_upright(values, frame)), bits


def _upright(values: np.ndarray, frame: Any) -> np.ndarray:
    """The values (H, W, …) of a frame as its display matrix says, turned and mirrored.

    Raises:
        ValueError: the matrix is not one of the eight that permute pixels.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return values
    # A pixel at (x, y) is shown at (a x + c y, b x + d y), in units of 1 / 65536.
    a, b, _, c, d, *_ = np.sign(np.frombuffer(matrix, np.int32)).tolist()
    if abs(a) != abs(d) or abs(b) != abs(c) or abs(a) == abs(b):
        raise ValueError("it is to be shown at an angle that is not a multiple of 90°")
    if b:
        values, a, d = values.swapaxes(0, 1), c, b
    return np.ascontiguousarray(values[::d, ::a])
