"""Pages in ``notebooks/`` as Jupyter notebooks too, beside the pages of the site."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

HERE = Path(__file__).parent.parent
NOTEBOOKS = HERE / "notebooks"
BLOCK = re.compile(r"^```(python|console|output)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
DOWNLOAD = re.compile(r'^<a href="[\w-]+\.ipynb" download>.*?</a>', re.MULTILINE)


def notebook(text: str) -> dict[str, Any]:
    """A page as a notebook (nbformat 4.5): its code with what that prints, and the rest."""
    cells: list[dict[str, Any]] = []
    text, place = DOWNLOAD.sub("", text), 0
    for block in BLOCK.finditer(text):
        _add_text(cells, text[place : block.start()])
        kind, content = block.groups()
        if kind == "output":
            cells[-1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": content}]
        else:
            if kind == "console":
                content = "".join(f"!{line}\n" for line in content.splitlines())
            _add(cells, "code", content, execution_count=None, outputs=[])
        place = block.end()
    _add_text(cells, text[place:])
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _add_text(cells: list[dict[str, Any]], text: str) -> None:
    if text.strip():
        _add(cells, "markdown", text)


def _add(cells: list[dict[str, Any]], kind: str, source: str, **more: Any) -> None:
    cell = {"cell_type": kind, "id": f"cell-{len(cells)}", "metadata": {}}
    cells.append({**cell, "source": source.strip(), **more})


def write(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        out = Path(app.outdir) / "notebooks"
        for page in NOTEBOOKS.glob("*.md"):
            content = json.dumps(notebook(page.read_text("utf-8")), ensure_ascii=False, indent=1)
            (out / f"{page.stem}.ipynb").write_text(content, "utf-8")
        for picture in NOTEBOOKS.glob("*.png"):
            shutil.copy(picture, out / picture.name)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
