"""Examples as integer symbols, from files, bundled sets and objects in memory, and back to files.

Names are imported on first use, so that ``autoregress.data.reading`` alone imports quickly;
``__init__.pyi`` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
