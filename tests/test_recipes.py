"""Every recipe makes a model of the data that it is for, and says what it is."""

import re
from pathlib import Path

import pytest
import torch

from autoregress import recipes
from autoregress.recipes import GENERAL, RECIPES

# What the recipes are for, by how their names begin or end: the shape of an example, its levels.
DATA = {
    "imagenet32": ((3, 32, 32), 256),
    "imagenet64": ((3, 64, 64), 256),
    "cifar10": ((3, 32, 32), 256),
    "mnist": ((1, 28, 28), 2),
    "digits": ((1, 8, 8), 17),
    "video-moving-mnist": ((20, 1, 64, 64), 256),
    "video-bouncing": ((8, 1, 16, 16), 2),
    "video": ((16, 3, 64, 64), 256),
    "made-adult": ((123,), 2),
    "made-connect4": ((126,), 2),
    "made-density": ((111,), 2),
    "made-dna": ((180,), 2),
    "made-mnist": ((784,), 2),
    "made-mnist-best": ((1, 28, 28), 2),
    "made-mushrooms": ((112,), 2),
    "made-nips": ((500,), 2),
    "made-ocr-letters": ((128,), 2),
    "made-rcv1": ((150,), 2),
    "made-web": ((300,), 2),
    "made-digits": ((1, 8, 8), 2),
    "made": ((784,), 2),
    "": ((3, 32, 32), 256),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_makes_a_model_of_its_data(name):
    recipe = RECIPES[name]
    kinds = [part for part in DATA if name.startswith(part) or part in name]
    shape, levels = DATA[max(kinds, key=len)]
    assert recipe.example == (shape, levels)
    with torch.device("cpu" if name.startswith("made") else "meta"):
        model = recipe.build(shape, levels)
    assert model.event_shape == shape
    assert model.config == recipe.config


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_what_it_is_for_and_what_came_of_it(name):
    recipe = RECIPES[name]
    assert recipe.title.endswith(".")
    if name not in GENERAL:
        assert recipe.data in recipe.description
        assert (recipe.measured or "Not run yet") in recipe.description


@pytest.mark.parametrize("name", RECIPES)
def test_the_file_of_a_recipe_shows_its_command(name):
    files = Path(recipes.__file__).parent.glob("*.py")
    (text,) = [text for file in files if f'"{name}": ' in (text := file.read_text())]
    shown = re.findall(r"autoregress train (\S+)", text.split('"""')[1])
    assert shown
    assert set(shown) <= RECIPES.keys()
