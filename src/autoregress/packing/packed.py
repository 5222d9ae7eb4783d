"""What compression takes from files, and the names under which files come back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from autoregress.data.source import Account, Source


@dataclass
class Packed:
    """Examples, and what else is needed to restore the files that they come from.

    Attributes:
        source: the examples.
        manifest: what is kept once, None if nothing.
        beside: given the first of some examples and their number, what is kept beside them.
        files: the files, with whose sizes that of the result is compared.
        account: what becomes of the files.
        whole: the manifest with what else a table says, for a file with the model inside; None if
            that is the manifest itself.
    """

    source: Source
    manifest: dict[str, Any] | None = None
    beside: Callable[[int, int], bytes] | None = None
    files: list[Path] = field(default_factory=list)
    account: Account = field(default_factory=Account)
    whole: dict[str, Any] | None = None


def restored_names(names: list[str], suffix: str) -> list[str]:
    """The names under which files come back in a format, which differ if these do.

    ``photo.jpg`` comes back as photo.png, unless there is another photo.png.
    """
    new = [str(PurePosixPath(name).with_suffix(suffix)) for name in names]
    twice = {name for name in new if new.count(name) > 1} if len(set(new)) < len(new) else set()
    return [
        old
        if PurePosixPath(old).suffix.lower() == suffix
        else f"{old}{suffix}"
        if n in twice
        else n
        for old, n in zip(names, new, strict=True)
    ]


def inside(folder: Path, name: str) -> Path:
    """The path of a file that is to be restored in a folder.

    Raises:
        ValueError: the name leads out of the folder, or cannot be that of a file.
    """
    parts = PurePosixPath(name).parts
    odd = any(part in ("..", "/") or "\0" in part or len(part.encode()) > 255 for part in parts)
    if not parts or odd or "\\" in name:
        raise ValueError(f"the compressed file names a file {name!r}, which cannot be restored")
    return folder.joinpath(*parts)
