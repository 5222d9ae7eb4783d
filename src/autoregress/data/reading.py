"""How files are read as examples; nothing here takes time to import."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

MAX_CATEGORIES = 256
DEFAULT_FRAMES = 16


@dataclass(frozen=True)
class Reading:
    """How files are read as examples.

    Args:
        levels: Number of levels, of all dimensions or of each: those to which the 256 of an image
            or a video are reduced (2 makes it black and white), or those of an array, by default
            one more than its largest number. With it the cells of a table are such numbers.
        size: Height and width to which images or videos are cropped and scaled; by default those
            they have, of videos 64 by 64 at most. With it the rows of an array are images too.
        grey: Read images or videos as grey, or in colour; by default as they are.
        frames: Number of frames of a clip; by default 16. With it a .gif is a video too.
        stride: Number of frames of a video from one frame of a clip to the next.
        step: Number of frames of a video from one clip to the next; by default clips do not
            overlap.
        cache: Folder that keeps videos decoded; by default one below ~/.cache.
        labels_from: Further tables whose labels count too, such as the test table; their rows
            are not used.
        max_categories: Largest number of distinct values that a column of a table may have.
        condition: What the model is conditioned on: the name of a column of a table or of an
            array in the .npz (the array "train" has "train_NAME" before NAME), "folder" for
            images in a folder for each class, "labels" for those of MNIST and CIFAR-10.
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

    @property
    def given(self) -> list[str]:
        """The options that were given, in order."""
        return [f.name for f in fields(self) if getattr(self, f.name) != f.default]
