"""Models of tables: typed columns, gaps, questions."""

from autoregress.tables.answers import Answer, Distribution
from autoregress.tables.columns import Column, Labels
from autoregress.tables.dates import Dates
from autoregress.tables.explanation import Explanation
from autoregress.tables.numbers import Numbers
from autoregress.tables.schema import LeftOut, Schema
from autoregress.tables.table import Table

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
