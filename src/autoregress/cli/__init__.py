"""The command line: verbs over the library, each of which reports an error in one sentence."""

from __future__ import annotations

import os
import sys
from types import FrameType

AGAIN = 3.0  # seconds
INTERRUPTED = "autoregress: interrupted"


def main(argv: list[str] | None = None) -> None:
    """Runs a verb. The exit status is 2 for a user's mistake, 1 for a failed run, 130 for Ctrl-C.

    Imports happen inside, so that Ctrl-C is handled from the start.
    """
    interrupted = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        if _importing(frame):
            # A library's own code may swallow an exception, or end the process by a signal. There
            # is nothing to tidy up yet.
            print(INTERRUPTED, file=sys.stderr, flush=True)
            os._exit(130)
        # What runs may swallow it: then once more.
        signal.setitimer(signal.ITIMER_REAL, AGAIN)
        raise KeyboardInterrupt

    try:
        import signal

        # What runs in the background of a script ignores Ctrl-C, and goes on doing so.
        if argv is None and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, interrupt)
            signal.signal(signal.SIGALRM, interrupt)
        from autoregress.cli.program import run

        run(sys.argv[1:] if argv is None else argv, lambda: interrupted)
    except KeyboardInterrupt:
        _end()
    except Exception:  # a module whose import is interrupted may fail in a way of its own
        if not interrupted:
            raise
        _end()
    finally:
        # Python would end by the signal, without a status, if Ctrl-C came while it executed a text,
        # as dataclasses do; executing another makes it forget.
        exec("")
        if argv is None:
            import signal

            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the work is done


def _end() -> None:
    print(INTERRUPTED, file=sys.stderr)
    sys.exit(130)


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported in a frame or one that called it."""
    while frame is not None:
        if frame.f_globals.get("__name__") == "importlib._bootstrap":
            return True
        frame = frame.f_back
    return False
