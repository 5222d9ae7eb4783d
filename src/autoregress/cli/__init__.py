"""The command line: verbs over the library, each of which reports an error in one sentence."""

from __future__ import annotations

import os
import sys
from types import FrameType

INTERRUPTED = "autoregress: interrupted"


def main(argv: list[str] | None = None) -> None:
    """Runs a verb. The exit status is 2 for a user's mistake, 1 for a failed run, 130 for Ctrl-C.

    Imports happen inside, so that Ctrl-C is handled from the start.
    """
    try:
        import signal

        # What runs in the background of a script ignores Ctrl-C, and goes on doing so.
        if argv is None and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _interrupt)
        from autoregress.cli.program import run

        run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        sys.exit(130)
    finally:
        # Python would end by the signal, without a status, if Ctrl-C came while it executed a text,
        # as dataclasses do; executing another makes it forget.
        exec("")
        if argv is None:
            import signal

            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the work is done


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raises KeyboardInterrupt, or ends the process while a module is imported.

    A module's own code may swallow an exception, turn it into another, or abort the process.
    """
    while frame is not None:
        if frame.f_globals.get("__name__") == "importlib._bootstrap":
            print(INTERRUPTED, file=sys.stderr, flush=True)
            os._exit(130)
        frame = frame.f_back
    raise KeyboardInterrupt
