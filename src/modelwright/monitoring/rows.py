"""Rows of a window as they are compared: column by column, read as the model reads them, and nothing refused.

What would make a prediction fail (a column that is gone, another type) is what monitoring has to tell, so it is kept as a
fact here instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from modelwright.artifacts.model import Model
from modelwright.errors import ModelwrightError, SchemaError
from modelwright.monitoring.prediction_log import REDACTED
from modelwright.tables.conform import cells_and_values
from modelwright.tables.profile import answered, comparable
from modelwright.tables.schema import Task


@dataclass(frozen=True)
class WindowRows:
    """The rows of a window.

    Attributes
    ----------
    n_rows : int
    cells : dict of str to Series
        Of each column, as `profile.comparable` gives them; a column that is gone is not there.
    unreadable : dict of str to int
        Filled cells that are not of the column's type.
    unseen : tuple of str
        Columns whose values are not kept, so that nothing can be said of them.
    answers : ndarray of shape (n, n_classes), (n,) or None
        What the model said; None where it could not be asked.
    y : ndarray of shape (n,) or None
        Truth as numbers, NaN where it is not known; None where it is for no row.
    notes : tuple of str
    """

    n_rows: int
    cells: dict[str, pl.Series]
    unreadable: dict[str, int] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()
    answers: np.ndarray | None = None
    y: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def answered(self, task: Task, classes: Sequence[Any]) -> dict[str, pl.Series]:
        """The answers as columns."""
        return {} if self.answers is None else answered(self.answers, task, classes)


def rows_of_table(model: Model, frame: pl.DataFrame, y: np.ndarray | None = None) -> WindowRows:
    """Read rows, and ask the model where all its columns are there.

    Parameters
    ----------
    model : Model
    frame : DataFrame of n rows
        As read.
    y : ndarray of shape (n,), optional
        See `WindowRows`.
    """
    read = _read(model, frame)
    answers, notes = None, read.notes
    gone = [column.name for column in model.schema.features if column.name not in read.values]
    if gone:
        notes = (*notes, f"The model was not asked: {', '.join(map(repr, gone[:5]))} cannot be read.")
    elif frame.height:
        time = [column for column in model.schema.with_role("time") if column.name in frame.columns]
        try:
            values = read.values | {column.name: cells_and_values(frame, column)[1] for column in time}
            answers = model.raw_conformed(pl.DataFrame(values))
        except ModelwrightError as error:
            notes = (*notes, f"The model could not answer these rows: {error.what}")
    return WindowRows(frame.height, read.cells, read.unreadable, (), answers, y, notes)


def rows_of_log(
    model: Model, features: Sequence[dict[str, Any]], answers: np.ndarray, y: np.ndarray | None = None
) -> WindowRows:
    """Read rows that were answered already.

    Parameters
    ----------
    model : Model
    features : sequence of dict
        As they were sent.
    answers : ndarray of shape (n, n_classes) or (n,)
        As they were given.
    y : ndarray of shape (n,), optional
        See `WindowRows`.
    """
    names = list(dict.fromkeys(name for row in features for name in row))
    frame = pl.DataFrame([_column(name, [row.get(name) for row in features]) for name in names])
    hidden = tuple(name for name in names if REDACTED in (frame[name].first(), frame[name].last()))
    read = _read(model, frame, frozenset(hidden))
    notes = read.notes
    if hidden:
        notes = (*notes, f"Not kept in the log, and not judged: {', '.join(map(repr, hidden))}.")
    return WindowRows(len(features), read.cells, read.unreadable, hidden, answers, y, notes)


@dataclass(frozen=True)
class _Read:
    values: dict[str, pl.Series]
    cells: dict[str, pl.Series]
    unreadable: dict[str, int]
    notes: tuple[str, ...]


def _read(model: Model, frame: pl.DataFrame, hidden: frozenset[str] = frozenset()) -> _Read:
    notes: tuple[str, ...] = ()
    if model.derived is not None:
        try:
            frame = model.derived.apply(frame)
        except ModelwrightError as error:
            notes = (f"Derived columns could not be computed: {error.what}",)
    values: dict[str, pl.Series] = {}
    cells: dict[str, pl.Series] = {}
    unreadable: dict[str, int] = {}
    for column in model.schema.features:
        if column.name not in frame.columns or column.name in hidden:
            continue
        try:
            filled, read = cells_and_values(frame, column)
        except SchemaError:
            # Another type altogether: every filled cell is one that cannot be read.
            given = frame[column.name]
            unreadable[column.name] = len(given) - given.null_count()
            empty = pl.DataFrame({column.name: pl.Series([None] * len(given), dtype=_DTYPES.get(column.type, pl.String))})
            found = comparable(empty, column)
        else:
            values[column.name] = read
            unreadable[column.name] = int((filled.is_not_null() & read.is_null()).sum())
            found = comparable(pl.DataFrame({column.name: read}), column)
        if found is not None:
            cells[column.name] = found
    return _Read(values, cells, unreadable, notes)


_DTYPES: Mapping[str, Any] = {"number": pl.Float64, "boolean": pl.Boolean, "datetime": pl.Datetime("us")}


def _column(name: str, values: list[Any]) -> pl.Series:
    """Cells of JSON as one column: of their type where all have it, else numbers or text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float}:
        return pl.Series(name, values, dtype=pl.Float64, strict=False)
    if len(kinds) == 1 and kinds <= {bool, str}:
        return pl.Series(name, values)
    return pl.Series(name, [None if value is None else _text(value) for value in values], dtype=pl.String)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
