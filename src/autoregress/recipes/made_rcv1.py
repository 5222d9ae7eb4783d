"""RCV1 as in the MADE paper; its training rows were not available.

autoregress train made-rcv1 --data rcv1.npz --run runs/rcv1
"""

from autoregress.configs import MADEConfig
from autoregress.recipes.recipe import Recipe
from autoregress.recipes.uci import ADADELTA

RECIPES = {
    "made-rcv1": Recipe(
        """RCV1 as in the MADE paper.

        Its training rows were not available. The paper's figure is 46.74 ± 0.11 test nats.
        """,
        "MADE",
        MADEConfig(hidden=(500,), orderings=32, connectivities=32),
        ADADELTA,
        "rcv1.npz: arrays train, valid and test of 150 bits",
        shape=(150,),
    ),
}
