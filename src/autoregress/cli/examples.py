"""The options that say which examples there are, and how they are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autoregress import data as datasets
from autoregress.cli.opening import holds_images, open_examples, reported
from autoregress.data import Data, Shards, VideoFolder
from autoregress.data.formats.arrays import holds_split
from autoregress.data.formats.images import ImageFolder
from autoregress.data.formats.shards import holds_part, holds_shards
from autoregress.data.formats.tables import MAX_CATEGORIES
from autoregress.data.formats.videos import DEFAULT_FRAMES, holds_videos
from autoregress.data.source import Source, held_out
from autoregress.symbols import Symbols


@dataclass(frozen=True)
class Examples:
    """What to train on.

    Args:
        data: A .npy, .npz (file.npz:name is one of its arrays) or .csv file, a folder of images
            or of videos, MNIST's or CIFAR-10's own files, or a folder of shards (folder:name is
            one split of them).
        valid: Validation examples, for early stopping. By default the array "valid" of the
            .npz or the shards of that name, or else rows, or whole videos, held out of the data.
        holdout: The fraction of rows, or of videos, held out for validation if there are no
            others.
        symbols: Number of levels of all dimensions, or of each; by default one more than the
            largest number in the array. A table's come from its labels.
        labels_from: Further tables whose labels count too, such as the test table; their rows
            are not used.
        max_categories: The most distinct values that a column of a table may have.
        size: Height and width to which images or videos are cropped and scaled; by default those
            they have, of videos 64 by 64 at most. With it the rows of an array are images too.
        grey: Read images or videos as grey, or in colour; by default as they are.
        levels: Number of levels to which the 256 of an image or a video are reduced; 2 makes it
            black and white.
        frames: Frames of a clip, of videos; by default 16. With it a .gif is a video too.
        stride: Frames of a video from one frame of a clip to the next.
        step: Frames of a video from one clip to the next; by default clips do not overlap.
        cache: The folder that keeps videos decoded; by default one below ~/.cache.
    """

    data: Path
    valid: Path | None = None
    holdout: float = 0.1
    symbols: tuple[int, ...] = ()
    labels_from: tuple[Path, ...] = ()
    max_categories: int = MAX_CATEGORIES
    size: tuple[int, int] | None = None
    grey: bool | None = None
    levels: int | None = None
    frames: int | None = None
    stride: int = 1
    step: int | None = None
    cache: Path | None = None

    def read(self, seed: int, *, stay: bool = False, workers: int = 1) -> tuple[Source, Source]:
        """The training and the validation examples; the rest as :meth:`of` says."""
        train = self.of("train", stay=stay, workers=workers)
        beside = holds_split(self.data, "valid") or holds_part(self.data, "valid")
        if valid := self.valid or (self.data if beside else None):
            kind = Symbols(train.event_shape, train.symbols, train.columns)
            options = {"stride": self.stride, "cache": self.cache, "workers": workers}
            return train, open_examples(valid, kind, split="valid", stay=stay, **options)
        if isinstance(train, VideoFolder) or (isinstance(train, Data) and not stay):
            return train.split(self.holdout, seed)
        return held_out(train, self.holdout, seed)

    def of(
        self, split: str, *, stay: bool = False, workers: int = 1
    ) -> Data | VideoFolder | ImageFolder | Shards:
        """The examples of a split, or all if the data has no splits.

        Args:
            stay: images and the array of an .npy stay on disk, as videos and shards always do.
            workers: processes that decode videos.
        """
        levels = max(self.symbols, default=256) if self.levels is None else self.levels
        symbols = self.symbols[0] if len(self.symbols) == 1 else self.symbols or None
        if holds_shards(self.data):
            shards = Shards(self.data, split)
            shards.require(
                frames=self.frames,
                size=self.size,
                grey=self.grey,
                levels=symbols if self.levels is None else self.levels,
                stride=self.stride,
                step=self.step,
                labels_from=self.labels_from,
                max_categories=self.max_categories,
            )
            return shards
        is_table = self.data.suffix.lower() == ".csv"
        if self.labels_from and not is_table:
            raise ValueError(f"{self.data} is no .csv file, so it takes no labels from others")
        if holds_videos(self.data, gif=self.frames is not None):
            clips = VideoFolder(
                self.data,
                frames=DEFAULT_FRAMES if self.frames is None else self.frames,
                size=self.size,
                stride=self.stride,
                step=self.step,
                grey=self.grey,
                levels=levels,
                cache=self.cache,
                workers=workers,
                quiet=False,
            )
            return reported(clips)
        if stay and self.frames is None and holds_images(self.data):
            return ImageFolder(self.data, size=self.size, grey=self.grey, levels=levels)
        tables = [p for p in (self.valid, *self.labels_from) if p and p.suffix == ".csv"]
        return datasets.read(
            self.data,
            split=split,
            symbols=symbols,
            labels_from=tables if is_table else (),
            max_categories=self.max_categories,
            size=self.size,
            grey=self.grey,
            levels=self.levels,
            frames=self.frames,
            stride=self.stride,
            step=self.step,
            mapped=stay,
        )
