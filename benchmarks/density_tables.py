"""Six sets of the density-estimation suite: trains models, measures them, and writes the page.

    python benchmarks/density_tables.py --sets nltcs plants --recipes defaults best
    python benchmarks/density_tables.py --page-only

Figures go to docs/results/density.json, one row for each set, recipe and seed, and from there to
docs/results/density.md and its picture. A run that was cut off goes on where it was; one whose row
is there is not run again unless its row is removed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import density_baselines
import torch
import tyro
from tables import ROOT, Figures, Row, png
from torch import Tensor

import autoregress as ar

DATA = ROOT.parent / "shared" / "data" / "density"
RUNS = ROOT / "runs" / "density"
COMMAND = "python benchmarks/density_tables.py"
Kind = Literal["defaults", "best", "mixed", "candidates", "given", "baselines"]


@dataclass(frozen=True)
class Set:
    """Sizes of a data set."""

    dims: int
    train: int


SETS = {
    "nltcs": Set(16, 16181),
    "plants": Set(69, 17412),
    "audio": Set(100, 15000),
    "jester": Set(100, 9000),
    "accidents": Set(111, 12758),
    "pumsb_star": Set(163, 12262),
}


@dataclass(frozen=True)
class Published:
    """Test nats of a circuit, in the order of the sets, and where they are from."""

    name: str
    nats: tuple[float, ...]
    source: str
    verified: bool


PUBLISHED = (
    Published(
        "LearnSPN",
        (6.11, 12.98, 40.50, 53.48, 30.04, 24.78),
        "Gens and Domingos 2013",
        verified=False,
    ),
    Published(
        "ID-SPN",
        (6.02, 12.54, 39.79, 52.86, 26.98, 22.41),
        "Rooshenas and Lowd 2014",
        verified=False,
    ),
    Published(
        "RAT-SPN",
        (6.01, 13.44, 39.96, 52.97, 35.49, 32.53),
        "Peharz et al. 2019 (arXiv 1806.01910)",
        verified=False,
    ),
    Published(
        "EiNet",
        (6.02, 13.68, 39.88, 52.56, 35.59, 31.95),
        "Peharz et al. 2020 (arXiv 2004.06231)",
        verified=False,
    ),
    Published(
        "Strudel, one circuit",
        (6.05, 13.41, 42.23, 55.15, 29.37, 25.67),
        "the output kept in `deterministic PCs/parse_results.ipynb` of "
        "UCLA-StarAI/Tractable-PC-Regularization at 05743c7: circuits of Dang et al. 2020 (arXiv "
        "2007.09331), regularised as Liu and Van den Broeck 2021; of their sizes and "
        "regularisations the one that is best on test, so that no choice is worse",
        verified=True,
    ),
    Published(
        "HCLT",
        (6.00, 14.26, 39.77, 52.46, 26.74, 23.65),
        "Liu and Van den Broeck 2021 (arXiv 2106.02264): the mean of the last lines of the five "
        "runs in `non-deterministic PCs/logs_*` of the same repository and commit",
        verified=True,
    ),
    Published(
        "continuous mixture of Chow–Liu trees",
        (5.99, 12.26, 39.02, 51.94, 28.69, 23.71),
        "cm-tpm, Correia et al. 2023 (arXiv 2209.10584), compiled to a circuit",
        verified=False,
    ),
)
