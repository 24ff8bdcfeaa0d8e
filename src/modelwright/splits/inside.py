"""Validation folds by the rule of the sealed split: what holds for evaluation rows holds for validation rows too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from modelwright.splits.cut import before, cut_values, is_panel
from modelwright.splits.folds import folds, n_folds_for
from modelwright.splits.near import NearUnits, near_units
from modelwright.splits.order import gap_length, time_values
from modelwright.splits.partition import Fold, Rule, Split
from modelwright.splits.seal import LONG, PASSES_IF_LONG, whole_units
from modelwright.splits.units import group_units
from modelwright.tables.schema import Task


def training_folds(
    raw: pl.DataFrame,
    split: Split,
    *,
    features: Sequence[str],
    y: np.ndarray | None,
    task: Task,
    time: str | None,
    group: str | None,
    gap: str | float | None = None,
    n_folds: int | None = None,
    seed: int = 0,
    units: NearUnits | None = None,
) -> list[Fold]:
    """Divide the training rows as the table was divided.

    Parameters
    ----------
    raw : DataFrame of n rows
        Training rows as read.
    split : Split
        The sealed split; where it sealed no rows of the table, the roles decide.
    features : sequence of str
        Columns whose equality makes two rows equal.
    y : ndarray of shape (n,), optional
    task : {"binary", "multiclass", "regression", "clustering"}
    time, group : str, optional
        Columns in these roles.
    gap : str or float, optional
    n_folds : int, optional
        None takes what the number of rows deserves.
    seed : int, default=0
    units : NearUnits, optional
        Exact and near copies among the training rows, where they are known.

    Returns
    -------
    list of Fold
        At least one. In time the latest window comes first: it trains on most rows, and is most like what comes.
    """
    n = raw.height
    rule = rule_within(raw, split, time, group, gap)
    ordered = rule in ("time", "group_time") and time is not None
    if units is None:
        units = near_units(raw, features, passes=PASSES_IF_LONG if n > LONG else None)
    together = units.units
    groups = group_units(raw[group]) if group is not None and rule in ("group", "group_time") else None
    if rule == "group" and groups is not None:
        together, groups = whole_units(groups, together), None
    found = folds(
        n,
        y=y,
        task=task,
        units=together,
        time_rank=time_values(raw[time]) if ordered and time is not None else None,
        n_folds=n_folds_for(n, ordered) if n_folds is None else n_folds,
        seed=seed,
        gap=gap_length(gap, raw[time]) if ordered and time is not None else 0.0,
        groups=groups if rule == "group_time" else None,
    )
    return found[::-1] if ordered else found


def rule_within(raw: pl.DataFrame, split: Split, time: str | None, group: str | None, gap: str | float | None = None) -> Rule:
    """The rule of the sealed split, or what the roles ask for where no row of the table is sealed."""
    return split.rule if split.rule not in ("external", "none") else rule_of(raw, time, group, gap)


def rule_of(raw: pl.DataFrame, time: str | None, group: str | None, gap: str | float | None = None) -> Rule:
    """The rule that the roles ask for where no row of the table is sealed."""
    if time is None:
        return "random" if group is None else "group"
    moment = time_values(raw[time])
    if group is None or len(np.unique(moment[~np.isnan(moment)])) < 2:
        return "time"
    cut = cut_values(moment, (0.2,))[0]
    panel = is_panel(before(moment, cut, gap_length(gap, raw[time])), moment >= cut, group_units(raw[group]))
    return "time" if panel else "group_time"
