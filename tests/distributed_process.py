"""One of several processes, for test_distributed; its argument is a folder that they share.

RANK=0 WORLD_SIZE=2 … python tests/distributed_process.py FOLDER
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from autoregress.cli import main, tables
from autoregress.cli.measure import Score
from autoregress.cli.tables import Impute, TrainTable
from autoregress.evaluation import evaluate
from autoregress.mixture import Mixture
from autoregress.model import ONLY_UPDATE, AutoregressiveModel, Update
from autoregress.networks.made import MADE
from autoregress.networks.pixelcnn import GatedPixelCNN
from autoregress.networks.video_transformer import VideoTransformer
from autoregress.processes import join
from autoregress.training import Fit, fit

# 37 examples in batches of 9: of the last batch, of one example, most processes have none.
OPTIONS: dict[str, Any] = {"batch_size": 9, "clip": 0.5, "ema": 0.9, "lr": 0.01, "quiet": True}

BRIEFLY = replace(tables.TRAINING, max_epochs=2)


class Partly(MADE):
    """A model some of whose weights have no part in some updates, and one of which never has."""

    def __init__(self) -> None:
        super().__init__(5, 3, hidden=(4,))
        self.sometimes, self.never = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))

    def objective(
        self, x: Tensor, context: Tensor | None = None, update: Update = ONLY_UPDATE
    ) -> Tensor:
        nats = super().objective(x, context, update)
        return nats * self.sometimes.prod() if update.step % 2 else nats


def made() -> MADE:
    return MADE(
        (2, 3), 3, hidden=(8, 8), orderings="any", evidence=True, connectivities="any", norm=True
    )


def video() -> VideoTransformer:
    return VideoTransformer(
        (4, 1, 4, 4), 3, subscale=(2, 2, 1), width=8, embedding=4, heads=2, head_width=4,
        encoder_layers=1, decoder_layers=1, blocks=((1, 2, 2), (2, 1, 4)), priming=(0, 2),
        checkpointing=True,
    )  # fmt: skip


def pixels() -> GatedPixelCNN:
    return GatedPixelCNN((3, 4, 4), 4, layers=1, features=6, scales=(2,))


def mixture() -> Mixture:
    return Mixture(
        [
            MADE((1, 4, 4), 2, hidden=(8,), orderings=3),
            GatedPixelCNN((1, 4, 4), 2, layers=1, features=4),
        ]
    )


FAMILIES = {"made": made, "video": video, "pixels": pixels, "mixture": mixture, "partly": Partly}


def example(family: str) -> tuple[AutoregressiveModel, Tensor, Tensor]:
    """A new model, and its training and validation examples."""
    torch.manual_seed(7)
    model = FAMILIES[family]()
    x = torch.randint(model.symbols.levels[0], (48, *model.event_shape))
    return model, x[:37], x[37:]


def curve(fitted: Fit, model: nn.Module) -> list[float]:
    """All that is to be the same: losses, scores, and a sum over the weights in the end."""
    losses = [line[kind] for line in fitted.history for kind in ("train_nats", "valid_nats")]
    return [*losses, sum(p.detach().abs().sum().item() for p in model.parameters())]


def train(family: str, run: Path | None = None, **options: Any) -> list[float]:
    model, x, valid = example(family)
    fitted = fit(model, x, valid=valid, run=run, processes=join(), **{**OPTIONS, **options})
    return curve(fitted, model)


def scores(*batch_sizes: int) -> list[list[float]]:
    """Of sets of examples that do, and do not, divide."""
    model, x, _ = example("made")
    found = []
    for count, batch_size in product((1, 2, 7, 36, 37), batch_sizes):
        score = evaluate(model, x[:count], batch_size=batch_size, processes=join())
        assert score.examples == count
        found.append([score.nats, score.standard_error])
    return found


def command(folder: Path, run: str) -> list[str]:
    options = ["--max-epochs", "15", "--patience", "0", "--hidden", "8", "--batch-size", "7"]
    options += ["--dropout", "0.2", "--ema", "0.9", "--checkpoint-minutes", "1e-9"]
    data = ["--data", str(folder / "data.npz"), "--run", str(folder / run)]
    return ["train", "made", *data, *options]


def each_for_itself(folder: Path, rank: int) -> list[float]:
    """Calls that only some processes make, or that each makes for itself, wait for no other."""
    model, x, valid = example("made")
    if rank == 0:
        assert evaluate(model, x).examples == 37
        fit(model, x, max_epochs=1, **OPTIONS)
    model, x, valid = example("made")
    run = folder / f"alone {rank}"
    return curve(fit(model, x, valid=valid, run=run, max_epochs=1, **OPTIONS), model)


def verbs(folder: Path, out: str) -> None:
    """Scores and fills in rows; of several processes each does its own."""
    with patch.object(tables, "PART", 8):  # rows of a table that a process takes at once
        for name, data in (("one", "many.npz"), ("people", "people.csv")):
            scores = folder / f"{out} scores of {name}.csv"
            Score(folder / name, folder / data, scores, top=1)()
        full, marks = folder / f"{out} full.csv", folder / f"{out} marks.csv"
        Impute(folder / "people", folder / "people.csv", full, "draw", draws=2, marks=marks)()


def everything(folder: Path) -> dict[str, Any]:
    processes = join()
    found: dict[str, Any] = {"scores": scores(4, 36), "same batches": scores(12 * processes.size)}
    for sharding, (family, accumulate) in product(
        ("none", "full"), [("made", 1), ("video", 2), ("pixels", 1), ("mixture", 1), ("partly", 2)]
    ):
        if (processes.size, sharding) == (4, "full") and family in ("made", "pixels", "mixture"):
            continue  # for the sake of time
        name = f"{family}, sharding {sharding}"
        options = {"max_epochs": 1, "accumulate": accumulate, "sharding": sharding}
        found[name] = train(family, **options)
    # Runs that other numbers of processes began, and one for others to go on with.
    if processes.size == 2:
        found["each for itself"] = each_for_itself(folder, processes.rank)
        train("made", folder / "two", max_epochs=1, sharding="full")
        found["1 to 2, sharded"] = train("made", folder / "one", max_epochs=2, sharding="full")
        for sharding in ("none", "full"):
            aside = {"async_save": True, "checkpoint_minutes": 1e-9, "sharding": sharding}
            train("made", folder / f"aside {sharding}", max_epochs=1, **aside)
            name = f"saved aside, sharding {sharding}"
            found[name] = train("made", folder / f"aside {sharding}", max_epochs=2, **aside)
        torch.set_default_dtype(torch.float32)
        for sharding in ("none", "full"):
            rough = {"max_epochs": 1, "precision": "bfloat16", "sharding": sharding}
            found[f"bfloat16, sharding {sharding}"] = train("made", **rough)
        TrainTable(folder / "people.csv", folder / "people", training=BRIEFLY)()
        verbs(folder, "two")
        with contextlib.redirect_stdout(io.StringIO()) as said:
            main(command(folder, "whole"))  # after which they have parted
        found["said"] = said.getvalue()
    if processes.size == 4:
        found["2, sharded, to 4"] = train("made", folder / "two", max_epochs=2)
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    folder = Path(sys.argv[1])
    processes = join()
    found = everything(folder)
    (folder / f"{processes.size}-{processes.rank}.json").write_text(json.dumps(found))
