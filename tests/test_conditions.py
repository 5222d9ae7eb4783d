"""Models conditioned on a label, from the command line: trained, measured, sampled, compressed."""

import csv

import numpy as np
import pytest
import torch
from conftest import run
from PIL import Image

import autoregress as ar

QUICK = ["--max-epochs", "20", "--batch-size", "10", "--hidden", "12", "--lr", "0.05"]


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Rows of two columns that are what the third one, the kind, says."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    kinds = rng.choice(["cat", "dog"], 200)
    with open("pets.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["sound", "kind", "size"])
        for kind, size in zip(kinds, rng.integers(3, size=200), strict=True):
            rows.writerow(["miaow" if kind == "cat" else "woof", kind, size])
    return tmp_path


@pytest.mark.slow
def test_the_whole_way_with_a_column_of_a_table(table, capsys):
    train = ["train", "made", "--data", "pets.csv", "--run", "run", *QUICK]
    assert run(*train, "--condition", "kind") == 0
    model = ar.load("run")
    assert model.labels == ("cat", "dog")
    assert model.symbols.columns is not None
    assert model.symbols.columns.names == ("sound", "size")

    assert run("sample", "run", "--given", "dog", "--count", 50, "--out", "dogs.csv") == 0
    with open("dogs.csv", newline="") as file:
        assert [row["sound"] for row in csv.DictReader(file)].count("woof") >= 48

    capsys.readouterr()
    assert run("evaluate", "run", "--data", "pets.csv", "--condition", "kind") == 0
    source = ar.data.read("pets.csv", condition="kind", like=model.symbols, labels=model.labels)
    assert capsys.readouterr().out.strip() == str(ar.evaluate(model, source))
    assert run("score", "run", "pets.csv", "--condition", "kind", "--out", "scores.csv") == 0

    # The labels are in the file: it takes nothing else to read it.
    assert run("compress", "run", "pets.csv", "--condition", "kind", "--out", "pets.areg") == 0
    assert run("decompress", "run", "pets.areg", "--out", "same.npy") == 0
    assert np.array_equal(np.load("same.npy"), source.x.numpy())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sample", "run", "--out", "x.csv"], "a label (cat, dog)"),
        (["sample", "run", "--given", "cow", "--out", "x.csv"], "a label (cat, dog)"),
        (["evaluate", "run", "--data", "pets.csv"], "pets.csv"),
        (["evaluate", "run", "--data", "pets.csv", "--given", "cat", "--condition", "kind"],
         "give one"),
        (["evaluate", "plain", "--data", "pets.csv", "--given", "cat"], "not conditioned"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_a_mistake_lists_the_labels(table, capsys, arguments, words):
    columns = ar.data.read("pets.csv", condition="kind")
    model = ar.MADE(2, columns.levels, columns=columns.columns, labels=columns.labels, hidden=(4,))
    ar.save(model, "run")
    whole = ar.data.read("pets.csv")
    ar.save(ar.MADE(3, whole.levels, columns=whole.columns, hidden=(4,)), "plain")
    assert run(*arguments) == 2
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_folders_of_images_are_classes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in (("bright", 255), ("dark", 0)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(8):
            image = np.full((4, 4), value, np.uint8)
            Image.fromarray(image).save(f"images/{name}/{i}.png")
    train = ["train", "pixelcnn", "--data", "images", "--condition", "folder", "--run", "run"]
    more = [
        "--levels",
        "2",
        "--layers",
        "1",
        "--features",
        "4",
        "--max-epochs",
        "40",
        "--lr",
        "0.02",
    ]
    assert run(*train, *more, "--warmup", 0, "--max-epochs", 40) == 0
    assert ar.load("run").labels == ("bright", "dark")
    assert run("sample", "run", "--given", "dark", "--count", 20, "--out", "dark.npy") == 0
    assert np.load("dark.npy").mean() < 0.2


def test_a_vector_is_given_as_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = ar.MADE(4, 2, hidden=(6,), context=2)
    ar.save(model, "run")
    x = torch.randint(2, (9, 4))
    np.save("x.npy", x)
    assert run("sample", "run", "--given", "0.5", "-1.5", "--count", 3, "--out", "y.npy") == 0
    row = torch.tensor([[0.5, -1.5]])
    expected = model.sample(3, row.expand(3, -1), generator=torch.Generator().manual_seed(0))
    assert np.array_equal(np.load("y.npy"), expected)
    assert run("sample", "run", "--given", "0.5", "--out", "y.npy") == 2
    given = ["--given", "0.5", "-1.5"]
    assert run("compress", "run", "x.npy", "--out", "x.areg", *given) == 0
    assert run("decompress", "run", "x.areg", "--out", "z.npy", *given) == 0
    assert np.array_equal(np.load("z.npy"), x)


def test_labels_cost_what_they_say():
    torch.manual_seed(0)
    x, labels = torch.randint(2, (4000, 3)), torch.randint(4, (4000,))
    model = ar.MADE(3, 2, hidden=(6,), labels=["a", "b", "c", "d"]).double().eval()
    context = torch.nn.functional.one_hot(labels, 4).double()
    packed = ar.encode(model, x, context=context)
    assert torch.equal(ar.decode(model, packed), x)
    nats = -model.log_prob(x, context).sum().item()
    bits = nats / np.log(2) + 4000 * 2
    assert bits / 8 < len(packed) < 1.01 * bits / 8 + 64
    with pytest.raises(ValueError, match="one-hot"):
        ar.encode(model, x, context=0.5 * context)
