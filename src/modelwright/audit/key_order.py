"""Keys whose order goes with the target: numbers given out after the outcome, or in its order.

A key is no feature by default. Its order still matters: it says that the table was numbered by what happened, and a
split or a join by key would carry that over. A key given in time order while the outcome drifts is found too.
"""

from __future__ import annotations

import numpy as np

from modelwright.audit.association import quantile_codes
from modelwright.audit.compared import Cells
from modelwright.audit.context import Context
from modelwright.audit.finding import Finding, Fix, Severity
from modelwright.audit.ties import Tie

#: Effect of the order from which a key carries the target, and how far beyond chance.
_MIN_EFFECT, _MIN_Z = 0.12, 6.0
#: A key that is not learned from does harm only where its order tells nearly all.
_STRONG = 0.9
_MIN_ROWS = 50


def check(context: Context) -> list[Finding]:
    """Near-unique columns whose order predicts the target."""
    if context.y is None or context.n_rows < _MIN_ROWS:
        return []
    compared = context.compared
    judged = {name for item in context.standings if item.severity for name in item.names}
    findings = []
    for name, cells in compared.cells.items():
        if name in judged or not _may_be_key(context, cells) or cells.order is None:
            continue
        views = [cells.order, quantile_codes(cells.order)]
        effect = max(compared.effect_of(view) for view in views)
        if effect <= max(_MIN_EFFECT, _MIN_Z * compared.noise) or not compared.beyond_chance(
            views, effect, len(compared.cells)
        ):
            continue
        others = set(compared.cells) - {name} - judged
        tie = context.ties.of_codes(quantile_codes(cells.order, 10), others)
        # A measure may well be different in every row; what marks a key is that it says nothing else.
        if cells.column.role == "id" or tie.missing:
            findings.append(_finding(cells, effect, tie))
    return findings


def _may_be_key(context: Context, cells: Cells) -> bool:
    """Identifiers, and features of whole numbers, dates or short text that are different in nearly every row."""
    if cells.column.role == "id":
        return True
    if not cells.near_unique or cells.column.type == "text":
        return False
    if cells.column.type == "datetime":
        return context.time is None
    if cells.words:
        return True
    filled = cells.order[~cells.missing] if cells.order is not None else np.zeros(0)
    return bool(len(filled)) and bool(np.all(filled == np.floor(filled)))


def _finding(cells: Cells, effect: float, tie: Tie) -> Finding:
    name = cells.name
    feature = cells.column.role != "id"
    severity: Severity = "critical" if feature or effect >= _STRONG else "warning"
    left_out = "" if feature else " It is left out as an identifier."
    return Finding(
        check="key_order",
        severity=severity,
        message=f"The order of {name!r}, which is different in nearly every row, goes with the target "
        f"(effect {effect:.2f} of at most 1).{left_out}",
        columns=(name,),
        evidence={
            "effect": round(effect, 4),
            "distinct": cells.n_distinct,
            **({"tie": round(tie.share, 4)} if tie.judged else {}),
        },
        mend="Was the key given out after the outcome, or in the order of time? List it under exclude; "
        "if it follows time, name the time column.",
        fix=Fix(exclude=(name,)),
    )
