"""Figures of models and data, with matplotlib: samples, completions, surprise, curves, marginals.

Each function draws into a figure, by default a new one, and returns it. Images are (N, C, H, W),
of one channel or three; each may also be (N, H, W), or vectors of square length (N, D).
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoregress.bundled import folder_of
from autoregress.symbols import as_tensor
from autoregress.tables.columns import Column
from autoregress.tables.frames import as_cells
from autoregress.tables.numbers import Numbers
from autoregress.tables.table import SCHEMA, Table
from autoregress.training import Fit
from autoregress.training.folder import LOG
from autoregress.training.log import read_log

try:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure, FigureBase
    from matplotlib.patches import Rectangle
except ImportError as error:
    raise ImportError("figures need matplotlib: pip install 'autoregress[plot]'") from error

__all__ = ["clip_surprise", "completions", "learning_curves", "marginals", "samples", "surprise"]

Pixels = NDArray[Any]

PAPER, INK, LINE = (1.0, 1.0, 1.0), (0.11, 0.13, 0.16), (0.86, 0.88, 0.91)
BLUE, UNKNOWN, MARK = (0.05, 0.36, 0.78), (0.70, 0.82, 0.97), (0.93, 0.26, 0.16)
HEAT = "inferno"
# Share of all surprise that the colours tell apart, as a few values may be far above the others.
CLIPPED = 0.99
# Share of a number's probability that is shown at each end of its axis.
TAIL = 0.005
# Largest numbers of bars of a column, and of columns, of a picture of marginals.
BARS, COLUMNS = 30, 24


def samples(x: Any, levels: int, *, across: int | None = None, figure: Any = None) -> FigureBase:
    """Images side by side.

    Args:
        x: images, integer.
        levels: number of levels.
        across: number of images in a row; by default about as many as rows.

    Example:
        >>> figure = ar.plot.samples(ar.load("digits").sample(8), 17)
        >>> len(figure.axes)
        1
    """
    shown = coloured(images(x), levels)
    across = across or math.ceil(math.sqrt(len(shown)))
    blank = np.ones((-len(shown) % across, *shown.shape[1:]))
    tiles = np.concatenate([shown, blank]).reshape(-1, across, *shown.shape[1:])
    figure = figure or new_figure(across, len(tiles))
    mosaic(figure.subplots(), tiles)
    return figure


def completions(x: Any, known: Any, draws: Any, levels: int, *, figure: Any = None) -> FigureBase:
    """True images, what is known of them, and completions, whose drawn pixels are blue.

    Args:
        x: (N, …) images.
        known: bool, of the shape of one image or of all.
        draws: (N, draws, …) completions of each.
        levels: number of levels.

    Example:
        >>> model, known = ar.load("digits"), torch.arange(64).view(1, 8, 8) < 32
        >>> x = ar.data.digits().x[:3]
        >>> draws = model.complete(x.repeat_interleave(4, 0), known).unflatten(0, (3, 4))
        >>> figure = ar.plot.completions(x, known, draws, 17)
    """
    true = images(x)
    drawn = images(as_tensor(draws).flatten(0, 1)).reshape(len(true), -1, *true.shape[1:])
    mask = images(as_tensor(known).expand(as_tensor(x).shape))[:, 0, ..., None] > 0  # (N, H, W, 1)
    inked = coloured(true, levels)
    columns = [inked, np.where(mask, inked, UNKNOWN)]
    columns += [completed(each, mask, levels) for each in drawn.swapaxes(0, 1)]
    tiles = np.stack(columns, 1)
    titles = {0: "true", 1: "known", tiles.shape[1] // 2 + 1: "completed"}
    figure = figure or new_figure(tiles.shape[1], len(tiles))
    mosaic(figure.subplots(), tiles, columns=titles)
    return figure


def completed(x: Pixels, known: Pixels, levels: int) -> Pixels:
    """Images (…, C, H, W) whose pixels that are not known (…, H, W, 1) are blue: (…, H, W, 3)."""
    return np.where(known, coloured(x, levels), coloured(x, levels, BLUE))


def surprise(
    x: Any,
    nats: Any,
    levels: int,
    *,
    marked: Any = None,
    titles: Sequence[str] = (),
    figure: Any = None,
) -> FigureBase:
    """Images, and below each the surprise at its pixels, in nats.

    Args:
        x: images.
        nats: surprise at each pixel, of the shape of x, as :meth:`surprisal` and
            :meth:`leave_one_out` of a model give it; channels are summed.
        levels: number of levels.
        marked: bool, of the shape of x: pixels to be framed.
        titles: a title for each image.

    Example:
        >>> model, x = ar.load("digits"), ar.data.digits().x[:4]
        >>> figure = ar.plot.surprise(x, model.surprisal(x).detach(), 17)
    """
    shown, heat = images(x), images(nats).sum(1)
    scale = heat_of(heat)
    tiles = np.stack([coloured(shown, levels), heated(heat, scale)])
    figure = figure or new_figure(len(shown), 2.5)
    axes = figure.subplots()
    mosaic(axes, tiles, columns=dict(enumerate(titles)))
    if marked is not None:
        for n, mask in enumerate(images(marked)):
            frame(axes, mask[0] > 0, left=n * (mask.shape[-1] + 1), tops=(0, mask.shape[-2] + 1))
    figure.colorbar(scale, ax=axes, label="surprise at a pixel, nats", extend="max")
    return figure


def clip_surprise(x: Any, nats: Any, levels: int, *, figure: Any = None) -> FigureBase:
    """Clips frame by frame, and below each the surprise at its pixels, in nats.

    Args:
        x: clips (N, T, C, H, W).
        nats: surprise at each symbol, of the same shape.
        levels: number of levels.

    Example:
        >>> x, model = ar.data.bouncing_digits(2, levels=2).data().x, ar.load("bouncing")
        >>> figure = ar.plot.clip_surprise(x, model.surprisal(x).detach(), 2)
    """
    heat = as_tensor(nats).detach().cpu().numpy().sum(2)  # (N, T, H, W)
    scale = heat_of(heat)
    films = coloured(as_tensor(x).cpu().numpy(), levels)
    tiles = np.stack([films, heated(heat, scale)], 1).reshape(-1, *films.shape[1:])
    figure = figure or new_figure(films.shape[1], len(tiles))
    axes = figure.subplots()
    mosaic(axes, tiles)
    label = "surprise at a pixel, nats"
    figure.colorbar(scale, ax=axes, label=label, aspect=40, extend="max", location="bottom")
    return figure


def learning_curves(runs: Any, *, figure: Any = None) -> FigureBase:
    """Nats of training and validation examples after each epoch.

    Args:
        runs: a :class:`Fit` or a run folder; or several, as a mapping from their names.

    Raises:
        ValueError: a folder has no log.

    Example:
        >>> run = ar.fit(ar.MADE(3, hidden=(4,)), torch.ones(9, 3).long(), max_epochs=2, quiet=True)
        >>> figure = ar.plot.learning_curves({"ones": run})
    """
    each = runs if isinstance(runs, Mapping) else {"": runs}
    figure = figure or new_figure(5 * len(each), 4)
    for axes, (name, run) in zip(row_of_axes(figure, len(each)), each.items(), strict=True):
        curve(axes, history_of(run))
        axes.set_title(name)
    return figure


def curve(axes: Axes, history: Sequence[Mapping[str, Any]]) -> None:
    """The curves of one run, and its best epoch."""
    epochs = [record["epoch"] for record in history]
    train = [record["train_nats"] for record in history]
    valid = [record["valid_nats"] for record in history]
    axes.plot(epochs, train, color="0.6", label="train")
    shown = train
    if valid and valid[0] is not None:
        shown = valid
        axes.plot(epochs, valid, color=BLUE, label="valid")
        best = int(np.argmin(valid))
        axes.plot(epochs[best], valid[best], "o", color=BLUE, label=f"best, epoch {epochs[best]}")
    if shown:  # the first epochs are so far off that the rest would be a flat line
        low, high = min(*train, *shown), max(shown[len(shown) // 20 :])
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low) + 1e-9)
    axes.set(xlabel="epoch", ylabel="nats per example")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


def history_of(run: Fit | str | Path) -> Sequence[Mapping[str, Any]]:
    """The records of the epochs of a run; raises ValueError if a folder has no log."""
    if isinstance(run, Fit):
        return run.history
    folder = folder_of(run)
    if (folder / SCHEMA).is_file():  # the run of a table has that of its model inside
        folder = folder / "training"
    return read_log(folder / LOG)


def marginals(
    table: Table, data: Any, *, columns: Sequence[str] | None = None, figure: Any = None
) -> FigureBase:
    """The distribution of each column of a table, in blue, and the shares of data, in grey.

    Args:
        data: rows, in any form that tables take.
        columns: the columns to show; by default all, at most 24.

    Example:
        >>> rows = {"size": ["S", "L"] * 20, "price": [*range(20)] * 2}
        >>> table = ar.Table.fit(rows, max_epochs=2, quiet=True)
        >>> figure = ar.plot.marginals(table, rows)
        >>> len(figure.axes)
        2
    """
    cells = table.schema.cleaned_all(as_cells(data))
    names = [name for name in columns or table.schema.names if name in cells][:COLUMNS]
    across = min(4, len(names))
    figure = figure or new_figure(3 * across, 2.6 * math.ceil(len(names) / across))
    grid = figure.subplots(math.ceil(len(names) / across), across, squeeze=False).flatten()
    for axes, name in zip(grid, names, strict=False):
        column = table.schema.column(name)
        symbols = column.encode(cells[name]).symbols
        seen = np.bincount(symbols[symbols >= 0], minlength=column.levels)
        model = table.distribution(name).probabilities
        compare(axes, column, seen / max(1, seen.sum()), model)
    for axes in grid[len(names) :]:
        axes.set_axis_off()
    return figure


def compare(axes: Axes, column: Column, seen: Pixels, model: Pixels) -> None:
    """Shares of the symbols of a column that were seen, and the model's."""
    axes.set_title(column.name, fontsize=10)
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
    if isinstance(column, Numbers) and column.ordered:
        middles = np.asarray(column.middles, float)
        # Nearly all of both, as a single number may be far away.
        upto = np.minimum(seen.cumsum(), model.cumsum()), np.maximum(seen.cumsum(), model.cumsum())
        first, last = np.searchsorted(upto[1], TAIL), np.searchsorted(upto[0], 1 - TAIL)
        middles = np.clip(middles, middles[first], middles[min(last, len(middles) - 1)])
        edges = np.linspace(middles[0], middles[-1], min(BARS, len(middles)) + 1)
        for shares, style in ((seen, {"color": "0.8"}), (model, {"color": BLUE, "fill": False})):
            heights, _ = np.histogram(middles, edges, weights=shares)
            axes.stairs(heights, edges, **{"fill": True, **style})
        ticks = np.linspace(middles[0], middles[-1], 3)
        axes.set_xticks(ticks, [column.text(tick) for tick in ticks], fontsize=8)
        return
    chosen = np.argsort(-(seen + model), kind="stable")[:BARS]
    chosen = np.sort(chosen[(seen + model)[chosen] > 1e-3])
    places = np.arange(len(chosen))
    axes.bar(places, seen[chosen], 0.8, color="0.8")
    axes.bar(places, model[chosen], 0.8, fill=False, edgecolor=BLUE, linewidth=1.2)
    texts = column.typical(chosen)
    turned = {"rotation": 45, "ha": "right"} if max(map(len, texts)) * len(texts) > 24 else {}
    axes.set_xticks(places, texts, fontsize=8, **turned)


# What figures are made of


def png(figure: Figure, dpi: int = 150) -> bytes:
    """A figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", pad_inches=0.05)
    return buffer.getvalue()


def new_figure(across: float, down: float, most: float = 10.0) -> Figure:
    """A figure of these proportions, in inches or in tiles, no wider than ``most`` inches."""
    width = min(most, max(3.0, across))
    return Figure((width, max(1.5, width * down / across)), layout="constrained")


def images(x: Any) -> Pixels:
    """Images in any of the forms as an array (N, C, H, W).

    Raises:
        ValueError: they are not images.
    """
    array = as_tensor(x).detach().cpu().numpy()
    if array.ndim == 2 and math.isqrt(array.shape[1]) ** 2 == array.shape[1]:
        array = array.reshape(len(array), *[math.isqrt(array.shape[1])] * 2)
    if array.ndim == 3:
        array = array[:, None]
    if array.ndim != 4 or array.shape[1] not in (1, 3):
        raise ValueError(f"images are (N, C, H, W) with C = 1 or 3, got {tuple(array.shape)}")
    return array


def coloured(x: Pixels, levels: int, ink: tuple[float, float, float] = INK) -> Pixels:
    """Images (…, C, H, W) as colours (…, H, W, 3): ink on paper, or their own if C is 3."""
    strength = np.moveaxis(np.asarray(x, float), -3, -1) / (levels - 1)
    if strength.shape[-1] == 3:
        return strength
    return (1 - strength) * np.array(PAPER) + strength * np.array(ink)


def heat_of(nats: Pixels) -> ScalarMappable:
    """The colours of surprise, from 0 to that which nearly all of it is below."""
    return ScalarMappable(Normalize(0, max(float(np.quantile(nats, CLIPPED)), 1e-9)), HEAT)


def heated(nats: Pixels, scale: ScalarMappable) -> Pixels:
    """Surprise (…) as colours (…, 3)."""
    return scale.to_rgba(nats.ravel())[:, :3].reshape(*nats.shape, 3)


def mosaic(
    axes: Axes, tiles: Pixels, rows: Sequence[str] = (), columns: Mapping[int, str] | None = None
) -> None:
    """Tiles (rows, columns, H, W, 3) side by side, in the coordinates of their pixels.

    Args:
        rows: a name for each row.
        columns: names of some columns.
    """
    down, across, height, width = tiles.shape[:4]
    canvas = np.empty((down * (height + 1) + 1, across * (width + 1) + 1, 3))
    canvas[:] = LINE
    for row, column in np.ndindex(down, across):
        y, x = row * (height + 1) + 1, column * (width + 1) + 1
        canvas[y : y + height, x : x + width] = tiles[row, column]
    # The corner of the first tile is the origin.
    extent = (-1, across * (width + 1), down * (height + 1), -1)
    axes.imshow(canvas, extent=extent, interpolation="nearest")
    columns = columns or {}
    axes.set_yticks([i * (height + 1) + height / 2 for i in range(len(rows))], rows)
    axes.set_xticks([i * (width + 1) + width / 2 for i in columns], columns.values())
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def frame(axes: Axes, marked: Pixels, *, left: int, tops: Sequence[int]) -> None:
    """Frames the marked pixels (H, W) of a tile, in each of the rows that begin at ``tops``."""
    for top in tops:
        for y, x in zip(*marked.nonzero(), strict=True):
            corner = (left + int(x), top + int(y))
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=MARK, lw=1.2))


def row_of_axes(figure: FigureBase, count: int) -> Sequence[Axes]:
    """Axes side by side."""
    return list(figure.subplots(1, count, squeeze=False)[0])
