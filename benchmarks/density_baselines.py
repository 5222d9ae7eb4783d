"""Baselines for binary vectors: a mixture of Bernoullis, a Chow–Liu tree, file compressors.

The first two are fitted on train and have their one setting chosen on valid; all give nats per row
of test.
"""

from __future__ import annotations

import gzip
import lzma
import math

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from scipy.special import logsumexp

Bits = NDArray[np.uint8]
Floats = NDArray[np.float64]

# Pseudo-counts of a 0 and of a 1.
SMOOTHING = (0.01, 0.1, 0.5, 1.0)
COMPONENTS = (8, 16, 32, 64, 128, 256)


def mixture_of_bernoullis(
    train: Bits, valid: Bits, test: Bits, *, seed: int = 0, steps: int = 100
) -> tuple[Floats, str]:
    """−log p of each test row, by EM; the number of components has the best validation nats."""
    weights, probabilities = best_mixture(train, valid, seed=seed, steps=steps)
    return mixture_nats(test, weights, probabilities), f"{len(weights)} components"


def best_mixture(
    train: Bits, valid: Bits, *, seed: int = 0, steps: int = 100
) -> tuple[Floats, Floats]:
    """Weights (K,) and probabilities of a 1 (K, D), with the K of the best validation nats."""
    fits = (_em(train, k, np.random.default_rng(seed), steps) for k in COMPONENTS)
    return min(fits, key=lambda fit: mixture_nats(valid, *fit).mean())


def _em(x: Bits, components: int, rng: np.random.Generator, steps: int) -> tuple[Floats, Floats]:
    data = x.astype(np.float64)
    base = data.mean(0)
    weights = np.full(components, 1 / components)
    start = rng.choice(len(x), components, replace=len(x) < components)
    probabilities = np.clip(0.5 * data[start] + 0.5 * base, 0.01, 0.99)
    for _ in range(steps):
        joint = _joint(data, weights, probabilities)
        share = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        total = share.sum(0)
        weights = (total + 0.1) / (total.sum() + 0.1 * components)
        # A pseudo-row of the data's own frequencies keeps every probability off 0 and 1.
        probabilities = (share.T @ data + base + 0.01) / (total[:, None] + 1.02)
    return weights, probabilities


def _joint(data: Floats, weights: Floats, probabilities: Floats) -> Floats:
    ones, zeros = np.log(probabilities), np.log1p(-probabilities)
    return np.log(weights) + data @ (ones - zeros).T + zeros.sum(1)


def mixture_nats(x: Bits, weights: Floats, probabilities: Floats) -> Floats:
    """−log p of each row of bits (N, D), or of some of their columns with those of p."""
    return -np.asarray(logsumexp(_joint(x.astype(np.float64), weights, probabilities), axis=1))


def chow_liu_tree(train: Bits, valid: Bits, test: Bits) -> tuple[Floats, str]:
    """−log p of each test row under the best tree, with its smoothing chosen on valid."""
    best: tuple[float, Floats, str] | None = None
    for smoothing in SMOOTHING:
        parents, order, table = _tree(train, smoothing)
        nats = _tree_nats(valid, parents, order, table).mean()
        if best is None or nats < best[0]:
            of_test = _tree_nats(test, parents, order, table)
            best = float(nats), of_test, f"smoothing {smoothing}"
    assert best is not None
    return best[1:]


def _tree(x: Bits, smoothing: float) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Each dimension's parent (−1 for the root), an order, and p(1 | parent's value) (D, 2)."""
    data = x.astype(np.float64)
    both = data.T @ data
    ones = data.sum(0)
    n = len(x)
    # Counts of each pair of values, [a, b, i, j], smoothed.
    counts = np.stack(
        [
            np.stack([n - ones[:, None] - ones + both, ones - both]),
            np.stack([ones[:, None] - both, both]),
        ]
    )
    joint = (counts + smoothing) / (n + 4 * smoothing)
    left, right = joint.sum(1, keepdims=True), joint.sum(0, keepdims=True)
    information = (joint * np.log(joint / (left * right))).sum((0, 1))
    np.fill_diagonal(information, 0)
    # The tree of largest total information; the shift keeps edges without any from being dropped.
    tree = minimum_spanning_tree(-(information + 1e-9))
    order, parents = breadth_first_order(tree, 0, directed=False)
    parents = np.where(parents < 0, -1, parents).astype(np.int64)
    table = np.empty((x.shape[1], 2))
    for d, parent in enumerate(parents):
        if parent < 0:
            table[d] = (ones[d] + smoothing) / (n + 2 * smoothing)
        else:
            given = counts[:, :, parent, d]
            table[d] = (given[:, 1] + smoothing) / (given.sum(1) + 2 * smoothing)
    return parents, order.astype(np.int64), table


def _tree_nats(
    x: Bits, parents: NDArray[np.int64], order: NDArray[np.int64], table: Floats
) -> Floats:
    nats = np.zeros(len(x))
    for d in order:
        value = x[:, parents[d]] if parents[d] >= 0 else np.zeros(len(x), dtype=np.int64)
        p = table[d][value.astype(np.int64)]
        nats -= np.log(np.where(x[:, d] == 1, p, 1 - p))
    return nats


def xz_nats(x: Bits) -> float:
    """Nats per row of a file of all rows, packed eight bits to a byte, by xz."""
    packed = np.packbits(x).tobytes()
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
    return 8 * len(lzma.compress(packed, lzma.FORMAT_RAW, filters=filters)) * math.log(2) / len(x)


def gzip_nats(x: Bits) -> float:
    """Nats per row of a file of all rows, packed eight bits to a byte, by gzip."""
    packed = np.packbits(x).tobytes()
    return 8 * len(gzip.compress(packed, 9, mtime=0)) * math.log(2) / len(x)
