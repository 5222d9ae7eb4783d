"""The command line: all verbs, their exit status, and one sentence if they fail.

Of several processes started by torchrun, one reports for all and the others are silent. Nothing
here imports torch, so that help and errors in the arguments appear at once; verbs import it when
they run.
"""

from __future__ import annotations

import importlib
import inspect
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import tyro
from tyro.conf import HelptextFromCommentsOff

from autoregress.cli.compress import Compress, Decompress
from autoregress.cli.draw import Complete, Sample
from autoregress.cli.info import Info
from autoregress.cli.measure import Evaluate, Score
from autoregress.cli.mix import Mix
from autoregress.cli.options import REGISTRY, TooLargeError, spelt_out
from autoregress.cli.output import flush_stdout, give_up_stdout, never_fail_to_print
from autoregress.cli.page import Page
from autoregress.cli.plan import Plan
from autoregress.cli.prepare import Prepare
from autoregress.cli.recipes import Recipes, find_recipe, own, recipe_help
from autoregress.cli.report import Report
from autoregress.cli.runs import Runs
from autoregress.cli.serve import Serve
from autoregress.cli.tables import Impute, Query, TrainTable
from autoregress.cli.train import Train
from autoregress.version import __version__

if TYPE_CHECKING:
    from autoregress.processes import Processes

VERBS: dict[str, type[Any]] = {
    "train": Train,
    "evaluate": Evaluate,
    "sample": Sample,
    "complete": Complete,
    "score": Score,
    "compress": Compress,
    "decompress": Decompress,
    "impute": Impute,
    "query": Query,
    "mix": Mix,
    "page": Page,
    "prepare": Prepare,
    "recipes": Recipes,
    "plan": Plan,
    "info": Info,
    "runs": Runs,
    "serve": Serve,
    "report": Report,
}
HELP = f"""usage: autoregress VERB …

Exact-likelihood autoregressive models of bits, categories, numbers, images and video.
Version {__version__}.

{{}}

autoregress VERB --help shows the options of a verb.
autoregress --plugin MODULE VERB … first imports a module of yours, such as one with a family."""
NARROWEST = 20  # the width of a terminal that tyro's boxes need
# Verbs that several processes run together; the first process alone runs all others.
TOGETHER = (Train, TrainTable, Evaluate, Score, Impute)


def run(argv: Sequence[str]) -> None:
    """Runs a verb; ends the process if it fails."""
    first = os.environ.get("RANK", "0") == "0"
    verb: Callable[[], None] | None = None
    processes: Processes | None = None
    never_fail_to_print()
    try:
        with _silent(unless=first):
            verb = _parse(_plug_in(argv))
        processes = _processes()
        if processes is not None:
            # torchrun sends SIGTERM when one process has ended, and a cluster when time is up.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        with _silent(unless=first):
            if first or isinstance(verb, TOGETHER):
                verb()
        flush_stdout()
    except KeyboardInterrupt:
        status, message = 130, f"interrupted{_again(verb)}"
    except BrokenPipeError:  # the reader, such as head, has closed the pipe
        give_up_stdout()
        sys.exit(1)
    except FloatingPointError as error:
        status, message = 1, str(error)
    except (ValueError, ImportError) as error:
        status, message = 2, str(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        status, message = 2, f"{where}{error.strerror or error}"
    except (RuntimeError, MemoryError) as error:
        if _is_out_of_memory(error):
            status, message = 1, f"there is not enough memory; {_less(verb)}"
        elif processes is not None and _is_lost(error):
            status, message = 1, f"another process of the run has ended{_again(verb)}"
        else:
            raise
    else:
        if processes is not None:
            processes.leave()
        return
    if processes is not None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # already exiting
    if first if processes is None else processes.may_speak():
        one_line = " ".join(message.splitlines())
        print(f"autoregress: {one_line}", file=sys.stderr)
    sys.exit(status)


def _plug_in(argv: Sequence[str]) -> Sequence[str]:
    """Imports the modules that ``--plugin`` names; returns the other arguments."""
    while argv[:1] == ["--plugin"]:
        if len(argv) < 2:
            raise ValueError("--plugin requires the name of a module to import")
        sys.path.insert(0, "")  # the module may be in the current folder
        try:
            importlib.import_module(argv[1])
        except Exception as error:  # whatever the user's module raises
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = "" if "importlib" in place.filename else f" ({place.filename}:{place.lineno})"
            raise ValueError(
                f"--plugin {argv[1]} cannot be imported: {type(error).__name__}: {error}{where}"
            ) from error
        finally:
            sys.path.remove("")
        argv = argv[2:]
    return argv


def _parse(argv: Sequence[str]) -> Callable[[], None]:
    """The verb named by the arguments, with its options.

    Only the options of that verb are parsed, and of the recipe that train and plan take.
    """
    match argv:
        case ["train", "table", *rest]:
            return tyro.cli(
                HelptextFromCommentsOff[TrainTable], prog="autoregress train table", args=rest
            )
        case ["plan", "table", *_]:
            raise ValueError("train table chooses a network by the columns: it has no plan")
        case [("train" | "plan") as verb, name, *rest] if not name.startswith("-"):
            recipe = find_recipe(verb, name)
            kind: Any = VERBS[verb]
            return _options(
                kind[type(recipe.config)],
                f"autoregress {verb} {name}",
                spelt_out(rest, type(recipe.config)),
                description=recipe.description,
                default=kind.of(recipe),
            )
        case ["train" | "plan", "-h" | "--help", *_]:
            _show(recipe_help(argv[0]))
        case ["train" | "plan", *_]:
            example = next(iter(own(argv[0])))
            raise ValueError(f"the recipe comes first, as in: autoregress {argv[0]} {example} …")
        case [verb, *rest] if verb in VERBS:
            return _options(VERBS[verb], f"autoregress {verb}", rest)
        case []:
            print(_help(), file=sys.stderr)
            sys.exit(2)
        case ["-h" | "--help", *_]:
            _show(_help())
        case ["--version"]:
            _show(f"autoregress {__version__}")
    near = get_close_matches(argv[0], VERBS, n=1)
    raise ValueError(
        f"there is no verb {argv[0]!r}; "
        f"{f'did you mean {near[0]}? The' if near else 'the'} verbs are {', '.join(VERBS)}"
    )


def _options(verb: Any, prog: str, args: Sequence[str], **described: Any) -> Any:
    """A verb with the options that the arguments give; ends the process if they are wrong."""
    if shutil.get_terminal_size().columns < NARROWEST:
        os.environ["COLUMNS"] = str(NARROWEST)
    try:
        with REGISTRY:
            return tyro.cli(HelptextFromCommentsOff[verb], prog=prog, args=args, **described)
    except TooLargeError as error:
        raise ValueError(str(error)) from None


def _show(text: str) -> NoReturn:
    print(text)
    sys.exit(0)


def _help() -> str:
    titles = {verb: (inspect.getdoc(kind) or "").partition("\n")[0] for verb, kind in VERBS.items()}
    return HELP.format("\n".join(f"  {verb:10}  {title}" for verb, title in titles.items()))


def _processes() -> Processes | None:
    """The processes that torchrun started; None if there is only one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    from autoregress.processes import join

    return join()


def _again(verb: object) -> str:
    """Advice on the effect of the same command after an interruption."""
    match verb:
        case Train() | TrainTable():
            return "; the same command resumes the training run"
        case Prepare():
            return "; the same command begins anew"
    return ""


def _less(verb: object) -> str:
    """Advice on how to use less memory."""
    match verb:
        case Train():
            return (
                "use a larger --accumulate, or a smaller --batch-size in another run folder; "
                "autoregress plan estimates how much a run needs"
            )
        case Evaluate():
            return "use a smaller --batch-size"
    return "use fewer examples at once"


def _is_out_of_memory(error: BaseException) -> bool:
    from autoregress.memory import is_out_of_memory

    return is_out_of_memory(error)


def _is_lost(error: Exception) -> bool:
    from autoregress.processes import is_lost

    return is_lost(error)


@contextmanager
def _silent(*, unless: bool) -> Iterator[None]:
    """A context that silences Python's output."""
    if unless:
        yield
        return
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
    ):
        yield
