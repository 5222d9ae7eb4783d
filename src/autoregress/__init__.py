"""Exact-likelihood autoregressive models of bits, categories, numbers, images and video.

The public names are listed in the stub beside this file, and imported when they are first used.
Until then nothing is imported, so that the command line handles Ctrl-C from its start.
"""


def __getattr__(name: str) -> object:
    return _attached()[0](name)


def __dir__() -> list[str]:
    return _attached()[1]()


def _attached() -> tuple:
    import lazy_loader

    names = ("__getattr__", "__dir__", "__all__")
    found = lazy_loader.attach_stub(__name__, __file__)
    globals().update(zip(names, found, strict=True))
    return found
