"""The bundled digits."""

from autoregress.recipes.options import MADEOptions, Recipe
from autoregress.training import Training

RECIPE = Recipe(__doc__, MADEOptions(orderings="any", direct=True), Training())
