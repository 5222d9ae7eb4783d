"""The command line: verbs over the library, each of which reports an error in one sentence."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Runs a verb. The exit status is 2 for a user's mistake, 1 for a failed run, 130 for Ctrl-C.

    Imports happen inside, so that Ctrl-C is handled from the start.
    """
    try:
        from autoregress.cli.program import run

        run(sys.argv[1:] if argv is None else list(argv))
    except KeyboardInterrupt:
        print("autoregress: interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        # Python ends by the signal instead of the status if Ctrl-C came while it ran a text, as
        # dataclasses do; the next text makes it forget.
        exec("")
        if argv is None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the work is done
