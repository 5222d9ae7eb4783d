"""PixelCNN and PixelRNN: cached sampling against forward passes, ordered levels against nominal.

    python benchmarks/pixels_speed.py --write docs/results

Images of 28×28 bits. 64 images are drawn at once; a training step is a forward and a backward pass
for a batch of 16, in float32. Sizes are those of the paper's MNIST runs (arXiv 1601.06759): 7
layers, 32 features for the PixelCNNs and 16 for the LSTMs. Colour images of 32×32 pixels and 256
levels compare ordered levels with nominal ones in a Gated PixelCNN of 6 layers of 64 features: 8 at
once in training, 64 in sampling and decoding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import timing
import torch
from coding_speed import floats
from torch import Tensor
from torch.nn import functional as F

import autoregress as ar
from autoregress.networks.pixelrnn import DiagonalCell, lstm
from autoregress.networks.raster import Condition

SHAPE, IMAGES, BATCH = (1, 28, 28), 64, 16
PIXELS = 28 * 28
COLOUR, COLOURS = (3, 32, 32), 8  # at once in training; as many as of bits in sampling

KINDS = {"ordered": True, "nominal": False}


class SkewedCell(DiagonalCell):
    """The same recurrence as the paper describes it, and as it is usually written.

    Rows are skewed into a map of 2n − 1 columns, through which each direction has a loop of its
    own.
    """

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        left, right = x.chunk(2, -1)
        below = self._direction(1, right.flip(2)).flip(2)
        return self._direction(0, left) + F.pad(below, (0, 0, 0, 0, 1, 0))[:, :-1]

    def _direction(self, side: int, sums: Tensor) -> Tensor:
        batch, height, width, _ = sums.shape
        skewed = torch.stack(
            [F.pad(row, (0, 0, r, height - 1 - r)) for r, row in enumerate(sums.unbind(1))], 1
        )
        first_h, first_c = (v[side].expand(batch, height, -1) for v in (self.h, self.c))
        weight = self.weight[side].unflatten(0, (2, -1)).permute(2, 1, 0).flip(-1)
        h, c, states = first_h, first_c, []
        rows = torch.arange(height, device=sums.device)[:, None]
        for d, column in enumerate(skewed.unbind(2)):
            seen = torch.cat([first_h[:, :1], h], 1).transpose(1, 2)
            new_h, new_c = lstm(column + F.conv1d(seen, weight).transpose(1, 2), c)
            begun = rows <= d
            h, c = torch.where(begun, new_h, first_h), torch.where(begun, new_c, first_c)
            states.append(h)
        skewed = torch.stack(states, 2)
        return torch.stack([skewed[:, r, r : r + width] for r in range(height)], 1)


def skewed(model: ar.DiagonalBiLSTM) -> ar.DiagonalBiLSTM:
    """The model with that recurrence instead of its own."""
    for module in model.modules():
        if type(module) is DiagonalCell:
            module.__class__ = SkewedCell
    return model


def training_step(model: ar.AutoregressiveModel, batch: int = BATCH) -> Callable[[], None]:
    x = torch.randint(model.symbols.levels[0], (batch, *model.event_shape))

    def run() -> None:
        model.zero_grad()
        model.objective(x).mean().backward()

    return run


@torch.no_grad()
def sampling(model: ar.AutoregressiveModel, images: int, rounds: int) -> float:
    x = model.sample(images)
    t = timing.alternate(
        {"sample": lambda: model.sample(images), "forward": lambda: model.forward(x)}, rounds
    )
    _, height, width = model.event_shape
    return height * width * t["forward"] / t["sample"]


def against_nominal(rows: timing.Rows, rounds: int) -> None:
    """Ordered levels against nominal ones: training on, drawing and decoding colour images."""
    sizes: dict[str, Any] = {"layers": 6, "features": 64}
    models = {k: ar.GatedPixelCNN(COLOUR, ordered=o, **sizes) for k, o in KINDS.items()}
    t = timing.alternate({k: training_step(m, COLOURS) for k, m in models.items()}, rounds)
    rows.add("8-bit RGB, training step, ordered / nominal", t["ordered"] / t["nominal"], most=0.8)
    few = max(3, rounds // 3)
    t = timing.alternate({k: partial(m.sample, IMAGES) for k, m in models.items()}, few)
    rows.add("8-bit RGB, sampling, nominal / ordered", t["nominal"] / t["ordered"], least=2)
    x = torch.randint(256, (IMAGES, *COLOUR))
    files = {k: ar.encode(m, x) for k, m in models.items()}
    t = timing.alternate({k: partial(ar.decode, m, files[k]) for k, m in models.items()}, few)
    rows.add("8-bit RGB, decoding, nominal / ordered", t["nominal"] / t["ordered"], least=2)
    products, share = float64_products(models["ordered"], IMAGES)
    coders = {"nominal": partial(floats, models["nominal"], [x]), "products": products}
    t = timing.alternate(coders, few)
    what = "8-bit RGB, coding nominal levels in floats / only the float64 products of ordered ones"
    rows.add(what, share * t["nominal"] / t["products"])
    ratio = sampling(models["ordered"], IMAGES, few)
    rows.add(f"8-bit RGB, ordered: 1,024 forward passes / {IMAGES} samples", ratio, least=50)


def float64_products(
    model: ar.AutoregressiveModel, images: int
) -> tuple[Callable[[], None], float]:
    """Matrix products in float64, and the share they are of those that coding images takes.

    Each weight is needed once a pixel.
    """
    weights = sum(p.numel() for p in model.parameters() if p.dim() > 1)
    pixels = images * model.event_shape[1] * model.event_shape[2]
    a, b = (torch.randn(*size, dtype=torch.float64).numpy() for size in ((1024, 128), (128, 128)))
    count = 200

    def run() -> None:
        for _ in range(count):
            np.matmul(a, b)

    return run, count * a.size * b.shape[1] / (pixels * weights)


CNN: dict[str, Any] = {"symbols": 2, "layers": 7, "features": 32, "head": 32}
RNN = {**CNN, "features": 16}


def with_caches(rows: timing.Rows, rounds: int) -> None:
    models = [
        (ar.PixelCNN(SHAPE, **CNN), 50),
        (ar.GatedPixelCNN(SHAPE, **CNN), 50),
        (ar.RowLSTM(SHAPE, **RNN), 20),
        (ar.DiagonalBiLSTM(SHAPE, **RNN), 20),
    ]
    for model, least in models:
        ratio = sampling(model, IMAGES, max(3, rounds // 3))
        rows.add(
            f"{type(model).__name__}: 784 forward passes / {IMAGES} samples", ratio, least=least
        )


def along_diagonals(rows: timing.Rows, rounds: int) -> None:
    t = timing.alternate(
        {
            "row": training_step(ar.RowLSTM(SHAPE, **RNN)),
            "diagonal": training_step(ar.DiagonalBiLSTM(SHAPE, **RNN)),
            "skewed": training_step(skewed(ar.DiagonalBiLSTM(SHAPE, **RNN))),
        },
        rounds,
    )
    rows.add("training step, Diagonal BiLSTM / Row LSTM", t["diagonal"] / t["row"])
    what = "training step, Diagonal BiLSTM in a skewed map / ours"
    rows.add(what, t["skewed"] / t["diagonal"], least=1)


PARTS = {"caches": with_caches, "diagonals": along_diagonals, "levels": against_nominal}


def page(report: dict[str, Any]) -> str:
    """Speed of PixelCNN and PixelRNN, as ratios."""
    return f"""# Speed of PixelCNN and PixelRNN

Images of 28×28 bits, 7 layers; 32 features for the PixelCNNs and 16 for the LSTMs. Images of 32×32
pixels in 8-bit RGB, a Gated PixelCNN of 6 layers of 64 features. In float32:
{timing.circumstances(report)}

{timing.table(report)}

In sampling, one convolution at the start of a row computes what it gets from the rows above; after
that a pixel costs a few small matrix products a layer, and nothing is computed twice. The Diagonal
BiLSTM has two maps where the Row LSTM has one, and takes more steps. Its pixels are in the order of
their diagonals, so that it computes none of the padding of the paper's skewed map, and both
directions at once.

Ordered levels need one group of features for all channels of a pixel, and a few outputs for each
channel instead of 256: the network runs once a pixel. The layers of a training step are the same:
its multiplications are 0.87 of the nominal one's. Here its levels are noise, far out in the tails
of the logistics, where exp() takes longer than on photos. Decoding is in the arithmetic that is the
same on every machine, in which both kinds pay most for the same network. Its products are of
float64 numbers, and these alone, at the full speed of large ones, take more than half of what
coding nominal levels takes in floats: so decoding in this arithmetic cannot be twice as fast as
decoding nominal levels in floats.

{timing.commands("pixels_speed", part="diagonals")}"""


if __name__ == "__main__":
    timing.main("pixels_speed", PARTS, page)
