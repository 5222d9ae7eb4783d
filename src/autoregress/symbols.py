"""Integer symbols, the data of all models, with a number of levels in each dimension.

A dimension with two levels is a bit, one with K > 2 nominal levels a category, and one with K > 2
ordered levels a number. Columns of a table keep their labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autoregress.brief import Brief, brief

LARGEST = 2**26  # dimensions of an event


@dataclass(frozen=True, repr=False)
class Columns(Brief):
    """The names of a table's columns and, for each column, the labels of its symbols.

    Symbol s of column c is the text ``labels[c][s]``.

    Example:
        >>> columns = ar.Columns(("colour", "size"), (("blue", "red"), ("L", "M", "S")))
        >>> columns.levels, columns.text(1, 2)
        ((2, 3), 'S')
    """

    names: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        """Raises ValueError unless every name has its labels."""
        if len(self.names) != len(self.labels):
            raise ValueError(f"{len(self.names)} columns have {len(self.labels)} lists of labels")

    @property
    def levels(self) -> tuple[int, ...]:
        """Number of levels of each column; at least 2, so that a constant column is a bit."""
        return tuple(max(2, len(labels)) for labels in self.labels)

    def text(self, column: int, symbol: int) -> str:
        """The label of a symbol; a level without a label shows its number."""
        labels = self.labels[column]
        return labels[symbol] if symbol < len(labels) else f"#{symbol}"


class Symbols:
    """The levels of every dimension of an event.

    Args:
        event_shape: shape of one example; D is its product.
        levels: number of levels K ≥ 2 of every dimension, or a number for each of the D
            dimensions.
        columns: names and labels, if the event is a row of a table.
        ordered: whether the levels of every dimension are ordered, or an answer for each of the D
            dimensions. Dimensions with two levels are bits either way.
        gaps: whether an event may have unknown entries, which are −1.

    Raises:
        ValueError: an empty shape, fewer than two levels, a sequence of other than D entries, or
            labels that do not match the levels.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        levels: int | Sequence[int],
        columns: Columns | None = None,
        ordered: bool | Sequence[bool] = False,
        gaps: bool = False,
    ) -> None:
        self.gaps = gaps
        self.event_shape = tuple(int(n) for n in event_shape)
        self.dims = math.prod(self.event_shape)
        if not self.event_shape or self.dims < 1:
            raise ValueError(f"an event needs at least one dimension, got shape {event_shape}")
        if self.dims > LARGEST:
            raise ValueError(f"an event of {self.dims} dimensions is too large")
        several = (levels,) * self.dims if isinstance(levels, int) else tuple(map(int, levels))
        if len(several) != self.dims:
            raise ValueError(
                f"symbols gives {len(several)} numbers of levels for {self.dims} dimensions; "
                "give one number for all of them, or one for each"
            )
        least = levels if isinstance(levels, int) else min(several)
        if least < 2:
            raise ValueError(f"every dimension needs at least 2 levels, got {least}")
        if columns is not None and columns.levels != several:
            raise ValueError("the columns' labels do not match the numbers of levels")
        self.levels = several
        self.columns = columns
        answers = (ordered,) * self.dims if isinstance(ordered, bool) else tuple(ordered)
        if len(answers) != self.dims:
            raise ValueError(
                f"ordered gives {len(answers)} answers for {self.dims} dimensions; give one for "
                "all of them, or one for each"
            )
        if ordered is False or (ordered is True and least > 2):
            self.ordered = answers  # at once, for the many dimensions of a clip
        else:
            self.ordered = tuple(bool(a) and k > 2 for a, k in zip(answers, several, strict=True))

    def __repr__(self) -> str:
        return f"Symbols({self.event_shape}, {brief(self.compact)})"

    @property
    def compact(self) -> int | list[int]:
        """The numbers of levels in short form: one number if all are the same."""
        return self.levels[0] if len(set(self.levels)) == 1 else list(self.levels)

    @property
    def binary(self) -> bool:
        """Whether every dimension is a bit."""
        return max(self.levels) == 2

    @property
    def uniform(self) -> bool:
        """Whether every dimension has the same number of levels."""
        return len(set(self.levels)) == 1

    def name(self, dim: int) -> str:
        """The name of a dimension in messages: the name of a column, or an index."""
        if self.columns is not None:
            return f"column {self.columns.names[dim]!r}"
        if len(self.event_shape) == 1:
            return f"column {dim}"
        index = torch.unravel_index(torch.tensor(dim), self.event_shape)
        return f"position ({', '.join(str(int(i)) for i in index)})"

    def check_array(self, shape: Sequence[int]) -> None:
        """Raises ValueError unless the shape is (batch, *event_shape)."""
        if tuple(shape[1:]) != self.event_shape or not shape:
            raise ValueError(
                f"this model takes arrays of shape (batch, {', '.join(map(str, self.event_shape))})"
                f", got {tuple(shape)}"
            )

    def check_shape(self, x: Tensor) -> None:
        """Raises ValueError unless x holds integers of shape (batch, *event_shape)."""
        self.check_array(x.shape)
        if x.is_floating_point() or x.is_complex():
            if x.isnan().any():
                row, dim = (int(i) for i in x.isnan().flatten(1).nonzero()[0])
                raise ValueError(f"row {row}, {self.name(dim)} is NaN; symbols are integers")
            raise ValueError(
                f"symbols are integers, got {x.dtype}; round or bin the values first, "
                "or use .long() if they are whole numbers already"
            )

    def check(self, x: Tensor, *, first: int = 0) -> None:
        """Raises ValueError unless x (batch, *event_shape) holds symbols within their levels.

        The message names the row (counted from ``first``), the dimension and the value.
        """
        self.check_shape(x)
        if x.dtype == torch.bool or len(x) == 0:
            return
        flat, least = x.flatten(1), -1 if self.gaps and x.dtype.is_signed else 0
        if self.uniform:
            lowest, highest = flat.aminmax()
            if int(lowest) >= least and int(highest) < self.levels[0]:
                return
        levels = torch.tensor(self.levels, device=x.device)
        lowest, highest = flat.aminmax(dim=0)
        if ((lowest < least) | (highest.long() >= levels)).any():
            wrong = (flat < least) | (flat.long() >= levels)
            row, dim = (int(i) for i in wrong.nonzero()[0])
            raise ValueError(
                f"row {first + row}, {self.name(dim)} holds {int(flat[row, dim])}; "
                f"its symbols are 0 to {self.levels[dim] - 1}"
                + (", and −1 for unknown" if self.gaps else "")
            )


def require_finite(context: Tensor) -> None:
    """Raises ValueError if a number of a context (batch, C) is NaN or infinite."""
    if not context.isfinite().all():
        row = int((~context.isfinite()).any(1).int().argmax())
        raise ValueError(f"row {row} of the context is not finite: it holds NaN or infinity")


def marginal_logits(x: Tensor, levels: int) -> Tensor:
    """Logits, float64, from the number of times each level occurs in x, plus one.

    Returns:
        (1,) the log-odds of a 1 for two levels, (K,) log-frequencies otherwise.
    """
    log = (x.flatten().long().bincount(minlength=levels) + 1).double().log()
    return log[1:] - log[0] if levels == 2 else log.log_softmax(0)


def as_numbers(x: Tensor, levels: int, dtype: torch.dtype) -> Tensor:
    """Symbols 0 … K − 1, of any shape, on a scale from −1 to 1."""
    return x.to(dtype) * (2 / (levels - 1)) - 1


SYMBOLS, CONTEXT = "symbols are integers", "a context is an array of numbers"


def as_tensor(values: Any, kind: str = SYMBOLS) -> Tensor:
    """Numbers in any common form as a tensor, which shares their memory where possible.

    Args:
        values: a tensor, or anything that NumPy converts to an array: an array of any integer
            dtype, byte order and strides, read-only or not; nested lists; a table of whole
            numbers.
        kind: what they are to be, for messages.

    Raises:
        ValueError: rows of different lengths, or anything but numbers.
    """
    if isinstance(values, Tensor):
        return values
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{kind}, and these rows differ in length") from error
    if array.dtype.kind not in "buif":
        what = f"a {type(values).__name__}" if array.ndim == 0 else f"an array of {array.dtype}"
        raise ValueError(f"{kind}, got {what}")
    # Few of torch's operations support the wider unsigned integers, and none another byte order.
    wide = array.dtype.kind == "u" and array.dtype.itemsize > 1
    dtype = np.dtype(np.int64) if wide else array.dtype.newbyteorder("=")
    return torch.from_numpy(np.require(array, dtype=dtype, requirements=["C", "W"]))
