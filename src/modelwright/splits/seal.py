"""The first split: which rows are sealed away before anything is learned.

The rule follows from the roles: a time column makes it a cut in time, which also keeps entities apart where they come
and go; else a group column keeps entities whole; else rows are drawn at random, within classes where there are
classes. Exact and near copies stay on one side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from modelwright.errors import DataError, SpecError
from modelwright.splits.by_time import seal_by_time
from modelwright.splits.draw import draw_rows
from modelwright.splits.near import NearUnits, near_units
from modelwright.splits.partition import Rule, Split
from modelwright.splits.units import by_first_appearance, group_units, merge_units
from modelwright.splits.words import and_list, class_label, make_split, portion, unknown_classes, without_group
from modelwright.tables.schema import Task

#: A score needs some rows.
FEWEST_SEALED = 2
#: Fewer rows cannot be divided into rows to train, validate and evaluate on.
FEWEST_ROWS = 10
#: Without sealed rows, two rows to train and two to validate on.
FEWEST_ROWS_UNSEALED = 4
#: In longer tables fewer grids look for near copies, so that sealing takes half a minute, not a whole one.
LONG, PASSES_IF_LONG = 2_000_000, 2
#: Entities joined by copied rows into more of the table than this stay single.
_MOST_JOINED = 0.1


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
    gap: str | float | None = None,
    reserve: float = 0.0,
    rule: Rule | None = None,
    units: NearUnits | None = None,
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
    gap : str or float, optional
        Length of time before the cut whose rows take no part; see `order.gap_length`.
    reserve : float, default=0
        Share of the rows to seal besides, by the same rule.
    rule : {"random", "group", "time", "group_time"}, optional
        None follows the roles.
    units : NearUnits, optional
        Exact and near copies, where they are known; None looks for them.

    Returns
    -------
    Split

    Raises
    ------
    DataError
        If all rows are equal, one of two classes has a single row, there is one group or one moment, the gap leaves nothing to
        train on, training rows would have a single class, or of two classes a sealed part would lack one.
    SpecError
        If the rule needs a column that is not given.
    """
    n = frame.height
    require_rows(n, share)
    _require_roles(rule, time, group)
    codes = y if task in ("binary", "multiclass") else None
    if codes is not None and task == "binary":
        _require_two_of_each(codes, classes)
    if group is not None and rule not in ("random", "time"):
        _require_groups(group)
    if units is None:
        units = near_units(frame, features, passes=PASSES_IF_LONG if n > LONG else None)
    if features and units.n_distinct == 1:
        raise DataError(
            f"All {n:,} rows duplicate the first one in every feature.",
            where="the table",
            mend="There is nothing to learn from equal rows; add columns, or check how the table was made.",
        )
    if time is not None and rule in (None, "time", "group_time"):
        split = seal_by_time(time, group, rule=rule, share=share, reserve=reserve, gap=gap, copies=units.units, seed=seed)
    elif group is not None and rule in (None, "group"):
        split = _by_group(group, units, codes, share, reserve, seed)
    else:
        split = _at_random(units, codes, share, reserve, seed)
    if len(split.evaluation) < FEWEST_SEALED:
        raise DataError(
            f"A share of {share:g} of {n:,} rows seals {len(split.evaluation)} rows, on which nothing can be measured.",
            where="evaluation",
            mend='Seal a larger share, or use evaluation = "none".',
        )
    if codes is not None:
        _require_both(split, codes, task, classes)
        sealed = np.concatenate([split.evaluation, split.reserve])
        split = replace(split, sentence=split.sentence + unknown_classes(codes[split.training], codes[sealed], classes))
    return split


def _by_group(group: pl.Series, copies: NearUnits, codes: np.ndarray | None, share: float, reserve: float, seed: int) -> Split:
    groups = group_units(group)
    n_groups = int(groups.max()) + 1
    units = whole_units(groups, copies.units)
    evaluation, reserved = _draw_both(codes, units, share, reserve, seed)
    if not evaluation.any() and units is not groups:
        units = groups  # entities that share copies outweigh the rest
        evaluation, reserved = _draw_both(codes, units, share, reserve, seed)
    if not evaluation.any() or (reserve and not reserved.any()):
        raise DataError(
            f"The {n_groups} groups cannot be divided so that each side has rows of what it needs.",
            where=f"column {group.name!r}",
            mend='Use evaluation = "none", or a table of its own for the evaluation.',
        )
    n_sealed = len(np.unique(groups[evaluation]))
    entities = f"all rows of {n_sealed:,} of {n_groups:,} entities of {group.name!r}"
    sentence = f"{portion(evaluation)} are sealed: {entities}, drawn at random"
    if int(units.max()) + 1 < n_groups:
        sentence += "; entities that share copied rows stay together"
    return make_split("group", evaluation, sentence + without_group(group) + _reserved(reserved) + ".", reserved)


def _at_random(copies: NearUnits, codes: np.ndarray | None, share: float, reserve: float, seed: int) -> Split:
    units = copies.units
    n = len(units)
    # Where few rows are possible equal ones are no copies, and every row is a unit.
    few = copies.n_distinct < n == int(units.max()) + 1
    evaluation, reserved = _draw_both(codes, units, share, reserve, seed)
    if not evaluation.any() and not few:
        # One set of copies outweighs the rest; rows are all that can be drawn.
        few = True
        evaluation, reserved = _draw_both(codes, np.arange(n), share, reserve, seed)
    how = "drawn at random" if codes is None else "drawn at random within each class"
    sentence = f"{portion(evaluation)} are sealed, {how}"
    repeats = [
        f"the row that {verb}s another" if count == 1 else f"the {count:,} rows that {verb} another"
        for count, verb in ((copies.n_exact, "repeat"), (copies.n_near, "nearly repeat"))
        if count
    ]
    if few:
        sentence += f"; only {copies.n_distinct:,} rows are distinct, so equal rows count as separate cases and may be on both"
        sentence += " sides"
    elif repeats:
        sentence += f"; {and_list(repeats)} {'stays' if copies.n_exact + copies.n_near == 1 else 'stay'} on its side"
    return make_split("random" if codes is None else "stratified", evaluation, sentence + _reserved(reserved) + ".", reserved)


def whole_units(groups: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Entities, joined where they share copied rows; entities alone where that would join too much of the table.

    Parameters
    ----------
    groups, copies : ndarray of shape (n,), int

    Returns
    -------
    ndarray of shape (n,), int64
        ``groups`` itself where nothing is joined.
    """
    merged = merge_units(groups, copies)
    if int(merged.max()) == int(groups.max()):
        return groups
    largest = max(int(np.bincount(groups).max()), int(_MOST_JOINED * len(groups)))
    return groups if int(np.bincount(merged).max()) > largest else merged


def _draw_both(
    codes: np.ndarray | None, units: np.ndarray, share: float, reserve: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Evaluation rows, and among the others the reserve."""
    evaluation = draw_rows(codes, units, share, seed)
    reserved = np.zeros(len(units), dtype=bool)
    if reserve and evaluation.any():
        rest = np.flatnonzero(~evaluation)
        inner = by_first_appearance(units[rest])
        part = None if codes is None else codes[rest]
        reserved[rest] = draw_rows(part, inner, reserve * len(units) / len(rest), seed + 1)
    return evaluation, reserved


def _reserved(reserved: np.ndarray) -> str:
    return f". {portion(reserved)} are the reserve, drawn in the same way" if reserved.any() else ""


def _require_roles(rule: Rule | None, time: pl.Series | None, group: pl.Series | None) -> None:
    needed = {"time": ("time",), "group": ("group",), "group_time": ("time", "group")}.get(rule or "", ())
    for role in needed:
        if (time if role == "time" else group) is None:
            raise SpecError(
                f"The rule {rule!r} needs a {role} column.",
                where="partition",
                mend=f"Name it with {role}, or leave the rule out.",
            )


def _require_groups(group: pl.Series) -> None:
    where = f"column {group.name!r}"
    if group.null_count() == len(group):
        raise DataError(
            "All values of the group column are missing.", where=where, mend="Leave out the group option, or mend the column."
        )
    if group.null_count() == 0 and group.n_unique() < 2:
        raise DataError(
            f"All rows belong to one group, {group[0]!r}.",
            where=where,
            mend="Leave out the group option, or name another column.",
        )


def _require_two_of_each(codes: np.ndarray, classes: Sequence[Any] | None) -> None:
    single = np.flatnonzero(np.bincount(codes) == 1)
    if len(single):
        raise DataError(
            f"The class {class_label(int(single[0]), classes)} has a single row, which cannot both train and evaluate.",
            where="the target",
            mend='Merge rare classes, drop their rows, or use evaluation = "none".',
        )


def _require_both(split: Split, codes: np.ndarray, task: Task, classes: Sequence[Any] | None) -> None:
    """Training rows need two classes at least; where there are two, each sealed part needs both."""
    n_classes = int(codes.max()) + 1
    training = np.bincount(codes[split.training], minlength=n_classes)
    lost = np.flatnonzero((training == 0) & (np.bincount(codes) > 0))
    if len(lost) and np.count_nonzero(training) < 2:
        why = "occurs only after the cut in time" if split.rule == "time" else "has no training row"
        raise DataError(
            f"The class {class_label(int(lost[0]), classes)} {why}, so it cannot be learned.",
            where="the target",
            mend="Merge or drop the class, choose another evaluation share, or leave out the role that divides the rows.",
        )
    if task != "binary":
        return
    for rows, name in ((split.evaluation, "evaluation"), (split.reserve, "reserve")):
        absent = np.flatnonzero(np.bincount(codes[rows], minlength=2) == 0)
        if len(rows) and len(absent):
            raise DataError(
                f"The {len(rows):,} {name} rows would lack the class {class_label(int(absent[0]), classes)}.",
                where="the target",
                mend='Seal a larger share, bring more rows of that class, or use evaluation = "none".',
            )
