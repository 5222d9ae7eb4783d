"""The lines of Python and of the command line that do what the page shows."""

from __future__ import annotations

import base64
import io
import shlex
from collections.abc import Mapping

import numpy as np

from autoregress.model import AutoregressiveModel
from autoregress.page.pixels import Evidence

Lines = dict[str, str]


def of_pixels(
    model: AutoregressiveModel, given: Evidence, typed: str, count: int, seed: int
) -> Lines:
    """The lines that measure known pixels, complete the others, and give their distributions."""
    x = np.where(given.known.numpy(), given.x[0].numpy(), -1)
    label = context = option = asked = ""
    if given.context is not None and model.labels is not None:
        place = int(given.context[0].argmax())
        label = f"\ncontext = torch.eye({len(model.labels)})[[{place}]]  # {model.labels[place]!r}"
        context = ", context"
        option = f" --given {shlex.quote(model.labels[place])}"
    many = f"{context}.expand({count}, -1)" if context else ""
    if model.order_agnostic:
        asked = (
            f"table = model.marginals(x.clamp(min=0), known{context}).table()  # of each pixel\n"
        )
    python = f"""import torch

import autoregress as ar

model = ar.load({typed!r})
x = torch.tensor([  # −1: unknown
{_rows(x)}]).view(1, *model.event_shape){label}
known = x[0] >= 0
nats = model.surprisal(x.clamp(min=0){context}, known=known)  # of each known pixel
{asked}draws = model.complete(
    x.clamp(min=0).expand({count}, *model.event_shape),
    known{many},
    generator=torch.Generator().manual_seed({seed}),
)
"""
    run = shlex.quote(typed)
    command = f"autoregress complete {run} partial.npz --out completed.npz --seed {seed}{option}"
    partial = base64.b64encode(_partial(given, count)).decode()
    return {"python": python, "command": command, "partial": partial}


def of_table(
    typed: str, given: Mapping[str, str], question: str, columns: list[str], seed: int
) -> Lines:
    """The lines that ask a table for distributions, for a probability, and for rows."""
    known = dict(given)
    asked = next((name for name in columns if name not in known), columns[0])
    ask = f"print(table.probability({question!r}, given))\n" if question else ""
    python = f"""import autoregress as ar

table = ar.Table.load({typed!r})
given = {known!r}
print(table.distribution({asked!r}, given))
{ask}rows = table.sample(10, given, seed={seed})
"""
    options = "".join(f" --given {shlex.quote(f'{name}={text}')}" for name, text in known.items())
    run = shlex.quote(typed)
    commands = [f"autoregress query {run} {shlex.quote(asked)}{options}"]
    if question:
        commands.append(f"autoregress query {run} {shlex.quote(question)}{options}")
    commands.append(f"autoregress sample {run} --out rows.csv --count 10 --seed {seed}{options}")
    commands.append(f"autoregress score {run} TABLE.csv --out scores.csv --top 3")
    return {"python": python, "command": "\n".join(commands)}


def _partial(given: Evidence, count: int) -> bytes:
    """The file that ``autoregress complete`` takes: copies of the evidence, and what is known."""
    content = io.BytesIO()
    x, _ = given.repeated(count)
    known = np.broadcast_to(given.known.numpy(), x.shape)
    np.savez_compressed(content, x=x.numpy(), known=known)
    return content.getvalue()


def _rows(x: np.ndarray) -> str:
    """Lines of lists, one for each row of pixels."""
    width = len(str(x.max()))
    width = max(width, 2) if (x < 0).any() else width
    rows = x.reshape(-1, x.shape[-1]).tolist()
    return "".join(f"    [{', '.join(f'{n:{width}}' for n in row)}],\n" for row in rows)
