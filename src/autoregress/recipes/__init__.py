"""Runs by name: one small file each, whose docstring says command, time and expected figure."""

from autoregress.recipes import (
    made,
    made_adult,
    made_connect4,
    made_digits,
    made_dna,
    made_mushrooms,
    made_nips,
    made_ocr_letters,
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
from autoregress.recipes.options import FamilyOptions, MADEOptions, Recipe

RECIPES: dict[str, Recipe[FamilyOptions]] = {
    "made": made.RECIPE,
    "made-digits": made_digits.RECIPE,
    "made-adult": made_adult.PAPER,
    "made-adult-best": made_adult.BEST,
    "made-connect4": made_connect4.PAPER,
    "made-connect4-best": made_connect4.BEST,
    "made-dna": made_dna.PAPER,
    "made-dna-best": made_dna.BEST,
    "made-mushrooms": made_mushrooms.PAPER,
    "made-mushrooms-best": made_mushrooms.BEST,
    "made-nips": made_nips.PAPER,
    "made-nips-best": made_nips.BEST,
    "made-ocr-letters": made_ocr_letters.PAPER,
    "made-ocr-letters-best": made_ocr_letters.BEST,
    "made-web": made_web.PAPER,
    "made-web-best": made_web.BEST,
    **pixels.RECIPES,
    **pixels_digits.RECIPES,
    **pixels_mnist.RECIPES,
    **pixels_cifar10.RECIPES,
    **pixels_imagenet.RECIPES,
    **videos.RECIPES,
    **videos_bouncing.RECIPES,
    **videos_published.RECIPES,
}

__all__ = ["RECIPES", "FamilyOptions", "MADEOptions", "Recipe"]
