"""Opens paths as examples and writes examples to files, in any of the formats listed here."""

from __future__ import annotations

import glob
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from autoregress.data.formats import arrays, images, pixels, shards, tables, videos
from autoregress.data.formats.format import Extra, Format, Request
from autoregress.data.reading import Reading
from autoregress.data.sets import published
from autoregress.data.source import Data, Source
from autoregress.disk import check_new_folder, check_output, refuse_stream
from autoregress.symbols import Columns, Symbols

# The first format that recognises a path opens it; images come last, as they take any folder.
FORMATS: tuple[Format, ...] = (
    shards.FORMAT,
    arrays.FORMAT,
    tables.FORMAT,
    videos.FORMAT,
    published.FORMAT,
    images.FORMAT,
)
READS = ", ".join(format.names for format in FORMATS)
WRITES = {suffix: format for format in FORMATS for suffix in format.writes}
# How the names of those files end, beside images and videos, that are read if their folder is:
# examples, and a model's.
IN_FOLDERS = (".npy", ".bin", ".gz", "-ubyte", ".json", ".jsonl", ".safetensors")


def open(
    path: str | Path,
    reading: Reading | None = None,
    *,
    split: str | None = None,
    like: Symbols | None = None,
    labels: Sequence[str] | None = None,
    partial: bool = False,
    workers: int = 1,
    quiet: bool = True,
) -> Source:
    """Opens a file or a folder of examples, which stay on disk until they are needed.

    It reads .npy, .npz (``file.npz:name`` for one of its arrays) and .csv files; an image or a
    folder of images; a video or a folder of videos; a folder with the published files of MNIST or
    of the binary version of CIFAR-10; and prepared shards (``folder:name`` for one split of
    them). An .npz, a .csv and a published set are read into memory at once.

    Args:
        reading: the options; its defaults if not given.
        split: "train", "valid" or "test": the array of an .npz, or the part of a published set or
            of shards, to open.
        like: ``model.symbols`` of a trained model, which sets levels, columns, and the size of
            images and clips.
        labels: ``model.labels`` of a trained model, for ``Reading.condition``.
        partial: accept missing values, as unknowns to be completed, instead of refusing them.
        workers: number of processes that decode videos, or of threads that decode images.
        quiet: show no progress on standard error.

    Raises:
        ValueError: the content is unsuitable or damaged, or an option does not apply to it; one
            sentence names the file and the fault.
        ImportError: the package that reads such files is not installed.

    Example:
        >>> np.savez("data.npz", train=np.zeros((8, 3), int), test=np.ones((2, 3), int))
        >>> source = ar.data.open("data.npz", split="test")
        >>> len(source), source.event_shape, source.levels
        (2, (3,), 2)
    """
    path, reading = Path(path), reading or Reading()
    labels = None if labels is None else tuple(labels)
    request = Request(reading, split, like, labels, partial, workers, quiet)
    try:
        format = format_at(path, clips=_asks_for_clips(reading, like))
        check_options(path, format, request)
        source = format.open(path, request)
    except OSError as error:
        name = error.filename or path
        raise ValueError(f"{name} cannot be read: {error.strerror or error}") from error
    if like is not None:
        try:
            like.check_array((len(source), *source.event_shape))
            if isinstance(source, Data):
                like.check(source.x)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    # What the options ask for was changed on purpose, and so is the length of clips, if only by
    # default, where no model sets it.
    asked = {*reading.given, *(("frames",) if like is None else ())}
    account = source.account
    account.changed = [change for change in account.changed if change.option not in asked]
    return source


def read(
    path: str | Path,
    *,
    split: str | None = None,
    like: Symbols | None = None,
    labels: Sequence[str] | None = None,
    partial: bool = False,
    **options: Any,
) -> Data:
    """Reads a file or a folder of examples into memory, see :func:`open`.

    Args:
        **options: options of :class:`Reading`, by name.

    Raises:
        TypeError: there is no such option.
        ValueError: as for :func:`open`.

    Warns:
        UserWarning: files were left out, or changed in a way for which no option asks.

    Example:
        >>> with open("table.csv", "w") as file:
        ...     _ = file.write("colour,size\\nred,S\\nblue,L\\n")
        >>> ar.data.read("table.csv").columns.labels
        (('blue', 'red'), ('L', 'S'))
    """
    reading = Reading(**options)
    source = open(path, reading, split=split, like=like, labels=labels, partial=partial)
    if source.complaint:
        warnings.warn(f"{path}: {source.complaint}", stacklevel=2)
    return source.data()


def format_at(path: str | Path, *, clips: bool = False) -> Format:
    """The format of the file or folder at a path.

    Args:
        clips: take a .gif for a clip instead of an image.

    Raises:
        ValueError: the path does not exist, or its format is not known.
    """
    path = Path(path)
    refuse_stream(path)
    for format in FORMATS:
        if format.holds(path, clips=clips):
            return format
    if not path.exists():
        raise ValueError(f"no such file or folder: {path}")
    raise ValueError(f"{path}: this format is not known; supported are {READS}")


def splits(path: str | Path) -> Sequence[str]:
    """The names of the splits at a path, such as train and valid; empty if it has no splits."""
    return format_at(path).splits(Path(path))


def write(
    path: str | Path,
    x: Tensor,
    levels: int | Sequence[int],
    columns: Columns | None = None,
    *,
    known: Tensor | None = None,
    extra: Extra | None = None,
    rate: int = 10,
) -> list[Path]:
    """Writes x (N, *event_shape) in the format given by the suffix of the path.

    .npy, .npz and .csv hold any examples; a .png shows images in a grid, and clips in a row of
    frames each. A .png of one image, and a folder (a path without a suffix) with a .png for each
    image, hold images pixel for pixel. An .mkv holds a clip without loss; several clips go to
    name-000.mkv, name-001.mkv, …. For viewing, .gif and .mp4 show clips side by side, enlarged.

    Args:
        levels: number of levels of every dimension, or one number for each.
        columns: the names and labels of a table.
        known: bool, the entries that were given; written to .npz only.
        extra: further values by name, N each; written to .npz and .csv only.
        rate: number of frames a second (clips).

    Returns:
        The files written: ``path``, or several .mkv files; for a folder the folder.

    Raises:
        ValueError: the path cannot be written, a symbol is outside its levels, or x cannot be
            shown as images.

    Example:
        >>> ar.data.write("bits.csv", torch.eye(3, dtype=torch.int64), 2)
        [PosixPath('bits.csv')]
    """
    path = Path(path)
    check_writable(path)
    symbols = Symbols(x.shape[1:], levels, columns)
    symbols.check(x)
    format = WRITES[path.suffix.lower()]
    return format.write(path, x, symbols, known=known, extra=extra, rate=rate)


def check_writable(path: str | Path) -> None:
    """Raises ValueError, before any long computation, if :func:`write` cannot write there.

    Raises ImportError if a package that writes such files is not installed.

    Example:
        >>> ar.data.check_writable("nowhere/rows.npy")
        Traceback (most recent call last):
        ValueError: nowhere/rows.npy: there is no folder nowhere
    """
    path = Path(path)
    suffix = path.suffix.lower()
    is_file = path.exists() and not path.is_dir()
    if suffix not in WRITES or (not suffix and is_file):
        raise ValueError(
            f"{path}: this format cannot be written; use one of {', '.join(filter(None, WRITES))}, "
            "or a folder for images"
        )
    if suffix:
        check_output(path)
    else:
        check_new_folder(path)
    WRITES[suffix].check_installed(suffix)


def check_distinct(out: str | Path, *inputs: str | Path) -> None:
    """Raises ValueError if a file to be written is one that is read, under whatever name.

    Args:
        out: the file to be written, or name.mkv for name-000.mkv, ….
        inputs: files, ``file.npz:name``, and folders.

    Example:
        >>> np.save("rows.npy", np.zeros((2, 3), int))
        >>> ar.data.check_distinct("rows.npy", "rows.npy")
        Traceback (most recent call last):
        ValueError: rows.npy would overwrite what is read; give another file
    """
    out, numbered = Path(out), list[Path]()
    if out.suffix.lower() == ".mkv":
        numbered += out.parent.glob(f"{glob.escape(out.stem)}-[0-9][0-9][0-9]*{out.suffix}")
    for written in (out, *numbered):
        if written.exists() and any(written.samefile(file) for file in _files(inputs)):
            raise ValueError(f"{written} would overwrite what is read; give another file")


def _files(inputs: Sequence[str | Path]) -> Iterator[Path]:
    """The files that are read if these inputs are."""
    ends = (*pixels.suffixes(), *videos.SUFFIXES, *IN_FOLDERS)
    for given in inputs:
        path = Path(given)
        if not path.exists():
            path = Path(str(given).rsplit(":", 1)[0])
        inside = path.rglob("*") if path.is_dir() else ()
        yield from (file for file in inside if file.name.lower().endswith(ends) and file.is_file())
        if path.is_file():
            yield path


def _asks_for_clips(reading: Reading, like: Symbols | None) -> bool:
    return reading.frames is not None or (like is not None and len(like.event_shape) == 4)


def check_options(path: Path, format: Format, request: Request) -> None:
    """Raises ValueError for options that do not apply to a format."""
    if request.partial and not format.says_what_is_known:
        raise ValueError(f"{path} holds {format.holds_what}, which cannot mark unknown entries")
    for option in request.reading.given:
        if option not in format.takes:
            others = [other.holds_what for other in FORMATS if option in other.takes]
            raise ValueError(
                f"{path} holds {format.holds_what}, to which {option} does not apply; it is for "
                f"{' and '.join(others)}"
            )
