"""Exact-likelihood autoregressive models of bits, categories, images and video.

The public names are listed in the stub beside this file, and imported when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
