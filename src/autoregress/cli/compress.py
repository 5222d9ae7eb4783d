"""Lossless compression of examples with a model, and decompression."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from autoregress.cli.examples import open_like
from autoregress.cli.models import Conditions, given_context, load_model
from autoregress.cli.options import Positive
from autoregress.cli.output import Progress, announce, frame_rate, named
from autoregress.data.reading import Reading
from autoregress.disk import check_output, unreadable, write_file


@dataclass(frozen=True)
class Compress:
    """Compress examples without loss, to about -log2 p(x) bits each.

    autoregress compress runs/mine rows.npy --out rows.areg

    Images and videos come back pixel for pixel, in the order of their files' paths; their names,
    metadata and sound are not kept.

    Args:
        run: A run folder, one that ar.save wrote, or the name of a bundled model; decompression
            requires the same one. The weights stay in a run folder, in RUN/weights, even if
            training resumes.
        data: The examples.
        out: The file to write.
        fit: Accept losses, which are refused otherwise: images and videos cropped, scaled, turned
            grey or reduced to what the model takes, frames that fill no clip, damaged files.
        stride: Number of video frames from one frame of a clip to the next.
        device: Device to compute on; decompression requires the same kind.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    data: Annotated[Positional[Path], arg(metavar="DATA")]
    out: Path
    conditions: OmitArgPrefixes[Conditions] = field(default_factory=Conditions)
    fit: bool = False
    stride: Positive = 1
    device: str = "cpu"

    def __call__(self) -> None:
        from autoregress.coding import encode, fingerprint
        from autoregress.data import check_distinct
        from autoregress.storage import is_run, keep

        check_output(self.out)
        check_distinct(self.out, self.data, self.run)
        model = load_model(self.run, self.device)
        reading = Reading(stride=self.stride, condition=self.conditions.source(model))
        examples = open_like(model, self.data, reading, lossless=not self.fit)
        context = self.conditions.context(model, examples)
        if is_run(self.run):
            keep(self.run, model, fingerprint(model))
        with Progress("compressing", model.dims) as progress:
            content = encode(model, examples, context=context, on_progress=progress)
        write_file(self.out, content)
        bits = 8 * len(content) / (len(examples) * model.dims)
        raw = math.log2(max(model.symbols.levels))
        announce(
            f"{len(examples):,} examples in {self.out}: {len(content):,} bytes, "
            f"{bits:.4f} bits/dim of {raw:.4g}",
            self.out,
        )


@dataclass(frozen=True)
class Decompress:
    """Restore the examples of a compressed file, exactly.

    autoregress decompress runs/mine rows.areg --out rows.npy

    autoregress decompress runs/photos photos.areg --out photos

    Args:
        run: The model with which the examples were compressed.
        compressed: The file that compress wrote.
        out: An .npy, .npz or .csv file; for images also a folder, for a .png of each, or a .png,
            exact for one image and a sheet to view for several; for clips also .mkv (lossless),
            .gif or .mp4.
        given: The numbers that all examples are conditioned on, as given to compress; labels are
            in the file.
        rate: Number of frames a second of a .gif, .mp4 or .mkv, by default 10.
        device: Device to compute on, the same kind as for compression.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    compressed: Annotated[Positional[Path], arg(metavar="COMPRESSED")]
    out: Path
    given: tuple[str, ...] = ()
    rate: Positive | None = None
    device: str = "cpu"

    def __call__(self) -> None:
        from autoregress import data as datasets
        from autoregress.coding import MAGIC, decode, encoded_by

        datasets.check_writable(self.out)
        datasets.check_distinct(self.out, self.compressed)
        rate = frame_rate(self.rate, self.out)
        try:
            with self.compressed.open("rb") as file:
                content = file.read(len(MAGIC))
                if content == MAGIC:  # else it may be a device without end
                    content += file.read()
        except OSError as error:
            raise unreadable(self.compressed, error) from error
        model = load_model(self.run, self.device, kept=encoded_by(content))
        try:
            context = None
            if self.given or model.labels is None:
                context = given_context(model, self.given, 1)
            with Progress("decompressing", model.dims) as progress:
                x = decode(model, content, context=context, on_progress=progress)
        except ValueError as error:
            raise ValueError(f"{self.compressed}: {error}") from None
        symbols = model.symbols
        files = datasets.write(self.out, x.cpu(), symbols.levels, symbols.columns, rate=rate)
        announce(f"{len(x):,} examples in {named(files)}", self.out)
