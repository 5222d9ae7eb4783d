"""The card of a model: a README.md for people, and for the Hugging Face Hub, beside its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoregress.brief import brief
from autoregress.disk import write_file
from autoregress.version import __version__

CARD = "README.md"
# The papers of each family, as in CITATION.cff.
PAPERS: dict[str, tuple[str, ...]] = {
    "MADE": ("MADE: Masked Autoencoder for Distribution Estimation, arXiv 1502.03509",),
    "PixelCNN": ("Pixel Recurrent Neural Networks, arXiv 1601.06759",),
    "GatedPixelCNN": ("Conditional Image Generation with PixelCNN Decoders, arXiv 1606.05328",),
    "VideoTransformer": ("Scaling Autoregressive Video Models, arXiv 1906.02634",),
}
PAPERS["RowLSTM"] = PAPERS["DiagonalBiLSTM"] = PAPERS["PixelCNN"]

TEXT = """---
library_name: autoregress
tags:
- autoregressive
- density-estimation
- {kind}
---

# {title}

{about}

```python
import autoregress as ar

{load}
```

Every number of this model is the logarithm of a normalised probability, and every draw is exact.
"""


@dataclass(frozen=True)
class Card:
    """What is known of a model.

    Attributes:
        title: its heading.
        model: its configuration.
        parameters: number of its parameters.
        load: the line of Python that loads it.
        about: a paragraph; by default, what the model is.
        scores: figures by what was measured.
        data: number and hash of the examples, by the name of the split.
        training: the options of its training.
        schema: the columns of a table, as they are printed.
    """

    title: str
    model: Mapping[str, Any]
    parameters: int
    load: str
    about: str = ""
    scores: Mapping[str, object] = field(default_factory=dict)
    data: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    training: Mapping[str, Any] | None = None
    schema: str = ""

    def write(self, folder: Path) -> None:
        """Writes it into the folder of the model; raises ValueError if that fails."""
        write_file(folder / CARD, str(self).encode())

    def __str__(self) -> str:
        kind, shape = self.model["kind"], tuple(self.model.get("event_shape", ()))
        about = f"A {kind} of {self.parameters:,} parameters"
        about += f", of events of shape {shape}." if shape else "."
        parts = [
            TEXT.format(
                kind=kind.lower(),
                title=self.title,
                about="\n\n".join(filter(None, [self.about, about])),
                load=self.load,
            )
        ]
        if self.scores:
            parts.append(_section("Scores", _list(self.scores)))
        data = {
            name: f"{own['examples']:,} examples, sha256 {own['sha256']}"
            for name, own in self.data.items()
            if own is not None
        }
        if data:
            parts.append(_section("Data", _list(data)))
        if self.schema:
            parts.append(_section("Columns", f"```text\n{self.schema}\n```"))
        parts.append(_section("Model", _settings(self.model)))
        if self.training:
            parts.append(_section("Training", _settings(self.training)))
        papers = [f"- {paper}" for paper in PAPERS.get(kind, ())]
        software = f"- autoregress {__version__}, by the autoregress developers"
        parts.append(_section("To cite", "\n".join([software, *papers])))
        return "\n".join(parts)


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}\n"


def _list(values: Mapping[str, object]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in values.items())


def _settings(values: Mapping[str, Any]) -> str:
    rows = [f"| {name} | `{brief(value)}` |" for name, value in values.items()]
    return "\n".join(["| setting | value |", "|---|---|", *rows])
