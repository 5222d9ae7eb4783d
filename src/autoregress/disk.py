"""Reading and writing of files for the whole package: JSON, and atomic writes."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from autoregress.kinds import as_kind

if TYPE_CHECKING:
    from torch import Tensor

Kind = TypeVar("Kind")

STDOUT = 1


def open_file(path: Path) -> IO[bytes]:
    """Opens a file for reading; raises ValueError if that is not possible."""
    refuse_stream(path)
    try:
        return path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error


def refuse_stream(path: Path) -> None:
    """Raises ValueError for a pipe, whose reader may wait for ever, and a device without end."""
    if _is_special(path):
        raise ValueError(f"{path} is a pipe or a device; give a file")


def read_json(path: Path, kind: type[Kind]) -> Kind:
    """The content of a JSON file, as a value of a kind (:func:`autoregress.kinds.as_kind`).

    Raises:
        ValueError: the file cannot be read, is not JSON, or holds something else.
    """
    with open_file(path) as file, naming(path):
        return parse_json(file.read(), kind)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """A context whose errors are about the content of a damaged file, and name it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def parse_json(content: bytes, kind: type[Kind]) -> Kind:
    """The value that JSON in UTF-8 describes, as a value of a kind.

    Raises:
        ValueError: it is not JSON, or describes something else.
    """
    try:
        value = json.loads(content.decode())
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8 text") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"it is not JSON at {place}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except ValueError as error:
        raise ValueError("it holds a number of too many digits") from error
    return as_kind(value, kind)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON for people to read; raises ValueError if the file cannot be written."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_file(path, (text + "\n").encode())


def make_folder(folder: Path) -> None:
    """Creates a folder and its parents; raises ValueError if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{folder} cannot be created: {error.strerror or error}") from error


def write_file(path: Path, content: bytes | memoryview) -> None:
    """Writes a file, see :func:`replacing`."""
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A binary file to be written, which replaces the one at a path when the context ends.

    The content goes to a temporary file beside the target, is synced, and then renamed: a kill or
    an error at any moment leaves the old file whole, and an error leaves nothing else. A symbolic
    link stays, and the file it leads to is replaced; its permissions are kept. A device, a pipe
    and standard output are written to directly (:func:`is_stream`).

    Raises:
        ValueError: the file cannot be written.
        BrokenPipeError: nobody reads the pipe any longer.
    """
    target = Path(os.path.realpath(path))
    # A name of its own, because other writers, and files of the user, may be beside it.
    temporary = target.with_name(f".{target.name[:40]}.{uuid4().hex}.tmp")
    try:
        if is_stream(path):
            with open(os.dup(STDOUT) if is_stdout(path) else path, "wb") as file:
                yield file
            return
        with temporary.open("xb") as file:
            if target.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        sync_folder(target.parent)  # the new name, too, must survive a power cut
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()  # unless it was renamed


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to be filled, which gets its name once the context ends without an error.

    Raises:
        ValueError: the folder cannot be written, or it exists and is not empty.
    """
    check_new_folder(path)
    temporary = path.with_name(f".{path.name[:40]}.{uuid4().hex}.tmp")
    make_folder(temporary)
    try:
        yield temporary
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # unless it was renamed


def is_stream(path: Path) -> bool:
    """Whether a path leads to a device, a pipe or standard output, which hold no old content."""
    return is_stdout(path) or _is_special(path)


def _is_special(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def is_stdout(path: Path) -> bool:
    """Whether a path, such as /dev/stdout, leads to the standard output of this process."""
    try:
        return os.path.samestat(path.stat(), os.fstat(STDOUT))
    except OSError:
        return False


def check_output(path: Path) -> None:
    """Raises ValueError, before any long computation, if a file cannot be written."""
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        folder = target.parent if path.is_symlink() else path.parent
        raise ValueError(f"{path}: there is no folder {folder}")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a file")
    if target.exists() and not os.access(target, os.W_OK):
        raise ValueError(f"{path} cannot be written: no permission")
    # The new file comes into being beside the old one.
    if not is_stream(path) and not os.access(target.parent, os.W_OK | os.X_OK):
        raise ValueError(f"{path} cannot be written: no permission for its folder")


def check_new_folder(path: Path) -> None:
    """Raises ValueError, before any long computation, if a new folder cannot be written."""
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise ValueError(f"{path} exists; give a new or an empty folder")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}")
    check_folder(path.absolute().parent)


def check_folder(folder: Path) -> None:
    """Raises ValueError, before any long computation, if a folder cannot be written or created."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise ValueError(f"{folder} cannot be created: {nearest} is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(f"{folder} cannot be written: no permission")


def sync_folder(folder: Path) -> None:
    """Flushes the names of the files in a folder to disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def unreadable(path: Path, error: OSError) -> ValueError:
    """The error for a file that is missing or cannot be read, as a sentence."""
    if isinstance(error, FileNotFoundError):
        return ValueError(f"there is no file {path}")
    return ValueError(f"{path} cannot be read: {error.strerror or error}")


def raw_bytes(tensor: Tensor) -> memoryview:
    """The bytes of a tensor of any dtype, for hashing; not copied if it is on the CPU."""
    import torch

    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
