"""MNIST and CIFAR-10 in their published files; nothing is unpickled."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from autoregress.data.conditions import from_labels
from autoregress.data.formats.format import Format, Request, one_number
from autoregress.data.formats.pixels import (
    Losses,
    check_size,
    lost_levels,
    pixels,
    reduce_levels,
    used_values,
)
from autoregress.data.source import Account, Change, Data, Source

MNIST = {"train": "train", "test": "t10k"}
CIFAR10 = {
    "train": tuple(f"data_batch_{n}.bin" for n in range(1, 6)),
    "test": ("test_batch.bin",),
}
CIFAR10_ARCHIVE, CIFAR10_FOLDER = "cifar-10-binary.tar.gz", "cifar-10-batches-bin"
CIFAR10_PICKLED = ("cifar-10-python.tar.gz", "cifar-10-batches-py")
CIFAR10_LABELS = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
CIFAR10_RECORD = 1 + 3 * 32 * 32  # the label, then the red, the green and the blue plane

T = TypeVar("T")


def read_mnist(
    folder: str | Path, split: str = "train", *, levels: int = 256
) -> tuple[Data, Tensor]:
    """Images in the idx files of MNIST, or of a set in the same format, such as Fashion-MNIST.

    Args:
        folder: the folder of train-images-idx3-ubyte, train-labels-idx1-ubyte and the same for
            t10k, each as it is or as .gz.
        split: "train" or "test".
        levels: a value v becomes the symbol ⌊v · levels / 256⌋.

    Returns:
        The images (N, 1, H, W), and their labels (N,) int64.

    Raises:
        ValueError: a file is missing or damaged, or there is no such split.

    Example:
        >>> image = [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 255]  # one white pixel
        >>> np.array(image, np.uint8).tofile("t10k-images-idx3-ubyte")
        >>> np.array([0, 0, 8, 1, 0, 0, 0, 1, 7], np.uint8).tofile("t10k-labels-idx1-ubyte")
        >>> images, labels = ar.data.read_mnist(".", "test")
        >>> images.x.shape, labels.tolist()
        (torch.Size([1, 1, 1, 1]), [7])
    """
    check_size(None, levels)
    stem = _of_split(MNIST, split, "MNIST")
    images = _idx(Path(folder), f"{stem}-images", 3)
    labels = _idx(Path(folder), f"{stem}-labels", 1)
    if len(images) != len(labels):
        raise ValueError(f"{folder}: {len(images)} {split} images have {len(labels)} labels")
    x = reduce_levels(images[:, None], levels)
    return Data(torch.from_numpy(x), levels), torch.from_numpy(labels.astype(np.int64))


def read_cifar10(
    folder: str | Path, split: str = "train", *, levels: int = 256
) -> tuple[Data, Tensor]:
    """Images of the binary version of CIFAR-10.

    Args:
        folder: the folder of data_batch_1.bin to data_batch_5.bin and test_batch.bin, or of the
            archive cifar-10-binary.tar.gz that they come in; or the archive itself.
        split: "train" or "test".
        levels: a value v becomes the symbol ⌊v · levels / 256⌋.

    Returns:
        The images (N, 3, 32, 32), and their labels (N,) int64.

    Raises:
        ValueError: a file is missing or damaged, it is the pickled version, or there is no such
            split.

    Example:
        >>> np.zeros((2, 1 + 3 * 32 * 32), np.uint8).tofile("test_batch.bin")  # black airplanes
        >>> images, labels = ar.data.read_cifar10(".", "test")
        >>> images.x.shape, labels.tolist()
        (torch.Size([2, 3, 32, 32]), [0, 0])
    """
    check_size(None, levels)
    records = []
    for name in _of_split(CIFAR10, split, "CIFAR-10"):
        content = _cifar10_file(Path(folder), name)
        if not content or len(content) % CIFAR10_RECORD:
            raise ValueError(
                f"{folder}: {name} is damaged: its {len(content)} bytes are not a whole number of "
                f"records of {CIFAR10_RECORD}"
            )
        records.append(np.frombuffer(content, np.uint8).reshape(-1, CIFAR10_RECORD))
    whole = np.concatenate(records)
    x = reduce_levels(whole[:, 1:].reshape(-1, 3, 32, 32), levels)
    return Data(torch.from_numpy(x.copy()), levels), torch.from_numpy(whole[:, 0].astype(np.int64))


class Published(Format):
    """The published folder or archive of MNIST or CIFAR-10; the training set by default.

    With the condition "labels" the images are conditioned on their labels.
    """

    holds_what = "MNIST or CIFAR-10"
    names = "MNIST's and CIFAR-10's own files"
    takes = frozenset({"levels", "size", "grey", "condition"})

    def holds(self, path: Path, *, clips: bool) -> bool:
        archive = path.name == CIFAR10_ARCHIVE and path.is_file()
        return archive or _is_mnist(path) or _is_cifar10(path)

    def open(self, path: Path, request: Request) -> Source:
        reading = request.of_shape(3)
        levels = one_number(reading.levels, path)
        check_size(reading.size, levels)
        is_mnist = _is_mnist(path)
        whole, labels = (read_mnist if is_mnist else read_cifar10)(path, request.split or "train")
        images, lost = _scaled(whole.x.numpy(), reading.size, reading.grey)
        lost |= lost_levels(used_values(images), levels)
        account = Account(files=1, changed=[Change(path, *loss) for loss in lost.items()])
        if request.split is None:
            account.remarks.append(f"{path} has the splits {', '.join(MNIST)}: train is read")
        x = torch.from_numpy(reduce_levels(images, levels))
        if reading.condition is None:
            return _noted(Data(x, levels), account)
        if reading.condition != "labels":
            raise ValueError(
                f"the images of {path} can be conditioned on 'labels', not on {reading.condition!r}"
            )
        count = int(labels.max()) + 1
        names = tuple(map(str, range(count))) if is_mnist else CIFAR10_LABELS
        context, names = from_labels(
            [names[n] for n in labels.tolist()], request.labels or names, str(path)
        )
        return _noted(Data(x, levels, context=context, labels=names), account)

    def splits(self, path: Path) -> Sequence[str]:
        return tuple(MNIST)


FORMAT = Published()


def _noted(data: Data, account: Account) -> Data:
    data.account = account
    return data


def _scaled(
    x: np.ndarray, size: tuple[int, int] | None, grey: bool | None
) -> tuple[np.ndarray, Losses]:
    """Images (N, C, H, W) resampled and turned grey or coloured as those of image files are."""
    channels, *own = x.shape[1:]
    grey = bool(channels == 1 if grey is None else grey)
    if size in (None, tuple(own)) and grey == (channels == 1):
        return x, {}
    images, lost = [], {}
    for image in x[:, 0] if channels == 1 else np.moveaxis(x, 1, -1):
        values, losses = pixels(Image.fromarray(image), grey=grey, size=size)
        images.append(values)
        lost |= losses
    return np.stack(images), lost


def _of_split(files: Mapping[str, T], split: str, name: str) -> T:
    if split not in files:
        raise ValueError(f"{name} has the splits {' and '.join(files)}, not {split!r}")
    return files[split]


def _is_mnist(path: Path) -> bool:
    return any(_idx_file(path, f"{stem}-images", 3) for stem in MNIST.values())


def _is_cifar10(path: Path) -> bool:
    inside = (*(name for part in CIFAR10.values() for name in part), CIFAR10_ARCHIVE)
    if any((path / name).is_file() for name in inside) or (path / CIFAR10_FOLDER).is_dir():
        return True
    pickled = path.name in CIFAR10_PICKLED or any(
        (path / name).exists() for name in CIFAR10_PICKLED
    )
    if pickled or all((path / name).is_file() for name in ("data_batch_1", "test_batch")):
        raise ValueError(
            f"{path} is the Python version of CIFAR-10, whose pickles could run any code; take the "
            f"binary version, {CIFAR10_ARCHIVE}, from https://www.cs.toronto.edu/~kriz/cifar.html"
        )
    return False


def _idx_file(folder: Path, stem: str, dims: int) -> Path | None:
    names = [f"{stem}{dot}idx{dims}-ubyte{end}" for dot in "-." for end in ("", ".gz")]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _idx(folder: Path, stem: str, dims: int) -> np.ndarray:
    path = _idx_file(folder, stem, dims)
    if path is None:
        raise ValueError(
            f"{folder} has neither {stem}-idx{dims}-ubyte nor {stem}-idx{dims}-ubyte.gz"
        )
    content = path.read_bytes()
    try:
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        # Two zeros, the type (8: unsigned bytes), the number of dimensions; then their sizes.
        if content[:4] != bytes([0, 0, 8, dims]):
            raise ValueError(f"it does not begin like an idx file of {dims} dimensions")
        shape = np.frombuffer(content, ">u4", dims, 4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dims).reshape(shape).copy()
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def _cifar10_file(path: Path, name: str) -> bytes:
    for folder in (path, path / CIFAR10_FOLDER):
        if (folder / name).is_file():
            return (folder / name).read_bytes()
    archive = path if path.is_file() else path / CIFAR10_ARCHIVE
    if not archive.is_file():
        _is_cifar10(path)  # raises for the Python version
        raise ValueError(f"{path} has neither {name} nor {CIFAR10_ARCHIVE}")
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                if Path(member.name).name == name and (file := tar.extractfile(member)):
                    return file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{archive} is damaged: {error}") from error
    raise ValueError(f"{archive} has no {name}")
