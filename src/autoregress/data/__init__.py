"""Files and bundled sets as integer symbols, and back."""

from autoregress.data.bouncing import MovingImages, bouncing_digits, moving_mnist
from autoregress.data.bundled import digits, digits_splits
from autoregress.data.dataset import Data
from autoregress.data.files import check_writable, read, write
from autoregress.data.images import picture
from autoregress.data.published import read_cifar10, read_mnist
from autoregress.data.shards import Shards, write_shards
from autoregress.data.videos import VideoFolder

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
