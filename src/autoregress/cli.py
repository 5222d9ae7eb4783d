"""The command line: verbs over the library, each of which says what went wrong in a sentence.

Of several processes that torchrun started one speaks for all; the others are silent.
"""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, replace
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal

import torch
import tyro
from torch import Tensor
from tyro.conf import (
    HelptextFromCommentsOff,
    OmitArgPrefixes,
    OmitSubcommandPrefixes,
    Positional,
    subcommand,
)

from autoregress import __version__
from autoregress import data as datasets
from autoregress.data import Data, Shards, VideoFolder, write_shards
from autoregress.data.arrays import holds_split
from autoregress.data.dataset import Source, held_out
from autoregress.data.images import SUFFIXES as IMAGES
from autoregress.data.images import ImageFolder
from autoregress.data.published import is_published
from autoregress.data.shards import (
    INDEX,
    check_free,
    check_prepared,
    holds_part,
    holds_shards,
)
from autoregress.data.videos import DEFAULT_FRAMES, holds_videos
from autoregress.evaluation import evaluate
from autoregress.planning import plan
from autoregress.processes import Processes, is_lost, join
from autoregress.recipes import RECIPES
from autoregress.recipes.options import FamilyOptions, Options, Recipe
from autoregress.storage import load
from autoregress.symbols import Symbols
from autoregress.training import Training, fit


@dataclass(frozen=True)
class Examples:
    """What to train on.

    Args:
        data: A .npy, .npz (file.npz:name is one of its arrays) or .csv file, a folder of images
            or of videos, MNIST's or CIFAR-10's own files, or a folder of shards (folder:name is
            one split of them).
        valid: Validation examples, for early stopping. By default the array "valid" of the
            .npz or the shards of that name, or else rows, or whole videos, held out of the data.
        holdout: The fraction of rows, or of videos, held out for validation if there are no
            others.
        symbols: Number of levels of all dimensions, or of each; by default one more than the
            largest number in the array. A table's come from its labels.
        labels_from: Further tables whose labels count too, such as the test table; their rows
            are not used.
        max_categories: The most distinct values that a column of a table may have.
        size: Height and width to which images or videos are cropped and scaled; by default those
            they have, of videos 64 by 64 at most. With it the rows of an array are images too.
        grey: Read images or videos as grey, or in colour; by default as they are.
        levels: Number of levels to which the 256 of an image or a video are reduced; 2 makes it
            black and white.
        frames: Frames of a clip, of videos; by default 16. With it a .gif is a video too.
        stride: Frames of a video from one frame of a clip to the next.
        step: Frames of a video from one clip to the next; by default clips do not overlap.
        cache: The folder that keeps videos decoded; by default one below ~/.cache.
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
    frames: int | None = None
    stride: int = 1
    step: int | None = None
    cache: Path | None = None

    def read(self, seed: int, *, stay: bool = False, workers: int = 1) -> tuple[Source, Source]:
        """The training and the validation examples; the rest as :meth:`of` says."""
        train = self.of("train", stay=stay, workers=workers)
        beside = holds_split(self.data, "valid") or holds_part(self.data, "valid")
        if valid := self.valid or (self.data if beside else None):
            kind = Symbols(train.event_shape, train.symbols, train.columns)
            options = {"stride": self.stride, "cache": self.cache, "workers": workers}
            return train, _open(valid, kind, split="valid", stay=stay, **options)
        if isinstance(train, VideoFolder) or (isinstance(train, Data) and not stay):
            return train.split(self.holdout, seed)
        return held_out(train, self.holdout, seed)

    def of(
        self, split: str, *, stay: bool = False, workers: int = 1
    ) -> Data | VideoFolder | ImageFolder | Shards:
        """The examples of a split, or all if the data has no splits.

        Args:
            stay: images and the array of an .npy stay on disk, as videos and shards always do.
            workers: processes that decode videos.
        """
        levels = max(self.symbols, default=256) if self.levels is None else self.levels
        symbols = self.symbols[0] if len(self.symbols) == 1 else self.symbols or None
        if holds_shards(self.data):
            shards = Shards(self.data, split)
            shards.require(
                frames=self.frames,
                size=self.size,
                grey=self.grey,
                levels=symbols if self.levels is None else self.levels,
                stride=self.stride,
                step=self.step,
            )
            return shards
        if holds_videos(self.data, gif=self.frames is not None):
            clips = VideoFolder(
                self.data,
                frames=DEFAULT_FRAMES if self.frames is None else self.frames,
                size=self.size,
                stride=self.stride,
                step=self.step,
                grey=self.grey,
                levels=levels,
                cache=self.cache,
                workers=workers,
                quiet=False,
            )
            return _reported(clips)
        if stay and self.frames is None and _holds_images(self.data):
            return ImageFolder(self.data, size=self.size, grey=self.grey, levels=levels)
        tables = [p for p in (self.valid, *self.labels_from) if p and p.suffix == ".csv"]
        return datasets.read(
            self.data,
            split=split,
            symbols=symbols,
            labels_from=tables if self.data.suffix == ".csv" else self.labels_from,
            max_categories=self.max_categories,
            size=self.size,
            grey=self.grey,
            levels=self.levels,
            frames=self.frames,
            stride=self.stride,
            step=self.step,
            mapped=stay,
        )


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


def _by_recipe(kind: Any, default: Callable[[Recipe[FamilyOptions]], Any]) -> Any:
    """A subcommand for every recipe, with its settings as defaults."""
    return reduce(
        or_,
        [
            Annotated[
                kind[type(recipe.model)],
                subcommand(name, default=default(recipe), description=recipe.title),
            ]
            for name, recipe in RECIPES.items()
        ],
    )


def _job(recipe: Recipe[Options]) -> Job[Options]:
    examples = Examples(data=tyro.MISSING, **recipe.data)
    return Job(examples, tyro.MISSING, recipe.model, recipe.training)


if TYPE_CHECKING:
    AnyJob = Job[FamilyOptions]
else:
    AnyJob = _by_recipe(Job, _job)


@dataclass(frozen=True)
class Train:
    """Train a model; the same command resumes an interrupted run.

    autoregress train made --data data.npz --run runs/mine

    torchrun --nproc-per-node 2 -m -- autoregress train made --data data.npz --run runs/mine
    """

    recipe: OmitArgPrefixes[OmitSubcommandPrefixes[AnyJob]]

    def __call__(self) -> None:
        job = self.recipe
        # The first of several processes decodes videos, and the others find them in the cache.
        train, valid = join().after_first(lambda: job.examples.read(job.training.seed))
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
class Prepare:
    """Decode, scale and cut examples once, into shards of which training reads what it needs.

    autoregress prepare --data clips --out shards --frames 16 --size 64 64

    Shards are .npy files with an index. The same command again checks that they are whole. No
    more than a few examples at a time are in memory, except those of .npz and .csv files and of
    MNIST's and CIFAR-10's own.

    Args:
        out: The folder of shards: of examples to train on and of those to validate on.
        split: Write all examples as this one split instead, and hold none out.
        workers: How many decode videos or images at the same time.
        megabytes: About the size of a shard.
        seed: Of which examples are held out; training has the same default.
    """

    examples: OmitArgPrefixes[Examples]
    out: Path
    split: Literal["train", "valid", "test"] | None = None
    workers: int = 1
    megabytes: int = 256
    seed: int = 0

    def __call__(self) -> None:
        made_of = self._made_of()
        if (self.out / INDEX).exists():
            counts = check_prepared(self.out, made_of)
            print(f"{self.out} is whole: {_counted(counts)}")
            return
        check_free(self.out)
        splits = self._splits()
        skipped = [
            (str(path), reason)
            for source in splits.values()
            for path, reason in getattr(source, "skipped", [])
        ]
        notes = {"made_of": made_of, "skipped": sorted(set(skipped))}
        write_shards(
            self.out,
            splits,
            megabytes=self.megabytes,
            workers=self.workers,
            notes=notes,
            quiet=False,
        )
        counts = {name: len(source) for name, source in splits.items()}
        shape = next(iter(splits.values())).event_shape
        print(f"{_counted(counts)} examples of shape {shape} in {self.out}")

    def _splits(self) -> dict[str, Source]:
        if self.split is not None:
            return {self.split: self.examples.of(self.split, stay=True, workers=self.workers)}
        train, valid = self.examples.read(self.seed, stay=True, workers=self.workers)
        return {"train": train, "valid": valid}

    def _made_of(self) -> dict[str, Any]:
        """All that the shards depend on, as JSON gives it back."""
        options = asdict(self.examples) | {
            "split": self.split,
            "megabytes": self.megabytes,
            "seed": self.seed,
        }
        del options["cache"]
        return json.loads(json.dumps(options, default=str))


@dataclass(frozen=True)
class Sheet(Generic[Options]):
    """What is planned, with the options of train.

    Args:
        shape: Of an example; by default as the recipe's data, or the family's paper, has it.
        symbols: Number of levels of its dimensions.
        devices: How many take equal parts of an update.
        batch: The same as --batch-size.
        peak: Operations a second of a device at best; by default those of an H100, 989e12 in
            bfloat16 and 67e12 in float32.
        share: Of that peak, what is reached.
        steps: Updates to give the time of; by default as many as the paper's run has, where that
            is known.
    """

    model: OmitArgPrefixes[Options]
    training: OmitArgPrefixes[Training]
    shape: tuple[int, ...]
    symbols: int
    devices: int = 1
    batch: int | None = None
    peak: float | None = None
    share: float = 0.4
    steps: int | None = None


def _sheet(recipe: Recipe[Options]) -> Sheet[Options]:
    shape, symbols = recipe.example
    return Sheet(recipe.model, recipe.training, shape, symbols, steps=recipe.steps)


if TYPE_CHECKING:
    AnySheet = Sheet[FamilyOptions]
else:
    AnySheet = _by_recipe(Sheet, _sheet)


@dataclass(frozen=True)
class PlanTraining:
    """What training takes of memory and time, worked out without data and without a GPU.

    autoregress plan video-large --devices 128 --batch 64

    Memory is that of tensors, and time that of matrix products and convolutions; see docs/scale.md.
    """

    recipe: OmitArgPrefixes[OmitSubcommandPrefixes[AnySheet]]

    def __call__(self) -> None:
        sheet, training = self.recipe, self.recipe.training
        if sheet.batch is not None:
            training = replace(training, batch_size=sheet.batch)
        planned = plan(
            lambda: sheet.model.build(sheet.shape, sheet.symbols, None),
            training,
            devices=sheet.devices,
            peak=sheet.peak,
            share=sheet.share,
        )
        print(planned)
        if sheet.steps is not None:
            print(f"{'':12} {_duration(sheet.steps * planned.seconds)}, {sheet.steps:,} updates")


@dataclass(frozen=True)
class Evaluate:
    """Exact held-out likelihood, in nats and bits per dimension.

    autoregress evaluate runs/mine --data test.npz

    Args:
        run: A run folder, or one that ar.save wrote.
        data: Examples as those it was trained on; of an .npz the array "test", of shards those
            of that name (folder:name is another split).
        stride: Of videos: frames from one frame of a clip to the next.
        batch_size: Examples at once; the result does not depend on it.
        device: Where to compute, for example cuda.
    """

    run: Positional[Path]
    data: Path
    stride: int = 1
    batch_size: int = 1000
    device: str = "cpu"

    def __call__(self) -> None:
        model = load(self.run).to(self.device)
        examples = join().after_first(
            lambda: _open(self.data, model.symbols, split="test", stride=self.stride)
        )
        print(evaluate(model, examples, batch_size=self.batch_size))


@dataclass(frozen=True)
class Sample:
    """Draw from a model.

    autoregress sample runs/mine --count 64 --out samples.png

    Args:
        run: A run folder, or one that ar.save wrote.
        out: A .png (images, or vectors of square length), .npy, .npz or .csv file; for clips a
            .gif or .mp4 to look at, or .mkv, which loses nothing and is a file for each.
        count: How many.
        rate: Frames a second, of clips.
        seed: The same seed draws the same.
        device: Where to compute, for example cuda.
    """

    run: Positional[Path]
    out: Path
    count: int = 16
    rate: int = 10
    seed: int = 0
    device: str = "cpu"

    def __call__(self) -> None:
        datasets.check_writable(self.out)
        model = load(self.run).to(self.device)
        x = model.sample(self.count, generator=_generator(self.device, self.seed))
        files = datasets.write(
            self.out, x.cpu(), model.symbols.levels, model.symbols.columns, rate=self.rate
        )
        print(f"{self.count} samples in {_named(files)}")


@dataclass(frozen=True)
class Complete:
    """Fill in what is unknown, drawn exactly from p(unknown | known).

    autoregress complete runs/mine partial.npz --out completed.npz
    autoregress complete runs/clips clip.mp4 --known-frames 5 --out continued.gif

    Unknown are: in an .npz with arrays x and known (bool), where known is false; in a .csv,
    empty cells and "?"; of clips and images, what comes after the known frames or rows.

    Args:
        run: A run folder, or one that ar.save wrote.
        partial: The examples to complete; of each video its beginning.
        out: An .npz, .npy, .csv or .png file; for clips also .gif, .mp4 or .mkv.
        known_frames: So many first frames of every clip are known.
        known_rows: So many first rows of every image are known.
        stride: Of videos: frames from one frame of a clip to the next.
        log_prob: Also write log p(unknown | known) of each completion, in nats (.npz and .csv).
        rate: Frames a second, of clips.
        seed: The same seed draws the same.
        device: Where to compute, for example cuda.
    """

    run: Positional[Path]
    partial: Positional[Path]
    out: Path
    known_frames: int | None = None
    known_rows: int | None = None
    stride: int = 1
    log_prob: bool = False
    rate: int = 10
    seed: int = 0
    device: str = "cpu"

    def __call__(self) -> None:
        datasets.check_writable(self.out)
        model = load(self.run).to(self.device)
        given, known = self._partial(model.symbols)
        x, log_prob = model.complete(
            given,
            known,
            generator=_generator(self.device, self.seed),
            return_log_prob=True,
        )
        files = datasets.write(
            self.out,
            x.cpu(),
            model.symbols.levels,
            model.symbols.columns,
            known=known,
            extra={"log_prob": log_prob.cpu()} if self.log_prob else None,
            rate=self.rate,
        )
        print(f"{len(x)} completed examples in {_named(files)}")

    def _partial(self, symbols: Symbols) -> tuple[Tensor, Tensor]:
        """The examples (N, *event_shape), and what is known of them, bool."""
        shape, known = symbols.event_shape, torch.zeros(symbols.event_shape, dtype=torch.bool)
        match len(shape), self.known_frames, self.known_rows:
            case _, None, None:
                if not _holds_clips(self.partial, symbols):
                    examples = _read(self.partial, symbols, partial=True)
                    if examples.known is not None:
                        return examples.x, examples.known
                raise ValueError(
                    f"{self.partial} does not say what is known: an .npz needs a bool array named "
                    "known beside x, and a .csv has empty cells where it is to be completed; for "
                    "clips there is --known-frames, for images --known-rows"
                )
            case 4, int(frames), None if 0 <= frames <= shape[0]:
                known[:frames] = True
            case 3, None, int(rows) if 0 <= rows <= shape[1]:
                known[:, :rows] = True
            case _:
                raise ValueError(
                    "--known-frames is for models of clips (T, C, H, W), from 0 to T, and "
                    f"--known-rows for models of images (C, H, W), from 0 to H; {self.run} is one "
                    f"of {shape}"
                )
        if self.known_frames is not None and _holds_clips(self.partial, symbols):
            # The first clip of each video, which need not go on for longer than it is known.
            frames = max(1, self.known_frames)
            clips = _clips(self.partial, symbols, frames=frames, stride=self.stride, step=2**62)
            x = torch.zeros(len(clips), *shape, dtype=torch.uint8)
            x[:, :frames] = clips.data().x
        else:
            x = _read(self.partial, symbols).x
        return x, known.expand(x.shape)


@dataclass(frozen=True)
class Score:
    """log p of each example, and the dimensions that surprised most.

    autoregress score runs/mine rows.npz --out scores.csv

    Args:
        run: A run folder, or one that ar.save wrote.
        data: The examples to score.
        out: A .csv file: row, log_prob in nats, bits_per_dim, and the most surprising dimensions.
        stride: Of videos: frames from one frame of a clip to the next.
        top: How many of the most surprising dimensions to name.
        device: Where to compute, for example cuda.
    """

    run: Positional[Path]
    data: Positional[Path]
    out: Path
    stride: int = 1
    top: int = 5
    device: str = "cpu"

    def __call__(self) -> None:
        datasets.check_writable(self.out)
        if self.out.suffix.lower() != ".csv":
            raise ValueError(f"{self.out}: scores are written as .csv")
        model = load(self.run).to(self.device)
        x = _open(self.data, model.symbols, split=None, stride=self.stride)
        top = min(self.top, model.dims)
        with torch.no_grad(), self.out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            ranks = range(1, top + 1)
            named = [name for i in ranks for name in (f"surprise_{i}", f"surprise_{i}_nats")]
            writer.writerow(["row", "log_prob", "bits_per_dim", *named])
            for rows in torch.arange(len(x)).split(1000):
                surprisal = model.surprisal(x[rows]).flatten(1).cpu()
                for row, nats in zip(rows.tolist(), surprisal, strict=True):
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
    | Annotated[Prepare, subcommand("prepare")]
    | Annotated[PlanTraining, subcommand("plan")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Sample, subcommand("sample")]
    | Annotated[Complete, subcommand("complete")]
    | Annotated[Score, subcommand("score")]
    | Annotated[Info, subcommand("info")]
)


def _open(
    path: Path,
    symbols: Symbols,
    *,
    split: str | None,
    stay: bool = False,
    **options: Any,
) -> Source:
    """Examples of the kind that a model takes; clips and shards stay on disk until they are needed.

    Args:
        stay: so do images.
        **options: of clips.
    """
    if holds_shards(path):
        return _shards(path, symbols, split)
    if _holds_clips(path, symbols):
        return _clips(path, symbols, **options)
    shape = symbols.event_shape
    if stay and len(shape) == 3 and _holds_images(path):
        levels = max(symbols.levels)
        return ImageFolder(path, size=shape[1:], grey=shape[0] == 1, levels=levels)
    return _read(path, symbols, split=split)


def _shards(path: Path, symbols: Symbols, split: str | None) -> Shards:
    shards = Shards(path, split)
    own = Symbols(shards.event_shape, shards.symbols, shards.columns)
    if own.event_shape != symbols.event_shape:
        raise ValueError(
            f"{path} holds examples {own.event_shape}; this model takes {symbols.event_shape}"
        )
    if (own.levels, own.columns) != (symbols.levels, symbols.columns):
        raise ValueError(
            f"{path} was prepared with symbols {_shortened(own.compact)}; this model takes "
            f"{_shortened(symbols.compact)}"
        )
    return shards


def _read(path: Path, symbols: Symbols, **options: Any) -> Data:
    """Examples of the kind that a model takes, in memory."""
    if holds_shards(path):
        return _shards(path, symbols, options.get("split")).data()
    shape, compact = symbols.event_shape, symbols.compact
    if len(shape) == 3:
        options["size"] = shape[1:]
        if path.is_dir() or path.suffix.lower() in IMAGES:
            options["grey"] = shape[0] == 1
    levels = compact if isinstance(compact, int) else tuple(compact)
    examples = datasets.read(path, symbols=levels, columns=symbols.columns, **options)
    try:
        symbols.check(examples.x)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return examples


def _holds_images(path: Path) -> bool:
    return (path.is_dir() or path.suffix.lower() in IMAGES) and not is_published(path)


def _holds_clips(path: Path, symbols: Symbols) -> bool:
    clips = len(symbols.event_shape) == 4
    videos = holds_videos(path, gif=clips)
    if videos and not clips:
        raise ValueError(f"{path} holds videos; this model takes examples {symbols.event_shape}")
    return videos


def _clips(
    path: Path, symbols: Symbols, *, frames: int | None = None, **options: Any
) -> VideoFolder:
    """The clips of videos as a model takes them, or shorter ones."""
    length, channels, height, width = symbols.event_shape
    if channels not in (1, 3):
        raise ValueError(f"videos have 1 or 3 channels, this model takes {symbols.event_shape}")
    options |= {"frames": frames or length, "size": (height, width), "grey": channels == 1}
    return _reported(VideoFolder(path, levels=max(symbols.levels), quiet=False, **options))


def _reported(clips: VideoFolder) -> VideoFolder:
    if clips.skipped:
        print(clips.complaint, file=sys.stderr)
    return clips


def _counted(counts: Mapping[str, int]) -> str:
    return " and ".join(f"{count:,} {name}" for name, count in counts.items())


def _named(files: Sequence[Path]) -> str:
    return str(files[0]) if len(files) == 1 else f"{files[0]} to {files[-1]}"


def _generator(device: str, seed: int) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def _duration(seconds: float) -> str:
    for unit, length in {"days": 86400, "hours": 3600, "minutes": 60}.items():
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.3g} seconds"


def _dimension(symbols: Symbols, dim: int) -> str:
    return symbols.columns.names[dim] if symbols.columns else str(dim)


def _shortened(value: Any, most: int = 12) -> str:
    if isinstance(value, list) and value and isinstance(value[0], list):
        return f"{len(value)} given"
    if not isinstance(value, list) or len(value) <= most:
        return str(value)
    return f"[{', '.join(map(str, value[:most]))}, …] ({len(value)} numbers)"


def main(argv: Sequence[str] | None = None) -> None:
    """Runs a verb. Exit status 2 for a user's mistake, 1 for a failed run, 130 for Ctrl-C."""
    processes = Processes(rank=int(os.environ.get("RANK", "0")))
    try:
        with _silent(unless=processes.first):
            verb: Callable[[], None] = tyro.cli(
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
        status, message = 130, "interrupted; the same command resumes a training run"
    except BrokenPipeError:  # whoever was reading, such as head, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except FloatingPointError as error:
        status, message = 1, str(error)
    except (ValueError, OSError) as error:
        status, message = 2, str(error)
    except RuntimeError as error:
        if not is_lost(error):
            raise
        status = 1
        message = "another process of the run has ended; the same command resumes a training run"
    else:
        processes.leave()
        return
    if processes.size > 1:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is on its way out
    if processes.may_speak():
        print(f"autoregress: {message}", file=sys.stderr)
    sys.exit(status)


@contextmanager
def _silent(*, unless: bool) -> Iterator[None]:
    """In which nothing that Python prints is to be seen."""
    if unless:
        yield
        return
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


if __name__ == "__main__":
    main()
