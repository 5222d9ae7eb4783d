"""Files and bundled sets as integer symbols, and back."""

from autoregress.data.formats.images import picture
from autoregress.data.formats.shards import Shards, write_shards
from autoregress.data.formats.videos import VideoFolder
from autoregress.data.open import check_writable, read, write
from autoregress.data.sets.digits import digits, digits_splits
from autoregress.data.sets.moving import MovingImages, bouncing_digits, moving_mnist
from autoregress.data.sets.published import read_cifar10, read_mnist
from autoregress.data.source import Data

__all__ = [
    "Data",
    "MovingImages",
    "Shards",
    "VideoFolder",
    "bouncing_digits",
    "check_writable",
    "digits",
    "digits_splits",
    "moving_mnist",
    "picture",
    "read",
    "read_cifar10",
    "read_mnist",
    "write",
    "write_shards",
]
