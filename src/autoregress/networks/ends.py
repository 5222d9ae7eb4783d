"""The two ends of a MADE that is unrolled: where symbols enter it, and conditionals leave it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from autoregress.conditionals import Conditional
from autoregress.networks.degrees import ByDegree, ByRow
from autoregress.networks.encoding import Encoding
from autoregress.networks.masked import MaskedLinear, sparse_product


@dataclass
class Layers:
    """The layers at the ends, with their hidden units by degree."""

    encoding: Encoding
    first: MaskedLinear
    output: MaskedLinear
    direct: MaskedLinear | None
    first_units: ByDegree
    last_units: ByDegree


class Ends(ABC):
    """Both ends, for one ordering or for one a row. Steps count from 0."""

    @abstractmethod
    def start_block(self, start: int, stop: int) -> None:
        """Begins the steps from ``start`` to ``stop``."""

    @abstractmethod
    def conditional(self, step: int) -> Conditional:
        """The conditional (batch,) of the symbols visited at a step."""

    @abstractmethod
    def enter(self, step: int, symbols: Tensor) -> Tensor:
        """Takes these symbols in.

        Returns:
            The input of the first hidden layer's units of degree ``step + 1``, which are then
            complete, (batch, units).
        """

    @abstractmethod
    def leave(self, step: int, h: Tensor) -> None:
        """Takes in the last hidden layer's units of degree ``step + 1``, (batch, units)."""


class SharedEnds(Ends):
    """One ordering for all rows: columns are in its order.

    One matrix product gives a block everything from before it; the contributions from within are
    added step by step.
    """

    def __init__(
        self,
        layers: Layers,
        batch: int,
        context: Tensor | None,
        visit: list[int],
        inputs: ByDegree,
        outputs: ByDegree,
    ) -> None:
        self.layers, self.inputs, self.outputs = layers, inputs, outputs
        self.visit = visit
        first, output = layers.first, layers.output
        self.first_offset = first.offset(inputs, layers.first_units, context)
        self.output_offset = output.offset(layers.last_units, outputs, context)
        self.x = output.weight.new_zeros(batch, len(inputs))
        self.h = output.weight.new_zeros(batch, len(layers.last_units))

    def start_block(self, start: int, stop: int) -> None:
        own, inputs, outputs = self.layers, self.inputs, self.outputs
        self.start = start
        before, self.from_inputs = own.first.block(self.x, inputs, own.first_units, start, stop)
        self.entered = before + self.first_offset[..., own.first_units.span(start, stop)]
        before, self.from_units = own.output.block(self.h, own.last_units, outputs, start, stop)
        self.columns = before + self.output_offset[..., outputs.span(start, stop)]
        if own.direct is not None:
            before, self.from_direct = own.direct.block(self.x, inputs, outputs, start, stop)
            self.columns += before

    # Here and below, ``own`` is a span within the block and ``place`` one among all.

    def conditional(self, step: int) -> Conditional:
        own = self.outputs.span(step, step + 1, self.start)
        encoding, dim = self.layers.encoding, self.visit[step]
        return encoding.kinds[dim].conditional(self.columns[:, own], encoding.scales[dim])

    def enter(self, step: int, symbols: Tensor) -> Tensor:
        own, place = (self.inputs.span(step, step + 1, base) for base in (self.start, 0))
        known = self.layers.encoding.encode_one(self.visit[step], symbols, self.columns.dtype)
        self.x[:, place] = known
        self.entered.addmm_(known, self.from_inputs[own])
        if self.layers.direct is not None:
            later = slice(self.outputs.span(step, step + 1, self.start).stop, None)
            self.columns[:, later].addmm_(known, self.from_direct[own, later])
        return self.entered[:, self.layers.first_units.span(step, step + 1, self.start)]

    def leave(self, step: int, h: Tensor) -> None:
        units = self.layers.last_units
        self.h[:, units.span(step, step + 1)] = h
        self.columns.addmm_(h, self.from_units[units.span(step, step + 1, self.start)])


class RowEnds(Ends):
    """An ordering for each row: columns stay as stored, and all rows share the products.

    Both ends are sums that grow with every step: those of the first hidden layer's units with the
    inputs that become known, those of all outputs with the units. A row reads the columns of its
    own dimension.
    """

    def __init__(
        self,
        layers: Layers,
        batch: int,
        context: Tensor | None,
        visit: Tensor,
        inputs: ByRow,
        outputs: ByRow,
    ) -> None:
        self.layers, self.visit, self.inputs = layers, visit, inputs
        first, output, direct = layers.first, layers.output, layers.direct
        self.from_inputs = first.by_degree(layers.first_units)
        self.from_units = output.by_degree(layers.last_units)
        self.from_direct = None if direct is None else direct.weight.detach().T.contiguous()
        entered = first.offset(inputs, layers.first_units, context)
        self.entered = entered.expand(batch, -1).clone()
        columns = output.offset(layers.last_units, outputs, context)
        self.columns = columns.expand(batch, -1).clone()

    def start_block(self, start: int, stop: int) -> None:
        pass

    def conditional(self, step: int) -> Conditional:
        return self.layers.encoding.conditional_by_row(self.visit[:, step], self.columns)

    def enter(self, step: int, symbols: Tensor) -> Tensor:
        dims, batch = self.visit[:, step], len(self.columns)
        entries = self.layers.encoding.encode_by_row(dims, symbols, self.columns.dtype)
        if self.from_direct is not None:
            self.columns += sparse_product(*entries, self.from_direct, batch)
        self.entered += sparse_product(*entries, self.from_inputs.weight, batch)
        if self.from_inputs.conditioning is not None:
            now = (self.inputs.degrees == step + 1).to(self.columns.dtype)
            self.entered += now @ self.from_inputs.conditioning
        return self.entered[:, self.layers.first_units.span(step, step + 1)]

    def leave(self, step: int, h: Tensor) -> None:
        self.from_units.leave(step + 1, h, self.columns)
