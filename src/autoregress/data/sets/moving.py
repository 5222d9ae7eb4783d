"""Clips of digits that move about a square, drawn as they are asked for."""

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
STEP = 0.1  # of a frame of Moving MNIST, as a share of the way from wall to wall

# From a generator, the number of objects, of frames, and the way (in pixels) from wall to wall to
# the places (objects, frames, 2) of their upper left corners.
Motion = Callable[[np.random.Generator, int, int, int], np.ndarray]


class MovingImages(Source):
    """Clips of square images moving before black; where they overlap the brighter pixel shows.

    Clip i is a function of the seed and of i alone, whatever else is drawn: with a ``count`` of
    millions and one epoch, training never sees the same clip twice.

    Args:
        images: (M, h, h) uint8 symbols.
        levels: number of levels.
        motion: how they move.
        count: N, the number of clips.
        frames, size, objects: T, H = W, and the number of images that move in each.
        seed: of the images and of their motion.

    Raises:
        ValueError: no clips, frames or objects, or images that do not fit.
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
                "the numbers of clips, frames and digits are at least 1, "
                f"not {count}, {frames} and {objects}"
            )
        if size <= images.shape[1]:
            raise ValueError(
                f"digits {images.shape[1]} pixels high need a larger frame to move in than "
                f"{size} pixels"
            )
        super().__init__((frames, 1, size, size), levels)
        self._images, self._motion = images, motion
        self._count, self._objects, self._seed = count, objects, seed

    @property
    def digest(self) -> str:
        """Tells these clips from others: a hash of all that they are made of."""
        settings = (self.event_shape, self.levels, self._count, self._objects, self._seed)
        first = self[torch.arange(1)].numpy()  # in which the motion shows
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
    """scikit-learn's 8 × 8 digits, each moving with a constant velocity and bouncing at the walls.

    Start and velocity are whole numbers, the velocity −1, 0 or 1 pixel a frame in each direction
    and not 0 in both, all equally likely; walls reflect. So two frames of one digit, away from the
    walls, say all about those that follow.

    Args:
        count: N, the number of clips.
        frames, size: T and H = W of the clips.
        digits: number of digits that move in each.
        levels: 2 to 17; a value v of 0…16 becomes the symbol ⌊v · levels / 17⌋.
        split: "train", "valid" or "test": whose digits, in the split of
            :func:`~autoregress.data.digits_splits`, so that no digit is in two of them.
        seed: of all that is random.

    Raises:
        ImportError: scikit-learn is not installed.
        ValueError: settings that make no sense.
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
    """Moving MNIST, generated as by Srivastava et al. (2015, section 4.1) and in their code.

    Theirs: 20 frames of 64 × 64 and two digits, drawn uniformly; a start uniform over the places
    within the walls, a direction uniform in angle, a constant speed of a tenth of the way from
    wall to wall (3.6 pixels) a frame; a digit that would leave is put at the wall, and that part
    of its velocity turned round; the first frame is after the first step; places are cut down to
    whole pixels; the brighter pixel of overlapping digits shows.

    Ours: the order of random draws, so the clips are of the same distribution but not the same.

    Args:
        count: N, the number of clips.
        images: (M, h, h) or (M, 1, h, h) uint8 with values 0…255, such as ``read_mnist`` gives;
            by default scikit-learn's digits, enlarged to 20 × 20 within 28 × 28.
        frames, size: T and H = W of the clips.
        digits: number of digits that move in each.
        levels: 2 to 256; a value v becomes the symbol ⌊v · levels / 256⌋.
        split: "train", "valid" or "test", for the default images.
        seed: of all that is random.

    Raises:
        ImportError: no images, and scikit-learn is not installed.
        ValueError: settings that make no sense, or images of another shape.
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
    """As MNIST has them: 20 × 20 in the midst of 28 × 28, 0 to 255."""
    grey = Image.fromarray((digit.astype(np.uint16) * 255 // 16).astype(np.uint8))
    return np.pad(np.asarray(grey.resize((20, 20), Image.Resampling.BICUBIC)), 4)


def _constant_motion(rng: np.random.Generator, objects: int, frames: int, way: int) -> np.ndarray:
    start = rng.integers(way + 1, size=(objects, 1, 2))
    velocities = [(v, u) for v in _speeds() for u in _speeds() if v or u]
    velocity = np.array(velocities)[rng.integers(len(velocities), size=objects)][:, None]
    # On a line of twice the length, folded in the middle, nothing bounces.
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
        place = place + step * velocity
        velocity = np.where((place <= 0) | (place >= 1), -velocity, velocity)
        place = places[:, t] = place.clip(0, 1)
    return (way * places).astype(np.int64)
