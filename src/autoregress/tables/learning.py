"""Learning a table: which rows are held out, what network learns the others, and how long."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autoregress.brief import counted
from autoregress.configs import MADEConfig
from autoregress.data.source import Data
from autoregress.evaluation import evaluate
from autoregress.networks.encoding import Encoding
from autoregress.networks.made import MADE
from autoregress.processes import Processes
from autoregress.symbols import Symbols
from autoregress.tables.structure import Structure
from autoregress.training import Fit, Training, fit

# Default options of the network and of its training. A mean over several orderings makes up for few
# rows; many rows are learnt better in one, and without dropout. The order of a sparse network is
# better than any mean.
NETWORK = MADEConfig(
    hidden=(256, 256), orderings=8, evidence=True, gaps=True, direct=True, residual=True,
    norm=True, dropout=0.1,
)  # fmt: skip
TRAINING = Training(lr=5e-3, schedule="cosine", weight_decay=0.2, patience=0, ema=0.99)
# Rows drawn from a sparse network keep the weights from learning noise: less decay is needed.
WITH_DRAWN = {"lr": 2e-3, "weight_decay": 0.02}
MANY = 10_000
# Largest number of direct weights, which grow with the square of the columns.
MOST_DIRECT = 2**24
# By default the batch size is a power of two between these, about a tenth of the rows, drawn ones
# included. The number of updates is between these, about half that of rows, and each row is seen at
# least a number of times. The learning rate falls to 0 over them, which is worth more than an early
# stop. An epoch of few rows sees each of them several times: measuring takes as long as learning.
SMALLEST_BATCH, LARGEST_BATCH = 16, 128
FEWEST_UPDATES, MOST_UPDATES, FEWEST_EPOCHS = 1000, 9000, 20
# Share of the rows held out to stop by, and the fewest rows of which some are held out. Of fewer,
# a network learns worse than columns by themselves do.
HELD_OUT, FEWEST = 0.1, 20
# Number of rows drawn from a sparse network of the columns for each real one, and largest number
# of rows with them: many real ones need no others.
DRAWN, ENOUGH = 3, 2**17
# Number of rows that the sparse network is found from at most.
COUNTED = 2**15


@dataclass(frozen=True)
class Learnt:
    """A network that has learnt the symbols of a table.

    Attributes:
        model: the network; that of independent columns if it is no worse, or if there are too few
            rows to hold some out.
        summary: how well it was learnt, in a sentence.
    """

    model: MADE
    summary: str


def learn(
    x: Tensor,
    levels: Sequence[int],
    ordered: Sequence[bool],
    *,
    periods: Sequence[Sequence[float]],
    held: Tensor | None,
    network: Mapping[str, Any],
    training: Mapping[str, Any],
    run: Path | None,
    quiet: bool,
    processes: Processes | None,
    on_epoch: Callable[[dict[str, Any]], object] | None,
) -> Learnt:
    """Learns the symbols (rows, D) of a table, −1 where unknown.

    Args:
        levels: number of symbols of each column.
        ordered: whether they are ordered.
        periods: periods of the ordered ones, in symbols.
        held: rows that tell when to stop; by default a tenth is held out for it.
        network: options of the :class:`MADE` instead of the defaults.
        training: training options instead of the defaults.
        run: a folder for checkpoints and the log.
        processes: the processes that learn together; by default this one alone.
    """
    seed = Training.changed(None, dict(training)).seed
    if held is None:
        x, held = parted(x, seed)
    structure = sparse(x, levels, ordered)
    options = network_for(len(x), levels, ordered, structure, periods)
    torch.manual_seed(seed)
    model = MADE(len(levels), levels, **{**options, **network})
    rows = x if structure is None else with_drawn(x, structure, seed)
    default, passes = training_for(len(x), len(rows))
    if held is None:
        default, passes = replace(default, max_epochs=1), 1  # for the run's folder alone
    chosen = Training.changed(default, dict(training))
    if "max_epochs" not in training:
        if chosen.start == "marginals":
            model.start_from(rows)  # of which none is seen twice
        rows = rows.repeat(passes, 1)
    measured = None if held is None else Data(held, levels, known=held >= 0)
    # Drawn rows keep the weights from learning noise, so that the last epoch is the best; the few
    # rows held out would rather choose one by chance.
    choosing = structure is None or chosen.patience > 0
    result = fit(
        model,
        Data(rows, levels, known=rows >= 0),
        valid=measured if choosing else None,
        run=run,
        training=chosen,
        quiet=quiet,
        processes=processes,
        on_epoch=on_epoch,
    )
    alone = independent(model, x)
    if measured is None:
        return Learnt(
            alone,
            f"{counted(len(x), 'row')} are too few to learn how columns depend on one another, "
            f"which takes {FEWEST}: each is learnt by itself",
        )
    nats, others = (evaluate(each, measured).nats for each in (model, alone))
    better = nats < others
    return Learnt(model if better else alone, _summary(result, nats, others, len(measured)))


def parted(x: Tensor, seed: int) -> tuple[Tensor, Tensor | None]:
    """The rows to learn, and those held out; None if there are too few."""
    if len(x) < FEWEST:
        return x, None
    order = np.random.default_rng(seed).permutation(len(x))
    count = max(1, round(HELD_OUT * len(x)))
    return x[np.sort(order[count:])], x[np.sort(order[:count])]


def sparse(x: Tensor, levels: Sequence[int], ordered: Sequence[bool]) -> Structure | None:
    """The sparse network of a table of labels; None if there are numbers, or too many columns."""
    if any(ordered) or not Structure.suits(levels):
        return None
    step = -(-len(x) // COUNTED)
    return Structure.fit(x[::step].numpy(), levels)


def with_drawn(x: Tensor, structure: Structure, seed: int) -> Tensor:
    """The rows, and others drawn from their sparse network after them."""
    count = min(DRAWN * len(x), max(0, ENOUGH - len(x)))
    drawn = structure.draw(count, np.random.default_rng(seed))
    return torch.cat([x, torch.from_numpy(drawn).to(x.dtype)])


def network_for(
    rows: int,
    levels: Sequence[int],
    ordered: Sequence[bool],
    structure: Structure | None,
    periods: Sequence[Sequence[float]] = (),
) -> dict[str, Any]:
    """Options of the network of a table."""
    options = {**vars(NETWORK), "ordered": tuple(ordered)}
    if any(periods):
        options["periods"] = tuple(map(tuple, periods))
    if rows >= MANY:
        options |= {"orderings": 1, "dropout": 0.0}
    if structure is not None:
        options["orderings"] = (tuple(structure.order),)
    symbols = Symbols((len(levels),), levels, ordered=tuple(ordered), gaps=True)
    inputs, outputs = (int(w.sum()) for w in Encoding(symbols, NETWORK.mixture, periods).widths)
    return options | {"direct": inputs * outputs <= MOST_DIRECT}


def training_for(rows: int, examples: int) -> tuple[Training, int]:
    """How a table of that number of rows is learnt, and how often an epoch sees each of them.

    Args:
        examples: number of rows with those that are drawn.
    """
    batch = 2 ** round(math.log2(max(1, examples / 10)))
    batch = min(max(batch, SMALLEST_BATCH), LARGEST_BATCH)
    updates = min(max(rows / 2, FEWEST_UPDATES), MOST_UPDATES)
    seen = max(updates * batch, FEWEST_EPOCHS * rows)
    other = WITH_DRAWN if examples > rows else {}
    passes = math.ceil(seen / examples / FEWEST_EPOCHS)
    epochs = math.ceil(seen / examples / passes)
    return replace(TRAINING, batch_size=batch, max_epochs=epochs, **other), passes


@torch.no_grad()
def independent(model: MADE, train: Tensor) -> MADE:
    """A model like another in which every column is independent of the others."""
    alone = MADE(model.dims, model.symbols.levels, **{**model.options, "hidden": (1,)})
    for layer in (alone.output, alone.direct):
        if layer is not None:
            layer.weight.zero_()
    alone.start_from(train)
    return alone


def _summary(result: Fit, nats: float, independent: float, rows: int) -> str:
    said = (
        f"after epoch {result.best_epoch}: {nats:.4f} nats on {rows:,} rows held out, apart from "
        f"where in their bins numbers lie; independent columns {independent:.4f}"
    )
    if independent <= nats:
        said += "\nindependent columns are kept, as the model is no better: it needs more rows"
    return said
