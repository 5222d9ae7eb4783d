"""The demo's part on scikit-learn's handwritten digits, in black and white and in grey."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import baselines
import torch
import torch.nn.functional as F
from findings import Case, Findings, Hidden, Other
from lanes import Part, Tell, updates
from torch import Tensor

import autoregress as ar
from autoregress.configs import MADEConfig
from autoregress.data import Data
from autoregress.recipes import RECIPES
from autoregress.training import Training

ORDERINGS = 32  # in the mixture that is measured and drawn from
FEW = 8  # where every set of known pixels needs orderings of its own
SAMPLES = 48
TITLES = ("Black and white", "17 levels of grey")
DIGITS, DRAWS = 2, 5  # completed for each hidden part, and draws of each
IN_A_ROW = 16  # digits shown of each of the other families


@dataclass(frozen=True)
class Subject:
    """One form of the digits, with its MADE and its training."""

    name: str
    title: str
    splits: tuple[Data, Data, Data]
    config: MADEConfig
    training: Training

    @property
    def levels(self) -> int:
        levels = self.splits[0].levels
        assert isinstance(levels, int)
        return levels


# Recipes of the families in raster order, with their seconds a pass over the grey digits.
OTHERS = {
    "PixelCNN": ("pixelcnn-digits", 0.9),
    "Gated PixelCNN": ("gated-pixelcnn-digits", 1.4),
    "Row LSTM": ("row-lstm-digits", 1.5),
    "Diagonal BiLSTM": ("diagonal-bilstm-digits", 1.5),
}
# Passes over the training digits: in the demo; the gallery's are those of the recipes.
OTHERS_EPOCHS = 12


def subjects(*, large: bool) -> list[Subject]:
    recipe = RECIPES["made-digits"]
    network, training = recipe.config, recipe.training
    bits, grey = replace(network, hidden=(512,)), replace(network, hidden=(256, 256), direct=False)
    grey = replace(grey, residual=True, ordered=True, evidence=True, conditioning=False)
    short = replace(training, start="marginals", max_epochs=200)
    return [
        Subject(
            "bits",
            TITLES[0],
            ar.data.digits_splits(threshold=8),
            network if large else bits,
            training if large else short,
        ),
        Subject(
            "levels",
            TITLES[1],
            ar.data.digits_splits(levels=17),
            grey,
            replace(short, max_epochs=300) if large else replace(short, max_epochs=100),
        ),
    ]


def parts(runs: Path, *, large: bool, epochs: int | None, seed: int) -> list[Part]:
    """A part for each form of the digits, and one for each other family."""
    made, (bits, grey) = [], subjects(large=large)
    for subject in (bits, grey):
        if epochs is not None:
            subject = replace(subject, training=replace(subject.training, max_epochs=epochs))
        seconds = 15 + 0.12 * subject.training.max_epochs
        run = runs / subject.name
        made.append(Part(subject.title, seconds, partial(learn, subject, run, seed)))
    for name, (recipe, seconds) in OTHERS.items():
        training = RECIPES[recipe].training
        if not large:
            training = replace(training, max_epochs=OTHERS_EPOCHS)
        if epochs is not None:
            training = replace(training, max_epochs=epochs, warmup=0)
        make = partial(other, name, grey, runs / recipe, training, seed)
        made.append(Part(name, 2 + seconds * training.max_epochs, make))
    return made


def learn(subject: Subject, run: Path, seed: int, tell: Tell) -> Findings:
    """Trains a MADE of any ordering, and does with it everything that the report shows."""
    train, valid, _ = subject.splits
    torch.manual_seed(seed)
    # A single ordering to validate with after each epoch: the default of eight takes about as
    # long as the updates themselves.
    model = ar.MADE(train.event_shape, train.levels, **vars(subject.config)).ensemble(1)
    fit = follow(model, train, valid, run, subject.training, seed, tell, share=0.6)
    return examine(subject, model, fit, seed=seed)


def other(
    name: str, subject: Subject, run: Path, training: Training, seed: int, tell: Tell
) -> Other:
    """A model of another family, with its figures and drawings of the test digits."""
    train, valid, test = subject.splits
    torch.manual_seed(seed)
    model = RECIPES[run.name].build(train.event_shape, train.levels)
    fit = follow(model, train, valid, run, training, seed, tell, share=0.9)
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


def follow(
    model: ar.AutoregressiveModel,
    train: Data,
    valid: Data,
    run: Path,
    training: Training,
    seed: int,
    tell: Tell,
    *,
    share: float,
) -> ar.Fit:
    """Trains the model, which is a share of its part, and tells how much of it is done."""
    count = math.ceil(len(train) / training.batch_size) * training.max_epochs
    hook = updates(tell, count, share)
    return ar.fit(
        model, train, valid=valid, run=run, training=training, seed=seed, quiet=True, on_update=hook
    )


@torch.no_grad()
def examine(subject: Subject, model: ar.MADE, fit: ar.Fit, *, seed: int) -> Findings:
    """Everything that the report shows of a trained model."""
    train, _, test = subject.splits
    torch.manual_seed(seed)
    mixture, few = model.ensemble(ORDERINGS), model.ensemble(FEW)  # over the same weights
    generator = torch.Generator().manual_seed(seed)
    xz, packing = baselines.xz(test)

    scores = {
        "independent pixels": baselines.independent(train, test),
        "xz": xz,
        "MADE, one ordering": ar.evaluate(model, test),
        "the same, as a file": baselines.file(len(encoded(model, test.x)), test),
        f"MADE, {ORDERINGS} orderings": ar.evaluate(mixture, test),
    }
    samples = mixture.sample(SAMPLES, generator=generator)
    hidden = list(complete(few, test.x, generator))
    spoilt = [list(tamper(x, subject.levels, generator)) for x in typical(mixture, test.x)]
    cases = surprise(mixture, few, spoilt)
    return Findings(
        subject.title, subject.levels, fit, scores, packing, test.x, samples, hidden, cases
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
