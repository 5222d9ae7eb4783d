"""Preparing examples for training, as shards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tyro.conf import OmitArgPrefixes

from autoregress.cli.examples import Examples
from autoregress.cli.options import Positive, Workers

if TYPE_CHECKING:
    from autoregress.data import Source


@dataclass(frozen=True)
class Prepare:
    """Decode, scale and cut examples once, into shards that training reads on demand.

    autoregress prepare --data clips --out shards --frames 16 --size 64 64

    Shards are .npy files with an index. The same command again checks that they are complete.
    Only a few examples at a time are in memory, except for .npz and .csv files and the published
    files of MNIST and CIFAR-10, which are read whole.

    Args:
        out: The folder for the shards of training and of validation examples.
        split: Write all examples as this one split instead, holding none out.
        workers: Number of processes that decode videos, or of threads that decode images.
        megabytes: Approximate size of a shard.
        seed: Seed of the choice of held-out examples; by default 0, as in training.
    """

    examples: OmitArgPrefixes[Examples]
    out: Path
    split: Literal["train", "valid", "test"] | None = None
    workers: Workers = 1
    megabytes: Positive = 256
    seed: int | None = None

    def __call__(self) -> None:
        from autoregress.data.formats.shards import (
            INDEX,
            check_free,
            check_prepared,
            write_shards,
        )

        made_of = self._made_of()
        if (self.out / INDEX).exists():
            counts = check_prepared(self.out, made_of)
            print(f"{self.out} is complete: {_counted(counts)}")
            return
        check_free(self.out)
        splits = self._splits()
        skipped = [
            (str(path), reason) for source in splits.values() for path, reason in source.skipped
        ]
        notes = {"made_of": made_of, "skipped": sorted(set(skipped))}
        write_shards(
            self.out,
            splits,
            megabytes=self.megabytes,
            workers=self.workers,
            notes=notes,
            quiet=False,
        )
        counts = {name: len(source) for name, source in splits.items()}
        shape = next(iter(splits.values())).event_shape
        print(f"{_counted(counts)} examples of shape {shape} in {self.out}")

    def _splits(self) -> dict[str, Source]:
        if self.split is not None:
            if (self.examples.valid, self.examples.holdout, self.seed) != (None, None, None):
                raise ValueError(
                    "with --split all examples are of one split; leave --valid, --holdout and "
                    "--seed out"
                )
            return {self.split: self.examples.of(self.split, in_memory=False, workers=self.workers)}
        train, valid = self.examples.read(self.seed or 0, in_memory=False, workers=self.workers)
        return {"train": train, "valid": valid}

    def _made_of(self) -> dict[str, Any]:
        """Everything that the shards depend on, as it comes back from JSON."""
        options = asdict(self.examples)
        options |= options.pop("reading")
        options |= {
            "split": self.split,
            "megabytes": self.megabytes,
            "seed": self.seed or 0,
        }
        del options["cache"]
        return json.loads(json.dumps(options, default=str))


def _counted(counts: Mapping[str, int]) -> str:
    return " and ".join(f"{count:,} {name}" for name, count in counts.items())
