"""The files that MNIST and CIFAR-10 are published in, and what is wrong with them."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from autoregress.data import open, read, read_cifar10, read_mnist
from autoregress.symbols import Symbols


def idx(values: np.ndarray) -> bytes:
    sizes = b"".join(n.to_bytes(4, "big") for n in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes()


def mnist(folder: Path, *, packed=False, dash="-") -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    made = {}
    for split, stem, n in (("train", "train", 7), ("test", "t10k", 4)):
        images = rng.integers(0, 256, (n, 6, 5), np.uint8)
        labels = rng.integers(0, 10, n, np.uint8)
        for values, kind in ((images, "images"), (labels, "labels")):
            path = folder / f"{stem}-{kind}{dash}idx{values.ndim}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(idx(values)) if packed else idx(values))
        made[split] = images, labels
    return made


def cifar10() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images and labels of each of its files."""
    rng = np.random.default_rng(1)
    names = [*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]
    images, labels = (3, 3, 32, 32), 3
    return {
        name: (rng.integers(0, 256, images, np.uint8), rng.integers(0, 10, labels, np.uint8))
        for name in names
    }


def binary(images: np.ndarray, labels: np.ndarray) -> bytes:
    return b"".join(bytes([k]) + image.tobytes() for image, k in zip(images, labels, strict=True))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dash", ["-", "."])
def test_mnist(tmp_path, packed, dash):
    made = mnist(tmp_path, packed=packed, dash=dash)
    for split, (images, labels) in made.items():
        data, of = read_mnist(tmp_path, split)
        assert data.levels == 256
        assert data.x.dtype == torch.uint8
        assert np.array_equal(data.x, images[:, None])
        assert of.tolist() == labels.tolist()
        assert of.dtype == torch.int64
        assert torch.equal(read(tmp_path, split=split).x, data.x)
    images = made["train"][0]
    assert np.array_equal(read(tmp_path).x, images[:, None])
    for bits in (read(tmp_path, levels=2), read(tmp_path, levels=(2,))):
        assert bits.levels == 2
        assert np.array_equal(bits.x, images[:, None] >= 128)
    small = read(tmp_path, split="test", size=(3, 3), grey=False, levels=17)
    assert small.x.shape == (4, 3, 3, 3)
    fitted = ImageOps.fit(
        Image.fromarray(made["test"][0][2]).convert("RGB"), (3, 3), Image.Resampling.LANCZOS
    )
    expected = np.asarray(fitted).astype(int).transpose(2, 0, 1) * 17 // 256
    assert small.x[2].tolist() == expected.tolist()


def test_cifar10(tmp_path):
    made = cifar10()
    (tmp_path / "files").mkdir()
    (tmp_path / "unpacked" / "cifar-10-batches-bin").mkdir(parents=True)
    archive = tmp_path / "packed" / "cifar-10-binary.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in made.items():
            (tmp_path / "files" / name).write_bytes(binary(*content))
            (tmp_path / "unpacked" / "cifar-10-batches-bin" / name).write_bytes(binary(*content))
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(binary(*content))
            tar.addfile(member, io.BytesIO(binary(*content)))
    train = np.concatenate([made[f"data_batch_{n}.bin"][0] for n in range(1, 6)])
    labels = np.concatenate([made[f"data_batch_{n}.bin"][1] for n in range(1, 6)])
    for path in (tmp_path / "files", tmp_path / "unpacked", archive.parent, archive):
        data, of = read_cifar10(path)
        assert np.array_equal(data.x, train)
        assert of.tolist() == labels.tolist()
        assert np.array_equal(read_cifar10(path, "test")[0].x, made["test_batch.bin"][0])
        assert torch.equal(read(path).x, data.x)
        assert np.array_equal(read(path, split="test").x, made["test_batch.bin"][0])
    assert np.array_equal(read(archive, levels=8).x, train >> 5)
    assert np.array_equal(read_cifar10(archive, levels=8)[0].x, train >> 5)
    assert read(archive, grey=True, size=(16, 16)).event_shape == (1, 16, 16)


def test_what_a_model_cannot_take_is_said(tmp_path):
    folder = tmp_path / "mnist"
    folder.mkdir()
    mnist(folder)
    data = open(folder, like=Symbols((1, 3, 5), 2))
    assert data.complaint == "mnist was scaled or cropped to 3 × 5 and reduced to 2 levels"
    assert data.account.remarks == [f"{folder} has the splits train, test: train is read"]
    same = open(folder, like=Symbols((1, 6, 5), 256), split="test")
    assert same.complaint == ""
    assert same.account.remarks == []
    for name, content in cifar10().items():
        (tmp_path / name).write_bytes(binary(*content))
    grey = open(tmp_path, like=Symbols((1, 32, 32), 256), split="test")
    assert "was turned grey" in grey.complaint


def test_no_pickle_is_opened(tmp_path):
    opened = tmp_path / "opened"

    class Trap:
        def __reduce__(self):
            return opened.touch, ()

    for name in ("data_batch_1", "test_batch"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
    (tmp_path / "down").mkdir()
    (tmp_path / "down" / "cifar-10-python.tar.gz").touch()
    (tmp_path / "cifar-10-batches-py").mkdir()
    for path in (tmp_path, tmp_path / "down", tmp_path / "cifar-10-batches-py"):
        for reader in (read, read_cifar10):
            with pytest.raises(
                ValueError, match=r"Python version .*cifar-10-binary\.tar\.gz, from"
            ):
                reader(path)
    assert not opened.exists()


def test_what_is_wrong_with_them(tmp_path):
    with pytest.raises(ValueError, match="has neither train-images-idx3-ubyte"):
        read_mnist(tmp_path)
    with pytest.raises(ValueError, match=r"neither data_batch_1\.bin nor cifar-10-binary"):
        read_cifar10(tmp_path)
    with pytest.raises(ValueError, match="train and test, not 'valid'"):
        read_mnist(tmp_path, "valid")

    images, labels = mnist(tmp_path)["test"]
    path = tmp_path / "t10k-images-idx3-ubyte"
    whole = path.read_bytes()
    for damaged in (b"", whole[:10], whole[:-1], b"\0\0\x0d\3" + whole[4:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="t10k-images-idx3-ubyte is damaged"):
            read_mnist(tmp_path, "test")
    path.unlink()
    (tmp_path / f"{path.name}.gz").write_bytes(gzip.compress(whole)[:-20])
    with pytest.raises(ValueError, match=r"ubyte\.gz is damaged"):
        read(tmp_path, split="test")
    path.write_bytes(idx(images[1:]))
    with pytest.raises(ValueError, match=f"{len(labels) - 1} test images have {len(labels)}"):
        read(tmp_path, split="test")

    folder = tmp_path / "cifar"
    folder.mkdir()
    content = binary(*cifar10()["test_batch.bin"])
    for damaged in (b"", content[:-1]):
        (folder / "test_batch.bin").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"test_batch\.bin is damaged"):
            read_cifar10(folder, "test")
    with pytest.raises(ValueError, match=r"neither data_batch_1\.bin"):
        read(folder, split="train")
    archive = tmp_path / "cifar-10-binary.tar.gz"
    archive.write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"cifar-10-binary\.tar\.gz is damaged"):
        read_cifar10(archive)
    with tarfile.open(archive, "w:gz"):
        pass
    with pytest.raises(ValueError, match=r"has no data_batch_1\.bin"):
        read(archive)
