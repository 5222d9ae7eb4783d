"""PyAV, a large optional package, imported only where a clip is decoded or encoded."""

from __future__ import annotations

from typing import Any


def pyav() -> Any:
    """The package av.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import av
        import av.logging
    except ImportError as error:
        message = "videos are read and written by PyAV: pip install 'autoregress[video]'"
        raise ImportError(message) from error
    return av
