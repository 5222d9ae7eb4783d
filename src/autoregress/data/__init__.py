"""Files, bundled sets and what else people hold as integer symbols, and back.

Names are imported when they are first used, so that ``autoregress.data.reading`` alone takes no
time; ``__init__.pyi`` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
