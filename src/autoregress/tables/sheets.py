"""Tables in spreadsheets (.xlsx), by openpyxl."""

from __future__ import annotations

import warnings
from datetime import datetime, time
from pathlib import Path
from typing import Any

from autoregress.tables.cells import Columns
from autoregress.tables.texts import columns_of

SHEETS = (".xlsx", ".xlsm")
ERRORS = ("#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A")


def read_sheet(path: Path) -> Columns:
    """The columns of the first sheet that has cells, as if it had been written as text.

    Of a formula its last result is taken, and an error is a missing cell. Header and other lines
    are inferred as for text.

    Raises:
        ValueError: the file is missing, empty or damaged.
        ImportError: openpyxl is not installed.
    """
    try:
        import openpyxl
    except ImportError as error:
        raise ImportError(f"{path} needs openpyxl: pip install openpyxl") from error
    if not path.exists():
        raise ValueError(f"no such file: {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about parts of the file that are not cells
            book = openpyxl.load_workbook(path, data_only=True)
    except Exception as error:  # of whatever kind a damaged file gives rise to
        raise ValueError(f"{path} cannot be read: it is no spreadsheet, or damaged") from error
    for sheet in book.worksheets:
        rows = [[_text(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
        rows = [row for row in rows if any(row)]
        if rows:
            width = max(column + 1 for row in rows for column, cell in enumerate(row) if cell)
            several = [f"sheet {sheet.title!r} of {len(book.sheetnames)}"]
            said = several if len(book.sheetnames) > 1 else []
            return columns_of(path, [row[:width] for row in rows], said)
    raise ValueError(f"{path} is empty")


def _text(value: Any) -> str:
    """A cell as text; a time at midnight is a date."""
    if value is None or value in ERRORS:
        return ""
    if isinstance(value, datetime):
        return (value.date() if value.time() == time() else value).isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)
