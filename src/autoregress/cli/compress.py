"""Lossless compression of files with a model, and decompression."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from autoregress.brief import counted
from autoregress.cli.examples import say_losses
from autoregress.cli.models import Conditions, chosen_device, given_context, load_model
from autoregress.cli.options import Positive
from autoregress.cli.output import Progress, announce, frame_rate, named
from autoregress.cli.tables import holds_table, load_table
from autoregress.data.reading import Reading
from autoregress.disk import check_output, unreadable

if TYPE_CHECKING:
    from autoregress.archive import Archive
    from autoregress.model import AutoregressiveModel
    from autoregress.packing import Packed


@dataclass(frozen=True)
class Compress:
    """Compress files without loss, to about -log2 p(x) bits an example.

    autoregress compress runs/mine rows.npy --out rows.areg

    autoregress compress runs/photos photos --with-model --out photos.areg

    Images and videos of any size come back pixel for pixel, under their names, as .png and .mkv;
    their metadata and sound are not kept. An array comes back with its type and shape, the text of
    a table to the byte.

    Args:
        run: A run folder, also of a table, one that ar.save wrote, or the name of a bundled model.
            Unless the model is in the file, decompression requires the same one, and its weights
            stay in a run folder, in RUN/weights, even if training resumes.
        data: The file, or the folder of images or videos.
        out: The file to write.
        with_model: Put the model into the file, so that nothing else is needed to decompress it.
        verify: Decode everything again before the file gets its name; by default only the first
            examples.
        fit: Accept losses, which are refused otherwise: images and videos turned grey or reduced
            to the levels that the model takes, frames left out by --stride, damaged files.
        stride: Number of video frames from one frame of a clip to the next.
        device: Device to compute on; decompression may use another.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    data: Annotated[Positional[Path], arg(metavar="DATA")]
    out: Path
    conditions: OmitArgPrefixes[Conditions] = field(default_factory=Conditions)
    with_model: bool = False
    verify: bool = False
    fit: bool = False
    stride: Positive = 1
    device: str = "cpu"

    def __call__(self) -> None:
        from autoregress.archive import encode_to, fingerprint
        from autoregress.data import check_distinct
        from autoregress.packing import pack
        from autoregress.storage import is_run, keep
        from autoregress.tables import Table

        check_output(self.out)
        check_distinct(self.out, self.data, self.run)
        of_table = holds_table(self.run)
        taker = load_table(self.run) if of_table else load_model(self.run, self.device)
        model = taker.coder if isinstance(taker, Table) else taker
        reading = Reading(stride=self.stride, condition=self.conditions.source(model))
        packed = pack(taker, self.data, reading)
        say_losses(self.data, packed.account, lossless=not self.fit)
        context = self.conditions.context(model, packed.source)
        if not self.with_model and (of_table or is_run(self.run)):
            keep(self.run, model, fingerprint(model))
        started = time.perf_counter()
        with Progress("compressing", model.dims, _bits(model) / 8) as progress:
            size = encode_to(
                self.out,
                model,
                packed.source,
                context=context,
                with_model=self.with_model,
                verify=self.verify,
                on_progress=progress,
                manifest=packed.whole or packed.manifest if self.with_model else packed.manifest,
                beside=packed.beside,
            )
        seconds = time.perf_counter() - started
        count = len(packed.source)
        if of_table:  # whose symbols are but a part of what its cells hold
            rate = f"{8 * size / count:,.1f} bits a row, {count / max(seconds, 1e-9):,.0f} rows/s"
        else:
            rate = (
                f"{8 * size / (count * model.dims):.4f} bits/dim of "
                f"{math.log2(max(model.symbols.levels)):.4g}, "
                f"{count * _bits(model) / 8e6 / max(seconds, 1e-9):.3g} MB/s"
            )
        what = counted(count, "row" if of_table else "example")
        announce(f"{what} in {self.out}: {size:,} bytes, {rate}", self.out)
        announce(beside_others(packed, model, size, with_model=self.with_model), self.out)


@dataclass(frozen=True)
class Decompress:
    """Restore the files of a compressed file, exactly.

    autoregress decompress runs/mine rows.areg --out rows.npy

    autoregress decompress photos.areg --out photos

    The second file was made with --with-model.

    Args:
        files: The run or saved model with which the examples were compressed, unless it is in the
            file; then the file that compress wrote.
        out: For images and videos a folder, in which they get their names, or one .png or .mkv;
            for a table a .csv, or a file of the kind that it was; for an array an .npy or .npz.
            Examples of any kind can also be written as .npy, .npz or .csv, images as a .png to
            view, clips as .gif or .mp4.
        given: The numbers that all examples are conditioned on, as given to compress; labels are
            in the file.
        salvage: Restore what damage has left, and say what is lost, instead of refusing a damaged
            file.
        rate: Number of frames a second of a .gif, .mp4 or .mkv, by default 10, or that of the
            videos.
        device: Device to compute on.
    """

    files: Annotated[
        Positional[tuple[Path, ...]],
        arg(metavar="[RUN] COMPRESSED", help_behavior_hint="(required)"),
    ]
    out: Path
    given: tuple[str, ...] = ()
    salvage: bool = False
    rate: Positive | None = None
    device: str = "cpu"

    def __call__(self) -> None:
        from autoregress import data as datasets
        from autoregress.archive import described
        from autoregress.packing import restore

        if not 1 <= len(self.files) <= 2:
            raise ValueError(f"give RUN and COMPRESSED, or COMPRESSED alone, not {len(self.files)}")
        *run, compressed = self.files
        datasets.check_writable(_as_table(self.out))
        datasets.check_distinct(self.out, compressed)
        frame_rate(self.rate, self.out)
        table = load_table(run[0]) if run and holds_table(run[0]) else None
        try:
            archive = self._archive(run, compressed)
            size = _bits(archive.model) / 8
            with Progress("decompressing", archive.model.dims, size) as progress:
                done = restore(archive, self.out, table=table, rate=self.rate, on_progress=progress)
        except OSError as error:
            raise unreadable(compressed, error) from error
        announce(f"{counted(done.examples, 'example')} in {named(done.files)}", self.out)
        lost = f"{described(archive.lost)} lost" if archive.lost else ""
        if archive.cut:
            lost += f"{'; ' if lost else ''}the file is cut short after {len(archive):,} examples"
        if done.missing:
            lost += f"; not restored: {', '.join(done.missing[:8])}"
        if lost:
            announce(lost, self.out)

    def _archive(self, run: list[Path], compressed: Path) -> Archive:
        from autoregress.archive import Archive, digest_in

        model = None
        if run:
            digest = digest_in(compressed)
            model = load_model(run[0], self.device, kept=digest, of_table=True)
        archive = Archive(compressed, model, on_damage="skip" if self.salvage else "raise")
        archive.model.to(chosen_device(self.device))
        if self.given or (archive.model.context and archive.model.labels is None):
            archive.condition(given_context(archive.model, self.given, 1))
        return archive


def beside_others(
    packed: Packed, model: AutoregressiveModel, size: int, *, with_model: bool
) -> str:
    """The size of a file beside those that other formats have, and what of it is the model."""
    from autoregress.packing import comparison, model_bytes

    sizes, estimated = comparison(packed)
    own = model_bytes(packed, model)
    without = size - own if with_model else size
    about = "about " if estimated else ""
    figures = ", ".join(f"{name} {about}{other:,}" for name, other in sizes.items())
    line = f"beside {figures} bytes; "
    line += f"without the model {without:,}" if with_model else f"with the model {size + own:,}"
    beaten = [name for name, other in sizes.items() if other < size]
    both = [name for name, other in sizes.items() if other < without + own]
    if beaten:
        line += f"; {_listed(beaten)} smaller"
    elif both:
        line += f", and then {_listed(both)} smaller"
    return line


def _listed(names: list[str]) -> str:
    """Names as the subject of a sentence, with its verb."""
    *others, last = names
    return f"{', '.join(others)} and {last} are" if others else f"{last} is"


def _bits(model: AutoregressiveModel) -> float:
    """Number of bits of an example whose symbols are all as likely."""
    return sum(map(math.log2, model.symbols.levels))


def _as_table(out: Path) -> Path:
    """A path that can be written to if ``out`` can be, for the texts of tables."""
    from autoregress.packing.frames import SUFFIXES
    from autoregress.tables.frames import is_text

    return out.with_suffix(".csv") if is_text(out) or out.suffix.lower() in SUFFIXES else out
