"""Binary vectors of ten to a few hundred dimensions; several seeds of it are to be mixed.

    autoregress train made-density --data accidents.npz --run runs/accidents

One recipe for six sets of the density-estimation suite, chosen on validation. Test nats of seeds 0
to 4 on average, and of the five mixed (autoregress mix): nltcs 5.993, 5.989 ± 0.053; plants 12.24,
12.11 ± 0.13; audio 38.71, 38.61 ± 0.28; jester 51.54, 51.45 ± 0.20; accidents 26.25, 25.97 ± 0.11;
pumsb_star 21.63, 21.42 ± 0.13. A quarter of a minute to a minute and a half each, on one core.
"""

from autoregress.recipes.options import MADEOptions, Recipe
from autoregress.training import Training

RECIPE = Recipe(
    __doc__,
    MADEOptions(hidden=(1000,), orderings=1, direct=True, dropout=0.3),
    Training(ema=0.999, max_epochs=150, patience=12),
)
