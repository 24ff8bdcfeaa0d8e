"""Near copies among the rows, inside training and across into evaluation.

What is near is decided in `splits.near`: a copy given a little noise, not a neighbour in a dense table. Honest tables
hold some such pairs, so a crossing counts by its excess over what training rows have among themselves.
"""

from __future__ import annotations

import numpy as np

from modelwright.audit.context import Context
from modelwright.audit.finding import Finding, Severity

#: With fewer features than this, close rows are no surprise.
_MIN_FEATURES = 2
_MIN_ROWS, _MIN_CROSSING = 20, 3
#: Excess from which a crossing is no chance, with three standard deviations on top; and from which it is critical.
_EXCESS, _CRITICAL_EXCESS = 0.01, 0.05


def check(context: Context) -> list[Finding]:
    """Near copies of rows, told apart by whether they cross into the evaluation rows."""
    if len(context.present) < _MIN_FEATURES or context.n_rows < _MIN_ROWS or context.row_copies.frame.width < _MIN_FEATURES:
        return []
    copies = context.row_copies
    if not copies.near.n_near:
        return []
    findings = []
    n = copies.n_training
    if context.evaluation is not None:
        across = _across(context)
        findings += [across] if across else []
    near = has_near_copy(copies.near.units[:n], copies.exact[:n])
    if near.any():
        findings.append(_inside(context, near))
    return findings


def has_near_copy(units: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Rows whose unit holds a row that is not an exact copy."""
    n_units = int(units.max(initial=0)) + 1
    low = np.full(n_units, np.iinfo(np.int64).max)
    high = np.full(n_units, -1, dtype=np.int64)
    np.minimum.at(low, units, exact)
    np.maximum.at(high, units, exact)
    return np.asarray((low != high)[units])


def excess_bar(share: float, m: int, n: int) -> float:
    """Excess of m rows over a share seen among n that chance hardly reaches: a hundredth and three standard deviations."""
    p = min(max(share, 1 / max(1, m)), 0.5)
    return _EXCESS + 3 * float(np.sqrt(p * (1 - p) * (1 / max(1, m) + 1 / max(1, n))))


def evaluation_numbers(context: Context, positions: np.ndarray) -> tuple[int, ...]:
    """Row numbers of evaluation rows in the table as read; none if they are of a table of their own."""
    if context.evaluation_rows is None:
        return ()
    return tuple(int(row) for row in context.evaluation_rows[positions[:10]])


def _inside(context: Context, near: np.ndarray) -> Finding:
    rows = np.flatnonzero(near)
    return Finding(
        check="near_duplicate_rows",
        severity="info",
        message=f"{len(rows):,} of {len(near):,} rows are near copies of another training row.",
        rows=context.numbers_of(rows),
        evidence={"count": len(rows), "share": round(float(near.mean()), 4)},
        mend="Near copies are kept on one side of every random split. If they are one case stored twice, drop them.",
    )


def _across(context: Context) -> Finding | None:
    copies = context.row_copies
    units, exact = copies.near.units, copies.exact
    known = copies.crossing(exact)
    crossing = copies.crossing(units) & ~known
    # Exact copies are another finding: what counts is the share among the rows that are none.
    n_crossing, m = int(crossing.sum()), int((~known).sum())
    if not n_crossing:
        return None
    share, by_chance = n_crossing / m, copies.near_by_chance
    excess = share - by_chance
    severity: Severity = "info"
    if n_crossing >= _MIN_CROSSING and excess > excess_bar(by_chance, m, copies.n_training):
        severity = "critical" if excess >= _CRITICAL_EXCESS else "warning"
    return Finding(
        check="near_duplicates_across_split",
        severity=severity,
        message=f"{n_crossing:,} of {m:,} evaluation rows ({100 * share:.2g} %) are near copies of training rows; among "
        f"distinct training rows divided in the same way it is {100 * by_chance:.2g} %.",
        rows=evaluation_numbers(context, np.flatnonzero(crossing)),
        evidence={
            "count": n_crossing,
            "share": round(share, 4),
            "by_chance": round(by_chance, 4),
            "excess": round(excess, 4),
        },
        mend="The score would be that of recognising rows. Let the rows be divided here, which keeps near copies on one "
        "side, or drop them from the evaluation rows.",
    )
