"""A decoder of a MADE's files in NumPy, written from docs/format.md.

    python tests/numpy_decoder.py FOLDER

FOLDER holds config.json, model.safetensors and examples.areg, of a MADE with one ordering, bits or
categories, rectified units, and no context. Prints the decoded symbols as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

Array = NDArray[Any]

# The container


class Reader:
    """Bytes from the front."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def take(self, count: int) -> bytes:
        self.place += count
        return self.content[self.place - count : self.place]

    def number(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value


def chunks(content: bytes) -> tuple[int, list[tuple[int, list[int]]]]:
    """R, and for each chunk its number of examples and its words."""
    read, found = Reader(content), []
    assert read.take(5) == b"\xa4reg\x05"
    header = Reader(read.take(read.number()))
    read.take(4)
    header.take(16)
    header.take(header.number())
    flags, rows = header.number(), header.number()
    assert flags == 0
    while True:
        mark, kind, body = read.take(1), read.take(1), Reader(read.take(read.number()))
        assert mark == b"\xa4"
        read.take(4)
        if kind in b"CL":
            _, count, beside = body.number(), body.number(), body.number()
            body.take(4 + beside)
            words = np.frombuffer(body.content[body.place :], "<u4")
            found.append((count, words.tolist()))
        if kind == b"L":
            return rows, found


class Stack:
    """The entropy coder."""

    def __init__(self, words: list[int]) -> None:
        self.words = words
        self.state = self.words.pop()
        if self.words:
            self.state = self.state << 32 | self.words.pop()

    def pop(self, frequencies: Array) -> int:
        quantile = self.state & 0xFFFFFF
        ends = np.cumsum(frequencies)
        symbol = int(np.searchsorted(ends, quantile, side="right"))
        own = int(frequencies[symbol])
        self.state = own * (self.state >> 24) + quantile - (int(ends[symbol]) - own)
        if self.state < 2**32 and self.words:
            self.state = self.state << 32 | self.words.pop()
        return symbol


# The arithmetic

POWER = [0.6931471805416519, 0.24022651075850363, 0.05550410962582675, 0.009618036911040342]
POWER += [0.0013333430777164841, 0.00015467110330655515, 1.5314949215190667e-05]
LOG2E = 1.4426950408889634


def rounded(x: Array, axis: int | None) -> Array:
    largest = np.abs(x).max(axis, keepdims=True)
    unit = np.ldexp(1.0, np.frexp(largest)[1] - 20)
    return np.where(largest > 0, np.rint(x / unit) * unit, 0.0)


def product(a: Array, b: Array) -> Array:
    if a.shape[1] == 1:
        return a * b
    return rounded(a, 1) @ b if a.shape[1] else np.zeros((len(a), b.shape[1]))


def power(x: Array) -> Array:
    x = np.clip(x, -1000.0, 1000.0)
    whole = np.rint(x)
    r = x - whole
    p = r * POWER[-1]
    for coefficient in POWER[-2::-1]:
        p = (p + coefficient) * r
    return (p + 1.0) * np.ldexp(1.0, whole.astype(int))


def sigmoid(x: Array) -> Array:
    return 1.0 / (power(x * -LOG2E) + 1.0)


def softmax(x: Array) -> Array:
    p = power((x - x.max(1, keepdims=True)) * LOG2E)
    unit = 2.0 ** ((x.shape[1] - 1).bit_length() - 51)
    return p / (np.rint(p / unit) * unit).sum(1, keepdims=True)


def frequencies(p: Array) -> Array:
    room = 2**24 - p.shape[1]
    whole = np.maximum(np.floor(p * float(room - 16)), 0)
    whole[:, 0] += room - whole.sum(1)
    return whole.astype(np.int64) + 1


# The model


class Side:
    """Units or columns in order of degree."""

    def __init__(self, degrees: Array) -> None:
        self.index = np.argsort(degrees, kind="stable")
        self.ordered = degrees[self.index]

    def span(self, start: int, stop: int) -> slice:
        """Those of degree start + 1 to stop."""
        return slice(*np.searchsorted(self.ordered, [start + 1, stop + 1]).tolist())


class MADE:
    """A MADE with one ordering, one connectivity, and ReLU."""

    def __init__(self, folder: Path) -> None:
        given = load_file(folder / "model.safetensors")
        config = json.loads((folder / "config.json").read_text())["model"]
        self.shape = tuple(config["event_shape"])
        self.dims = int(np.prod(self.shape))
        levels = config["symbols"]
        self.levels = [levels] * self.dims if isinstance(levels, int) else list(levels)
        self.visit = given["orderings"][0]
        widths = [1 if n == 2 else n for n in self.levels]
        rank = np.argsort(self.visit)
        self.columns = Side(np.repeat(rank + 1, widths))
        count = len(config["hidden"])
        self.hidden = [Side(given[f"degrees_{n}"][0]) for n in range(count)]
        sides = [self.columns, *self.hidden, self.columns]
        names = [*(f"layers.{n}" for n in range(count)), "output"]
        # Weights from sources to targets, both in order of degree.
        self.weights, self.biases = list[Array](), list[Array]()
        for n, name in enumerate(names):
            weight = rounded(given[f"{name}.weight"].astype(float), None)
            weight = weight if n == 0 else weight.T
            self.weights.append(weight[sides[n].index][:, sides[n + 1].index])
            bias = rounded(given[f"{name}.bias"].astype(float), None)
            self.biases.append(bias[sides[n + 1].index])
        self.direct = None
        if "direct.weight" in given:
            weight = rounded(given["direct.weight"].astype(float), None).T
            self.direct = weight[self.columns.index][:, self.columns.index]

    def decode(self, stack: Stack, rows: int) -> Array:
        x = np.zeros((rows, len(self.columns.ordered)))
        values = [np.zeros((rows, len(side.ordered))) for side in self.hidden]
        symbols = np.zeros((rows, self.dims), int)
        for start in range(0, self.dims, 32):
            stop = min(start + 32, self.dims)
            # The sums of the block's units, of each layer, and of its output columns.
            sources, targets = [self.columns, *self.hidden], [*self.hidden, self.columns]
            known, sums = [x, *values], list[Array]()
            for n, (source, target) in enumerate(zip(sources, targets, strict=True)):
                some, early = target.span(start, stop), source.span(0, start)
                before = product(known[n][:, early], self.weights[n][early, some])
                sums.append(before + self.biases[n][some])
            block = self.columns.span(start, stop)
            if self.direct is not None:
                early = self.columns.span(0, start)
                sums[-1] = sums[-1] + product(x[:, early], self.direct[early, block])
            for t in range(start, stop):
                place, dim = self.columns.span(t, t + 1), int(self.visit[t])
                own = slice(place.start - block.start, place.stop - block.start)
                out, levels = sums[-1][:, own], self.levels[dim]
                table = np.hstack([sigmoid(-out), sigmoid(out)]) if levels == 2 else softmax(out)
                drawn = np.array([stack.pop(row) for row in frequencies(table)])
                symbols[:, dim] = drawn
                if t + 1 == self.dims:
                    break
                entered = drawn[:, None] if levels == 2 else np.eye(levels)[drawn]
                x[:, place] = entered
                later = slice(own.stop, None)
                units = self.hidden[0].span(start, stop)
                sums[0] = sums[0] + product(x[:, place], self.weights[0][place, units])
                if self.direct is not None:
                    added = product(x[:, place], self.direct[place, block][:, later])
                    sums[-1][:, later] = sums[-1][:, later] + added
                for n, side in enumerate(self.hidden):
                    fresh, first = side.span(t, t + 1), side.span(start, stop).start
                    if fresh.start == fresh.stop:
                        continue
                    z = sums[n][:, fresh.start - first : fresh.stop - first]
                    values[n][:, fresh] = np.maximum(z, 0)
                    some = targets[n + 1].span(start, stop)
                    weight = self.weights[n + 1][fresh, some]
                    sums[n + 1] = sums[n + 1] + product(values[n][:, fresh], weight)
        return symbols


def decode(folder: Path) -> Array:
    model = MADE(folder)
    rows, found = chunks((folder / "examples.areg").read_bytes())
    parts = []
    for count, words in found:
        stack, own = Stack(words), []
        full, rest = divmod(count, rows)
        for size in [rest] * (rest > 0) + [rows] * full:
            own.insert(0, model.decode(stack, size))
        assert (stack.state, stack.words) == (2**32, [])
        # The last batch was decoded first.
        parts.append(np.concatenate(own))
    return np.concatenate(parts).reshape(-1, *model.shape)


if __name__ == "__main__":
    print(
        json.dumps({"symbols": decode(Path(sys.argv[1])).tolist(), "torch": "torch" in sys.modules})
    )
