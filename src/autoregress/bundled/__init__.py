"""The folder that a name stands for: that of a run, of a bundled model, or of one on the Hub.

The bundled models lie beside this file; ``models/make.py`` of the project made them.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
NAMES = ("bouncing", "digits", "penguins")
# The prefix of names of models on the Hub, such as hub:owner/name.
HUB = "hub:"


def folder_of(name: str | Path) -> Path:
    """The folder with the files of a model.

    A folder that exists wins over a bundled model of the same name.

    Args:
        name: the path of a folder, the name of a bundled model, or hub:owner/name.

    Raises:
        ValueError: the model is not on the Hub, or the Hub cannot be reached.
        ImportError: huggingface_hub is not installed.
    """
    if str(name).startswith(HUB):
        from autoregress.hub import download

        return download(str(name).removeprefix(HUB))
    folder = Path(name)
    return HERE / folder if str(name) in NAMES and not folder.is_dir() else folder


def missing(folder: Path) -> str:
    """What to say of a folder that does not exist."""
    said = f"there is no folder {folder}"
    if len(folder.parts) != 1 or folder.is_absolute():
        return said
    return f"{said}, and no bundled model of that name ({', '.join(NAMES)})"
