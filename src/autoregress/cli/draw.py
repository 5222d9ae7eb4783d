"""Drawing examples, and completing partial ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from autoregress.brief import counted
from autoregress.cli.examples import open_examples, open_like
from autoregress.cli.models import Conditions, given_context, load_model
from autoregress.cli.options import AboveZero, FromZero, Positive
from autoregress.cli.output import Progress, announce, frame_rate, named
from autoregress.cli.tables import holds_table, refuse_for_table, sample_table
from autoregress.data.reading import Reading

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from autoregress.data import Source
    from autoregress.model import AutoregressiveModel

# Number of samples drawn side by side.
AT_ONCE = 1000


@dataclass(frozen=True)
class Sample:
    """Draw samples from a model.

    autoregress sample runs/mine --count 64 --out samples.png

    Args:
        run: A run folder, one that ar.save wrote, or the name of a bundled model, such as digits.
        out: A .png (images, or vectors of square length), .npy, .npz or .csv file, or a folder for
            a .png of each image; for clips also .gif or .mp4 to view, or .mkv (lossless, one file
            per clip); of a table a .csv or .parquet.
        count: Number of samples.
        given: Condition of the samples, for a conditional model: the name of a label, or the
            numbers of the context; for a table, cells as NAME=VALUE.
        temperature: Temperature of each symbol's distribution: below 1 draws fewer unlikely
            symbols; only 1 draws from the model's own distribution.
        rate: Number of frames a second of a .gif, .mp4 or .mkv, by default 10.
        seed: Seed of the draws.
        device: Device to compute on, such as cpu or cuda; by default the accelerator if there is
            one.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    out: Path
    count: Positive = 16
    given: tuple[str, ...] = ()
    temperature: AboveZero = 1.0
    rate: Positive | None = None
    seed: int = 0
    device: str = "auto"

    def __call__(self) -> None:
        from autoregress import data as datasets

        if holds_table(self.run):
            other = {
                "temperature": self.temperature != 1,
                "device": self.device != "auto",
                "rate": self.rate is not None,
            }
            refuse_for_table(self.run, **other)
            sample_table(self.run, self.out, self.count, self.given, self.seed)
            return
        datasets.check_writable(self.out)
        rate = frame_rate(self.rate, self.out)
        model = load_model(self.run, self.device)
        x = self._drawn(model)
        files = datasets.write(self.out, x, model.symbols.levels, model.symbols.columns, rate=rate)
        announce(f"{counted(self.count, 'sample')} in {named(files)}", self.out)

    def _drawn(self, model: AutoregressiveModel) -> Tensor:
        """The samples, in parts, so that memory is little more than that of the samples."""
        import torch

        from autoregress.memory import require_memory

        require_memory(f"{self.count:,} samples", 8 * self.count * model.dims)
        x = torch.empty(self.count, *model.event_shape, dtype=torch.int64)
        generator = _generator(model, self.seed)
        with Progress("drawing", model.dims) as progress:
            for start in range(0, self.count, AT_ONCE):
                part = x[start : start + AT_ONCE]
                part[:] = model.sample(
                    len(part),
                    given_context(model, self.given, len(part)),
                    temperature=self.temperature,
                    generator=generator,
                    on_progress=progress.within(start, self.count),
                )
        return x


@dataclass(frozen=True)
class Complete:
    """Fill in unknown entries, drawn exactly from p(unknown | known).

    autoregress complete runs/mine partial.npz --out completed.npz

    autoregress complete runs/clips clip.mp4 --known-frames 5 --out continued.gif

    Unknown entries are, in an .npz with arrays x and known (bool), those where known is false; in
    a .csv, empty cells and "?"; in clips and images, everything after the known frames or rows.

    Args:
        run: A run folder, one that ar.save wrote, or the name of a bundled model, such as digits.
        partial: The examples to complete; of each video the beginning is used.
        out: An .npz, .npy, .csv or .png file; for clips also .gif, .mp4 or .mkv.
        known_frames: Number of frames known at the start of each clip.
        known_rows: Number of rows known at the top of each image.
        temperature: Temperature of each symbol's distribution: below 1 draws fewer unlikely
            symbols; only with 1 are the draws exact.
        stride: Number of video frames from one frame of a clip to the next.
        log_prob: Also write log p(unknown | known) of each completion, in nats (.npz and .csv),
            under the model itself whatever the temperature.
        rate: Number of frames a second of a .gif, .mp4 or .mkv, by default 10.
        seed: Seed of the draws.
        device: Device to compute on, such as cpu or cuda; by default the accelerator if there is
            one.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    partial: Annotated[Positional[Path], arg(metavar="PARTIAL")]
    out: Path
    conditions: OmitArgPrefixes[Conditions] = field(default_factory=Conditions)
    known_frames: FromZero | None = None
    known_rows: FromZero | None = None
    temperature: AboveZero = 1.0
    stride: Positive = 1
    log_prob: bool = False
    rate: Positive | None = None
    seed: int = 0
    device: str = "auto"

    def __call__(self) -> None:
        from autoregress import data as datasets

        datasets.check_writable(self.out)
        datasets.check_distinct(self.out, self.partial)
        if self.log_prob and self.out.suffix.lower() not in (".npz", ".csv"):
            raise ValueError(f"{self.out}: --log-prob is written to .npz and .csv files only")
        rate = frame_rate(self.rate, self.out)
        model = load_model(self.run, self.device)
        examples, given, known = self._partial(model)
        context = self.conditions.context(model, examples)
        with Progress("completing", model.dims) as progress:
            x, log_prob = model.complete(
                given,
                known,
                context,
                temperature=self.temperature,
                generator=_generator(model, self.seed),
                on_progress=progress,
                return_log_prob=True,
            )
        files = datasets.write(
            self.out,
            x.cpu(),
            model.symbols.levels,
            model.symbols.columns,
            known=known,
            extra={"log_prob": log_prob.cpu()} if self.log_prob else None,
            rate=rate,
        )
        announce(f"{counted(len(x), 'completed example')} in {named(files)}", self.out)

    def _partial(self, model: AutoregressiveModel) -> tuple[Source, Tensor, Tensor]:
        """The examples, their symbols (N, *event_shape), and the bool mask of known ones."""
        import torch

        shape, known = model.event_shape, torch.zeros(model.event_shape, dtype=torch.bool)
        match len(shape), self.known_frames, self.known_rows:
            case _, None, None:
                return self._with_gaps(model)
            case 4, int(frames), None if 0 <= frames <= shape[0]:
                known[:frames] = True
                examples, x = self._beginnings(model, frames)
            case 3, None, int(rows) if 0 <= rows <= shape[1]:
                known[:, :rows] = True
                examples = self._open(model)
                x = examples.data().x
            case _:
                raise ValueError(
                    "--known-frames is for models of clips (T, C, H, W), from 0 to T, and "
                    f"--known-rows for models of images (C, H, W), from 0 to H; {self.run} is a "
                    f"model of {shape}"
                )
        return examples, x, known.expand(x.shape)

    def _open(self, model: AutoregressiveModel) -> Source:
        """Examples of a file that does not itself mark the known entries."""
        from autoregress.data import Data

        examples = self._with_marks(model)
        if isinstance(examples, Data) and examples.known is not None and not examples.known.all():
            raise ValueError(
                f"{self.partial} itself marks what is known; leave --known-frames and --known-rows "
                "out"
            )
        return examples

    def _with_marks(self, model: AutoregressiveModel) -> Source:
        """The examples, with the marks of known entries if their format has any."""
        reading = Reading(stride=self.stride, condition=self.conditions.source(model))
        return open_like(model, self.partial, reading, partial=self._can_mark(model))

    def _can_mark(self, model: AutoregressiveModel) -> bool:
        from autoregress.data.open import format_at

        return format_at(self.partial, clips=len(model.event_shape) == 4).says_what_is_known

    def _beginnings(self, model: AutoregressiveModel, frames: int) -> tuple[Source, Tensor]:
        """The first clip of each video, which needs no frames beyond the known ones."""
        import torch

        from autoregress.data.formats.videos import FORMAT as VIDEOS
        from autoregress.data.open import format_at
        from autoregress.symbols import Symbols

        if format_at(self.partial, clips=True) is not VIDEOS:
            examples = self._open(model)
            return examples, examples.data().x
        shape = model.event_shape
        short = Symbols((max(1, frames), *shape[1:]), max(model.symbols.levels))
        clips = open_examples(self.partial, Reading(stride=self.stride, step=2**62), like=short)
        x = torch.zeros(len(clips), *shape, dtype=torch.uint8)
        x[:, : max(1, frames)] = clips.data().x
        return clips, x

    def _with_gaps(self, model: AutoregressiveModel) -> tuple[Source, Tensor, Tensor]:
        """Examples of a file that itself marks the known entries."""
        from autoregress.data import Data

        if self._can_mark(model):
            examples = self._with_marks(model)
            if isinstance(examples, Data) and examples.known is not None:
                return examples, examples.x, examples.known
        raise ValueError(
            f"{self.partial} does not say what is known: an .npz needs a bool array named known "
            "beside x, a .csv needs empty cells where it is to be completed, clips need "
            "--known-frames, and images --known-rows"
        )


def _generator(model: AutoregressiveModel, seed: int) -> torch.Generator:
    import torch

    return torch.Generator(model.device).manual_seed(seed)
