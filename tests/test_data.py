"""What goes in through data comes out again, and what is wrong is named."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from autoregress.data import Data, check_writable, digits, digits_splits, picture, read, write
from autoregress.data.formats.tables import MISSING
from autoregress.symbols import Columns, Symbols

quick = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def table(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def like(columns: Columns) -> Symbols:
    """What a model of a table's rows takes."""
    return Symbols((len(columns.names),), columns.levels, columns)


def labels(data: Data) -> list[list[str]]:
    """The rows of a table as texts."""
    assert data.columns is not None
    return [[data.columns.text(c, s) for c, s in enumerate(row)] for row in data.x.tolist()]


# ------------------------------------------------------------------------------------- Data


@given(st.integers(2, 60), st.floats(0.05, 0.95), st.integers(0, 2**31))
@quick
def test_a_split_is_a_partition_that_depends_on_the_seed_alone(n, fraction, seed):
    data = Data(torch.arange(n)[:, None], max(2, n), known=torch.rand(n, 1) < 0.5)
    if not 0 < round(fraction * n) < n:
        with pytest.raises(ValueError, match=f"of {n} rows leaves one part empty"):
            data.split(fraction, seed)
        return
    torch.manual_seed(n)  # the global state is not looked at
    kept, held = data.split(fraction, seed)
    again = data.split(fraction, seed)
    assert len(held) == round(fraction * n)
    assert sorted([*kept.x.flatten().tolist(), *held.x.flatten().tolist()]) == list(range(n))
    for part, same in zip((kept, held), again, strict=True):
        assert torch.equal(part.x, same.x)
        assert part.known is not None
        assert data.known is not None
        assert torch.equal(part.known, data.known[part.x.flatten()])


def test_different_seeds_hold_out_different_rows():
    data = Data(torch.arange(100)[:, None], 100)
    assert not torch.equal(data.split(0.5, 0)[1].x, data.split(0.5, 1)[1].x)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan")])
def test_a_split_refuses_what_is_no_fraction(fraction):
    with pytest.raises(ValueError, match="leaves one part empty"):
        Data(torch.zeros(10, 1, dtype=torch.uint8), 2).split(fraction, 0)


def test_data_holds_symbols_within_their_levels():
    x = torch.tensor([[0, 1], [1, 2]])
    data = Data(x, (2, 3))
    assert data.event_shape == (2,)
    assert len(data) == 2
    assert torch.equal(data[torch.tensor([1])], x[1:])
    with pytest.raises(ValueError, match="row 1, column 1 holds 2"):
        Data(x, 2)
    with pytest.raises(ValueError, match="known has shape"):
        Data(x, 3, known=torch.ones(2, dtype=torch.bool))


# ----------------------------------------------------------------------------------- arrays


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".NPY"])
@pytest.mark.parametrize("shape", [(5, 1), (4, 7), (3, 1, 2, 2), (2, 2, 1, 3, 3)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_arrays_come_back_as_written(tmp_path, suffix, shape, dtype):
    x = torch.randint(0, 5, shape, dtype=dtype)
    x.view(-1)[0] = 4
    write(tmp_path / f"a{suffix}", x, 5)
    data = read(tmp_path / f"a{suffix}")
    assert data.x.dtype == dtype
    assert torch.equal(data.x, x)
    assert data.levels == 5


@pytest.mark.parametrize(
    ("stored", "expected"),
    [("bool", torch.uint8), ("uint8", torch.uint8)]
    + [(name, torch.int64) for name in ("int8", "uint16", ">i4", "uint64", "float16", "float64")],
)
def test_any_whole_numbers_are_symbols(tmp_path, stored, expected):
    np.save(tmp_path / "a.npy", np.asfortranarray(np.array([[0, 1], [1, 1], [0, 0]], stored)))
    data = read(tmp_path / "a.npy")
    assert data.x.dtype == expected
    assert data.x.tolist() == [[0, 1], [1, 1], [0, 0]]
    assert data.levels == 2


def test_one_dimension_is_rows_of_one_column(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([0, 2, 1]), known=np.array([True, False, True]))
    data = read(tmp_path / "a.npz", partial=True)
    assert data.x.tolist() == [[0], [0], [1]]
    assert data.known is not None
    assert data.known.tolist() == [[True], [False], [True]]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[0, 1], [1, np.nan]]), r"row 1, column 1 is NaN; fill it"),
        (np.array([[0, 1], [np.inf, 1]]), r"row 1, column 0 is inf; fill it"),
        (np.array([[0, 1], [1, 0.5]]), r"row 1, column 1 is 0\.5; .*bin or quantise"),
        (np.array([[[0, 1], [1, -2]]]), r"row 0, position \(1, 1\) is -2; symbols count from 0"),
        (np.array([[-1.0]]), r"row 0, column 0 is -1\.0"),
        (np.array([[2**40]]), r"row 0, column 0 is 1099511627776; .*too large"),
        (np.array([[2**63]], np.uint64), "too large"),
        (np.array([[1e300]]), "too large"),
        (np.array([["a"]]), "values of type <U1; symbols are integers"),
        (np.array([[None]]), "holds Python objects"),
        (np.array([[1j]]), "complex128"),
        (np.array(3), "a single number"),
        (np.zeros((0, 3), np.uint8), r"is empty: its array has shape \(0, 3\)"),
        (np.zeros((3, 0), np.uint8), r"is empty"),
    ],
)
def test_what_is_no_symbol_is_named(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=rf"a\.npy.*{message}"):
        read(tmp_path / "a.npy")
    np.savez(tmp_path / "a.npz", x=array)
    with pytest.raises(ValueError, match=rf"a\.npz.*{message}"):
        read(tmp_path / "a.npz")


def test_given_levels_are_kept_and_held(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[0, 3]]))
    assert read(tmp_path / "a.npy", levels=9).levels == 9
    assert read(tmp_path / "a.npy", levels=(2, 4)).levels == (2, 4)
    with pytest.raises(ValueError, match=r"a\.npy: row 0, column 1 holds 3"):
        read(tmp_path / "a.npy", levels=3)
    columns = Columns(("a", "b"), (("x", "y"), ("1", "2", "3", "4")))
    data = read(tmp_path / "a.npy", like=like(columns))
    assert data.levels == (2, 4)
    assert data.columns == columns
    with pytest.raises(ValueError, match=r"a\.npy: this model takes .*batch, 1"):
        read(tmp_path / "a.npy", like=like(Columns(("a",), (("x", "y"),))))


@pytest.mark.parametrize("dim", [1, 7, 8, 9, 30])
def test_packed_bits_are_the_bits(tmp_path, dim):
    bits = np.random.default_rng(dim).integers(0, 2, (6, dim), np.uint8)
    packed = np.packbits(bits, axis=1)
    known = np.arange(dim) % 2 == 0
    np.savez(tmp_path / "a.npz", train=packed, dim=dim, known=known)
    assert read(tmp_path / "a.npz", split="train").x.tolist() == bits.tolist()
    data = read(tmp_path / "a.npz:train", partial=True)
    assert data.x.tolist() == np.where(known, bits, 0).tolist()
    assert data.known is not None
    assert data.known.tolist() == [known.tolist()] * 6


def test_an_integer_dim_beside_another_array_is_no_packing(tmp_path):
    x = np.array([[1, 2, 3]], np.uint8)
    np.savez(tmp_path / "a.npz", x=x, dim=3)
    assert read(tmp_path / "a.npz").x.tolist() == x.tolist()


def test_the_array_that_is_meant(tmp_path):
    path = tmp_path / "a.npz"

    def first(where=path, **options) -> int:
        return int(read(where, **options).x[0, 0])

    zero, one, two, three = np.arange(4).reshape(4, 1, 1)
    np.savez(path, x=zero, train=one, test=two, other=three)
    assert first() == first(split="valid") == 0
    assert first(split="train") == 1
    assert first(split="test") == 2
    assert first(f"{path}:other", split="test") == 3
    with pytest.raises(ValueError, match="no array 'nope'; it has x, train, test, other"):
        read(f"{path}:nope")

    np.savez(path, train=one, test=two)
    with pytest.raises(ValueError, match=r"it has train, test: write .*a\.npz:name"):
        read(path)

    np.savez(path, other=three, known=np.array([True]))
    assert first(split="test") == 3
    np.savez(path, train=one)
    assert first() == 1
    with pytest.raises(ValueError, match="no array 'test' or 'x'; it has train"):
        read(path, split="test")


def test_known_is_for_partial_data(tmp_path):
    x, known = torch.tensor([[3, 1], [2, 0]]), torch.tensor([[True, False], [False, True]])
    write(tmp_path / "a.npz", x, 4, known=known, extra={"nats": [0.5, 1.5], "id": ["a", "b"]})
    whole = read(tmp_path / "a.npz")
    assert whole.known is None
    assert torch.equal(whole.x, x)
    data = read(tmp_path / "a.npz", partial=True)
    assert data.known is not None
    assert torch.equal(data.known, known)
    assert torch.equal(data.x, x * known)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert archive["nats"].tolist() == [0.5, 1.5]
        assert archive["id"].tolist() == ["a", "b"]

    np.savez(tmp_path / "b.npz", x=np.array([[np.nan, 1.0]]), known=np.array([False, True]))
    assert read(tmp_path / "b.npz", partial=True).x.tolist() == [[0, 1]]
    np.savez(tmp_path / "c.npz", x=np.array([[1, 1]]), known=np.array([0, 1]))
    with pytest.raises(ValueError, match=r"c\.npz: known has type int64"):
        read(tmp_path / "c.npz", partial=True)
    with pytest.raises(ValueError, match="cannot be called 'known'"):
        write(tmp_path / "d.npz", x, 4, extra={"known": [1, 2]})


def test_damaged_arrays_are_named(tmp_path):
    np.save(tmp_path / "good.npy", np.arange(1000)[:, None])
    np.savez_compressed(tmp_path / "good.npz", x=np.arange(1000)[:, None])
    for suffix in (".npy", ".npz"):
        good = (tmp_path / f"good{suffix}").read_bytes()
        middle = len(good) // 2
        scratched = good[:middle] + bytes([good[middle] ^ 255]) + good[middle + 1 :]
        for damaged in (b"", b"hello", good[:middle], good[:3], scratched):
            if suffix == ".npy" and damaged == scratched:
                continue  # an .npy carries no checksum
            (tmp_path / f"bad{suffix}").write_bytes(damaged)
            with pytest.raises(ValueError, match=rf"bad\{suffix} is damaged"):
                read(tmp_path / f"bad{suffix}")


# ----------------------------------------------------------------------------------- tables

texts = st.text(
    # csv in Python 3.11 leaves a bare \r unquoted; lone surrogates are not UTF-8.
    st.characters(exclude_categories=("Cs",), exclude_characters="\r"),
    max_size=5,
).map(str.strip)
cells = texts.filter(lambda text: text not in MISSING) | st.integers(-99, 99).map(str)
names = st.lists(texts, min_size=1, max_size=4, unique=True)


@given(st.data(), names)
@quick
def test_tables_come_back_as_written(tmp_path, draw, header):
    rows = draw.draw(
        st.lists(st.tuples(*[st.sampled_from(draw.draw(st.lists(cells, min_size=1, max_size=5)))
                             for _ in header]), min_size=1, max_size=8)
    )  # fmt: skip
    columns = Columns(tuple(header), tuple(tuple(sorted(set(c))) for c in zip(*rows, strict=True)))
    x = torch.tensor(
        [[columns.labels[c].index(text) for c, text in enumerate(row)] for row in rows]
    )
    write(tmp_path / "a.csv", x, columns.levels, columns)

    data = read(tmp_path / "a.csv", like=like(columns))  # with the model's columns: the symbols
    assert data.columns == columns
    assert torch.equal(data.x.long(), x)
    assert data.symbols.levels == columns.levels


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=12))
@quick
def test_labels_are_found_and_kept(tmp_path, rows):
    columns = Columns(("a", "b"), tuple(tuple(dict.fromkeys(c)) for c in zip(*rows, strict=True)))
    x = torch.tensor([[columns.labels[c].index(text) for c, text in enumerate(r)] for r in rows])
    write(tmp_path / "a.csv", x, columns.levels, columns)
    found = read(tmp_path / "a.csv")
    assert found.columns is not None
    assert [tuple(row) for row in labels(found)] == rows
    write(tmp_path / "b.csv", found.x, found.levels, found.columns)
    assert (tmp_path / "b.csv").read_bytes() == (tmp_path / "a.csv").read_bytes()


def test_symbols_without_columns_come_back_as_numbers(tmp_path):
    x = torch.randint(0, 3, (5, 1, 2, 2))
    write(tmp_path / "a.csv", x, 3)
    data = read(tmp_path / "a.csv", levels=3)
    assert torch.equal(data.x.long(), x.flatten(1))
    assert data.levels == 3
    assert data.columns is None
    write(tmp_path / "a.csv", x, 3, extra={"nats": torch.ones(5)})
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == "0,1,2,3,nats"
    table(tmp_path / "b.csv", "a,b\n0,1\n0,3\n")
    with pytest.raises(ValueError, match="line 3, column 'b' holds '3'; its symbols are 0 to 2"):
        read(tmp_path / "b.csv", levels=3)
    with pytest.raises(ValueError, match="has 2 columns, but 3 are expected"):
        read(tmp_path / "b.csv", levels=(2, 2, 2))


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("3 1 4", "1 2 3 4"),  # whole numbers: the gap is a label
        ("-1 1", "-1 0 1"),
        ("1.0 3.0 2", "1 2 3"),
        ("1 1000000", "1 1000000"),  # the gap is too wide
        ("10 9.5 1e1", "9.5 10 1e1"),  # numbers
        ("01 1 02", "01 1 02"),  # codes
        ("10 9 x", "10 9 x"),  # texts
    ],
)
def test_labels_of_a_column(tmp_path, column, expected):
    data = read(table(tmp_path / "a.csv", "\n".join(["name", *column.split()]) + "\n"))
    assert data.columns == Columns(("name",), (tuple(expected.split()),))
    assert data.levels == len(expected.split())


def test_headers(tmp_path):
    def first(text: str) -> tuple[tuple[str, ...], int]:
        data = read(table(tmp_path / "a.csv", text), partial=True)
        assert data.columns is not None
        return data.columns.names, len(data)

    assert first("a, b\n1,2\n") == (("a", "b"), 1)
    assert first("\ufeffa,b\n1,2\n\n\n3,4\n") == (("a", "b"), 2)  # a mark, and blank lines
    assert first("1,2\n3,4\n") == (("0", "1"), 2)
    assert first("1,?\n3,4\n") == (("0", "1"), 2)  # an unknown does not make a header
    assert first("1,b\n3,4\n") == (("1", "b"), 1)

    # A model knows whether its columns have names, even such as look like numbers.
    years = Columns(("2019", "2020"), (("2019", "x"), ("2020", "y")))
    path = table(tmp_path / "a.csv", "2020,2019\ny,x\n")
    assert read(path, like=like(years)).x.tolist() == [[1, 1]]
    nameless = Columns(("0", "1"), (("1", "x"), ("2", "y")))
    assert read(table(path, "x,y\n1,2\n"), like=like(nameless)).x.tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize("mark", ["", "?", "nan", "NaN", "  "])
def test_missing_cells(tmp_path, mark):
    path = table(tmp_path / "a.csv", f"a,b\nx,1\ny,{mark}\n")
    with pytest.raises(ValueError, match=r"a\.csv: line 3, column 'b' is missing .*'missing'"):
        read(path)
    data = read(path, partial=True)
    assert data.x.tolist() == [[0, 0], [1, 0]]
    assert data.known is not None
    assert data.known.tolist() == [[True, True], [True, False]]


def test_the_columns_of_a_model(tmp_path):
    columns = Columns(("a", "b"), (("x", "y"), ("1", "2", "3")))
    path = table(tmp_path / "a.csv", "b,a\n3,y\n1.0,x\n")
    data = read(path, like=like(columns))
    assert data.x.tolist() == [[1, 2], [0, 0]]
    assert data.columns is columns

    with pytest.raises(ValueError, match="model's: missing 'b'; not expected 'c'"):
        read(table(path, "a,c\nx,1\n"), like=like(columns))
    with pytest.raises(ValueError, match=r"not expected '0', '1' .*not taken for a header"):
        read(table(path, "1,2\n"), like=like(columns))
    with pytest.raises(ValueError, match=r"line 3, column 'a' holds 'z'.*--labels-from"):
        read(table(path, "a,b\nx,1\nz,1\n"), like=like(columns))
    with pytest.raises(ValueError, match="line 2, column 'b' is missing"):
        read(table(path, "a,b\nx,\n"), like=like(columns))
    partial = read(table(path, "a,b\n?,2\n"), like=like(columns), partial=True)
    assert partial.x.tolist() == [[0, 1]]


def test_a_level_without_a_label_comes_back(tmp_path):
    constant = read(table(tmp_path / "a.csv", "a\nx\nx\n"))
    assert constant.levels == 2
    write(tmp_path / "b.csv", torch.tensor([[1], [0]]), constant.levels, constant.columns)
    assert read(tmp_path / "b.csv", like=constant.symbols).x.tolist() == [[1], [0]]


def test_labels_from_further_files(tmp_path):
    path = table(tmp_path / "a.csv", "a,b\nx,1\n")
    other = table(tmp_path / "b.csv", "b,a\n3,z\n,y\n")
    data = read(path, labels_from=(other,))
    assert data.columns == Columns(("a", "b"), (("x", "y", "z"), ("1", "2", "3")))
    assert len(data) == 1
    table(other, "a\nx\n")
    with pytest.raises(ValueError, match=r"b\.csv: the columns are not those of .*a\.csv"):
        read(path, labels_from=(other,))
    with pytest.raises(ValueError, match=r"gone\.csv"):
        read(path, labels_from=(tmp_path / "gone.csv",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n1,2,3\n", "line 3 has 3 cells, but the first row has 2"),
        ('a,b\n"1\n2",2\n1\n', "line 4 has 1 cells"),
        ("a,b, a\n1,2,3\n", "two columns are called 'a'"),
        ("", "is empty"),
        ("a,b\n", "a header and no rows"),
        ("a,b\n" + "".join(f"{n}.5,1\n" for n in range(7)), r"column 'a' has 7 .*max_categories"),
        ("a\n" + "x" * 200_000, "line 2: field larger"),
    ],
)
def test_what_is_wrong_with_a_table(tmp_path, content, message):
    with pytest.raises(ValueError, match=rf"a\.csv.*{message}"):
        read(table(tmp_path / "a.csv", content), max_categories=6)


def test_a_table_is_utf8(tmp_path):
    (tmp_path / "a.csv").write_bytes("a\nä\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a\.csv is not UTF-8"):
        read(tmp_path / "a.csv")


def test_further_columns_of_a_table(tmp_path):
    x, columns = torch.tensor([[0], [1]]), Columns(("a",), (("x", "y"),))
    path = tmp_path / "a.csv"
    write(path, x, (2,), columns, extra={"nats": torch.tensor([0.5, 2.0]), "id": ["p", "q"]})
    assert path.read_text() == "a,nats,id\nx,0.5,p\ny,2.0,q\n"
    with pytest.raises(ValueError, match="two columns would be called 'a'"):
        write(path, x, (2,), columns, extra={"a": [1, 2]})
    with pytest.raises(ValueError, match="column 'n' has 1 values for 2 rows"):
        write(path, x, (2,), columns, extra={"n": [1]})


# ----------------------------------------------------------------------------------- images


def save(folder: Path, name: str, values: np.ndarray, **options) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(values).save(path, **options)
    return path


@pytest.mark.parametrize("levels", [2, 3, 17, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_come_in_order_and_quantised(tmp_path, levels, channels):
    shape = (4, 6, channels) if channels == 3 else (4, 6)
    values = np.random.default_rng(0).integers(0, 256, (3, *shape), np.uint8)
    values[0, 0, :2] = np.array([0, 255])[:, None] if channels == 3 else [0, 255]
    for name, image in zip(("a.png", "b/c.PNG", "d.bmp"), values, strict=True):
        save(tmp_path, name, image)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "._a.png").write_text("no image either")
    data = read(tmp_path, levels=levels)
    expected = torch.from_numpy(values.astype(np.int64) * levels // 256)
    expected = expected[:, None] if channels == 1 else expected.permute(0, 3, 1, 2)
    assert data.x.dtype == torch.uint8
    assert torch.equal(data.x.long(), expected)
    assert data.levels == levels
    assert int(data.x.max()) == levels - 1
    assert torch.equal(read(tmp_path, levels=(levels,) * 24 * channels).x, data.x)
    assert torch.equal(read(tmp_path, levels=levels, size=(4, 6)).x, data.x)


def test_grey_or_colour(tmp_path):
    save(tmp_path, "a.png", np.full((2, 2), 100, np.uint8))
    Image.new("1", (2, 2), 1).save(tmp_path / "b.png")
    assert read(tmp_path).event_shape == (1, 2, 2)
    assert read(tmp_path, grey=False).event_shape == (3, 2, 2)
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(tmp_path / "c.png")  # nothing to be seen
    with pytest.warns(UserWarning, match=r"1 of 3 images was laid over white: c\.png"):
        data = read(tmp_path)
    assert data.event_shape == (3, 2, 2)
    assert data.x.flatten(1).unique(dim=1).T.tolist() == [[100, 255, 255]]


def test_the_centre_is_cropped(tmp_path):
    wide = np.zeros((4, 12), np.uint8)
    wide[:, 4:8] = 200
    save(tmp_path, "a.png", wide)
    save(tmp_path, "b.png", wide.T)
    assert (read(tmp_path, size=(4, 4)).x == 200).all()
    assert read(tmp_path, size=(2, 6)).event_shape == (1, 2, 6)
    with pytest.raises(ValueError, match=r"a\.png is \(4, 12\), .*b\.png is \(12, 4\); .*--size"):
        read(tmp_path)
    with pytest.raises(ValueError, match="size must be a height and a width of at least 1"):
        read(tmp_path, size=(0, 4))


def test_what_is_wrong_with_images(tmp_path):
    with pytest.raises(ValueError, match="holds no images"):
        read(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    good = save(tmp_path, "a.png", noise).read_bytes()
    with pytest.raises(ValueError, match="levels must be numbers from 2"):
        read(tmp_path, levels=1)
    for damaged in (b"", b"hello", good[:40], good[: len(good) // 2]):
        (tmp_path / "b.png").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"b\.png cannot be read as an image"):
            read(tmp_path / "b.png")


# ---------------------------------------------------------------------------------- picture


def tiles(image: Image.Image, across: int, height: int, width: int, scale: int) -> list[np.ndarray]:
    """The images of a grid, every enlarged pixel found to be of one colour."""
    grid = np.asarray(image)
    found = []
    down = (grid.shape[0] + 1) // (height * scale + 1)
    for i in range(across * down):
        top, left = i // across * (height * scale + 1), i % across * (width * scale + 1)
        tile = grid[top : top + height * scale, left : left + width * scale]
        small = tile[::scale, ::scale]
        assert (small.repeat(scale, 0).repeat(scale, 1) == tile).all()
        found.append(small)
    return found


@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 4, 4), (4, 4), (16,)])
@pytest.mark.parametrize("levels", [2, 3, 17, 256])
def test_the_pixels_of_a_picture_are_the_symbols(scale, shape, levels):
    x = torch.randint(0, levels, (5, *shape))
    image = picture(x, levels, scale=scale)
    found = tiles(image, 3, 4, 4, scale)
    assert len(found) == 6
    for symbols, tile in zip(x, found, strict=False):
        grey = (255 * symbols.double() / (levels - 1)).round().long()
        expected = grey.permute(1, 2, 0) if shape == (3, 4, 4) else grey.reshape(4, 4)
        assert tile.tolist() == expected.tolist()
    assert (found[5] == 128).all()  # no sixth image
    assert (np.asarray(image)[4 * scale] == 128).all()  # the line below the first row


def test_each_dimension_has_its_own_black_and_white():
    x = torch.tensor([[0, 1, 2, 3]])
    assert np.asarray(picture(x, (2, 2, 3, 5), scale=1)).tolist() == [[0, 255], [255, 191]]


def test_whole_labels_are_brightness():
    columns = Columns(tuple("abcd"), (("0",), ("2", "3", "4"), ("0", "1"), ("1", "4")))
    x = torch.tensor([[0, 1, 1, 1], [1, 2, 0, 0]])
    shown = np.asarray(picture(x, columns.levels, columns, scale=1))
    assert shown.tolist() == [[0, 191, 128, 0, 255], [64, 255, 128, 0, 64]]
    words = Columns(("a",), (("x", "y"),))
    with pytest.raises(ValueError, match="labels are not whole numbers"):
        picture(torch.tensor([[0]]), 2, words)


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (16, 28, 28), (100, 1, 8, 8), (3, 3, 32, 32), (7, 40, 2), (5, 2, 40)]
)
def test_a_picture_is_large_enough_to_see_and_small_enough_to_show(shape):
    image = picture(torch.zeros(shape, dtype=torch.uint8), 2)
    assert 500 < max(image.size) <= 1050
    assert min(image.size) > 200 or shape[0] < 9


def test_what_cannot_be_shown():
    for shape in ((2, 3), (2, 2, 4, 4), (2, 3, 2, 4, 4)):
        with pytest.raises(ValueError, match=r"cannot be shown .*\(3, H, W\).*\.npz or \.csv"):
            picture(torch.zeros(shape, dtype=torch.uint8), 2)
    with pytest.raises(ValueError, match="no images"):
        picture(torch.zeros(0, 4, dtype=torch.uint8), 2)
    with pytest.raises(ValueError, match="scale of a picture must be at least 1"):
        picture(torch.zeros(1, 4, dtype=torch.uint8), 2, scale=0)
    with pytest.raises(ValueError, match="row 0, column 3 holds 2"):
        picture(torch.tensor([[0, 1, 0, 2]]), 2)


# ------------------------------------------------------------------------------ bundled sets


def test_digits():
    data = digits()
    assert data.x.shape == (1797, 1, 8, 8)
    assert data.levels == 17
    assert int(data.x.max()) == 16
    bits = digits(threshold=8)
    assert bits.levels == 2
    assert torch.equal(bits.x, (data.x >= 8).to(torch.uint8))
    with pytest.raises(ValueError, match="17 levels, not 4"):
        digits(levels=4)
    with pytest.raises(ValueError, match="1 to 16, not 0"):
        digits(threshold=0)


def test_the_splits_of_the_digits_are_a_fixed_partition():
    parts = digits_splits()
    assert [len(part) for part in parts] == [1197, 300, 300]
    rows = torch.cat([part.x for part in parts]).flatten(1)
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    assert torch.equal(rows, digits().x[order].flatten(1))
    for part, bits in zip(parts, digits_splits(threshold=5), strict=True):
        assert torch.equal(bits.x, (part.x >= 5).to(torch.uint8))


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"autoregress\[demo\]"):
        digits()


# ------------------------------------------------------------------------------------ files


def test_a_png_holds_the_picture(tmp_path):
    x = torch.randint(0, 2, (4, 9))
    write(tmp_path / "a.png", x, 2)
    with Image.open(tmp_path / "a.png") as image:
        assert (np.asarray(image) == np.asarray(picture(x, 2))).all()


def test_paths_that_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match=r"no such file or folder: .*gone\.npz"):
        read(tmp_path / "gone.npz")
    (tmp_path / "a.txt").write_text("1")
    with pytest.raises(ValueError, match=r"a\.txt: .*\.npy, \.npz, \.csv, videos .* images"):
        read(tmp_path / "a.txt")


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.csv"])
def test_files_without_permission(tmp_path, monkeypatch, name):
    write(tmp_path / name, torch.tensor([[0], [1]]), 2)

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied", str(tmp_path / name))

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(ValueError, match=rf"{name} cannot be read: Permission denied"):
        read(tmp_path / name)


def test_paths_that_cannot_be_written(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"a\.txt: .*\.npy, \.npz, \.csv, \.gif"):
        check_writable(tmp_path / "a.txt")
    with pytest.raises(ValueError, match=r"there is no folder .*gone"):
        check_writable(tmp_path / "gone" / "a.npz")
    (tmp_path / "b.npz").mkdir()
    with pytest.raises(ValueError, match=r"b\.npz is a folder"):
        check_writable(tmp_path / "b.npz")
    check_writable(tmp_path / "a.npz")
    (tmp_path / "a.npz").touch()
    check_writable(tmp_path / "a.npz")  # there already, which is fine
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match="no permission"):
        check_writable(tmp_path / "a.npz")


def test_only_symbols_are_written(tmp_path):
    with pytest.raises(ValueError, match="row 0, column 0 holds 2"):
        write(tmp_path / "a.csv", torch.tensor([[2]]), 2)
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize("channels", [1, 3])
def test_rows_of_an_array_are_images_with_a_size(tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 5, (7, channels, 4, 6))
    forms = {
        "images": images,
        "rows": images.reshape(7, -1),
        "last": np.moveaxis(images, 1, -1),
        **({"maps": images[:, 0]} if channels == 1 else {}),
    }
    np.savez(tmp_path / "x.npz", **forms)
    for name in forms:
        data = read(f"{tmp_path / 'x.npz'}:{name}", size=(4, 6))
        assert np.array_equal(data.x.numpy(), images)
        assert data.event_shape == (channels, 4, 6)
    with pytest.raises(ValueError, match="not images of 6 by 4"):
        read(f"{tmp_path / 'x.npz'}:images", size=(6, 4))


def test_what_is_known_of_a_row_is_known_of_the_image(tmp_path):
    x, known = np.arange(12).reshape(1, 12), np.arange(12) % 3 == 0
    np.savez(tmp_path / "x.npz", x=x, known=known)
    data = read(tmp_path / "x.npz", size=(4, 3), partial=True)
    assert data.known is not None
    assert data.known.shape == (1, 1, 4, 3)
    assert data.x[data.known].tolist() == [0, 3, 6, 9]
