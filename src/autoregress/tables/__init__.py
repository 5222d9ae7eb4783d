"""Models of tables: typed columns, gaps, questions."""

from autoregress.tables.columns import Column, Dates, Labels, Numbers
from autoregress.tables.explanation import Explanation
from autoregress.tables.schema import LeftOut, Schema
from autoregress.tables.table import Answer, Distribution, Table

__all__ = [
    "Answer",
    "Column",
    "Dates",
    "Distribution",
    "Explanation",
    "Labels",
    "LeftOut",
    "Numbers",
    "Schema",
    "Table",
]
