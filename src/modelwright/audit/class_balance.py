"""Classes that are rare."""

from __future__ import annotations

import numpy as np

from modelwright.audit.context import Context
from modelwright.audit.finding import Finding

#: A minority below this share of what equal classes would give is rare: 5 % of the rows for two classes.
_RARE = 0.1
_MIN_CLASS_ROWS = 10


def check(context: Context) -> list[Finding]:
    """Strong imbalance, and classes of fewer than ten rows."""
    if context.y is None or context.task not in ("binary", "multiclass"):
        return []
    codes, counts = np.unique(context.y.astype(np.int64), return_counts=True)
    findings = []
    smallest = int(np.argmin(counts))
    share = counts[smallest] / counts.sum()
    if share < _RARE / max(len(codes), len(context.classes)):
        findings.append(
            Finding(
                check="class_imbalance",
                severity="warning",
                message=f"Class {context.label(int(codes[smallest]))} makes up only {100 * share:.2g} % of the rows.",
                evidence={"rows": int(counts[smallest]), "share": round(float(share), 5)},
                mend="Accuracy will look good without learning; judge by ROC AUC, average precision or log loss.",
            )
        )
    known = np.bincount(context.y.astype(np.int64), minlength=len(context.classes))
    small = [(code, int(count)) for code, count in enumerate(known) if count < _MIN_CLASS_ROWS]
    if small:
        shown = ", ".join(f"{context.label(code)} ({count})" for code, count in small[:5])
        more = f" and {len(small) - 5} more" if len(small) > 5 else ""
        findings.append(
            Finding(
                check="small_class",
                severity="warning",
                message=f"Classes with fewer than {_MIN_CLASS_ROWS} rows: {shown}{more}.",
                evidence={"classes": {context.label(code): count for code, count in small[:20]}},
                mend="They can hardly be learned or scored: collect more rows, or merge them with a similar class.",
            )
        )
    return findings
