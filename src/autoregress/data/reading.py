"""The options for reading files as examples; this module imports quickly."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from autoregress.brief import Brief

MAX_CATEGORIES = 256
DEFAULT_FRAMES = 16
MOST_LEVELS = 2**31


@dataclass(frozen=True, repr=False)
class Reading(Brief):
    """How files are read as examples.

    Args:
        levels: Number of levels, one for all dimensions or one for each. The 256 values of an
            image or a video are reduced to it (2 makes black and white); the default for an array
            is its largest number plus one. If given, the cells of a table are read as symbols,
            not as labels.
        size: Height and width to which images or videos are cropped and scaled; by default their
            own, but videos that differ in size or exceed 64 by 64 become 64 by 64. If given, the
            rows of an array are read as images.
        grey: Read images or videos in grey or in colour; by default as they are.
        frames: Number of frames of a clip; by default 16. If given, a .gif is read as a video.
        stride: Number of video frames from one frame of a clip to the next.
        step: Number of video frames from the start of one clip to that of the next; by default
            clips do not overlap.
        cache: Folder for decoded videos; by default one in ~/.cache.
        labels_from: Further tables, such as the test table, whose labels are added; their rows
            are not used.
        max_categories: Largest number of distinct values in a column of a table.
        condition: Condition of the model: the name of a column of a table or of an array in an
            npz file (with the array "train", train_NAME is tried before NAME), "folder" for
            images in one folder per class, or "labels" for the labels of MNIST and CIFAR-10.

    Example:
        >>> ar.data.Reading(levels=16, size=(32, 32)).given
        ['levels', 'size']
    """

    levels: int | tuple[int, ...] | None = None
    size: tuple[int, int] | None = None
    grey: bool | None = None
    frames: int | None = None
    stride: int = 1
    step: int | None = None
    cache: Path | None = None
    labels_from: tuple[Path, ...] = ()
    max_categories: int = MAX_CATEGORIES
    condition: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for invalid options."""
        levels = self.levels if isinstance(self.levels, tuple) else (self.levels or 2,)
        if not levels or min(levels) < 2 or max(levels) > MOST_LEVELS or self.levels == 0:
            raise ValueError(f"levels must be numbers from 2 to {MOST_LEVELS:,}, got {self.levels}")
        if self.size is not None and min(self.size) < 1:
            raise ValueError(f"size must be a height and a width of at least 1, got {self.size}")
        for name in ("frames", "stride", "step", "max_categories"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")

    @property
    def given(self) -> list[str]:
        """The names of the options that differ from their defaults, in order."""
        return [f.name for f in fields(self) if getattr(self, f.name) != f.default]
