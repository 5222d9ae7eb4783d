"""How the values of options are parsed, and in what words those that make no sense are refused.

These rules hold for all options of all verbs. The dataclasses of families, of training and of
reading add rules of their own; the types at the end are for the verbs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_type_hints

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

# The libraries beneath hold whole numbers in 64 bits.
LARGEST = 2**63 - 1

REGISTRY = ConstructorRegistry()


class TooLargeError(Exception):
    """A whole number that no option takes; tyro would try other types after a ValueError."""


def whole_number(text: str) -> int:
    """Raises ValueError for a text that is not a whole number, TooLargeError beyond 64 bits."""
    try:
        number = int(text) if len(text) < 100 else LARGEST + 1
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None
    if abs(number) > LARGEST:
        shown = text if len(text) < 40 else f"{text[:40]}…"
        raise TooLargeError(f"{shown} is too large for an option: whole numbers have 64 bits")
    return number


def finite(text: str) -> float:
    """Raises ValueError for a text that is not a finite number."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is not a finite number")
    return number


def named(text: str) -> Path:
    """Raises ValueError for an empty path, which Python takes for the current folder."""
    if not text:
        raise ValueError("a path cannot be empty; the current folder is .")
    return Path(text)


PARSERS: dict[Any, Callable[[str], Any]] = {int: whole_number, float: finite, Path: named}
ONE_OR_MORE = bool | tuple[bool, ...]

_asked: list[Any] = []  # types of which tyro's own parser is being looked up


def _parser(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    found = ConstructorRegistry.get_primitive_spec(info)
    return found if isinstance(found, PrimitiveConstructorSpec) else None


def _own(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Tyro's own parser of a type, whose parts are parsed by the rules here."""
    _asked.append(info.type)
    try:
        return _parser(info)
    finally:
        _asked.pop()


@REGISTRY.primitive_rule
def _one(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    parse = PARSERS.get(info.type)
    if parse is None or info.type in _asked or (own := _own(info)) is None:
        return None
    return replace(own, instance_from_str=lambda args: parse(args[0]))


@REGISTRY.primitive_rule
def _several(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Tuples and unions, which complain of the part that is wrong."""
    of_one = info.type_origin in (Union, UnionType)
    if not of_one and info.type_origin is not tuple:
        return None
    if info.type in _asked or (own := _own(info)) is None:
        return None
    parts = {part for part in get_args(info.type) if part not in (NoneType, Ellipsis)}

    def parse(args: list[str]) -> Any:
        try:
            return own.instance_from_str(args)
        except ValueError:
            if len(parts) == 1:
                part = _parser(PrimitiveTypeInfo.make(next(iter(parts)), info.markers))
                if part is not None and (of_one or part.nargs == 1):
                    for each in [args] if of_one else [[arg] for arg in args]:
                        part.instance_from_str(each)
            raise ValueError(f"{' '.join(args)!r} is not {own.metavar}") from None

    return replace(own, instance_from_str=parse)


@REGISTRY.primitive_rule
def _one_answer_or_several(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """``bool | tuple[bool, ...]``: as a flag, or an answer for each dimension."""
    if info.type != ONE_OR_MORE or info.type in _asked or (own := _own(info)) is None:
        return None

    def parse(args: list[str]) -> bool | tuple[bool, ...]:
        answers = tuple(arg == "True" for arg in args) or (True,)
        return answers[0] if len(answers) == 1 else answers

    return replace(own, metavar="[{True,False} ...]", instance_from_str=parse)


def spelt_out(args: Sequence[str], config: type) -> list[str]:
    """The arguments, with ``--no-x`` as ``--x False`` where x is such an option of a model."""
    kinds = get_type_hints(config)
    named = {f"--no-{name.replace('_', '-')}": name for name in kinds if kinds[name] == ONE_OR_MORE}
    found: list[str] = []
    for arg in args:
        option = named.get(arg.replace("_", "-"))
        found += [arg] if option is None else [f"--{option}", "False"]
    return found


# Types of the verbs' own options.


def _within(
    parse: Callable[[str], Any], allowed: Callable[[Any], bool], rule: str
) -> PrimitiveConstructorSpec[Any]:
    """The parser of a number in a range that a rule describes."""

    def checked(args: list[str]) -> Any:
        number = parse(args[0])
        if not allowed(number):
            raise ValueError(f"must be {rule}, got {args[0]}")
        return number

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT" if parse is whole_number else "FLOAT",
        instance_from_str=checked,
        is_instance=lambda value: isinstance(value, int | float),
        str_from_instance=lambda value: [str(value)],
    )


def _whole(least: int, most: int = LARGEST) -> PrimitiveConstructorSpec[Any]:
    limit = "" if most == LARGEST else f" and at most {most:,}"
    return _within(whole_number, lambda n: least <= n <= most, f"at least {least}{limit}")


FromZero = Annotated[int, _whole(0)]
Positive = Annotated[int, _whole(1)]
AtMost1000 = Annotated[int, _whole(1, 1000)]
AtMost10000 = Annotated[int, _whole(1, 10_000)]
Levels = Annotated[int, _whole(2, 2**31)]
Port = Annotated[int, _whole(0, 65_535)]
Workers = Annotated[int, _whole(1, 256)]
AboveZero = Annotated[float, _within(finite, lambda n: n > 0, "above 0")]
Share = Annotated[float, _within(finite, lambda n: 0 < n < 1, "between 0 and 1")]
