"""Sealing the latest rows, and with them whole entities where entities come and go."""

from __future__ import annotations

import numpy as np
import polars as pl

from modelwright.errors import DataError
from modelwright.splits.cut import before, cut_values, earlier_copies, entities_apart, is_panel
from modelwright.splits.order import gap_length, time_values
from modelwright.splits.partition import Rule, Split
from modelwright.splits.units import group_units
from modelwright.splits.words import and_list, make_split, portion, without_group

#: With more rows without a time, the order of the others says too little about the table.
_MOST_UNTIMED = 0.5


def seal_by_time(
    time: pl.Series,
    group: pl.Series | None,
    *,
    rule: Rule | None,
    share: float,
    reserve: float,
    gap: str | float | None,
    copies: np.ndarray,
    seed: int,
) -> Split:
    """Seal the latest rows.

    Parameters
    ----------
    time, group : Series of length n
    rule : {"time", "group_time"} or None
        None keeps entities apart unless they go on through the cut, as stations and shops do.
    share, reserve : float
    gap : str, float or None
        Rows less than this before the cut are left out.
    copies : ndarray of shape (n,), int
        Units of exact and near copies.
    seed : int

    Returns
    -------
    Split
        Of rule "time" or "group_time".

    Raises
    ------
    DataError
        If too few rows have a time, all have the same, or the gap leaves none to train on.
    """
    moment = readable_times(time)
    timed = ~np.isnan(moment)
    length = gap_length(gap, time)
    groups = None if group is None else group_units(group)
    sealed_share, drawn_share = share + reserve, 1.0
    if rule == "group_time" and groups is not None:
        cut = cut_values(moment, (sealed_share,))[0]
        if is_panel(before(moment, cut, length), moment >= cut, groups):
            # Both ways of dividing take their part: a fifth of the rows is 45 % of the moments of 45 % of the entities.
            drawn_share = float(np.sqrt(sealed_share))
            sealed_share = drawn_share
    cut, second = cut_values(moment, (sealed_share, sealed_share * reserve / (share + reserve)))
    early, late = before(moment, cut, length), timed & (moment >= np.where(timed, cut, np.inf))
    if not (early & timed).any():
        raise DataError(
            f"The gap of {gap} leaves no row to train on: all {int((timed & ~late).sum()):,} rows before the evaluation"
            " lie within it.",
            where=f"column {time.name!r}",
            mend="Give a shorter gap, a smaller evaluation share, or rows from further back.",
        )
    in_gap = ~early & ~late
    training, evaluation = early, late
    apart = False
    if groups is not None:
        apart = rule == "group_time" or (rule is None and not is_panel(early, late, groups))
        if apart:
            training, evaluation = entities_apart(early, late, groups, drawn_share=drawn_share, seed=seed)
            _require_both(training & timed, evaluation, str(time.name), str(group.name) if group is not None else "")
    copied = earlier_copies(copies, moment, training, evaluation)
    reserved = evaluation & (moment >= second) if reserve else np.zeros(len(moment), dtype=bool)
    said = _Said(time, moment, gap, evaluation & ~reserved, reserved, in_gap)
    sentence = said.cut(drawn=drawn_share < 1)
    if group is not None and groups is not None:
        sentence += said.entities(group, groups, early & ~training, late & ~evaluation, training & ~copied, apart=apart)
    if copied.any():
        sentence += f" {int(copied.sum()):,} rows before the cut that repeat one just after it are left out."
    return make_split("group_time" if apart else "time", evaluation & ~reserved, sentence, reserved, training & ~copied)


def readable_times(time: pl.Series) -> np.ndarray:
    """`time_values`, refused where they order too few rows.

    Raises
    ------
    DataError
    """
    moment = time_values(time)
    where = f"column {time.name!r}"
    n, n_missing = len(moment), int(np.isnan(moment).sum())
    if n_missing == n:
        raise DataError(
            "All values of the time column are missing.", where=where, mend="Leave out the time option, or mend the column."
        )
    if n_missing > _MOST_UNTIMED * n:
        raise DataError(
            f"{n_missing:,} of {n:,} rows have no readable time, so it is unknown which rows are later.",
            where=where,
            mend="Fill in the times, drop the rows without one, or leave out the time option.",
        )
    if len(np.unique(moment[~np.isnan(moment)])) < 2:
        raise DataError(
            "All rows have the same time, so none are later than others.", where=where, mend="Leave out the time option."
        )
    return moment


class _Said:
    """What was done, in words."""

    def __init__(
        self,
        time: pl.Series,
        moment: np.ndarray,
        gap: str | float | None,
        evaluation: np.ndarray,
        reserved: np.ndarray,
        in_gap: np.ndarray,
    ) -> None:
        self.time, self.moment, self.gap = time, moment, gap
        self.evaluation, self.reserved, self.in_gap = evaluation, reserved, in_gap

    def cut(self, *, drawn: bool) -> str:
        name, n_untimed = repr(self.time.name), int(np.isnan(self.moment).sum())
        latest = "late" if drawn else "latest"
        if self.reserved.any():
            text = f"{portion(self.evaluation)} are sealed: those with {name} from {self._first(self.evaluation)} on,"
            text += f" up to the {latest} {portion(self.reserved)} from {self._first(self.reserved)} on, which are the reserve"
        else:
            text = f"The {latest} {portion(self.evaluation)} are sealed: those with {name} from"
            text += f" {self._first(self.evaluation)} on"
        text += "; all training rows are earlier"
        if self.in_gap.any():
            text += f" by at least {self.gap}: the {int(self.in_gap.sum()):,} rows of that gap are left out"
        if n_untimed:
            text += f"; the {n_untimed:,} without a time train"
        return text + "."

    def entities(
        self,
        group: pl.Series,
        groups: np.ndarray,
        early_out: np.ndarray,
        late_out: np.ndarray,
        training: np.ndarray,
        *,
        apart: bool,
    ) -> str:
        name, sealed = repr(group.name), self.evaluation | self.reserved
        lone = without_group(group)
        if not apart:
            both = len(np.intersect1d(groups[sealed], groups[training]))
            return (
                f" {both:,} entities of {name} are on both sides, as their rows go on through the cut: the score is about"
                f" the future of known entities, and its uncertainty is counted by entity{lone}."
            )
        out = [f"{int(rows.sum()):,} {word} rows" for rows, word in ((early_out, "earlier"), (late_out, "later")) if rows.any()]
        text = f" No entity of {name} is on both sides"
        return text + (f": {and_list(out)} of entities of the other side are left out" if out else "") + lone + "."

    def _first(self, rows: np.ndarray) -> str:
        at = np.flatnonzero(rows)
        return str(self.time[int(at[np.argmin(self.moment[at])])]).removesuffix(" 00:00:00")


def _require_both(training: np.ndarray, evaluation: np.ndarray, time: str, group: str) -> None:
    if training.any() and evaluation.any():
        return
    raise DataError(
        f"No row is left to {'evaluate' if training.any() else 'train'} on that is of other entities of {group!r} and on the"
        f" right side of a cut in {time!r}.",
        where=f"columns {time!r} and {group!r}",
        mend='Use partition = "time" or partition = "group", so that only one of the two keeps rows apart.',
    )
