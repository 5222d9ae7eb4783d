"""Compressed files beside those of other compressors: trains small models, and writes the page.

    pip install zstandard pillow-jxl-plugin
    OMP_NUM_THREADS=1 python benchmarks/codec_tables.py
    python benchmarks/codec_tables.py --page-only

Figures go to docs/results/codec.json, one row for each kind of data, and from there to
docs/results/codec.md. Every file is compressed and decompressed again; seconds are CPU seconds of
one thread. The models are trained for a minute or two, and code held-out files.
"""

from __future__ import annotations

import io
import json
import math
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from PIL import Image
from tables import ROOT, Figures

import autoregress as ar
from autoregress.archive import encode_to, writing
from autoregress.archive.contents import Contents
from autoregress.data.formats.animations import ffv1
from autoregress.packing import Packed, comparison, model_bytes, pack, restore
from autoregress.recipes import RECIPES

DATA = ROOT.parent / "shared" / "data"
COMMAND = "OMP_NUM_THREADS=1 python benchmarks/codec_tables.py"
NAMES = {
    "bits": "MNIST, bits",
    "rows": "Adult, bits",
    "labels": "Alarm, a .csv of labels",
    "numbers": "Breast cancer, a .csv of numbers",
    "photos": "Crops of photos",
    "clips": "Robot arm, clips",
}
FLIPS = 2000


@dataclass
class Held:
    """Held-out files, and what is to code them.

    Attributes:
        path: a file or a folder.
        taker: a model, or a table.
        rows: training rows and held-out rows as bytes, for a dictionary.
    """

    path: Path
    taker: ar.AutoregressiveModel | ar.Table
    rows: tuple[Sequence[bytes], Sequence[bytes]] = ((), ())


def bits(folder: Path, seed: int) -> Held:
    """Every fifth test image, as an array of bits."""
    with np.load(DATA / "mnist" / "binarized_mnist.npz") as file:
        train, valid, test = (
            np.unpackbits(file[name], axis=1)[:, :784] for name in ("train", "valid", "test")
        )
    model = ar.MADE(784, 2, hidden=(300,), direct=True)
    ar.fit(model, train[::2], valid=valid[::10], max_epochs=8, lr=2e-3, seed=seed, quiet=True)
    return _array(folder, model, train, test[::5])


def rows(folder: Path, seed: int) -> Held:
    """Rows of 123 bits."""
    with np.load(DATA / "binary" / "adult.npz") as file:
        train, valid, test = (
            np.unpackbits(file[name], axis=1)[:, :123] for name in ("train", "valid", "test")
        )
    model = ar.MADE(123, 2, hidden=(200,), direct=True)
    ar.fit(model, train, valid=valid, max_epochs=15, seed=seed, quiet=True)
    return _array(folder, model, train, test[:10_000])


def labels(folder: Path, seed: int) -> Held:
    """Rows of 37 labels, as text."""
    with np.load(DATA / "tables" / "alarm.npz") as file:
        train, valid, test = (torch.from_numpy(file[name]) for name in ("train", "valid", "test"))
        names, texts = file["names"].tolist(), [json.loads(one) for one in file["labels"].tolist()]
    columns = ar.Columns(tuple(names), tuple(map(tuple, texts)))
    levels = columns.levels
    model = ar.MADE(37, levels, hidden=(200,), direct=True, columns=columns)
    ar.fit(model, train, valid=valid, max_epochs=10, seed=seed, quiet=True)
    ar.data.write(folder / "alarm.csv", test[:5000], levels, columns)
    ar.data.write(folder / "train.csv", train[:5000], levels, columns)
    lines = [(folder / name).read_bytes().splitlines()[1:] for name in ("train.csv", "alarm.csv")]
    return Held(folder / "alarm.csv", model, (lines[0], lines[1]))


def numbers(folder: Path, seed: int) -> Held:
    """Rows of 30 numbers and a diagnosis, as text."""
    from sklearn.datasets import load_breast_cancer

    found: Any = load_breast_cancer()
    head = ",".join([*(str(name) for name in found.feature_names), "diagnosis"])
    lines = [
        ",".join([*(f"{n:g}" for n in values), str(found.target_names[kind])])
        for values, kind in zip(found.data, found.target, strict=True)
    ]
    random.Random(seed).shuffle(lines)
    parts = {"train.csv": lines[:400], "cancer.csv": lines[400:]}
    for name, own in parts.items():
        (folder / name).write_text("\n".join([head, *own]) + "\n")
    table = ar.Table.fit(
        folder / "train.csv", network={"hidden": (64, 64)}, max_epochs=40, seed=seed, quiet=True
    )
    train, test = ([line.encode() for line in own] for own in parts.values())
    return Held(folder / "cancer.csv", table, (train, test))


def photos(folder: Path, seed: int) -> Held:
    """Crops of 32 × 32 pixels, each a .png; the model is that of the page on photos."""
    with np.load(DATA / "photos" / "crops_32.npz") as file:
        train, test = file["train"], file["test"]
    recipe = RECIPES["gated-pixelcnn"]
    model = ar.GatedPixelCNN((3, 32, 32), 256, layers=5, features=48)
    ar.fit(model, train[20:], valid=train[:20], training=recipe.training, max_epochs=12, quiet=True)
    (folder / "crops").mkdir()
    for n, image in enumerate(test):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / "crops" / f"{n:02}.png")
    return Held(folder / "crops", model)


def clips(folder: Path, seed: int) -> Held:
    """Clips of 64 × 64 pixels, each an .mkv, in tiles of 2 × 16 × 16 pixels."""
    with np.load(DATA / "video" / "bridge_robot_64.npz") as file:
        episodes = file["frames"]  # (episodes, views, T, H, W, C)
    model = ar.VideoTransformer(
        (2, 3, 16, 16), 256, subscale=(1, 2, 2), width=32, embedding=16, heads=2, head_width=16,
        encoder_layers=1, decoder_layers=1, blocks=((2, 4, 4),),
    )  # fmt: skip
    tiles = np.ascontiguousarray(episodes[:18].reshape(-1, 5, 2, 4, 16, 4, 16, 3))
    tiles = tiles.transpose(0, 1, 3, 5, 2, 7, 4, 6).reshape(-1, 2, 3, 16, 16)
    tiles = tiles[np.random.default_rng(seed).permutation(len(tiles))]
    ar.fit(
        model, tiles[400:2000], valid=tiles[:100], max_epochs=4, lr=2e-3, batch_size=16, quiet=True
    )
    (folder / "clips").mkdir()
    for n, episode in enumerate(episodes[19:]):
        (folder / "clips" / f"{n}.mkv").write_bytes(ffv1(episode[0], 5))
    return Held(folder / "clips", model)


KINDS: dict[str, Callable[[Path, int], Held]] = {
    "bits": bits,
    "rows": rows,
    "labels": labels,
    "numbers": numbers,
    "photos": photos,
    "clips": clips,
}


def _array(folder: Path, model: ar.MADE, train: np.ndarray, test: np.ndarray) -> Held:
    """Held-out rows as an .npz of packed bits, the smallest that NumPy knows."""
    path = folder / "test.npz"
    np.savez(path, x=np.packbits(test, axis=1), dim=test.shape[1])
    packed = ([row.tobytes() for row in np.packbits(own, axis=1)] for own in (train, test))
    return Held(path, model, (next(packed), next(packed)))


def measured(kind: str, seed: int) -> dict[str, Any]:
    """Trains a model, compresses the held-out files and restores them."""
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.process_time()
        held = KINDS[kind](folder, seed)
        training = time.process_time() - started
        cache = folder / "cache" if kind == "clips" else None
        packed = pack(held.taker, held.path, ar.data.Reading(cache=cache))
        model = held.taker.coder if isinstance(held.taker, ar.Table) else held.taker
        started = time.process_time()
        size = encode_to(
            folder / "out.areg",
            model,
            packed.source,
            manifest=packed.manifest,
            beside=packed.beside,
        )
        encoding = time.process_time() - started
        started = time.process_time()
        archive = ar.Archive(folder / "out.areg", model)
        restored = folder / ("back" + held.path.suffix)
        restore(archive, restored, table=held.taker if isinstance(held.taker, ar.Table) else None)
        decoding = time.process_time() - started
        assert _same(held.path, restored)
        sizes, estimated = comparison(packed)
        assert not estimated
        beside = sum(len(chunk.beside) for chunk in archive._contents.chunks())
        row = {
            "recipe": kind,
            "seed": seed,
            "training": training,
            "examples": len(packed.source),
            "dims": model.dims,
            "content": _content(packed, held.path),
            "files": sum(file.stat().st_size for file in packed.files),
            "bytes": size,
            "model": model_bytes(packed, model),
            "beside": beside,
            "nats": _nats(packed, model),
            "encoding": encoding,
            "decoding": decoding,
            "sizes": sizes | zstd(packed, held),
        }
        if kind == "rows":
            row["damage"] = damage(model, packed)
            row["chunk"] = chunk_cost(held, seed)
        return row


def _content(packed: Packed, path: Path) -> int:
    """Bytes of what is coded: of text its bytes, of symbols as many bits as their levels need."""
    if path.suffix == ".csv":
        return path.stat().st_size
    levels = torch.tensor(packed.source.symbols.levels, dtype=torch.float64)
    return round(len(packed.source) * float(levels.log2().sum()) / 8)


def _nats(packed: Packed, model: ar.AutoregressiveModel) -> float:
    """The model's own −log p of all examples."""
    x = packed.source[:]
    with torch.no_grad():
        return -float(sum(model.log_prob(part).sum() for part in x.split(200)))


def _same(one: Path, other: Path) -> bool:
    """Whether files are the same: texts to the byte, arrays and pictures in every value."""
    if one.is_dir():
        names = sorted(path.name for path in one.iterdir())
        return names == sorted(path.name for path in other.iterdir()) and all(
            _same(one / name, other / name) for name in names
        )
    if one.suffix == ".png":
        with Image.open(one) as a, Image.open(other) as b:
            return a.size == b.size and a.tobytes() == b.tobytes()
    if one.suffix == ".npz":
        with np.load(one) as a, np.load(other) as b:
            return a["x"].dtype == b["x"].dtype and np.array_equal(a["x"], b["x"])
    if one.suffix == ".mkv":
        return np.array_equal(_frames(one), _frames(other))
    return one.read_bytes() == other.read_bytes()


def _frames(path: Path) -> np.ndarray:
    import av

    with av.open(path) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


def zstd(packed: Packed, held: Held) -> dict[str, int]:
    """Sizes by ``zstd -19``: all at once, and each row with a dictionary from training rows."""
    import zstandard  # pyright: ignore[reportMissingImports]

    content = b"".join(path.read_bytes() for path in packed.files)
    if held.path.is_dir():  # of what PNG and FFV1 hold
        source: Any = packed.source
        content = b"".join(source.whole(n).tobytes() for n in range(source.pictures))
    sizes = {"zstd": len(zstandard.ZstdCompressor(level=19).compress(content))}
    train, test = held.rows
    if test:
        dictionary = zstandard.train_dictionary(2**16, list(train)[:20_000])
        each = zstandard.ZstdCompressor(level=19, dict_data=dictionary)
        sizes["zstd, each row"] = sum(len(each.compress(row)) for row in test)
    return sizes


def damage(model: ar.AutoregressiveModel, packed: Packed) -> dict[str, Any]:
    """What one wrong byte, or a file cut at any place, leaves of an archive of many chunks."""
    file = io.BytesIO()
    before, writing.CHUNK_BYTES = writing.CHUNK_BYTES, 2**12
    try:
        encode_to(file, model, packed.source)
    finally:
        writing.CHUNK_BYTES = before
    content, count = file.getvalue(), len(packed.source)
    whole = {chunk.first: chunk for chunk in Contents(io.BytesIO(content)).chunks()}
    generator, found = random.Random(0), dict[str, Any](chunks=len(whole))
    for kind in ("flipped", "cut"):
        left = list[float]()
        for _ in range(FLIPS):
            place = generator.randrange(len(content))
            wrong = bytearray(content if kind == "flipped" else content[:place])
            if kind == "flipped":
                wrong[place] ^= generator.randrange(1, 256)
            try:
                some = list(Contents(io.BytesIO(bytes(wrong)), skips=True).chunks())
            except ValueError:
                some = []
            assert all(chunk == whole[chunk.first] for chunk in some)
            left.append(sum(chunk.count for chunk in some) / count)
        found[kind] = sum(left) / len(left)
    return found


def chunk_cost(held: Held, seed: int) -> dict[str, float]:
    """Bytes that each further chunk costs, of one member and of eight."""
    source = pack(held.taker, held.path, ar.data.Reading()).source
    x, costs = source[:3000], dict[str, float]()
    for members in (1, 8):
        torch.manual_seed(seed)
        model = ar.MADE(123, 2, hidden=(50,), orderings=members)
        ar.fit(model, x, max_epochs=1, quiet=True)
        sizes, chunks = list[int](), list[int]()
        before = writing.CHUNK_BYTES
        try:
            for limit in (2**40, 2**12):
                writing.CHUNK_BYTES = limit
                content = ar.encode(model, x)
                sizes.append(len(content))
                chunks.append(len(list(Contents(io.BytesIO(content)).chunks())))
        finally:
            writing.CHUNK_BYTES = before
        costs[str(members)] = (sizes[1] - sizes[0]) / (chunks[1] - chunks[0])
    return costs


# The page

HEAD = f"""# Compressed files

Held-out files of every kind, compressed by small models that one core trains in a minute or two,
and decompressed again: the text of tables came back to the byte, arrays with their type, images and
clips in every pixel, in files of the same names. Beside them, the sizes that other compressors give
the same content at their strongest settings. Figures in bytes; the smallest of those without a
model is bold, and ours where it is smaller.

    {COMMAND}
"""

NOTES = """
- *ours* is the size of the file without its model; *with the model* has the weights in it, as
  `compress --with-model` writes it. A model pays for itself once it has coded enough: the last
  column says how many times the content of this table that is, beside the best of the others.
- *xz* (`-9e`) and *zstd* (`-19`) get the file itself, for images and clips all pixels at once;
  *zstd, each row* gets every row apart, with a dictionary of 64 KiB trained on training rows (not
  counted). PNG, WebP (lossless) and JPEG XL (lossless, effort 9) get each image or frame apart,
  FFV1 each clip.
- MB/s: content by CPU second of one thread on a busy machine, of encoding (with its first batch
  decoded again) and of decoding with all that restores the files. The other compressors are a
  hundred to a thousand times as fast.
- *beside* are the bytes for what the model of a table does not know: columns that it does not
  learn, where in its bin a number lies, cells written in another way. Bits/dim are without them;
  header, frames, names and index count.
"""

FORMATS = ("xz", "zstd", "zstd, each row", "PNG", "WebP", "JPEG XL", "FFV1")


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The page of these figures."""
    return "\n".join(_lines(rows)) + "\n"


def _lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield HEAD
    others = " | ".join(FORMATS)
    yield f"| | examples | content | ours | with the model | {others} | pays after |"
    yield "|---|" + "---:|" * (5 + len(FORMATS))
    ordered = sorted(rows, key=lambda row: list(NAMES).index(row["recipe"]))
    yield from map(_sizes, ordered)
    yield NOTES
    yield "| | bits/dim | −log₂ p | beside | training, s | encoding, MB/s | decoding, MB/s |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    yield from map(_speeds, ordered)
    for row in ordered:
        if "damage" in row:
            yield _damaged(row)


def _sizes(row: dict[str, Any]) -> str:
    sizes = row["sizes"]
    best = min(sizes.values())

    def shown(size: int | None, bold: bool) -> str:
        return "–" if size is None else f"**{size:,}**" if bold else f"{size:,}"

    saved = best - row["bytes"]
    cells = [
        NAMES[row["recipe"]],
        f"{row['examples']:,}",
        f"{row['content']:,}",
        shown(row["bytes"], saved > 0),
        f"{row['bytes'] + row['model']:,}",
        *(shown(sizes.get(name), sizes.get(name) == best) for name in FORMATS),
        f"{row['model'] / saved:.1f} ×" if saved > 0 else "never",
    ]
    return f"| {' | '.join(cells)} |"


def _speeds(row: dict[str, Any]) -> str:
    symbols = row["examples"] * row["dims"]
    cells = [
        NAMES[row["recipe"]],
        f"{8 * (row['bytes'] - row['beside']) / symbols:.4f}",
        f"{row['nats'] / symbols / math.log(2):.4f}",
        f"{row['beside']:,}" if row["beside"] else "–",
        f"{row['training']:.0f}",
        *(f"{row['content'] / row[each] / 1e6:.4f}" for each in ("encoding", "decoding")),
    ]
    return f"| {' | '.join(cells)} |"


def _damaged(row: dict[str, Any]) -> str:
    found, cost, name = row["damage"], row["chunk"], NAMES[row["recipe"]]
    one, eight = cost["1"], cost["8"]
    return f"""
## Damage

The rows of {name} in {found["chunks"]} chunks of some 4 KiB, {FLIPS:,} times with one byte
changed at random: {found["flipped"]:.1%} of the rows come back on average, all of them right. Cut
at a random place: {found["cut"]:.1%}. `tests/fuzz.py salvage` tries damage of any kind.

A further chunk costs {one:.0f} bytes with one member, and {eight:.0f} with eight, whose first rows
name theirs: {one / 2**16:.2%} and {eight / 2**16:.2%} of the 64 KiB at which one ends."""


def main(kinds: tuple[str, ...] = tuple(KINDS), /, seed: int = 0, page_only: bool = False) -> None:
    """Measures some kinds of data, and writes the page.

    Args:
        kinds: of bits, rows, labels, numbers, photos, clips.
        seed: seed of data, weights and training.
        page_only: write the page of figures that are there.
    """
    torch.set_num_threads(1)
    figures = Figures(
        ROOT / "docs" / "results" / "codec.json", lambda row: list(NAMES).index(row["recipe"])
    )
    for kind in () if page_only else kinds:
        figures.add(measured(kind, seed))
    (ROOT / "docs" / "results" / "codec.md").write_text(page(figures.rows))


if __name__ == "__main__":
    tyro.cli(main)
