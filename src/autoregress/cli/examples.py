"""The options that name examples and say how they are read."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import OmitArgPrefixes

from autoregress.cli.options import Share
from autoregress.data.reading import Reading

if TYPE_CHECKING:
    from autoregress.data import Source
    from autoregress.model import AutoregressiveModel


@dataclass(frozen=True)
class Examples:
    """The training and validation examples.

    Args:
        data: An .npy, .npz (file.npz:name for one of its arrays) or .csv file, a folder of images
            or of videos, a folder with the published files of MNIST or CIFAR-10, or a folder of
            shards (folder:name for one split of them).
        valid: Validation examples, for early stopping; by default the array "valid" of the .npz
            or the split "valid" of the shards, otherwise rows, or whole videos, held out of the
            data.
        holdout: Fraction of rows, or of videos, held out if there are no validation examples; by
            default 0.1.
    """

    data: Path
    reading: OmitArgPrefixes[Reading] = field(default_factory=Reading)
    valid: Path | None = None
    holdout: Share | None = None

    def read(self, seed: int, **options: Any) -> tuple[Source, Source]:
        """The training and the validation examples, with the options of :meth:`of`."""
        from autoregress.data.open import format_at, splits

        train = self.of("train", **options)
        valid = self.valid or (self.data if "valid" in splits(self.data) else None)
        if valid is None:
            return train.split(0.1 if self.holdout is None else self.holdout, seed)
        if self.holdout is not None:
            raise ValueError(f"--holdout has no effect, as {valid} has the validation examples")
        # Everything else follows the training examples.
        shared = {"stride", "cache", "condition"}
        takes = format_at(valid, clips=len(train.event_shape) == 4).takes
        reading = Reading(**{name: getattr(self.reading, name) for name in shared & takes})
        kind = {"like": train.symbols, "labels": train.labels}
        return train, open_examples(valid, reading, split="valid", **kind, **options)

    def of(self, split: str, *, in_memory: bool = True, workers: int = 1) -> Source:
        """The examples of a split, or all if the data has no splits.

        Args:
            in_memory: read them into memory, unless they are videos or shards.
            workers: number of processes that decode videos.
        """
        from autoregress.data.open import format_at

        reading = self.reading
        if self.valid is not None:
            kinds = [format_at(path) for path in (self.data, self.valid)]
            if all("labels_from" in kind.takes for kind in kinds):
                reading = replace(reading, labels_from=(self.valid, *reading.labels_from))
        return open_examples(self.data, reading, split=split, in_memory=in_memory, workers=workers)


def open_examples(
    path: Path, reading: Reading, *, in_memory: bool = False, **options: Any
) -> Source:
    """Opens examples, and reports on standard error which files are left out.

    Args:
        in_memory: read them into memory, unless they are meant to be read on demand.
        **options: options of :func:`autoregress.data.open`.
    """
    from autoregress.data.open import open

    source = open(path, reading, quiet=False, **options)
    if source.complaint:
        print(source.complaint, file=sys.stderr)
    return source.data() if in_memory and not source.streamed else source


def open_like(model: AutoregressiveModel, path: Path, reading: Reading, **options: Any) -> Source:
    """Opens examples of the kind that a model takes.

    Args:
        **options: options of :func:`autoregress.data.open`.
    """
    return open_examples(path, reading, like=model.symbols, labels=model.labels, **options)
