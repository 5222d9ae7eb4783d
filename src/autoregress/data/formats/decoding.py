"""Decodes video files, once each, to arrays in a cache on disk, optionally in several processes.

Torch is not imported here, so that these processes start quickly.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from autoregress.data.formats.ffmpeg import pyav
from autoregress.data.formats.pixels import pixels
from autoregress.disk import make_folder

CACHED_AS = 1  # to be raised when the same file would be decoded differently


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
    function: Callable[[Path], Path], paths: list[Path], workers: int, quiet: bool
) -> Iterator[tuple[Path, Path | ValueError]]:
    """Each path with the function's result for it, or with the ValueError that it raised."""
    attempt = partial(_attempt, function)
    if workers == 1:
        yield from zip(_progress(paths, quiet), map(attempt, paths), strict=True)
        return
    # Processes, not threads: PyAV cannot tell which thread a decoder's message belongs to.
    # They ignore Ctrl-C, which the waiting process handles.
    quietly = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_IGN)}
    with ProcessPoolExecutor(workers, get_context("spawn"), **quietly) as pool:
        yield from zip(_progress(paths, quiet), pool.map(attempt, paths), strict=True)


def _attempt(function: Callable[[Path], Path], path: Path) -> Path | ValueError:
    try:
        return function(path)
    except ValueError as error:
        return error


def _progress(paths: list[Path], quiet: bool) -> Iterable[Path]:
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        return paths
    return track(paths, "Decoding videos", console=console, transient=True)


def _in_cache(cache: Path, path: Path, suffix: str, *settings: object) -> Path:
    """The path in the cache of what is derived from a file in its present state."""
    stat = path.stat()
    key = (CACHED_AS, str(path.resolve()), stat.st_size, stat.st_mtime_ns, *settings)
    return cache / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}{suffix}"


@contextmanager
def _atomic_file(target: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name once it is complete, so that a kill leaves no partial file."""
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".part-", delete=False) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, target)
        except BaseException:
            os.unlink(file.name)
            raise


def size_and_grey(path: Path, cache: Path) -> tuple[tuple[int, int], bool]:
    """The (H, W) of a video file, and whether it is grey.

    Raises:
        ValueError: the file is damaged.
    """
    target = _in_cache(cache, path, ".json")
    if not target.exists():
        with closing(_frames(path)) as frames:
            image = next(frames)
        with _atomic_file(target) as file:
            file.write(json.dumps([image.height, image.width, image.mode == "L"]).encode())
    height, width, grey = json.loads(target.read_bytes())
    return (height, width), grey


def decoded(path: Path, size: tuple[int, int], grey: bool, cache: Path) -> Path:
    """The .npy file, uint8 (frames, C, H, W), of a video file, written on first use.

    Raises:
        ValueError: the file is damaged.
    """
    target = _in_cache(cache, path, ".npy", tuple(size), grey)
    if target.exists():
        return target
    with _atomic_file(target) as file:
        shape = (0, 1 if grey else 3, *size)
        _write_header(file, shape)
        count = 0
        for image in _frames(path):
            file.write(pixels(image, grey=grey, size=size).tobytes())
            count += 1
        file.seek(0)
        _write_header(file, (count, *shape[1:]))
    return target


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Writes an .npy header, which NumPy pads to the same length for any number of frames."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _frames(path: Path) -> Generator[Image.Image, None, None]:
    """The frames of a video file, upright; in mode L if the video is grey.

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
                # Messages from the decoder's own threads could deadlock PyAV.
                stream.codec_context.thread_count = 1
                count = 0
                for count, frame in enumerate(file.decode(stream), start=1):
                    if frame.is_corrupt:
                        raise ValueError(f"frame {count - 1} is damaged")
                    if complaints:
                        break
                    yield _picture(frame)
        except av.error.FFmpegError as error:
            raise ValueError(f"cannot be decoded: {error.strerror}") from error
        if complaints:
            raise ValueError(f"damaged: {complaints[0][2].strip()}")
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


def _picture(frame: Any) -> Image.Image:
    if frame.format.name.startswith("gray"):
        image = Image.fromarray(frame.to_ndarray(format="gray"))
    elif any(component.is_alpha for component in frame.format.components):
        image = Image.fromarray(frame.to_ndarray(format="rgba"))
    else:
        image = Image.fromarray(frame.to_ndarray(format="rgb24"))
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image
