"""Labels as one-hot contexts: one feature for each label."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from autoregress.brief import brief

# The largest number of labels; each is a feature of every context.
LABELS = 10_000


def from_labels(
    texts: Sequence[str], labels: Sequence[str] | None, where: str
) -> tuple[Tensor, tuple[str, ...]]:
    """The label of each example as a context (N, C), and the C labels.

    Args:
        texts: N labels.
        labels: the labels of a trained model; by default the distinct texts, sorted as numbers
            if all are whole numbers, else alphabetically.
        where: the name of the file, for the error message.

    Raises:
        ValueError: a text is not one of the labels.
    """
    known = in_order(set(texts)) if labels is None else tuple(labels)
    if len(known) > LABELS:
        raise ValueError(f"{where}: {len(known):,} different labels are too many to condition on")
    place = {label: n for n, label in enumerate(known)}
    for text in texts:
        if text not in place:
            raise ValueError(f"{where}: {brief(text)} is not one of the labels {_listed(known)}")
    index = torch.tensor([place[text] for text in texts], dtype=torch.int64)
    return F.one_hot(index, len(known)).float(), known


def from_numbers(numbers: Tensor, features: int | None) -> Tensor:
    """Labels (N,) from 0 to C − 1 as a context (N, C); C is by default the largest label plus one.

    Raises:
        ValueError: a label is outside 0 to C − 1.
    """
    numbers = numbers.long()
    count = features or int(numbers.max()) + 1
    wrong = (numbers < 0) | (numbers >= count)
    if count > LABELS:
        raise ValueError(f"{count:,} different labels are too many to condition on")
    if wrong.any():
        raise ValueError(
            f"the label of example {int(wrong.int().argmax())} is {int(numbers[wrong][0])}; "
            f"labels are 0 to {count - 1}"
        )
    return F.one_hot(numbers, count).float()


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(labels[:20]) + (", …" if len(labels) > 20 else "")


def in_order(labels: set[str]) -> tuple[str, ...]:
    """Labels sorted as numbers if all are whole numbers, else alphabetically."""
    try:
        return tuple(sorted(labels, key=int))
    except ValueError:
        return tuple(sorted(labels))
