"""RCV1 as in the MADE paper.

    autoregress train made-rcv1 --data rcv1.npz --run runs/rcv1

Its training rows could not be had: there is no figure. The paper's is 46.74 ± 0.11 test nats.
"""

from autoregress.recipes.made_paper import recipe
from autoregress.recipes.options import MADEOptions

PAPER = recipe(__doc__, MADEOptions(hidden=(500,), orderings=32, connectivities=32), 150)
