"""Examples drawn: whole ones, and the rest of partial ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from tyro.conf import Positional

from autoregress import data as datasets
from autoregress.cli.examples import open_examples
from autoregress.data import Data
from autoregress.data.formats.videos import FORMAT as VIDEOS
from autoregress.data.open import format_at
from autoregress.data.reading import Reading
from autoregress.storage import load
from autoregress.symbols import Symbols


@dataclass(frozen=True)
class Sample:
    """Draw from a model.

    autoregress sample runs/mine --count 64 --out samples.png

    Args:
        run: A run folder, or one that ar.save wrote.
        out: A .png (images, or vectors of square length), .npy, .npz or .csv file; for clips a
            .gif or .mp4 to look at, or .mkv, which loses nothing and is a file for each.
        count: How many.
        temperature: Below 1 for fewer unlikely symbols; other than 1 it is not the model's own
            distribution that is drawn from.
        rate: Frames a second, of clips.
        seed: The same seed draws the same.
        device: Where to compute, for example cuda.
    """

    run: Positional[Path]
    out: Path
    count: int = 16
    temperature: float = 1.0
    rate: int = 10
    seed: int = 0
    device: str = "cpu"

    def __call__(self) -> None:
        datasets.check_writable(self.out)
        model = load(self.run).to(self.device)
        generator = _generator(self.device, self.seed)
        x = model.sample(self.count, temperature=self.temperature, generator=generator)
        files = datasets.write(
            self.out, x.cpu(), model.symbols.levels, model.symbols.columns, rate=self.rate
        )
        print(f"{self.count} samples in {named(files)}")


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
        known_frames: Number of frames known at the start of each clip.
        known_rows: Number of rows known at the top of each image.
        temperature: Below 1 for fewer unlikely symbols; only with 1 are the draws exact.
        stride: Of videos: frames from one frame of a clip to the next.
        log_prob: Also write log p(unknown | known) of each completion, in nats (.npz and .csv);
            the model's own, whatever the temperature.
        rate: Frames a second, of clips.
        seed: The same seed draws the same.
        device: Where to compute, for example cuda.
    """

    run: Positional[Path]
    partial: Positional[Path]
    out: Path
    known_frames: int | None = None
    known_rows: int | None = None
    temperature: float = 1.0
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
            temperature=self.temperature,
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
        print(f"{len(x)} completed examples in {named(files)}")

    def _partial(self, symbols: Symbols) -> tuple[Tensor, Tensor]:
        """The examples (N, *event_shape), and what is known of them, bool."""
        shape, known = symbols.event_shape, torch.zeros(symbols.event_shape, dtype=torch.bool)
        match len(shape), self.known_frames, self.known_rows:
            case _, None, None:
                return self._with_gaps(symbols)
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
        reading = Reading(stride=self.stride)
        if self.known_frames is not None and format_at(self.partial, clips=True) is VIDEOS:
            # The first clip of each video, which need not go on for longer than it is known.
            short = Symbols((max(1, self.known_frames), *shape[1:]), max(symbols.levels))
            clips = open_examples(self.partial, replace(reading, step=2**62), like=short)
            x = torch.zeros(len(clips), *shape, dtype=torch.uint8)
            x[:, : len(clips[0])] = clips.data().x
        else:
            x = open_examples(self.partial, reading, like=symbols).data().x
        return x, known.expand(x.shape)

    def _with_gaps(self, symbols: Symbols) -> tuple[Tensor, Tensor]:
        """Examples of a file that says itself what is known of them."""
        if format_at(self.partial, clips=len(symbols.event_shape) == 4).says_what_is_known:
            examples = open_examples(self.partial, Reading(), like=symbols, partial=True)
            if isinstance(examples, Data) and examples.known is not None:
                return examples.x, examples.known
        raise ValueError(
            f"{self.partial} does not say what is known: an .npz needs a bool array named known "
            "beside x, and a .csv has empty cells where it is to be completed; for clips there is "
            "--known-frames, for images --known-rows"
        )


def named(files: Sequence[Path]) -> str:
    return str(files[0]) if len(files) == 1 else f"{files[0]} to {files[-1]}"


def _generator(device: str, seed: int) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)
