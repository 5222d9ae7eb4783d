"""Clips of digits that move about a square, generated on demand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from autoregress.data.formats.pixels import reduce_levels
from autoregress.data.sets.digits import digits_splits
from autoregress.data.source import Source

SPLITS = ("train", "valid", "test")
FASTEST = 1
STEP = 0.1  # a frame in Moving MNIST, as a share of the distance from wall to wall

# Maps a generator, the numbers of objects and of frames, and the distance (in pixels) from wall to
# wall to the places (objects, frames, 2) of the objects' upper left corners.
Motion = Callable[[np.random.Generator, int, int, int], np.ndarray]


class MovingImages(Source):
    """Clips of square images moving on black; where they overlap, the brighter pixel shows.

    Clip i is a function of the seed and of i alone, whatever else is drawn: with a ``count`` of
    millions and one epoch, training never sees the same clip twice.

    Args:
        images: (M, h, h) uint8 symbols.
        levels: number of levels.
        motion: the function that draws their paths.
        count: N, the number of clips.
        frames, size, objects: T, H = W, and the number of moving images in each clip.
        seed: seed of the choice of images and of their motion.

    Raises:
        ValueError: no clips, frames or objects, or images that do not fit.

    Example:
        >>> clips = ar.data.bouncing_digits(100, frames=6)
        >>> isinstance(clips, ar.data.MovingImages), clips[0].shape
        (True, torch.Size([6, 1, 16, 16]))
    """

    streamed = True

    def __init__(
        self,
        images: np.ndarray,
        levels: int,
        motion: Motion,
        *,
        count: int,
        frames: int,
        size: int,
        objects: int,
        seed: int,
    ) -> None:
        if min(count, frames, objects) < 1:
            raise ValueError(
                "the numbers of clips, frames and digits must be at least 1, "
                f"not {count}, {frames} and {objects}"
            )
        if size <= images.shape[1]:
            raise ValueError(
                f"digits {images.shape[1]} pixels high need a frame of more than "
                f"{size} pixels to move in"
            )
        super().__init__((frames, 1, size, size), levels)
        self._images, self._motion = images, motion
        self._count, self._objects, self._seed = count, objects, seed

    @property
    def digest(self) -> str:
        """A hash of everything that determines the clips."""
        settings = (self.event_shape, self.levels, self._count, self._objects, self._seed)
        first = self[torch.arange(1)].numpy()  # stands for the motion
        known_by = repr(settings).encode() + self._images.tobytes() + first.tobytes()
        return hashlib.sha256(known_by).hexdigest()

    def __len__(self) -> int:
        return self._count

    def _rows(self, index: Tensor) -> Tensor:
        frames, _, size, _ = self.event_shape
        x = np.zeros((len(index), *self.event_shape), np.uint8)
        side = self._images.shape[1]
        for clip, i in zip(x, index.tolist(), strict=True):
            rng = np.random.default_rng((self._seed, i))
            chosen = self._images[rng.integers(len(self._images), size=self._objects)]
            places = self._motion(rng, self._objects, frames, size - side)
            for image, path in zip(chosen, places, strict=True):
                for frame, (top, left) in zip(clip, path, strict=True):
                    behind = frame[0, top : top + side, left : left + side]
                    np.maximum(behind, image, out=behind)
        return torch.from_numpy(x)


def bouncing_digits(
    count: int,
    *,
    frames: int = 8,
    size: int = 16,
    digits: int = 1,
    levels: int = 17,
    split: str = "train",
    seed: int = 0,
) -> MovingImages:
    """scikit-learn's 8 × 8 digits, each moving at constant velocity and bouncing off the walls.

    Start and velocity are whole numbers; the velocity is −1, 0 or 1 pixel a frame in each
    direction and not 0 in both, all equally likely. So two frames of one digit, away from the
    walls, determine all that follow.

    Args:
        count: N, the number of clips.
        frames, size: T and H = W of the clips.
        digits: number of digits that move in each clip.
        levels: 2 to 17; a value v of 0…16 becomes the symbol ⌊v · levels / 17⌋.
        split: "train", "valid" or "test": the part of :func:`~autoregress.data.digits_splits`
            that the digits are from, so that no digit is in two splits.
        seed: seed of all that is random.

    Raises:
        ImportError: scikit-learn is not installed.
        ValueError: invalid settings.

    Example:
        >>> ar.data.bouncing_digits(100, frames=8, digits=2)[:5].shape
        torch.Size([5, 8, 1, 16, 16])
    """
    if not 2 <= levels <= 17:
        raise ValueError(f"bouncing digits have 2 to 17 levels, not {levels}")
    images = _bundled(split).astype(np.uint16) * levels // 17
    return MovingImages(
        images.astype(np.uint8),
        levels,
        _constant_motion,
        count=count,
        frames=frames,
        size=size,
        objects=digits,
        seed=seed,
    )


def moving_mnist(
    count: int,
    *,
    images: np.ndarray | Tensor | None = None,
    frames: int = 20,
    size: int = 64,
    digits: int = 2,
    levels: int = 256,
    split: str = "train",
    seed: int = 0,
) -> MovingImages:
    """Moving MNIST, generated as by Srivastava et al. (arXiv 1502.04681, 4.1) and in their code.

    As theirs: 20 frames of 64 × 64 and two digits, drawn uniformly; a start uniform over the
    places within the walls, a direction uniform in angle, a constant speed of a tenth of the
    distance from wall to wall (3.6 pixels) a frame; a digit that would leave is put at the wall,
    and that component of its velocity reversed; the first frame is after the first step; places
    are rounded down to whole pixels; the brighter pixel of overlapping digits shows.

    Unlike theirs: the order of random draws, so the clips have the same distribution but are not
    the same clips.

    Args:
        count: N, the number of clips.
        images: (M, h, h) or (M, 1, h, h) uint8 with values 0…255, such as ``x`` of the data that
            ``read_mnist`` gives; by default scikit-learn's digits, enlarged to 20 × 20 within
            28 × 28.
        frames, size: T and H = W of the clips.
        digits: number of digits that move in each clip.
        levels: 2 to 256; a value v becomes the symbol ⌊v · levels / 256⌋.
        split: "train", "valid" or "test", for the default images.
        seed: seed of all that is random.

    Raises:
        ImportError: no images are given, and scikit-learn is not installed.
        ValueError: invalid settings, or images of another shape.

    Example:
        >>> digits = np.zeros((10, 28, 28), np.uint8)  # such as those of read_mnist
        >>> ar.data.moving_mnist(4, images=digits)[0].shape
        torch.Size([20, 1, 64, 64])
    """
    if not 2 <= levels <= 256:
        raise ValueError(f"Moving MNIST has 2 to 256 levels, not {levels}")
    if images is None:
        images = np.stack([_enlarged(image) for image in _bundled(split)])
    values = images.numpy() if isinstance(images, Tensor) else images
    values = values[:, 0] if values.ndim == 4 and values.shape[1] == 1 else values
    if values.dtype != np.uint8 or values.ndim != 3 or values.shape[1] != values.shape[2]:
        raise ValueError(
            f"the images of Moving MNIST are uint8 (M, h, h), not {values.dtype} {values.shape}"
        )
    return MovingImages(
        reduce_levels(values, levels),
        levels,
        partial(_motion_of_moving_mnist, STEP),
        count=count,
        frames=frames,
        size=size,
        objects=digits,
        seed=seed,
    )


def _bundled(split: str) -> np.ndarray:
    """(M, 8, 8) uint8, 0 to 16."""
    if split not in SPLITS:
        raise ValueError(f"the digits' splits are {', '.join(SPLITS)}, not {split!r}")
    return digits_splits()[SPLITS.index(split)].x[:, 0].numpy()


def _enlarged(digit: np.ndarray) -> np.ndarray:
    """A digit in MNIST's format: 20 × 20 in the centre of 28 × 28, 0 to 255."""
    grey = Image.fromarray((digit.astype(np.uint16) * 255 // 16).astype(np.uint8))
    return np.pad(np.asarray(grey.resize((20, 20), Image.Resampling.BICUBIC)), 4)


def _constant_motion(rng: np.random.Generator, objects: int, frames: int, way: int) -> np.ndarray:
    start = rng.integers(way + 1, size=(objects, 1, 2))
    velocities = [(v, u) for v in _speeds() for u in _speeds() if v or u]
    velocity = np.array(velocities)[rng.integers(len(velocities), size=objects)][:, None]
    # Bouncing is moving around a loop of twice the length, folded in the middle.
    unfolded = (start + velocity * np.arange(frames)[:, None]) % (2 * way)
    return np.minimum(unfolded, 2 * way - unfolded)


def _speeds() -> range:
    return range(-FASTEST, FASTEST + 1)


def _motion_of_moving_mnist(
    step: float, rng: np.random.Generator, objects: int, frames: int, way: int
) -> np.ndarray:
    place = rng.random((objects, 2))
    angle = rng.random(objects) * 2 * np.pi
    velocity = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    places = np.empty((objects, frames, 2))
    for t in range(frames):
        place, velocity = advanced(place, velocity, step)
        places[:, t] = place
    return (way * places).astype(np.int64)


def advanced(
    place: np.ndarray, velocity: np.ndarray, step: float = STEP
) -> tuple[np.ndarray, np.ndarray]:
    """Places and velocities (…, 2) a frame later, where 0 and 1 are the walls."""
    place = place + step * velocity
    return place.clip(0, 1), np.where((place <= 0) | (place >= 1), -velocity, velocity)
