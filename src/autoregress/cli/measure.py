"""Measuring likelihood, over all examples and of each."""

from __future__ import annotations

import codecs
import csv
import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import OmitArgPrefixes, Positional, arg

from autoregress.brief import counted
from autoregress.cli.examples import open_like
from autoregress.cli.models import Conditions, load_model
from autoregress.cli.options import AtMost10000, FromZero, Positive
from autoregress.cli.output import Progress, announce
from autoregress.cli.tables import (
    evaluate_table,
    holds_table,
    refuse_for_table,
    score_table,
)
from autoregress.data.reading import Reading
from autoregress.disk import check_output, is_stream, replacing

if TYPE_CHECKING:
    from torch import Tensor

    from autoregress.symbols import Symbols


@dataclass(frozen=True)
class Evaluate:
    """Measure held-out likelihood exactly, in nats and bits per dimension.

    autoregress evaluate runs/mine --data test.npz

    Args:
        run: A run folder, one that ar.save wrote, or the name of a bundled model, such as digits.
        data: Examples of the kind it was trained on; of an .npz the array "test", of shards the
            split "test" (folder:name for another split).
        stride: Number of video frames from one frame of a clip to the next.
        orderings: Number of random orderings for a model trained over all of them, or for each
            model of a mixture; the probability is the mean over these, by default 8. More give
            better likelihoods and take longer.
        batch_size: Number of examples measured at once; the result does not depend on it.
        device: Device to compute on, such as cpu or cuda; by default the accelerator if there is
            one.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    data: Path
    conditions: OmitArgPrefixes[Conditions] = field(default_factory=Conditions)
    stride: Positive = 1
    orderings: AtMost10000 | None = None
    batch_size: Positive = 1000
    device: str = "auto"

    def __call__(self) -> None:
        import torch

        from autoregress.evaluation import evaluate
        from autoregress.processes import join

        if holds_table(self.run):
            refuse_for_table(
                self.run,
                **_unused(self.conditions),
                stride=self.stride != 1,
                orderings=self.orderings is not None,
                device=self.device != "auto",
            )
            evaluate_table(self.run, self.data)
            return
        model = load_model(self.run, self.device)
        if self.orderings is not None:
            torch.manual_seed(0)
            try:
                model = model.over_orderings(self.orderings)
            except ValueError as error:
                raise ValueError(f"{self.run}: --orderings: {error}") from error
        processes = join()
        examples = processes.after_first(
            lambda: open_like(
                model,
                self.data,
                Reading(stride=self.stride, condition=self.conditions.source(model)),
                split="test",
            )
        )
        context = self.conditions.context(model, examples)
        with Progress("evaluating") as progress:
            score = evaluate(
                model,
                examples,
                context=context,
                batch_size=self.batch_size,
                processes=processes,
                on_batch=lambda done: progress(done, len(examples)),
            )
        print(score)


@dataclass(frozen=True)
class Score:
    """Write log p of each example, and its most surprising dimensions.

    autoregress score runs/mine rows.npz --out scores.csv

    Args:
        run: A run folder, one that ar.save wrote, or the name of a bundled model, such as digits.
        data: The examples to score.
        out: A .csv file: row, log_prob in nats, bits_per_dim, and the most surprising dimensions;
            of a table, also .parquet, its columns that fit the others of the row least, with
            p-values and what was expected.
        stride: Number of video frames from one frame of a clip to the next.
        top: Number of most surprising dimensions to name.
        device: Device to compute on, such as cpu or cuda; by default the accelerator if there is
            one.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    data: Annotated[Positional[Path], arg(metavar="DATA")]
    out: Path
    conditions: OmitArgPrefixes[Conditions] = field(default_factory=Conditions)
    stride: Positive = 1
    top: FromZero = 5
    device: str = "auto"

    def __call__(self) -> None:
        import torch

        from autoregress.data import check_distinct
        from autoregress.evaluation import measuring
        from autoregress.processes import join

        suffixes = (".csv", ".parquet") if holds_table(self.run) else (".csv",)
        if self.out.suffix.lower() not in suffixes and not is_stream(self.out):
            raise ValueError(f"{self.out}: scores are written as {' or '.join(suffixes)}")
        check_output(self.out)
        check_distinct(self.out, self.data)
        if holds_table(self.run):
            refuse_for_table(
                self.run,
                **_unused(self.conditions),
                stride=self.stride != 1,
                device=self.device != "auto",
            )
            score_table(self.run, self.data, self.out, self.top)
            return
        model = load_model(self.run, self.device)
        reading = Reading(stride=self.stride, condition=self.conditions.source(model))
        processes = join()
        examples = processes.after_first(lambda: open_like(model, self.data, reading))
        context = self.conditions.context(model, examples)
        top = min(self.top, model.dims)

        def lines(rows: Tensor) -> list[list[Any]]:
            part = None if context is None else context[rows]
            surprisal = model.surprisal(examples[rows], part).flatten(1).cpu()
            each = zip(rows.tolist(), surprisal, strict=True)
            return [[row, *_cells(model.symbols, nats, top)] for row, nats in each]

        writing = replacing(self.out) if processes.first else nullcontext(BytesIO())
        with measuring(model), Progress("scoring") as progress, writing as file:
            writer = csv.writer(codecs.getwriter("utf-8")(file))
            ranks = range(1, top + 1)
            named = [name for i in ranks for name in (f"surprise_{i}", f"surprise_{i}_nats")]
            writer.writerow(["row", "log_prob", "bits_per_dim", *named])
            for done in processes.in_turn(torch.arange(len(examples)).split(1000), lines):
                writer.writerows(done)
                progress(done[-1][0] + 1, len(examples))
        announce(f"scores of {counted(len(examples), 'example')} in {self.out}", self.out)


def _unused(conditions: Conditions) -> dict[str, bool]:
    """Which conditions are given."""
    return {"given": bool(conditions.given), "condition": bool(conditions.condition)}


def _cells(symbols: Symbols, nats: Tensor, top: int) -> Iterator[Any]:
    """log p, bits/dim and the most surprising dimensions of one example, (D,) nats."""
    total = float(nats.sum())
    yield from (f"{-total:.6f}", f"{total / (symbols.dims * math.log(2)):.6f}")
    for value, dim in zip(*nats.topk(top), strict=True):
        name = symbols.columns.names[int(dim)] if symbols.columns else str(int(dim))
        yield from (name, f"{float(value):.6f}")
