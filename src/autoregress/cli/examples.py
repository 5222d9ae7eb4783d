"""The options that name examples and say how they are read."""

from __future__ import annotations

import logging
import sys
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import OmitArgPrefixes

from autoregress.cli.options import Share
from autoregress.data.reading import Reading

if TYPE_CHECKING:
    from autoregress.data import Source
    from autoregress.data.source import Account
    from autoregress.model import AutoregressiveModel


@dataclass(frozen=True)
class Examples:
    """The training and validation examples.

    Args:
        data: An .npy, .npz (file.npz:name for one of its arrays) or .csv file, a folder of images
            or of videos, a folder with the published files of MNIST or CIFAR-10, or a folder of
            shards (folder:name for one split of them).
        valid: Validation examples, for early stopping; by default the array "valid" of the .npz,
            the split "valid" of the shards or the folder valid (or val, validation) beside train,
            otherwise rows, or whole videos, held out of the data.
        holdout: Fraction of rows, or of clips, held out if there are no validation examples; by
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
        shared = {"stride", "cache", "condition"}
        takes = format_at(valid, clips=len(train.event_shape) == 4).takes
        # Everything else follows the training examples; for pixels, what these were asked to be
        # was asked here too.
        if "grey" in takes:
            shared |= {"levels", "size", "grey", "frames"}
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
    path: Path,
    reading: Reading,
    *,
    in_memory: bool = False,
    lossless: bool = False,
    **options: Any,
) -> Source:
    """Opens examples, and says in one line on standard error what was left out or changed.

    Args:
        in_memory: read them into memory, unless they are meant to be read on demand.
        lossless: refuse examples that do not restore the files.
        **options: options of :func:`autoregress.data.open`.

    Raises:
        ValueError: as for :func:`autoregress.data.open`, or something would be lost.
    """
    from autoregress.data.open import open

    # What Pillow cannot read is named here, so its own words are not needed.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    source = open(path, reading, quiet=False, **options)
    say_losses(path, source.account, lossless=lossless)
    return source.data() if in_memory and not source.streamed else source


def say_losses(path: Path, account: Account, *, lossless: bool = False) -> None:
    """Says in one line on standard error what was left out or changed.

    Raises:
        ValueError: ``lossless``, and there is something that was.
    """
    if lossless and account.complaint:
        raise ValueError(f"{path} would not be restored: {account.complaint}; --fit accepts this")
    if said := "; ".join(filter(None, [account.complaint, *account.remarks])):
        print(said, file=sys.stderr)


def open_like(model: AutoregressiveModel, path: Path, reading: Reading, **options: Any) -> Source:
    """Opens examples of the kind that a model takes.

    Args:
        **options: options of :func:`autoregress.data.open`.
    """
    return open_examples(path, reading, like=model.symbols, labels=model.labels, **options)
