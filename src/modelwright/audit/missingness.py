"""Gaps that tell the target: whether a cell is filled may only be known after the outcome.

An honest gap that is known beforehand (no credit history) cannot be told from such a leak by the data, so a finding
is a question.
"""

from __future__ import annotations

from modelwright.audit.context import Context
from modelwright.audit.finding import Finding, Fix
from modelwright.audit.standing import Standing
from modelwright.audit.target_proxy import ties_in_numbers, ties_in_words

#: Effect from which gaps are worth a remark; gaps that stand out more are judged by `standing`.
_REMARK, _MIN_Z = 0.3, 6.0


def check(context: Context) -> list[Finding]:
    """Columns whose gaps go with the target; columns with the same gaps are named together."""
    return [
        _finding(context, item)
        for item in context.standings
        if item.gaps and (item.severity or item.effect >= max(_REMARK, _MIN_Z * context.compared.noise))
    ]


def _finding(context: Context, item: Standing) -> Finding:
    names = item.names
    shown = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    share = float(context.compared.gaps[names].mean())
    it, is_, them = ("it", "is", "it") if len(names) == 1 else ("they", "are", "them")
    return Finding(
        check="missingness_tells_target",
        severity=item.severity or "info",
        message=f"Whether {shown} {is_} filled goes with the target (effect {item.effect:.2f} of at most 1)"
        f"{ties_in_words(item)}. Is it known when you predict whether {it} will be filled?",
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
