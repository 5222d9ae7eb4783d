"""Files of any kind as examples for a model, and examples as the files that they were."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from autoregress.archive import Archive
from autoregress.data.formats import arrays, images, tables, videos
from autoregress.data.formats.format import Request
from autoregress.data.open import check_options, format_at, write
from autoregress.data.open import open as open_source
from autoregress.data.reading import Reading
from autoregress.data.source import Change
from autoregress.kinds import Count
from autoregress.model import AutoregressiveModel
from autoregress.packing import arrays as packed_arrays
from autoregress.packing import pictures
from autoregress.packing import tables as packed_tables
from autoregress.packing.packed import Packed
from autoregress.tables import Table
from autoregress.traversal import OnProgress


def pack(taker: AutoregressiveModel | Table, path: Path, reading: Reading) -> Packed:
    """The examples at a path, and what else restores the files there.

    Args:
        taker: the model that is to compress them, or a table.

    Raises:
        ValueError: the files cannot be read, or are not what the model takes.
    """
    if isinstance(taker, Table):
        return packed_tables.pack_table(taker, path)
    model, clips = taker, len(taker.event_shape) == 4
    format = format_at(path, clips=clips)
    request = Request(reading, like=model.symbols, labels=model.labels)
    check_options(path, format, request)
    if pictures.takes(model):
        if format is images.FORMAT and not clips:
            return pictures.pack_images(model, path, reading.condition)
        if format is videos.FORMAT and clips and reading.stride == 1:
            return pictures.pack_videos(model, path, reading.cache)
    source = open_source(path, reading, like=model.symbols, labels=model.labels, quiet=False)
    if format is tables.FORMAT:
        packed = packed_tables.pack_symbols(source, path, reading.condition)
    elif format is arrays.FORMAT and source.layout is not None:
        packed = packed_arrays.pack_array(source, source.layout, path)
        if how := packed_arrays.loss(path, source.layout):
            source.account.files = 1
            source.account.changed.append(Change(path, how))
    else:
        packed = Packed(source)
    packed.account = source.account
    return packed


@dataclass
class Restored:
    """What became of a compressed file.

    Attributes:
        files: the files written.
        examples: number of examples restored.
        missing: names of files that were not restored, as parts of them were damaged.
    """

    files: list[Path]
    examples: int = 0
    missing: list[str] = field(default_factory=list)


def restore(
    archive: Archive,
    out: Path,
    *,
    table: Table | None = None,
    rate: int | None = None,
    on_progress: OnProgress | None = None,
) -> Restored:
    """Writes the examples of a compressed file as the files that they were, if ``out`` fits them.

    Args:
        table: the table that compressed it, unless its model is inside.
        rate: number of frames a second of clips, by default their own, or 10.

    Raises:
        ValueError: it is damaged, or the examples cannot be written in that format.
    """
    manifest = archive.manifest or {}
    kind, suffix, symbols = manifest.get("kind"), out.suffix.lower(), archive.model.symbols
    found = Restored([])

    def parts() -> Iterator[tuple[int, Tensor]]:
        for part in archive.parts(on_progress):
            found.examples += len(part.x)
            yield part.first, part.x.cpu()

    if kind == pictures.KIND and suffix in ("", ".png", ".mkv"):
        named = pictures.pictures_in(manifest)
        if not suffix or (len(named) == 1 and named[0].name.lower().endswith(suffix)):
            if rate is not None:
                named = [replace(each, rate=(Count(rate), Count(1))) for each in named]
            found.files, found.missing = pictures.restore(parts(), named, symbols.levels[0], out)
            return found
    if packed_tables.restores(manifest, out):
        text = packed_tables.Text.from_json(manifest, table)

        def rows() -> Iterator[str]:
            for part in archive.parts(on_progress):
                found.examples += len(part.x)
                labels = None if part.labels is None else part.labels.cpu().numpy()
                yield text.unpack(part.x.flatten(1).cpu().numpy(), labels, part.beside)

        found.files = packed_tables.restore(manifest, text, rows(), out)
        return found
    some = [x for _, x in parts()]
    x = torch.cat(some) if some else torch.empty(0, *archive.model.event_shape).long()
    if kind == packed_arrays.KIND and suffix in packed_arrays.SUFFIXES:
        found.files = packed_arrays.restore(x, packed_arrays.layout_in(manifest), out)
    else:
        found.files = write(out, x, symbols.levels, symbols.columns, rate=rate or 10)
    return found
