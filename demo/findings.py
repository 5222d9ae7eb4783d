"""What the demo finds out: filled in by demo.py, shown by pictures.py and report.py."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

import autoregress as ar


@dataclass(frozen=True)
class Hidden:
    """A part of the digits that is hidden, and digits without it.

    Attributes:
        name: of the part.
        known: (1, 8, 8) bool.
        alone: mean nats of this part of the test digits if nothing is known of them.
        given: mean nats of it if the rest is known, −log p(unknown | known).
        digits: (digits, 1, 8, 8), as they are.
        draws: (digits, draws, 1, 8, 8), completed.
    """

    name: str
    known: Tensor
    alone: float
    given: float
    digits: Tensor
    draws: Tensor


@dataclass(frozen=True)
class Case:
    """A digit as written, or tampered with.

    Attributes:
        name: what was done to it.
        x: (1, 8, 8).
        marked: (1, 8, 8) bool, the pixels that were changed, where these are few.
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
    """Another family of models, of the same digits.

    Attributes:
        name: of the family.
        parameters: how many.
        fit: how it was trained.
        score: on the test digits.
        given: mean nats of the lower half of a test digit if the upper is known.
        samples: (samples, 1, 8, 8).
        lower: (digits, 1, 8, 8), of which the lower half was drawn.
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
    """All that there is to show of one form of the digits.

    Attributes:
        title: what form that is.
        levels: of a pixel.
        scores: on the test digits, by what was measured.
        packing: how the digits were packed for xz.
        test: (N, 1, 8, 8).
        samples: (samples, 1, 8, 8).
        cases: for each of some typical digits.
        others: the models of other families.
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
    others: list[Other]


@dataclass(frozen=True)
class Clips:
    """What there is to show of clips of moving digits.

    Attributes:
        parameters: of the model.
        fit: how it was trained.
        bits: bits/dim of the held-out clips, by what they were coded with.
        x: (N, T, 1, H, W), those clips.
        nats: (N, T, 1, H, W) surprisal.
        animation: a GIF of continued clips.
    """

    parameters: int
    fit: ar.Fit
    bits: dict[str, float]
    x: Tensor
    nats: Tensor
    animation: bytes
