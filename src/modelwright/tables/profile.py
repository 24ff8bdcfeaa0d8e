"""What rows looked like when the model was trained, in a size that does not grow with them.

A profile holds shares, never rows: for numbers the share of cells up to each of some hundred values, for labels their
counts. Windows of later rows are compared with it (`monitoring/drift.py`, `monitoring/quality.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl

from modelwright.tables.schema import Column, LogicalType, Task

#: Values at which the distribution of a number is kept; up to so many different ones it is kept whole.
KNOTS = 250
#: Labels whose counts are kept; what is rarer is counted together.
LEVELS = 500
#: Knots and levels of all columns together, and the fewest of one: a wide table is kept more coarsely.
_ALL_KNOTS, _FEWEST_KNOTS = 50_000, 50
#: Cells that are described at most; of more, rows are drawn evenly.
MOST_ROWS, _MOST_CELLS = 50_000, 20_000_000

#: Names of what is profiled besides the columns; no column can be named so in a conformed table of features.
PREDICTION, CONFIDENCE = "(prediction)", "(confidence)"


class Numbers(msgspec.Struct, frozen=True, tag="numbers"):
    """The distribution of the filled cells of a column of numbers, or of the lengths of its texts.

    ``shares[k]`` is the share of cells that are at most ``values[k]``; the last share is 1.
    """

    name: str
    n: int
    missing: int
    values: list[float]
    shares: list[float]
    mean: float
    sd: float
    #: Cells that hold the most frequent value.
    n_most: int
    of_length: bool = False


class Labels(msgspec.Struct, frozen=True, tag="labels"):
    """Counts of the filled cells of a column of labels, the most frequent first; ``rest`` are cells of the others."""

    name: str
    n: int
    missing: int
    levels: list[str]
    counts: list[int]
    rest: int = 0


ColumnProfile = Numbers | Labels


class Profile(msgspec.Struct, frozen=True):
    """What rows looked like, column by column, with the model's answers to them.

    ``importance`` has the importance of columns, as far as it is known; alarms are ordered by it.
    """

    n_rows: int
    columns: list[ColumnProfile]
    importance: dict[str, float] = {}


#: Types of columns that are compared, and as what; dates move on by themselves, identifiers never repeat.
_AS_NUMBERS: tuple[LogicalType, ...] = ("number",)
_AS_LABELS: tuple[LogicalType, ...] = ("category", "boolean")


def profile_of(
    frame: pl.DataFrame,
    columns: Sequence[Column],
    *,
    answers: np.ndarray | None = None,
    task: Task | None = None,
    classes: Sequence[Any] = (),
    importance: Mapping[str, float] | None = None,
) -> Profile:
    """Describe rows.

    Parameters
    ----------
    frame : DataFrame of n rows
        Rows that follow the schema (`tables.conform`).
    columns : sequence of Column
        Those to describe; dates and identifiers are left out.
    answers : ndarray of shape (n,) or (n, n_classes), optional
        What the model says of the rows (`Model.raw`); for rows that it was not fitted on, where that can be had.
    task : {"binary", "multiclass", "regression", "clustering"}, optional
    classes : sequence
        Labels in the order of the columns of ``answers``.
    importance : mapping of str to float, optional

    Returns
    -------
    Profile
    """
    n_rows, most = frame.height, max(min(MOST_ROWS, _MOST_CELLS // max(len(columns), 1)), 1_000)
    frame, answers = _evenly(frame, most), None if answers is None else _evenly(answers, most)
    share = min(max(_ALL_KNOTS // max(len(columns), 1), _FEWEST_KNOTS) / KNOTS, 1.0)
    knots, levels = int(share * KNOTS), int(share * LEVELS)
    described = [
        _describe(column.name, cells, knots, levels) for column in columns if (cells := comparable(frame, column)) is not None
    ]
    if answers is not None and task is not None:
        described += [_describe(name, cells, KNOTS, LEVELS) for name, cells in answered(answers, task, classes).items()]
    return Profile(n_rows, described, dict(importance or {}))


def _evenly(rows: Any, most: int) -> Any:
    """At most so many of the rows, evenly spread."""
    n = len(rows)
    return rows if n <= most else rows[np.linspace(0, n - 1, most).astype(np.int64)]


def comparable(frame: pl.DataFrame, column: Column) -> pl.Series | None:
    """The cells of a column as they are compared: numbers, lengths of texts, labels; None where they are not."""
    if column.name not in frame.columns:
        return None
    cells = frame[column.name]
    if column.type in _AS_NUMBERS:
        return cells.cast(pl.Float64)
    if column.type in _AS_LABELS:
        return cells.cast(pl.String)
    return cells.str.len_chars().cast(pl.Float64) if column.type == "text" else None


def answered(answers: np.ndarray, task: Task, classes: Sequence[Any]) -> dict[str, pl.Series]:
    """A model's answers as columns: the number, the probability of the positive class, or label and confidence."""
    if task == "regression":
        return {PREDICTION: pl.Series(answers, dtype=pl.Float64)}
    if task == "clustering":
        return {PREDICTION: pl.Series([str(number) for number in answers.tolist()], dtype=pl.String)}
    if task == "binary":
        return {PREDICTION: pl.Series(answers[:, 1], dtype=pl.Float64)}
    labels = np.array([str(label) for label in classes])[answers.argmax(axis=1)]
    return {
        PREDICTION: pl.Series(labels.tolist(), dtype=pl.String),
        CONFIDENCE: pl.Series(answers.max(axis=1), dtype=pl.Float64),
    }


def _describe(name: str, cells: pl.Series, knots: int, levels: int) -> ColumnProfile:
    if cells.dtype == pl.String:
        return _labels(name, cells, levels)
    return _numbers(name, cells, knots)


def _numbers(name: str, cells: pl.Series, knots: int) -> Numbers:
    filled = np.sort(cells.drop_nulls().drop_nans().to_numpy())
    filled = filled[np.isfinite(filled)]
    n = len(filled)
    if n == 0:
        return Numbers(name, 0, len(cells), [], [], 0.0, 0.0, 0)
    # The last cell of each run of equal ones: where the share steps.
    last = np.flatnonzero(np.append(filled[1:] != filled[:-1], True))
    n_most = int(np.diff(last, prepend=-1).max())
    if len(last) > knots:
        at = np.searchsorted(last, np.linspace(0, n - 1, knots).astype(np.int64))
        last = last[np.unique(at)]
    return Numbers(
        name=name,
        n=n,
        missing=len(cells) - n,
        values=filled[last].tolist(),
        shares=((last + 1) / n).tolist(),
        mean=float(filled.mean()),
        sd=float(filled.std()),
        n_most=n_most,
    )


def _labels(name: str, cells: pl.Series, most: int) -> Labels:
    filled = cells.drop_nulls()
    counted = filled.value_counts().sort(["count", filled.name or ""], descending=[True, False])
    levels, counts = counted[:, 0].to_list(), counted["count"].to_list()
    return Labels(name, len(filled), len(cells) - len(filled), levels[:most], counts[:most], sum(counts[most:]))
