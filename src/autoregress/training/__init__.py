"""Training: one readable loop, whose runs stop and resume at any moment without a trace."""

import lazy_loader

# Options are read where torch, which the loop needs, would take too long to import.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
