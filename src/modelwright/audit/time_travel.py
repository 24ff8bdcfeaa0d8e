"""Values from after the row's own time: timestamps that lie later, and cells that were not available yet.

Whether a later moment was *planned* (a due date) or *recorded* (the date of the outcome) cannot be told from the
cells, so a planned one has to be named under ``known``.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import binom, mannwhitneyu

from modelwright.audit.context import Context
from modelwright.audit.finding import Finding, Fix
from modelwright.audit.moments import Clock, clock, floored, grain, moments_of
from modelwright.errors import DataError
from modelwright.tables.names import nearest

#: Share of the filled cells above which later moments are no slips of the pen ...
_MIN_SHARE = 0.005
#: ... and fewer, from this many on, if they go with the target so well that chance hardly does it.
_MIN_ROWS, _MAX_P = 3, 1e-4
_HOUR = 3_600e6
#: Zones differ by whole quarters of an hour, by 14 hours at most; summer time makes two distances of one.
_ZONE_STEP, _ZONE_MOST, _ZONE_DISTANCES = _HOUR / 4, 14 * _HOUR, 3
#: Share of rows that must be filled, and of them later by such a distance, for a column to be the same moment in another zone.
_ZONE_SHARE = 0.98
_ORDER = {"": 0, "day": 1, "month": 2, "year": 3}


def check(context: Context) -> list[Finding]:
    """Columns whose moments, or whose declared availability, lie after the row's own time.

    Raises
    ------
    DataError
        If ``known`` or ``available`` name a column that the table does not hold.
    """
    _refuse_unknown(context)
    own = clock(context)
    if own is None:
        return []
    findings = []
    for column in context.schema.columns:
        if column.name in context.known or column.name not in context.frame.columns:
            continue
        if column.role not in ("feature", "id", "text"):
            continue
        found = moments_of(context, column, own)
        if found is not None:
            findings += _later(context, column.name, own, *found)
    for name, holder in context.available.items():
        column = context.schema[holder]
        found = None if name in context.known else moments_of(context, column, own)
        if found is not None and context.schema[name].role in ("feature", "text"):
            findings += _unavailable(context, name, holder, own, *found)
    return findings


def is_later(own: Clock, moments: np.ndarray, zoned: bool) -> np.ndarray:
    """Which moments lie after the row's own time for certain.

    Moments are compared on the coarser calendar step of the two, for a date without a clock may mean any time of its
    day; and with room for the zone where one of the two has none.
    """
    if not own.dates:
        return np.asarray(moments > own.moments)
    step = max(own.grain, grain(moments), key=_ORDER.__getitem__)
    room = _ZONE_MOST if zoned != own.zoned and not step else 0.0
    return np.asarray(floored(moments, step) > floored(own.moments, step) + room)


def _later(context: Context, name: str, own: Clock, moments: np.ndarray, zoned: bool) -> list[Finding]:
    later = is_later(own, moments, zoned)
    filled = ~np.isnan(moments) & ~np.isnan(own.moments)
    if later.sum() < _MIN_ROWS or _same_moment(own, moments, filled):
        return []
    share = float(later.sum() / filled.sum())
    p = _chance(context, later, filled)
    if share <= _MIN_SHARE and p > _MAX_P:
        return []
    rows = context.sample[later]
    delay = moments[later] - own.moments[later]
    evidence = {
        "later_share": round(share, 5),
        "later_rows": int(later.sum()),
        "filled_rows": int(filled.sum()),
        "median_delay": _spelled(float(np.median(delay)), own),
        "longest_delay": _spelled(float(delay.max()), own),
        "p_target": float(f"{p:.3g}"),
    }
    return [
        Finding(
            check="time_travel",
            severity="critical",
            message=f"{name!r} lies after {own.name!r}, the row's own time, in {100 * share:.2g} % of the filled rows "
            f"looked at ({evidence['median_delay']} later in the middle).",
            columns=(name,),
            rows=context.numbers_of(rows),
            evidence=evidence,
            mend=f"If it is recorded after the prediction is made, list it under exclude. If it was planned beforehand, "
            f'such as a due date, write known = ["{name}"].',
            fix=Fix(exclude=(name,)),
        )
    ]


def _unavailable(context: Context, name: str, holder: str, own: Clock, moments: np.ndarray, zoned: bool) -> list[Finding]:
    filled = context.sampled[name].is_not_null().to_numpy()
    late = is_later(own, moments, zoned) & filled
    if not late.any():
        return []
    delay = moments[late] - own.moments[late]
    median = _spelled(float(np.median(delay)), own)
    return [
        Finding(
            check="not_yet_available",
            severity="critical",
            message=f"By {holder!r}, the value of {name!r} was not known yet at the row's own time ({own.name!r}) in "
            f"{int(late.sum())} of {int(filled.sum())} filled rows looked at ({median} too early in the middle).",
            columns=(name,),
            rows=context.numbers_of(context.sample[late]),
            evidence={"late_rows": int(late.sum()), "filled_rows": int(filled.sum()), "median_delay": median},
            mend=f"List {name!r} under exclude, or hold for each row only what was known at its time.",
            fix=Fix(exclude=(name,)),
        )
    ]


def _same_moment(own: Clock, moments: np.ndarray, filled: np.ndarray) -> bool:
    """Whether the column tells the row's own time in another zone, or counts from another start."""
    apart = (moments - own.moments)[filled]
    if filled.mean() < _ZONE_SHARE:
        return False
    if not own.dates:
        return bool(np.all(apart == apart[0]))
    values, counts = np.unique(apart, return_counts=True)
    usual = values[np.argsort(-counts)[:_ZONE_DISTANCES]]
    zones = usual[(np.abs(usual) <= _ZONE_MOST) & (usual % _ZONE_STEP == 0)]
    return bool(np.isin(apart, zones).mean() >= _ZONE_SHARE)


def _chance(context: Context, later: np.ndarray, filled: np.ndarray) -> float:
    """How likely rows with later moments would differ this much in the target by chance, among the filled ones."""
    if context.y is None:
        return 1.0
    y = context.y[context.sample]
    if not (filled & ~later).any():
        filled = np.ones_like(filled)
    rest = filled & ~later
    if not rest.any():
        return 1.0
    if context.task == "regression":
        return float(mannwhitneyu(y[later], y[rest]).pvalue)
    codes = np.unique(y)
    chances = [binom.sf(int((y[later] == c).sum()) - 1, int(later.sum()), float(np.mean(y[filled] == c))) for c in codes]
    return min(1.0, float(min(chances)) * len(codes))


def _spelled(delay: float, own: Clock) -> str:
    if not own.dates:
        return f"{delay:g}"
    for unit, length in (("days", 24 * _HOUR), ("hours", _HOUR), ("minutes", _HOUR / 60), ("seconds", 1e6)):
        if delay >= 2 * length:
            return f"{delay / length:.3g} {unit}"
    return f"{delay / 1e6:.3g} seconds"


def _refuse_unknown(context: Context) -> None:
    """``known`` and ``available`` must name columns; a slip would silence the check."""
    names = [*(("known", name) for name in context.known)]
    for name, holder in context.available.items():
        names += [("available", name), ("available", holder)]
    for option, name in names:
        if name not in context.frame.columns:
            raise DataError(f"There is no column {name!r}.", where=option, mend=nearest(name, context.frame.columns))
    has_time = any(c.name in context.frame.columns for c in context.schema.with_role("time"))
    if names and not has_time:
        raise DataError(
            "Nothing says when a row happened.", where=names[0][0], mend="Name the column of the row's own time under time."
        )
