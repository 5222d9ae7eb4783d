"""Trains MADEs on scikit-learn's handwritten digits and shows what an exact likelihood is for.

python examples/demo.py        about two minutes on two cores; writes demo/report.html

It measures held-out digits, draws new ones, completes half-hidden ones, and finds the pixels that
do not belong.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import baselines
import pictures
import report
import torch
import torch.nn.functional as F
import tyro
from findings import Case, Findings, Hidden
from rich.console import Console
from rich.progress import Progress, track
from torch import Tensor

import autoregress as ar
from autoregress.data import Data

ORDERINGS = 32  # of the mixture that is measured and drawn from
SAMPLES = 48
DIGITS, DRAWS = 2, 5  # completed for each hidden part, and how often each


@dataclass(frozen=True)
class Subject:
    """One form of the digits, and the settings of its model and training."""

    name: str
    title: str
    splits: tuple[Data, Data, Data]
    network: dict[str, Any]
    training: dict[str, Any]

    @property
    def levels(self) -> int:
        levels = self.splits[0].symbols
        assert isinstance(levels, int)
        return levels


def subjects() -> list[Subject]:
    network = {"hidden": (256, 256), "conditioning": True, "residual": True, "norm": True}
    training = {"lr": 2e-3, "schedule": "cosine", "weight_decay": 0.1, "ema": 0.99}
    return [
        Subject(
            name="bits",
            title="Black and white",
            splits=ar.data.digits_splits(threshold=8),
            network={**network, "direct": True, "dropout": 0.3},
            training={**training, "max_epochs": 200},
        ),
        Subject(
            name="levels",
            title="17 levels of grey",
            splits=ar.data.digits_splits(levels=17),
            network={**network, "dropout": 0.3},
            training={**training, "max_epochs": 120},
        ),
    ]


def main(
    out: Path = Path("demo"),
    *,
    picture: Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
) -> None:
    """Trains, measures, draws, completes and looks for surprises, on the bundled digits.

    Args:
        out: The folder for the report and the runs; those of before are deleted.
        picture: Also write one picture of it all to this file.
        epochs: Train for no more than so many: a short run.
        seed: Of everything random.
    """
    started = time.monotonic()
    # Matrices this small are not worth sharing out among cores.
    torch.set_num_threads(1)
    shutil.rmtree(out / "runs", ignore_errors=True)
    console = Console()
    findings = []
    for subject in subjects():
        console.print(f"{subject.title}: {len(subject.splits[0]):,} digits to train on")
        model, fit = train(subject, out / "runs" / subject.name, seed=seed, epochs=epochs)
        findings.append(examine(subject, model, fit, seed=seed))
    console.print(report.likelihoods(findings))
    sections = track(report.SECTIONS.items(), "drawing pictures", console=ERRORS)
    bodies = {heading: body(findings) for heading, body in sections}
    if picture is not None:
        picture.write_bytes(
            pictures.png(partial(pictures.summary, found=findings[-1]), 15, 6.5, dpi=110)
        )
    path = report.write(out, bodies, seed=seed, seconds=time.monotonic() - started)
    console.print(f"{path}\n{time.monotonic() - started:.0f} seconds")


# Progress goes to standard error, as that of ar.fit does.
ERRORS = Console(stderr=True)


def train(
    subject: Subject, run: Path, *, seed: int, epochs: int | None = None
) -> tuple[ar.MADE, ar.Fit]:
    train, valid, _ = subject.splits
    torch.manual_seed(seed)
    # "any": a fresh ordering each update, so that whichever pixels are known may come first.
    model = ar.MADE(train.event_shape, train.symbols, orderings="any", **subject.network)
    # A single ordering to validate with after each epoch: the default of eight takes longer than
    # the epoch itself.
    model = model.ensemble(1)
    options = subject.training if epochs is None else {**subject.training, "max_epochs": epochs}
    return model, ar.fit(model, train, valid=valid, run=run, seed=seed, **options)


@torch.no_grad()
def examine(subject: Subject, model: ar.MADE, fit: ar.Fit, *, seed: int) -> Findings:
    """Everything that the report shows of a trained model."""
    train, _, test = subject.splits
    torch.manual_seed(seed)
    mixture = model.ensemble(ORDERINGS)  # over the same weights
    generator = torch.Generator().manual_seed(seed)
    xz, packing = baselines.xz(test)

    with Progress(console=ERRORS) as progress:
        task = progress.add_task("", total=4)
        progress.update(task, description="measuring")
        scores = {
            "independent pixels": baselines.independent(train, test),
            "xz": xz,
            "MADE, one ordering": ar.evaluate(model, test),
            f"MADE, {ORDERINGS} orderings": ar.evaluate(mixture, test),
        }
        progress.update(task, advance=1, description="drawing samples")
        samples = mixture.sample(SAMPLES, generator=generator)
        progress.update(task, advance=1, description="completing")
        hidden = list(complete(mixture, test.x, generator))
        progress.update(task, advance=1, description="looking for surprises")
        cases = [
            [surprise(mixture, *case) for case in tamper(x, subject.levels, generator)]
            for x in typical(mixture, test.x)
        ]
        progress.update(task, advance=1, description="done")

    return Findings(
        subject.title, subject.levels, fit, scores, packing, test.x, samples, hidden, cases
    )


# Completing


def known_parts() -> dict[str, Tensor]:
    """What is known of a digit, (1, 8, 8) bool, by what is hidden."""
    row, column = torch.arange(8).view(8, 1), torch.arange(8).view(1, 8)
    scattered = torch.randperm(64, generator=torch.Generator().manual_seed(0)).view(8, 8)
    parts = {
        "top half": row >= 4,
        "bottom half": row < 4,
        "left half": column >= 4,
        "right half": column < 4,
        "random half": scattered < 32,
    }
    return {name: known.expand(1, 8, 8) for name, known in parts.items()}


def complete(model: ar.MADE, test: Tensor, generator: torch.Generator) -> Iterator[Hidden]:
    """Completes the first test digits, each part of them hidden in turn, and prices that part."""
    for (name, known), digits in zip(known_parts().items(), test.split(DIGITS), strict=False):
        # Each digit so many times, as each row is a draw of its own.
        rows = digits.repeat_interleave(DRAWS, dim=0)
        draws = model.complete(rows, known, generator=generator)
        log_p, log_p_known = jointly(model, test, known)
        _, log_p_unknown = jointly(model, test, ~known)
        yield Hidden(
            name,
            known,
            alone=-log_p_unknown.mean().item(),
            given=-(log_p - log_p_known).mean().item(),
            digits=digits,
            draws=draws.unflatten(0, (len(digits), DRAWS)),
        )


def jointly(model: ar.MADE, x: Tensor, part: Tensor) -> tuple[Tensor, Tensor]:
    """log p(x) and log p of a part of x, by the members with that part first.

    So both are exact, and their difference is what ``complete`` draws from.
    """
    whole, first = [], []
    for member in model.members:
        nats = model.ensemble([member.promote(part.flatten()).ordering]).surprisal(x)
        whole.append(-nats.flatten(1).sum(1))
        first.append(-nats[:, part].sum(1))
    # A mixture: the mean of the members' probabilities.
    return mean_exp(whole), mean_exp(first)


def mean_exp(logs: list[Tensor]) -> Tensor:
    return torch.stack(logs).logsumexp(0) - math.log(len(logs))


# Surprise


def typical(model: ar.MADE, test: Tensor) -> Tensor:
    """Two of the tenth of the test digits that surprise least: those which look least like
    themselves upside down."""
    likely = test[model.log_prob(test).topk(len(test) // 10).indices]
    difference = (likely.int() - likely.flip(2).int()).abs().flatten(1).sum(1)
    return likely[difference.topk(2).indices]


def tamper(
    x: Tensor, levels: int, generator: torch.Generator
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """A digit (1, 8, 8) as it is and spoilt in several ways: name, digit, marked pixels."""
    nowhere = torch.zeros_like(x, dtype=torch.bool)
    yield "as written", x, nowhere

    clear = ((x == 0) | (x == levels - 1)).flatten().nonzero().flatten()
    chosen = clear[torch.randperm(len(clear), generator=generator)[:3]]
    flipped = nowhere.flatten().index_fill(0, chosen, True).view_as(x)
    yield "3 pixels inverted", torch.where(flipped, levels - 1 - x, x), flipped

    erased = x.clone()
    erased[:, 3:5] = 0
    yield "2 rows erased", erased, erased != x

    yield "moved 2 to the right", F.pad(x[:, :, :-2], (2, 0)), nowhere
    yield "upside down", x.flip(1), nowhere


def surprise(model: ar.MADE, name: str, x: Tensor, marked: Tensor) -> Case:
    return Case(name, x, marked, model.surprisal(x[None])[0])


if __name__ == "__main__":
    tyro.cli(main)
