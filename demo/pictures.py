"""The pictures of the report. Each function draws into a figure, or into a part of one."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from findings import Case, Clips, Findings, Hidden
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, FigureBase
from matplotlib.patches import Rectangle

Pixels = np.ndarray[Any, Any]

PAPER, INK, LINE = (1.0, 1.0, 1.0), (0.11, 0.13, 0.16), (0.86, 0.88, 0.91)
BLUE, UNKNOWN, MARK = (0.05, 0.36, 0.78), (0.70, 0.82, 0.97), (0.93, 0.26, 0.16)
HEAT = "inferno"
SIDE = 8
PITCH = SIDE + 1  # a digit, and a line between it and the next


def png(draw: Callable[[FigureBase], None], width: float, height: float, dpi: int = 150) -> bytes:
    """A figure drawn by ``draw``, of at most the given inches, as a PNG file."""
    figure = Figure((width, height), layout="constrained")
    draw(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", pad_inches=0.05)
    return buffer.getvalue()


def training_curves(figure: FigureBase, findings: Sequence[Findings]) -> None:
    for axes, found in zip(row_of_axes(figure, len(findings)), findings, strict=True):
        history = found.fit.history
        epochs = [record["epoch"] for record in history]
        valid = [record["valid_nats"] for record in history]
        axes.plot(epochs, [record["train_nats"] for record in history], color="0.6", label="train")
        axes.plot(epochs, valid, color=BLUE, label="valid")
        best = found.fit.best_epoch
        axes.plot(best, valid[best - 1], "o", color=BLUE, label=f"kept, epoch {best}")
        # The first epochs are so far off that the rest would be a flat line.
        axes.set_ylim(top=max(valid[len(valid) // 20 :]))
        axes.set(title=found.title, xlabel="epoch", ylabel="nats per digit")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)


def samples(figure: FigureBase, found: Findings, across: int = 8) -> None:
    left, right = row_of_axes(figure, 2)
    for axes, digits, title in (
        (left, found.test, "held-out digits"),
        (right, found.samples, "samples of the model"),
    ):
        shown = digits[: len(found.samples)].numpy()
        tiles = coloured(shown[:, 0] / (found.levels - 1), INK)
        mosaic(axes, tiles.reshape(-1, across, *tiles.shape[1:]))
        axes.set_title(title)


def completions(figure: FigureBase, found: Findings) -> None:
    names = [hidden.name for hidden in found.hidden]
    blocks = row_of_axes(figure, len(found.hidden[0].digits))
    for digit, axes in enumerate(blocks):
        tiles = [completion(hidden, digit, found.levels) for hidden in found.hidden]
        columns = {0: "true", 1: "known", len(tiles[0]) // 2 + 1: "completed"}
        mosaic(axes, np.stack(tiles), rows=names if digit == 0 else [], columns=columns)


def completion(hidden: Hidden, digit: int, levels: int) -> Pixels:
    """The digit, its known part, and the draws: (2 + draws, 8, 8, 3)."""
    known = hidden.known[0].numpy()[..., None]
    true = hidden.digits[digit, 0].numpy() / (levels - 1)
    draws = hidden.draws[digit, :, 0].numpy() / (levels - 1)
    true = coloured(true, INK)
    drawn = np.where(known, coloured(draws, INK), coloured(draws, BLUE))
    return np.stack([true, np.where(known, true, UNKNOWN), *drawn])


def families(figure: FigureBase, found: Findings) -> None:
    """A row of samples for each family, and a row of digits whose lower half was drawn."""
    tiles, names = [], []
    for other in found.others:
        drawn = other.lower[:, 0].numpy() / (found.levels - 1)
        upper = (np.arange(SIDE) < SIDE // 2)[:, None, None]
        tiles.append(coloured(other.samples[:, 0].numpy() / (found.levels - 1), INK))
        tiles.append(np.where(upper, coloured(drawn, INK), coloured(drawn, BLUE)))
        names += [f"{other.name}\nsamples", "lower half"]
    mosaic(row_of_axes(figure, 1)[0], np.stack(tiles), rows=names)


def surprises(figure: FigureBase, found: Findings) -> None:
    maps = [m.numpy() for row in found.cases for c in row for m in (c.nats, c.given_rest)]
    # Beside a few very surprising pixels all others would look alike.
    heat = ScalarMappable(Normalize(0, float(np.quantile(maps, 0.99))), HEAT)
    blocks = figure.subplots(len(found.cases), 1, squeeze=False)[:, 0]
    for axes, row in zip(blocks, found.cases, strict=True):
        tiles = [
            [coloured(case.x[0].numpy() / (found.levels - 1), INK) for case in row],
            [heat.to_rgba(case.nats[0].numpy())[..., :3] for case in row],
            [heat.to_rgba(case.given_rest[0].numpy())[..., :3] for case in row],
        ]
        names = {i: case.name for i, case in enumerate(row)} if axes is blocks[0] else {}
        mosaic(axes, np.array(tiles), rows=["digit", "share", "given\nthe rest"], columns=names)
        for i, case in enumerate(row):
            outline(axes, case, left=i * PITCH)
            log_p = f"−{-case.log_p:.1f}"
            axes.text(i * PITCH + SIDE / 2, len(tiles) * PITCH, log_p, ha="center", va="top")
        axes.text(-1.5, len(tiles) * PITCH, "log p, nats", ha="right", va="top")
    label = "surprise at a pixel, nats"
    figure.colorbar(heat, ax=blocks.tolist(), label=label, aspect=40, extend="max")


def frames(figure: FigureBase, found: Clips, count: int = 3) -> None:
    """Clips and the surprise of their pixels, frame by frame, and the mean bits of each frame."""
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(5, 3))[0]
    nats = found.nats[:count, :, 0].numpy()
    heat = ScalarMappable(Normalize(0, float(np.quantile(nats, 0.995))), HEAT)
    rows = []
    for x, surprise in zip(found.x[:count, :, 0].numpy(), nats, strict=True):
        rows += [coloured(x, INK), np.stack([heat.to_rgba(frame)[..., :3] for frame in surprise])]
    lines = ((0, 0), (1, 1), (1, 1), (0, 0))
    strips = [np.concatenate(list(np.pad(r, lines, constant_values=0.87)), 1) for r in rows]
    axes = left.subplots()
    axes.imshow(np.concatenate(strips), interpolation="nearest")
    axes.set_axis_off()
    label = "surprise at a pixel, nats"
    left.colorbar(heat, ax=axes, label=label, aspect=40, extend="max", location="bottom")
    axes = right.subplots()
    bits = (found.nats.sum((2, 3, 4)).mean(0) / np.log(2)).tolist()
    axes.bar(range(1, len(bits) + 1), bits, color=BLUE)
    axes.set(xlabel="frame", ylabel="bits, mean of the held-out clips")
    axes.spines[["top", "right"]].set_visible(False)


def outline(axes: Axes, case: Case, left: int) -> None:
    """Frames the marked pixels, in the digit and in the maps below it."""
    for top in (0, PITCH, 2 * PITCH):
        for y, x in case.marked[0].nonzero().tolist():
            axes.add_patch(Rectangle((left + x, top + y), 1, 1, fill=False, edgecolor=MARK, lw=1.2))


def mosaic(
    axes: Axes, tiles: Pixels, rows: Sequence[str] = (), columns: Mapping[int, str] | None = None
) -> None:
    """Tiles (rows, columns, 8, 8, 3) side by side, in the coordinates of their pixels."""
    down, across = tiles.shape[:2]
    canvas = np.empty((down * PITCH + 1, across * PITCH + 1, 3))
    canvas[:] = LINE
    for row, column in np.ndindex(down, across):
        y, x = row * PITCH + 1, column * PITCH + 1
        canvas[y : y + SIDE, x : x + SIDE] = tiles[row, column]
    # The corner of the first tile is the origin.
    extent = (-1, across * PITCH, down * PITCH, -1)
    axes.imshow(canvas, extent=extent, interpolation="nearest")
    centre = SIDE / 2
    columns = columns or {}
    axes.set_yticks([i * PITCH + centre for i in range(len(rows))], rows)
    axes.set_xticks([i * PITCH + centre for i in columns], columns.values())
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def coloured(strength: Pixels, ink: tuple[float, float, float]) -> Pixels:
    """Ink of a strength from 0 to 1 (…,) on paper: (…, 3)."""
    strength = np.asarray(strength, float)[..., None]
    return (1 - strength) * np.array(PAPER) + strength * np.array(ink)


def row_of_axes(figure: FigureBase, count: int) -> Sequence[Axes]:
    return list(figure.subplots(1, count, squeeze=False)[0])


def summary(figure: FigureBase, found: Findings) -> None:
    """Everything in one picture, for the README."""
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(9, 8))[0]
    top, bottom = left.subfigures(2, 1, squeeze=False, height_ratios=(6, 5))[:, 0]
    samples(top, found)
    completions(bottom, found)
    surprises(right, found)
