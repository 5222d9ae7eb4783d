"""Ctrl-C, but never in the middle of an update."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """A context in which Ctrl-C raises KeyboardInterrupt, except where it is held back.

    So does SIGTERM, if it is handled as Ctrl-C. Only Python's own handling is changed, and only
    in the main thread.

    Args:
        agreed: it never raises, but is ``pending`` until the processes agree to stop, as they
            could not write a checkpoint from different places.

    Attributes:
        pending: there was an interruption, which has not been raised.
    """

    def __init__(self, *, agreed: bool = False) -> None:
        self.pending = False
        self._held = False
        self._agreed = agreed
        self._installed: list[signal.Signals] = []

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for kind in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(kind) is signal.default_int_handler:
                    signal.signal(kind, self._handle)
                    self._installed.append(kind)
        return self

    def __exit__(self, *_: object) -> None:
        for kind in self._installed:
            signal.signal(kind, signal.default_int_handler)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if not self._held and not self._agreed:
            raise KeyboardInterrupt
        self.pending = True

    @contextmanager
    def held(self) -> Iterator[None]:
        """What is done in here is done in full; an interruption comes after it."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self.pending and not self._agreed:
            self.pending = False
            raise KeyboardInterrupt
