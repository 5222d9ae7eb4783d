"""Files that a viewer sends: written to a temporary folder, read as the library reads them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from autoregress.data.open import format_at
from autoregress.data.open import open as open_data
from autoregress.data.reading import Reading
from autoregress.model import AutoregressiveModel
from autoregress.page.arrays import to_text
from autoregress.page.subjects import shown_shape
from autoregress.page.workers import Event
from autoregress.symbols import Symbols
from autoregress.tables.cells import Cells
from autoregress.tables.frames import as_cells

LARGEST = 32 * 2**20  # bytes
LONGEST = 60  # characters of a name


def picture(content: bytes, name: str, model: AutoregressiveModel) -> Event:
    """The first image of a file, or its first clip, as symbols of a model.

    Raises:
        ValueError: it cannot be read.
    """
    shape = shown_shape(model.event_shape)
    like = Symbols(shape if shape[0] > 1 else shape[1:], model.symbols.compact)
    with _written(content, name) as path:
        # One clip, from the start of a film.
        options: dict[str, Any] = {"step": 2**31, "cache": path.parent / "cache"}
        takes = format_at(path, clips=shape[0] > 1).takes
        reading = Reading(**{name: value for name, value in options.items() if name in takes})
        examples = open_data(path, reading, like=like)
        x = examples.subset(torch.tensor([0])).data().x
    return {"x": to_text(x, model.symbols)}


def table(content: bytes, name: str) -> Mapping[str, Cells]:
    """The columns of a table; raises ValueError if it cannot be read."""
    with _written(content, name) as path:
        return as_cells(path)


@contextmanager
def _written(content: bytes, name: str) -> Iterator[Path]:
    """A file of that content in a folder of its own; errors name it without the folder."""
    own = PurePosixPath(name.replace("\\", "/")).name[-LONGEST:].lstrip(".") or "file"
    own = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in own)
    if not content:
        raise ValueError(f"{own} is empty")
    with tempfile.TemporaryDirectory(prefix="autoregress-") as folder:
        path = Path(folder) / own
        path.write_bytes(content)
        try:
            yield path
        except ValueError as error:
            raise ValueError(str(error).replace(f"{folder}/", "")) from None
