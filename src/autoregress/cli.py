"""The command line: verbs over the library, each of which says what went wrong in a sentence."""

from __future__ import annotations

import csv
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, cast

import torch
import tyro
from tyro.conf import (
    HelptextFromCommentsOff,
    OmitArgPrefixes,
    OmitSubcommandPrefixes,
    Positional,
    subcommand,
)

from autoregress import __version__
from autoregress import data as datasets
from autoregress.data import Data
from autoregress.data.arrays import holds_split
from autoregress.evaluation import evaluate
from autoregress.recipes import RECIPES
from autoregress.recipes.options import FamilyOptions, Options
from autoregress.storage import load
from autoregress.symbols import Symbols
from autoregress.training import Training, fit


@dataclass(frozen=True)
class Examples:
    """What to train on.

    Args:
        data: A .npy, .npz (file.npz:name is one of its arrays) or .csv file, or a folder of
            images.
        valid: Validation examples, for early stopping. By default the array "valid" of the
            .npz, or else rows held out of the data.
        holdout: The fraction of rows held out for validation if there are no others.
        symbols: Number of levels of all dimensions, or of each; by default one more than the
            largest number in the array. A table's come from its labels.
        labels_from: Further tables whose labels count too, such as the test table; their rows
            are not used.
        max_categories: The most distinct values that a column of a table may have.
        size: Height and width to which images are cropped and scaled.
        grey: Read images as grey, or in colour; by default as they are.
        levels: Number of levels to which the 256 of an image are reduced; 2 makes it black and
            white.
    """

    data: Path
    valid: Path | None = None
    holdout: float = 0.1
    symbols: tuple[int, ...] = ()
    labels_from: tuple[Path, ...] = ()
    max_categories: int = 256
    size: tuple[int, int] | None = None
    grey: bool | None = None
    levels: int | None = None

    def read(self, seed: int) -> tuple[Data, Data]:
        """The training and the validation examples."""
        symbols = self.symbols[0] if len(self.symbols) == 1 else self.symbols or None
        tables = [p for p in (self.valid, *self.labels_from) if p and p.suffix == ".csv"]
        train = datasets.read(
            self.data,
            split="train",
            symbols=symbols,
            labels_from=tables if self.data.suffix == ".csv" else self.labels_from,
            max_categories=self.max_categories,
            size=self.size,
            grey=self.grey,
            levels=self.levels,
        )
        valid = self.valid or (self.data if holds_split(self.data, "valid") else None)
        if valid is None:
            return train.split(self.holdout, seed)
        kind = Symbols(train.event_shape, train.symbols, train.columns)
        return train, _read(valid, kind, split="valid")


@dataclass(frozen=True)
class Job(Generic[Options]):
    """A training run.

    Args:
        run: The run folder: configuration, log, best and last checkpoint. The same command
            resumes.
    """

    examples: OmitArgPrefixes[Examples]
    run: Path
    model: OmitArgPrefixes[Options]
    training: OmitArgPrefixes[Training]


def _jobs() -> Any:
    """A subcommand for every recipe, with its settings as defaults."""
    jobs, job = [], cast(Any, Job)
    for name, recipe in RECIPES.items():
        examples = Examples(data=tyro.MISSING)
        default = Job(examples, tyro.MISSING, recipe.model, recipe.training)
        jobs.append(
            Annotated[
                job[type(recipe.model)],
                subcommand(name, default=default, description=recipe.title),
            ]
        )
    return reduce(or_, jobs)


if TYPE_CHECKING:
    AnyJob = Job[FamilyOptions]
else:
    AnyJob = _jobs()


@dataclass(frozen=True)
class Train:
    """Train a model; the same command resumes an interrupted run.

    autoregress train made --data data.npz --run runs/mine
    """

    recipe: OmitArgPrefixes[OmitSubcommandPrefixes[AnyJob]]

    def __call__(self) -> None:
        job = self.recipe
        train, valid = job.examples.read(job.training.seed)
        torch.manual_seed(job.training.seed)
        model = job.model.build(train.event_shape, train.symbols, train.columns)
        parameters = sum(p.numel() for p in model.parameters())
        print(
            f"{len(train):,} training and {len(valid):,} validation examples of shape "
            f"{train.event_shape}; {parameters:,} parameters"
        )
        result = fit(model, train, valid=valid, run=job.run, training=job.training)
        print(f"best after epoch {result.best_epoch}: {result.valid} on the validation examples")
        print(f"next: autoregress evaluate {job.run} --data TEST")


@dataclass(frozen=True)
class Evaluate:
    """Exact held-out likelihood, in nats and bits per dimension.

    autoregress evaluate runs/mine --data test.npz

    Args:
        run: A run folder, or one that ar.save wrote.
        data: Examples as those it was trained on; of an .npz the array "test".
        batch_size: Examples at once; the result does not depend on it.
        device: Where to compute, for example cuda.
    """

    run: Positional[Path]
    data: Path
    batch_size: int = 1000
    device: str = "cpu"

    def __call__(self) -> None:
        model = load(self.run).to(self.device)
        examples = _read(self.data, model.symbols, split="test")
        print(evaluate(model, examples, batch_size=self.batch_size))


@dataclass(frozen=True)
class Sample:
    """Draw from a model.

    autoregress sample runs/mine --count 64 --out samples.png

    Args:
        run: A run folder, or one that ar.save wrote.
        out: A .png (images, or vectors of square length), .npy, .npz or .csv file.
        count: How many.
        seed: The same seed draws the same.
        device: Where to compute, for example cuda.
    """

    run: Positional[Path]
    out: Path
    count: int = 16
    seed: int = 0
    device: str = "cpu"

    def __call__(self) -> None:
        datasets.check_writable(self.out)
        model = load(self.run).to(self.device)
        x = model.sample(self.count, generator=_generator(self.device, self.seed))
        datasets.write(self.out, x.cpu(), model.symbols.levels, model.symbols.columns)
        print(f"{self.count} samples in {self.out}")


@dataclass(frozen=True)
class Complete:
    """Fill in what is unknown, drawn exactly from p(unknown | known).

    autoregress complete runs/mine partial.npz --out completed.npz

    Unknown are: in an .npz with arrays x and known (bool), where known is false; in a .csv,
    empty cells and "?".

    Args:
        run: A run folder, or one that ar.save wrote.
        partial: The examples to complete.
        out: An .npz, .npy, .csv or .png file.
        log_prob: Also write log p(unknown | known) of each completion, in nats (.npz and .csv).
        seed: The same seed draws the same.
        device: Where to compute, for example cuda.
    """

    run: Positional[Path]
    partial: Positional[Path]
    out: Path
    log_prob: bool = False
    seed: int = 0
    device: str = "cpu"

    def __call__(self) -> None:
        datasets.check_writable(self.out)
        model = load(self.run).to(self.device)
        examples = _read(self.partial, model.symbols, partial=True)
        if examples.known is None:
            raise ValueError(
                f"{self.partial} does not say what is known: an .npz needs a bool array named "
                "known beside x, and a .csv has empty cells where it is to be completed"
            )
        x, log_prob = model.complete(
            examples.x,
            examples.known,
            generator=_generator(self.device, self.seed),
            return_log_prob=True,
        )
        datasets.write(
            self.out,
            x.cpu(),
            model.symbols.levels,
            model.symbols.columns,
            known=examples.known,
            extra={"log_prob": log_prob.cpu()} if self.log_prob else None,
        )
        print(f"{len(x)} completed examples in {self.out}")


@dataclass(frozen=True)
class Score:
    """log p of each example, and the dimensions that surprised most.

    autoregress score runs/mine rows.npz --out scores.csv

    Args:
        run: A run folder, or one that ar.save wrote.
        data: The examples to score.
        out: A .csv file: row, log_prob in nats, bits_per_dim, and the most surprising dimensions.
        top: How many of the most surprising dimensions to name.
        device: Where to compute, for example cuda.
    """

    run: Positional[Path]
    data: Positional[Path]
    out: Path
    top: int = 5
    device: str = "cpu"

    def __call__(self) -> None:
        datasets.check_writable(self.out)
        if self.out.suffix.lower() != ".csv":
            raise ValueError(f"{self.out}: scores are written as .csv")
        model = load(self.run).to(self.device)
        x = _read(self.data, model.symbols).x
        top = min(self.top, model.dims)
        with torch.no_grad(), self.out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            ranks = range(1, top + 1)
            named = [name for i in ranks for name in (f"surprise_{i}", f"surprise_{i}_nats")]
            writer.writerow(["row", "log_prob", "bits_per_dim", *named])
            for start in range(0, len(x), 1000):
                surprisal = model.surprisal(x[start : start + 1000]).flatten(1).cpu()
                for row, nats in enumerate(surprisal, start=start):
                    total = float(nats.sum())
                    bits = total / (model.dims * math.log(2))
                    worst = nats.topk(top)
                    cells = [
                        cell
                        for value, dim in zip(*worst, strict=True)
                        for cell in (_dimension(model.symbols, int(dim)), f"{float(value):.6f}")
                    ]
                    writer.writerow([row, f"{-total:.6f}", f"{bits:.6f}", *cells])
        print(f"scores of {len(x)} examples in {self.out}")


@dataclass(frozen=True)
class Info:
    """What a run folder or a saved model holds.

    autoregress info runs/mine

    Args:
        run: A run folder, or one that ar.save wrote.
    """

    run: Positional[Path]

    def __call__(self) -> None:
        model = load(self.run)
        symbols = model.symbols
        lines: dict[str, Any] = {
            "model": type(model).__name__,
            "event shape": symbols.event_shape,
            "symbols": _shortened(symbols.compact),
            "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
            "members": len(model.members),
            **{name: _shortened(value) for name, value in model.options.items()},
        }
        if symbols.columns:
            lines["columns"] = ", ".join(
                f"{name} ({levels})"
                for name, levels in zip(symbols.columns.names, symbols.levels, strict=True)
            )
        config = json.loads((self.run / "config.json").read_text())
        for key, value in config.get("training", {}).items():
            lines[f"training: {key}"] = value
        log = self.run / "log.jsonl"
        if log.exists():
            epochs = [json.loads(line) for line in log.read_text().splitlines()]
            best = min(epochs, key=lambda e: e.get("valid_nats") or math.inf, default=None)
            lines["epochs"] = len(epochs)
            if best and best.get("valid_nats") is not None:
                lines["best epoch"] = f"{best['epoch']}: {best['valid_nats']:.4f} validation nats"
        width = max(map(len, lines))
        for key, value in lines.items():
            print(f"{key:{width}}  {value}")


Verb = (
    Annotated[Train, subcommand("train")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Sample, subcommand("sample")]
    | Annotated[Complete, subcommand("complete")]
    | Annotated[Score, subcommand("score")]
    | Annotated[Info, subcommand("info")]
)


def _read(path: Path, symbols: Symbols, **options: Any) -> Data:
    """Reads examples of the kind that a model takes."""
    shape, compact = symbols.event_shape, symbols.compact
    if path.is_dir() and len(shape) == 3:
        options |= {"size": shape[1:], "grey": shape[0] == 1}
    levels = compact if isinstance(compact, int) else tuple(compact)
    examples = datasets.read(path, symbols=levels, columns=symbols.columns, **options)
    try:
        symbols.check(examples.x)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return examples


def _generator(device: str, seed: int) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def _dimension(symbols: Symbols, dim: int) -> str:
    return symbols.columns.names[dim] if symbols.columns else str(dim)


def _shortened(value: Any, most: int = 12) -> str:
    if isinstance(value, list) and isinstance(value[0], list):
        return f"{len(value)} given"
    if not isinstance(value, list) or len(value) <= most:
        return str(value)
    return f"[{', '.join(map(str, value[:most]))}, …] ({len(value)} numbers)"


def main(argv: Sequence[str] | None = None) -> None:
    """Runs a verb. Exit status 2 for a user's mistake, 1 for a failed run, 130 for Ctrl-C."""
    try:
        verb: Callable[[], None] = tyro.cli(
            HelptextFromCommentsOff[Verb],  # type: ignore[arg-type]  # a union is a form of type
            prog="autoregress",
            description=f"{sys.modules['autoregress'].__doc__} Version {__version__}.",
            args=argv,
        )
        verb()
    except KeyboardInterrupt:
        sys.exit(_say("interrupted; the same command resumes a training run", 130))
    except BrokenPipeError:  # whoever was reading, such as head, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except FloatingPointError as error:
        sys.exit(_say(str(error), 1))
    except (ValueError, OSError) as error:
        sys.exit(_say(str(error), 2))


def _say(message: str, status: int) -> int:
    print(f"autoregress: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
