"""Checks of values read from JSON against the kind that is expected, given as a type hint."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, NewType, Union, get_args, get_origin, get_type_hints, is_typeddict

from autoregress.brief import brief

Count = NewType("Count", int)
"""A whole number from 0."""

LIMIT = 2**63
WORDS: dict[Any, str] = {
    int: "a whole number",
    Count: "a whole number from 0",
    float: "a number",
    str: "a text",
    bool: "true or false",
    NoneType: "null",
    list: "a list",
    tuple: "a list",
}


def as_kind(value: Any, kind: Any, where: str = "its content") -> Any:
    """A value read from JSON as a value of a kind: lists become tuples where it is a tuple.

    Args:
        kind: int (of 64 bits), Count, float, str, bool or None; list, tuple or dict of such;
            Literal; a union of such; a dataclass; a TypedDict, whose values may have further
            entries. Nothing is checked of other kinds, such as Any.
        where: the name of the value, for messages.

    Raises:
        ValueError: the value is of another kind; the message says where.
    """
    origin, of = get_origin(kind) or kind, get_args(kind)
    if origin in (Union, UnionType):
        return _as_one_of([k for k in of if k is not NoneType or value is None], value, kind, where)
    if origin in (list, tuple):
        if isinstance(value, list):
            several = [of[0]] * len(value) if origin is list or of[-1] is ... else list(of)
            if len(several) == len(value):
                each = zip(value, several, strict=True)
                return origin(as_kind(v, k, f"{where}[{n}]") for n, (v, k) in enumerate(each))
    elif origin is dict:
        if isinstance(value, dict):
            return {name: as_kind(v, of[1], f"{where}.{name}") for name, v in value.items()}
    elif is_typeddict(kind):
        if isinstance(value, dict):
            return value | dict(_entries(value, hints(kind), where))
    elif dataclasses.is_dataclass(kind):
        if isinstance(value, dict):
            entries = dict(_entries(value, hints(kind), where))
            return kind(**entries)  # type: ignore[operator]  # a class, not an instance
    elif _is_plain(value, origin, of):
        return value
    raise _refusal(value, kind, where)


@cache
def hints(kind: Any) -> Mapping[str, Any]:
    """The kinds of the fields of a dataclass or a TypedDict, by name."""
    return get_type_hints(kind)


def _as_one_of(kinds: list[Any], value: Any, union: Any, where: str) -> Any:
    if len(kinds) == 1:
        return as_kind(value, kinds[0], where)
    for kind in kinds:
        try:
            return as_kind(value, kind, where)
        except ValueError:
            continue
    raise _refusal(value, union, where)


def _entries(
    value: dict[str, Any], kinds: Mapping[str, Any], where: str
) -> Iterator[tuple[str, Any]]:
    """The entries of a record; an optional one that is missing is None."""
    for name, kind in kinds.items():
        if name not in value and NoneType not in get_args(kind):
            raise ValueError(f"{where} lacks {name}")
        yield name, as_kind(value.get(name), kind, f"{where}.{name}")


def _is_plain(value: Any, kind: Any, of: tuple[Any, ...]) -> bool:
    if kind is Literal:
        return any(value == each and type(value) is type(each) for each in of)
    if kind in (int, Count):
        return type(value) is int and (0 if kind is Count else -LIMIT) <= value < LIMIT
    if kind is float:
        return type(value) is float or (type(value) is int and abs(value) < LIMIT)
    if kind is str:  # JSON can hold half of a surrogate pair, which cannot be printed or written
        return type(value) is str and not any("\ud800" <= letter <= "\udfff" for letter in value)
    return type(value) is kind or kind not in WORDS


def _refusal(value: Any, kind: Any, where: str) -> ValueError:
    return ValueError(f"{where} must be {_words(kind)}, not {brief(value)}")


def _words(kind: Any) -> str:
    of = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(dict.fromkeys(map(_words, of)))
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, of))
    return WORDS.get(get_origin(kind) or kind, "an object")
