"""The models that come with the package are small, and as good as their cards say."""

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import run

import autoregress as ar
from autoregress.bundled import HERE, NAMES, folder_of

sys.path.append(str(Path(__file__).parent.parent / "models"))

import make  # the script that made them


def figures(name: str) -> dict[str, tuple[float, float]]:
    """The nats on a card with their standard error, by what was measured."""
    card = (HERE / name / "README.md").read_text()
    found = re.findall(r"^- (.+): ([\d.]+) ± ([\d.]+) nats", card, re.MULTILINE)
    return {what: (float(nats), float(error)) for what, nats, error in found}


def test_they_are_the_folders_that_there_are_and_small():
    folders = [path for path in HERE.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert sorted(path.name for path in folders) == sorted(NAMES) == sorted(make.MADE_BY)
    assert sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file()) < 3e6


def test_the_digits_are_as_good_as_their_card_says():
    model, test = ar.load("digits"), ar.data.digits_splits()[2]
    with torch.no_grad():
        half = -model.conditional_log_prob(test.x, make.random_half()).mean().item()
    measured = [ar.evaluate(model, test).nats, half]
    assert measured == pytest.approx([nats for nats, _ in figures("digits").values()], abs=1e-3)
    assert half < 40


def test_the_clips_are_as_good_as_their_card_says():
    clips = ar.data.bouncing_digits(make.HELD_OUT, levels=2, split="test").data().x[:25]
    ((nats, error),) = figures("bouncing").values()
    # Of an eighth of them.
    assert abs(ar.evaluate(ar.load("bouncing"), clips).nats - nats) < 4 * error * np.sqrt(8)


def test_the_penguins_are_as_good_as_their_card_says():
    pytest.importorskip("palmerpenguins")
    _, test = make.penguin_rows()
    measured = -ar.Table.load("penguins").log_prob(test).mean()
    assert [measured] == pytest.approx([n for n, _ in figures("penguins").values()], abs=1e-3)


def test_weights_are_those_that_were_measured_to_the_last_bit():
    for name in NAMES:
        for weight in ar.load(name).state_dict().values():
            if weight.is_floating_point():
                assert torch.equal(weight.half().float(), weight)


def test_a_folder_of_the_same_name_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ar.save(ar.MADE(3, hidden=(4,)), "digits")
    assert ar.load("digits").event_shape == (3,)
    shutil.rmtree("digits")
    assert ar.load("digits").event_shape == (1, 8, 8)
    assert folder_of("penguins") == HERE / "penguins"


def test_an_unknown_name_is_answered_by_those_there_are():
    with pytest.raises(ValueError, match=r"nowhere.*bouncing, digits, penguins"):
        ar.load("nowhere")


@pytest.mark.slow
def test_verbs_take_their_names(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("sample", "digits", "--count", 4, "--out", "new.npy") == 0
    known = np.arange(64).reshape(1, 1, 8, 8) < 32
    np.savez("half.npz", x=np.load("new.npy"), known=np.repeat(known, 4, 0))
    assert run("complete", "digits", "half.npz", "--out", "whole.npy") == 0
    assert np.array_equal(np.load("whole.npy")[:, :, :4], np.load("new.npy")[:, :, :4])
    assert run("sample", "penguins", "--given", "sex=male", "--count", 2, "--out", "rows.csv") == 0
    assert run("query", "penguins", "body_mass_g > 5000", "--given", "species=Gentoo") == 0
    assert run("compress", "digits", "new.npy", "--out", "new.areg") == 0
    assert run("decompress", "digits", "new.areg", "--out", "back.npy") == 0
    assert np.array_equal(np.load("back.npy"), np.load("new.npy"))
    for name in NAMES:
        assert run("info", name) == 0
    shown = capsys.readouterr()
    assert "autoregress:" not in shown.err
    assert "(exact)" in shown.out
    assert "VideoTransformer" in shown.out
    assert run("sample", "digit", "--out", "new.npy") == 2
    assert "no bundled model of that name" in capsys.readouterr().err
