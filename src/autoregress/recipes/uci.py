"""Training as in the MADE paper's experiments on UCI's sets (arXiv 1502.03509, section 6)."""

from autoregress.training.options import Training

# Adadelta, batches of 100, and 30 epochs of patience.
ADADELTA = Training(
    start="random", optimiser="adadelta", lr=1.0, decay=0.95, eps=1e-7, patience=30, max_epochs=1000
)
