"""Recipes, runs by name: each a model, its training, its data and its result."""

from autoregress.recipes import (
    made,
    made_adult,
    made_connect4,
    made_density,
    made_digits,
    made_dna,
    made_mnist,
    made_mushrooms,
    made_nips,
    made_ocr_letters,
    made_rcv1,
    made_web,
    pixels,
    pixels_cifar10,
    pixels_digits,
    pixels_imagenet,
    pixels_mnist,
    videos,
    videos_bouncing,
    videos_published,
)
from autoregress.recipes.recipe import Recipe

RECIPES: dict[str, Recipe] = {
    **made.RECIPES,
    **made_density.RECIPES,
    **made_digits.RECIPES,
    **made_adult.RECIPES,
    **made_connect4.RECIPES,
    **made_dna.RECIPES,
    **made_mnist.RECIPES,
    **made_mushrooms.RECIPES,
    **made_nips.RECIPES,
    **made_ocr_letters.RECIPES,
    **made_rcv1.RECIPES,
    **made_web.RECIPES,
    **pixels.RECIPES,
    **pixels_digits.RECIPES,
    **pixels_mnist.RECIPES,
    **pixels_cifar10.RECIPES,
    **pixels_imagenet.RECIPES,
    **videos.RECIPES,
    **videos_bouncing.RECIPES,
    **videos_published.RECIPES,
}

# The recipes for users' own data, in the order in which a newcomer may try them.
GENERAL = (*made.RECIPES, *pixels.RECIPES, *videos.RECIPES)

__all__ = ["GENERAL", "RECIPES", "Recipe"]
