"""Trained models, shared by verbs: loading them to a device, and their conditions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autoregress.cli.tables import holds_table

if TYPE_CHECKING:
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

    def context(self, model: AutoregressiveModel, examples: Source) -> Tensor | None:
        """The context of the examples; None for an unconditional model.

        Raises:
            ValueError: both are given, or neither for a conditional model, or the condition does
                not match the model.
        """
        if self.given and self.condition:
            raise ValueError("--given is for all examples and --condition for each; give one")
        if self.given or not model.context:
            return given_context(model, self.given, len(examples))
        if examples.context is None:
            raise ValueError(
                f"{_taken(model)}: name its source with --condition, or give it for all examples "
                "with --given"
            )
        return examples.context


def load_model(run: Path, device: str) -> AutoregressiveModel:
    """The model of a run folder, or of one that ``ar.save`` wrote, on a device."""
    from autoregress.devices import resolve_device
    from autoregress.storage import load

    if holds_table(run):
        raise ValueError(f"{run} is the run of a table, for score, impute, query, sample and info")

    return load(run, map_location=resolve_device(device))


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
        if len(row) != model.context:
            raise ValueError(f"{_taken(model)}: give them with --given")
    return row.expand(count, -1)


def _taken(model: AutoregressiveModel) -> str:
    if model.labels is None:
        return f"this model is conditioned on {model.context} numbers"
    shown = ", ".join(model.labels[:20])
    return (
        f"this model is conditioned on a label ({shown}{', …' if len(model.labels) > 20 else ''})"
    )
