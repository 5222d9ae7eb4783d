"""The command line: verbs over the library, each of which reports an error in one sentence."""

import sys


def main(argv: list[str] | None = None) -> None:
    """Runs a verb. The exit status is 2 for a user's mistake, 1 for a failed run, 130 for Ctrl-C.

    Imports happen inside, so that Ctrl-C is handled from the start.
    """
    try:
        from autoregress.cli.program import run

        run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        print("autoregress: interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        # Python would end by the signal, without a status, if Ctrl-C came while it executed a text,
        # as dataclasses do; executing another makes it forget.
        exec("")
        if argv is None:
            import signal

            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the work is done
