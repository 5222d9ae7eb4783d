"""The report: one page that needs nothing beside it."""

from __future__ import annotations

import base64
import math
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from html import escape
from pathlib import Path

import pictures
import torch
from findings import Findings
from matplotlib.figure import FigureBase
from rich.table import Table

import autoregress as ar

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
figure img { display: block; width: 100%; height: auto; box-sizing: border-box; background: #fff;
  border: 1px solid var(--line); border-radius: 6px; padding: .75rem }
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


def write(folder: Path, page: str) -> Path:
    path = folder / "report.html"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path.resolve()


# The figures, in the terminal and on the page

LIKELIHOODS = ("", "nats per digit", "bits per pixel")


def likelihoods(findings: Sequence[Findings]) -> Table:
    table = Table(title="Held-out likelihood ± standard error")
    for column in LIKELIHOODS:
        table.add_column(column, justify="right" if column else "left")
    for found in findings:
        table.add_section()
        table.add_row(f"[bold]{found.title}[/]")
        for row in likelihood_rows(found):
            table.add_row(*row)
    return table


def likelihood_rows(found: Findings) -> Rows:
    return [
        (name, pair(score.nats, score.standard_error, 2), bits_per_dim(score))
        for name, score in found.scores.items()
    ]


def bits_per_dim(score: ar.Score) -> str:
    error = score.standard_error * score.bits_per_dim / score.nats
    return pair(score.bits_per_dim, error, 4)


def pair(value: float, error: float, digits: int) -> str:
    """A file's size has no standard error."""
    return f"{value:.{digits}f}" + ("" if math.isnan(error) else f" ± {error:.{digits}f}")


# The page


def page(findings: Sequence[Findings], *, seed: int, started: float) -> Iterator[str]:
    """The page piece by piece, PIECES of them, each of which takes a moment."""
    ...
