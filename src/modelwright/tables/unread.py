"""Rows of a table with cells that a schema cannot read, each with the reason."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from modelwright.tables.conform import EXPECTED, cells_and_values, quoted
from modelwright.tables.schema import Column


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be read as the schema says.

    Attributes
    ----------
    row : int
        Place in the frame, counted from 0.
    column : str
        The first column, in the order of the schema, that cannot be read.
    reason : str
        Every such column with its expected type and what it holds.
    """

    row: int
    column: str
    reason: str


def unread_rows(frame: pl.DataFrame, columns: tuple[Column, ...]) -> list[BadRow]:
    """Rows with filled cells that cannot be read.

    Parameters
    ----------
    frame : DataFrame of n rows
    columns : tuple of Column
        What is read of it; all must be there.

    Returns
    -------
    list of BadRow
        In the order of the rows; empty cells are missing values and make no row bad.

    Raises
    ------
    SchemaError
        If a column holds a type that can never be read, such as dates where numbers are expected.
    """
    reasons: dict[int, list[tuple[str, str]]] = {}
    for column in columns:
        if column.type not in EXPECTED:
            continue  # every value is a label or a text
        dtype = frame.schema[column.name]
        if column.type == "number" and dtype.is_numeric():
            continue
        cells, values = cells_and_values(frame, column)
        lost = (cells.is_not_null() & values.is_null()).arg_true().to_list()
        written = f" written as {', '.join(column.formats[:3])}" if column.formats else ""
        for row in lost:
            text = f"expected {EXPECTED[column.type]}{written}, found {quoted(cells[row])}"
            reasons.setdefault(row, []).append((column.name, text))
    return [
        BadRow(row, found[0][0], "; ".join(f"column {name!r}: {text}" for name, text in found))
        for row, found in sorted(reasons.items())
    ]
