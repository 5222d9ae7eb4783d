"""Folders of files: which files are examples, and which folders are splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

from rich.console import Console
from rich.progress import track

SPLITS = {
    "train": {"train", "training"},
    "valid": {"valid", "val", "validation"},
    "test": {"test", "testing"},
}


def files_below(folder: Path, suffixes: Set[str]) -> list[Path]:
    """The files below a folder with one of these suffixes, hidden ones apart, in order."""
    return sorted(
        path for path, hidden in _files(folder) if not hidden and path.suffix.lower() in suffixes
    )


def left_out(folder: Path, suffixes: Set[str], kind: str) -> list[str]:
    """A remark about the other files below a folder, if there are any.

    Args:
        kind: the name of the files with these suffixes, such as "images".
    """
    others, unseen = Counter[str](), 0
    for path, hidden in _files(folder):
        if path.suffix.lower() in suffixes:
            unseen += hidden
        elif not hidden:
            others[path.suffix.lower() or path.name] += 1
    parts = [f"hidden {kind} ({unseen})"] if unseen else []
    if others:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(4))
        parts.append(f"other files ({kinds}{', …' if len(others) > 4 else ''})")
    return [f"{folder}: left out {' and '.join(parts)}"] if parts else []


def splits_of(folder: Path) -> dict[str, Path]:
    """The folders inside a folder that are named like splits, if there are at least two.

    Raises:
        ValueError: several folders have names of the same split.
    """
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    found: dict[str, Path] = {}
    for split, names in SPLITS.items():
        folders = [path for path in inside if path.name.lower() in names and path.is_dir()]
        if len(folders) > 1:
            raise ValueError(f"{folders[0]} and {folders[1]} are both named like the {split} split")
        if folders:
            found[split] = folders[0]
    return found if len(found) > 1 else {}


def of_split(folder: Path, split: str | None) -> tuple[Path, list[str]]:
    """The folder of a split, with a remark; if there are no splits, the folder itself.

    Raises:
        ValueError: the folder has splits, but not this one.
    """
    splits = {} if split is None else splits_of(folder)
    if not splits:
        return folder, []
    names = ", ".join(path.name for path in splits.values())
    if split not in splits:
        example = next(iter(splits.values()))
        raise ValueError(
            f"{folder} has no {split} examples; it has {names}: write {example} to choose"
        )
    remark = f"{folder} has the splits {names}: {splits[split].name} is read"
    inside = {path.name for path in splits.values()}
    beside = [
        path
        for path, hidden in _files(folder)
        if not hidden and path.relative_to(folder).parts[0] not in inside
    ]
    if beside:
        remark += f"; {min(beside)} is in none of them" + (
            f", nor are {len(beside) - 1} more files" if len(beside) > 1 else ""
        )
    return splits[split], [remark]


def with_progress(paths: list[Path], doing: str, *, quiet: bool) -> Iterable[Path]:
    """The paths, with a bar on standard error if it is a terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        return paths
    return track(paths, doing, console=console, transient=True)


def _files(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Every file below a folder, and whether it or a folder that it is in is hidden."""
    for path in folder.rglob("*"):
        if path.is_file() or not path.exists():  # a link to nothing is a file that is missing
            yield path, any(part.startswith(".") for part in path.relative_to(folder).parts)
