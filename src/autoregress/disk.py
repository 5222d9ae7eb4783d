"""Reading and writing of files for the whole package: JSON, and atomic writes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        ValueError: the file cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error


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
    """Writes a file atomically: a kill at any moment leaves the old file or the new one.

    Raises:
        ValueError: the file cannot be written.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)  # the new name, too, must survive a power cut
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror or error}") from error


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
        return ValueError(f"{path.parent} holds no {path.name}")
    return ValueError(f"{path} cannot be read: {error.strerror or error}")


def raw_bytes(tensor: Tensor) -> memoryview:
    """The bytes of a tensor of any dtype, for hashing; not copied if it is on the CPU."""
    import torch

    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
