"""What people hold goes in at one door, and every source offers the same and knows its content."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

import autoregress as ar
from autoregress.data import (
    Data,
    ImageFolder,
    Reading,
    Shards,
    Source,
    VideoFolder,
    as_source,
    bouncing_digits,
    read,
    write,
    write_shards,
)
from autoregress.data.formats.arrays import MappedArray
from autoregress.data.open import FORMATS
from autoregress.symbols import Columns, Symbols

quick = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LABELS = torch.tensor([0, 2, 1, 0, 2, 2, 1, 0])
X = torch.stack([(LABELS + n) % 3 for n in (0, 1, 1, 0)], 1)  # (8, 4)
ARRAY = X.numpy()


class Items(Dataset):
    """A torch Dataset of x alone, or of x and what it is conditioned on."""

    def __init__(self, *columns: Any) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, i: int) -> Any:
        first, *others = (column[i] for column in self.columns)
        return (first, *others) if others else first


class Frame:
    """As a DataFrame has it."""

    def to_numpy(self) -> np.ndarray:
        return np.asfortranarray(ARRAY)


class Endless(IterableDataset):
    def __iter__(self):
        yield X[0]


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


def mapped(array: np.ndarray, folder: Path) -> np.ndarray:
    np.save(folder / "mapped.npy", array)
    return np.load(folder / "mapped.npy", mmap_mode="r")


# What NumPy and torch both know, which every method of a model takes too.
ARRAYS = {
    **{name: lambda _, t=name: ARRAY.astype(t) for name in ("u1", "i1", "u2", "i4", "u8", "i8")},
    **{name: lambda _, t=name: ARRAY.astype(t) for name in (">u2", ">i4", ">i8", "<i2")},
    "a tensor": lambda _: X,
    "a tensor of bytes": lambda _: X.to(torch.uint8),
    "strides": lambda _: np.repeat(ARRAY, 2, 1)[:, ::2],
    "backwards": lambda _: ARRAY[::-1].copy()[::-1],
    "Fortran's order": lambda _: np.asfortranarray(ARRAY),
    "read-only": lambda _: read_only(ARRAY),
    "read-only and big-endian": lambda _: read_only(ARRAY.astype(">i2")),
    "mapped": lambda folder: mapped(ARRAY.astype(">u2"), folder),
    "lists": lambda _: ARRAY.tolist(),
    "tuples": lambda _: tuple(map(tuple, ARRAY.tolist())),
    "rows": lambda _: list(ARRAY),
}
SETS = {
    "data": lambda _: Data(X, 3),
    "a Dataset": lambda _: Items(X),
    "a Dataset of arrays": lambda _: Items(ARRAY.astype(">i4")),
    "a Dataset with labels": lambda _: Items(X, LABELS),
    "a TensorDataset": lambda _: TensorDataset(X),
    "a TensorDataset with labels": lambda _: TensorDataset(X, LABELS),
    "a Subset": lambda _: Subset(Items(X.repeat(2, 1)), range(8, 16)),
    "a Subset of a Subset": lambda _: Subset(Subset(TensorDataset(X.flip(0)), range(8)),
                                             range(7, -1, -1)),
    "a DataFrame": lambda _: Frame(),
}  # fmt: skip


# ------------------------------------------------------------------------------------ one door


@pytest.mark.parametrize("make", [*ARRAYS.values(), *SETS.values()], ids=[*ARRAYS, *SETS])
def test_what_people_hold_is_the_same_to_all(make, tmp_path):
    source = as_source(make(tmp_path))
    assert isinstance(source, Source)
    assert (len(source), source.event_shape, source.levels) == (8, (4,), 3)
    assert torch.equal(source[:].long(), X)
    assert source.digest == Data(X, 3).digest or isinstance(source, ar.data.Subset)
    model = ar.MADE(4, 3, hidden=(6,))
    expected = ar.evaluate(model, X)
    assert ar.evaluate(model, make(tmp_path)) == expected
    assert torch.equal(ar.decode(model, ar.encode(model, make(tmp_path))), X)
    states = []
    for data in (X, make(tmp_path)):
        torch.manual_seed(0)
        model = ar.MADE(4, 3, hidden=(6,))
        ar.fit(model, data, valid=data, max_epochs=2, batch_size=3, quiet=True)
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("make", ARRAYS.values(), ids=list(ARRAYS))
def test_the_methods_of_a_model_take_arrays_of_any_kind(make, tmp_path):
    model = ar.MADE(4, 3, hidden=(6,), orderings="any", evidence=True).eval()
    x, known = make(tmp_path), X == 0
    same = [
        lambda x, known: model.log_prob(x),
        lambda x, known: model.surprisal(x),
        lambda x, known: model.conditional_log_prob(x, known),
        lambda x, known: model.complete(x, known, generator=torch.Generator().manual_seed(0)),
    ]
    for method in same:
        with torch.no_grad():
            expected = method(X, known)
            for mask in (known, known.numpy(), known.tolist(), read_only(known.numpy())):
                assert torch.equal(method(x, mask), expected)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, ">i2"])
def test_bits_are_bits_of_any_type(dtype, tmp_path):
    bits = ARRAY > 0
    for data in (bits.astype(dtype), mapped(bits.astype(dtype), tmp_path), bits.tolist()):
        source = as_source(data)
        assert source.levels == 2
        assert np.array_equal(source[:].numpy(), bits)


def test_a_mapped_array_stays_on_disk(tmp_path):
    for like in (None, Symbols((4,), 3)):
        assert isinstance(as_source(mapped(ARRAY, tmp_path), like), MappedArray)


def test_a_model_says_of_which_levels_its_examples_are():
    like = Symbols((4,), (3, 3, 4, 5))
    for data in (X, ARRAY, Items(X), TensorDataset(X)):
        assert as_source(data, like).levels == (3, 3, 4, 5)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DataLoader(Items(X)), "give its dataset"),
        (Endless(), "an IterableDataset cannot"),
        ("x.npy", "'x.npy' is a path; open it with autoregress.data.read"),
        (Path("x.npy"), "open it with autoregress.data.read"),
        (b"x.npy", "is a path"),
        (None, "symbols are integers, got a NoneType"),
        ({"x": X}, "symbols are integers, got a dict"),
        ((row for row in ARRAY), "symbols are integers, got a generator"),
        ([[0, 1], [2]], "rows differ in length"),
        ([["a", "b"]], "an array of <U1"),
        (ARRAY.astype(object), "an array of object"),
        (ARRAY / 2, r"symbols are integers, got torch\.float64; round or bin"),
        (X.float(), r"symbols are integers, got torch\.float32"),
        (Items([{"x": x} for x in X]), "item 0 of the dataset is a dict; items are x, or"),
        (Items(X[:0]), "no examples"),
        (X[0], r"of shape \(4,\)"),
        (7, r"of shape \(\)"),
        (X - 1, "row 0, column 0 holds -1"),
    ],
)
def test_what_is_left_gets_a_sentence(data, message):
    with pytest.raises(ValueError, match=message):
        as_source(data)


def test_what_a_model_does_not_take_gets_a_sentence(tmp_path):
    like = Symbols((4,), 3)
    for data in (X[:, :3], ARRAY[:, :3], Items(X[:, :3]), mapped(ARRAY[:, :3], tmp_path)):
        with pytest.raises(ValueError, match=r"takes arrays of shape \(batch, 4\), got \(8, 3\)"):
            as_source(data, like)
    for data in (X + 1, Data(X + 1, 9)):
        with pytest.raises(ValueError, match="row 1, column 0 holds 3; its symbols are 0 to 2"):
            as_source(data, like)
    with pytest.raises(ValueError, match="an array of float64"):
        as_source(mapped(ARRAY / 1, tmp_path), like)


def test_rows_that_do_not_fit_are_named_when_they_are_met(tmp_path):
    model = ar.MADE(4, 3, hidden=(6,))
    for data in (Items(X + 1), mapped(ARRAY + 1, tmp_path)):
        for use in (ar.evaluate, ar.encode, lambda m, d: ar.fit(m, d, max_epochs=1, quiet=True)):
            with pytest.raises(ValueError, match="holds 3; its symbols are 0 to 2"):
                use(model, data)


# ---------------------------------------------------------------------------------- conditions


def test_items_may_be_conditioned_on_a_label_or_a_vector():
    one_hot = torch.eye(3)[LABELS]
    for labels in (LABELS, LABELS.tolist(), ARRAY[:, 0], one_hot, one_hot.numpy()):
        for data in (Items(X, labels), TensorDataset(X, torch.as_tensor(labels))):
            source = as_source(data)
            assert source.features == 3
            assert torch.equal(torch.as_tensor(source.context), one_hot)
            half = source.subset(slice(0, 8, 2))
            assert torch.equal(torch.as_tensor(half.context), one_hot[::2])
    wide = as_source(Items(X, LABELS), features=5).context
    assert wide is not None
    assert torch.equal(wide.argmax(1), LABELS)
    assert wide.shape == (8, 5)
    with pytest.raises(ValueError, match="the label of example 1 is 2; labels are 0 to 1"):
        as_source(TensorDataset(X, LABELS), features=2)


def test_a_conditional_model_finds_the_context_with_the_examples():
    one_hot = torch.eye(3)[LABELS]
    model = ar.MADE(4, 3, hidden=(6,), context=3)
    expected = ar.evaluate(model, X, context=one_hot)
    for data in (Data(X, 3, context=one_hot), Items(X, LABELS), TensorDataset(X, LABELS)):
        assert ar.evaluate(model, data) == expected
        assert ar.evaluate(model, data, context=one_hot.tolist()) == expected
        assert torch.equal(ar.decode(model, ar.encode(model, data), context=one_hot), X)
        assert ar.evaluate(ar.MADE(4, 3, hidden=(6,)), data).examples == 8  # looks at x alone
    ar.fit(model, Items(X, LABELS), valid=X, valid_context=one_hot,
           max_epochs=60, lr=0.05, quiet=True)  # fmt: skip
    assert ar.evaluate(model, X, context=one_hot).nats < expected.nats / 3
    with pytest.raises(ValueError, match="takes a context"):
        ar.evaluate(model, X)
    with pytest.raises(ValueError, match="7 rows for 8 examples"):
        Data(X, 3, context=one_hot[1:])
    with pytest.raises(ValueError, match=r"\(examples, features\)"):
        Data(X, 3, context=LABELS)


def images(folder: Path, **classes: list[int]) -> Path:
    for name, greys in classes.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for n, grey in enumerate(greys):
            Image.new("L", (3, 2), grey).save(folder / name / f"{n}.png")
    return folder


def test_folders_are_classes(tmp_path):
    folder = images(tmp_path / "all", dog=[1, 2], cat=[3], ant=[4])
    assert read(folder).context is None
    data = read(folder, condition="folder")
    assert data.labels == ("ant", "cat", "dog")
    assert data.context is not None
    assert data.context.dtype == torch.float32
    assert data.context.argmax(1).tolist() == [0, 1, 2, 2]
    some = images(tmp_path / "some", dog=[5])
    known = read(some, condition="folder", labels=data.labels)
    assert torch.equal(torch.as_tensor(known.context), torch.tensor([[0.0, 0.0, 1.0]]))
    images(some, emu=[6])
    with pytest.raises(ValueError, match="some: 'emu' is not one of the labels ant, cat, dog"):
        read(some, condition="folder", labels=data.labels)
    with pytest.raises(ValueError, match="conditioned on 'folder', not on 'colour'"):
        read(some, condition="colour")
    Image.new("L", (3, 2)).save(some / "z.png")
    with pytest.raises(ValueError, match=r"z\.png is not in a class folder"):
        read(some, condition="folder")


def test_a_column_of_a_table_is_conditioned_on(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,kind,b\nx,10,u\ny,9,v\nx,10,v\n")
    data = read(path, condition="kind")
    assert data.columns == Columns(("a", "b"), (("x", "y"), ("u", "v")))
    assert data.labels == ("9", "10")
    assert torch.as_tensor(data.context).argmax(1).tolist() == [1, 0, 1]
    later = tmp_path / "b.csv"
    later.write_text("kind,b,a\n9,v,x\n")
    known = read(later, condition="kind", like=data.symbols, labels=data.labels)
    assert (known.x.tolist(), torch.as_tensor(known.context).tolist()) == ([[0, 1]], [[1.0, 0.0]])
    later.write_text("kind,b,a\n11,v,x\n")
    with pytest.raises(ValueError, match=r"b\.csv: '11' is not one of the labels 9, 10"):
        read(later, condition="kind", like=data.symbols, labels=data.labels)
    assert read(path, condition="kind", labels_from=(later,)).labels == ("9", "10", "11")
    for text, message in [
        ("a,b\nx,u\n", "has no column 'kind' to condition on; it has 'a', 'b'"),
        ("a,kind\nx,?\n", "line 2, column 'kind' is missing; conditions must be known"),
        ("kind\nx\n", "no column other than the condition 'kind'"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read(path, condition="kind")


def test_an_array_is_conditioned_on_another(tmp_path):
    path = tmp_path / "a.npz"
    context = np.random.default_rng(0).normal(size=(8, 2))
    names = np.array(["b", "a", "c", "b", "c", "c", "a", "b"])
    np.savez(path, train=ARRAY, test=ARRAY[:3], context=context, kind=LABELS.numpy(),
             test_kind=LABELS.numpy()[:3], name=names, wrong=ARRAY)  # fmt: skip
    assert read(path, split="train").context is None
    floats = read(path, split="train", condition="context")
    assert floats.labels is None
    assert np.allclose(torch.as_tensor(floats.context).numpy(), context)
    kinds = read(path, split="train", condition="kind")
    assert kinds.labels == ("0", "1", "2")
    assert torch.equal(torch.as_tensor(kinds.context).argmax(1), LABELS)
    named = read(path, split="train", condition="name")
    assert named.labels == ("a", "b", "c")
    few = read(path, split="test", condition="kind", labels=kinds.labels)
    assert torch.equal(torch.as_tensor(few.context), torch.as_tensor(kinds.context)[:3])
    for options, message in [
        ({"condition": "colour"}, "has no array 'colour' to condition on; it has train"),
        ({"condition": "wrong"}, r"not an array \(8, 4\) of int64"),
        ({"condition": "context", "split": "test"}, "context has 8 rows for 3 examples"),
        ({"condition": "kind", "labels": ("0", "1")}, "'2' is not one of the labels 0, 1"),
    ]:
        with pytest.raises(ValueError, match=rf"a\.npz.*{message}"):
            read(path, **{"split": "train", **options})
    np.savez(path, rows=ARRAY, context=context)
    assert read(path, condition="context").features == 2


def test_shards_keep_what_their_examples_are_conditioned_on(tmp_path):
    data = Data(X, 3, context=torch.eye(3)[LABELS], labels=("a", "b", "c"))
    write_shards(tmp_path / "s", {"train": data, "valid": data.subset([1, 2])})
    for split, part in (("train", data), ("valid", data.subset([1, 2]))):
        shards = Shards(tmp_path / "s", split)
        shards.verify()
        assert shards.labels == data.labels
        assert torch.equal(torch.as_tensor(shards.context), torch.as_tensor(part.context))
        assert torch.equal(shards.data().x.long(), part.x)
    path = tmp_path / "s" / "train-context.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"train-context\.npy is damaged"):
        Shards(tmp_path / "s", "train").verify()
    path.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"train-context\.npy is damaged"):
        Shards(tmp_path / "s", "train")
    with pytest.raises(ValueError, match="other levels or conditions"):
        write_shards(tmp_path / "t", {"train": data, "valid": Data(X, 3)})


# --------------------------------------------------------------------------------- every source


def sources(folder: Path) -> dict[str, Source]:
    """One of each kind, of at least eight examples."""
    pictures = images(folder / "images", a=[10, 20, 30, 40], b=[1, 2, 3, 4])
    (folder / "clips").mkdir()
    write(folder / "clips" / "a.mkv", bouncing_digits(4, frames=6).data().x, 17)
    write_shards(folder / "shards", {"train": Data(X, 3)})
    return {
        "data": Data(X, 3),
        "mapped": as_source(mapped(ARRAY, folder)),
        "items": as_source(Items(X)),
        "images": ImageFolder(str(pictures)),
        "videos": VideoFolder(folder / "clips", frames=3, cache=folder / "cache"),
        "shards": Shards(folder / "shards"),
        "moving": bouncing_digits(9, frames=2),
        "subset": as_source(Items(X.repeat(2, 1))).subset(range(3, 11)),
    }


@pytest.fixture(scope="module")
def every(tmp_path_factory) -> dict[str, Source]:
    return sources(tmp_path_factory.mktemp("sources"))


@pytest.mark.slow
@given(st.data())
@quick
def test_examples_are_taken_by_number_slice_or_index(every, draw):
    for source in every.values():
        x, n = source.data().x, len(source)
        i = draw.draw(st.integers(-n, n - 1))
        part = draw.draw(st.slices(n))
        several = draw.draw(st.lists(st.integers(-n, n - 1), max_size=6))
        assert torch.equal(source[i], x[i])
        assert torch.equal(source[part], x[np.arange(n)[part].copy()])
        for index in (several, np.array(several, np.int64), torch.tensor(several).long()):
            assert torch.equal(source[index], x[torch.tensor(several).long()])
            assert torch.equal(source.subset(index)[:], x[torch.tensor(several).long()])
        mask = torch.zeros(n, dtype=torch.bool)
        mask[several] = True
        assert torch.equal(source[mask], x[mask])
        for wrong in (n, -n - 1):
            with pytest.raises(IndexError, match=f"out of range for {n} examples"):
                source[wrong]


def test_every_source_offers_the_same(every):
    for source in every.values():
        data = source.data()
        assert isinstance(data, Data)
        assert (len(data), data.event_shape, data.levels) == (
            len(source),
            source.event_shape,
            source.levels,
        )
        assert data.symbols.levels == source.symbols.levels
        kept, held = source.split(0.3, 0)
        both = [row.tolist() for row in (*kept, *held)]
        assert sorted(both) == sorted(row.tolist() for row in source)
        assert len({kept.digest, held.digest, source.digest}) == 3
        assert len(list(source)) == len(source)
        assert source.split(0.3, 0)[1].digest == held.digest


@pytest.mark.parametrize("name", ["data", "mapped", "items", "images", "videos", "moving"])
def test_a_digest_is_of_the_content(name, tmp_path, monkeypatch):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, again = sources(tmp_path / "one")[name], sources(tmp_path / "two")[name]
    assert one.digest == again.digest
    # The last example differs in a single symbol, or a pixel.
    match name:
        case "images":
            image = Image.new("L", (3, 2), 4)
            image.putpixel((2, 1), 5)
            image.save(tmp_path / "two" / "images" / "b" / "3.png")
            other = ImageFolder(tmp_path / "two" / "images")
        case "videos":
            x = bouncing_digits(4, frames=6).data().x
            x[3, 5, 0, 15, 15] ^= 16
            write(tmp_path / "two" / "clips" / "a.mkv", x, 17)
            other = VideoFolder(tmp_path / "two" / "clips", frames=3, cache=tmp_path / "cache")
        case "moving":
            other = bouncing_digits(9, frames=2, seed=1)
        case _:
            x = X.clone()
            x[7, 3] = (x[7, 3] + 1) % 3
            kind = {"data": x, "mapped": mapped(x.numpy(), tmp_path), "items": Items(x)}
            other = as_source(kind[name], Symbols((4,), 3))
    assert len(other) == len(one)
    assert other.digest != one.digest
    assert one.subset(torch.arange(len(one)).flip(0)).digest != one.digest


# ------------------------------------------------------------------------------------ one opener


def test_an_option_that_means_nothing_to_a_file_is_refused(tmp_path):
    (tmp_path / "clips").mkdir()
    write(tmp_path / "clips" / "a.mkv", bouncing_digits(1, frames=3).data().x, 17)
    images(tmp_path / "images", a=[1, 2])
    np.save(tmp_path / "a.npy", ARRAY)
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    write_shards(tmp_path / "shards", {"train": Data(X, 3)})
    paths = [tmp_path / name for name in ("clips", "images", "a.npy", "a.csv", "shards")]
    options: dict[str, Any] = {
        "levels": 4, "size": (2, 2), "grey": True, "frames": 1, "stride": 2, "step": 1,
        "cache": tmp_path / "cache", "labels_from": (tmp_path / "a.csv",), "max_categories": 9,
        "condition": "a",
    }  # fmt: skip
    assert sorted(options) == sorted(Reading(**options).given)
    kinds = {kind.holds_what: kind.takes for kind in FORMATS}
    for path in paths:
        taken = kinds[ar.data.open.__globals__["format_at"](path).holds_what]
        for name, value in options.items():
            if name not in taken:
                with pytest.raises(ValueError, match=rf"to which {name} does not apply; it is"):
                    read(path, **{name: value})
    with pytest.raises(ValueError, match="holds images, which cannot mark unknown entries"):
        read(tmp_path / "images", partial=True)
    with pytest.raises(TypeError, match="colour"):
        read(tmp_path / "images", colour=True)


def test_files_are_opened_as_a_model_takes_them(tmp_path):
    (tmp_path / "clips").mkdir()
    write(tmp_path / "clips" / "a.mkv", bouncing_digits(1, frames=4).data().x, 17)
    images(tmp_path / "images", a=[100, 200])
    picture, clip = Symbols((1, 4, 5), 7), Symbols((2, 1, 6, 4), 5)
    for path, like in ((tmp_path / "images", picture), (tmp_path / "clips", clip)):
        source = ar.data.open(path, like=like)
        assert not isinstance(source, Data)
        assert (source.event_shape, source.levels) == (like.event_shape, like.levels[0])
    rows = np.arange(40).reshape(2, 20) % 7
    np.save(tmp_path / "rows.npy", rows)
    assert ar.data.open(tmp_path / "rows.npy", like=picture)[:].shape == (2, 1, 4, 5)
    with pytest.raises(ValueError, match=r"clips holds videos; this model takes examples \(1, 4"):
        ar.data.open(tmp_path / "clips", like=picture)
    with pytest.raises(ValueError, match=r"images: this model takes arrays .*got \(2, 1, 2, 3\)"):
        ar.data.open(tmp_path / "images", like=clip)
    np.save(tmp_path / "rows.npy", rows + (np.arange(2) == 1)[:, None] * 6)
    with pytest.raises(ValueError, match=r"rows\.npy: row 1, position \(0, 0, 0\) holds 12"):
        ar.data.open(tmp_path / "rows.npy", like=picture)


def test_pixels_have_one_number_of_levels(tmp_path):
    folder = images(tmp_path / "images", a=[100, 200])
    assert read(folder, levels=(4,)).levels == 4
    with pytest.raises(ValueError, match="the same number of levels"):
        read(folder, levels=(2, 3))


# -------------------------------------------------------------------------------- what is loaded


def python(code: str) -> str:
    """What a fresh interpreter prints, in which the package has not run its own __init__."""
    bare = f"""
import importlib.machinery, importlib.util, sys
spec = importlib.machinery.ModuleSpec("autoregress", None, is_package=True)
spec.submodule_search_locations = [{os.path.dirname(ar.__file__)!r}]
sys.modules["autoregress"] = importlib.util.module_from_spec(spec)
{code}
"""
    done = subprocess.run([sys.executable, "-c", bare], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_how_files_are_read_is_known_without_torch():
    said = python(
        "from autoregress.data.reading import Reading\n"
        "import autoregress.data.formats.decoding\n"
        "print([name for name in ('torch', 'av') if name in sys.modules])"
    )
    assert said == "[]\n"


@pytest.mark.slow
def test_no_names_are_imported_before_they_are_used():
    said = python(
        "from autoregress import data\n"
        "print('torch' in sys.modules, data.read.__name__, 'torch' in sys.modules,\n"
        "      'av' in sys.modules, data.open.__name__)"
    )
    assert said == "False read True False open\n"
    assert all(hasattr(ar.data, name) for name in dir(ar.data))
    assert {"Data", "open", "read", "as_source", "VideoFolder"} <= set(dir(ar.data))


def test_clips_without_pyav(tmp_path, monkeypatch):
    clips = bouncing_digits(1, frames=2).data().x
    write(tmp_path / "a.mkv", clips, 17)
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for use in (
        lambda: read(tmp_path / "a.mkv", frames=2),
        lambda: write(tmp_path / "b.mkv", clips, 17),
        lambda: ar.data.check_writable(tmp_path / "b.mp4"),
    ):
        with pytest.raises(ImportError, match=r"pip install 'autoregress\[video\]'"):
            use()
    write(tmp_path / "a.gif", clips, 17)
    assert ar.data.open(tmp_path / "a.gif").event_shape[0] in (1, 3)


def test_a_tensor_is_shared_and_not_copied():
    x = X.clone()
    source = as_source(x)
    assert isinstance(source, Data)
    assert source.x is x
    array = ARRAY.copy()
    shared = as_source(array)
    array[0, 0] = 2
    assert isinstance(shared, Data)
    assert int(shared.x[0, 0]) == 2


def test_context_is_of_the_rows_that_are_asked_for(every):
    context = torch.eye(3)[LABELS]
    lazy: Source = as_source(Items(X, LABELS))
    for source in (Data(X, 3, context=context), lazy, lazy.subset(range(8))):
        for part in source.split(0.5, 1):
            rows: Tensor = part[:]
            assert torch.equal(torch.as_tensor(part.context).argmax(1), rows[:, 0])
