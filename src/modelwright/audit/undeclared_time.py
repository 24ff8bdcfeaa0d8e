"""Rows in order of time, with no time declared.

A date is no proof: a birth date orders nothing. What counts is whether later rows are predicted worse from earlier ones
than from rows of all times, measured on the same rows with the same model.
"""

from __future__ import annotations

import numpy as np

from modelwright.audit.context import Context
from modelwright.audit.entities import entities
from modelwright.audit.finding import Cost, Finding, Fix, Severity
from modelwright.audit.refit import Drop
from modelwright.audit.sequence import forward_drop, walking_columns
from modelwright.audit.undeclared_group import LEAST_MEMORY, remembers
from modelwright.errors import DataError
from modelwright.splits.order import time_values

_MIN_ROWS = 100
#: Correlation of consecutive rows from which a column walks along the file, and how many must.
_WALK, _MIN_WALKING = 0.9, 2
#: Date columns that are tried at most.
_MOST_DATES = 2


def check(context: Context) -> list[Finding]:
    """A date column along which the target can be foretold less well than at random, or a file in such an order."""
    if context.y is None or not context.present or context.time is not None or context.n_rows < _MIN_ROWS:
        return []
    findings = []
    dates = [c for c in context.present if c.type == "datetime"][:_MOST_DATES]
    for column in dates:
        try:
            moment = time_values(context.frame[column.name])
        except DataError:
            continue  # cells that are no dates are the finding of another check
        findings.append(_dated(context, column.name, moment))
    found = [finding for finding in findings if finding is not None]
    if any(finding.severity == "warning" for finding in found):
        return found
    in_file = _in_file_order(context)
    return [*found, in_file] if in_file is not None else found


def _dated(context: Context, name: str, moment: np.ndarray) -> Finding | None:
    drop = forward_drop(context, moment)
    shown = drop is not None and drop.shown
    severity: Severity = "warning" if shown else "info"
    if shown and context.evaluation is not None and name in context.evaluation.columns:
        try:
            later = time_values(context.evaluation[name])
        except DataError:
            later = np.full(1, np.nan)
        if np.nanmin(later, initial=np.inf) >= np.nanmax(moment, initial=-np.inf):
            severity = "info"  # the rows came divided by a cut in time
    words = (
        "later rows are predicted worse from earlier ones" if shown else "later rows are predicted as well from earlier ones"
    )
    if drop is None:
        words = "too few rows to tell whether later ones differ"
    return Finding(
        check="undeclared_time",
        severity=severity,
        message=f"{name!r} holds dates and no time is declared; {words}.",
        columns=(name,),
        evidence={} if drop is None else _evidence(drop),
        mend=f"If the model will be asked about the future, set time = {name!r}: the latest rows are then sealed.",
        fix=Fix(time=name),
        cost=None if drop is None else _cost(drop),
    )


def _in_file_order(context: Context) -> Finding | None:
    walking = walking_columns(context, least=_WALK)
    if len(walking) < _MIN_WALKING:
        return None
    if context.group is None:
        found = entities(context, least_memory=LEAST_MEMORY)
        if any({e.name, *e.twins, *e.determined} & set(walking) for e in found if remembers(e)):
            return None  # the file is sorted by entity
    drop = forward_drop(context, context.rows.astype(np.float64))
    if drop is None or not drop.shown:
        return None
    shown = ", ".join(map(repr, walking[:4])) + (f" and {len(walking) - 4} more" if len(walking) > 4 else "")
    return Finding(
        check="undeclared_time",
        severity="warning",
        message=f"The rows lie in an order that {shown} follow, and later rows are predicted worse from earlier ones: "
        "it may be the order of time, and no time is declared.",
        evidence={"walking": walking[:20], **_evidence(drop)},
        mend="If the file is in order of time, add a column with the date, or the number of the row, and name it under time.",
        cost=_cost(drop),
    )


def _evidence(drop: Drop) -> dict[str, float]:
    return {"lost": round(drop.lost, 5), "lost_low": round(drop.low, 5), "lost_high": round(drop.high, 5)}


def _cost(drop: Drop) -> Cost:
    sentence = (
        f"{drop.title} on the latest third {drop.as_is:.4g} trained on rows of all times, {drop.mended:.4g} on earlier "
        f"rows only: {drop.lost:.3g} too good ({drop.low:.3g} to {drop.high:.3g})."
    )
    return Cost(metric=drop.metric, as_is=drop.as_is, mended=drop.mended, sentence=sentence)
