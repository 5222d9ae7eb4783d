"""A family's options are written once, and a family from outside is a family like the others."""

import dataclasses
import inspect
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
import torch
from conftest import run
from families import FAMILIES
from test_docs import ROOT, run_pages

import autoregress as ar
from autoregress import families
from autoregress.networks import MADE
from autoregress.recipes import RECIPES
from autoregress.storage import load, save

OURS = [name for name in FAMILIES if name in families.FAMILIES and name != "Mixture"]
GIVEN = ["event_shape", "symbols", "context", "labels", "columns"]


@pytest.mark.parametrize("kind", OURS)
def test_constructor_storage_and_recipes_have_the_options_of_the_config(kind):
    family = families.find_family(kind)
    fields = {field.name: field.default for field in dataclasses.fields(family.Config)}
    parameters = inspect.signature(family).parameters
    assert list(parameters) == [*GIVEN, *fields]
    assert {name: parameters[name].default for name in fields} == fields
    recipes = [recipe for recipe in RECIPES.values() if recipe.kind == kind]
    assert {type(recipe.config) for recipe in recipes} == {family.Config}
    with torch.device("meta" if kind != "MADE" else "cpu"):
        model = recipes[0].build(*recipes[0].example)
    assert model.options.keys() == fields.keys()
    assert model.arguments.keys() >= fields.keys()


@pytest.mark.parametrize("kind", OURS)
def test_the_command_line_has_them_too(kind, capsys):
    name = next(name for name, recipe in RECIPES.items() if recipe.kind == kind)
    assert run("train", name, "--help") == 0
    shown = capsys.readouterr().out
    for field in dataclasses.fields(families.find_family(kind).Config):
        assert f"--{field.name.replace('_', '-')}" in shown


def test_the_tests_go_through_every_family():
    ours = {k for k, f in families.FAMILIES.items() if f.__module__.startswith("autoregress.")}
    assert len(ours) > 6
    assert ours <= FAMILIES.keys()


def test_an_option_that_does_not_exist_is_refused():
    with pytest.raises(TypeError, match="hiden"):
        MADE(4, hiden=(3,))


@pytest.fixture
def causal_conv(tmp_path, monkeypatch):
    """The module of the page on families, in a folder of its own."""
    page = ROOT / "docs" / "your-own-family.md"
    (block,) = [block for block in run_pages.blocks(page.read_text()) if block.file]
    (tmp_path / block.file).write_text(block.text)
    monkeypatch.chdir(tmp_path)
    before = dict(families.FAMILIES)
    yield block.file.removesuffix(".py")
    families.FAMILIES.clear()
    families.FAMILIES.update(before)
    sys.modules.pop("causal_conv", None)


def test_a_saved_model_says_which_module_it_needs(causal_conv, monkeypatch):
    monkeypatch.syspath_prepend("")
    model = __import__(causal_conv).CausalConv(5, 3, width=4, layers=2)
    x = torch.randint(3, (6, 5))
    save(model, "saved")
    assert torch.equal(load("saved").log_prob(x), model.eval().log_prob(x))
    assert causal_conv not in Path("saved/config.json").read_text()

    del families.FAMILIES["CausalConv"]
    with pytest.raises(ValueError, match=r"'CausalConv' is not known, .* --plugin"):
        load("saved")
    point = EntryPoint("CausalConv", "causal_conv:CausalConv", families.GROUP)
    monkeypatch.setattr(families, "entry_points", EntryPoints([point]).select)
    sys.modules.pop("causal_conv")
    assert load("saved").config.width == 4


def test_two_families_of_one_name_are_refused():
    class MADE(ar.MADE):
        """Another one."""

    with pytest.raises(ValueError, match="known already"):
        ar.family(MADE)


@pytest.mark.slow
def test_a_plugin_on_the_command_line(causal_conv):
    program = [sys.executable, "-m", "autoregress"]
    done = subprocess.run([*program, "--plugin", "no_such_module", "info", "x"], text=True,
                          capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        "autoregress: --plugin no_such_module cannot be imported: ModuleNotFoundError: "
        "No module named 'no_such_module'\n"
    )
    command = [*program, "--plugin", causal_conv, "train", "causal-conv", "--help"]
    done = subprocess.run(command, text=True, capture_output=True, check=True)
    assert "Number of layers; each doubles" in done.stdout


def test_options_that_nobody_set_fit_the_clips():
    chosen = RECIPES["video-small"].config
    assert chosen.fitted((16, 3, 64, 64), chosen) == chosen
    for shape in ((8, 1, 16, 16), (10, 3, 20, 30), (1, 1, 5, 7), (2, 1, 64, 64)):
        fitted = chosen.fitted(shape, chosen)
        with torch.device("meta"):
            model = ar.VideoTransformer(shape, 2, **vars(fitted))
        assert model.config == fitted
        assert 0 in fitted.priming
    set_by_hand = dataclasses.replace(chosen, subscale=(3, 1, 1), priming=(0, 9))
    fitted = set_by_hand.fitted((8, 1, 16, 16), chosen)
    assert (fitted.subscale, fitted.priming) == ((3, 1, 1), (0, 9))
