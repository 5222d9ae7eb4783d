"""The command line: verbs over the library, each of which says what went wrong in a sentence."""

from autoregress.cli.program import main
from autoregress.cli.train import Train

__all__ = ["Train", "main"]
