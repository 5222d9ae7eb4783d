"""Trains models of scikit-learn's handwritten digits, and shows the uses of an exact likelihood.

python demo/demo.py  # about six minutes on one core; writes demo/out/report.html

It measures held-out digits, draws new ones, completes half-hidden ones, and finds pixels that do
not belong.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import baselines
import clips
import pictures
import report
import torch
import torch.nn.functional as F
import tyro
from findings import Case, Findings, Hidden, Other
from rich.console import Console
from rich.progress import Progress, track
from torch import Tensor

import autoregress as ar
from autoregress.data import Data
from autoregress.recipes import RECIPES

ORDERINGS = 32  # in the mixture that is measured and drawn from
FEW = 8  # where every set of known pixels needs orderings of its own
SAMPLES = 48
DIGITS, DRAWS = 2, 5  # completed for each hidden part, and draws of each
IN_A_ROW = 16  # digits shown of each of the other families


@dataclass(frozen=True)
class Subject:
    """One form of the digits, with the settings of its model and training."""

    name: str
    title: str
    splits: tuple[Data, Data, Data]
    network: dict[str, Any]
    training: dict[str, Any]
    others: dict[str, str]
    """Recipes of models of other families, by the families' names."""

    @property
    def levels(self) -> int:
        levels = self.splits[0].levels
        assert isinstance(levels, int)
        return levels


def subjects() -> list[Subject]:
    network = {"conditioning": True, "norm": True}
    training = {
        "max_epochs": 300,
        "patience": 80,
        "lr": 2e-3,
        "schedule": "cosine",
        "weight_decay": 0.1,
        "ema": 0.99,
    }
    return [
        Subject(
            name="bits",
            title="Black and white",
            splits=ar.data.digits_splits(threshold=8),
            network={**network, "hidden": (1024,), "direct": True, "dropout": 0.3},
            training=training,
            others={},
        ),
        Subject(
            name="levels",
            title="17 levels of grey",
            splits=ar.data.digits_splits(levels=17),
            network={**network, "hidden": (256, 256), "residual": True, "dropout": 0.3},
            training=training,
            others={
                "PixelCNN": "pixelcnn-digits",
                "Gated PixelCNN": "gated-pixelcnn-digits",
                "Row LSTM": "row-lstm-digits",
                "Diagonal BiLSTM": "diagonal-bilstm-digits",
            },
        ),
    ]


def main(
    out: Path = Path("demo/out"),
    *,
    picture: Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
) -> None:
    """Trains, measures, draws, completes and looks for surprises, on the bundled digits.

    Args:
        out: Folder for the report and the runs; earlier runs are deleted.
        picture: File for one picture of everything, too.
        epochs: Largest number of epochs, for a short run.
        seed: Seed of everything random.
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
        others = [
            other(subject, name, out / "runs" / recipe, seed=seed, epochs=epochs)
            for name, recipe in subject.others.items()
        ]
        findings.append(examine(subject, model, fit, others, seed=seed))
    console.print(f"Moving: {clips.TRAIN:,} clips to train on")
    few = {} if epochs is None else {"clips": 8 * epochs}
    moving = clips.examine(out / "runs" / "moving", out / "continued.gif", seed=seed, **few)
    for title, rows in report.TABLES.items():
        console.print(report.terminal(title, rows(findings)))
    console.print(report.terminal("Held-out clips", report.clip_rows(moving)))
    sections = track(report.SECTIONS.items(), "drawing pictures", console=ERRORS)
    bodies = {heading: body(findings) for heading, body in sections}
    bodies["Moving digits"] = report.moving(moving)
    if picture is not None:
        picture.write_bytes(
            pictures.png(partial(pictures.summary, found=findings[0]), 15, 6.5, dpi=110)
        )
    path = report.write(out, bodies, seed=seed, seconds=time.monotonic() - started)
    # Not by rich, which would wrap a long path.
    print(f"{path}\n{time.monotonic() - started:.0f} seconds")


# Progress goes to standard error, like that of ar.fit.
ERRORS = Console(stderr=True)


def train(
    subject: Subject, run: Path, *, seed: int, epochs: int | None = None
) -> tuple[ar.MADE, ar.Fit]:
    train, valid, _ = subject.splits
    torch.manual_seed(seed)
    # "any": a fresh ordering each update, so that any known pixels may come first.
    model = ar.MADE(train.event_shape, train.levels, orderings="any", **subject.network)
    # A single ordering to validate with after each epoch: the default of eight takes about as
    # long as the updates themselves.
    model = model.ensemble(1)
    options = subject.training if epochs is None else {**subject.training, "max_epochs": epochs}
    return model, ar.fit(model, train, valid=valid, run=run, seed=seed, **options)


def other(subject: Subject, name: str, run: Path, *, seed: int, epochs: int | None = None) -> Other:
    """A model of another family, with its figures and drawings of the test digits."""
    train, valid, test = subject.splits
    recipe = RECIPES[run.name]
    torch.manual_seed(seed)
    model = recipe.build(train.event_shape, train.levels)
    changes: dict[str, Any] = {} if epochs is None else {"max_epochs": epochs, "warmup": 0}
    fit = ar.fit(model, train, valid=valid, run=run, training=recipe.training, seed=seed, **changes)
    generator = torch.Generator().manual_seed(seed)
    known = known_parts()["bottom half"]
    with torch.no_grad():
        return Other(
            name,
            sum(p.numel() for p in model.parameters()),
            fit,
            ar.evaluate(model, test),
            -model.conditional_log_prob(test.x, known).mean().item(),
            model.sample(IN_A_ROW, generator=generator),
            model.complete(test.x[:IN_A_ROW], known, generator=generator),
        )


@torch.no_grad()
def examine(
    subject: Subject, model: ar.MADE, fit: ar.Fit, others: list[Other], *, seed: int
) -> Findings:
    """Everything that the report shows of a trained model."""
    train, _, test = subject.splits
    torch.manual_seed(seed)
    mixture, few = model.ensemble(ORDERINGS), model.ensemble(FEW)  # over the same weights
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
            "the same, as a file": baselines.file(len(encoded(mixture, test.x)), test),
            **{other.name: other.score for other in others},
        }
        progress.update(task, advance=1, description="drawing samples")
        samples = mixture.sample(SAMPLES, generator=generator)
        progress.update(task, advance=1, description="completing")
        hidden = list(complete(few, test.x, generator))
        progress.update(task, advance=1, description="looking for surprises")
        spoilt = [list(tamper(x, subject.levels, generator)) for x in typical(mixture, test.x)]
        cases = surprise(mixture, few, spoilt)
        progress.update(task, advance=1, description="done")

    return Findings(
        subject.title, subject.levels, fit, scores, packing, test.x, samples, hidden, cases, others
    )


def encoded(model: ar.MADE, x: Tensor) -> bytes:
    """The digits as a file, which is decoded again."""
    content = ar.encode(model, x)
    assert torch.equal(ar.decode(model, content), x)
    return content


# Completing


def known_parts() -> dict[str, Tensor]:
    """The known pixels of a digit, (1, 8, 8) bool, by the name of the hidden part."""
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
    """Completes the first test digits, with each part hidden in turn, and measures that part."""
    for (name, known), digits in zip(known_parts().items(), test.split(DIGITS), strict=False):
        # Each digit DRAWS times, as each row is a draw of its own.
        rows = digits.repeat_interleave(DRAWS, dim=0)
        draws = model.complete(rows, known, generator=generator)
        # The nats of the hidden part by itself, from orderings that visit it first:
        # log p(hidden) = log p(x) − log p(known | hidden).
        first = model.ensemble([m.promote(~known.flatten()).ordering for m in model.members])
        alone = first.log_prob(test) - first.conditional_log_prob(test, ~known)
        given = model.conditional_log_prob(test, known)
        yield Hidden(
            name,
            known,
            alone=-alone.mean().item(),
            given=-given.mean().item(),
            digits=digits,
            draws=draws.unflatten(0, (len(digits), DRAWS)),
        )


# Surprise


def typical(model: ar.MADE, test: Tensor) -> Tensor:
    """Two of the tenth of the test digits that surprise least.

    They look different upside down, and different from one another.
    """
    likely = test[model.log_prob(test).topk(len(test) // 10).indices].int()
    turned = (likely - likely.flip(2)).abs().flatten(1).sum(1)
    likely = likely[turned.topk(len(likely) // 2).indices]
    unlike_first = (likely - likely[0]).abs().flatten(1).sum(1)
    return likely[[0, int(unlike_first.argmax())]]


Spoilt = tuple[str, Tensor, Tensor]  # name of the change, digit, changed pixels


def tamper(x: Tensor, levels: int, generator: torch.Generator) -> Iterator[Spoilt]:
    """A digit (1, 8, 8) as it is, and changed in several ways."""
    nowhere = torch.zeros_like(x, dtype=torch.bool)
    yield "as written", x, nowhere

    clear = ((x == 0) | (x == levels - 1)).flatten().nonzero().flatten()
    chosen = clear[torch.randperm(len(clear), generator=generator)[:3]]
    inverted = nowhere.flatten().index_fill(0, chosen, True).view_as(x)
    yield "inverted", torch.where(inverted, levels - 1 - x, x), inverted

    erased = x.clone()
    erased[:, 3:5] = 0
    yield "erased", erased, erased != x

    yield "moved", F.pad(x[:, :, :-1], (1, 0)), nowhere
    yield "upside down", x.flip(1), nowhere


def surprise(mixture: ar.MADE, few: ar.MADE, spoilt: list[list[Spoilt]]) -> list[list[Case]]:
    x = torch.stack([digit for row in spoilt for _, digit, _ in row])
    nats = mixture.surprisal(x)
    maps = zip(nats, few.leave_one_out(x), strict=True)
    return [
        [Case(name, digit, marked, *next(maps)) for name, digit, marked in row] for row in spoilt
    ]


if __name__ == "__main__":
    tyro.cli(main)
