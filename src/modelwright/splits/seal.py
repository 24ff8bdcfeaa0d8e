"""The first split: which rows are sealed away before anything is learned.

The rule follows from the roles: a time column makes it a cut in time, else a group column keeps entities whole, else
rows are drawn at random, within classes where there are classes. Equal rows always stay on one side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from modelwright.errors import DataError
from modelwright.splits.draw import draw_rows
from modelwright.splits.order import time_values
from modelwright.splits.partition import Split
from modelwright.splits.units import equal_rows, group_units, low_information
from modelwright.tables.schema import Task

#: Fewer rows cannot be divided into rows to train, validate and evaluate on.
FEWEST_ROWS = 10
#: Without sealed rows, two rows to train and two to validate on.
FEWEST_ROWS_UNSEALED = 4


def require_rows(n: int, evaluation: object) -> None:
    """Refuse a table too short to train and evaluate on.

    Parameters
    ----------
    n : int
        Number of rows.
    evaluation : float, "none", or a table of its own
        The option of that name; only a share takes evaluation rows from these rows.

    Raises
    ------
    DataError
    """
    sealed = isinstance(evaluation, float)
    needed = FEWEST_ROWS if sealed else FEWEST_ROWS_UNSEALED
    if n >= needed:
        return
    if n == 0:
        raise DataError("The table has no rows to learn from.", where="the table", mend=f"At least {needed} rows are needed.")
    what = "to train and evaluate on" if sealed else "to train on"
    less = f' With evaluation = "none", {FEWEST_ROWS_UNSEALED} are enough.' if sealed and n >= FEWEST_ROWS_UNSEALED else ""
    raise DataError(
        f"The table has {n} row{'s' if n > 1 else ''}, too few {what}.",
        where="the table",
        mend=f"At least {needed} rows are needed.{less}",
    )


def seal(
    frame: pl.DataFrame,
    *,
    y: np.ndarray | None,
    task: Task,
    time: pl.Series | None,
    group: pl.Series | None,
    share: float = 0.2,
    seed: int = 0,
    features: Sequence[str],
    classes: Sequence[Any] | None = None,
) -> Split:
    """Divide the rows of a table into training and sealed evaluation rows.

    Parameters
    ----------
    frame : DataFrame of n rows
        The table as read.
    y : ndarray of shape (n,), optional
        Targets: class numbers, or numbers; None for clustering.
    task : {"binary", "multiclass", "regression", "clustering"}
    time, group : Series of length n, optional
        The columns in these roles.
    share : float, default=0.2
        Share of the rows to seal.
    seed : int, default=0
    features : sequence of str
        Columns whose equality makes two rows equal.
    classes : sequence, optional
        Labels of the classes, for messages.

    Returns
    -------
    Split

    Raises
    ------
    DataError
        If all rows are equal, a class has a single row, there is one group or one moment, or one side would lack a
        class that it needs.
    """
    n = frame.height
    require_rows(n, share)
    codes = y if task in ("binary", "multiclass") else None
    if codes is not None:
        _require_two_of_each(codes, classes)
    units = equal_rows(frame, features)
    if features and int(units.max()) == 0:
        raise DataError(
            f"All {n:,} rows duplicate the first one in every feature.",
            where="the table",
            mend="There is nothing to learn from equal rows; add columns, or check how the table was made.",
        )
    if time is not None:
        split = _by_time(time, group, share)
    elif group is not None:
        split = _by_group(group, codes, share, seed)
    else:
        split = _at_random(units, codes, share, seed)
    if codes is not None:
        _require_classes(split, codes, task, classes)
    return split


def _by_time(time: pl.Series, group: pl.Series | None, share: float) -> Split:
    moment = time_values(time)
    timed = np.flatnonzero(~np.isnan(moment))
    where = f"column {time.name!r}"
    if not len(timed):
        raise DataError(
            "All values of the time column are missing.", where=where, mend="Leave out the time option, or mend the column."
        )
    values, counts = np.unique(moment[timed], return_counts=True)
    if len(values) < 2:
        raise DataError(
            "All rows have the same time, so none are later than others.", where=where, mend="Leave out the time option."
        )
    later = len(timed) - np.cumsum(counts)[:-1]
    # The cut lies between two distinct values, so that rows of one moment stay together.
    cut = values[1 + int(np.argmin(np.abs(later - share * len(timed))))]
    sealed = np.zeros(len(moment), dtype=bool)
    sealed[timed] = moment[timed] >= cut
    first = time[int(timed[np.argmax(moment[timed] == cut)])]
    parts = [
        f"The latest {_portion(sealed)} are sealed: those with {time.name!r} from {str(first).removesuffix(' 00:00:00')} on;"
        " all other rows are earlier"
    ]
    n_missing = len(moment) - len(timed)
    if n_missing:
        parts.append(f"; the {n_missing:,} without a time train")
    if group is not None:
        parts.append(f". Entities of {group.name!r} may be on both sides, but all training rows are earlier")
    return _split("time", sealed, "".join(parts) + ".")


def _by_group(group: pl.Series, codes: np.ndarray | None, share: float, seed: int) -> Split:
    units = group_units(group)
    n_units = int(units.max()) + 1
    where = f"column {group.name!r}"
    if n_units < 2:
        raise DataError(
            f"All rows belong to one group, {group[0]!r}.",
            where=where,
            mend="Leave out the group option, or name another column.",
        )
    sealed = draw_rows(codes, units, share, seed)
    if not sealed.any():
        raise DataError(
            f"The {n_units} groups cannot be divided so that each side has rows of what it needs.",
            where=where,
            mend='Use evaluation = "none", or a table of its own for the evaluation.',
        )
    n_sealed = len(np.unique(units[sealed]))
    entities = f"all rows of {n_sealed:,} of {n_units:,} entities of {group.name!r}"
    return _split("group", sealed, f"{_portion(sealed)} are sealed: {entities}, drawn at random.")


def _at_random(units: np.ndarray, codes: np.ndarray | None, share: float, seed: int) -> Split:
    n = len(units)
    n_distinct = int(units.max()) + 1
    few = low_information(units)
    sealed = draw_rows(codes, np.arange(n) if few else units, share, seed)
    if not sealed.any() and not few:
        # One set of copies outweighs the rest; rows are all that can be drawn.
        few, sealed = True, draw_rows(codes, np.arange(n), share, seed)
    how = "drawn at random" if codes is None else "drawn at random within each class"
    sentence = f"{_portion(sealed)} are sealed, {how}"
    if few:
        sentence += f"; only {n_distinct:,} rows are distinct, so equal rows count as separate cases and may be on both sides"
    elif n_distinct < n:
        sentence += f"; the {n - n_distinct:,} rows that repeat another stay on its side"
    return _split("random" if codes is None else "stratified", sealed, sentence + ".")


def _split(rule: Any, sealed: np.ndarray, sentence: str) -> Split:
    return Split(rule, np.flatnonzero(~sealed).astype(np.int64), np.flatnonzero(sealed).astype(np.int64), sentence)


def _portion(sealed: np.ndarray) -> str:
    return f"{int(sealed.sum()):,} of {len(sealed):,} rows ({100 * sealed.mean():.3g} %)"


def _label(k: int, classes: Sequence[Any] | None) -> str:
    return repr(classes[k]) if classes is not None else f"number {k}"


def _require_two_of_each(codes: np.ndarray, classes: Sequence[Any] | None) -> None:
    single = np.flatnonzero(np.bincount(codes) == 1)
    if len(single):
        named = ", ".join(_label(int(k), classes) for k in single[:5]) + (", …" if len(single) > 5 else "")
        noun, verb = ("class", "has") if len(single) == 1 else ("classes", "have")
        raise DataError(
            f"The {noun} {named} {verb} a single row, which cannot both train and evaluate.",
            where="the target",
            mend='Merge rare classes, drop their rows, or use evaluation = "none".',
        )


def _require_classes(split: Split, codes: np.ndarray, task: Task, classes: Sequence[Any] | None) -> None:
    """Every class needs a training row; with two classes the evaluation needs both."""
    n_classes = int(codes.max()) + 1
    training = np.bincount(codes[split.training], minlength=n_classes)
    lost = np.flatnonzero((training == 0) & (np.bincount(codes) > 0))
    if len(lost):
        why = "occurs only after the cut in time" if split.rule == "time" else "has no training row"
        raise DataError(
            f"The class {_label(int(lost[0]), classes)} {why}, so it cannot be learned.",
            where="the target",
            mend="Merge or drop the class, choose another evaluation share, or leave out the role that divides the rows.",
        )
    if task == "binary":
        absent = np.flatnonzero(np.bincount(codes[split.evaluation], minlength=2) == 0)
        if len(absent):
            raise DataError(
                f"The {len(split.evaluation):,} evaluation rows would lack the class {_label(int(absent[0]), classes)}.",
                where="the target",
                mend='Seal a larger share, bring more rows of that class, or use evaluation = "none".',
            )
