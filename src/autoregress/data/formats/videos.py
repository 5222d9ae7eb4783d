"""Video files as clips of integer symbols, decoded once and then read from a cache on disk."""

from __future__ import annotations

import copy
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
from typing import IO, Self

import av
import av.logging
import numpy as np
import torch
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import Tensor

from autoregress.data.formats.images import SUFFIXES as IMAGES
from autoregress.data.formats.images import check_size, files_below, pixels, reduce_levels
from autoregress.data.source import Data

SUFFIXES = {".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".webm"}
DEFAULT_FRAMES = 16
LARGEST = 64
CACHED_AS = 1  # to be raised when the same file would be decoded to something else


class VideoFolder:
    """Clips of the video files below a folder, or of one file: what ``fit`` and ``evaluate`` take.

    Frames i, i + stride, … of a file make a clip, for i = 0, step, 2 step, …: as many clips as
    the file has room for. A value v of 0…255 becomes the symbol ⌊v · levels / 256⌋.

    A file is decoded once, when it is first met, to an array uint8 (frames, C, H, W) on disk;
    memory holds no more than the clips asked for. Whether a file has changed since is told by its
    path, its size and the time it was last written.

    Files that are damaged or too short for a clip are left out and listed in ``skipped``. Damaged
    is what cannot be decoded or what the decoder complains of, be it of a single frame.

    Args:
        path: a folder, or a file: mp4, mkv, avi, webm, mov, m4v or (animated) gif.
        frames: T, the length of a clip.
        size: (H, W) to which frames are brought: the centre is cropped to that aspect and
            resampled (Lanczos). None: as they are, if all files have one size of no more than
            64 × 64; else 64 × 64.
        stride: frames of the file from one frame of a clip to the next.
        step: frames of the file from one clip to the next; by default clips do not overlap.
        grey: C = 1 instead of 3. None: grey if every file is.
        levels: 2 to 256.
        cache: the folder of the decoded arrays; by default ``autoregress/clips`` in
            ``$XDG_CACHE_HOME``, or in ``~/.cache``. It may be deleted whenever it is not in use.
        workers: how many files are decoded at once, each by a process of its own if there are
            several; clips and their order do not depend on it.
        quiet: show no progress on standard error.

    Attributes:
        event_shape: (T, C, H, W).
        symbols: the number of levels.
        files: the files that the clips are of.
        skipped: the files left out, and why.

    Raises:
        ValueError: settings that make no sense, or no clip at all, with the reasons.
    """

    columns = None  # as tables have

    def __init__(
        self,
        path: str | Path,
        *,
        frames: int = DEFAULT_FRAMES,
        size: tuple[int, int] | None = None,
        stride: int = 1,
        step: int | None = None,
        grey: bool | None = None,
        levels: int = 256,
        cache: str | Path | None = None,
        workers: int = 1,
        quiet: bool = True,
    ) -> None:
        step = frames * stride if step is None else step
        if min(frames, stride, step) < 1:
            raise ValueError(
                "frames, stride and step of clips are at least 1, "
                f"not {frames}, {stride} and {step}"
            )
        check_size(size, levels)
        path = Path(path)
        if not path.exists():
            raise ValueError(f"no such file or folder: {path}")
        paths = [path] if path.is_file() else files_below(path, SUFFIXES)
        if not paths:
            raise ValueError(f"{path} holds no videos ({' '.join(sorted(SUFFIXES))})")

        folder = _cache_folder(cache)
        self.skipped: list[tuple[Path, str]] = []
        if size is None or grey is None:
            size, grey = self._looks(paths, size, grey, folder)
            bad = {file for file, _ in self.skipped}
            paths = [file for file in paths if file not in bad]
        self.event_shape = (frames, 1 if grey else 3, *size)
        self.symbols = levels
        self.stride, self._root = stride, path
        self.files: list[Path] = []
        self._arrays: list[Path] = []
        starts: list[np.ndarray] = []
        decode = partial(_decoded, size=size, grey=grey, cache=folder)
        for file, array in _each(decode, paths, workers, quiet):
            if isinstance(array, ValueError):
                self.skipped.append((file, str(array)))
                continue
            length = len(_mapped(array))
            if length < self._span:
                needed = f"a clip takes {self._span}"
                self.skipped.append((file, f"too short: it has {length} frames, {needed}"))
                continue
            begin = np.arange(0, length - self._span + 1, step)
            starts.append(np.stack([np.full_like(begin, len(self.files)), begin], axis=1))
            self.files.append(file)
            self._arrays.append(array)
        if not starts:
            raise ValueError(f"{path} holds no clip that can be read: {self.complaint}")
        self._clips = np.concatenate(starts)  # (N, 2): which file, and the clip's first frame

    def _looks(
        self, paths: list[Path], size: tuple[int, int] | None, grey: bool | None, cache: Path
    ) -> tuple[tuple[int, int], bool]:
        """What is to be taken for the size and for grey, from the first frame of each file."""
        greys, sizes = set[bool](), set[tuple[int, int]]()
        for path in paths:
            try:
                of_file, is_grey = _look(path, cache)
            except ValueError as error:
                self.skipped.append((path, str(error)))
                continue
            greys.add(is_grey)
            sizes.add(of_file)
        if size is None:
            one = sizes.pop() if len(sizes) == 1 else None
            size = one if one and max(one) <= LARGEST else (LARGEST, LARGEST)
        return size, greys == {True} if grey is None else grey

    @property
    def _span(self) -> int:
        """The frames of a file from the first of a clip to its last."""
        return (self.event_shape[0] - 1) * self.stride + 1

    @property
    def complaint(self) -> str:
        """What was left out, in words; empty if nothing was."""
        if not self.skipped:
            return ""
        shown = "; ".join(f"{path.name} ({reason})" for path, reason in self.skipped[:8])
        more = len(self.skipped) - 8
        files = "1 file" if len(self.skipped) == 1 else f"{len(self.skipped)} files"
        return f"{files} skipped: {shown}" + (f"; and {more} more" if more > 0 else "")

    @property
    def digest(self) -> str:
        """Tells these clips from others: by the files' names and lengths, not by their pixels."""
        names = [os.path.relpath(file, self._root) for file in self.files]
        lengths = [len(_mapped(array)) for array in self._arrays]
        parts = (self.event_shape, self.symbols, self.stride, names, lengths)
        return hashlib.sha256(repr(parts).encode() + self._clips.tobytes()).hexdigest()

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: Tensor) -> Tensor:
        """The clips of an index (batch,) of integers: uint8 (batch, T, C, H, W)."""
        x = np.empty((len(index), *self.event_shape), np.uint8)
        for clip, i in zip(x, index.tolist(), strict=True):
            file, start = self._clips[i]
            clip[:] = _mapped(self._arrays[file])[start : start + self._span : self.stride]
        return torch.from_numpy(reduce_levels(x, self.symbols))

    def data(self) -> Data:
        """All clips, in memory."""
        return Data(self[torch.arange(len(self))], self.symbols)

    def split(self, fraction: float, seed: int) -> tuple[Self, Self]:
        """The clips in two parts: those kept, and those of about a ``fraction`` of the files.

        Clips of one file are alike, so either part has whole files, at least one. Which ones are
        held out is a function of the seed, the fraction and the number of files. A single file is
        cut in time: its last clips are held out, and others that overlap them are dropped.

        Raises:
            ValueError: no fraction, or a single file with too few clips to be cut.
        """
        if not 0 < fraction < 1:
            raise ValueError(f"the fraction to hold out is between 0 and 1, not {fraction}")
        file, start = self._clips.T
        if len(self.files) > 1:
            held = min(max(1, round(fraction * len(self.files))), len(self.files) - 1)
            order = torch.randperm(
                len(self.files), generator=torch.Generator().manual_seed(seed)
            ).numpy()
            return self._part(np.isin(file, order[held:])), self._part(np.isin(file, order[:held]))
        held = max(1, round(fraction * len(self)))
        first = start[-held]
        kept = start + self._span <= first
        if not kept.any():
            raise ValueError(
                f"{self.files[0]} is a single file and too short ({len(self)} clips of it) to hold "
                "some out; give more files, or others to validate on"
            )
        return self._part(kept), self._part(start >= first)

    def _part(self, chosen: np.ndarray) -> Self:
        part = copy.copy(self)
        which, renumbered = np.unique(self._clips[chosen, 0], return_inverse=True)
        part.files = [self.files[f] for f in which]
        part._arrays = [self._arrays[f] for f in which]
        part._clips = np.stack([renumbered, self._clips[chosen, 1]], axis=1)
        return part


def holds_videos(path: Path, *, gif: bool = False) -> bool:
    """Whether a path is a video file, or a folder with some.

    Args:
        gif: a .gif is a video too, instead of an image.

    Raises:
        ValueError: a folder holds both videos and images.
    """
    videos = SUFFIXES if gif else SUFFIXES - IMAGES
    if not path.is_dir():
        return path.suffix.lower() in videos
    found = files_below(path, videos)
    if found and (images := files_below(path, IMAGES - SUFFIXES)):
        raise ValueError(
            f"{path} holds both videos ({found[0].name}) and images ({images[0].name}); keep each "
            "kind in a folder of its own"
        )
    return bool(found)


def _cache_folder(cache: str | Path | None) -> Path:
    if cache is None:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        cache = Path(home) / "autoregress" / "clips"
    folder = Path(cache)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _mapped(array: Path) -> np.ndarray:
    return np.load(array, mmap_mode="r", allow_pickle=False)


def _each(
    function: Callable[[Path], Path], paths: list[Path], workers: int, quiet: bool
) -> Iterator[tuple[Path, Path | ValueError]]:
    """Each path, and what a function makes of it, or the error that it raises."""
    attempt = partial(_attempt, function)
    if workers == 1:
        yield from zip(_progress(paths, quiet), map(attempt, paths), strict=True)
        return
    # Processes and not threads, of which PyAV cannot tell whose the decoder's complaints are.
    # Ctrl-C is for the process that waits for them.
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
    """Where the cache has, or will have, what is made of a file as it is now."""
    stat = path.stat()
    key = (CACHED_AS, str(path.resolve()), stat.st_size, stat.st_mtime_ns, *settings)
    return cache / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}{suffix}"


@contextmanager
def _whole(target: Path) -> Iterator[IO[bytes]]:
    """A file that has its name only once it is whole: who dies leaves nothing half-read."""
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".part-", delete=False) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, target)
        except BaseException:
            os.unlink(file.name)
            raise


def _look(path: Path, cache: Path) -> tuple[tuple[int, int], bool]:
    """The (H, W) of a video file, and whether it is grey.

    Raises:
        ValueError: the file is damaged.
    """
    target = _in_cache(cache, path, ".json")
    if not target.exists():
        with closing(_frames(path)) as frames:
            image = next(frames)
        with _whole(target) as file:
            file.write(json.dumps([image.height, image.width, image.mode == "L"]).encode())
    height, width, grey = json.loads(target.read_bytes())
    return (height, width), grey


def _decoded(path: Path, size: tuple[int, int], grey: bool, cache: Path) -> Path:
    """The .npy file uint8 (frames, C, H, W) of a video file, written now if it is not there yet.

    Raises:
        ValueError: the file is damaged.
    """
    target = _in_cache(cache, path, ".npy", tuple(size), grey)
    if target.exists():
        return target
    with _whole(target) as file:
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
    """Of an .npy file; as long for any number of frames, NumPy leaves room for that."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _frames(path: Path) -> Generator[Image.Image, None, None]:
    """The frames of a video file, upright, those of a grey video in mode L.

    Raises:
        ValueError: there are none, or there is something wrong with the file.
    """
    with _complaints() as complaints:
        try:
            with av.open(path) as file:
                stream = file.streams.best("video")
                if not isinstance(stream, VideoStream):
                    raise ValueError("it holds no video")
                # Messages from threads of the decoder's own could lock PyAV up.
                stream.codec_context.thread_count = 1
                count = 0
                for count, frame in enumerate(file.decode(stream), start=1):
                    if frame.is_corrupt:
                        raise ValueError(f"frame {count - 1} is damaged")
                    if complaints:
                        break
                    yield _picture(frame)
        except FFmpegError as error:
            raise ValueError(f"cannot be decoded: {error.strerror}") from error
        if complaints:
            raise ValueError(f"damaged: {complaints[0][2].strip()}")
        if count == 0:
            raise ValueError("it holds no frames")


@contextmanager
def _complaints() -> Iterator[list[tuple[int, str, str]]]:
    """What the decoders, which hide what is damaged as well as they can, say of it meanwhile."""
    level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture() as messages:
            yield messages
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skips)


def _picture(frame: VideoFrame) -> Image.Image:
    if frame.format.name.startswith("gray"):
        image = Image.fromarray(frame.to_ndarray(format="gray"))
    elif any(component.is_alpha for component in frame.format.components):
        image = Image.fromarray(frame.to_ndarray(format="rgba"))
    else:
        image = Image.fromarray(frame.to_ndarray(format="rgb24"))
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image
