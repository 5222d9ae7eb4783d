"""The Chow-Liu tree of categories, as weights from inputs to logits.

Chow and Liu (1968), Approximating discrete probability distributions with dependence trees. Given
all its neighbours in the tree, p(xⱼ | the rest) is proportional to p(xⱼ) times the product over
them of p(xᵢ, xⱼ) / p(xᵢ) p(xⱼ): its logits are linear in one-hot inputs, with the log-ratios of the
tree's edges as weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Number of pseudo-rows of independent columns, and of rows counted at once.
PSEUDO, ROWS = 1.0, 4096


def tree_weights(x: Tensor, levels: Sequence[int]) -> Tensor:
    """Log-ratios log p(xᵢ, xⱼ) / p(xᵢ) p(xⱼ) of the tree's edges, 0 elsewhere.

    Args:
        x: symbols (rows, D), −1 where unknown.
        levels: number of levels of each dimension.

    Returns:
        (ΣK, ΣK), symmetric.
    """
    widths = torch.tensor(levels)
    of = torch.arange(len(levels)).repeat_interleave(widths)  # the dimension of each level
    counts = _counts(x, widths)
    each = torch.zeros(len(counts), len(levels)).index_add_(1, of, counts)  # nᵢⱼ(a, ·)
    pairs = torch.zeros(len(levels), len(levels)).index_add_(0, of, each)
    single = counts.diagonal() / pairs.diagonal()[of].clamp(min=1)
    joint = counts + PSEUDO * single[:, None] * single
    own = each[:, of] + PSEUDO * single[:, None]
    total = pairs[of][:, of] + PSEUDO
    ratio = (joint * total).clamp(min=1e-30).log() - (own * own.T).clamp(min=1e-30).log()
    ratio = ratio.where((single[:, None] * single) > 0, 0)
    information = torch.zeros_like(pairs)
    by_level = torch.zeros_like(each).index_add_(1, of, ratio * joint / total)
    information.index_add_(0, of, by_level)
    edges = torch.zeros(len(levels), len(levels), dtype=torch.bool)
    for i, j in _spanning(information):
        edges[i, j] = edges[j, i] = True
    return ratio.where(edges[of][:, of], 0)


def _counts(x: Tensor, widths: Tensor) -> Tensor:
    """How often every two levels are seen together, (ΣK, ΣK)."""
    first, total = widths.cumsum(0) - widths, int(widths.sum())
    counts = torch.zeros(total, total)
    for rows in x.split(ROWS):
        hot = torch.zeros(len(rows), total + 1)  # the last column is for what is unknown
        hot.scatter_(1, (rows + first).where(rows >= 0, total), 1)
        counts.addmm_(hot[:, :-1].T, hot[:, :-1])
    return counts


def _spanning(weights: Tensor) -> list[tuple[int, int]]:
    """The edges of the spanning tree of the greatest weights (D, D), by Prim's algorithm."""
    best, parent = weights[0].clone(), torch.zeros(len(weights), dtype=torch.long)
    inside = torch.zeros(len(weights), dtype=torch.bool)
    inside[0] = True
    edges = []
    for _ in range(len(weights) - 1):
        new = int(best.masked_fill(inside, -torch.inf).argmax())
        edges.append((int(parent[new]), new))
        inside[new] = True
        closer = weights[new] > best
        best, parent = best.maximum(weights[new]), parent.masked_fill(closer & ~inside, new)
    return edges
