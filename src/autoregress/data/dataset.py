"""Examples in memory: integer symbols, and what they stand for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from autoregress.symbols import Columns, Symbols


# eq=False: == of two tensors is a tensor, of which a generated __eq__ could make nothing.
@dataclass(frozen=True, eq=False)
class Data:
    """N examples, each a block of integer symbols.

    Args:
        x: (N, *event_shape) integers.
        symbols: number of levels of every dimension, or one number for each.
        columns: names and labels, when an example is a row of a table.
        known: (N, *event_shape) bool, for partial data: False where x is yet to be filled in.

    Raises:
        ValueError: x is not integers within their levels, or known has another shape.
    """

    x: Tensor
    symbols: int | tuple[int, ...]
    columns: Columns | None = None
    known: Tensor | None = None

    def __post_init__(self) -> None:
        Symbols(self.event_shape, self.symbols, self.columns).check(self.x)
        if self.known is not None and self.known.shape != self.x.shape:
            raise ValueError(
                f"known has shape {tuple(self.known.shape)}, x {tuple(self.x.shape)}; "
                "they must be the same"
            )

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return tuple(self.x.shape[1:])

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Tensor) -> Tensor:
        """The examples x[index], for an index (batch,) of integers: (batch, *event_shape)."""
        return self.x[index]

    def split(self, fraction: float, seed: int) -> tuple[Data, Data]:
        """The rows in two parts: those kept, and a random ``fraction`` of them held out.

        Which rows are held out is a function of the seed, the fraction and N alone. Either part
        keeps the order of the file.

        Raises:
            ValueError: one of the parts would be empty.
        """
        held = round(fraction * len(self)) if 0 < fraction < 1 else 0
        if not 0 < held < len(self):
            raise ValueError(
                f"holding out a fraction of {fraction} of {len(self)} rows leaves one part empty; "
                "either part needs a row"
            )
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        return self._rows(order[held:].sort().values), self._rows(order[:held].sort().values)

    def _rows(self, index: Tensor) -> Data:
        known = None if self.known is None else self.known[index]
        return replace(self, x=self.x[index], known=known)
