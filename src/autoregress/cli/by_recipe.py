"""Recipes as subcommands."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Annotated, Any

from tyro.conf import subcommand

from autoregress.recipes import RECIPES
from autoregress.recipes.options import FamilyOptions, Recipe


def by_recipe(kind: Any, default: Callable[[Recipe[FamilyOptions]], Any]) -> Any:
    """A subcommand for every recipe, with its settings as defaults."""
    return reduce(
        or_,
        [
            Annotated[
                kind[type(recipe.model)],
                subcommand(name, default=default(recipe), description=recipe.title),
            ]
            for name, recipe in RECIPES.items()
        ],
    )
