"""A model of a table: exact log-probabilities of rows with gaps, and of any cells given others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoregress.bundled import folder_of
from autoregress.card import Card
from autoregress.disk import write_json
from autoregress.networks.made import MADE
from autoregress.processes import Processes
from autoregress.storage import load, model_config, parameters, read_config, save, share
from autoregress.tables.answers import Answer, Distribution
from autoregress.tables.cells import Cells
from autoregress.tables.columns import Kind, Labels
from autoregress.tables.density import Floats
from autoregress.tables.explanation import Explanation
from autoregress.tables.frames import as_cells, filled, in_groups, in_kind_of, row_groups, some_rows
from autoregress.tables.learning import learn
from autoregress.tables.numbers import Numbers
from autoregress.tables.questions import (
    Asked,
    Predicate,
    columns_of,
    holds_for,
    listed,
    parse,
)
from autoregress.tables.schema import Schema

SCHEMA = "schema.json"
# Largest number of combinations that are enumerated, and number of draws if there are more.
ENUMERATED, DRAWS = 4096, 4000
# Relative standard error below which estimates differ by rounding alone.
ROUNDING = 1e-7
# Number of rows in a pass of the network, and largest number of probabilities of a column there.
ROWS, PROBABILITIES = 2048, 2**22

How = Literal["mode", "mean", "draw"]


class Table:
    """A table's schema, and an any-order MADE (arXiv 1502.03509) of its cells.

    log p of a row is that of its known cells; other cells are no part of it. log p of a number is
    the logarithm of the mass of that number, at the resolution of its column; subtract
    ``log_unit`` for a density in the columns' own units.

    Attributes:
        schema: what its columns are.
        model: the model of their symbols.
        summary: how well it was learnt, in a sentence.

    Example:
        >>> rows = {"size": ["S", "L"] * 20, "back": [True, False] * 20}
        >>> table = ar.Table.fit(rows, max_epochs=5, quiet=True)
        >>> answer = table.probability("back == 'True'", {"size": "S"})
        >>> answer.exact, answer.value > 0.9
        (True, True)
    """

    def __init__(self, schema: Schema, model: MADE, summary: str = "") -> None:
        self.schema, self.model, self.summary = schema, model, summary

    @classmethod
    def fit(
        cls,
        table: Any,
        *,
        schema: Schema | None = None,
        kinds: Mapping[str, Kind] | None = None,
        absent: Sequence[str] = (),
        missing: Sequence[str] | None = None,
        valid: Any = None,
        run: str | Path | None = None,
        quiet: bool = False,
        network: Mapping[str, Any] | None = None,
        processes: Processes | None = None,
        **training: Any,
    ) -> Self:
        """Learns a table; of fewer than 20 rows, each column by itself.

        Args:
            table: a DataFrame of pandas, polars or pyarrow, the path of a file, a mapping from
                names to values, or an array (rows, columns), whose columns are named x0, x1, ….
            schema: the schema; by default it is inferred from all rows.
            kinds: kinds of some columns, by name, instead of the inferred ones: category, boolean,
                number, date, identifier, constant or text; the last three are left out.
            absent: columns in which a missing cell is a value of its own, and not unknown.
            missing: texts that mean that a cell is missing, instead of the usual ones.
            valid: a table of the same columns that chooses the epoch; by default a tenth of the
                rows are held out for it.
            run: a folder for checkpoints, the log and the trained table.
            quiet: print neither the schema nor progress.
            network: options of the :class:`MADE`.
            processes: the processes that learn it together, see :func:`autoregress.join`; by
                default this one alone.
            **training: training options, see :class:`Training`.

        Raises:
            ValueError: there is nothing to learn, or a cell cannot be one of its column.
        """
        cells = some_rows(table)
        if schema is None:
            schema = Schema.infer(list(cells.values()), kinds=kinds, missing=missing, absent=absent)
        if not quiet:
            print(f"{cells.said}\n{schema}" if cells.said else schema)
        x = _symbols(schema, table if in_groups(table) else cells)
        held = None
        if valid is not None:
            held_cells = as_cells(valid)
            if lacking := [name for name in schema.names if name not in held_cells]:
                raise ValueError(f"the validation table has no column {', '.join(lacking)}")
            held = _symbols(schema, held_cells)
        del cells  # their texts may need more memory than all symbols
        found = learn(
            x,
            [column.levels for column in schema.columns],
            [column.ordered for column in schema.columns],
            periods=[column.periods for column in schema.columns],
            held=held,
            network=network or {},
            training=training,
            run=None if run is None else Path(run) / "training",
            quiet=quiet,
            processes=processes,
            on_epoch=None if run is None else partial(_keep, schema, Path(run)),
        )
        learnt = cls(schema, found.model, found.summary)
        if run is not None:
            (processes or Processes()).from_first(partial(learnt._write, Path(run)))
        return learnt

    def _write(self, run: Path) -> None:
        self.save(run)
        config = read_config(run / "training")
        known = {name: config.get(name) for name in ("training", "data")}
        self.card(run.name, str(run), **known).write(run)

    @property
    def coder(self) -> MADE:
        """The model of rows in its first ordering, by which they are compressed."""
        return self.model.ensemble(self.model.orderings[:1])

    # Keeping

    def save(self, folder: str | Path, *, hub: str | None = None) -> None:
        """Saves schema and model in a folder, from which :meth:`load` restores them.

        Args:
            hub: owner/name on the Hugging Face Hub, to which they are then uploaded; see
                :func:`autoregress.save`.
        """
        folder = Path(folder)
        save(self.model, folder)
        write_json(folder / SCHEMA, self.schema.to_json())
        if hub is not None:
            share(folder, hub, self.card(hub, f"hub:{hub}"))

    def card(self, title: str, name: str, **known: Any) -> Card:
        """The card of this table.

        Args:
            name: what :meth:`load` finds it by.
            **known: further attributes of the :class:`~autoregress.card.Card`.
        """
        return Card(
            title,
            model_config(self.model),
            parameters(self.model),
            f'table = ar.Table.load("{name}")',
            **{"about": self.summary, "schema": str(self.schema), **known},
        )

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Restores a saved table.

        Args:
            folder: the folder; or "penguins", a bundled model of the Palmer penguins, unless there
                is a folder of that name; or "hub:owner/name" on the Hugging Face Hub.

        Raises:
            ValueError: the folder holds no table, or it is damaged.
        """
        folder = folder_of(folder)
        path = folder / SCHEMA
        schema, model = Schema.read(path), load(folder)
        levels = tuple(column.levels for column in schema.columns)
        if not isinstance(model, MADE) or model.symbols.levels != levels:
            raise ValueError(f"{path} does not describe the model beside it")
        return cls(schema, model)

    # Measuring

    def log_prob(self, table: Any) -> Floats:
        """log p of the known cells of every row, (rows,) nats.

        Columns that the table lacks, or that the model does not learn, are no part of it.

        Raises:
            ValueError: the table cannot be read, or a cell cannot be one of its column.
        """
        parts = list[Floats]()
        for cells in row_groups(table):
            symbols, details = self._encode(cells)
            with torch.no_grad():
                parts.append(self.model.log_prob(symbols).cpu().numpy() + details.sum(1))
        return np.concatenate(parts)

    def log_unit(self, table: Any) -> Floats:
        """Logarithms of the resolutions of the known numbers of every row, summed, (rows,) nats."""
        symbols, _ = self._encode(as_cells(table))
        units = np.array([column.log_unit for column in self.schema.columns])
        return (symbols.numpy() >= 0).astype(np.float64) @ units

    def explain(self, table: Any) -> Explanation:
        """For every cell, how surprising it is given all the other known cells of its row."""
        symbols, details = self._encode(as_cells(table))
        columns, parts = self.schema.columns, list[Explanation]()
        for start in range(0, len(symbols), ROWS):
            x, own = symbols[start : start + ROWS], details[start : start + ROWS]
            found = Explanation.empty(columns, len(x))
            for dim, column in enumerate(columns):
                p = self._conditional(x, dim)
                found.put(dim, column, x[:, dim].numpy(), own[:, dim], p)
            parts.append(found)
        return Explanation.joined(parts)

    # Asking

    def distribution(self, column: str, given: Mapping[str, Any] | None = None) -> Distribution:
        """The exact distribution of a column's cell given others, the rest summed out."""
        dim = self._dim(column)
        x = self._evidence(given or {})
        if int(x[0, dim]) >= 0:
            raise ValueError(f"{column!r} is given and asked for")
        return Distribution(self.schema.columns[dim], self._conditional(x, dim)[0])

    def conditionals(self, column: str, table: Any) -> Floats:
        """The exact distributions of a column's symbol given the other known cells of each row.

        Returns:
            (rows, K), in the order of the symbols of ``schema.column(column)``.

        Raises:
            ValueError: the table cannot be read, or a cell cannot be one of its column.
        """
        symbols, _ = self._encode(as_cells(table))
        return self._conditional(symbols, self._dim(column))

    def probability(
        self, question: str, given: Mapping[str, Any] | None = None, *, seed: int = 0
    ) -> Answer:
        """The probability that a predicate holds for a row, given some of its cells.

        It is exact if the predicate is on one column, or the symbols of all but one of its columns
        have few combinations. Otherwise it is estimated by progressive sampling (Naru, Yang et
        al., 2020, arXiv 1905.04278), with its standard error.

        Args:
            question: comparisons of columns with values, joined by and, or, not.
            given: values of other columns, by name.

        Raises:
            ValueError: the question cannot be read, or a column or value is not known.
        """
        predicate = parse(question, self.schema)
        names = columns_of(predicate)
        x = self._evidence(given or {})
        dims = [self._dim(name) for name in names]
        for name, dim in zip(names, dims, strict=True):
            if int(x[0, dim]) >= 0:
                raise ValueError(f"{name!r} is given and asked for")
        if not listed(predicate):
            return self._draw_values(x, predicate, seed)
        # The column of most symbols last: it is summed over, at no cost.
        order = sorted(range(len(dims)), key=lambda i: self.schema.columns[dims[i]].levels)
        dims = [dims[i] for i in order]
        asked = Asked.of(predicate, [self.schema.columns[dim] for dim in dims])
        if asked.combinations <= ENUMERATED:
            return Answer(min(1.0, self._enumerate(x, dims, asked)))
        return self._draw_answer(x, dims, asked, torch.Generator().manual_seed(seed))

    def gaps(self, table: Any) -> dict[str, NDArray[np.bool_]]:
        """For every learnt column of a table, in which rows :meth:`impute` fills it in."""
        cells = as_cells(table)
        symbols, _ = self._encode(cells)
        missing = symbols.numpy() < 0
        return {n: missing[:, d] for d, n in enumerate(self.schema.names) if n in cells}

    def impute(self, table: Any, how: How = "mode", *, n: int | None = None, seed: int = 0) -> Any:
        """The table with its missing cells filled in, of the same kind as the one given.

        Args:
            how: "mode", the likeliest cell given the known ones of its row; "mean", for numbers
                their mean, for labels the likeliest; or "draw", drawn together from the model.
            n: for draws, the number of tables to fill in, each with draws of its own, returned as
                a list (multiple imputation); by default one, which is not in a list.
        """
        if n is not None:
            if how != "draw" or n < 1:
                raise ValueError(f'n is a number of draws, for how="draw", got n={n}, how={how!r}')
            return [self.impute(table, how, seed=seed + i) for i in range(n)]
        cells = as_cells(table)
        symbols, _ = self._encode(cells)
        rng = np.random.default_rng(seed)
        if how == "draw":
            chosen = self._complete(symbols, torch.Generator().manual_seed(seed)).numpy()
            unknown = symbols.numpy() < 0
            new = [
                column.decode(chosen[unknown[:, dim], dim], rng) if unknown[:, dim].any() else []
                for dim, column in enumerate(self.schema.columns)
            ]
        else:
            new = self._likeliest(symbols, how)
        texts: dict[str, Sequence[str | None]] = {}
        for dim, column in enumerate(self.schema.columns):
            rows = np.flatnonzero(symbols[:, dim].numpy() < 0)
            if column.name not in cells or len(rows) == 0:
                continue
            values = cells[column.name].values()  # as they were written
            for row, text in zip(rows.tolist(), new[dim], strict=True):
                values[row] = text
            texts[column.name] = values
        return filled(table, cells, {name: (texts[name], self.schema) for name in texts})

    def _likeliest(self, symbols: Tensor, how: How) -> list[list[str]]:
        """For each column the texts of its unknown cells: modes, or means of numbers."""
        texts: list[list[str]] = [[] for _ in self.schema.columns]
        for rows in symbols.split(ROWS):
            given = self._given_known(rows, range(self.model.dims))
            for column, p, own in zip(self.schema.columns, given, texts, strict=True):
                if isinstance(column, Labels) and column.levels > len(column.labels) > 0:
                    p[:, len(column.labels) :] = 0  # nobody can write "(other)" down
                if how == "mean" and isinstance(column, Numbers):
                    own += [column.text(n) for n in column.mean(p)]
                else:
                    own += column.typical(p.argmax(1))
        return texts

    def sample(
        self, count: int, given: Mapping[str, Any] | None = None, *, seed: int = 0, like: Any = None
    ) -> Any:
        """Draws rows of the learnt columns.

        Args:
            given: values of some columns, by name, the same for all rows.
            like: a DataFrame of the library in which the rows are wanted, or an array; by default
                a mapping from names to texts.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        x = self._evidence(given or {}).expand(count, -1)
        symbols = self._complete(x, torch.Generator().manual_seed(seed)).numpy()
        rng = np.random.default_rng(seed)
        texts = {
            column.name: column.decode(symbols[:, dim], rng)
            for dim, column in enumerate(self.schema.columns)
        }
        for name, value in (given or {}).items():
            texts[name] = [str(value)] * count
        return in_kind_of(like, texts, self.schema)

    # The symbols beneath

    def _encode(self, cells: Mapping[str, Cells]) -> tuple[Tensor, Floats]:
        """The symbols (rows, D), −1 where unknown, and log-probabilities of details (rows, D)."""
        if not set(cells) & set(self.schema.names):
            raise ValueError(f"the table has none of the columns {', '.join(self.schema.names)}")
        encoded = self.schema.encode(cells)
        symbols = np.stack([each.symbols for each in encoded], 1)
        return torch.from_numpy(symbols), np.stack([each.details for each in encoded], 1)

    def _dim(self, name: str) -> int:
        return self.schema.columns.index(self.schema.column(name))

    def _evidence(self, given: Mapping[str, Any]) -> Tensor:
        """(1, D): the symbols of given values, −1 elsewhere."""
        x = torch.full((1, len(self.schema.columns)), -1)
        for name, value in given.items():
            column = self.schema.column(name)
            cells = as_cells({name: [value]})[name]
            text = cells.texts[0] if cells.texts else None
            if isinstance(column, Labels) and text is not None and not column.knows(text):
                known = ", ".join(column.labels[:12]) + (", …" if len(column.labels) > 12 else "")
                raise ValueError(f"column {name!r} has no label {text!r}, only {known}")
            symbol = int(column.encode(cells).symbols[0])
            if symbol < 0 and value is not None:
                raise ValueError(f"column {name!r} has no value {value!r}")
            x[0, self._dim(name)] = symbol
        return x

    @torch.no_grad()
    def _conditional(self, x: Tensor, dim: int) -> Floats:
        """(rows, K): the distribution of one column given the known cells of each row but its own.

        Exact and normalised.
        """
        x = x.clone()
        x[:, dim] = -1
        return self._given_known(x, [dim])[0]

    @torch.no_grad()
    def _given_known(self, x: Tensor, dims: Sequence[int]) -> list[Floats]:
        """For each of some columns its distributions (n, K) in the n rows where it is unknown."""
        parts = list[list[Floats]]()
        most = max(self.model.symbols.levels[dim] for dim in dims)
        for rows in x.split(min(ROWS, max(1, PROBABILITIES // most))):
            each = self.model.given_known(rows.to(self.model.device), dims)
            tables = [conditional.table().cpu().numpy() for conditional in each]
            unknown = [rows[:, dim].numpy() < 0 for dim in dims]
            parts.append([table[own] for table, own in zip(tables, unknown, strict=True)])
        return [np.concatenate(own) for own in zip(*parts, strict=True)]

    @torch.no_grad()
    def _enumerate(self, x: Tensor, dims: Sequence[int], asked: Asked) -> float:
        """The exact probability, by enumerating all asked columns but the last."""
        *before, last = dims
        if not before:
            return float(self._conditional(x, last)[0] @ asked.holds(np.zeros((1, 0), int))[0])
        total = 0.0
        for chosen in asked.chunks(ROWS):
            rows, symbols = x.repeat(len(chosen), 1), asked.symbols(chosen)
            p = asked.shares(chosen)
            for place, dim in enumerate(before):
                own = np.take_along_axis(self._conditional(rows, dim), symbols[:, [place]], 1)
                p = p * own[:, 0]
                rows[:, dim] = torch.from_numpy(symbols[:, place])
            total += float((p * (self._conditional(rows, last) * asked.holds(chosen)).sum(1)).sum())
        return total

    @torch.no_grad()
    def _draw_answer(
        self, x: Tensor, dims: Sequence[int], asked: Asked, generator: torch.Generator
    ) -> Answer:
        """An unbiased estimate: all asked columns but the last are drawn, where they can hold."""
        *before, last = dims
        rows, weight = x.repeat(DRAWS, 1), np.ones(DRAWS)
        chosen = np.zeros((DRAWS, len(before)), int)
        for place, dim in enumerate(before):
            own = asked.pieces[place]
            table = torch.from_numpy(self._conditional(rows, dim))
            p = table[:, torch.from_numpy(own.symbols)] * torch.from_numpy(own.shares)
            weight *= p.sum(1).numpy()
            chosen[:, place] = torch.multinomial(p + 1e-300, 1, generator=generator)[:, 0].numpy()
            rows[:, dim] = torch.from_numpy(own.symbols[chosen[:, place]])
        each = weight * (self._conditional(rows, last) * asked.holds(chosen)).sum(1)
        value, error = float(each.mean()), float(each.std(ddof=1) / math.sqrt(DRAWS))
        if value == 0 and weight.any():
            error = 1 / DRAWS  # it held for no draw, which does not make it impossible
        return Answer(value, error if error > ROUNDING * value else 0.0)

    def _draw_values(self, x: Tensor, predicate: Predicate, seed: int) -> Answer:
        """The share of rows, drawn with the given cells, for which it holds."""
        rows = self._complete(x.repeat(DRAWS, 1), torch.Generator().manual_seed(seed)).numpy()
        rng = np.random.default_rng(seed)
        values = dict[str, list[Any]]()
        for name in columns_of(predicate):
            column, dim = self.schema.column(name), self._dim(name)
            texts = column.decode(rows[:, dim], rng)
            values[name] = [column.missing if t is None else column.value(t) for t in texts]
        share = float(holds_for(predicate, values).mean())
        # As if it had held once more, and once more not: no share of draws is certain.
        smoothed = (share * DRAWS + 1) / (DRAWS + 2)
        return Answer(share, math.sqrt(smoothed * (1 - smoothed) / DRAWS))

    @torch.no_grad()
    def _complete(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The rows with their unknown cells drawn from the model."""
        return self.model.complete(x.clamp(min=0), x >= 0, generator=generator).cpu()


def _keep(schema: Schema, run: Path, record: Mapping[str, Any]) -> None:
    """Writes the schema of a run that goes on, so that its best model so far can be asked."""
    if not (run / SCHEMA).exists():
        write_json(run / SCHEMA, schema.to_json())


def _symbols(schema: Schema, table: Any) -> Tensor:
    """The symbols (rows, D) of a table, −1 where unknown, in a small dtype."""
    dtype = np.int16 if max(column.levels for column in schema.columns) < 2**15 else np.int64
    return torch.from_numpy(
        np.concatenate([schema.symbols(part).astype(dtype) for part in row_groups(table)])
    )
