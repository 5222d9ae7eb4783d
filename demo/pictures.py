"""The pictures of the report. Each function draws into a figure, or into a part of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from findings import Clips, Findings, Hidden
from matplotlib.figure import Figure, FigureBase

from autoregress import plot
from autoregress.plot import BLUE, UNKNOWN, coloured, completed, frame, heated, mosaic, row_of_axes

SIDE = 8
PITCH = SIDE + 1  # a digit, and a line between it and the next


def png(draw: Callable[[FigureBase], None], width: float, height: float, dpi: int = 150) -> bytes:
    """A figure drawn by ``draw``, of at most the given inches, as a PNG file."""
    figure = Figure((width, height), layout="constrained")
    draw(figure)
    return plot.png(figure, dpi)


def training_curves(figure: FigureBase, findings: Sequence[Findings]) -> None:
    plot.learning_curves({found.title: found.fit for found in findings}, figure=figure)


def samples(figure: FigureBase, found: Findings, across: int = 8) -> None:
    left, right = figure.subfigures(1, 2, squeeze=False)[0]
    for part, digits, title in (
        (left, found.test, "held-out digits"),
        (right, found.samples, "samples of the model"),
    ):
        shown = digits[: len(found.samples)]
        plot.samples(shown, found.levels, across=across, figure=part)
        part.suptitle(title)


def completions(figure: FigureBase, found: Findings) -> None:
    names = [hidden.name for hidden in found.hidden]
    blocks = row_of_axes(figure, len(found.hidden[0].digits))
    for digit, axes in enumerate(blocks):
        tiles = [completion(hidden, digit, found.levels) for hidden in found.hidden]
        columns = {0: "true", 1: "known", len(tiles[0]) // 2 + 1: "completed"}
        mosaic(axes, np.stack(tiles), rows=names if digit == 0 else [], columns=columns)


def completion(hidden: Hidden, digit: int, levels: int) -> plot.Pixels:
    """The digit, its known part, and the draws: (2 + draws, 8, 8, 3)."""
    known = hidden.known[0].numpy()[..., None]
    true = coloured(hidden.digits[digit].numpy(), levels)
    drawn = completed(hidden.draws[digit].numpy(), known, levels)
    return np.stack([true, np.where(known, true, UNKNOWN), *drawn])


def families(figure: FigureBase, found: Findings) -> None:
    """A row of samples for each family, and a row of digits whose lower half was drawn."""
    upper = (np.arange(SIDE) < SIDE // 2)[:, None, None]
    tiles, names = [], []
    for other in found.others:
        tiles.append(coloured(other.samples.numpy(), found.levels))
        tiles.append(completed(other.lower.numpy(), upper, found.levels))
        names += [f"{other.name}\nsamples", "lower half"]
    mosaic(row_of_axes(figure, 1)[0], np.stack(tiles), rows=names)


def surprises(figure: FigureBase, found: Findings) -> None:
    maps = [m.numpy() for row in found.cases for c in row for m in (c.nats, c.given_rest)]
    heat = plot.heat_of(np.array(maps))
    blocks = figure.subplots(len(found.cases), 1, squeeze=False)[:, 0]
    for axes, row in zip(blocks, found.cases, strict=True):
        tiles = [
            [coloured(case.x.numpy(), found.levels) for case in row],
            [heated(case.nats[0].numpy(), heat) for case in row],
            [heated(case.given_rest[0].numpy(), heat) for case in row],
        ]
        names = {i: case.name for i, case in enumerate(row)} if axes is blocks[0] else {}
        mosaic(axes, np.array(tiles), rows=["digit", "share", "given\nthe rest"], columns=names)
        for i, case in enumerate(row):
            frame(axes, case.marked[0].numpy(), left=i * PITCH, tops=(0, PITCH, 2 * PITCH))
            log_p = f"−{-case.log_p:.1f}"
            axes.text(i * PITCH + SIDE / 2, len(tiles) * PITCH, log_p, ha="center", va="top")
        axes.text(-1.5, len(tiles) * PITCH, "log p, nats", ha="right", va="top")
    label = "surprise at a pixel, nats"
    figure.colorbar(heat, ax=blocks.tolist(), label=label, aspect=40, extend="max")


def frames(figure: FigureBase, found: Clips, count: int = 3) -> None:
    """Clips and the surprise of their pixels, frame by frame, and the mean bits of each frame."""
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(5, 3))[0]
    plot.clip_surprise(found.x[:count], found.nats[:count], 2, figure=left)
    axes = right.subplots()
    bits = (found.nats.sum((2, 3, 4)).mean(0) / np.log(2)).tolist()
    axes.bar(range(1, len(bits) + 1), bits, color=BLUE)
    axes.set(xlabel="frame", ylabel="bits, mean of the held-out clips")
    axes.spines[["top", "right"]].set_visible(False)


def summary(figure: FigureBase, found: Findings) -> None:
    """Everything in one picture, for the README."""
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(9, 8))[0]
    top, bottom = left.subfigures(2, 1, squeeze=False, height_ratios=(6, 5))[:, 0]
    samples(top, found)
    completions(bottom, found)
    surprises(right, found)
