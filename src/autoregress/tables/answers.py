"""What a table answers: a probability, or the distribution of a cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autoregress.tables.columns import Column
from autoregress.tables.dates import Dates
from autoregress.tables.density import Floats
from autoregress.tables.numbers import Numbers


@dataclass(frozen=True)
class Answer:
    """A probability.

    Attributes:
        value: the probability, or its estimate.
        standard_error: of the estimate; 0 if it is exact.
        exact: whether it is the model's probability, to rounding.
    """

    value: float
    standard_error: float = 0.0

    @property
    def exact(self) -> bool:
        return self.standard_error == 0

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        error = "exact" if self.exact else f"± {self.standard_error:.2g}"
        return f"{self.value:.4g} ({error})"


@dataclass(frozen=True)
class Distribution:
    """The distribution of a column's cell.

    Attributes:
        column: the column.
        probabilities: (K,) of its symbols.
    """

    column: Column
    probabilities: Floats

    def mean(self) -> float:
        """The expected value of a number."""
        numbers = self._numbers
        return numbers.number(float(numbers.mean(self.probabilities[None])[0]))

    def quantile(self, share: float) -> str:
        """The text of the least number up to which this share of the probability lies."""
        numbers = self._numbers
        return numbers.text(float(numbers.quantile(self.probabilities[None], share)[0]))

    def mode(self) -> str:
        """The text of the likeliest label, or of the middle of the likeliest bin."""
        return self.column.typical(np.array([self.probabilities.argmax()]))[0]

    def items(self) -> dict[str, float]:
        """Probabilities of the labels, or of bins by the number in their middle."""
        texts = self.column.typical(np.arange(self.column.levels))
        out: dict[str, float] = {}
        for text, p in zip(texts, self.probabilities.tolist(), strict=True):
            out[text] = out.get(text, 0.0) + p
        return out

    def __str__(self) -> str:
        if isinstance(self.column, Numbers):
            quantiles = ", ".join(
                f"{q:.0%} {self.quantile(q)}" for q in (0.05, 0.25, 0.5, 0.75, 0.95)
            )
            date = isinstance(self.column, Dates)
            mean = self.column.text(self.mean()) if date else f"{self.mean():.6g}"
            return f"mean {mean}; quantiles {quantiles}"
        shown = sorted(self.items().items(), key=lambda pair: -pair[1])[:20]
        return "\n".join(f"{p:.4f}  {text}" for text, p in shown)

    @property
    def _numbers(self) -> Numbers:
        if not isinstance(self.column, Numbers):
            raise ValueError(f"column {self.column.name!r} holds labels, not numbers")
        return self.column
