"""Models in the portable arithmetic, and their probabilities as whole numbers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController
from torch import Tensor

from autoregress.conditionals import NO_PROBABILITIES
from autoregress.grids import Grid, grid_of, mark
from autoregress.model import AutoregressiveModel
from autoregress.portable.mode import Arithmetic
from autoregress.portable.rounding import BITS, rounded

# The sum of all probabilities of a symbol, as whole numbers.
TOTAL = 2**24


def prepared(model: AutoregressiveModel) -> AutoregressiveModel:
    """A copy of a model for :func:`arithmetic`: in float64, its weights rounded to 20 bits.

    A copy made by this function is returned as it is. Where a device has no float64, the copy is on
    the CPU.

    Raises:
        ValueError: the model keeps numbers apart from its weights, or a weight is not finite.
    """
    if grid_of(next(model.parameters())) is not None:
        return model
    model.require_finite()
    for name, module in model.named_modules():
        for own in module._non_persistent_buffers_set:
            buffer = module._buffers[own]
            if buffer is not None and buffer.is_floating_point():
                raise ValueError(
                    f"the model computes {f'{name}.{own}'.lstrip('.')} when it is made, which is "
                    "not portable; save it with the weights (a persistent buffer)"
                )
    with torch.inference_mode():
        made = copy.deepcopy(model).requires_grad_(False).eval()
        with Arithmetic():  # as a family may derive numbers from its weights
            made.to("cpu" if model.device.type == "mps" else model.device, torch.float64)
        for parameter in made.parameters():
            if parameter.numel():
                parameter.copy_(rounded(parameter, tuple(range(parameter.dim())), BITS))
            mark(parameter, Grid())
    return made


@contextmanager
def arithmetic() -> Iterator[None]:
    """A context in which all operations of torch are those of :class:`Arithmetic`.

    They run in one thread, as their operands are small: waiting for others took more than these
    saved, and three times as long even on an idle machine. Processes use further cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with (
            _libraries().limit(limits=1),
            torch.inference_mode(),
            np.errstate(all="ignore"),
            Arithmetic(),
        ):
            yield
    finally:
        torch.set_num_threads(threads)


@cache
def _libraries() -> ThreadpoolController:
    """The libraries that NumPy's matrix products come from."""
    return ThreadpoolController().select(user_api="blas")


def frequencies(probabilities: Tensor) -> NDArray[np.float64]:
    """Probabilities (…, K) as whole numbers of at least 1 that sum to 2²⁴, each less 1.

    Raises:
        ValueError: these are no distributions.
    """
    with torch._C._DisableTorchDispatch():  # these few steps are exact as they are
        given = probabilities.double().contiguous().cpu().numpy()
    # A little less than all there is, as the probabilities may add up to a little more than 1; the
    # first level is given the rest.
    room = float(TOTAL - given.shape[-1])
    whole = np.floor(given * (room - 16))
    np.maximum(whole, 0, out=whole)
    rest = room - whole.sum(-1)
    if not ((rest >= 0) & (rest <= room)).all():
        raise ValueError(NO_PROBABILITIES)
    whole[..., 0] += rest
    return whole
