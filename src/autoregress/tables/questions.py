"""Predicates over the columns of a table: ``age >= 60 and smoker == 'yes'``.

They are read by Python's own parser, and never run as code: only comparisons of a column with
literals or with another column, joined by and, or, not, have a meaning here.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from autoregress.tables.columns import Column, Pieces
from autoregress.tables.numbers import Numbers
from autoregress.tables.schema import Schema

Truth = NDArray[np.bool_]
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.Eq, ast.NotEq: ast.NotEq, ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt,
    ast.GtE: ast.LtE,
}  # fmt: skip
HOW = "write, for example: age >= 60 and smoker == 'yes'"


@dataclass(frozen=True)
class Atom:
    """A comparison of one column with values."""

    column: str
    values: tuple[Any, ...]
    test: Callable[[Any], bool]


@dataclass(frozen=True)
class Pair:
    """A comparison of two columns.

    Attributes:
        left, right: their names.
        test: compares arrays of their values.
        cuts: for each of them the values of the other, at which its pieces are cut; None if those
            of one are too many to list.
    """

    left: str
    right: str
    test: Callable[[Any, Any], Any]
    cuts: Mapping[str, Sequence[Any]] | None


@dataclass(frozen=True)
class Join:
    """All or any of some predicates, or none of the one there is."""

    kind: str  # "and", "or" or "not"
    parts: tuple[Predicate, ...]


Predicate = Atom | Pair | Join


def parse(text: str, schema: Schema) -> Predicate:
    """A predicate over the columns of a schema.

    Names that are no Python names stand between backticks: `` `body mass (g)` > 4000 ``.

    Raises:
        ValueError: it cannot be read, or a column or value in it is not known.
    """
    names: dict[str, str] = {}

    def placed(match: re.Match[str]) -> str:
        names[f"_column_{len(names)}"] = match[1]
        return f"_column_{len(names) - 1}"

    try:
        tree = ast.parse(re.sub(r"`([^`]*)`", placed, text.strip()), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ValueError(f"the question {text!r} cannot be read; {HOW}") from None
    return _Reader(text, schema, names).read(tree.body)


@dataclass(frozen=True)
class _Reader:
    text: str
    schema: Schema
    names: dict[str, str]

    def read(self, node: ast.expr) -> Predicate:
        match node:
            case ast.BoolOp():
                kind = "and" if isinstance(node.op, ast.And) else "or"
                return Join(kind, tuple(self.read(part) for part in node.values))
            case ast.UnaryOp(op=ast.Not()):
                return Join("not", (self.read(node.operand),))
            case ast.Compare():
                sides = [node.left, *node.comparators]
                parts = [
                    self._atom(left, op, right)
                    for left, op, right in zip(sides, node.ops, sides[1:], strict=False)
                ]
                return parts[0] if len(parts) == 1 else Join("and", tuple(parts))
        raise ValueError(f"{self._shown(node)} is not a comparison; {HOW}")

    def _atom(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Predicate:
        if not isinstance(left, ast.Name) and isinstance(right, ast.Name) and type(op) in FLIPPED:
            left, op, right = right, FLIPPED[type(op)](), left
        elif isinstance(left, ast.Name) and isinstance(right, ast.Name) and self._names(right):
            return self._pair(self._column(left), op, self._column(right))
        if not isinstance(left, ast.Name):
            name = ast.unparse(left)
            how = f"write `{name}` for the column" if name in self.schema.names else HOW
            raise ValueError(f"{name!r} is not the name of a column; {how}")
        column = self._column(left)
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.List | ast.Tuple | ast.Set):
                raise ValueError(f"in takes a list of values: {left.id} in [1, 2]")
            values = tuple(self._value(column, each) for each in right.elts)
            atom = Atom(column.name, values, lambda v: v in values)
            return Join("not", (atom,)) if isinstance(op, ast.NotIn) else atom
        if isinstance(right, ast.Constant) and right.value is None:
            return self._missing(column, op)
        compare = COMPARISONS.get(type(op))
        if compare is None:
            raise ValueError(f"{self.text!r}: columns are compared by ==, !=, <, <=, >, >= and in")
        value = self._value(column, right)
        if not column.ordered and not isinstance(value, float) and compare not in (
            operator.eq, operator.ne,
        ):  # fmt: skip
            raise ValueError(f"the labels of {column.name!r} have no order; compare by == or !=")
        return Atom(column.name, (value,), lambda v: compare(v, value))

    def _missing(self, column: Column, op: ast.cmpop) -> Predicate:
        if not isinstance(op, ast.Is | ast.IsNot | ast.Eq | ast.NotEq):
            raise ValueError(f"write {column.name} is None, or {column.name} is not None")
        if not column.absent:
            raise ValueError(
                f"in column {column.name!r} a missing cell is unknown, and not a value; learn it "
                "with absent to ask for its probability"
            )
        atom = Atom(column.name, (), lambda v: v != v or v == column.missing)
        return Join("not", (atom,)) if isinstance(op, ast.IsNot | ast.NotEq) else atom

    def _names(self, node: ast.Name) -> bool:
        return node.id in self.names or node.id in self.schema.names

    def _column(self, node: ast.Name) -> Column:
        return self.schema.column(self.names.get(node.id, node.id))

    def _pair(self, left: Column, op: ast.cmpop, right: Column) -> Pair:
        compare = COMPARISONS.get(type(op))
        numbers = [isinstance(column, Numbers) for column in (left, right)]
        if compare is None or (not all(numbers) and compare not in (operator.eq, operator.ne)):
            raise ValueError(
                f"{self.text!r}: columns of numbers are compared by ==, !=, <, <=, >, >=, and "
                "columns of labels by == and !="
            )
        if left.kind != right.kind and "number" in (left.kind, right.kind):
            raise ValueError(
                f"{left.name!r} ({left.kind}) and {right.name!r} ({right.kind}) cannot be compared"
            )
        values = {right.name: left.single_values, left.name: right.single_values}
        listed = {name: each for name, each in values.items() if each is not None}
        return Pair(left.name, right.name, compare, listed if len(listed) == len(values) else None)

    def _value(self, column: Column, node: ast.expr) -> Any:
        try:
            value = ast.literal_eval(node)
        except (ValueError, TypeError):
            raise ValueError(
                f"{self._shown(node)} is not a value to compare {column.name!r} with; texts stand "
                "in quotes"
            ) from None
        if not isinstance(value, str | int | float | bool):
            raise ValueError(f"{self._shown(node)} is not a number or a text")
        return value_of(column, value)

    def _shown(self, node: ast.expr) -> str:
        return repr(ast.unparse(node))


def value_of(column: Column, value: Any) -> Any:
    """A value that a person gave, in the form in which values of a column are compared.

    Raises:
        ValueError: the column cannot have it.
    """
    text = str(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        text = str(int(value))
    return column.value(text)


def columns_of(predicate: Predicate) -> list[str]:
    """The names of the columns in a predicate, each once, in order of appearance."""
    if isinstance(predicate, Atom):
        return [predicate.column]
    if isinstance(predicate, Pair):
        return list(dict.fromkeys([predicate.left, predicate.right]))
    return list(dict.fromkeys(name for part in predicate.parts for name in columns_of(part)))


def values_of(predicate: Predicate, column: str) -> list[Any]:
    """The values that a column is compared with."""
    if isinstance(predicate, Atom):
        return list(predicate.values) if predicate.column == column else []
    if isinstance(predicate, Pair):
        return list((predicate.cuts or {}).get(column, ()))
    return [value for part in predicate.parts for value in values_of(part, column)]


def listed(predicate: Predicate) -> bool:
    """Whether all comparisons of two columns are of values that can be listed."""
    if isinstance(predicate, Join):
        return all(map(listed, predicate.parts))
    return isinstance(predicate, Atom) or predicate.cuts is not None


def holds(predicate: Predicate, atoms: Callable[[Atom | Pair], Truth]) -> Truth:
    """Whether it holds, from whether its comparisons do."""
    if not isinstance(predicate, Join):
        return atoms(predicate)
    first, *rest = (holds(part, atoms) for part in predicate.parts)
    if predicate.kind == "not":
        return ~first
    for other in rest:
        first = first & other if predicate.kind == "and" else first | other
    return first


def alone(predicate: Predicate) -> dict[str, list[Predicate]]:
    """What must hold of single columns, whatever the others are."""
    parts = predicate.parts if isinstance(predicate, Join) and predicate.kind == "and" else ()
    out: dict[str, list[Predicate]] = {}
    for part in parts or (predicate,):
        names = columns_of(part)
        if len(names) == 1:
            out.setdefault(names[0], []).append(part)
    return out


@dataclass(frozen=True)
class Asked:
    """A predicate on some columns, in terms of pieces of their symbols.

    Attributes:
        predicate: the predicate.
        columns: its columns; the last one is summed over.
        pieces: for each column the pieces in which the predicate may hold.
    """

    predicate: Predicate
    columns: tuple[Column, ...]
    pieces: tuple[Pieces, ...]

    @classmethod
    def of(cls, predicate: Predicate, columns: Sequence[Column]) -> Self:
        single, pieces = alone(predicate), list[Pieces]()
        for column in columns:
            own = column.pieces(values_of(predicate, column.name))
            keep = np.ones(len(own.values), bool)
            for part in single.get(column.name, ()):
                keep &= holds(part, lambda atom, own=own: _each(atom, own.values))
            pieces.append(own.some(np.flatnonzero(keep & (own.shares > 0))))
        return cls(predicate, tuple(columns), tuple(pieces))

    @property
    def combinations(self) -> int:
        """Number of combinations of pieces of all columns but the last."""
        return math.prod(len(own.values) for own in self.pieces[:-1])

    def chunks(self, size: int) -> Iterator[NDArray[np.int64]]:
        """All of them, (n, columns − 1) indices of pieces, n at most ``size``."""
        counts = [len(own.values) for own in self.pieces[:-1]]
        for start in range(0, self.combinations, size):
            index = np.arange(start, min(start + size, self.combinations))
            yield np.stack(np.unravel_index(index, counts), 1)

    def symbols(self, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        """The symbols (n, columns − 1) of chosen pieces."""
        each = [own.symbols[c] for own, c in zip(self.pieces, chosen.T, strict=False)]
        return np.stack(each, 1)

    def shares(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """The probability (n,) of the chosen pieces given their symbols."""
        each = [own.shares[c] for own, c in zip(self.pieces, chosen.T, strict=False)]
        return np.prod(each, 0)

    def holds(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, K) the probability that it holds given chosen pieces and the last one's symbol."""
        names, last = [column.name for column in self.columns], self.pieces[-1]

        def values(name: str) -> NDArray[Any]:
            place = names.index(name)
            own = _array(self.pieces[place].values)
            return own if place == len(names) - 1 else own[chosen[:, place], None]

        def atoms(atom: Atom | Pair) -> Truth:
            if isinstance(atom, Pair):
                return np.asarray(atom.test(values(atom.left), values(atom.right)), bool)
            place = names.index(atom.column)
            each = _each(atom, self.pieces[place].values)
            return each if place == len(names) - 1 else each[chosen[:, place], None]

        shape = (len(chosen), len(last.values))
        each = np.broadcast_to(holds(self.predicate, atoms), shape)
        # (pieces, K): the share of each piece in its symbol.
        shares = np.zeros((len(last.values), self.columns[-1].levels))
        shares[np.arange(len(last.values)), last.symbols] = last.shares
        return each @ shares


def holds_for(predicate: Predicate, values: Mapping[str, Sequence[Any]]) -> Truth:
    """Whether it holds for rows, by their values of every column in it."""

    def atoms(atom: Atom | Pair) -> Truth:
        if isinstance(atom, Pair):
            left, right = (_array(values[name]) for name in (atom.left, atom.right))
            return np.asarray(atom.test(left, right), bool)
        return _each(atom, values[atom.column])

    return holds(predicate, atoms)


def _each(atom: Atom | Pair, values: Sequence[Any]) -> Truth:
    """Whether a comparison holds for each value of its only column."""
    if isinstance(atom, Pair):
        own = _array(values)
        return np.asarray(atom.test(own, own), bool)
    return np.array([bool(atom.test(value)) for value in values], bool)


def _array(values: Sequence[Any]) -> NDArray[Any]:
    """Values as numbers if they are, else as objects, which compare one by one."""
    array = np.asarray(values)
    return array if array.dtype.kind == "f" else np.asarray(values, object)
