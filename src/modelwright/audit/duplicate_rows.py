"""Rows that occur more than once, and equal rows with different targets.

Copies inside training are information: the split keeps them on one side. Copies that cross it are found in
`across_split`.
"""

from __future__ import annotations

import numpy as np

from modelwright.audit.context import Context
from modelwright.audit.finding import Finding

#: From this share of contradicting rows on, no model can be as good as the table seems to promise.
_WARNING_SHARE = 0.01
#: With fewer features than this, equal rows are no surprise.
_MIN_FEATURES = 2
_MAX_ROWS = 500_000


def check(context: Context) -> list[Finding]:
    """Exact duplicates over all features and the target, and conflicting labels."""
    names = [column.name for column in context.present]
    if len(names) < _MIN_FEATURES or context.n_rows < 2:
        return []
    # Equal measurements of two patients or two days are no copies.
    placing = [c.name for c in context.schema.with_role("time", "group") if c.name in context.frame.columns and not c.known]
    frame = context.frame.head(_MAX_ROWS)
    n = frame.height
    keys = frame.select(names).hash_rows(seed=0).to_numpy()
    whole = frame.select(names + placing).hash_rows(seed=0).to_numpy() if placing else keys
    findings = []
    if context.y is None:
        repeated = _repeats(whole)
    else:
        y = context.y[:n]
        _, labels = np.unique(y, return_inverse=True)
        # Features and target together; the golden ratio spreads label numbers over all 64 bits.
        repeated = _repeats(whole ^ (labels.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)))
        conflicts = _conflicts(keys, labels) if context.task != "regression" else np.zeros(0, dtype=np.int64)
        if len(conflicts):
            findings.append(
                Finding(
                    check="conflicting_labels",
                    severity="warning" if len(conflicts) > _WARNING_SHARE * n else "info",
                    message=f"{len(conflicts)} rows have the same features as another row but a different target.",
                    rows=context.numbers_of(conflicts),
                    evidence={"count": len(conflicts), "share": round(len(conflicts) / n, 4)},
                    mend="No model can tell them apart: a feature may be missing from the table, or labels may be wrong.",
                )
            )
    if len(repeated):
        findings.insert(
            0,
            Finding(
                check="duplicate_rows",
                severity="info",
                message=f"{len(repeated)} of {n} rows repeat an earlier row exactly, target included.",
                rows=context.numbers_of(repeated),
                evidence={"count": len(repeated), "share": round(len(repeated) / n, 4)},
                mend="They stay on one side of every split. If they are one case stored twice, drop them: they count double.",
            ),
        )
    return findings


def _repeats(keys: np.ndarray) -> np.ndarray:
    """Positions of rows whose key occurred before."""
    _, first = np.unique(keys, return_index=True)
    later = np.ones(len(keys), dtype=bool)
    later[first] = False
    return np.flatnonzero(later)


def _conflicts(keys: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Positions of rows that share their key with a row of another label."""
    _, codes = np.unique(keys, return_inverse=True)
    low = np.full(codes.max() + 1, np.iinfo(np.int64).max)
    high = np.full(codes.max() + 1, -1)
    np.minimum.at(low, codes, labels)
    np.maximum.at(high, codes, labels)
    return np.flatnonzero((low != high)[codes])
