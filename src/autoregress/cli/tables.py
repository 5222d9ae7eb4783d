"""Tables: training, and what only a table is asked."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import OmitArgPrefixes, Positional, UseAppendAction, arg

from autoregress.brief import counted
from autoregress.cli.output import announce
from autoregress.disk import check_folder, check_output, is_stream, replacing
from autoregress.training.options import Training

if TYPE_CHECKING:
    from autoregress.tables import Table

# Those that are left as they are here are chosen by Table.fit.
TRAINING = Training(lr=5e-3, schedule="cosine", weight_decay=0.2, patience=0, ema=0.99)
SCHEMA = "schema.json"
# Number of rows that a process scores or fills in at once.
PART = 2**12


@dataclass(frozen=True)
class TrainTable:
    """Learn a table; the same command resumes an interrupted run.

    autoregress train table --data people.csv --run runs/people

    Every column is used as what it is: a category, true or false, a number, a date; row numbers,
    identifiers, constants and free text are left out. What was found is printed, and can be
    changed by --kind. Empty cells are unknown.

    Args:
        data: A table: .csv, .tsv, .txt (also .gz, .bz2, .xz, .zip), .xlsx, .parquet, .feather.
        run: The run folder, for the schema, the best weights, log and last checkpoint.
        valid: A table of the same columns that chooses the epoch; by default a tenth of the rows.
        kind: Kind of a column, as NAME=KIND, instead of the inferred one: category, boolean,
            number, date, identifier, constant or text; may be repeated.
        absent: Column in which an empty cell is a value of its own, and not unknown; may be
            repeated.
        missing: Text that means that a cell is missing, as an empty cell does, instead of the usual
            ones (NA, ? and their like); may be repeated.
        schema: A schema.json of another run, perhaps edited, instead of inferring one.
    """

    data: Path
    run: Path
    valid: Path | None = None
    kind: UseAppendAction[tuple[str, ...]] = ()
    absent: UseAppendAction[tuple[str, ...]] = ()
    missing: UseAppendAction[tuple[str, ...]] = ()
    schema: Path | None = None
    training: OmitArgPrefixes[Training] = field(default_factory=lambda: TRAINING)

    def __call__(self) -> None:
        import torch

        from autoregress.processes import join
        from autoregress.tables import Schema, Table

        check_folder(self.run)
        if self.run.is_dir() and any(self.run.iterdir()) and not (self.run / "training").is_dir():
            raise ValueError(
                f"{self.run} is not empty and not the run of a table; give another folder"
            )
        torch.set_num_threads(1)  # a second one costs these small networks more than it does
        if self.schema is not None and (self.kind or self.absent or self.missing):
            raise ValueError(
                "--schema says the kinds of all columns; leave --kind, --absent and --missing"
            )
        schema = None if self.schema is None else Schema.read(self.schema)
        kinds: Any = dict(_pair(each, "--kind") for each in self.kind)
        table = Table.fit(
            self.data,
            schema=schema,
            kinds=kinds,
            absent=self.absent,
            missing=["", *self.missing] if self.missing else None,
            valid=self.valid,
            run=self.run,
            processes=join(),
            **{k: v for k, v in vars(self.training).items() if v != getattr(TRAINING, k)},
        )
        print(table.summary)
        print(f"next: autoregress score {self.run} TABLE --out scores.csv")


@dataclass(frozen=True)
class Impute:
    """Fill in the missing cells of a table.

    autoregress impute runs/people gaps.csv --out full.csv

    Args:
        run: The run folder of a table.
        data: A table with columns of the same names; others are carried through.
        out: The .csv to write, or of a .parquet also a .parquet. What was known stays as it was
            written, and columns keep their types.
        how: The likeliest cell given the known ones of its row; for numbers their mean; or cells
            drawn together from the model.
        draws: Number of draws, written one below another with a column "draw"; for --how draw.
        seed: Seed of the draws.
        marks: A .csv or .parquet in which to write, for every cell, whether it was filled in (1) or
            not (0).
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    data: Annotated[Positional[Path], arg(metavar="TABLE")]
    out: Path
    how: Literal["mode", "mean", "draw"] = "mode"
    draws: int | None = None
    seed: int = 0
    marks: Path | None = None

    def __call__(self) -> None:
        from autoregress.data.open import check_distinct
        from autoregress.tables.frames import in_groups

        for path in (self.out, *([self.marks] if self.marks else [])):
            _check_rows(path, parquet=path == self.marks or in_groups(self.data))
            check_output(path)
            check_distinct(path, self.data)
        if self.marks is not None and self.marks.absolute() == self.out.absolute():
            raise ValueError(f"--marks and --out are the same file {self.out}")
        table, filled = load_table(self.run), 0
        with (
            columns_to(self.out) as write,
            nullcontext(_nowhere) if self.marks is None else columns_to(self.marks) as write_marks,
        ):
            for draw in range(1, (self.draws or 1) + 1):
                for full, marks in self._parts(table, draw):
                    write(full if self.draws is None else {"draw": _all(draw, full), **full})
                    if draw == 1:
                        write_marks({name: own.astype(int).tolist() for name, own in marks.items()})
                        filled += sum(int(own.sum()) for own in marks.values())
        announce(f"{counted(filled, 'cell')} filled in, in {self.out}", self.out)

    def _parts(self, table: Table, draw: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Parts of the table filled in, and which cells were missing; each process does its own."""
        import numpy as np

        from autoregress.processes import join
        from autoregress.tables.frames import as_cells, in_parts

        def work(part: tuple[int, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
            number, rows = part
            cells = as_cells(rows)
            # The draws of a part do not depend on the number of processes.
            seed = np.random.SeedSequence([self.seed, draw, number]).generate_state(1)[0]
            typed = self.out.suffix.lower() == ".parquet"
            full = table.impute(rows if typed else cells, self.how, seed=int(seed))
            return dict(zip(cells, full.columns, strict=True)) if typed else full, table.gaps(cells)

        return join().in_turn(enumerate(in_parts(self.data, PART)), work)


def _nowhere(columns: Mapping[str, Sequence[Any]]) -> None:
    """Writes nothing."""


def _all(value: Any, columns: Mapping[str, Sequence[Any]]) -> list[Any]:
    """The same value for every row."""
    return [value] * len(next(iter(columns.values())))


@dataclass(frozen=True)
class Query:
    """The probability that something holds for a row of a table.

    autoregress query runs/people "age >= 60 and smoker == 'yes'" --given sex=female

    Args:
        run: The run folder of a table.
        question: Comparisons of columns with values, joined by and, or, not; the name of a column
            alone asks for its distribution. Names with spaces stand between backticks.
        given: A known cell, as NAME=VALUE; may be repeated.
        seed: Seed of the estimate, where the answer is not exact.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    question: Annotated[Positional[str], arg(metavar="QUESTION")]
    given: UseAppendAction[tuple[str, ...]] = ()
    seed: int = 0

    def __call__(self) -> None:
        table = load_table(self.run)
        given = dict(_pair(each, "--given") for each in self.given)
        if self.question in table.schema.names:
            print(table.distribution(self.question, given))
        else:
            print(table.probability(self.question, given, seed=self.seed))


def holds_table(run: Path) -> bool:
    """Whether a folder is the run of a table."""
    from autoregress.bundled import folder_of

    return (folder_of(run) / SCHEMA).is_file()


def refuse_for_table(run: Path, **given: bool) -> None:
    """Raises ValueError if an option is given that does not apply to the run of a table."""
    for name, is_given in given.items():
        if is_given:
            raise ValueError(f"{run} is the run of a table, to which --{name} does not apply")


def load_table(run: Path) -> Table:
    """The table in a run folder.

    Raises:
        ValueError: the folder holds none.
    """
    from autoregress.tables import Table

    if not holds_table(run):
        raise ValueError(f"{run} is not the run of a table; autoregress train table makes one")
    return Table.load(run)


def evaluate_table(run: Path, data: Path) -> None:
    """Prints the mean of −log p of the rows of a table, and the density in the columns' units."""
    import numpy as np

    from autoregress.tables.frames import as_cells

    table, cells = load_table(run), as_cells(data)
    nats = -table.log_prob(cells)
    said = f"{nats.mean():.4f} "
    if len(nats) > 1:
        said += f"± {nats.std(ddof=1) / np.sqrt(len(nats)):.4f} "
    print(f"{said}nats ({counted(len(nats), 'row')})")
    units = table.log_unit(cells)
    if units.any():
        print(f"{(nats + units).mean():.4f} nats as densities in the columns' own units")


def score_table(run: Path, data: Path, out: Path, top: int) -> None:
    """Writes log p of every row of a table, and its cells that fit the others least."""
    from autoregress.processes import join
    from autoregress.tables.frames import in_parts

    table, rows = load_table(run), 0
    with columns_to(out) as write:
        parts = join().in_turn(in_parts(data, PART), lambda part: _scores(table, part, top))
        for columns in parts:
            count = len(columns["log_prob"])
            write({"row": range(rows, rows + count), **columns})
            rows += count
    announce(f"scores of {counted(rows, 'row')} in {out}", out)


def _scores(table: Table, part: Any, top: int) -> dict[str, Any]:
    import numpy as np

    from autoregress.tables.frames import as_cells

    cells = as_cells(part)
    columns: dict[str, Any] = {"log_prob": table.log_prob(cells).round(6)}
    if top:
        found = table.explain(cells)
        order = np.where(np.isnan(found.p_value), np.inf, found.p_value).argsort(1)
        rows = np.arange(len(order))
        for place, dims in enumerate(order.T[:top], 1):
            p = found.p_value[rows, dims]
            columns[f"column_{place}"] = np.where(np.isnan(p), "", np.array(found.names)[dims])
            columns[f"p_value_{place}"] = np.array([float(f"{each:.4g}") for each in p])
            columns[f"expected_{place}"] = np.where(np.isnan(p), "", found.expected[rows, dims])
    return columns


def sample_table(run: Path, out: Path, count: int, given: Sequence[str], seed: int) -> None:
    """Writes rows drawn from a table."""
    from autoregress.tables.frames import typed

    _check_rows(out, parquet=True)
    check_output(out)
    table = load_table(run)
    drawn = table.sample(count, dict(_pair(g, "--given") for g in given), seed=seed)
    write_columns(out, typed(drawn, table.schema) if out.suffix.lower() == ".parquet" else drawn)
    announce(f"{counted(count, 'sample')} in {out}", out)


def _check_rows(out: Path, *, parquet: bool) -> None:
    ends = (".csv", ".csv.gz", ".parquet") if parquet else (".csv", ".csv.gz")
    if not out.name.lower().endswith(ends) and not is_stream(out):
        *others, last = ends
        raise ValueError(f"{out}: these rows are written as {', '.join(others)} or {last}")


def write_columns(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Writes columns as CSV, an empty cell for None."""
    with columns_to(path) as write:
        write(columns)


@contextmanager
def columns_to(path: Path) -> Iterator[Callable[[Mapping[str, Sequence[Any]]], None]]:
    """A function that writes columns as CSV or Parquet, below those of its last call.

    Of several processes, only the first one writes. A number that is NaN is an empty cell.
    """
    from autoregress.processes import join

    if not join().first:
        yield _nowhere
        return
    if path.suffix.lower() == ".parquet":
        with replacing(path) as file, _parquet_to(file) as write_parquet:
            yield write_parquet
        return
    packed = path.suffix.lower() == ".gz"
    with (
        replacing(path) as file,
        gzip.GzipFile(fileobj=file, mode="wb", mtime=0) if packed else nullcontext(file) as binary,
    ):
        rows, names = csv.writer(_Text(binary), lineterminator="\n"), list[str]()

        def write(columns: Mapping[str, Sequence[Any]]) -> None:
            if not names:
                names.extend(columns)
                rows.writerow(names)
            texts = ([("" if v != v else v) for v in own] for own in columns.values())
            rows.writerows(zip(*texts, strict=True))

        yield write


@contextmanager
def _parquet_to(file: Any) -> Iterator[Callable[[Mapping[str, Sequence[Any]]], None]]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError("a .parquet needs pyarrow: pip install 'autoregress[tables]'") from error
    with ExitStack() as stack:
        writers: list[Any] = []

        def write(columns: Mapping[str, Sequence[Any]]) -> None:
            part = pa.table(
                {
                    name: own
                    if isinstance(own, pa.ChunkedArray)
                    else pa.array(own, from_pandas=True)
                    for name, own in columns.items()
                }
            )
            if not writers:
                writers.append(stack.enter_context(parquet.ParquetWriter(file, part.schema)))
            writers[0].write_table(part)

        yield write


class _Text:
    """What csv writes to: a binary file that takes texts."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, text: str) -> None:
        self._file.write(text.encode())


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{option} takes NAME=VALUE, not {text!r}")
    return name.strip(), value.strip()


def schema_of(run: Path) -> str:
    """The schema of a run, as it is printed."""
    from autoregress.bundled import folder_of
    from autoregress.tables import Schema

    return str(Schema.read(folder_of(run) / SCHEMA))
