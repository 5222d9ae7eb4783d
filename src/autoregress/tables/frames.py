"""Tables in and out: files, arrays, and DataFrames of pandas, polars and pyarrow."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoregress.tables.cells import Cells, Columns
from autoregress.tables.sheets import SHEETS, read_sheet
from autoregress.tables.texts import read_text

# Number of rows of a Parquet file read at once, and from about which kinds are inferred.
GROUP, SAMPLED = 2**16, 2**18
TEXTS = (".csv", ".tsv", ".txt")
READS = ".csv, .tsv, .txt (also .gz, .bz2, .xz, .zip), .xlsx, .parquet, .feather, .arrow"


def as_cells(table: Any) -> Columns:
    """The columns of a table, by name.

    Args:
        table: the path of a file; a DataFrame of pandas, polars or pyarrow (anything that
            narwhals takes); a mapping from names to sequences of values; or an array (rows,
            columns), whose columns are named x0, x1, ….

    Raises:
        ValueError: the file cannot be read, or the table is of another kind.
        ImportError: a package that reads such tables is not installed.
    """
    if isinstance(table, str | Path):
        table = read_file(table)
    if isinstance(table, np.ndarray):
        table = _by_name(table)
    if isinstance(table, Columns):
        columns = table
    elif isinstance(table, Mapping):
        columns = {str(name): _column(str(name), values) for name, values in table.items()}
    elif type(table).__module__.startswith("pyarrow"):
        columns = _from_arrow(table)
    else:
        columns = _from_frame(table)
    lengths = {len(cells) for cells in columns.values()}
    if len(lengths) > 1:
        raise ValueError(f"the columns have different numbers of rows: {sorted(lengths)}")
    if not columns or lengths == {0}:
        raise ValueError("the table has no rows")
    return columns if isinstance(columns, Columns) else Columns(columns)


def row_groups(table: Any) -> Iterator[Columns]:
    """A table in parts of at most GROUP rows if its file can be read so (Parquet), else whole."""
    if in_groups(table):
        yield from map(as_cells, _batches(Path(table), GROUP))
    else:
        yield as_cells(table)


def in_parts(table: Any, rows: int) -> Iterator[Any]:
    """A table in parts of at most that number of rows, each a table.

    A Parquet file is read a part at a time, and what :func:`as_cells` does is left to the caller.
    """
    if in_groups(table):
        yield from _batches(Path(table), rows)
        return
    cells = as_cells(table)
    for start in range(0, len(next(iter(cells.values()))), rows):
        yield Columns({n: own.some(start, start + rows) for n, own in cells.items()})


def _batches(path: Path, rows: int) -> Iterator[Any]:
    with _opened(_pyarrow("parquet"), path) as file:
        for batch in file.iter_batches(batch_size=rows):
            yield _pyarrow("").Table.from_batches([batch])


def some_rows(table: Any) -> Columns:
    """A table, or about SAMPLED rows of a larger Parquet file, in groups at equal distances."""
    if not in_groups(table):
        return as_cells(table)
    with _opened(_pyarrow("parquet"), Path(table)) as file:
        total = file.metadata.num_rows
    step = max(1, round(total / SAMPLED))
    batches = islice(_batches(Path(table), GROUP), None, None, step)
    parts = [as_cells(batch) for batch in batches]
    if not parts:
        raise ValueError("the table has no rows")
    if len(parts) == 1:
        return parts[0]
    first, *rest = parts
    found = Columns({n: own.joined([part[n] for part in rest]) for n, own in first.items()})
    if step > 1:
        rows = len(next(iter(found.values())))
        found.said = f"{Path(table).name}: kinds inferred from {rows:,} of {total:,} rows"
    return found


def in_groups(table: Any) -> bool:
    """Whether a table is a file that is read a group of rows at a time."""
    return isinstance(table, str | Path) and Path(table).suffix.lower() == ".parquet"


def _opened(parquet: Any, path: Path) -> Any:
    if not path.exists():
        raise ValueError(f"no such file: {path}")
    try:
        return parquet.ParquetFile(path)
    except (_pyarrow("").ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error


def _pyarrow(module: str) -> Any:
    try:
        import pyarrow
        import pyarrow.feather
        import pyarrow.parquet
        import pyarrow.types
    except ImportError as error:
        raise ImportError("this table needs pyarrow: pip install 'autoregress[tables]'") from error
    return getattr(pyarrow, module) if module else pyarrow


def read_file(path: str | Path) -> Columns | Any:
    """The columns of a file of text or of a spreadsheet, or the table of a file of typed columns.

    Raises:
        ValueError: the file is missing, empty or damaged, or its format is not known.
        ImportError: pyarrow, or openpyxl, is not installed.
    """
    path = Path(path)
    if path.suffix.lower() in (".parquet", ".feather", ".arrow"):
        if not path.exists():
            raise ValueError(f"no such file: {path}")
        return _typed(path, path.suffix.lower())
    if path.suffix.lower() in SHEETS:
        return read_sheet(path)
    return read_text(path, content_of(path))


def _unzipped(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as folder:
        if len(folder.namelist()) != 1:
            raise ValueError("it does not hold one file; unzip it and name the table")
        return folder.read(folder.namelist()[0])


PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zip": _unzipped,
}
DAMAGED = (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile, lzma.LZMAError)


def is_text(path: Path) -> bool:
    """Whether a path is that of a text file of a table, also compressed."""
    name = path.with_suffix("") if path.suffix.lower() in PACKED else path
    return name.suffix.lower() in TEXTS


def content_of(path: Path) -> bytes:
    """The text of a file, decompressed.

    Raises:
        ValueError: the file is missing or damaged, or its format is not known.
    """
    if not path.exists():
        raise ValueError(f"no such file: {path}")
    if path.suffix.lower() in SHEETS:
        raise ValueError(f"{path} is a spreadsheet, which has no text: save it as .csv")
    if not is_text(path):
        raise ValueError(f"{path}: this format is not known; tables are {READS}")
    try:
        content, unpacked = path.read_bytes(), PACKED.get(path.suffix.lower())
        return content if unpacked is None else unpacked(content)
    except DAMAGED as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _typed(path: Path, suffix: str) -> Any:
    reader = _pyarrow("parquet" if suffix == ".parquet" else "feather")
    try:
        return reader.read_table(path)
    except (_pyarrow("").ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error


def _from_frame(frame: Any) -> dict[str, Cells]:
    try:
        import narwhals.stable.v2 as nw
    except ImportError as error:
        raise ImportError(
            "a DataFrame needs narwhals: pip install 'autoregress[tables]'"
        ) from error
    try:
        frame = nw.from_native(frame, eager_only=True)
    except TypeError as error:
        raise ValueError(
            f"a table is a path, a DataFrame or a mapping from names to values, not a "
            f"{type(frame).__name__}"
        ) from error
    columns = zip(frame.columns, frame.iter_columns(), strict=True)
    return {str(name): _column(str(name), column.to_list()) for name, column in columns}


def _from_arrow(table: Any) -> dict[str, Cells]:
    """The columns of a table of pyarrow: the work is that of their distinct values."""
    found = dict[str, Cells]()
    for name, column in zip(table.column_names, table.columns, strict=True):
        kinds = _pyarrow("types")
        if kinds.is_nested(column.type):
            found[name] = _column(name, column.to_pylist())
            continue
        if kinds.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        encoded = column.combine_chunks().dictionary_encode()
        distinct = _column(name, encoded.dictionary.to_pylist())
        places = encoded.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
        codes = np.append(distinct.codes, -1)[places]
        found[name] = Cells(name, distinct.texts, codes, distinct.source)
    return found


def _by_name(array: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The columns of an array (rows, columns)."""
    if array.ndim != 2:
        raise ValueError(f"an array is a table if it is (rows, columns), not {array.shape}")
    return {f"x{place}": column for place, column in enumerate(array.T)}


def _column(name: str, values: Any) -> Cells:
    """The cells of values of any common types, each as the text it would be written as."""
    if isinstance(values, Cells):
        return values
    if isinstance(values, np.ndarray):
        values = values.tolist()
    values = list(values)
    kinds = {type(value) for value in values if not _missing(value)}
    source = _source(kinds)
    return Cells.of(name, [None if _missing(v) else _text(v, source) for v in values], source)


def _source(kinds: set[type]) -> str:
    names = {kind.__name__ for kind in kinds}
    if names and names <= {"bool", "bool_"}:
        return "boolean"
    if names and names <= {"int", "int64", "int32", "uint8"}:
        return "whole"
    if names and names <= {"Decimal"}:
        return "decimal"
    if names and names <= {"int", "int64", "float", "float64", "float32", "Decimal"}:
        return "float"
    if names and names <= {"date"}:
        return "date"
    if names and names <= {"datetime", "Timestamp"}:
        return "time"
    return "text"


def _text(value: Any, source: str) -> str:
    if source == "float" and float(value).is_integer() and abs(value) < 2**53:
        return str(int(value))
    if source == "decimal":
        return f"{value:f}"
    if source in ("date", "time"):
        return value.isoformat()
    return str(value)


def _missing(value: Any) -> bool:
    # The text first: pandas' NA is not comparable, even with itself.
    return value is None or str(value) in ("NaT", "<NA>") or value != value


def filled(table: Any, cells: Mapping[str, Cells], texts: Mapping[str, Any]) -> Any:
    """The table with some of its columns replaced, of the same kind as the one given.

    Args:
        texts: for each replaced column the texts of its cells, and the schema.
    """
    if isinstance(table, str | Path | Mapping):
        return {
            name: list(texts[name][0]) if name in texts else own.values()
            for name, own in cells.items()
        }
    fills: dict[str, tuple[list[int], list[Any]]] = {}
    for name, (values, schema) in texts.items():
        pairs = zip(cells[name].values(), values, strict=True)
        rows = [row for row, (old, new) in enumerate(pairs) if old != new]
        own = cells[name].source if cells[name].texts else schema.column(name).stands_for
        new = [values[row] for row in rows]
        with suppress(ValueError):  # a label, among numbers
            new = typed_as(own, new)
        fills[name] = rows, new
    if isinstance(table, np.ndarray):
        # Texts of an array have a fixed width.
        full = table.astype(object) if table.dtype.kind == "U" else table.copy()
        for name, (rows, new) in fills.items():
            full[rows, list(cells).index(name)] = new
        return full
    if type(table).__module__.startswith("pyarrow"):
        return _filled_arrow(table, fills)
    import narwhals.stable.v2 as nw

    frame = nw.from_native(table, eager_only=True)
    columns = dict(zip(map(str, frame.columns), frame.iter_columns(), strict=True))
    series = []
    for name, (rows, new) in fills.items():
        if not rows:
            continue
        own, mixed = columns[name], columns[name].to_list()
        if own.dtype.is_numeric() or own.dtype.is_temporal() or own.dtype == nw.Boolean:
            fits = not any(isinstance(value, str) for value in new)
        else:  # a category can hold only what is one already
            fits = set(new) <= {value for value in mixed if isinstance(value, str)}
        if fits:
            found = nw.new_series(own.name, new, backend=frame.implementation)
            found = found.cast(own.dtype) if own.dtype.is_numeric() else found
            series.append(own.scatter(rows, found))
            continue
        for row, value in zip(rows, new, strict=True):
            mixed[row] = value
        series.append(nw.new_series(own.name, mixed, backend=frame.implementation))
    return nw.to_native(frame.with_columns(*series))


def _filled_arrow(table: Any, fills: Mapping[str, tuple[list[int], list[Any]]]) -> Any:
    """A table of pyarrow with new values in some rows of its columns."""
    for name, (rows, new) in fills.items():
        values = table[name].to_pylist()
        for row, value in zip(rows, new, strict=True):
            values[row] = value
        try:
            column = _pyarrow("").array(values, table[name].type)
        except (ValueError, TypeError):  # a label, among numbers
            column = _pyarrow("").array([None if v is None else str(v) for v in values])
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def in_kind_of(like: Any, texts: Mapping[str, Sequence[str | None]], schema: Any) -> Any:
    """Columns of texts as a table of the same kind as another; as they are without one.

    An array has NaN in the columns that the model does not learn.
    """
    if like is None:
        return dict(texts)
    columns = typed(texts, schema)
    if isinstance(like, np.ndarray):
        rows = len(next(iter(texts.values())))
        numeric = like.dtype.kind in "biuf"
        array = np.full((rows, len(schema.order)), np.nan, np.float64 if numeric else object)
        for name, values in columns.items():
            array[:, schema.order.index(name)] = np.array(values, array.dtype)  # NaN for None
        return array
    import narwhals.stable.v2 as nw

    frame = nw.from_native(like, eager_only=True)
    return nw.to_native(nw.from_dict(columns, backend=frame.implementation))


def typed(texts: Mapping[str, Sequence[str | None]], schema: Any) -> dict[str, list[Any]]:
    """Columns of texts as values of what they stand for."""
    return {name: typed_as(schema.column(name).stands_for, each) for name, each in texts.items()}


def typed_as(source: str, texts: Sequence[str | None]) -> list[Any]:
    """Texts as values of what they were read from."""
    make: dict[str, Callable[[str], Any]] = {
        "whole": lambda text: int(float(text)),
        "float": float,
        "decimal": Decimal,
        "boolean": lambda text: text == "True",
        "date": date.fromisoformat,
        "time": datetime.fromisoformat,
    }
    convert = make.get(source, str)
    return [None if text is None else convert(text) for text in texts]
