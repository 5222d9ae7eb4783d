"""The verbs as a stranger types them: what works, and one wrong input of each kind."""

import csv
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import run
from PIL import Image

import autoregress as ar

QUICK = ["--max-epochs", "2", "--hidden", "12"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with data of each kind, which is where the commands are run."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (60, 6)).astype(np.uint8)
    np.savez("data.npz", train=x[:40], valid=x[40:50], test=x[50:])
    np.save("rows.npy", x[:7])
    np.savez("partial.npz", x=x[:7], known=rng.random((7, 6)) < 0.5)
    with open("table.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["colour", "size"])
        rows.writerows(zip(rng.choice(["red", "blue"], 50), rng.integers(0, 4, 50), strict=True))
    Path("partial.csv").write_text("colour,size\nred,\n,3\n?,?\n")
    Path("images").mkdir()
    for i in range(12):
        picture = Image.fromarray(rng.integers(0, 256, (6, 6), dtype=np.uint8))
        picture.save(f"images/{i}.png")
    return tmp_path


def table(path):
    """The rows of a .csv file, by column."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def trained(data, *more):
    assert run("train", "made", "--data", data, "--run", "run", *QUICK, *more) == 0


def test_the_whole_way_with_an_array(folder, capsys):
    trained("data.npz")
    assert "40 training and 10 validation examples" in capsys.readouterr().out

    assert run("evaluate", "run", "--data", "data.npz") == 0
    printed = capsys.readouterr().out
    model = ar.load("run")
    score = ar.evaluate(model, np.load("data.npz")["test"])
    assert printed.strip() == str(score)

    for name in ("a.npy", "a.npz", "a.csv"):
        assert run("sample", "run", "--count", 5, "--out", name) == 0
    drawn = np.load("a.npy")
    assert drawn.shape == (5, 6)
    assert np.array_equal(np.load("a.npz")["x"], drawn)
    expected = model.sample(5, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(drawn, expected.numpy())
    cold = ["--temperature", 1e-9, "--out", "cold.npy"]
    assert run("sample", "run", *cold) == 0
    assert len(np.unique(np.load("cold.npy"), axis=0)) == 1
    assert run("complete", "run", "partial.npz", *cold) == 0
    x, known = (np.load("partial.npz")[name] for name in ("x", "known"))
    assert np.array_equal(np.load("cold.npy"), model.complete(x, known, temperature=1e-9).numpy())

    assert run("complete", "run", "partial.npz", "--out", "c.npz", "--log-prob") == 0
    partial, done = np.load("partial.npz"), np.load("c.npz")
    assert np.array_equal(done["x"][partial["known"]], partial["x"][partial["known"]])
    exact = model.conditional_log_prob(done["x"], partial["known"])
    assert np.allclose(done["log_prob"], exact.detach().numpy(), atol=1e-5)

    assert run("score", "run", "rows.npy", "--out", "scores.csv", "--top", 2) == 0
    rows = table("scores.csv")
    x = np.load("rows.npy")
    log_prob = model.log_prob(x).detach()
    surprisal = model.surprisal(x).detach()
    for row, lp, nats in zip(rows, log_prob, surprisal, strict=True):
        assert math.isclose(float(row["log_prob"]), float(lp), abs_tol=1e-5)
        assert math.isclose(float(row["bits_per_dim"]), -float(lp) / 6 / math.log(2), abs_tol=1e-5)
        assert int(row["surprise_1"]) == int(nats.argmax())
        assert math.isclose(
            float(row["surprise_2_nats"]), float(nats.topk(2).values[1]), abs_tol=1e-5
        )

    capsys.readouterr()
    assert run("compress", "run", "a.npy", "--out", "a.areg") == 0
    size = Path("a.areg").stat().st_size
    assert f"5 examples in a.areg: {size} bytes" in capsys.readouterr().out
    assert run("decompress", "run", "a.areg", "--out", "back.npy") == 0
    assert np.array_equal(np.load("back.npy"), drawn)
    assert run("decompress", "run", "a.npy", "--out", "back.npy") == 2
    assert "a.npy: not written by autoregress compress" in capsys.readouterr().err
    assert run("decompress", "run", "no.areg", "--out", "back.npy") == 2
    assert "no.areg" in capsys.readouterr().err

    assert run("info", "run") == 0
    info = capsys.readouterr().out
    assert re.search(r"^model +MADE$", info, re.MULTILINE)
    assert re.search(r"^epochs +2$", info, re.MULTILINE)


def test_the_whole_way_with_a_table(folder, capsys):
    trained("table.csv")
    assert run("evaluate", "run", "--data", "table.csv") == 0
    assert run("sample", "run", "--count", 30, "--out", "new.csv") == 0
    assert run("evaluate", "run", "--data", "new.csv") == 0
    rows = table("new.csv")
    assert rows[0].keys() == {"colour", "size"}
    assert {row["colour"] for row in rows} <= {"red", "blue"}
    assert {row["size"] for row in rows} <= set("0123")

    assert run("complete", "run", "partial.csv", "--out", "full.csv", "--log-prob") == 0
    rows = table("full.csv")
    assert rows[0]["colour"] == "red"
    assert rows[1]["size"] == "3"
    assert all(r["colour"] and r["size"] and float(r["log_prob"]) < 0 for r in rows)

    assert run("score", "run", "table.csv", "--out", "scores.csv") == 0
    names = {row["surprise_1"] for row in table("scores.csv")}
    assert names <= {"colour", "size"}


def test_the_whole_way_with_images(folder):
    trained("images", "--levels", 2, "--size", 4, 4)
    assert ar.load("run").event_shape == (1, 4, 4)
    assert run("evaluate", "run", "--data", "images") == 0
    assert run("sample", "run", "--count", 9, "--out", "s.png") == 0
    with Image.open("s.png") as picture:
        assert picture.size[0] > 100


def film(path, frames, seed=0):
    """A lossless film of noise, 6 × 8 pixels."""
    x = np.random.default_rng(seed).integers(0, 256, (1, frames, 3, 6, 8), np.uint8)
    ar.data.write(path, torch.from_numpy(x), 256)


@pytest.mark.slow
def test_the_whole_way_with_clips(folder, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "cached")
    for name in ("clips", "test-clips"):
        Path(name).mkdir()
        for n in range(4):
            film(f"{name}/{n}.mkv", 3 + 3 * n, seed=n)
    Path("clips/broken.mp4").write_bytes(b"nothing")
    as_asked = ["--frames", 3, "--size", 4, 5, "--grey", True, "--levels", 2, "--evidence"]
    trained("clips", *as_asked, "--cache", "mine")
    said = capsys.readouterr()
    assert "examples of shape (3, 1, 4, 5)" in said.out
    assert "1 file skipped: broken.mp4 (cannot be decoded: Invalid data" in said.err
    assert len(list(Path("mine").glob("*.npy"))) == 4
    trained("clips", *as_asked, "--cache", "mine")  # the same examples: nothing is left to do
    again = ["train", "made", "--data", "clips", "--run", "run", *QUICK, *as_asked]
    assert run(*again, "--labels-from", "table.csv") == 2
    assert "clips holds videos, to which labels_from does not apply" in capsys.readouterr().err
    assert run(*again, "--step", 1) == 2  # these are others

    capsys.readouterr()
    assert run("evaluate", "run", "--data", "test-clips") == 0
    model = ar.load("run")
    clips = ar.data.VideoFolder("test-clips", frames=3, size=(4, 5), grey=True, levels=2)
    assert len(clips) == 1 + 2 + 3 + 4
    assert capsys.readouterr().out.strip() == str(ar.evaluate(model, clips))
    assert run("evaluate", "run", "--data", "test-clips", "--stride", 2) == 0
    assert "(4 examples)" in capsys.readouterr().out

    assert run("sample", "run", "--count", 4, "--out", "samples.gif", "--rate", 5) == 0
    with Image.open("samples.gif") as image:
        assert image.size[0] > 100
    capsys.readouterr()
    assert run("sample", "run", "--count", 2, "--out", "s.mkv") == 0
    assert "2 samples in s-000.mkv to s-001.mkv" in capsys.readouterr().out
    drawn = model.sample(2, generator=torch.Generator().manual_seed(0))
    for n in range(2):
        again = ar.data.read(f"s-00{n}.mkv", frames=3, levels=2).x
        assert torch.equal(again[0].long(), drawn[n])

    # Of each clip its beginning, be it ever so short.
    film("short.mkv", 2, seed=9)
    for partial, count in (("short.mkv", 1), ("test-clips", 4), ("s-000.mkv", 1)):
        command = ["complete", "run", partial, "--known-frames", 2]
        for name in ("continued.gif", "continued.npz"):
            more = ["--log-prob"] if name.endswith(".npz") else []
            assert run(*command, "--out", name, *more) == 0
        done = np.load("continued.npz")
        beginning = ar.data.VideoFolder(
            partial, frames=2, step=1000, size=(4, 5), grey=True, levels=2
        )
        assert np.array_equal(done["x"][:, :2], beginning.data().x)
        assert done["known"].sum() == count * 2 * 20
        exact = model.conditional_log_prob(done["x"], done["known"]).detach().numpy()
        assert np.allclose(done["log_prob"], exact, atol=1e-5)
    np.save("arrays.npy", drawn.numpy())
    assert run("complete", "run", "arrays.npy", "--known-frames", 1, "--out", "c.npy") == 0
    assert np.array_equal(np.load("c.npy")[:, 0], drawn[:, 0])

    assert run("score", "run", "test-clips", "--out", "scores.csv") == 0
    scores = [float(row["log_prob"]) for row in table("scores.csv")]
    assert np.allclose(scores, model.log_prob(clips.data().x).detach(), atol=1e-5)

    capsys.readouterr()
    for arguments, message in (
        (["complete", "run", "short.mkv", "--out", "c.npz"], "--known-frames"),
        (["complete", "run", "short.mkv", "--known-frames", 4, "--out", "c.npz"], "from 0 to T"),
        (["complete", "run", "short.mkv", "--known-rows", 1, "--out", "c.npz"], "models of images"),
        (["complete", "run", "short.mkv", "--known-frames", 3, "--out", "c.npz"], "too short"),
        (["evaluate", "run", "--data", "short.mkv"], "it has 2 frames, a clip needs 3"),
        (["evaluate", "run", "--data", "gone.mkv"], "no such file or folder"),
        (["evaluate", "run", "--data", "images"], r"shape \(batch, 3, 1, 4, 5\)"),
        (["train", "made", "--data", "gone.mp4", "--run", "new"], "no such file or folder"),
    ):
        assert run(*arguments) == 2
        assert re.search(message, capsys.readouterr().err)


def test_the_rows_of_images_that_are_known(folder, capsys):
    trained("images", "--levels", 2, "--size", 4, 4, "--evidence")
    for partial, count in (("images", 12), ("images/3.png", 1)):
        assert run("complete", "run", partial, "--known-rows", 2, "--out", "c.npz") == 0
        done = np.load("c.npz")
        given = ar.data.read(partial, size=(4, 4), grey=True, levels=2).x
        assert len(given) == count
        assert np.array_equal(done["x"][:, :, :2], given[:, :, :2])
        assert done["known"].all((0, 1, 3)).tolist() == [True, True, False, False]
    capsys.readouterr()
    assert run("complete", "run", "images", "--known-rows", 5, "--out", "c.npz") == 2
    assert "from 0 to H" in capsys.readouterr().err
    assert run("complete", "run", "images", "--known-frames", 1, "--out", "c.npz") == 2
    film("a.mkv", 3)
    capsys.readouterr()
    assert run("evaluate", "run", "--data", "a.mkv") == 2
    assert "a.mkv holds videos; this model takes examples (1, 4, 4)" in capsys.readouterr().err


def test_training_again_goes_on(folder, capsys):
    trained("data.npz")
    trained("data.npz", "--max-epochs", 4)
    assert len(Path("run/log.jsonl").read_text().splitlines()) == 4
    trained("data.npz", "--max-epochs", 4)
    assert len(Path("run/log.jsonl").read_text().splitlines()) == 4
    config = json.loads(Path("run/config.json").read_text())
    assert config["training"]["max_epochs"] == 4
    assert config["model"]["hidden"] == [12]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "links"),
    [([], True), ([], False), (["--models", 2], True), (["--orderings", 3], True)],
)
def test_a_compressed_file_outlives_further_training(folder, monkeypatch, more, links):
    if not links:  # as on a file system without them
        monkeypatch.setattr(Path, "hardlink_to", lambda *_: os.link("", ""))
    rows = np.tile(np.arange(40)[:, None] % 3, 6)  # of which every epoch learns more
    np.save("rows.npy", rows)
    files = []
    for epochs in (2, 4, 4, 6):
        trained("rows.npy", *more, "--max-epochs", epochs, "--patience", 0)
        files.append(f"{len(files)}.areg")
        assert run("compress", "run", "rows.npy", "--out", files[-1]) == 0
    # Each file's weights are there, and no more: the third was made with those of the second.
    assert len(list(Path("run/weights").iterdir())) == 3
    for file in files:
        assert run("decompress", "run", file, "--out", "back.npy") == 0
        assert np.array_equal(np.load("back.npy"), rows)
    trained("rows.npy", *more, "--max-epochs", 7, "--patience", 0)  # the run still resumes

    kept = next(Path("run/weights").iterdir())
    with kept.open("r+b") as file:
        file.seek(-5, os.SEEK_END)
        file.write(b"\xff")
    refused = [run("decompress", "run", file, "--out", "back.npy") for file in files]
    assert sorted(set(refused)) == [0, 2]


def test_a_compressed_file_of_a_mixture_outlives_the_training_of_its_runs(folder):
    for name in "ab":
        assert run("train", "made", "--data", "data.npz", "--run", name, *QUICK) == 0
    assert run("mix", "a", "b", "--out", "both") == 0
    assert run("compress", "both", "rows.npy", "--out", "rows.areg") == 0
    more = [*QUICK, "--max-epochs", 5]
    assert run("train", "made", "--data", "data.npz", "--run", "a", *more) == 0
    assert run("decompress", "both", "rows.areg", "--out", "back.npy") == 0
    assert np.array_equal(np.load("back.npy"), np.load("rows.npy"))
    assert not Path("both/weights").exists()  # nothing trains in it


@pytest.mark.slow
def test_what_a_compressed_file_holds_is_told_without_its_model(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("autoregress.archive.writing.CHUNK_BYTES", 100)
    path = tmp_path / "digits.areg"
    path.write_bytes(content := ar.encode(ar.load("digits"), ar.data.digits().x[:27]))

    def told() -> dict[str, str]:
        assert run("info", path) == 0
        lines = (line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
        return {key: value.strip() for key, value in lines}

    whole = told()
    assert whole["model"] == "MADE, not inside"
    assert (whole["event shape"], whole["levels"], whole["examples"]) == ("(1, 8, 8)", "17", "27")
    assert whole["damaged"] == "0 examples"
    half = len(content) // 2
    path.write_bytes(content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :])
    assert 0 < int(told()["damaged"].split()[0]) < 27
    path.write_bytes(content[:half])
    assert told()["damaged"].endswith("the end is missing")


def test_held_out_rows_are_a_function_of_the_seed(folder, capsys):
    np.save("all.npy", np.load("data.npz")["train"])
    for seed, name in [(1, "a"), (1, "b"), (2, "c")]:
        command = ["train", "made", "--data", "all.npy", "--run", name, "--seed", seed, *QUICK]
        assert run(*command, "--holdout", "0.25") == 0
    one, same, other = (ar.load(name).state_dict()["output.weight"] for name in "abc")
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert "30 training and 10 validation" in capsys.readouterr().out


def test_evaluate_takes_more_orderings_of_a_model_of_all(folder, capsys):
    trained("data.npz", "--orderings", "any", "--no-evidence")
    capsys.readouterr()
    assert run("evaluate", "run", "--data", "data.npz", "--orderings", 30) == 0
    printed = capsys.readouterr().out.strip()
    model = ar.load("run")
    assert isinstance(model, ar.MADE)
    torch.manual_seed(0)
    model = model.ensemble(30)
    assert printed == str(ar.evaluate(model, np.load("data.npz")["test"]))
    assert len(model.members) == 30

    assert run("mix", "run", "run", "--out", "both") == 0
    capsys.readouterr()
    assert run("evaluate", "both", "--data", "data.npz", "--orderings", 15) == 0
    assert capsys.readouterr().out.strip() == printed  # 15 and then 15 of the same 30 orderings


MISTAKES = {
    "orderings of a model of one": (
        ["evaluate", "run", "--data", "data.npz:valid", "--orderings", 9],
        "was not trained over all orderings",
    ),
    "no such data": (["evaluate", "run", "--data", "nope.npz"], "no such file"),
    "no such run": (["info", "nope"], "no folder nope"),
    "a folder that is no run": (["info", "images"], "config.json"),
    "another shape": (["evaluate", "run", "--data", "wide.npy"], r"\(batch, 6\), got \(3, 7\)"),
    "symbols out of range": (
        ["evaluate", "run", "--data", "high.npy"],
        "row 2, column 4 holds 9; its symbols are 0 to 2",
    ),
    "NaN": (["evaluate", "run", "--data", "nan.npy"], "NaN"),
    "empty": (["evaluate", "run", "--data", "empty.npy"], "empty"),
    "pickle": (["evaluate", "run", "--data", "pickle.npy"], "pickle.npy"),
    "no such folder to write in": (["sample", "run", "--out", "no/a.npz"], "no folder"),
    "a kind that is not written": (["sample", "run", "--out", "a.jpg"], ".png"),
    "vectors are no picture": (["sample", "run", "--out", "a.png"], ".npz or .csv"),
    "no mask": (["complete", "run", "rows.npy", "--out", "a.npz"], "does not say what is known"),
    "no temperature": (["sample", "run", "--out", "a.npz", "--temperature", 0], "above 0"),
    "no count": (["sample", "run", "--out", "a.npz", "--count", 0], "at least 1"),
    "another model's run": (
        ["train", "made", "--data", "data.npz", "--run", "run", "--hidden", 7],
        r"hidden is \[12\], not \[7\]",
    ),
    "a senseless option": (
        ["train", "made", "--data", "data.npz", "--run", "new", "--lr", -1],
        "lr must be above 0",
    ),
    "a senseless model": (
        ["train", "made", "--data", "data.npz", "--run", "new", "--hidden", 0],
        "at least one unit",
    ),
    "a plan for no device": (["plan", "made", "--devices", 0], "must be at least 1, got 0"),
    "a plan for another shape": (["plan", "pixelcnn", "--shape", 9], r"has a shape \(C, H, W\)"),
    "a folder of something else": (
        ["train", "made", "--data", "data.npz", "--run", "images"],
        "not a run",
    ),
    "damaged weights": (["info", "damaged"], "damaged"),
    "no such recipe": (["train", "mode", "--data", "data.npz"], "made"),
    "no such verb": (["trian"], "train"),
}


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A trained run beside wrong inputs of each kind."""
    folder = tmp_path_factory.mktemp("mistakes")
    before = Path.cwd()
    os.chdir(folder)
    x = np.random.default_rng(0).integers(0, 3, (40, 6))
    np.savez("data.npz", train=x[:30], valid=x[30:])
    trained("data.npz")
    np.save("rows.npy", x)
    np.save("wide.npy", np.zeros((3, 7), int))
    x[2, 4] = 9
    np.save("high.npy", x)
    np.save("nan.npy", np.where(x > 8, np.nan, x))
    np.save("empty.npy", np.zeros((0, 6), int))
    np.save("pickle.npy", np.array([{"a": 1}], dtype=object))
    Path("images").mkdir()
    Image.new("L", (4, 4)).save("images/a.png")
    Path("damaged").mkdir()
    for name in ("config.json", "model.safetensors"):
        Path("damaged", name).write_bytes(Path("run", name).read_bytes())
    with open("damaged/model.safetensors", "r+b") as file:
        file.seek(-5, os.SEEK_END)
        file.write(b"\xff")
    os.chdir(before)
    return folder


@pytest.mark.parametrize(("arguments", "message"), list(MISTAKES.values()), ids=list(MISTAKES))
def test_a_mistake_gets_one_sentence_and_loses_nothing(
    arguments, message, run_folder, monkeypatch, capsys
):
    monkeypatch.chdir(run_folder)
    before = {p: p.read_bytes() for p in Path("run").rglob("*.*")}
    assert run(*arguments) == 2
    said = capsys.readouterr()
    assert re.search(message, said.err + said.out)
    assert "Traceback" not in said.err
    if said.err.startswith("autoregress: "):
        assert said.err.count("\n") == 1
    after = {p: p.read_bytes() for p in Path("run").rglob("*.*")}
    assert {p: b for p, b in after.items() if p.name != "config.json"} == {
        p: b for p, b in before.items() if p.name != "config.json"
    }


def test_an_unwritable_file_is_said_before_the_work(run_folder, monkeypatch, capsys):
    monkeypatch.chdir(run_folder)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert run("sample", "run", "--out", "a.npz") == 2
    assert "no permission" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(folder, capsys):
    command = ["train", "made", "--data", "data.npz", "--run", "run", "--lr", "1e30", *QUICK]
    assert run(*command) == 1
    assert re.search(r"step \d+; the last checkpoint", capsys.readouterr().err)


HUGE = 10**15  # of anything: more than a process can address


def test_what_is_too_large_for_memory_gets_one_sentence(run_folder, monkeypatch, capsys):
    monkeypatch.chdir(run_folder)
    monkeypatch.setattr("autoregress.memory.free_memory", lambda device="cpu": 1e9)
    np.save("bytes.npy", np.full((9, 4), 255))
    np.save("numbers.npy", np.full((9, 4), 2 * 10**9))
    train, wide = ["train", "made", "--run", "new", "--data"], ["--hidden", 10**6, 10**6]
    sizes = r"which take [\d.]+ [GTPE]B, but 1 GB of memory are free"
    weights = rf"this model has \S+ weights or more, {sizes}"
    for arguments, sentence in (
        ([*train, "data.npz", *wide], weights),
        ([*train, "bytes.npy", *wide], rf"{weights}; --ordered True takes the 256 levels .*"),
        ([*train, "numbers.npy", *wide], rf"{weights}; train table takes numbers .* from a \.csv"),
        (["sample", "run", "--out", "s.npz", "--count", HUGE], r"\S+ samples would take .* free"),
    ):
        assert run(*arguments) == 2
        assert re.fullmatch(rf"autoregress: {sentence}\n", capsys.readouterr().err)
        assert not Path("new").exists()

    def exhausted(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(ar.MADE, "log_prob", exhausted)
    assert run("evaluate", "run", "--data", "data.npz:valid") == 1
    assert "a smaller --batch-size" in capsys.readouterr().err


def heed_ctrl_c() -> None:
    """What the tests run in may itself be in the background, where Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
def test_ctrl_c_amid_an_update_leaves_a_run_that_goes_on_to_the_same_weights(folder, capsys):
    """An update is finished, and its checkpoint written, before the process ends."""
    Path("stopping.py").write_text(
        "import signal, torch\n"
        "update, count = torch.optim.AdamW.step, iter(range(1000))\n"
        "def step(*args):\n"
        "    if next(count) == 7:  # 0 is before the first update\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "    return update(*args)\n"
        "torch.optim.AdamW.step = step\n"
    )
    train = ["train", "made", "--data", "data.npz", "--hidden", "8", "--batch-size", "10"]
    train += ["--max-epochs", "4"]
    command = [sys.executable, "-m", "autoregress", "--plugin", "stopping", *train, "--run", "run"]
    stopped = subprocess.run(
        command, capture_output=True, text=True, preexec_fn=heed_ctrl_c, timeout=60
    )
    assert stopped.returncode == 130
    *_, said = stopped.stderr.splitlines()
    assert said == "autoregress: interrupted; the same command resumes the training run"
    assert json.loads(Path("run/last.json").read_text())["position"]["step"] == 7
    for name in ("run", "whole"):
        assert run(*train, "--run", name) == 0
        assert "best after epoch" in capsys.readouterr().out
    weights = [ar.load(name).state_dict() for name in ("run", "whole")]
    assert all(map(torch.equal, weights[0].values(), weights[1].values()))


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.01, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2])
def test_ctrl_c_ends_with_one_line_from_the_first_import_on(folder, delay):
    program = "from autoregress.cli import main; print(flush=True); main()"
    command = [sys.executable, "-c", program, "train", "made", "--data", "data.npz", "--run", "run"]
    command += ["--max-epochs", "1000000", "--patience", "0"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
        preexec_fn=heed_ctrl_c,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    *progress, last = said.splitlines()
    assert last.startswith("autoregress: interrupted")
    assert all(line.startswith("epoch ") for line in progress)


def test_a_plan_takes_the_options_of_train_and_the_shape_of_the_data(capsys):
    command = ["plan", "made", "--shape", 6, "--levels", 3, "--hidden", 12, "--direct"]
    command += ["--ema", 0, "--devices", 4]
    assert run(*command, "--batch", 40, "--steps", 7) == 0
    said = capsys.readouterr().out
    model = ar.MADE(6, 3, hidden=(12,), direct=True)
    assert f"{sum(p.numel() for p in model.parameters()):,}\n" in said
    assert "40 examples, 10 a device" in said
    assert "average" not in said
    assert said.endswith("seconds, 7 updates\n")
    assert run(*command, "--batch-size", 40, "--steps", 7) == 0
    assert capsys.readouterr().out == said


def test_a_plan_knows_the_data_of_its_recipe(capsys):
    assert run("plan", "made-dna", "--hidden", 20, "--no-direct") == 0
    assert f"{2 * 180 * 20 + 180 + 20:,}\n" in capsys.readouterr().out


def test_runs_are_mixed(folder, capsys):
    models = [ar.MADE(6, 3, hidden=(width,)) for width in (4, 5)]
    for name, model in zip("ab", models, strict=True):
        ar.save(model, name)
    assert run("mix", "a", "b", "--out", "both") == 0
    assert "2 models in both" in capsys.readouterr().out
    x = torch.tensor(np.load("rows.npy"))
    mean = torch.logsumexp(torch.stack([model.log_prob(x) for model in models]), 0) - math.log(2)
    torch.testing.assert_close(ar.load("both").log_prob(x), mean)

    ar.save(ar.MADE(5, 3), "other")
    refused = {
        "not empty": ("a", "b", "--out", "both"),
        "event shape": ("a", "other", "--out", "new"),
        "at least one model": ("--out", "new"),
        "nowhere": ("a", "nowhere", "--out", "new"),
    }
    for complaint, arguments in refused.items():
        assert run("mix", *arguments) == 2
        assert complaint in capsys.readouterr().err
        assert not Path("new").exists()


def test_runs_are_listed_best_first_with_what_differs(folder, capsys):
    runs = {"a": ["--lr", 1e-5], "deep/b": ["--lr", 1e-2], "c": ["--holdout", 0.3]}
    for name, more in runs.items():
        data = "data.npz:train" if name == "c" else "data.npz"
        assert run("train", "made", "--data", data, "--run", f"runs/{name}", *QUICK, *more) == 0
    ar.save(ar.load("runs/a"), "runs/saved")
    with open("runs/a/log.jsonl", "a") as log:
        log.write('{"epoch": 3, "valid_na')  # another process is writing
    capsys.readouterr()
    assert run("runs", "runs") == 0
    one, other = capsys.readouterr().out.strip().split("\n\n")
    (listed, alone) = (one, other) if "on 10 validation" in one else (other, one)
    _, titles, *rows = listed.splitlines()
    assert titles.split() == ["run", "bits/dim", "nats", "best", "epoch", "time", "lr"]
    scores = [float(row.split()[2]) for row in rows]
    assert scores == sorted(scores)
    rates = {"runs/a": "1e-05", "runs/deep/b": "0.01"}
    assert {row.split()[0]: row.split()[-1] for row in rows} == rates
    for row in rows:
        name, bits, nats, *_ = row.split()
        score = ar.evaluate(ar.load(name), np.load("data.npz")["valid"])
        assert math.isclose(float(nats), score.nats, abs_tol=2e-4)
        assert math.isclose(float(bits), score.bits_per_dim, abs_tol=2e-4)
    assert "on 12 validation examples" in alone
    assert "runs/c" in alone
    assert "runs/saved" not in listed + alone


def test_a_reader_who_has_had_enough_is_not_told_of_it():
    command = f"{sys.executable} -m autoregress train --help | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


@pytest.mark.parametrize(
    "verb",
    [
        "",
        *("train", "prepare", "evaluate", "sample", "complete", "score", "info", "plan"),
        *("mix", "compress", "decompress"),
        *("train made", "plan made"),
    ],
)
def test_help_is_there(verb, capsys):
    assert run(*verb.split(), "--help") == 0
    said = capsys.readouterr().out
    assert "usage: autoregress" in said
    assert "pyright" not in said
    assert "type: ignore" not in said
