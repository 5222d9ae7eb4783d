"""Help and mistakes on the command line are answered without what takes long to import."""

import subprocess
import sys

import pytest

ANSWERED = {
    "help": (["--help"], 0, "autoregress VERB --help"),
    "no verb": ([], 2, "autoregress VERB --help"),
    "version": (["--version"], 0, "autoregress"),
    "help of train": (["train", "--help"], 0, "gated-pixelcnn"),
    "table in the help of train": (["train", "--help"], 0, "  table "),
    "help of a recipe": (["train", "gated-pixelcnn", "--help"], 0, "--features"),
    "help of a verb": (["complete", "--help"], 0, "--known-frames"),
    "a recipe of a paper": (["plan", "made-adult", "--help"], 0, "Adult"),
    "recipes": (["recipes"], 0, "made-adult-best"),
    "table among the recipes": (["recipes"], 0, "  table "),
    "no runs": (["runs", "none"], 2, "none holds no runs"),
    "recipes with a word": (["recipes", "bouncing"], 0, "0.031 bits/dim"),
    "mistyped verb": (["tarin", "made"], 2, "did you mean train?"),
    "mistyped recipe": (["train", "mode"], 2, "did you mean made?"),
    "mistyped table": (["train", "tabel"], 2, "did you mean table?"),
    "plan of a table": (["plan", "table"], 2, "train table chooses a network"),
    "mistyped flag": (["train", "made", "--hiden", "3"], 2, "--hiden"),
    "missing flags": (["evaluate", "runs/mine"], 2, "--data"),
    "no run to serve": (["serve"], 2, "--demo"),
    "no recipe": (["train", "--data", "x.npz"], 2, "the recipe comes first"),
    "a number that is none": (["sample", "runs/x", "--out", "y.npy", "--count", "many"], 2, "many"),
    "a senseless option": (["train", "made", "--data", "x", "--run", "y", "--dropout", "2"], 2,
                           "dropout must be"),
}  # fmt: skip

PROGRAM = """
import sys
from autoregress.cli import main
try:
    main()
finally:
    heavy = {"torch", "numpy", "PIL", "av", "constriction", "safetensors"} & sys.modules.keys()
    assert not heavy, heavy
"""


@pytest.mark.parametrize(
    ("arguments", "status", "words"), list(ANSWERED.values()), ids=list(ANSWERED)
)
def test_an_answer_takes_no_torch(arguments, status, words):
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
