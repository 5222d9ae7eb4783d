"""The settings that the MADE paper's experiments on the binary UCI sets share."""

from autoregress.recipes.options import MADEOptions, Recipe
from autoregress.training import Training


def recipe(
    about: str | None,
    model: MADEOptions,
    dims: int,
    *,
    eps: float = 1e-7,
) -> Recipe[MADEOptions]:
    """A run with the paper's optimiser: adadelta, batches of 100, a look-ahead of 30 epochs."""
    training = Training(
        optimiser="adadelta", lr=1.0, decay=0.95, eps=eps, patience=30, max_epochs=1000
    )
    return Recipe(about, model, training, shape=(dims,))
