"""The command line: verbs over the library, each of which says what went wrong in a sentence."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Runs a verb. Exit status 2 for a user's mistake, 1 for a failed run, 130 for Ctrl-C.

    Nothing is imported before it, so that Ctrl-C is heard from the start.
    """
    try:
        from autoregress.cli.program import run

        run(sys.argv[1:] if argv is None else list(argv))
    except KeyboardInterrupt:
        print("autoregress: interrupted", file=sys.stderr)
        sys.exit(130)
