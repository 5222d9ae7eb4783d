"""Runs by name: one small file each, whose docstring says command, time and expected figure."""

from autoregress.recipes import made, made_digits
from autoregress.recipes.options import FamilyOptions, MADEOptions, Recipe

RECIPES: dict[str, Recipe[FamilyOptions]] = {
    "made": made.RECIPE,
    "made-digits": made_digits.RECIPE,
}

__all__ = ["RECIPES", "FamilyOptions", "MADEOptions", "Recipe"]
