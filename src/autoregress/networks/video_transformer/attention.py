"""Transformer layers whose attention stays within blocks of neighbouring pixels (1906.02634)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from autoregress.grids import operands


class RelativeBias(nn.Module):
    """The bias B = B_t + B_h + B_w: per head, a learned scalar for the offset along each axis.

    Args:
        heads: number of attention heads.
        block: (t, h, w).
        causal: whether a position sees only itself and the positions before it in the block's
            raster order.
    """

    def __init__(self, heads: int, block: Sequence[int], *, causal: bool) -> None:
        super().__init__()
        self.block = tuple(block)
        self.causal = causal
        # Entry o + n - 1 is for the offset o, query minus key, along an axis of length n.
        self.axes = nn.ParameterList(torch.zeros(heads, 2 * n - 1) for n in block)

    def forward(self) -> Tensor:
        """The bias (heads, L, L) to add to the scores of queries (rows) and keys (columns)."""
        terms = []
        for axis, (table, n) in enumerate(zip(self.axes, self.block, strict=True)):
            step = torch.arange(n, device=table.device)
            offsets = table[:, step[:, None] - step + n - 1]  # (heads, n, n)
            shape = [1] * 6
            shape[axis] = shape[axis + 3] = n
            terms.append(offsets.view(-1, *shape))
        length = math.prod(self.block)
        bias = (terms[0] + terms[1] + terms[2]).reshape(-1, length, length)
        if self.causal:
            later = torch.ones(length, length, dtype=torch.bool, device=bias.device).triu(1)
            bias = bias.masked_fill(later, -torch.inf)
        return bias


@dataclass(frozen=True)
class Cache:
    """The keys and values of the pixels a layer has seen, each (blocks, batch, heads, L, d_a).

    Attributes:
        bias: (1, heads, L, L).
        where: for each position of the slice, the number of its block and its place in it.
    """

    keys: Tensor
    values: Tensor
    bias: Tensor
    where: list[tuple[int, int]]


class BlockLayer(nn.Module):
    """A residual layer of block-local attention, then one of a position-wise perceptron.

    Both normalise their input. The perceptron is as wide as the stream, as in the paper. Their
    initial output is zero, so that layers come into use as they become helpful; this is our
    choice, and learned faster.

    Args:
        width: d, width of the stream.
        heads: number of attention heads.
        head_width: d_a, width of the queries, keys and values of one head.
        block: (t, h, w), which divides the grid.
        causal: whether a position sees only itself and the positions before it.
    """

    def __init__(
        self, width: int, heads: int, head_width: int, block: Sequence[int], *, causal: bool
    ) -> None:
        super().__init__()
        self.block = tuple(block)
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.bias = RelativeBias(heads, block, causal=causal)
        self.merge = nn.Linear(heads * head_width, width)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)
        )
        # Xavier initialisation of each head's own d × d_a matrices.
        nn.init.normal_(self.qkv.weight, std=math.sqrt(2 / (width + head_width)))
        first, last = self.perceptron[1], self.perceptron[3]
        assert isinstance(first, nn.Linear)
        nn.init.xavier_normal_(first.weight)
        for weight in (first.bias, *self.merge.parameters(), *last.parameters()):
            nn.init.zeros_(weight)

    def forward(self, stream: Tensor) -> Tensor:
        """The new stream from the old, both (batch, t, h, w, d)."""
        x = to_blocks(self.norm(stream), self.block)
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = attend(q, k, v, self.bias().to(q.dtype).unsqueeze(0))
        merged = self.merge(attended.transpose(1, 2).flatten(2))
        stream = stream + from_blocks(merged, self.block, stream.shape[1:4])
        return stream + self.perceptron(stream)

    def cache(self, batch: int, grid: Sequence[int]) -> Cache:
        """An empty cache for slices of a grid (t, h, w)."""
        length = math.prod(self.block)
        width = self.qkv.out_features // (3 * self.heads)
        shape = (math.prod(grid) // length, batch, self.heads, length, width)
        keys = self.qkv.weight.new_zeros(shape)
        return Cache(
            operands(keys),
            torch.zeros_like(keys),
            self.bias().unsqueeze(0),
            in_blocks(grid, self.block),
        )

    def step(self, stream: Tensor, cache: Cache, position: int) -> Tensor:
        """The new stream (batch, d) of the next position alone, given those in the cache."""
        block, place = cache.where[position]
        q, k, v = self.qkv(self.norm(stream)).unflatten(-1, (3, self.heads, -1)).unbind(1)
        keys, values = cache.keys[block], cache.values[block]
        keys[:, :, place] = k
        values[:, :, place] = v
        attended = F.scaled_dot_product_attention(
            q.unsqueeze(2),
            keys[:, :, : place + 1],
            values[:, :, : place + 1],
            attn_mask=cache.bias[:, :, place : place + 1, : place + 1],
        )
        stream = stream + self.merge(attended.flatten(1))
        return stream + self.perceptron(stream)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """softmax(q kᵀ / √d_a + bias) v, for queries, keys and values (blocks, heads, L, d_a)."""
    if q.requires_grad and q.device.type == "cpu":
        # No fused operation there has gradients of the bias, and torch's other one is slower.
        return ((q / math.sqrt(q.shape[-1])) @ k.mT + bias).softmax(-1) @ v
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)


def to_blocks(x: Tensor, block: Sequence[int]) -> Tensor:
    """A stream (batch, t, h, w, d) as blocks (batch · blocks, L, d), both in raster order."""
    bt, bh, bw = block
    batch, t, h, w, d = x.shape
    parts = x.view(batch, t // bt, bt, h // bh, bh, w // bw, bw, d)
    return parts.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, bt * bh * bw, d)


def in_blocks(grid: Sequence[int], block: Sequence[int]) -> list[tuple[int, int]]:
    """For each position of a grid, the number of its block and its place in it."""
    (bt, bh, bw), (t, h, w) = block, grid
    return [
        (
            (i // bt * (h // bh) + j // bh) * (w // bw) + k // bw,
            (i % bt * bh + j % bh) * bw + k % bw,
        )
        for i, j, k in itertools.product(range(t), range(h), range(w))
    ]


def from_blocks(blocks: Tensor, block: Sequence[int], grid: Sequence[int]) -> Tensor:
    """The inverse of :func:`to_blocks` for a grid (t, h, w)."""
    bt, bh, bw = block
    t, h, w = grid
    parts = blocks.view(-1, t // bt, h // bh, w // bw, bt, bh, bw, blocks.shape[-1])
    return parts.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(-1, t, h, w, blocks.shape[-1])


def apply_layers(layers: Iterable[nn.Module], stream: Tensor, *, checkpointing: bool) -> Tensor:
    """Applies layers in turn; with checkpointing, only their inputs are kept for gradients."""
    for layer in layers:
        if checkpointing and torch.is_grad_enabled():
            stream = checkpoint(layer, stream, use_reentrant=False, preserve_rng_state=False)
        else:
            stream = layer(stream)
    return stream
