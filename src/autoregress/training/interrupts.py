"""Ctrl-C, recorded when it comes and acted on where a run can safely stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class Interrupts:
    """A context in which a signal's KeyboardInterrupt is not raised, but sets ``pending``.

    So no update, and no file, is ever left half done. Code that can safely stop raises the
    KeyboardInterrupt; otherwise leaving the context does.

    The handlers of SIGINT and SIGTERM are called as ever, and what else they do they still do. Only
    the main thread does this, as signals reach no other.

    Attributes:
        pending: whether an interrupt has come.
    """

    def __init__(self) -> None:
        self.pending = False
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for kind in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(kind)
                if callable(handler):
                    self._handlers[kind] = handler
                    signal.signal(kind, self._note)
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        for kind, handler in self._handlers.items():
            signal.signal(kind, handler)
        if self.pending and error is None:
            raise KeyboardInterrupt

    def _note(self, signum: int, frame: FrameType | None) -> None:
        try:
            self._handlers[signum](signum, frame)
        except KeyboardInterrupt:
            self.pending = True
