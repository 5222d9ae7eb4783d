"""The recipes verb, and recipes by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from tyro.conf import Positional

from autoregress.families import find_family, known_families
from autoregress.recipes import GENERAL, RECIPES
from autoregress.recipes.recipe import Recipe
from autoregress.training.options import Training

HELP = """usage: autoregress {verb} RECIPE [OPTIONS]

Recipes for data of your own:

{recipes}

{options}autoregress {verb} made --help shows all options of a recipe.
autoregress recipes lists further recipes, for the papers' experiments."""
OPTIONS = """The first options:

  --data PATH       a table, an .npy or .npz file, or a folder of images or of videos
  --run PATH        the folder for the model, its log and its checkpoints; the same command resumes
  --max-epochs N    largest number of passes over the data; training may stop early

"""
# What train takes beside recipes: the options of a table's network follow from its columns.
TABLE = {"table": "A table of your own: numbers, categories, dates, with gaps."}


@dataclass(frozen=True)
class Recipes:
    """List the recipes for train and plan, with their data, time and figures.

    autoregress recipes mnist

    Args:
        word: Show recipes with this word in their name, in full.
    """

    word: Positional[str] = ""

    def __call__(self) -> None:
        if self.word:
            described = {**TABLE, **{name: recipe.description for name, recipe in RECIPES.items()}}
            chosen = {name: about for name, about in described.items() if self.word in name}
            if not chosen:
                names = ", ".join(described)
                raise ValueError(
                    f"no recipe has {self.word!r} in its name; the recipes are {names}"
                )
            print("\n\n".join(f"{name}\n{about}" for name, about in chosen.items()))
            return
        _print("For data of your own:", own("train"))
        others = {name: recipe for name, recipe in RECIPES.items() if name not in GENERAL}
        _print("Measured:", {name: r.measured for name, r in others.items() if r.measured})
        _print(
            "Not run yet, so without a figure:",
            {name: r.title for name, r in others.items() if not r.measured},
        )
        print("autoregress recipes WORD shows the recipes with WORD in their name in full.")


def find_recipe(verb: str, name: str) -> Recipe:
    """The recipe of a name, which may be a family's from ``--plugin`` or an installed package.

    Raises:
        ValueError: no recipe has this name; the message suggests a similar one.
    """
    if name in RECIPES:
        return RECIPES[name]
    for kind in known_families():
        if name == _hyphened(kind):
            family = find_family(kind)
            about = family.__doc__ or f"A {kind} on data of your own."
            return Recipe(about, kind, family.Config(), Training())
    names = own(verb)
    near = get_close_matches(name, [*names, *RECIPES], n=1)
    raise ValueError(
        f"there is no recipe {name!r}; {f'did you mean {near[0]}? ' if near else ''}"
        f"{', '.join(names)} are for data of your own, and autoregress recipes lists all"
    )


def fitted(config: Any, chosen: Any, event_shape: tuple[int, ...]) -> Any:
    """The options, with those the user did not set fitted to the examples; prints the changes.

    Args:
        chosen: the options of the recipe.
    """
    if not hasattr(config, "fitted"):
        return config
    found = config.fitted(event_shape, chosen)
    changed = [
        f"{name} {value}" for name, value in vars(found).items() if value != getattr(config, name)
    ]
    if changed:
        print(f"to fit examples of shape {event_shape}: {'; '.join(changed)}")
    return found


def recipe_help(verb: str) -> str:
    """The help of a verb that takes a recipe, before the recipe is known."""
    lines = [f"  {name:16} {title}" for name, title in own(verb).items()]
    options = OPTIONS if verb == "train" else ""
    return HELP.format(verb=verb, recipes="\n".join(lines), options=options)


def own(verb: str) -> dict[str, str]:
    """What the verb takes for data of one's own, with its title."""
    return {
        **(TABLE if verb == "train" else {}),
        **{name: RECIPES[name].title for name in GENERAL},
    }


def _hyphened(kind: str) -> str:
    """The name in lower case with hyphens: my-family for MyFamily."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", kind).lower()


def _print(title: str, lines: dict[str, str]) -> None:
    width = max(map(len, RECIPES))
    print(title)
    for name, line in lines.items():
        print(f"  {name:{width}}  {line}")
    print()
