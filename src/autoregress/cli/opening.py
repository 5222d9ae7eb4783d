"""Files opened as examples of the kind that a model takes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from autoregress import data as datasets
from autoregress.cli.wording import shortened
from autoregress.data import Data, Shards, VideoFolder
from autoregress.data.formats.images import SUFFIXES as IMAGES
from autoregress.data.formats.images import ImageFolder
from autoregress.data.formats.shards import holds_shards
from autoregress.data.formats.videos import holds_videos
from autoregress.data.sets.published import is_published
from autoregress.data.source import Source
from autoregress.symbols import Symbols


def open_examples(
    path: Path,
    symbols: Symbols,
    *,
    split: str | None,
    stay: bool = False,
    **options: Any,
) -> Source:
    """Examples of the kind that a model takes; clips and shards stay on disk until they are needed.

    Args:
        stay: so do images.
        **options: of clips.
    """
    if holds_shards(path):
        return _shards(path, symbols, split)
    if holds_clips(path, symbols):
        return open_clips(path, symbols, **options)
    shape = symbols.event_shape
    if stay and len(shape) == 3 and holds_images(path):
        levels = max(symbols.levels)
        return ImageFolder(path, size=shape[1:], grey=shape[0] == 1, levels=levels)
    return read_examples(path, symbols, split=split)


def read_examples(path: Path, symbols: Symbols, **options: Any) -> Data:
    """Examples of the kind that a model takes, in memory."""
    if holds_shards(path):
        return _shards(path, symbols, options.get("split")).data()
    shape, compact = symbols.event_shape, symbols.compact
    if len(shape) == 3:
        options["size"] = shape[1:]
        if path.is_dir() or path.suffix.lower() in IMAGES:
            options["grey"] = shape[0] == 1
    levels = compact if isinstance(compact, int) else tuple(compact)
    examples = datasets.read(path, symbols=levels, columns=symbols.columns, **options)
    try:
        symbols.check(examples.x)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return examples


def _shards(path: Path, symbols: Symbols, split: str | None) -> Shards:
    shards = Shards(path, split)
    own = Symbols(shards.event_shape, shards.symbols, shards.columns)
    if own.event_shape != symbols.event_shape:
        raise ValueError(
            f"{path} holds examples {own.event_shape}; this model takes {symbols.event_shape}"
        )
    if (own.levels, own.columns) != (symbols.levels, symbols.columns):
        raise ValueError(
            f"{path} was prepared with symbols {shortened(own.compact)}; this model takes "
            f"{shortened(symbols.compact)}"
        )
    return shards


def open_clips(
    path: Path, symbols: Symbols, *, frames: int | None = None, **options: Any
) -> VideoFolder:
    """The clips of videos as a model takes them, or shorter ones."""
    length, channels, height, width = symbols.event_shape
    if channels not in (1, 3):
        raise ValueError(f"videos have 1 or 3 channels, this model takes {symbols.event_shape}")
    options |= {"frames": frames or length, "size": (height, width), "grey": channels == 1}
    return reported(VideoFolder(path, levels=max(symbols.levels), quiet=False, **options))


def holds_clips(path: Path, symbols: Symbols) -> bool:
    """Whether there are videos; raises ValueError if the model takes no clips."""
    clips = len(symbols.event_shape) == 4
    videos = holds_videos(path, gif=clips)
    if videos and not clips:
        raise ValueError(f"{path} holds videos; this model takes examples {symbols.event_shape}")
    return videos


def holds_images(path: Path) -> bool:
    """Whether it is an image, or a folder that nothing says is of anything else."""
    return (path.is_dir() or path.suffix.lower() in IMAGES) and not is_published(path)


def reported(clips: VideoFolder) -> VideoFolder:
    """The clips, once it was said which files are left out."""
    if clips.skipped:
        print(clips.complaint, file=sys.stderr)
    return clips
