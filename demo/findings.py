"""The results of the demo: filled in by demo.py, shown by pictures.py and report.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

import autoregress as ar


@dataclass(frozen=True)
class Hidden:
    """A hidden part of the digits, and completions of it.

    Attributes:
        name: name of the part.
        known: (1, 8, 8) bool.
        alone: mean nats of this part of the test digits if nothing is known.
        given: mean nats of this part if the rest is known, −log p(unknown | known).
        digits: (digits, 1, 8, 8), the true digits.
        draws: (digits, draws, 1, 8, 8), completed digits.
    """

    name: str
    known: Tensor
    alone: float
    given: float
    digits: Tensor
    draws: Tensor


@dataclass(frozen=True)
class Case:
    """A digit as written, or changed.

    Attributes:
        name: name of the change.
        x: (1, 8, 8).
        marked: (1, 8, 8) bool, the changed pixels, if they are few.
        nats: (1, 8, 8) surprisal, which sums to −log p(x).
        given_rest: (1, 8, 8) −log p(pixel | all others).
    """

    name: str
    x: Tensor
    marked: Tensor
    nats: Tensor
    given_rest: Tensor

    @property
    def log_p(self) -> float:
        return -self.nats.sum().item()


@dataclass(frozen=True)
class Other:
    """A model of another family, of the same digits.

    Attributes:
        name: name of the family.
        parameters: number of parameters.
        fit: result of its training.
        score: score on the test digits.
        given: mean nats of the lower half of a test digit if the upper is known.
        samples: (samples, 1, 8, 8).
        lower: (digits, 1, 8, 8), digits whose lower half was drawn.
    """

    name: str
    parameters: int
    fit: ar.Fit
    score: ar.Score
    given: float
    samples: Tensor
    lower: Tensor


@dataclass(frozen=True)
class Findings:
    """The results for one form of the digits.

    Attributes:
        title: name of the form.
        levels: number of levels of a pixel.
        fit: result of training the MADE.
        scores: scores on the test digits, by what was measured.
        packing: packing of the digits that suited xz best.
        test: (N, 1, 8, 8).
        samples: (samples, 1, 8, 8).
        hidden: completions, for each hidden part.
        cases: cases of some typical digits, for each digit.
        others: models of other families, of the same digits.
    """

    title: str
    levels: int
    fit: ar.Fit
    scores: dict[str, ar.Score]
    packing: str
    test: Tensor
    samples: Tensor
    hidden: list[Hidden]
    cases: list[list[Case]]
    others: Sequence[Other] = ()


@dataclass(frozen=True)
class Clips:
    """The results for clips of moving digits.

    Attributes:
        parameters: number of parameters of the model.
        fit: result of its training.
        bits: bits/dim of the held-out clips, by the coder.
        x: (N, T, 1, H, W), the held-out clips.
        nats: (N, T, 1, H, W), their surprisal.
        animation: a GIF of continued clips.
    """

    parameters: int
    fit: ar.Fit
    bits: dict[str, float]
    x: Tensor
    nats: Tensor
    animation: bytes


@dataclass(frozen=True)
class Gap:
    """Removed numbers or labels of a column, filled in.

    Attributes:
        column: name of the column.
        count: number of cells removed.
        model: root-mean-square error of the expected number given the rest of the row, or share
            of wrong labels.
        alone: the same of the column's mean, or of its most frequent label.
    """

    column: str
    count: int
    model: float
    alone: float


@dataclass(frozen=True)
class Wines:
    """The results for a table.

    Attributes:
        rows, columns: size of the table.
        removed: number of cells removed before learning.
        summary: how well it was learnt.
        gaps: what became of the removed cells, for each column.
        questions: questions, and their probabilities.
        planted: number of rows in which one cell was changed.
        found: number of them in which the changed cell is the one blamed.
        true: an example of a row, as recorded.
        odd: the same row with a changed cell.
        names: the columns.
        changed: the column changed in it.
        p_values: probability of a cell at least as unlikely, given the others, of each in ``odd``.
        expected: the likeliest cells given the others.
    """

    rows: int
    columns: int
    removed: int
    summary: str
    gaps: list[Gap]
    questions: dict[str, str]
    planted: int
    found: int
    true: list[str]
    odd: list[str]
    names: list[str]
    changed: str
    p_values: list[float]
    expected: list[str]
