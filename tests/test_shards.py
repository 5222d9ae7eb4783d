"""Shards give back what was written, read only what is asked for, and name what is damaged."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

import autoregress as ar
from autoregress import data as datasets
from autoregress.data import (
    Data,
    ImageFolder,
    Shards,
    Source,
    VideoFolder,
    bouncing_digits,
    read,
    write,
    write_shards,
)
from autoregress.data.formats import shards
from autoregress.data.formats.arrays import MappedArray
from autoregress.data.prefetch import read_ahead
from autoregress.symbols import Columns, Symbols

quick = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TINY = 1e-4  # megabytes


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def examples(count: int, shape: tuple[int, ...], levels: int, seed: int = 0) -> Data:
    generator = torch.Generator().manual_seed(seed)
    dtype = torch.uint8 if levels <= 256 else torch.int64
    return Data(torch.randint(0, levels, (count, *shape), generator=generator, dtype=dtype), levels)


def everything(source) -> Tensor:
    return source[torch.arange(len(source))]


class Breaking(Source):
    """Examples that cannot be read from one of them on."""

    def __init__(self, data: Data, breaks_at: int) -> None:
        super().__init__(data.event_shape, data.levels)
        self._data, self._breaks_at = data, breaks_at

    def __len__(self) -> int:
        return len(self._data)

    def _rows(self, index: Tensor) -> Tensor:
        if self._breaks_at in index.tolist():
            raise OSError("the disk is gone")
        return self._data[index]


# ------------------------------------------------------------------------------- round trips


@given(
    count=st.integers(1, 60),
    shape=st.sampled_from([(7,), (1, 4, 4), (3, 5, 2), (2, 3, 4, 4)]),
    levels=st.sampled_from([2, 17, 256, 257, 65536, 65537, 2**31 - 1]),
    per_shard=st.integers(1, 70),
    per_block=st.integers(1, 70),
    seed=st.integers(0, 100),
)
@quick
def test_what_is_written_is_read_in_any_order(
    tmp_path_factory, monkeypatch, count, shape, levels, per_shard, per_block, seed
):
    folder = tmp_path_factory.mktemp("shards")
    data = examples(count, shape, levels, seed)
    row = int(np.prod(shape)) * (1 if levels <= 256 else 2 if levels <= 65536 else 4)
    monkeypatch.setattr(shards, "BLOCK", per_block * row)
    write_shards(folder, {"train": data}, megabytes=(per_shard * row + 0.5) / 2**20)
    train = Shards(folder)
    assert len(list(folder.glob("train-*.npy"))) == -(-count // per_shard)
    assert (train.event_shape, train.levels, train.columns) == (shape, levels, None)
    assert len(train) == count
    assert train.data().x.dtype == data.x.dtype
    assert torch.equal(train.data().x, data.x)
    index = torch.randint(-count, count, (30,))  # repeated, unordered, from either end
    assert torch.equal(train[index], data.x[index])
    assert train[index[:0]].shape == (0, *shape)
    parts = [np.load(path) for path in sorted(folder.glob("train-*.npy"))]
    assert np.array_equal(np.concatenate(parts), data.x.numpy())


def test_an_index_out_of_range_is_refused_as_by_a_tensor(tmp_path):
    write_shards(tmp_path, {"train": examples(5, (3,), 2)}, megabytes=TINY)
    for wrong in (5, -6):
        with pytest.raises(IndexError, match="out of range for 5 examples"):
            Shards(tmp_path)[torch.tensor([0, wrong])]


def test_different_levels_and_the_labels_of_a_table(tmp_path):
    x = torch.tensor([[0, 2], [1, 0]])
    write_shards(tmp_path / "a", {"train": Data(x, (2, 3))})
    assert Shards(tmp_path / "a").levels == (2, 3)
    columns = Columns(("colour", "size"), (("blue", "red"), ("L", "M", "S")))
    write_shards(tmp_path / "b", {"train": Data(x, (2, 3), columns)})
    assert Shards(tmp_path / "b").data().columns == columns
    assert Shards(tmp_path / "a").digest != Shards(tmp_path / "b").digest
    assert read(tmp_path / "b", like=Symbols((2,), (2, 3), columns)).columns == columns
    with pytest.raises(ValueError, match="other labels"):
        read(tmp_path / "a", like=Symbols((2,), (2, 3), columns))


def test_a_split_is_chosen_by_name(tmp_path):
    train, valid = examples(5, (3,), 4), examples(2, (3,), 4, seed=1)
    write_shards(tmp_path / "s", {"train": train, "valid": valid})
    assert torch.equal(Shards(tmp_path / "s", "valid").data().x, valid.x)
    assert torch.equal(Shards(f"{tmp_path / 's'}:valid").data().x, valid.x)
    assert torch.equal(read(f"{tmp_path / 's'}:train").x, train.x)
    assert torch.equal(read(tmp_path / "s", split="valid", levels=4).x, valid.x)
    for split, message in [(None, "train, valid: write .*:train"), ("test", "no test examples")]:
        with pytest.raises(ValueError, match=message):
            Shards(tmp_path / "s", split)


def test_the_digest_is_of_the_examples_and_not_of_the_shards(tmp_path):
    data = examples(50, (6,), 3)
    other = Data(data.x.clone(), 3)
    other.x[30, 2] = (other.x[30, 2] + 1) % 3
    digests = []
    for name, source, size in [
        ("a", data, TINY),
        ("b", data, 1),
        ("c", other, 1),
        ("d", Data(data.x, 4), 1),
        ("e", Data(data.x.flip(0), 3), 1),
        ("f", Data(data.x.view(50, 1, 2, 3), 3), 1),
    ]:
        write_shards(tmp_path / name, {"train": source}, megabytes=size)
        digests.append(Shards(tmp_path / name).digest)
    assert digests[0] == digests[1]
    assert len(set(digests)) == 5


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_write_the_same(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(shards, "BLOCK", 30)
    data = examples(40, (5,), 2)
    write_shards(tmp_path, {"train": data}, megabytes=TINY, workers=workers)
    assert torch.equal(Shards(tmp_path).data().x, data.x)


def test_shards_of_shards(tmp_path):
    data = examples(20, (2, 3), 300)
    write_shards(tmp_path / "a", {"train": data}, megabytes=TINY)
    parts = Shards(tmp_path / "a").split(0.2, 3)
    write_shards(tmp_path / "b", dict(zip(("train", "valid"), parts, strict=True)))
    for name, part in zip(("train", "valid"), data.split(0.2, 3), strict=True):
        assert torch.equal(Shards(tmp_path / "b", name).data().x, part.x)


def test_what_cannot_be_written(tmp_path):
    data = examples(4, (3,), 3)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    write_shards(tmp_path / "done", {"train": data})
    for folder, splits, message in [
        ("full", {"train": data}, "not empty .it holds notes.txt"),
        ("done", {"train": data}, "not empty"),
        ("new", {"train": data, "valid": examples(4, (2,), 3)}, "valid examples .2,. have ano"),
        ("new", {"train": data, "valid": examples(4, (3,), 4)}, "other levels"),
        ("new", {"../train": data}, "name of a split"),
        ("new", {"train": data, "valid": data.split(0.5, 0)[0], "test": _none()}, "no test exam"),
    ]:
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(ValueError, match=message):
            write_shards(tmp_path / folder, splits)
        assert sorted(tmp_path.rglob("*")) == before


def _none() -> Data:
    return Data(torch.zeros(0, 3, dtype=torch.uint8), 3)


# ------------------------------------------------------------------------- only what is asked


def test_each_reader_reads_its_own_rows_alone(tmp_path, monkeypatch):
    data = examples(100, (1, 8, 8), 256)
    write_shards(tmp_path, {"train": data}, megabytes=17 * 64 / 2**20)
    touched: list[tuple[str, int]] = []
    opened, true_open, true_read = {}, os.open, os.preadv

    def open_(path, *rest):
        file = true_open(path, *rest)
        opened[file] = Path(path).name
        return file

    def preadv(file, buffers, offset):
        count = true_read(file, buffers, offset)
        first = (offset - 128) / 64 + 17 * int(opened[file][6:11])
        assert first.is_integer()
        touched.extend((opened[file], int(first) + n) for n in range(count // 64))
        return count

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os, "preadv", preadv)
    order = torch.randperm(100)
    for part in order.chunk(2):  # two processes, of which each reads its half of every batch
        touched.clear()
        reader = Shards(tmp_path)
        for batch in part.split(7):
            assert torch.equal(reader[batch], data.x[batch])
        assert sorted(row for _, row in touched) == sorted(part.tolist())


def test_memory_holds_the_examples_asked_for_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "BLOCK", 2**16)

    class Zeros(Source):
        def __len__(self) -> int:
            return 8192

        def _rows(self, index: Tensor) -> Tensor:
            return torch.zeros(len(index), 1024, dtype=torch.uint8)

    tracemalloc.start()
    write_shards(tmp_path, {"train": Zeros((1024,), 256)}, megabytes=3)
    train = Shards(tmp_path)
    for batch in torch.randperm(len(train)).split(64):
        train[batch]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20  # of 8 MB


@pytest.mark.slow
def test_a_process_does_not_grow_to_the_size_of_its_shards(tmp_path):
    write_shards(tmp_path, {"train": examples(1, (2**16,), 256)})
    index = json.loads((tmp_path / "shards.json").read_text())
    shard = index["splits"]["train"]["shards"][0]
    count = 2**13  # 512 MB, of which the disk holds but a page or two
    head = shard["bytes"] - 2**16
    shard |= {"examples": count, "bytes": head + count * 2**16}
    (tmp_path / "shards.json").write_text(json.dumps(index))
    os.truncate(tmp_path / "train-00000.npy", shard["bytes"])
    code = f"""
import resource, torch
from autoregress.data import Shards
train = Shards({str(tmp_path)!r})
train[torch.arange(64)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for batch in torch.randperm(len(train)).split(64):
    train[batch]
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert int(done.stdout) * 2**10 < 2**26, done.stderr


# ------------------------------------------------------------------------------------ damage


@given(breaks_at=st.integers(0, 49))
@settings(quick, max_examples=10)
def test_who_dies_while_writing_leaves_nothing_that_is_taken_for_whole(
    tmp_path_factory, monkeypatch, breaks_at
):
    folder = tmp_path_factory.mktemp("shards")
    monkeypatch.setattr(shards, "BLOCK", 12)
    data, valid = examples(30, (4,), 3), examples(20, (4,), 3, seed=1)
    splits = {
        "train": Breaking(data, breaks_at),
        "valid": Breaking(valid, breaks_at - 30),
    }
    with pytest.raises(OSError, match="the disk is gone"):
        write_shards(folder, splits, megabytes=TINY / 4)
    with pytest.raises(ValueError, match="is unfinished; run the same command"):
        Shards(folder, "train")
    write_shards(folder, {"train": data, "valid": valid}, megabytes=TINY)  # fewer and larger ones
    assert torch.equal(Shards(folder, "train").data().x, data.x)
    written = json.loads((folder / "shards.json").read_text())["splits"]
    files = sum(len(split["shards"]) for split in written.values())
    assert len(list(folder.iterdir())) == files + 1


def test_who_dies_after_the_index_was_written_has_lost_nothing(tmp_path):
    data = examples(30, (4,), 3)
    write_shards(tmp_path, {"train": data})
    (tmp_path / "shards.unfinished").touch()
    assert torch.equal(Shards(tmp_path).data().x, data.x)


def test_damage_is_named(tmp_path):
    data = examples(30, (40,), 3)
    write_shards(tmp_path, {"train": data}, megabytes=500 / 2**20)
    path, index = tmp_path / "train-00001.npy", tmp_path / "shards.json"
    whole, reader = path.read_bytes(), Shards(tmp_path)
    reader.verify()

    path.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"train-00001.npy is damaged: it has \d+ bytes instead"):
        Shards(tmp_path)
    with pytest.raises(ValueError, match=r"train-00001.npy is damaged: it is shorter"):
        everything(reader)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"train-00001.npy is damaged: its content"):
        Shards(tmp_path).verify()
    path.unlink()
    with pytest.raises(ValueError, match=r"there is no file .*train-00001.npy"):
        Shards(tmp_path)
    path.write_bytes(whole)

    text = index.read_text()
    for wrong, message in [
        (text[:100], "shards.json is damaged"),
        ("{}", "not an index of shards"),
        (text.replace("event_shape", "shape"), "shards.json is damaged.*event_shape"),
        (text.replace("shards 1", "shards 2"), "that this version can read"),
    ]:
        index.write_text(wrong)
        with pytest.raises(ValueError, match=message):
            Shards(tmp_path)
    with pytest.raises(ValueError, match=r"there is no file .*shards\.json"):
        Shards(tmp_path / "none")


# -------------------------------------------------------------------------------- what is read


def test_images_are_read_one_by_one_as_they_are_all_together(tmp_path):
    rng = np.random.default_rng(0)
    for n in range(7):
        picture = rng.integers(0, 256, (5 + n, 6, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{n}.png")
    options = {"size": (4, 5), "grey": True, "levels": 7}
    images = ImageFolder(tmp_path, **options)
    index = torch.tensor([6, 2, 2])
    assert torch.equal(images[index], read(tmp_path, **options).x[index])


def test_a_mapped_array_is_the_same_and_stays_what_it_is(tmp_path):
    for x in (
        np.arange(60, dtype=np.uint8).reshape(10, 6) % 5,
        np.arange(60).reshape(10, 6) % 5,
        np.arange(60).reshape(10, 6) % 2 == 0,
        np.arange(10.0) % 3,
    ):
        np.save(tmp_path / "a.npy", x)
        mapped, loaded = datasets.open(tmp_path / "a.npy"), read(tmp_path / "a.npy")
        assert isinstance(mapped, MappedArray)
        assert (mapped[:].dtype, mapped.levels) == (loaded.x.dtype, loaded.levels)
        assert torch.equal(mapped[:], loaded.x)
        assert mapped.digest == loaded.digest
        mapped[2:5].zero_()
        assert np.array_equal(np.load(tmp_path / "a.npy"), x)
    for damaged in (b"", b"nothing of the kind", (tmp_path / "a.npy").read_bytes()[:-1]):
        (tmp_path / "b.npy").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"b\.npy is damaged"):
            datasets.open(tmp_path / "b.npy")


@pytest.mark.slow
def test_videos_decoded_by_several_processes_are_the_same(tmp_path):
    (tmp_path / "clips").mkdir()
    write(tmp_path / "clips" / "a.mkv", bouncing_digits(5, frames=6).data().x, 17)
    (tmp_path / "clips" / "a-001.mkv").write_bytes(b"damaged")
    one = VideoFolder(tmp_path / "clips", frames=3, cache=tmp_path / "one")
    two = VideoFolder(tmp_path / "clips", frames=3, cache=tmp_path / "two", workers=2)
    assert torch.equal(everything(one), everything(two))
    assert one.skipped == two.skipped != []


# ------------------------------------------------------------------------------- reading ahead


def test_reading_ahead_keeps_the_order_and_raises_in_its_place():
    for workers in (1, 2, 30):
        squares = read_ahead(lambda n: n * n, range(20), workers=workers)
        assert list(squares) == [n * n for n in range(20)]
        broken = read_ahead(lambda n: 1 / (n - 7), range(20), workers=workers)
        assert [next(broken) for _ in range(7)] == [1 / (n - 7) for n in range(7)]
        with pytest.raises(ZeroDivisionError):
            next(broken)


def test_reading_ahead_is_bounded_and_stops_with_its_consumer():
    asked: list[int] = []
    results = read_ahead(asked.append, range(100), workers=3)
    assert asked == []
    for n in range(1, 6):
        next(results)
        assert n <= len(asked) <= n + 3
    results.close()
    assert len(asked) <= 8


# ------------------------------------------------------------------------------- command line


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with data of each kind, which is where the commands are run."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (60, 6)).astype(np.uint8)
    np.savez("data.npz", train=x[:40], valid=x[40:50], test=x[50:])
    np.save("rows.npy", x)
    np.savetxt("table.csv", x, "%d", ",", header="a,b,c,d,e,f", comments="")
    Path("images").mkdir()
    for i in range(30):
        picture = Image.fromarray(rng.integers(0, 256, (6, 6), dtype=np.uint8))
        picture.save(f"images/{i}.png")
    Path("clips").mkdir()
    write("clips/a.mkv", bouncing_digits(6, frames=9).data().x, 17)
    return tmp_path


KINDS = {
    "npz": ["data.npz"],
    "npy": ["rows.npy", "--levels", 4, "--holdout", 0.2],
    "csv": ["table.csv"],
    "images": ["images", "--levels", 5, "--size", 4, 4],
    "clips": ["clips", "--frames", 3, "--stride", 2, "--step", 1, "--levels", 2, "--size", 5, 5],
}


@pytest.mark.parametrize("given", list(KINDS.values()), ids=list(KINDS))
def test_training_on_shards_is_training_on_what_they_were_made_of(folder, capsys, given):
    quick = ["--max-epochs", 2, "--hidden", 12]
    assert run("train", "made", "--data", *given, "--run", "direct", *quick) == 0
    prepare = ["prepare", "--data", *given, "--out", "shards"]
    assert run(*prepare) == 0
    assert run("train", "made", "--data", "shards", "--run", "sharded", *quick) == 0
    curves = [
        [
            (line["step"], line["train_nats"], line["valid_nats"])
            for line in map(json.loads, Path(name, "log.jsonl").read_text().splitlines())
        ]
        for name in ("direct", "sharded")
    ]
    assert curves[0] == curves[1]
    direct, sharded = ar.load("direct").state_dict(), ar.load("sharded").state_dict()
    assert all(torch.equal(direct[name], sharded[name]) for name in direct)

    capsys.readouterr()
    assert run("evaluate", "sharded", "--data", "shards:valid") == 0
    score = ar.evaluate(ar.load("direct"), Shards("shards", "valid"))
    assert capsys.readouterr().out.strip() == str(score)
    assert math.isclose(score.nats, min(line[2] for line in curves[0]), rel_tol=1e-6)
    assert run("score", "sharded", "shards:valid", "--out", "scores.csv") == 0
    assert len(Path("scores.csv").read_text().splitlines()) == score.examples + 1

    assert run(*prepare) == 0
    assert "shards is complete" in capsys.readouterr().out


def test_a_run_goes_on_with_the_same_examples_prepared_anew(folder, capsys):
    train = ["train", "made", "--run", "run", "--hidden", 12, "--holdout", 0.2, "--data"]
    prepare = ["prepare", "--data", "rows.npy", "--split", "train"]
    assert run(*prepare, "--out", "a") == run(*prepare, "--out", "b") == 0
    assert run(*train, "a", "--max-epochs", 1) == run(*train, "b", "--max-epochs", 2) == 0
    assert "48 training and 12 validation" in capsys.readouterr().out
    lines = [json.loads(line) for line in Path("run/log.jsonl").read_text().splitlines()]
    assert run(*train, "rows.npy", "--max-epochs", 2, "--run", "direct") == 0
    direct = [json.loads(line) for line in Path("direct/log.jsonl").read_text().splitlines()]
    assert [line["train_nats"] for line in lines] == [line["train_nats"] for line in direct]

    np.save("rows.npy", np.load("rows.npy")[::-1])
    assert run(*prepare, "--out", "c") == 0
    capsys.readouterr()
    assert run(*train, "c", "--max-epochs", 3) == 2
    assert "holds another run" in capsys.readouterr().err


def test_prepared_tests_and_what_does_not_fit(folder, capsys):
    assert run("train", "made", "--data", "data.npz", "--run", "run", "--max-epochs", 1) == 0
    prepare = ["prepare", "--data", "data.npz", "--split", "test", "--out"]
    assert run(*prepare, "tests") == 0
    assert run("evaluate", "run", "--data", "data.npz") == 0
    assert run("evaluate", "run", "--data", "tests") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == said[-2]

    assert run(*prepare, "others", "--levels", 7) == 0
    assert run("prepare", "--data", "images", "--levels", 4, "--out", "pictures") == 0
    flipped = bytearray(Path("tests/test-00000.npy").read_bytes())
    flipped[-1] ^= 1
    labels, most = ["--labels-from", "table.csv"], ["--max-categories", 9]
    for arguments, message in [
        (["evaluate", "run", "--data", "others"], "prepared with 7 levels; this model takes 3"),
        (["evaluate", "run", "--data", "pictures:train"], r"\(1, 6, 6\); this model takes \(6,\)"),
        (["evaluate", "run", "--data", "pictures"], "no test examples; it has train, valid"),
        (["train", "made", "--data", "pictures", "--levels", 2, "--run", "new"], "levels 4, not 2"),
        (["train", "made", "--data", "pictures", "--size", 8, 8, "--run", "new"], r"size \(6, 6\)"),
        (
            ["train", "made", "--data", "pictures", "--stride", 2, "--run", "new"],
            "shards, to which stride does not apply",
        ),
        (
            ["train", "made", "--data", "others:test", *labels, "--run", "new"],
            "labels_from does not apply; it is for a table",
        ),
        (
            ["train", "made", "--data", "others:test", *most, "--run", "new"],
            "max_categories does not apply",
        ),
        ([*prepare, "images"], "not empty"),
        ([*prepare, "tests", "--levels", 7], r"levels was None, not 7"),
    ]:
        capsys.readouterr()
        assert run(*arguments) == 2
        assert re.search(message, capsys.readouterr().err), message
    Path("tests/test-00000.npy").write_bytes(flipped)
    assert run(*prepare, "tests") == 2
    assert "damaged" in capsys.readouterr().err


def test_ctrl_c_says_that_the_same_command_prepares_them_anew(folder, capsys, monkeypatch):
    prepare = ["prepare", "--data", "images", "--out", "shards"]

    def interrupt(self: ImageFolder, index: Tensor) -> Tensor:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ImageFolder, "_rows", interrupt)
        assert run(*prepare) == 130
    said = capsys.readouterr().err
    assert said == "autoregress: interrupted; the same command begins anew\n"
    assert run(*prepare) == 0


def test_what_was_skipped_is_written_down(folder, capsys):
    Path("clips/bad.mkv").write_bytes(b"no film")
    assert run("prepare", "--data", "clips", "--frames", 3, "--out", "shards") == 0
    assert "1 file skipped: bad.mkv" in capsys.readouterr().err
    ((name, _),) = json.loads(Path("shards/shards.json").read_text())["skipped"]
    assert name == "clips/bad.mkv"
