"""Gaps that tell the target: whether a cell is filled may only be known after the outcome.

An honest gap that is known beforehand (no credit history) cannot be told from such a leak by the data, so a finding
is a question.
"""

from __future__ import annotations

import numpy as np

from modelwright.audit.context import Context
from modelwright.audit.finding import Finding, Fix
from modelwright.audit.standing import Standing
from modelwright.audit.target_proxy import ties_in_numbers, ties_in_words

#: Effect from which gaps are worth a remark; gaps that stand out more are judged by `standing`.
_REMARK, _MIN_Z = 0.3, 6.0
#: Gaps that single out one class exactly count from this share of the rows, on both sides.
_EXACT_SHARE = 0.1


def check(context: Context) -> list[Finding]:
    """Columns whose gaps go with the target; columns with the same gaps are named together."""
    findings = []
    for item in context.standings:
        if not item.gaps:
            continue
        only = _only_class(context, item)
        if item.severity or only is not None or item.effect >= max(_REMARK, _MIN_Z * context.compared.noise):
            findings.append(_finding(context, item, only))
    return findings


def _only_class(context: Context, item: Standing) -> tuple[bool, int] | None:
    """Whether cells are missing (or filled) in all rows of one class and in no other row; and the class.

    The effect is a mean over classes, which one class of many cannot lift.
    """
    if not context.compared.classification:
        return None
    y, mask = context.compared.y, context.compared.gaps[item.names]
    if not _EXACT_SHARE <= mask.mean() <= 1 - _EXACT_SHARE:
        return None
    for missing in (False, True):
        side = np.unique(y[mask == missing])
        if len(side) == 1 and not np.any(y[mask != missing] == side[0]):
            return missing, int(side[0])
    return None


def _finding(context: Context, item: Standing, only: tuple[bool, int] | None) -> Finding:
    names = item.names
    shown = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    share = float(context.compared.gaps[names].mean())
    it, is_, them = ("it", "is", "it") if len(names) == 1 else ("they", "are", "them")
    words = f"Whether {shown} {is_} filled goes with the target (effect {item.effect:.2f} of at most 1){ties_in_words(item)}"
    if only is not None:
        missing, code = only
        words = f"{shown} {is_} {'missing' if missing else 'filled'} in all rows of class {context.label(code)} and in no other"
    return Finding(
        check="missingness_tells_target",
        severity="critical" if only is not None else item.severity or "info",
        message=f"{words}. Is it known when you predict whether {it} will be filled?",
        columns=names,
        evidence={
            "effect": round(item.effect, 4),
            "share_missing": round(share, 4),
            "log_odds_lead": round(item.lead, 2),
            **ties_in_numbers(item),
        },
        mend=f"If {it} {is_} filled or left empty only after the outcome, list {them} under exclude.",
        fix=Fix(exclude=names),
    )
