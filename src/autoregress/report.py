"""Reports: self-contained HTML pages of figures and tables, and that of a run."""

from __future__ import annotations

import base64
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autoregress import plot
from autoregress.brief import brief
from autoregress.bundled import folder_of
from autoregress.data.open import write
from autoregress.data.source import Source
from autoregress.evaluation import evaluate
from autoregress.model import AutoregressiveModel
from autoregress.storage import load, parameters, read_config
from autoregress.tables.frames import as_cells
from autoregress.tables.table import SCHEMA, Table
from autoregress.training.folder import LOG
from autoregress.version import __version__

STYLE = """
:root { color-scheme: light dark; --ink: #1c2128; --soft: #59636e; --line: #d8dde3; --page: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e7ec; --soft: #9aa4af; --line: #3a424c; --page: #15191e }
}
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 58rem; background: var(--page);
  color: var(--ink); font: 1rem/1.6 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem }
h2 { font-size: 1.3rem; margin: 3rem 0 .5rem }
p { max-width: 42rem; margin: .6rem 0 }
.lead { font-size: 1.1rem }
figure { margin: 1.5rem 0 }
figure img { display: block; max-width: 100%; height: auto; box-sizing: border-box;
  background: #fff; border: 1px solid var(--line); border-radius: 6px; padding: .75rem }
figcaption, small { color: var(--soft); font-size: .9rem }
figcaption { margin-top: .4rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; margin: 1.2rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .3rem 1.5rem .3rem 0; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
th { font-weight: 600; border-bottom: 1px solid var(--line) }
td[colspan] { padding-top: 1rem; font-weight: 600 }
""".strip()

Rows = Sequence[Sequence[str]]

# Numbers of samples, of examples that are completed and judged, and of completions of each.
SAMPLES, EXAMPLES, DRAWS = 24, 5, 5
# Number of clips whose surprise is shown.
CLIPS = 3
# Number of rows of a table that are listed, and of rows that are compared with the model.
LISTED, COMPARED = 10, 10_000


def report(run: str | Path, data: Any = None, *, seed: int = 0) -> str:
    """The page of a run: curve, samples, completions, surprise, scores and settings.

    Args:
        run: a run folder, a saved model, or the name of a bundled one.
        data: examples of the model's kind, best held out: a source, or for a table any form of
            table; without them, what the model draws itself is completed and judged.
        seed: seed of the draws.

    Raises:
        ValueError: the run or the examples cannot be read.
        ImportError: matplotlib is not installed.
    """
    folder = folder_of(run)
    generator = torch.Generator().manual_seed(seed)
    if (folder / SCHEMA).is_file():
        table = Table.load(folder)
        model: AutoregressiveModel = table.model
        bodies = _of_table(table, data, seed)
    else:
        model = load(folder)
        bodies = _of_model(model, data, generator)
    config = folder / "training" if (folder / "training").is_dir() else folder
    if (config / LOG).exists():
        curve = picture(plot.learning_curves(config), "Nats of an example after each epoch.")
        bodies = {"Training": _trained(config) + curve, **bodies}
    bodies["Settings"] = _settings(config)
    shape = "×".join(map(str, model.event_shape))
    lead = f"A {type(model).__name__} of {parameters(model):,} parameters, of examples of {shape} "
    lead += f"symbols. autoregress {__version__}, seed {seed}."
    name = folder.absolute().name
    return page(name, f'<p class="lead">{escape(lead)}</p>', bodies)


@dataclass(frozen=True)
class Shown:
    """The examples that are completed and judged.

    Attributes:
        model: the model.
        x: (N, *event_shape), N at most EXAMPLES.
        context: (N, context), if the model takes one.
        whose: what they are, for captions.
        generator: generator of the draws.
    """

    model: AutoregressiveModel
    x: Tensor
    context: Tensor | None
    whose: str
    generator: torch.Generator

    @property
    def levels(self) -> int:
        return self.model.symbols.levels[0]

    @property
    def half(self) -> Tensor:
        """The first half of the frames, or of the rows, as a mask (*event_shape)."""
        known = torch.zeros(self.model.event_shape, dtype=torch.bool)
        if known.dim() == 1:  # of square length
            side = math.isqrt(len(known))
            known[: side // 2 * side] = True
        else:
            axis = known if known.dim() == 4 else known.movedim(1, 0)
            axis[: len(axis) // 2] = True
        return known

    def completed(self, count: int) -> Tensor:
        """Completions of the first halves, (N, count, *event_shape).

        Raises:
            ValueError: the model cannot condition on them.
        """
        rows = self.x.repeat_interleave(count, 0)
        context = None if self.context is None else self.context.repeat_interleave(count, 0)
        draws = self.model.complete(rows, self.half, context, generator=self.generator)
        return draws.unflatten(0, (len(self.x), count))


@torch.no_grad()
def _of_model(
    model: AutoregressiveModel, data: Source | None, generator: torch.Generator
) -> dict[str, str]:
    bodies: dict[str, str] = {}
    if data is not None:
        score = evaluate(model, data)
        nats = f"{score.nats:.4f} ± {score.standard_error:.4f}"
        figures = (f"{score.examples:,}", nats, f"{score.bits_per_dim:.4f}")
        bodies["Score"] = table_of([("examples", "nats", "bits/dim"), figures])
    clips = len(model.event_shape) == 4
    conditioned_on_numbers = model.context > 0 and model.labels is None
    if not model.symbols.uniform or conditioned_on_numbers or not (clips or _is_image(model)):
        return bodies
    labels = torch.arange(SAMPLES) % max(1, model.context)  # in turn
    context = torch.eye(model.context)[labels] if model.labels else None
    drawn = model.sample(SAMPLES, context, generator=generator)
    if data is None:
        own = None if context is None else context[:EXAMPLES]
        shown = Shown(model, drawn[:EXAMPLES], own, "Examples drawn from the model", generator)
    else:
        own = None if data.context is None else data.context[:EXAMPLES]
        x = data[torch.arange(min(EXAMPLES, len(data)))].long()
        shown = Shown(model, x, own, "The first examples", generator)
    if not clips:
        title = "Drawn from the model: the first draws, not selected."
        bodies["Samples"] = picture(plot.samples(drawn, shown.levels, across=8), title)
    try:
        bodies |= _continuations(shown) if clips else _completions(shown)
    except ValueError as error:  # a set that this model cannot condition on
        bodies["Completions"] = paragraph(escape(str(error)))
    return bodies | _surprise(shown)


def _completions(shown: Shown) -> dict[str, str]:
    figure = plot.completions(shown.x, shown.half, shown.completed(DRAWS), shown.levels)
    given = -shown.model.conditional_log_prob(shown.x, shown.half, shown.context).mean().item()
    caption = (
        f"{shown.whose}, whose second half is drawn (blue) given the first. The mean of −log p of "
        f"that half is {given:.2f} nats."
    )
    return {"Completions": picture(figure, caption)}


def _continuations(shown: Shown) -> dict[str, str]:
    frames = shown.model.event_shape[0] // 2
    caption = (
        f"Above: {shown.whose[0].lower()}{shown.whose[1:]}. Below: continuations of their first "
        f"{frames} frames; drawn frames are blue."
    )
    gif = film(shown.x, shown.completed(1)[:, 0], frames, shown.levels)
    return {"Continuations": animation(gif, caption)}


def _surprise(shown: Shown) -> dict[str, str]:
    nats = shown.model.surprisal(shown.x, shown.context)
    if shown.x.dim() == 5:
        figure = plot.clip_surprise(shown.x[:CLIPS], nats[:CLIPS], shown.levels)
    else:
        totals = [f"{each:.1f} nats" for each in nats.flatten(1).sum(1).tolist()]
        figure = plot.surprise(shown.x, nats, shown.levels, titles=totals)
    return {"Surprise": picture(figure, f"{shown.whose}, and −log p at each pixel.")}


def _is_image(model: AutoregressiveModel) -> bool:
    shape = model.event_shape
    square = len(shape) == 1 and math.isqrt(shape[0]) ** 2 == shape[0] > 4
    return square or (len(shape) == 3 and shape[0] in (1, 3))


def _of_table(table: Table, data: Any, seed: int) -> dict[str, str]:
    bodies: dict[str, str] = {}
    if data is not None:
        cells = {name: each[:COMPARED] for name, each in as_cells(data).items()}
        nats = -table.log_prob(cells)
        mean = f"{nats.mean():.4f} ± {nats.std(ddof=1) / math.sqrt(len(nats)):.4f}"
        bodies["Score"] = table_of([("rows", "nats"), (f"{len(nats):,}", mean)])
        bodies["Marginals"] = picture(
            plot.marginals(table, cells),
            "Each column: the model's distribution (blue), and the data's.",
        )
        odd = np.argsort(-nats, kind="stable")[:LISTED]
        found = table.explain({name: each[odd] for name, each in cells.items()})
        rows: list[tuple[str, ...]] = [
            ("row", "nats", "column blamed", "p-value", "its cell", "likeliest")
        ]
        for place, (row, name) in enumerate(zip(odd.tolist(), found.blamed(), strict=True)):
            if name is not None:
                at = found.names.index(name)
                cell = cells[name].values()[row] or ""
                p = f"{found.p_value[place, at]:.2g}"
                likely = str(found.expected[place, at])
                rows.append((str(row), f"{nats[row]:.2f}", name, p, cell, likely))
        bodies["Oddest rows"] = table_of([[escape(cell) for cell in row] for row in rows])
    drawn = table.sample(LISTED, seed=seed)
    rows = [tuple(drawn), *zip(*drawn.values(), strict=True)]
    bodies["Rows drawn"] = table_of([[escape(str(cell)) for cell in row] for row in rows])
    bodies["Columns"] = f'<div class="wide"><pre>{escape(str(table.schema))}</pre></div>'
    return bodies


def _trained(folder: Path) -> str:
    history = plot.history_of(folder)
    scored = [r for r in history if r["valid_nats"] is not None]
    rows: list[Sequence[str]] = [
        ("", "epoch", "validation nats", "bits/dim", "training nats", "seconds")
    ]
    best = min(scored, key=lambda r: r["valid_nats"], default=None)
    for name, record in (("best", best), ("last", history[-1] if history else None)):
        if record is not None:
            nats, bits = (record[f"valid_{each}"] for each in ("nats", "bits_per_dim"))
            seconds = math.fsum(r["seconds"] for r in history if r["epoch"] <= record["epoch"])
            shown = ("–", "–") if nats is None else (f"{nats:.4f}", f"{bits:.4f}")
            figures = (*shown, f"{record['train_nats']:.4f}", f"{seconds:.0f}")
            rows.append((name, str(record["epoch"]), *figures))
    return table_of(rows)


def _settings(folder: Path) -> str:
    config = read_config(folder)
    rows: list[Sequence[str]] = [("setting", "value"), ("model",)]
    rows += [(name, escape(brief(value))) for name, value in config["model"].items()]
    if config["training"] is not None:
        rows += [("training",), *((k, escape(brief(v))) for k, v in config["training"].items())]
    data: Mapping[str, Any] = config.get("data") or {}
    for name, own in data.items():
        if own is not None:
            rows.append(
                (f"{name}, sha256", f"{own['sha256'][:16]}… ({own['examples']:,} examples)")
            )
    return table_of(rows)


# What pages are made of


def page(title: str, lead: str, bodies: Mapping[str, str]) -> str:
    """A page of sections, by their headings."""
    sections = "".join(
        f"<section><h2>{name}</h2>{body}</section>\n" for name, body in bodies.items()
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{lead}
{sections}</body>
</html>
"""


def paragraph(text: str) -> str:
    """A paragraph of HTML."""
    return f"<p>{text}</p>"


def table_of(rows: Rows) -> str:
    """A header, and rows; a row of a single cell is the heading of the rows below it."""
    head = "".join(f"<th>{cell}</th>" for cell in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>"
        if len(row) > 1
        else f'<tr><td colspan="{len(rows[0])}">{row[0]}</td></tr>'
        for row in rows[1:]
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def picture(figure: Any, caption: str) -> str:
    """A matplotlib figure, inside the page."""
    return _image("png", plot.png(figure), caption)


def animation(gif: bytes, caption: str) -> str:
    """A GIF, inside the page."""
    return _image("gif", gif, caption)


def _image(kind: str, content: bytes, caption: str) -> str:
    data = base64.b64encode(content).decode()
    said = escape(caption)
    return (
        f'<figure><img alt="{said}" src="data:image/{kind};base64,{data}">'
        f"<figcaption>{said}</figcaption></figure>"
    )


def film(true: Tensor, drawn: Tensor, known: int, levels: int) -> bytes:
    """A GIF of clips (N, T, C, H, W), and below each the drawn ones, blue after known frames."""
    rows = []
    for clips, ink in ((true, plot.INK), (drawn, plot.BLUE)):
        x = clips.cpu().numpy()
        frames = plot.coloured(x, levels, ink)
        frames[:, :known] = plot.coloured(x[:, :known], levels)
        margin = ((0, 0), (0, 0), (2, 2), (2, 2), (0, 0))
        framed = np.pad(frames, margin, constant_values=plot.LINE[0])  # (N, T, H, W, 3)
        rows.append(np.concatenate(list(framed), 2))
    pixels = torch.from_numpy((np.concatenate(rows, 1) * 255).round().astype(np.uint8))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.gif"
        write(path, pixels.movedim(-1, 1)[None], 256, rate=5)
        return path.read_bytes()
