"""The verbs together, and what comes of them: an exit status, and a sentence if they fail.

Of several processes that torchrun started one speaks for all; the others are silent.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import HelptextFromCommentsOff, subcommand

from autoregress.cli.compress import Compress, Decompress
from autoregress.cli.draw import Complete, Sample
from autoregress.cli.info import Info
from autoregress.cli.measure import Evaluate, Score
from autoregress.cli.mix import Mix
from autoregress.cli.plan import PlanTraining
from autoregress.cli.prepare import Prepare
from autoregress.cli.train import Train
from autoregress.processes import Processes, is_lost, join
from autoregress.version import __version__

Verb = (
    Annotated[Train, subcommand("train")]
    | Annotated[Prepare, subcommand("prepare")]
    | Annotated[PlanTraining, subcommand("plan")]
    | Annotated[Mix, subcommand("mix")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Sample, subcommand("sample")]
    | Annotated[Complete, subcommand("complete")]
    | Annotated[Score, subcommand("score")]
    | Annotated[Compress, subcommand("compress")]
    | Annotated[Decompress, subcommand("decompress")]
    | Annotated[Info, subcommand("info")]
)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs a verb. Exit status 2 for a user's mistake, 1 for a failed run, 130 for Ctrl-C."""
    processes = Processes(rank=int(os.environ.get("RANK", "0")))
    verb: Callable[[], None] | None = None
    try:
        with _silent(unless=processes.first):
            verb = tyro.cli(
                HelptextFromCommentsOff[Verb],  # type: ignore[arg-type]  # a union is a form of type
                prog="autoregress",
                description=f"{sys.modules['autoregress'].__doc__} Version {__version__}.",
                args=argv,
            )
        processes = join()
        if processes.size > 1:
            # Sent by torchrun when one of them has ended, or by a cluster when the time is up.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        with _silent(unless=processes.first):
            if processes.first or isinstance(verb, Train | Evaluate):
                verb()
    except KeyboardInterrupt:
        status, message = 130, f"interrupted{_again(verb)}"
    except BrokenPipeError:  # whoever was reading, such as head, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except FloatingPointError as error:
        status, message = 1, str(error)
    except (ValueError, OSError, ImportError) as error:
        status, message = 2, str(error)
    except (RuntimeError, MemoryError) as error:
        if _is_out_of_memory(error):
            status, message = 1, f"there is not enough memory; {_less(verb)}"
        elif is_lost(error):
            status, message = 1, f"another process of the run has ended{_again(verb)}"
        else:
            raise
    else:
        processes.leave()
        return
    if processes.size > 1:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is on its way out
    if processes.may_speak():
        print(f"autoregress: {message}", file=sys.stderr)
    sys.exit(status)


def _again(verb: object) -> str:
    """What the same command does after it was broken off."""
    match verb:
        case Train():
            return "; the same command resumes a training run"
        case Prepare():
            return "; the same command begins anew"
    return ""


def _less(verb: object) -> str:
    """What takes less memory."""
    match verb:
        case Train():
            return (
                "a larger --accumulate takes less of it, and so does a smaller --batch-size in "
                "another run folder; autoregress plan says how much a run takes"
            )
        case Evaluate():
            return "a smaller --batch-size takes less of it"
    return "fewer examples at once take less of it"


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether it is torch's word, or Python's, for a lack of memory, be it of a GPU."""
    words = ("out of memory", "DefaultCPUAllocator")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


@contextmanager
def _silent(*, unless: bool) -> Iterator[None]:
    """In which nothing that Python prints is to be seen."""
    if unless:
        yield
        return
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield
