"""What is written is there whole, what was there before is lost only to it, and input never is."""

from __future__ import annotations

import errno
import os
import re
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import run
from PIL import Image

import autoregress as ar
from autoregress.cli import output
from autoregress.disk import (
    check_folder,
    check_output,
    is_stream,
    replacing,
    write_file,
    write_json,
)

SHAPE, LEVELS, OLD = (2, 1, 4, 4), 2, b"old"
CLIPS = torch.randint(LEVELS, (1, *SHAPE), generator=torch.Generator().manual_seed(0))
SUFFIXES = (".npy", ".npz", ".csv", ".png", ".gif", ".mp4", ".mkv")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model of clips and its input, which is where everything is written."""
    monkeypatch.chdir(tmp_path)
    ar.save(ar.MADE(SHAPE, LEVELS, hidden=(5,)), "run")
    np.save("rows.npy", CLIPS.expand(9, *SHAPE).numpy())
    np.savez("partial.npz", x=CLIPS.numpy(), known=np.zeros((1, *SHAPE), bool))
    Path("packed.areg").write_bytes(ar.encode(ar.load("run"), np.load("rows.npy")))
    return tmp_path


def verb(*arguments: str) -> Callable[[str], int | str]:
    return lambda out: run(*arguments, "--out", out)


def library(out: str) -> int:
    ar.data.write(out, CLIPS, LEVELS)
    return 0


# What writes a file, and the file: every format through the library, and every verb.
WRITERS: dict[str, tuple[Callable[[str], int | str], str]] = {
    **{f"write{suffix}": (library, f"out{suffix}") for suffix in SUFFIXES},
    "sample": (verb("sample", "run", "--count", "1"), "out.npz"),
    "complete": (verb("complete", "run", "partial.npz"), "out.csv"),
    "decompress": (verb("decompress", "run", "packed.areg"), "out.npy"),
    "compress": (verb("compress", "run", "rows.npy"), "out.areg"),
    "score": (verb("score", "run", "rows.npy"), "out.csv"),
    "json": (lambda out: write_json(Path(out), {"a": [0] * 99}) or 0, "out.json"),
}
writers = pytest.mark.parametrize(("write", "name"), WRITERS.values(), ids=WRITERS)


def failure(write: Callable[[str], int | str], name: str, capsys: pytest.CaptureFixture) -> str:
    """The sentence with which a writer fails."""
    try:
        assert write(name) == 2
    except ValueError as error:
        return str(error)
    said = capsys.readouterr().err
    assert said.startswith("autoregress: ")
    assert said.count("\n") == 1
    return said.removeprefix("autoregress: ").rstrip()


@contextmanager
def small_files(most: int) -> Iterator[None]:
    """A context in which the system lets no file grow beyond a number of bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def no_space(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def names() -> set[str]:
    return {path.name for path in Path().iterdir()}


# ------------------------------------------------------------------------------------- failures


@writers
def test_a_write_that_fails_leaves_the_old_file(write, name, capsys):
    Path(name).write_bytes(OLD)
    before = names()
    with small_files(20):
        said = failure(write, name, capsys)
    assert said == f"{name} cannot be written: {os.strerror(errno.EFBIG)}"
    assert Path(name).read_bytes() == OLD
    assert names() == before


@writers
def test_a_disk_that_is_full_at_the_last_moment(write, name, capsys, monkeypatch):
    before = names()
    monkeypatch.setattr(os, "fsync", no_space)
    said = failure(write, name, capsys)
    assert said == f"{name} cannot be written: No space left on device"
    assert names() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@writers
def test_a_device_that_is_full(write, name, capsys):
    Path(name).symlink_to("/dev/full")
    said = failure(write, name, capsys)
    assert said == f"{name} cannot be written: No space left on device"
    assert Path(name).is_symlink()


@writers
def test_an_interrupted_write_leaves_the_old_file(write, name, monkeypatch):
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    Path(name).write_bytes(OLD)
    before = names()
    monkeypatch.setattr(os, "fsync", interrupted)
    with suppress(KeyboardInterrupt):  # the library raises it
        assert write(name) == 130
    assert Path(name).read_bytes() == OLD
    assert names() == before


def test_an_error_of_the_writer_itself_is_raised_as_it_is():
    Path("out").write_bytes(OLD)
    before = names()

    def fail() -> None:
        with replacing(Path("out")) as file:
            file.write(b"new" * 10_000)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert Path("out").read_bytes() == OLD
    assert names() == before


# ------------------------------------------------------------------- what stands at the target


@writers
def test_a_link_stays_and_leads_to_the_new_file_with_the_old_permissions(write, name):
    kept = Path("elsewhere", name)
    kept.parent.mkdir()
    kept.write_bytes(OLD)
    kept.chmod(0o640)
    os.link(kept, "other-name")
    Path(name).symlink_to(kept)
    before = names()
    assert write(name) == 0
    assert Path(name).readlink() == kept
    assert kept.read_bytes() != OLD
    assert stat.S_IMODE(kept.stat().st_mode) == 0o640
    assert Path("other-name").read_bytes() == OLD
    assert names() == before
    assert list(kept.parent.iterdir()) == [kept]


def test_a_link_to_nothing_leads_to_the_new_file():
    Path("link").symlink_to("new")
    write_file(Path("link"), b"new")
    assert Path("link").is_symlink()
    assert Path("new").read_bytes() == b"new"


def test_a_new_file_has_the_permissions_of_the_umask():
    before = os.umask(0o027)
    try:
        write_file(Path("new"), b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path("new").stat().st_mode) == 0o640


@writers
def test_a_pipe_is_written_to(write, name):
    assert write(f"file-{name}") == 0
    os.mkfifo(name)
    received = list[bytes]()
    reader = threading.Thread(target=lambda: received.append(Path(name).read_bytes()))
    reader.start()
    status = write(name)
    reader.join(60)
    assert status == 0
    assert stat.S_ISFIFO(os.stat(name).st_mode)
    if not name.endswith((".npz", ".mkv")):  # these hold a time, or how a zip was written
        assert received[0] == Path(f"file-{name}").read_bytes()
    assert received[0]


def test_what_came_through_a_pipe_can_be_read():
    os.mkfifo("pipe.npz")
    received = list[bytes]()
    reader = threading.Thread(target=lambda: received.append(Path("pipe.npz").read_bytes()))
    reader.start()
    ar.data.write("pipe.npz", CLIPS, LEVELS)
    reader.join(60)
    Path("file.npz").write_bytes(received[0])
    assert torch.equal(ar.data.read("file.npz", levels=LEVELS).x, CLIPS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "summary"),
    [
        (["score", "run", "rows.npy"], "scores of 9 examples"),
        (["compress", "run", "rows.npy"], "9 examples in"),
    ],
)
def test_standard_output_gets_the_content_and_nothing_else(arguments, summary):
    assert run(*arguments, "--out", "file.csv") == 0
    expected = Path("file.csv").read_bytes()
    command = [sys.executable, "-m", "autoregress", *arguments, "--out", "/dev/stdout"]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    piped = subprocess.run(command, capture_output=True, check=True, env=environment)
    assert piped.stdout == expected
    assert summary in piped.stderr.decode()
    with Path("all").open("wb") as file:
        file.write(OLD)
        file.flush()
        subprocess.run(command, stdout=file, stderr=subprocess.PIPE, check=True, env=environment)
    assert Path("all").read_bytes() == OLD + expected


@pytest.mark.slow
def test_a_reader_who_leaves_ends_the_verb_without_a_word():
    np.save("many.npy", CLIPS.expand(3000, *SHAPE).numpy())
    score = f"{sys.executable} -m autoregress score run many.npy --out /dev/stdout"
    command = ["bash", "-c", f"{score} | head -1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("row,")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_ordinary_files_are_no_streams():
    assert not is_stream(Path("rows.npy"))
    assert not is_stream(Path("new"))
    assert not is_stream(Path("run"))
    assert is_stream(Path(os.devnull))


# ------------------------------------------------------------------------------ several writers


def test_two_writers_at_once_do_not_disturb_each_other_nor_a_file_of_the_user():
    Path("out.tmp").write_bytes(OLD)
    before = names() | {"out"}
    with ExitStack() as both:
        files = [both.enter_context(replacing(Path("out"))) for _ in range(2)]
        for content in (b"a", b"b"):
            for file, letter in zip(files, (content, content.upper()), strict=True):
                file.write(letter)
    assert Path("out").read_bytes() == b"ab"  # the first to begin was the last to end
    assert Path("out.tmp").read_bytes() == OLD
    assert names() == before


def test_a_file_that_many_write_is_always_whole():
    contents = {bytes([n]) * 50_000 for n in range(4)}
    write_file(Path("out"), min(contents))

    def write(content: bytes) -> None:
        for _ in range(10):
            write_file(Path("out"), content)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert Path("out").read_bytes() in contents
    assert not [name for name in names() if name.endswith(".tmp")]


def test_a_name_of_the_greatest_length_is_written():
    write_file(Path("ä" * 127), b"new")
    assert Path("ä" * 127).read_bytes() == b"new"


# ----------------------------------------------------------------------------- before the work


IN_PLACE = {
    "score": (["score", "run", "in.csv"], "in.csv"),
    "complete": (["complete", "run", "in.npz"], "in.npz"),
    "an array of an archive": (["compress", "run", "in.npz:x"], "in.npz"),
    "compress": (["compress", "run", "in.npy"], "in.npy"),
    "decompress": (["decompress", "run", "in.npy"], "in.npy"),
    "a folder": (["compress", "run", "images"], "images/in.png"),
    "the model": (["compress", "run", "in.npy"], "run/model.safetensors"),
    "one of several films": (
        ["complete", "run", "in-001.mkv", "--known-frames", "1"],
        "in-001.mkv",
    ),
}


@pytest.mark.parametrize("name", ["itself", "symbolic link", "hard link"])
@pytest.mark.parametrize(("arguments", "input"), IN_PLACE.values(), ids=IN_PLACE)
def test_input_is_never_overwritten(arguments, input, name, capsys):
    Path("images").mkdir()
    Image.new("L", (4, 4)).save("images/in.png")
    if not Path(input).exists():
        Path(input).write_bytes(OLD)
    before = Path(input).read_bytes()
    out = Path(input)
    if name != "itself":
        out = Path(f"out{out.suffix}")
        (out.symlink_to if name == "symbolic link" else out.hardlink_to)(Path(input).absolute())
    assert run(*arguments, "--out", out) == 2
    said = capsys.readouterr().err
    assert f"{out} would overwrite what is read" in said
    assert said.count("\n") == 1
    assert Path(input).read_bytes() == before


def test_films_are_not_written_over_the_one_that_is_read():
    Path("in-001.mkv").write_bytes(OLD)
    with pytest.raises(ValueError, match=r"in-001\.mkv would overwrite"):
        ar.data.check_distinct("in.mkv", "in-001.mkv")
    ar.data.check_distinct("in.mkv", "other.mkv")
    ar.data.check_distinct("in.npz", "in-001.mkv", "nowhere.npy", "nowhere.npz:x")


def test_files_beside_the_examples_of_a_folder_are_written_again():
    Path("images").mkdir()
    for n in range(2):
        Image.new("L", (4, 4)).save(f"images/{n}.png")
    ar.save(ar.MADE((1, 4, 4), 256, hidden=(3,)), "of-images")
    for arguments in (["score", "--out", "images/s.csv"], ["compress", "--out", "images/p.areg"]):
        for _ in range(2):
            assert run(arguments[0], "of-images", "images", *arguments[1:]) == 0


@pytest.mark.parametrize("verb", ["compress", "score", "complete", "sample", "decompress"])
def test_an_output_is_checked_before_the_model_is_read(verb, capsys):
    data = {"sample": []}.get(verb, ["nowhere.npy"])
    for out, reason in (("no/out.csv", "there is no folder no"), ("dir.csv", "is a folder")):
        Path("dir.csv").mkdir(exist_ok=True)
        assert run(verb, "nowhere", *data, "--out", out) == 2
        assert re.search(reason, capsys.readouterr().err)


def test_a_folder_without_permission_is_said(monkeypatch):
    Path("closed").mkdir()
    Path("closed/out").write_bytes(OLD)
    closed = Path("closed").absolute()  # to root, too, who may write anywhere
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).absolute() != closed)
    with pytest.raises(ValueError, match="no permission for its folder"):
        check_output(Path("closed/out"))
    for folder in ("closed", "closed/new/newer"):
        with pytest.raises(ValueError, match=f"{folder} cannot be written: no permission"):
            check_folder(Path(folder))
    with pytest.raises(ValueError, match="out is not a folder"):
        check_folder(Path("closed/out/new"))


@pytest.mark.parametrize(
    ("verb", "data"),
    [
        ("prepare", ["--data", "nowhere"]),
        ("mix", ["nowhere"]),
        ("train made", ["--data", "nowhere"]),
    ],
)
def test_a_folder_to_write_is_checked_before_the_work(verb, data, capsys):
    option = "--run" if verb == "train made" else "--out"
    assert run(*verb.split(), *data, option, "rows.npy/new") == 2
    assert "rows.npy is not a folder" in capsys.readouterr().err


# ------------------------------------------------------------------------------------- progress


@pytest.mark.parametrize("models", ["one", "members"])
def test_coding_reports_every_symbol(models):
    model: ar.AutoregressiveModel = ar.MADE(6, 3, hidden=(5,), orderings=4)
    if models == "one":
        model = ar.MADE(6, 3, hidden=(5,))
    x = torch.randint(3, (40, 6))
    codes: list[tuple[Any, Any]] = [(ar.encode, x), (ar.decode, ar.encode(model, x))]
    for code, given in codes:
        done, totals = list[int](), list[int]()

        def report(count: int, total: int, done: list[int] = done, totals: list = totals) -> None:
            done.append(count)
            totals.append(total)

        code(model, given, on_progress=report)  # pyright: ignore[reportArgumentType]
        assert done == sorted(set(done))
        assert done[-1] == 240
        assert set(totals) == {240}


@pytest.mark.parametrize(
    ("arguments", "doing"),
    [
        (["compress", "run", "rows.npy", "--out", "out"], "compressing"),
        (["decompress", "run", "packed.areg", "--out", "out.npy"], "decompressing"),
        (["score", "run", "many.npy", "--out", "out.csv"], "scoring"),
        (["evaluate", "run", "--data", "rows.npy", "--batch-size", "3"], "evaluating"),
    ],
)
def test_a_slow_verb_says_how_far_it_is(arguments, doing, capsys, monkeypatch):
    np.save("many.npy", CLIPS.expand(3000, *SHAPE).numpy())
    assert run(*arguments) == 0
    assert capsys.readouterr().err == ""  # quick work says nothing
    monkeypatch.setattr(output, "LINES", 0)
    monkeypatch.setattr(output, "REFRESH", 0)
    assert run(*arguments) == 0
    lines = capsys.readouterr().err.splitlines()
    speed = r"examples/s(  [\d.e+-]+ MB/s)?"
    line = rf"{doing} ([\d,]+) of (9|3,000) examples(  [\d,.]+ {speed}  \d+:\d\d:\d\d left)?"
    shown = [re.fullmatch(line, each) for each in lines]
    assert all(shown)
    assert any(match and match[3] for match in shown)
    assert lines[-1].startswith(f"{doing} 9 of 9" if "many.npy" not in arguments else doing)


@pytest.mark.slow
def test_characters_that_the_terminal_lacks_are_replaced():
    command = [sys.executable, "-m", "autoregress", "evaluate", "run", "--data", "rows.npy"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert " +/- " in done.stdout
