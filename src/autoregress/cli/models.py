"""Trained models, shared by verbs: loading them to a device, and their conditions."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autoregress.cli.tables import holds_table, load_table

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from autoregress.data import Source
    from autoregress.model import AutoregressiveModel


@dataclass(frozen=True)
class Conditions:
    """The conditions of examples, for a conditional model.

    Args:
        given: Condition of all examples: the name of a label, or the numbers of the context.
        condition: Source of each example's condition, as in train: the name of a column of a
            table or of an array, "folder", or "labels".
    """

    given: tuple[str, ...] = ()
    condition: str | None = None

    def source(self, model: AutoregressiveModel) -> str | None:
        """The source of each example's condition, if any, for reading the examples.

        Raises:
            ValueError: the model is unconditional, or a condition is given for all examples too.
        """
        if self.given and self.condition:
            raise ValueError("--given is for all examples and --condition for each; give one")
        if self.condition and not model.context:
            raise ValueError("this model is not conditioned on anything; leave --condition out")
        return self.condition

    def context(self, model: AutoregressiveModel, examples: Source) -> Tensor | None:
        """The context of the examples; None for an unconditional model.

        Raises:
            ValueError: there is none for a conditional model, or it does not match the model.
        """
        if self.given or not model.context:
            return given_context(model, self.given, len(examples))
        if examples.context is None:
            raise ValueError(
                f"{_taken(model)}: name its source with --condition, or give it for all examples "
                "with --given"
            )
        if model.labels is not None and examples.labels is None:
            raise ValueError(f"{_taken(model)}, but the examples have numbers as their condition")
        return examples.context


def load_model(
    run: Path, device: str, *, kept: str | None = None, of_table: bool = False
) -> AutoregressiveModel:
    """The model of a run folder, or of one that ``ar.save`` wrote, on a device.

    Args:
        kept: the name of weights to be preferred, if the folder keeps them.
        of_table: whether it may be that of a table.
    """
    from autoregress.storage import load, load_kept

    if holds_table(run) and not of_table:
        raise ValueError(
            f"{run} is the run of a table, for evaluate, score, impute, query, sample, compress, "
            "decompress and info"
        )
    place = chosen_device(device)
    model = load_kept(run, kept, map_location=place) if kept else None
    if model is None and of_table and holds_table(run):
        return load_table(run).coder
    if model is None and of_table and holds_table(run):
        return load_table(run).coder
    return load(run, map_location=place) if model is None else model


def chosen_device(name: str) -> torch.device:
    """The device of that name; a line on standard error names one that is taken unasked.

    The CPU is not worth a line.
    """
    from autoregress.devices import describe_device, resolve_device

    device = resolve_device(name)
    if name == "auto" and device.type != "cpu":
        print(f"on {describe_device(device)}", file=sys.stderr)
    return device


def given_context(model: AutoregressiveModel, given: tuple[str, ...], count: int) -> Tensor | None:
    """The same condition for ``count`` examples, (count, context).

    Raises:
        ValueError: the condition does not match the model.
    """
    import torch

    if not model.context:
        if given:
            raise ValueError("this model is not conditioned on anything; leave --given out")
        return None
    if model.labels is not None:
        if len(given) != 1 or given[0] not in model.labels:
            raise ValueError(f"{_taken(model)}: give one with --given")
        row = torch.eye(model.context)[model.labels.index(given[0])]
    else:
        try:
            row = torch.tensor([float(number) for number in given])
        except ValueError:
            row = torch.empty(0)
        if len(row) != model.context or not row.isfinite().all():
            raise ValueError(f"{_taken(model)}: give them with --given")
    return row.expand(count, -1)


def _taken(model: AutoregressiveModel) -> str:
    if model.labels is None:
        return f"this model is conditioned on {model.context} numbers"
    shown = ", ".join(model.labels[:20])
    return (
        f"this model is conditioned on a label ({shown}{', …' if len(model.labels) > 20 else ''})"
    )
