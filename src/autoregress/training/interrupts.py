"""Ctrl-C, recorded when it comes and acted on where a run can safely stop."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interrupts:
    """A context in which Ctrl-C raises nothing, but sets ``pending``.

    So no update, and no file, is ever left half done. Code that can safely stop raises the
    KeyboardInterrupt; otherwise leaving the context does.

    SIGTERM is treated likewise if its handler is that of Ctrl-C. Only Python's own handlers are
    replaced, and only in the main thread, as signals reach no other.

    Attributes:
        pending: whether an interrupt has come.
    """

    def __init__(self) -> None:
        self.pending = False
        self._replaced: list[signal.Signals] = []

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for kind in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(kind) is signal.default_int_handler:
                    self._replaced.append(kind)
                    signal.signal(kind, self._note)
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        for kind in self._replaced:
            signal.signal(kind, signal.default_int_handler)
        if self.pending and error is None:
            raise KeyboardInterrupt

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.pending = True
