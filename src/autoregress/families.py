"""The families of models: the package's own, and those that users add.

A saved model names its family by a plain word, its kind. The class of a kind is determined by what
has been imported, never by a file. Nothing here needs torch.
"""

from __future__ import annotations

import inspect
from dataclasses import MISSING, fields
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, TypeVar

from autoregress.brief import brief

if TYPE_CHECKING:
    from autoregress.model import AutoregressiveModel

FAMILIES: dict[str, type[AutoregressiveModel]] = {}
"""Every known family by its kind, the name of its class."""

# The entry-point group in which installed packages list their families by kind.
GROUP = "autoregress.families"

Family = TypeVar("Family", bound="type[AutoregressiveModel]")


def family(cls: Family) -> Family:
    """Registers a class of models, so that they can be saved, loaded and trained by name.

    Its options are the fields of its ``Config``, a frozen dataclass. They become the keywords of
    the constructor, the content of a saved model's ``config.json``, and the options of
    ``autoregress train``. Their values must survive JSON: numbers, texts, and tuples of them.

    Raises:
        ValueError: another class of that name is already registered.

    Example:
        >>> @ar.family
        ... class Tall(ar.MADE): ...
        >>> ar.save(Tall(5, hidden=(8,)), "tall")
        >>> type(ar.load("tall")).__name__
        'Tall'
    """
    known = FAMILIES.get(cls.__name__, cls)
    if _place(known) != _place(cls):  # the same place again is a module that was reloaded
        raise ValueError(f"a family {cls.__name__} is known already, from {known.__module__}")
    FAMILIES[cls.__name__] = cls
    *own, last = inspect.signature(cls).parameters.values()
    if last.kind is inspect.Parameter.VAR_KEYWORD:  # instead of it, the options by name
        signature = inspect.Signature([*own, *_options(cls.Config)])
        cls.__signature__ = signature  # type: ignore[attr-defined]  # which inspect reads
    return cls


def known_families() -> list[str]:
    """The kinds that have been imported, or are available from installed packages."""
    return [*FAMILIES, *(point.name for point in entry_points(group=GROUP))]


def find_family(kind: str) -> type[AutoregressiveModel]:
    """The family of that kind.

    Raises:
        ValueError: there is no such family; the message lists the known ones and the remedy.
    """
    if kind not in FAMILIES:
        for point in entry_points(group=GROUP, name=kind):
            point.load()
    if kind not in FAMILIES:
        raise ValueError(
            f"the kind of model {brief(kind)} is not known, only {', '.join(FAMILIES)}; import the "
            "module that defines it first (on the command line: autoregress --plugin MODULE …)"
        )
    return FAMILIES[kind]


def _place(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__


def _options(config: type) -> list[inspect.Parameter]:
    """The fields of a dataclass as keyword parameters."""
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=field.type,
        )
        for field in fields(config)
    ]
