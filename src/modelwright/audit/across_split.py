"""What crosses the split: copies of training rows, entities, and moments among the evaluation rows.

A split made here lets none of it cross; a table that came divided, or an evaluation table of its own, may.
"""

from __future__ import annotations

import numpy as np

from modelwright.audit.context import Context
from modelwright.audit.finding import Finding, Severity
from modelwright.audit.near_duplicates import evaluation_numbers, excess_bar
from modelwright.audit.row_copies import joined, shared
from modelwright.splits.units import equal_rows, group_units, low_information

_WARNING_SHARE, _CRITICAL_SHARE = 0.01, 0.05
#: Fewer rows than this are an accident.
_MIN_CROSSING = 3
_MIN_FEATURES = 2


def check(context: Context) -> list[Finding]:
    """Exact copies, entities of a declared group, and a declared time, on both sides of the split."""
    if context.evaluation is None or not context.evaluation.height:
        return []
    found = (_copies(context), _group(context), _time(context))
    return [finding for finding in found if finding is not None]


def _copies(context: Context) -> Finding | None:
    assert context.evaluation is not None
    copies = context.row_copies
    if copies.frame.width < _MIN_FEATURES:
        return None
    units = copies.exact
    crossing = copies.crossing(units)
    n_crossing, m = int(crossing.sum()), len(crossing)
    if not n_crossing:
        return None
    share, by_chance = n_crossing / m, copies.by_chance(units)
    excess, same = share - by_chance, share
    common = set(context.evaluation.columns) & set(context.frame.columns)
    placing = [c.name for c in context.schema.with_role("time", "group") if c.name in common and not c.known]
    if placing:
        # Equal measurements of two patients or two days are no copies unless they exceed chance.
        frame, n = joined(context, [*copies.frame.columns, *placing])
        placed = equal_rows(frame, frame.columns)
        same = float(shared(placed[:n], placed[n:]).mean())
    unusual = excess > excess_bar(by_chance, m, copies.n_training)
    few = low_information(units)
    severity: Severity = "info"
    if n_crossing >= _MIN_CROSSING and (unusual or (same >= _WARNING_SHARE and not few)):
        severity = "critical" if unusual and excess >= _CRITICAL_SHARE else "warning"
    chance = f"; among training rows divided in the same way it is {100 * by_chance:.2g} %" if by_chance else ""
    return Finding(
        check="duplicates_across_split",
        severity=severity,
        message=f"{n_crossing:,} of {m:,} evaluation rows ({100 * share:.2g} %) equal a training row in every feature{chance}.",
        rows=evaluation_numbers(context, np.flatnonzero(crossing)),
        evidence={
            "count": n_crossing,
            "share": round(share, 4),
            "by_chance": round(by_chance, 4),
            "excess": round(excess, 4),
        },
        mend="A model may know these rows by heart. Let the rows be divided here, which keeps equal rows on one side, or "
        "drop them from the evaluation rows.",
    )


def _group(context: Context) -> Finding | None:
    name = context.group_name
    if name is None or context.evaluation is None or name not in context.evaluation.columns:
        return None
    crossing = entities_crossing(context, name)
    n_crossing, m = int(crossing.sum()), len(crossing)
    if not n_crossing:
        return None
    later = is_clean_cut(context)
    severity: Severity = "info" if later else "critical" if n_crossing / m >= _WARNING_SHARE else "warning"
    return Finding(
        check="group_overlap",
        severity=severity,
        message=f"{n_crossing:,} of {m:,} evaluation rows ({100 * n_crossing / m:.2g} %) are of an entity of {name!r} that "
        f"training has seen{', all at a later time' if later else ''}.",
        columns=(name,),
        rows=evaluation_numbers(context, np.flatnonzero(crossing)),
        evidence={"count": n_crossing, "share": round(n_crossing / m, 4)},
        mend="That is right if the model will be asked about entities that it knows. If it will meet new ones, divide the rows "
        f"by {name!r}.",
    )


def entities_crossing(context: Context, name: str) -> np.ndarray:
    """Which evaluation rows have a value of a column that a training row has; gaps never do."""
    assert context.evaluation is not None
    frame, n = joined(context, [name])
    units = group_units(frame[name])
    return shared(units[:n], units[n:])


def _time(context: Context) -> Finding | None:
    training, evaluation = context.time, context.evaluation_time
    if training is None or evaluation is None:
        return None
    training, later = training[~np.isnan(training)], evaluation[~np.isnan(evaluation)]
    if not len(training) or not len(later):
        return None
    last = float(training.max())
    early = np.flatnonzero(evaluation < last)
    # One late row of training makes all others early: what must move is the smaller of the two sides.
    n_future = int((training > float(later.min())).sum())
    misplaced = min(len(early), n_future)
    if not misplaced:
        return None
    share = misplaced / len(later)
    severity: Severity = "critical" if share >= _CRITICAL_SHARE else "warning"
    name = next(c.name for c in context.schema.with_role("time"))
    return Finding(
        check="time_overlap",
        severity=severity,
        message=f"{len(early):,} of {len(later):,} evaluation rows are earlier in {name!r} than the last training row, and "
        f"{n_future:,} training rows are later than the first evaluation row.",
        columns=(name,),
        rows=evaluation_numbers(context, early),
        evidence={"early_evaluation_rows": len(early), "late_training_rows": n_future, "share_misplaced": round(share, 4)},
        mend=f"Training knows the future of those rows. Divide the rows by {name!r}, or take the late rows out of training.",
    )


def is_clean_cut(context: Context) -> bool:
    """Whether all evaluation rows follow all training rows in time."""
    if context.time is None or context.evaluation_time is None:
        return False
    training, evaluation = context.time[~np.isnan(context.time)], context.evaluation_time[~np.isnan(context.evaluation_time)]
    return bool(len(training) and len(evaluation) and evaluation.min() >= training.max())
