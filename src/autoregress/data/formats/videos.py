"""Video files as clips of integer symbols, decoded once and then read from a cache on disk."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autoregress.data.formats.animations import write_gif, write_mkv, write_mp4
from autoregress.data.formats.decoding import (
    cache_folder,
    decoded,
    for_each,
    mapped,
    size_and_grey,
)
from autoregress.data.formats.ffmpeg import pyav
from autoregress.data.formats.folders import files_below, left_out, of_split, splits_of
from autoregress.data.formats.format import Extra, Format, Request, one_number
from autoregress.data.formats.pixels import check_size, lost_levels, reduce_levels
from autoregress.data.formats.pixels import suffixes as image_suffixes
from autoregress.data.reading import DEFAULT_FRAMES
from autoregress.data.source import Account, Change, Index, Source, hash_files
from autoregress.symbols import Symbols

# PyAV could not tell which of its containers are meant for sound alone.
SUFFIXES = {
    *(".3g2", ".3gp", ".amv", ".apng", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif"),
    *(".h264", ".hevc", ".ivf", ".m1v", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mk3d"),
    *(".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogv", ".qt"),
    *(".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".y4m"),
}
LARGEST = 64


class VideoFolder(Source):
    """Clips of the video files below a folder, or of one file, for ``fit`` and ``evaluate``.

    Frames i, i + stride, … of a file make a clip, for i = 0, step, 2 step, …, as long as the file
    has enough frames. A value v of 0…255 becomes the symbol ⌊v · levels / 256⌋.

    A file is decoded once, on first use, to an array uint8 (frames, C, H, W) on disk; memory
    holds only the requested clips. A file is decoded again if its path, size or modification time
    has changed.

    Frames are read as they are meant to be seen: turned and mirrored as the file says, laid over
    white if they are transparent, and with 8 bits a value.

    Files that are damaged or too short for a clip are left out and listed in ``skipped``. A file
    counts as damaged if it ends early or any frame of it cannot be decoded right. Files that the
    clips do not fully restore are noted in ``account.changed``.

    Args:
        path: a folder, or a file: mp4, mkv, avi, webm, mov, mpg, wmv, (animated) gif and others.
        frames: T, the length of a clip.
        size: (H, W) of the frames: the centre is cropped to that aspect ratio and resampled
            (Lanczos). None: the files' own size if it is the same for all and at most 64 × 64,
            else 64 × 64.
        stride: number of frames of the file from one frame of a clip to the next.
        step: number of frames of the file from the start of one clip to that of the next; by
            default clips do not overlap.
        grey: C = 1 instead of 3. None: grey if every file is.
        levels: 2 to 256.
        cache: the folder of the decoded arrays; by default ``autoregress/clips`` in
            ``$XDG_CACHE_HOME``, or in ``~/.cache``. It may be deleted whenever it is not in use.
        workers: number of files decoded at once, in separate processes if above 1; clips and
            their order do not depend on it.
        quiet: show no progress on standard error.

    Attributes:
        files: the files that the clips come from.

    Raises:
        ValueError: invalid settings, or no readable clip; the message gives the reasons.

    Example:
        >>> clip = ar.data.bouncing_digits(1, frames=8, levels=2).data().x
        >>> _ = ar.data.write("clip.mkv", clip, 2)
        >>> len(ar.data.VideoFolder("clip.mkv", frames=4, levels=2, cache="cache"))
        2
    """

    streamed = True

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
        given_step, step = step, frames * stride if step is None else step
        if min(frames, stride, step) < 1:
            raise ValueError(
                "frames, stride and step of clips must be at least 1, "
                f"not {frames}, {stride} and {step}"
            )
        check_size(size, levels)
        path = Path(path)
        if not path.exists():
            raise ValueError(f"no such file or folder: {path}")
        paths, remarks = [path], []
        if path.is_dir():
            paths = files_below(path, SUFFIXES)
            remarks = left_out(path, SUFFIXES, "videos")
        if not paths:
            raise ValueError("; ".join([f"{path} holds no videos, such as .mp4 or .mkv", *remarks]))

        folder = cache_folder(cache)
        account = Account("videos", remarks=remarks)
        if size is None or grey is None:
            size, grey = _size_and_grey(paths, size, grey, folder, account)
            bad = {file for file, _ in account.skipped}
            paths = [file for file in paths if file not in bad]
        super().__init__((frames, 1 if grey else 3, *size), levels)
        self.account = account
        self._levels, self._stride = levels, stride
        self.files: list[Path] = []
        self._arrays: list[Path] = []
        starts: list[np.ndarray] = []
        decode = partial(decoded, size=size, grey=grey, cache=folder)
        for file, found in for_each(decode, paths, workers, quiet):
            if isinstance(found, ValueError):
                account.skipped.append((file, str(found)))
                continue
            length = len(mapped(found.array))
            if length < self._span:
                needed = f"a clip needs {self._span}"
                account.skipped.append((file, f"too short: it has {length} frames, {needed}"))
                continue
            begin = np.arange(0, length - self._span + 1, step)
            starts.append(np.stack([np.full_like(begin, len(self.files)), begin], axis=1))
            self.files.append(file)
            self._arrays.append(found.array)
            lost = found.lost | lost_levels(np.isin(np.arange(256), found.values), levels)
            shown = np.zeros(length, bool)
            for t in range(frames):
                shown[begin + t * stride] = True
            if not shown.all():
                lost["cut into clips that leave some frames out"] = (
                    "frames" if given_step is None else "step"
                )
            account.changed += [Change(file, *loss) for loss in lost.items()]
        account.files = len(self.files)
        if not starts:
            raise ValueError(f"{path} holds no clip that can be read: {self.complaint}")
        self._clips = np.concatenate(starts)  # (N, 2): the file's number, the clip's first frame

    @property
    def _span(self) -> int:
        """Number of frames of a file from the first of a clip to its last."""
        return (self.event_shape[0] - 1) * self._stride + 1

    @property
    def digest(self) -> str:
        """A hash of the decoded files and of the clips' places in them, in order."""
        kind = (self.event_shape, self.levels, self._stride, self._clips.tolist())
        return hash_files(self._arrays, *kind)

    def __len__(self) -> int:
        return len(self._clips)

    def _rows(self, index: Tensor) -> Tensor:
        x = np.empty((len(index), *self.event_shape), np.uint8)
        for clip, i in zip(x, index.tolist(), strict=True):
            file, start = self._clips[i]
            clip[:] = mapped(self._arrays[file])[start : start + self._span : self._stride]
        return torch.from_numpy(reduce_levels(x, self._levels))

    def split(self, fraction: float, seed: int) -> tuple[VideoFolder, VideoFolder]:
        """Splits the clips in two: those kept, and about a ``fraction`` of them held out.

        Clips of one file are alike, so each part has whole files, at least one: random ones of the
        right length. The choice is a function of the seed, the fraction and the files' numbers of
        clips. A single file is cut in time: its last clips are held out, and earlier ones that
        overlap them are dropped.

        Raises:
            ValueError: the fraction is not between 0 and 1, or a single file has too few clips
                to be cut.
        """
        kept, held = self._parts(fraction, seed)
        return self.subset(kept), self.subset(held)

    def subset(self, index: Index) -> VideoFolder:
        """Some of the clips, with the files that they come from."""
        clips = self._clips[self._index(index).numpy()]
        part = copy.copy(self)
        which, renumbered = np.unique(clips[:, 0], return_inverse=True)
        part.files = [self.files[f] for f in which]
        part._arrays = [self._arrays[f] for f in which]
        part._clips = np.stack([renumbered, clips[:, 1]], axis=1)
        return part

    def _parts(self, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
        if not 0 < fraction < 1:
            raise ValueError(f"the fraction to hold out is between 0 and 1, not {fraction}")
        file, start = torch.from_numpy(self._clips).T
        if len(self.files) > 1:
            clips = torch.bincount(file).tolist()
            order = torch.randperm(len(clips), generator=torch.Generator().manual_seed(seed))
            goal, total, chosen = fraction * len(self), 0, list[int]()
            for number in order.tolist():
                nearer = abs(total + clips[number] - goal) < abs(total - goal)
                if nearer and len(chosen) < len(clips) - 1:
                    chosen.append(number)
                    total += clips[number]
            held = torch.isin(file, torch.tensor(chosen or [clips.index(min(clips))]))
            return (~held).nonzero().flatten(), held.nonzero().flatten()
        count = max(1, round(fraction * len(self)))
        first = start[-count]
        kept = start + self._span <= first
        if not kept.any():
            raise ValueError(
                f"{self.files[0]} is a single file and too short ({len(self)} clips) to hold "
                "some out; give more files, or separate ones for validation"
            )
        return kept.nonzero().flatten(), (start >= first).nonzero().flatten()


class Videos(Format):
    """A video or a folder of videos (:class:`VideoFolder`); a .gif only if clips are asked for.

    An .mkv holds one clip, without loss; .gif and .mp4 show clips side by side.
    """

    holds_what = "videos"
    names = "videos and folders of them"
    takes = frozenset({"levels", "size", "grey", "frames", "stride", "step", "cache"})
    writes = (".gif", ".mp4", ".mkv")

    def holds(self, path: Path, *, clips: bool) -> bool:
        return holds_videos(path, gif=clips)

    def open(self, path: Path, request: Request) -> Source:
        if request.like is not None:
            shape = request.like.event_shape
            if len(shape) != 4:
                raise ValueError(f"{path} holds videos; this model takes examples {shape}")
            if shape[1] not in (1, 3):
                raise ValueError(f"videos have 1 or 3 channels, this model takes {shape}")
        reading = request.of_shape(4)
        folder, remarks = of_split(path, request.split)
        videos = VideoFolder(
            folder,
            frames=DEFAULT_FRAMES if reading.frames is None else reading.frames,
            size=reading.size,
            stride=reading.stride,
            step=reading.step,
            grey=reading.grey,
            levels=one_number(reading.levels, path),
            cache=reading.cache,
            workers=request.workers,
            quiet=request.quiet,
        )
        videos.account.remarks += remarks
        return videos

    def splits(self, path: Path) -> Sequence[str]:
        return list(splits_of(path))

    def check_installed(self, suffix: str) -> None:
        if suffix != ".gif":
            pyav()

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
        check_rate(path, rate)
        match path.suffix.lower():
            case ".mkv":
                return write_mkv(path, x, symbols, rate=rate)
            case ".mp4":
                write_mp4(path, x, symbols, rate=rate)
            case _:
                write_gif(path, x, symbols, rate=rate)
        return [path]


FORMAT = Videos()


def check_rate(path: Path, rate: int) -> None:
    """Raises ValueError for a number of frames a second that a file cannot have."""
    suffix = path.suffix.lower()
    if suffix not in FORMAT.writes:
        raise ValueError(f"{path}: a rate of frames is for {', '.join(FORMAT.writes)} files only")
    most = 100 if suffix == ".gif" else 1000  # a GIF counts hundredths of a second
    if not 1 <= rate <= most:
        raise ValueError(f"{path} can have 1 to {most} frames a second, not {rate}")


def holds_videos(path: Path, *, gif: bool = False) -> bool:
    """Whether a path is a video file, or a folder that holds any.

    Args:
        gif: take a .gif for a video instead of an image.

    Raises:
        ValueError: a folder holds both videos and images.
    """
    images = image_suffixes()
    videos = SUFFIXES if gif else SUFFIXES - images
    if not path.is_dir():
        return path.suffix.lower() in videos and path.is_file()
    found = files_below(path, videos)
    if found and (images := files_below(path, images - SUFFIXES)):
        raise ValueError(
            f"{path} holds both videos ({found[0].name}) and images ({images[0].name}); keep each "
            "kind in a folder of its own"
        )
    return bool(found)


def _size_and_grey(
    paths: list[Path],
    size: tuple[int, int] | None,
    grey: bool | None,
    cache: Path,
    account: Account,
) -> tuple[tuple[int, int], bool]:
    """The size and colour of clips, where not given, from the first frame of each file.

    Files without a readable frame are added to those skipped.
    """
    greys, sizes = set[bool](), set[tuple[int, int]]()
    for path in paths:
        try:
            of_file, is_grey = size_and_grey(path, cache)
        except ValueError as error:
            account.skipped.append((path, str(error)))
            continue
        greys.add(is_grey)
        sizes.add(of_file)
    if size is None:
        one = sizes.pop() if len(sizes) == 1 else None
        size = one if one and max(one) <= LARGEST else (LARGEST, LARGEST)
    return size, greys == {True} if grey is None else grey
