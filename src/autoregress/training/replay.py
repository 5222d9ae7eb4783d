"""The gradient of an update as a CUDA graph: recorded once, and replayed for every batch.

A recurrent network starts thousands of kernels an update, each of which ends sooner than Python
starts the next; a graph starts them all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


class Replay:
    """A gradient for inputs of the given shapes.

    Args:
        gradient: sets the gradients of the parameters and returns the loss; the same operations
            each time, none of which waits for the device.
        inputs: its arguments, on the device.
        parameters: those whose gradients it sets.

    Raises:
        RuntimeError: an operation cannot be recorded.
    """

    def __init__(
        self,
        gradient: Callable[..., Tensor],
        inputs: Iterable[Tensor],
        parameters: Iterable[nn.Parameter],
    ) -> None:
        self._inputs, self._parameters = [each.clone() for each in inputs], list(parameters)
        # The first calls set up what libraries keep, which cannot be recorded.
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(2):
                gradient(*self._inputs)
                self._forget()
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        # Other threads may read the next batch meanwhile.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._loss = gradient(*self._inputs)
        self._gradients = [p.grad for p in self._parameters]
        self._forget()

    def _forget(self) -> None:
        for p in self._parameters:
            p.grad = None

    def __call__(self, inputs: Iterable[Tensor]) -> Tensor:
        """The loss, after setting the gradients."""
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given)
        self._graph.replay()
        for p, gradient in zip(self._parameters, self._gradients, strict=True):
            p.grad = gradient
        return self._loss
