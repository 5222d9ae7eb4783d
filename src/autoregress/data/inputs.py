"""Users' data as examples: the one entry point for all that trains, measures and encodes."""

from __future__ import annotations

from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
from torch.utils.data import Subset as TorchSubset

from autoregress.data.conditions import from_numbers
from autoregress.data.formats.arrays import MappedArray
from autoregress.data.source import Data, Source
from autoregress.symbols import CONTEXT, Symbols, as_tensor


def as_source(data: Any, like: Symbols | None = None, *, features: int | None = None) -> Source:
    """Converts data of any supported kind to a source of examples.

    Args:
        data: a source; a tensor; an array of any integer dtype, byte order and strides, read-only
            ones and memory maps (which stay on disk) included; nested lists; a table of whole
            numbers (a DataFrame); or a torch ``Dataset`` with a length, whose items are x, or
            tuples of x and its condition: a vector, or a label from 0 to C − 1. Only a few
            examples of a ``Dataset`` are in memory at a time; without ``like``, and for labels
            and the digest, it is read an additional time.
        like: ``model.symbols`` of the model that takes the examples; by default the number of
            levels is the largest symbol plus one, at least 2.
        features: number of features C that the model is conditioned on, 0 for none; by default
            the largest label plus one.

    Raises:
        ValueError: the data cannot be examples, or not those of the model; for data in memory
            the message names the row and the dimension.

    Example:
        >>> source = ar.data.as_source([[0, 4, 2], [1, 0, 0]])
        >>> len(source), source.levels
        (2, 5)
    """
    source = _as_source(data, like, features)
    if like is not None:
        like.check_array((len(source), *source.event_shape))
        if isinstance(source, Data):
            like.check(source.x)
    return source


def context_of(source: Source, context: Any, features: int) -> Tensor | None:
    """The context for a model that takes ``features`` of them: ``context``, else the source's own.

    Raises:
        ValueError: the context does not have a row for each example.
    """
    if context is None:
        return source.context if features else None
    context = as_tensor(context, CONTEXT)
    if context.shape[:1] != (len(source),):
        rows = len(context) if context.dim() else "no"
        raise ValueError(f"context has {rows} rows for {len(source)} examples")
    return context


class Items(Source):
    """A torch ``Dataset`` whose items are x, or tuples of x and its condition.

    Args:
        dataset: a map-style dataset with a length.
        like: the symbols of its items; by default found by reading all of them.
        features: number of features of the context that labels become, 0 for none.
    """

    def __init__(self, dataset: Dataset[Any], like: Symbols | None, features: int | None) -> None:
        self._dataset, self._count, self._features = dataset, _length(dataset), features
        if self._count == 0:
            raise ValueError("the dataset has no examples")
        shape = self._example(0).shape
        if like is not None:
            like.check_array((self._count, *shape))
        levels = 2 if like is None else like.levels
        super().__init__(shape, levels, None if like is None else like.columns)
        if like is None:
            most = max(int(self._example(i).max()) for i in range(self._count))
            super().__init__(shape, max(2, most + 1))

    def __len__(self) -> int:
        return self._count

    def _rows(self, index: Tensor) -> Tensor:
        if len(index) == 0:
            return torch.empty(0, *self.event_shape, dtype=torch.int64)
        return torch.stack([self._example(i) for i in index.tolist()])

    @property
    def context(self) -> Tensor | None:
        """(N, C), the conditioning vector of each example; None if there is none."""
        return None if self._features == 0 else self._contexts

    @cached_property
    def _contexts(self) -> Tensor | None:
        items = (self._dataset[i] for i in range(self._count))
        given = [item[1] for item in items if isinstance(item, tuple) and len(item) > 1]
        if not given:
            return None
        return _as_context(
            torch.stack([as_tensor(each, CONTEXT) for each in given]), self._features
        )

    def _example(self, i: int) -> Tensor:
        item = self._dataset[i]
        x = item[0] if isinstance(item, tuple) else item
        if isinstance(x, dict | str | bytes):
            raise ValueError(
                f"item {i} of the dataset is a {type(x).__name__}; items are x, or (x, context)"
            )
        return as_tensor(x)


def _as_source(data: Any, like: Symbols | None, features: int | None) -> Source:
    match data:
        case Source():
            return data
        case TensorDataset():
            x, *beside = data.tensors
            return _in_memory(x, like, _as_context(beside[0], features) if beside else None)
        case TorchSubset():
            return _as_source(data.dataset, like, features).subset(data.indices)
        case IterableDataset():
            raise ValueError(
                "an IterableDataset cannot be read in random order; give a Dataset with a length, "
                "or the examples as an array"
            )
        case Dataset():
            return Items(data, like, features)
        case DataLoader():
            raise ValueError(
                "a DataLoader is not needed, as batches are formed here; give its dataset instead"
            )
        case str() | bytes() | PathLike():
            raise ValueError(f"{data!r} is a path; open it with autoregress.data.read")
        case np.memmap():
            return _mapped(data, like)
    if hasattr(data, "to_numpy"):  # a DataFrame of any library
        data = data.to_numpy()
    return _in_memory(as_tensor(data), like)


def _in_memory(x: Tensor, like: Symbols | None, context: Tensor | None = None) -> Data:
    if like is not None:
        like.check_shape(x)
        known = x >= 0 if like.gaps and (x < 0).any() else None
        return Data(x, like.levels, like.columns, known, context)
    if x.dim() < 2:
        raise ValueError(
            f"examples are an array (examples, *event_shape), got one of shape {tuple(x.shape)}"
        )
    if x.numel() == 0 or x.is_floating_point():
        return Data(x, 2, context=context)  # whose check names what is wrong, if anything
    return Data(x, max(2, int(x.max()) + 1), context=context)


def _mapped(array: np.ndarray[Any, Any], like: Symbols | None) -> MappedArray:
    if array.dtype.kind not in "bui":
        raise ValueError(f"symbols are integers, got an array of {array.dtype}")
    if like is None:
        return MappedArray(array)
    like.check_array(array.shape)
    return MappedArray(array, like.levels, like.columns)


def _as_context(given: Tensor, features: int | None) -> Tensor | None:
    """A context (N, C) from labels (N,) or from vectors (N, C)."""
    if features == 0:
        return None
    return from_numbers(given, features) if given.dim() == 1 else given


def _length(dataset: Any) -> int:
    try:
        return len(dataset)
    except TypeError as error:
        raise ValueError("a dataset needs a length, so that its order can be drawn") from error
