"""The target: which task it asks for, which rows carry it, and how its cells become numbers.

Classes keep the Python values that the table holds (text, integers, truth values), sorted as scikit-learn sorts
them, except that of two classes the positive one comes second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import polars as pl

from modelwright.errors import DataError, SpecError
from modelwright.tables.cells import FALSE_WORDS, TRUE_WORDS, label_of, label_text, stripped, without_declared
from modelwright.tables.names import nearest, words
from modelwright.tables.numeric import find_numbers, read_numbers
from modelwright.tables.schema import Task

#: Words that name the class of interest, beside the spellings of true.
_POSITIVE_WORDS = frozenset(TRUE_WORDS) | {"positive", "pos", "present", "case", "event"}
#: Words that name the class that is not of interest.
_NEGATIVE_WORDS = frozenset(FALSE_WORDS) | {
    "negative",
    "neg",
    "absent",
    "control",
    "normal",
    "healthy",
    "benign",
    "none",
    "never",
}
_NEGATIONS = ("un", "in", "im", "non", "not", "no", "dis")
_LABEL_WORDS = frozenset({"class", "label", "labels", "category", "species", "type", "kind", "cluster", "code", "digit"})
#: More text classes than this, mostly without repeats, are no classes.
_MAX_UNREPEATED = 100
#: Integers 0..9 or 1..10 are read as classes; more of them, or other starts, as amounts.
_MAX_CONSECUTIVE = 10


def labelled_rows(series: pl.Series, missing_values: Sequence[str | float] = ()) -> np.ndarray:
    """Positions of the rows that have a target value.

    Parameters
    ----------
    series : Series of length n
    missing_values : sequence
        Declared missing values of the target column.

    Returns
    -------
    ndarray of int64, ascending
        Blank, missing and NaN cells are left out; so are marks such as "?" in a column of numbers kept as text.

    Raises
    ------
    DataError
        If no row has one.
    """
    values = _values(series, missing_values)
    rows = values.is_not_null().arg_true().to_numpy().astype(np.int64)
    if not len(rows):
        raise DataError(
            "all its cells are missing.", where=f"target column {series.name!r}", mend="Name the column to predict."
        )
    return rows


def infer_task(values: pl.Series, task: str | None = None) -> tuple[Task, str]:
    """The task that a target column asks for.

    Parameters
    ----------
    values : Series
        The target column; missing cells are ignored.
    task : str, optional
        What the user said: "binary", "multiclass", "regression", or "classification" for either of the first two.

    Returns
    -------
    task : {"binary", "multiclass", "regression"}
    reason : str
        One sentence.

    Raises
    ------
    SpecError
        For an unknown task.
    DataError
        If the target cannot serve: constant, all missing, dates, mostly different texts, text under regression.
    """
    known = (*get_args(Task), "classification")
    if task is not None and task not in known:
        raise SpecError(f"{task!r} is not a task.", where="task", mend=f"Choose one of: {', '.join(known)}.")
    where = f"target column {values.name!r}"
    if task == "clustering":
        raise SpecError("clustering has no target.", where=where, mend="Leave out the target, or choose another task.")
    cells = _values(values).drop_nulls()
    n_rows, n_distinct = len(cells), cells.n_unique()
    if not n_rows:
        raise DataError("all its cells are missing.", where=where, mend="Name the column to predict.")
    if n_distinct == 1:
        raise DataError(
            f"all {n_rows} filled cells are {cells[0]!r}: there is nothing to learn.", where=where, mend="Name another target."
        )
    if cells.dtype.is_temporal() or not (cells.dtype.is_numeric() or cells.dtype in (pl.String, pl.Boolean)):
        raise DataError(
            f"cells of type {cells.dtype} cannot be predicted.",
            where=where,
            mend="Turn them into a number, such as days until the date.",
        )
    if task == "regression":
        if cells.dtype == pl.String:
            shown = ", ".join(repr(value) for value in cells.unique(maintain_order=True).head(3).to_list())
            raise DataError(
                f"regression needs numbers, and it holds text such as {shown}.",
                where=where,
                mend="Choose a classification task.",
            )
        return "regression", "Regression, as asked."
    classes: Task = "binary" if n_distinct == 2 else "multiclass"
    if task is not None:
        if task == "binary" and n_distinct != 2:
            raise DataError(
                f"binary needs two classes, and it has {n_distinct}.",
                where=where,
                mend='Set task = "multiclass" or "regression".',
            )
        _refuse_unrepeated(cells, n_rows, n_distinct, where)
        if task == "multiclass" and n_distinct == 2:
            return "binary", "Binary: multiclass was asked, and the target has two classes."
        return classes, f"{classes.capitalize()}, as asked: {n_distinct} classes."
    if n_distinct == 2:
        shown = " and ".join(str(value) for value in cells.unique().sort().to_list())
        return "binary", f"Binary: the target has two values, {shown}."
    if cells.dtype == pl.String:
        _refuse_unrepeated(cells, n_rows, n_distinct, where)
        return "multiclass", f"Multiclass: the target is text with {n_distinct} classes."
    return _numeric_task(cells, n_rows, n_distinct)


def encode_target(
    series: pl.Series,
    task: Task,
    positive: Any = None,
    *,
    classes: Sequence[Any] | None = None,
    missing_values: Sequence[str | float] = (),
) -> tuple[np.ndarray, list[Any]]:
    """Target cells as numbers.

    Parameters
    ----------
    series : Series of length n, without missing cells (see `labelled_rows`)
    task : {"binary", "multiclass", "regression"}
    positive : value or its text, optional
        The class of interest of a binary task. Without it the usual word for it (1, true, yes, positive) and
        else the later in sort order.
    classes : sequence, optional
        The classes of the model, for rows that come later; their order is kept. 7, 7.0 and "7" are one class.
    missing_values : sequence
        Declared missing values of the target column.

    Returns
    -------
    y : ndarray of shape (n,)
        float64 for regression; int64 class numbers otherwise.
    classes : list
        Empty for regression; otherwise str, int, float or bool as in the table.

    Raises
    ------
    DataError
        For missing or infinite cells, an unknown ``positive`` or an unknown class.
    """
    where = f"target column {series.name!r}"
    values = _values(series, missing_values)
    if values.null_count():
        rows = _rows(values.is_null())
        raise DataError(
            f"{values.null_count()} cells are missing ({rows}).", where=where, mend="Leave out rows without a target."
        )
    if task == "regression":
        return _encode_numbers(values, where), []
    if values.dtype.is_float() and values.is_infinite().any():
        raise DataError(f"infinite cells ({_rows(values.is_infinite())}).", where=where, mend="Leave them out or correct them.")
    if classes is not None:
        return _encode_known(values, classes, where), list(classes)
    found = _sorted_classes(values)
    if task == "binary":
        found = _positive_last(found, positive, where)
    return _encode_known(values, found, where), found


def renamed_class(series: pl.Series, y: np.ndarray, classes: Sequence[Any]) -> tuple[Any, Any] | None:
    """A cell of text that is not spelled as its class, and that class: blanks around it, or a number kept as text.

    Parameters
    ----------
    series : Series of length n
    y : ndarray of shape (n,)
        Class numbers of `encode_target`.
    classes : sequence
        Its classes; none for regression.
    """
    if series.dtype not in (pl.String, pl.Categorical, pl.Enum) or not classes:
        return None
    spelled = pl.DataFrame({"cell": series.cast(pl.String), "class": y}).unique(maintain_order=True)
    return next(((cell, classes[int(k)]) for cell, k in spelled.rows() if cell != classes[int(k)]), None)


def _values(series: pl.Series, missing_values: Sequence[str | float] = ()) -> pl.Series:
    """Target cells with everything missing as null, and numbers kept as text as numbers."""
    name = series.name
    values = series.cast(pl.String) if series.dtype in (pl.Categorical, pl.Enum, pl.Null) else series
    if values.dtype.is_decimal():
        values = values.cast(pl.Float64)
    expr = pl.col(name)
    if values.dtype == pl.String:
        expr = stripped(expr)
    elif values.dtype.is_float():
        expr = expr.fill_nan(None)
    values = (
        values.to_frame()
        .select(expr)
        .select(without_declared(pl.col(name), values.dtype, tuple(missing_values)))
        .to_series()
        .alias(name)
    )
    if values.dtype == pl.String and values.null_count() < len(values):
        numbers = find_numbers(values)
        # With few distinct values the texts may be classes, and a cell that is no number one of them.
        if numbers and not numbers.n_unread:
            values = read_numbers(values, numbers)
    if values.dtype.is_float() and values.null_count() < len(values):
        whole = values.to_frame().select(((pl.col(name) == pl.col(name).floor()) & (pl.col(name).abs() < 2.0**53)).all()).item()
        if whole:
            values = values.cast(pl.Int64)
    return values


def _numeric_task(cells: pl.Series, n_rows: int, n_distinct: int) -> tuple[Task, str]:
    """Classes or amounts, for numbers of three and more distinct values."""
    if cells.dtype.is_float():
        return "regression", f"Regression: the target is a number with decimals, {n_distinct} distinct values."
    low, high = int(cells.min()), int(cells.max())  # type: ignore[arg-type]
    repeated = n_rows >= 5 * n_distinct
    named = bool(set(words(cells.name)) & _LABEL_WORDS)
    if named and n_distinct <= 100 and repeated:
        return "multiclass", f"Multiclass: integers with {n_distinct} distinct values, and the name says they are classes."
    consecutive = high - low + 1 == n_distinct
    if consecutive and low in (0, 1) and n_distinct <= _MAX_CONSECUTIVE and repeated:
        return (
            "multiclass",
            f"Multiclass: the target holds the integers {low} to {high} only. "
            'If they measure an amount, set task = "regression".',
        )
    note = ' If they are classes, set task = "multiclass".' if n_distinct <= 20 else ""
    return "regression", f"Regression: the target holds integers with {n_distinct} distinct values from {low} to {high}.{note}"


def _refuse_unrepeated(cells: pl.Series, n_rows: int, n_distinct: int, where: str) -> None:
    """Classes must repeat: a target whose values are mostly different names rows, or is prose."""
    if n_distinct > _MAX_UNREPEATED and n_distinct > 0.5 * n_rows:
        raise DataError(
            f"{n_distinct} distinct values in {n_rows} rows are no classes.",
            where=where,
            mend='Name the right target column, or set task = "regression" if it measures an amount.',
        )


def _encode_numbers(values: pl.Series, where: str) -> np.ndarray:
    if not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        shown = repr(values[0])[:40]
        raise DataError(
            f"regression needs numbers, and it holds {values.dtype} such as {shown}.", where=where, mend="Choose another task."
        )
    y = values.cast(pl.Float64)
    infinite = y.is_infinite()
    if infinite.any():
        raise DataError(
            f"{int(infinite.sum())} infinite cells ({_rows(infinite)}).",
            where=where,
            mend="Leave these rows out or correct them.",
        )
    return y.to_numpy().astype(np.float64)


def _sorted_classes(values: pl.Series) -> list[Any]:
    return values.unique().sort().to_list()


def _positive_last(classes: list[Any], positive: Any, where: str) -> list[Any]:
    """The two classes with the positive one second."""
    if len(classes) != 2:
        shown = ", ".join(map(repr, classes[:5]))
        raise DataError(
            f"binary needs two classes, and it has {len(classes)} ({shown}).",
            where=where,
            mend="Choose another task or target.",
        )
    if positive is not None:
        spelled = [label_of(value) for value in classes]
        wanted = label_of(positive)
        if wanted not in spelled:
            lowered = [text.lower() for text in spelled]
            if wanted.lower() not in lowered:
                mend = f"Choose {classes[0]!r} or {classes[1]!r}."
                raise DataError(f"positive = {positive!r} is not one of its classes.", where=where, mend=mend)
            return classes if lowered.index(wanted.lower()) == 1 else classes[::-1]
        return classes if spelled.index(wanted) == 1 else classes[::-1]
    first, second = (label_of(value).lower() for value in classes)
    if any(second in (prefix + first, f"{prefix} {first}", f"{prefix}-{first}", f"{prefix}_{first}") for prefix in _NEGATIONS):
        return classes[::-1]
    return classes[::-1] if _of_interest(label_of(classes[0])) > _of_interest(label_of(classes[1])) else classes


def _of_interest(label: str) -> int:
    """1 for the usual words of the positive class, -1 for those of the other, 0 for all other words."""
    word = label.lower()
    return int(word in _POSITIVE_WORDS) - int(word in _NEGATIVE_WORDS)


def _encode_known(values: pl.Series, classes: Sequence[Any], where: str) -> np.ndarray:
    """Class numbers by the text of the label, so that 1, 1.0 and "1" are one class."""
    labels = values.to_frame().select(label_text(pl.col(values.name), values.dtype)).to_series()
    spelled = [label_of(value) for value in classes]
    codes = labels.replace_strict(spelled, list(range(len(spelled))), default=None, return_dtype=pl.Int64)
    unknown = codes.is_null()
    if unknown.any():
        found = labels.filter(unknown).unique(maintain_order=True)
        shown = ", ".join(repr(value) for value in found.head(3).to_list())
        raise DataError(
            f"{int(unknown.sum())} cells hold classes that the model does not know, such as {shown} ({_rows(unknown)}).",
            where=where,
            mend=nearest(found[0], spelled).replace("Columns:", "Known classes:"),
        )
    return codes.to_numpy().astype(np.int64)


def _rows(mask: pl.Series) -> str:
    """The first rows of a mask in words."""
    rows = mask.fill_null(False).arg_true().head(10).to_list()
    more = int(mask.sum() or 0) - len(rows)
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(map(str, rows))}" + (f" and {more} more" if more > 0 else "")
