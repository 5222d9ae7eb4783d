"""Ctrl-C, noted when it comes and acted on where a run can be left."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interrupts:
    """A context in which Ctrl-C raises nothing by itself, but is ``pending``.

    So no update, and no file, is ever left half done. Whoever is in a place that can be left
    raises the KeyboardInterrupt; if nobody did, leaving the context does.

    SIGTERM is treated likewise where it is handled as Ctrl-C. Only Python's own handling is
    replaced, and only in the main thread, as signals reach no other.

    Attributes:
        pending: whether there was an interruption.
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
