"""Training: one readable loop, whose runs can stop and resume at any moment without a trace."""

import lazy_loader

# Lazily, as options are read where importing torch, which the loop needs, would take too long.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
