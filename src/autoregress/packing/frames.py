"""Tables of typed columns (Parquet, Feather) as text, and back to the same cells and types.

A cell that is missing is an empty cell, any text is in quotes where it has to be. Columns whose
values would not come back from their texts are kept as they are, too.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from autoregress.archive.manifest import MOST, squeezed, unsqueezed
from autoregress.kinds import as_kind
from autoregress.packing.lines import read_lines
from autoregress.tables.frames import as_cells, read_file, typed_as

SUFFIXES = (".parquet", ".feather", ".arrow")
DAMAGED = "the compressed file is damaged: its rows are not those of its types"


def as_text(path: Path) -> tuple[Any, bytes, dict[str, Any]]:
    """A file as a table of pyarrow, as the text of its rows under a header, and what else it is.

    Raises:
        ValueError: it cannot be read, or two of its columns have one name.
        ImportError: pyarrow is not installed.
    """
    import pyarrow as pa

    table: Any = read_file(path).combine_chunks()  # pyright: ignore[reportAttributeAccessIssue]
    names = table.column_names
    if len(set(names)) < len(names):
        raise ValueError(f"{path}: two of its columns have the same name; rename one")
    texts = {name: _texts(table, name) for name in names}
    levels = {name: _levels(table[name]) for name in names}
    kept = [
        name
        for name in names
        if not _same(table[name], _values(texts[name], table.field(name), levels[name]))
    ]
    rows = zip(*texts.values(), strict=True)
    lines = [",".join(map(_quoted, names))]
    lines += [
        ",".join("" if cell is None else _quoted(cell) for cell in row) or " " for row in rows
    ]
    whole = io.BytesIO()
    with pa.ipc.new_stream(whole, table.select(kept).schema) as stream:
        stream.write_table(table.select(kept))
    content = {
        "types": _as_json(table.schema.serialize().to_pybytes()),
        "levels": {name: own for name, own in levels.items() if own is not None},
        "whole": _as_json(whole.getvalue()) if kept else None,
        "size": len(whole.getvalue()),
    }
    return table, "".join(f"{line}\n" for line in lines).encode(), content


def write(file: IO[bytes], suffix: str, text: str, content: Mapping[str, Any]) -> None:
    """Writes the table of :func:`as_text`; fewer rows if some were lost.

    Raises:
        ValueError: the content is damaged.
        ImportError: pyarrow is not installed.
    """
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet

    types, whole = (
        None if content.get(name) is None else as_kind(content[name], str, name)
        for name in ("types", "whole")
    )
    size = as_kind(content.get("size"), int, "size")
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(_of_json(types or "", MOST)))
        kept = {}
        if whole is not None:
            with pa.ipc.open_stream(_of_json(whole, size)) as stream:
                table = stream.read_all()
            kept = {name: table[name] for name in table.column_names}
        columns = _columns(text, len(schema))
        levels = as_kind(content.get("levels"), dict[str, list[str]], "levels")
        arrays = [
            kept[field.name]
            if field.name in kept
            else _values(texts, field, levels.get(field.name))
            for texts, field in zip(columns, schema, strict=True)
        ]
        if any(array is None for array in arrays):
            raise ValueError(DAMAGED)
        table = pa.Table.from_arrays(arrays, schema=schema)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(DAMAGED) from error
    if suffix == ".parquet":
        pyarrow.parquet.write_table(table, file)
    else:
        pyarrow.feather.write_feather(table, file)


def _texts(table: Any, name: str) -> list[str | None]:
    """The texts of a column: those that a model of tables reads, and of text itself."""
    import pyarrow as pa

    column = table[name]
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return [None if v is None else v.replace("\0", "") for v in column.to_pylist()]
    texts = as_cells(table.select([name]))[name].values()
    if pa.types.is_floating(kind):
        values = column.to_pylist()
        return [
            "nan" if value is not None and value != value else text
            for value, text in zip(values, texts, strict=True)
        ]
    return texts


def _values(texts: Sequence[str | None], field: Any, levels: Sequence[str] | None) -> Any:
    """Texts as values of a type, perhaps of categories; None if they are none."""
    import pyarrow as pa

    own = field.type
    if levels is not None:
        places = {text: place for place, text in enumerate(levels)}
        if not {None, *places} >= set(texts):
            return None
        index = [None if text is None else places[text] for text in texts]
        each = pa.array(index, own.index_type), pa.array(levels, own.value_type)
        return pa.DictionaryArray.from_arrays(*each, ordered=own.ordered)
    sources = {
        "whole": pa.types.is_integer(own),
        "float": pa.types.is_floating(own),
        "boolean": pa.types.is_boolean(own),
        "date": pa.types.is_date(own),
        "text": pa.types.is_string(own) or pa.types.is_large_string(own),
    }
    source = next((name for name, fits in sources.items() if fits), None)
    try:
        if source is None:
            array = pa.array(list(texts), pa.string()).cast(own)
        elif source == "float":
            array = pa.array(typed_as(source, texts), pa.float64(), from_pandas=False).cast(own)
        else:
            array = pa.array(typed_as(source, texts), own)
        return array
    except (pa.ArrowException, ValueError, OverflowError):
        return None


def _levels(column: Any) -> list[str] | None:
    """The texts that a column of categories may hold, None if it is of another kind."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type) or column.num_chunks != 1:
        return None
    kind, levels = column.type.value_type, column.chunk(0).dictionary
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)) or levels.null_count:
        return None
    return levels.to_pylist()


def _same(column: Any, other: Any) -> bool:
    """Whether values are the same to the bit, in the same type."""
    import pyarrow as pa

    if other is None or column.type != other.type or column.null_count != other.null_count:
        return False
    own = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_floating(column.type):
        if not own.is_null().equals(other.is_null()):
            return False
        size = f"u{column.type.bit_width // 8}"
        one, two = (
            np.ascontiguousarray(each.drop_null().to_numpy(zero_copy_only=False)).view(size)
            for each in (own, other)
        )
        return np.array_equal(one, two)
    return own.equals(other)


def _quoted(text: str) -> str:
    plain = text and not any(c in text for c in ',"\n\r') and text == text.strip()
    return text if plain else '"' + text.replace('"', '""') + '"'


def _unquoted(cell: str) -> str | None:
    if cell.startswith('"'):
        return cell[1:-1].replace('""', '"')
    return cell.strip(" ") or None


def _columns(text: str, width: int) -> list[Sequence[str | None]]:
    """The columns of rows of cells under a header."""
    rows = read_lines(text.encode(), ",", '"').cells[1:]
    cells = [[_unquoted(cell) for cell in row] for row in rows if row is not None]
    if len(cells) < len(rows) or any(len(row) != width for row in cells):
        raise ValueError(DAMAGED)
    return list(zip(*cells, strict=True)) if cells else [()] * width


def _as_json(content: bytes) -> str:
    return base64.b85encode(squeezed(content)).decode()


def _of_json(text: str, most: int) -> bytes:
    return unsqueezed(base64.b85decode(text), most)
