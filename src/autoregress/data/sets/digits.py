"""Data sets that come with an installed package; nothing is downloaded."""

from __future__ import annotations

import torch

from autoregress.data.source import Data

TRAIN, VALID = 1197, 300  # the remaining 300 of the 1797 are for testing


def digits(*, levels: int = 17, threshold: int | None = None) -> Data:
    """scikit-learn's handwritten digits: x uint8 (1797, 1, 8, 8).

    Args:
        levels: 17, the digits' own number; ignored if there is a threshold.
        threshold: 1 to 16; a pixel is 1 where it is at least that, else 0.

    Raises:
        ImportError: scikit-learn is not installed.
        ValueError: another number of levels, or a threshold outside 1 to 16.

    Example:
        >>> ar.data.digits().x.shape
        torch.Size([1797, 1, 8, 8])
    """
    if threshold is None and levels != 17:
        raise ValueError(f"the digits have 17 levels, not {levels}; a threshold makes them bits")
    if threshold is not None and not 1 <= threshold <= 16:
        raise ValueError(f"the threshold of the digits is 1 to 16, not {threshold}")
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        message = "the digits come with scikit-learn: pip install 'autoregress[demo]'"
        raise ImportError(message) from error
    values, _ = load_digits(return_X_y=True)
    x = torch.from_numpy(values).to(torch.uint8).reshape(-1, 1, 8, 8)
    if threshold is None:
        return Data(x, 17)
    return Data((x >= threshold).to(torch.uint8), 2)


def digits_splits(*, levels: int = 17, threshold: int | None = None) -> tuple[Data, Data, Data]:
    """The digits in one fixed random order: 1197 to train, 300 to validate, 300 to test.

    Example:
        >>> [len(part) for part in ar.data.digits_splits(threshold=8)]
        [1197, 300, 300]
    """
    data = digits(levels=levels, threshold=threshold)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    train, valid, test = (
        data.subset(rows)
        for rows in (order[:TRAIN], order[TRAIN : TRAIN + VALID], order[TRAIN + VALID :])
    )
    return train, valid, test
