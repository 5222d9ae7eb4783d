"""What went in comes out: files with their names, arrays with their layout, tables to the byte."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import math
import random
import zipfile
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather as pf
import pyarrow.parquet as pq
import pytest
from conftest import run
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import autoregress as ar
from autoregress import coding
from autoregress.archive import writing
from autoregress.packing import comparison, pack, restore
from autoregress.packing.columns import Bins, way_of
from autoregress.packing.lines import read_lines
from autoregress.packing.packed import inside, restored_names
from autoregress.tables.frames import content_of


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(coding, "SIDE_BY_SIDE", 256)
    return tmp_path


def through(taker: Any, path: str, out: str, **reading: Any) -> ar.Archive:
    """Packs files, encodes them with their model, and restores them."""
    model = taker.coder if isinstance(taker, ar.Table) else taker
    packed = pack(taker, Path(path), ar.data.Reading(**reading))
    assert not packed.account.complaint
    file = io.BytesIO()
    more = {"manifest": packed.whole or packed.manifest, "beside": packed.beside}
    ar.encode_to(file, model, packed.source, with_model=True, **more)
    restore(ar.Archive(file), Path(out))
    return ar.Archive(file)


def picture(name: str, *size: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(name)
    return values


@pytest.fixture(scope="module")
def colour() -> ar.MADE:
    return ar.MADE((3, 4, 4), 256, hidden=(2,), ordered=True)


def test_images_of_any_size_come_back_in_their_folders(colour, monkeypatch):
    monkeypatch.setattr(writing, "CHUNK_BYTES", 100)
    sizes = {
        "a.png": (4, 4, 3),
        "in/b.png": (9, 7, 3),
        "in/deep/c.bmp": (3, 10, 3),
        "d.gif": (2, 5),
    }
    made = {
        name: picture(f"old/{name}", *size, seed=n) for n, (name, size) in enumerate(sizes.items())
    }
    through(colour, "old", "new")
    found = sorted(p.relative_to("new").as_posix() for p in Path("new").rglob("*") if p.is_file())
    assert found == ["a.png", "d.png", "in/b.png", "in/deep/c.png"]
    for name, values in made.items():
        with Image.open(Path("new", name).with_suffix(".png")) as image:
            shown = values if values.ndim == 3 else values[..., None].repeat(3, -1)
            assert np.array_equal(np.asarray(image.convert("RGB")), shown)


def test_what_would_have_the_same_name_has_another():
    names = ["a.jpg", "a.png", "b.gif", "in/a.jpg"]
    assert restored_names(names, ".png") == ["a.jpg.png", "a.png", "b.png", "in/a.png"]


@pytest.mark.parametrize("name", ["/x", "../x", "a/../../x", "a\\b", "", "a\0", "a" * 300, "."])
def test_no_name_leads_out_of_the_folder(name, tmp_path):
    with pytest.raises(ValueError, match="cannot be restored"):
        inside(tmp_path, name)


def test_pages_of_a_file_come_back_each(colour):
    pages = [Image.fromarray(picture(f"p{n}.png", 5, 4, 3, seed=n)) for n in range(3)]
    pages[0].save("book.tif", save_all=True, append_images=pages[1:])
    through(colour, "book.tif", "new")
    for n, page in enumerate(pages):
        with Image.open(f"new/book-{n}.png") as image:
            assert image.tobytes() == page.tobytes()


@pytest.mark.slow
def test_damage_loses_the_pictures_that_it_touches(colour, monkeypatch):
    monkeypatch.setattr(writing, "CHUNK_BYTES", 10)
    monkeypatch.setattr(colour, "chunk_rows", 1)
    for n in range(3):
        picture(f"old/{n}.png", 8, 4, 3, seed=n)
    packed, file = pack(colour, Path("old"), ar.data.Reading()), io.BytesIO()
    ar.encode_to(file, colour, packed.source, manifest=packed.manifest)
    content = bytearray(file.getvalue())
    whole = ar.Archive(bytes(content), colour)
    place = whole._contents.place_of(2)
    assert place is not None
    content[place.offset + place.length // 2] ^= 1
    archive = ar.Archive(bytes(content), colour, on_damage="skip")
    done = restore(archive, Path("new"))
    assert done.missing == ["1.png"]
    assert sorted(p.name for p in Path("new").iterdir()) == ["0.png", "2.png"]
    assert archive.lost == [range(2, 3)]


@pytest.mark.slow
def test_clips_of_any_size_come_back_with_their_rate(tmp_path):
    from fractions import Fraction

    from autoregress.data.formats.animations import ffv1
    from autoregress.data.formats.decoding import frame_rate

    model = ar.MADE((2, 3, 4, 4), 256, hidden=(2,), ordered=True)
    rng, made = np.random.default_rng(0), dict[str, np.ndarray]()
    for name, (size, rate) in {
        "a.mkv": ((4, 4, 4, 3), Fraction(25)),
        "in/b.mkv": ((5, 6, 9, 3), Fraction(30000, 1001)),
        "in/c.mkv": ((3, 4, 5, 1), Fraction(10)),
    }.items():
        made[name] = rng.integers(0, 256, size, dtype=np.uint8)
        Path("old", name).parent.mkdir(parents=True, exist_ok=True)
        Path("old", name).write_bytes(ffv1(made[name], rate))
    through(model, "old", "new", cache=tmp_path / "cache")
    for name, film in made.items():
        path = Path("new", name)
        clip = ar.data.read(
            path,
            frames=len(film),
            size=film.shape[1:3],
            grey=film.shape[3] == 1,
            cache=tmp_path / "c",
        )
        assert np.array_equal(clip.x[0].permute(0, 2, 3, 1), film)
        assert abs(frame_rate(path) - frame_rate(Path("old", name))) < 0.05


# Arrays

ARRAYS = {
    "bits": np.arange(60).reshape(10, 6) % 2 == 0,
    "bytes": np.arange(60, dtype=np.uint8).reshape(10, 6) % 2,
    "big": (np.arange(60).reshape(10, 6) % 2).astype(">i4"),
    "floats": (np.arange(60).reshape(10, 6) % 2).astype(np.float32),
    "columns first": np.asfortranarray(np.arange(60, dtype=np.int16).reshape(10, 6) % 2),
}


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_comes_back_as_it_was_stored(name, suffix):
    array, model = ARRAYS[name], ar.MADE(6, 2, hidden=(2,))
    np.save("in.npy", array) if suffix == ".npy" else np.savez("in.npz", digits=array)
    through(model, f"in{suffix}", f"out{suffix}")
    if suffix == ".npy":
        assert Path("out.npy").read_bytes() == Path("in.npy").read_bytes()
    else:
        with np.load("out.npz") as file:
            assert list(file) == ["digits"]
            found = file["digits"]
        assert (found.dtype, found.flags.f_contiguous) == (array.dtype, array.flags.f_contiguous)
        assert np.array_equal(found, array)


def test_arrays_that_are_read_in_another_shape_come_back_in_theirs():
    images = np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3) % 2
    np.save("last.npy", images)
    np.savez("packed.npz", x=np.packbits(images.reshape(2, -1)[:, :36], axis=1), dim=36)
    np.save("flat.npy", np.arange(8) % 2)
    through(ar.MADE((3, 4, 4), 2, hidden=(2,)), "last.npy", "out.npy")
    assert Path("out.npy").read_bytes() == Path("last.npy").read_bytes()
    through(ar.MADE(1, 2, hidden=(2,)), "flat.npy", "out.npy")
    assert Path("out.npy").read_bytes() == Path("flat.npy").read_bytes()
    through(ar.MADE(36, 2, hidden=(2,)), "packed.npz", "out.npz")
    with np.load("out.npz") as out, np.load("packed.npz") as old:
        assert np.array_equal(out["x"], old["x"])


def test_minus_zero_is_not_zero(capsys):
    ar.save(ar.MADE(2, 2, hidden=(2,)), "run")
    np.save("x.npy", np.array([[0.0, 1.0], [-0.0, 1.0]]))
    assert run("compress", "run", "x.npy", "--out", "x.areg") == 2
    assert "x.npy was changed where it holds −0; --fit" in capsys.readouterr().err


# Tables


def text_of(rows: int, seed: int = 0) -> str:
    """A table of many kinds of columns, written in an odd way here and there."""
    generator = random.Random(seed)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["id", "kind", "size", "when", "rare", "note", "same"])
    for n in range(rows):
        size = generator.choice(["1.50", "2.25", "", "NA", f"{generator.gauss(0, 900):.2f}", "7"])
        when = f"2024-0{1 + n % 9}-11 05:0{n % 3}:00" + generator.choice(["", "", ".25", "Z"])
        rare = generator.choice("aaab") if n % 40 else f"r{n}"
        writer.writerow(
            [n + 1, generator.choice(["x", "y,z", '"q"', ""]), size, when, rare, f"t{n * n}", "k"]
        )
    return file.getvalue()


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> ar.Table:
    path = tmp_path_factory.mktemp("table") / "t.csv"
    path.write_text(text_of(200))
    return ar.Table.fit(path, network={"hidden": (4,)}, max_epochs=1, quiet=True)


def odd(text: str, generator: random.Random) -> str:
    """A text with something unusual in some places, which csv.reader reads as well."""
    lines = text.splitlines(keepends=True)
    for _ in range(4):
        n = generator.randrange(1, len(lines))
        match generator.randrange(5):
            case 0:
                lines[n] = lines[n].replace(",", ", ")
            case 1:
                lines[n] = lines[n].rstrip("\n") + "\r\n"
            case 2:
                lines[n] += "\n"
            case 3:
                lines[n] = lines[n].replace(",k", ',"k"').replace(",x,", ',"x",')
            case _:
                lines[n] = lines[n].replace("1.50", "1.5").replace(",2.25", ",+2.25")
    return "".join(lines)


@pytest.mark.slow
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=12)
def test_the_text_of_a_table_comes_back_to_the_byte(table, seed):
    generator = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "CHUNK_BYTES", generator.choice((50, 2**16)))
        text = odd(text_of(generator.randint(2, 60), seed), generator)
        text = generator.choice((text, text.rstrip("\n"), text.replace("\n", "\r\n")))
        Path("t.csv").write_bytes(text.encode(generator.choice(("utf-8", "utf-8-sig"))))
        through(table, "t.csv", "back.csv")
    assert Path("back.csv").read_bytes() == Path("t.csv").read_bytes()


def test_what_a_table_says_is_not_said_again(table, of_types, tmp_path, capsys):
    text = text_of(40, 1).encode()
    Path("t.csv").write_bytes(text)
    packed, file = pack(table, Path("t.csv"), ar.data.Reading()), io.BytesIO()
    assert packed.whole is not None
    assert packed.manifest is not None
    assert len(str(packed.manifest)) < len(str(packed.whole)) / 2
    more = {"manifest": packed.manifest, "beside": packed.beside}
    ar.encode_to(file, table.coder, packed.source, **more)
    archive = ar.Archive(file, table.coder)
    restore(archive, Path("back.csv"), table=table)
    assert Path("back.csv").read_bytes() == text
    with pytest.raises(ValueError, match="give the run that compressed it"):
        restore(archive, Path("other.csv"))
    with pytest.raises(ValueError, match="is not the one that compressed"):
        restore(archive, Path("other.csv"), table=of_types)
    assert not Path("other.csv").exists()
    table.save("run")
    assert run("compress", "run", "t.csv", "--out", "t.areg") == 0
    assert run("decompress", "run", "t.areg", "--out", "again.csv") == 0
    assert Path("again.csv").read_bytes() == text
    assert run("compress", "run", "t.csv", "--with-model", "--out", "t.areg") == 0
    assert run("decompress", "t.areg", "--out", "alone.csv") == 0
    assert Path("alone.csv").read_bytes() == text


def test_text_in_a_compressed_file_comes_back_to_the_byte(table):
    text = text_of(40, 1).encode()
    Path("t.csv.gz").write_bytes(gzip.compress(text))
    Path("t.csv.bz2").write_bytes(bz2.compress(text))
    Path("t.csv.xz").write_bytes(lzma.compress(text))
    with zipfile.ZipFile("t.csv.zip", "w") as folder:
        folder.writestr("any name.csv", text)
    for suffix in (".gz", ".bz2", ".xz", ".zip"):
        through(table, f"t.csv{suffix}", f"back.csv{suffix}")
        assert content_of(Path(f"back.csv{suffix}")) == text
    through(table, "t.csv.gz", "back.csv")
    assert Path("back.csv").read_bytes() == text


# Values of every type, some of which have no text of their own.
VALUES: dict[str, tuple[str, list[Any]]] = {
    "whole": ("int16", [None, -3, 0, 7]),
    "number": ("float64", [None, 1.5, 0.1, -2.0, 3e20]),
    "short": ("float32", [0.25, 1.1, None, 7]),
    "odd": ("float64", [math.nan, None, -0.0, 0.0, math.inf]),
    "text": ("string", [None, "", "a", 'say "a, b"', " a ", "two\r\nlines", "nan", "k\0k"]),
    "yes": ("bool", [True, False, None]),
    "day": ("date32", [date(1969, 12, 31), date(2024, 2, 29), None]),
    "time": ("timestamp[us]", [datetime(2020, 1, 2, 3, 4, 5, 6), None, datetime(1969, 1, 1)]),
    "zone": ("timestamp[s, UTC]", [datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC), None]),
    "exact": ("decimal128(9, 2)", [Decimal("1.50"), None, Decimal("-3.25")]),
    "list": ("list<int64>", [[1, 2], [], None]),
}


def typed(seed: int, rows: int, names: Sequence[str] = tuple(VALUES)) -> pa.Table:
    generator = random.Random(seed)
    types = {
        "list<int64>": pa.list_(pa.int64()),
        "decimal128(9, 2)": pa.decimal128(9, 2),
        "timestamp[s, UTC]": pa.timestamp("s", "UTC"),
    }
    columns = {
        name: pa.array(
            [generator.choice(values) for _ in range(rows)],
            types.get(kind) or pa.type_for_alias(kind),
        )
        for name, (kind, values) in VALUES.items()
        if name in names
    }
    if "text" in names:
        columns["category"] = pa.DictionaryArray.from_arrays(
            pa.array([generator.choice([2, 0, None]) for _ in range(rows)], pa.int8()),
            pa.array(["low", "never", "high"]),
            ordered=True,
        )
    return pa.table(columns)


def same_bits(one: pa.Table, other: pa.Table) -> bool:
    """Whether the cells of two tables are written as the same bytes, which hold all their bits."""
    # As texts, since from_pylist of old versions of pyarrow forgets that categories are ordered.
    plain = pa.schema(
        f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in one.schema
    )
    files = [pa.BufferOutputStream() for _ in range(2)]
    for table, file in zip((one, other), files, strict=True):
        with pa.ipc.new_stream(file, plain) as stream:
            stream.write_table(pa.Table.from_pylist(table.to_pylist(), plain))
    return files[0].getvalue().equals(files[1].getvalue())


@pytest.fixture(scope="module")
def of_types(tmp_path_factory: pytest.TempPathFactory) -> ar.Table:
    path = tmp_path_factory.mktemp("typed") / "t.parquet"
    pq.write_table(typed(0, 200), path)
    return ar.Table.fit(path, network={"hidden": (4,)}, max_epochs=1, quiet=True)


@pytest.mark.slow
@given(seed=st.integers(0, 2**32 - 1), suffix=st.sampled_from([".parquet", ".feather"]))
@settings(max_examples=10)
def test_typed_columns_come_back_in_every_bit(of_types, seed, suffix):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "CHUNK_BYTES", 100)
        before = typed(seed, 1 + seed % 300).replace_schema_metadata({"made": "by hand"})
        parquet = suffix == ".parquet"
        write, read = (
            (pq.write_table, pq.read_table) if parquet else (pf.write_feather, pf.read_table)
        )
        write(before, f"t{suffix}")
        before = read(f"t{suffix}")  # Parquet has its own name for the elements of lists
        through(of_types, f"t{suffix}", f"back{suffix}")
    after = read(f"back{suffix}")
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after.to_pylist() == before.to_pylist() or same_bits(after, before)


def test_one_column_of_gaps_comes_back():
    before = pa.table({"text": pa.array(["a", None, "b", None, "a", "b"] * 20)})
    pq.write_table(before, "t.parquet")
    table = ar.Table.fit("t.parquet", network={"hidden": (4,)}, max_epochs=1, quiet=True)
    through(table, "t.parquet", "back.parquet")
    assert pq.read_table("back.parquet").equals(before)


def test_two_columns_of_one_name_are_refused(of_types):
    twice = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pa.ipc.new_file("t.arrow", twice.schema) as file:
        file.write_table(twice)
    with pytest.raises(ValueError, match="the same name"):
        pack(of_types, Path("t.arrow"), ar.data.Reading())


@pytest.mark.parametrize(
    "text",
    [
        "size,colour\nS,red\nL,blue\nS,blue\n",
        "colour,size\r\nred,S\r\nblue,L\r\n",
        '"size","colour"\n"S","red"\n"L",red\n',
        " size , colour\n S, red\n\nL ,blue",
    ],
)
def test_a_table_of_labels_comes_back_to_the_byte(text):
    columns = ar.Columns(("colour", "size"), (("blue", "red"), ("L", "S")))
    model = ar.MADE(2, columns.levels, hidden=(2,), columns=columns)
    Path("t.csv").write_bytes(text.encode())
    through(model, "t.csv", "back.csv")
    assert Path("back.csv").read_bytes() == text.encode()


def test_a_table_of_numbers_and_a_condition_come_back_to_the_byte():
    Path("t.csv").write_text("0,1,1\n1,0,2\n1.0,1,0\n")
    through(ar.MADE(3, 3, hidden=(2,)), "t.csv", "back.csv")
    assert Path("back.csv").read_bytes() == Path("t.csv").read_bytes()
    Path("c.csv").write_text("kind,a,b\ncat,x,y\ndog,x,x\ncat,y,y\n")
    columns = ar.Columns(("a", "b"), (("x", "y"),) * 2)
    model = ar.MADE(2, 2, hidden=(2,), columns=columns, labels=("cat", "dog"))
    through(model, "c.csv", "back.csv", condition="kind")
    assert Path("back.csv").read_bytes() == Path("c.csv").read_bytes()


@given(
    width=st.lists(st.integers(1, 2**30), min_size=1, max_size=4),
    first=st.integers(-(2**40), 2**40),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=40)
def test_places_in_bins_come_back(width, first, seed):
    rng = np.random.default_rng(seed)
    starts = first + np.cumsum([0, *width[:-1]])
    bins = Bins(tuple(starts.tolist()), tuple(width), 2)
    symbols = rng.integers(-1, len(width), 20)
    numbers = starts[symbols] + rng.integers(-2, np.array(width)[symbols] + 2)
    offsets, there = bins.offsets(symbols, numbers)
    found = bins.unpack(symbols, bins.pack(symbols, offsets))
    assert np.array_equal(found, offsets)
    assert np.array_equal((starts[symbols] + found)[there], numbers[there])


def test_how_a_column_is_written_is_found():
    way = way_of(['"a"', '"b"', "NA", None], ["a", "b", None, "c"], learnt=True)
    assert (way.before, way.after, way.missing) == ('"', '"', "NA")
    assert way_of(["7", "8", "9"], [None] * 3, learnt=False).counts


@given(text=st.text(st.sampled_from('ab,"\n\r; '), max_size=40))
@settings(max_examples=200)
def test_lines_are_the_text(text):
    lines = read_lines(text.encode(), ",", '"')
    assert "".join(lines.records) == text
    for record, cells in zip(lines.records, lines.cells, strict=True):
        if cells is not None:
            assert ",".join(cells) == record.rstrip("\r\n")


# The command line


@pytest.mark.slow
def test_a_person_with_the_file_needs_nothing_else(colour, capsys):
    ar.save(colour, "run")
    for n in range(2):
        picture(f"old/{n}.png", 6, 5, 3, seed=n)
    assert run("compress", "run", "old", "--with-model", "--verify", "--out", "p.areg") == 0
    said = capsys.readouterr().out
    assert "8 examples in p.areg: " in said
    assert "beside xz " in said
    assert "PNG " in said
    assert "smaller" in said  # an untrained model, with its own bytes
    assert run("decompress", "p.areg", "--out", "new") == 0
    for n in range(2):
        with Image.open(f"old/{n}.png") as one, Image.open(f"new/{n}.png") as other:
            assert one.tobytes() == other.tobytes()
    assert run("compress", "run", "old", "--out", "q.areg") == 0
    assert run("decompress", "q.areg", "--out", "none") == 2
    assert "q.areg: the model is not in the encoded examples" in capsys.readouterr().err


def test_salvage_says_what_is_lost(capsys, monkeypatch):
    monkeypatch.setattr(writing, "CHUNK_BYTES", 100)
    ar.save(ar.MADE(6, 2, hidden=(2,)), "run")
    x = np.random.default_rng(0).integers(0, 2, (700, 6)).astype(np.uint8)
    np.save("x.npy", x)
    assert run("compress", "run", "x.npy", "--out", "x.areg") == 0
    content = bytearray(Path("x.areg").read_bytes())
    place = ar.Archive("x.areg", ar.load("run"))._contents.place_of(300)
    assert place is not None
    content[place.offset + 20] ^= 1
    Path("x.areg").write_bytes(content)
    assert run("decompress", "run", "x.areg", "--out", "y.npy") == 2
    assert "x.areg: the encoded examples are damaged" in capsys.readouterr().err
    assert run("decompress", "run", "x.areg", "--salvage", "--out", "y.npy") == 0
    assert "examples 256 to 511 are lost" in capsys.readouterr().out
    assert np.array_equal(np.load("y.npy"), np.concatenate([x[:256], x[512:]]))


def test_sizes_of_others_are_those_of_the_whole(colour):
    values = [picture(f"old/{n}.png", 40, 30, 3, seed=n) for n in range(3)]
    sizes, estimated = comparison(pack(colour, Path("old"), ar.data.Reading()))
    assert not estimated
    noise = sum(v.size for v in values)
    assert all(noise < size < 1.2 * noise + 500 for size in sizes.values())
    assert {"xz", "PNG", "WebP"} <= set(sizes)
