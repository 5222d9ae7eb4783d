"""Reading shards by position against a memory map and the tar files of WebDataset.

    python benchmarks/shards_speed.py --write docs/results

Clips of 16 × 3 × 64 × 64 in batches of 8 and images of 3 × 32 × 32 in batches of 128, as bytes. A
turn reads a random part in random order: by position from the arrays or from a tar, or through a
memory map, whose pages may be announced to the system beforehand; from a tar also in sequence,
record by record with tarfile, as WebDataset does, without its shuffle buffer. "From the disk" means
that the system has dropped the files from its cache before the turn, which works on Linux only.
"""

from __future__ import annotations

import io
import mmap
import os
import tarfile
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import timing
import torch
from timing import alternate
from torch import Tensor

from autoregress.data import Data, Shards, write_shards

HEADER = 512  # bytes before each record of a tar


def write_tar(path: Path, x: Tensor) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for n, example in enumerate(x.numpy()):
            member = tarfile.TarInfo(f"{n:06}.bin")
            member.size = example.nbytes
            tar.addfile(member, io.BytesIO(example.tobytes()))
    with path.open("rb") as file:
        os.fsync(file.fileno())


def contestants(
    folder: Path, shape: tuple[int, ...], count: int, taken: int, batch: int
) -> dict[str, Callable[[], object]]:
    """Ways to read ``taken`` of ``count`` examples in batches."""
    x = torch.randint(0, 256, (count, *shape), dtype=torch.uint8)
    write_shards(folder, {"train": Data(x, 256)}, megabytes=2**20)
    array, tar = folder / "train-00000.npy", folder / "train.tar"
    write_tar(tar, x)
    row = int(np.prod(shape))
    record = HEADER + -(-row // HEADER) * HEADER

    def order() -> tuple[Tensor, ...]:
        return torch.randperm(count)[:taken].split(batch)

    def shards() -> None:
        train = Shards(folder)
        for index in order():
            train[index]

    def mapped() -> None:
        examples = np.load(array, mmap_mode="r")
        for index in order():
            examples[index.numpy()]

    def announced() -> None:
        examples = np.load(array, mmap_mode="r")
        for index in order():
            for start in (examples.offset + index * row).tolist():
                first = start // mmap.PAGESIZE * mmap.PAGESIZE
                examples._mmap.madvise(mmap.MADV_WILLNEED, first, start + row - first)
            examples[index.numpy()]

    def indexed() -> None:
        with tar.open("rb", buffering=0) as file:
            for index in order():
                part = np.empty((len(index), row), np.uint8)
                for at, n in enumerate(index.tolist()):
                    os.preadv(file.fileno(), [part[at]], n * record + HEADER)

    def sequence() -> None:
        with tarfile.open(tar, "r|") as file:
            part: list[np.ndarray] = []
            for member in islice(file, taken):
                content = file.extractfile(member)
                assert content is not None
                part.append(np.frombuffer(content.read(), np.uint8).reshape(shape))
                if len(part) == batch:
                    np.stack(part)
                    part.clear()

    return {
        "shards": shards,
        "memory map": mapped,
        "announced map": announced,
        "tar by position": indexed,
        "tar in sequence": sequence,
    }


def uncached(files: list[Path], run: Callable[[], object]) -> Callable[[], object]:
    def from_disk() -> None:
        for path in files:
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        run()

    return from_disk


def read(
    what: str,
    shape: tuple[int, ...],
    count: int,
    taken: int,
    batch: int,
    rows: timing.Rows,
    rounds: int,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ways = contestants(Path(folder), shape, count, taken, batch)
        files = list(Path(folder).iterdir())
        for path in files:
            path.read_bytes()
        cold = {name: uncached(files, run) for name, run in ways.items()}
        for where, these in [("cache", ways), ("disk", cold)]:
            t = alternate(these, rounds)
            for name in list(ways)[1:]:
                ratio = t[name] / t["shards"]
                rows.add(f"{what} from the {where}, {name} / shards", ratio)


PARTS = {
    "clips": partial(read, "clips", (16, 3, 64, 64), 1000, 128, 8),
    "images": partial(read, "images", (3, 32, 32), 100_000, 2560, 128),
}


def page(report: dict[str, Any]) -> str:
    """Speed of reading shards, as ratios."""
    return f"""# Speed of shards

Time to read clips of 16 × 3 × 64 × 64 bytes in batches of 8, and images of 3 × 32 × 32 in batches
of 128, over the time of shards: in random order out of some 200 and 300 MB, and from a tar also in
sequence as WebDataset reads it, without its shuffle buffer;
{timing.circumstances(report)}

{timing.table(report)}

From the disk, a map waits for each page and also reads the pages around it, and a read of one row
waits for that row alone. Shards announce the rows of a batch to the system before reading them, in
the order of the file, so that the disk works on all of them at once; announced pages of a map still
take longer. Besides, a truncated file or a failing disk ends the process that maps it instead of
raising an error. From the cache a map is faster, by a microsecond an image or some tens of
microseconds a clip, which is little beside an update.

By position, a tar is an array with a header before each row. In sequence, the headers cost several
times the images themselves; clips come from the disk somewhat faster in sequence than in random
order. But then the order of examples depends on a buffer and on the order on disk: it is not a
function of seed and step alone, it changes with the number of processes, and it cannot be resumed
in the middle.

{timing.commands("shards_speed", part="clips")}"""


if __name__ == "__main__":
    timing.main("shards_speed", PARTS, page)
