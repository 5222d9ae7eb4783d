"""Likelihood measured: of all examples, and of each."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from tyro.conf import Positional

from autoregress import data as datasets
from autoregress.cli.examples import open_examples
from autoregress.data.reading import Reading
from autoregress.evaluation import evaluate
from autoregress.processes import join
from autoregress.storage import load
from autoregress.symbols import Symbols


@dataclass(frozen=True)
class Evaluate:
    """Exact held-out likelihood, in nats and bits per dimension.

    autoregress evaluate runs/mine --data test.npz

    Args:
        run: A run folder, or one that ar.save wrote.
        data: Examples as those it was trained on; of an .npz the array "test", of shards those
            of that name (folder:name is another split).
        stride: Of videos: frames from one frame of a clip to the next.
        orderings: Number of random orderings of a model trained over all of them, or of each
            model of a mixture; the probability is the mean over these, by default 8. More are
            better and take longer.
        batch_size: Examples at once; the result does not depend on it.
        device: Where to compute, for example cuda.
    """

    run: Positional[Path]
    data: Path
    stride: int = 1
    orderings: int | None = None
    batch_size: int = 1000
    device: str = "cpu"

    def __call__(self) -> None:
        model = load(self.run).to(self.device)
        if self.orderings is not None:
            torch.manual_seed(0)
            try:
                model = model.over_orderings(self.orderings)
            except ValueError as error:
                raise ValueError(f"{self.run}: --orderings: {error}") from error
        processes = join()
        examples = processes.after_first(
            lambda: open_examples(
                self.data, Reading(stride=self.stride), split="test", like=model.symbols
            )
        )
        print(evaluate(model, examples, batch_size=self.batch_size, processes=processes))


@dataclass(frozen=True)
class Score:
    """log p of each example, and the dimensions that surprised most.

    autoregress score runs/mine rows.npz --out scores.csv

    Args:
        run: A run folder, or one that ar.save wrote.
        data: The examples to score.
        out: A .csv file: row, log_prob in nats, bits_per_dim, and the most surprising dimensions.
        stride: Of videos: frames from one frame of a clip to the next.
        top: How many of the most surprising dimensions to name.
        device: Where to compute, for example cuda.
    """

    run: Positional[Path]
    data: Positional[Path]
    out: Path
    stride: int = 1
    top: int = 5
    device: str = "cpu"

    def __call__(self) -> None:
        datasets.check_writable(self.out)
        if self.out.suffix.lower() != ".csv":
            raise ValueError(f"{self.out}: scores are written as .csv")
        model = load(self.run).to(self.device)
        x = open_examples(self.data, Reading(stride=self.stride), like=model.symbols)
        top = min(self.top, model.dims)
        with torch.no_grad(), self.out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            ranks = range(1, top + 1)
            named = [name for i in ranks for name in (f"surprise_{i}", f"surprise_{i}_nats")]
            writer.writerow(["row", "log_prob", "bits_per_dim", *named])
            for rows in torch.arange(len(x)).split(1000):
                surprisal = model.surprisal(x[rows]).flatten(1).cpu()
                for row, nats in zip(rows.tolist(), surprisal, strict=True):
                    total = float(nats.sum())
                    bits = total / (model.dims * math.log(2))
                    worst = nats.topk(top)
                    cells = [
                        cell
                        for value, dim in zip(*worst, strict=True)
                        for cell in (_dimension(model.symbols, int(dim)), f"{float(value):.6f}")
                    ]
                    writer.writerow([row, f"{-total:.6f}", f"{bits:.6f}", *cells])
        print(f"scores of {len(x)} examples in {self.out}")


def _dimension(symbols: Symbols, dim: int) -> str:
    return symbols.columns.names[dim] if symbols.columns else str(dim)
