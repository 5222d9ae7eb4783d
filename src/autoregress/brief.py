"""Values in few characters, for people to read."""

from __future__ import annotations

import reprlib
from dataclasses import fields
from typing import Any

_SHORT = reprlib.Repr()
_SHORT.maxtuple = _SHORT.maxlist = 12
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60


def brief(value: Any) -> str:
    """The repr of a value, of which long parts are left out."""
    return _SHORT.repr(value)


def counted(count: int, noun: str) -> str:
    """A number of things: 1 cell, 2,000 cells."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


class Brief:
    """A dataclass, made with ``repr=False``, that leaves out long parts of its fields."""

    def __repr__(self) -> str:
        names = (f.name for f in fields(self))  # type: ignore[arg-type]  # it is a dataclass
        each = (f"{name}={brief(getattr(self, name))}" for name in names)
        return f"{type(self).__name__}({', '.join(each)})"
