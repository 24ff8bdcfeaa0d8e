"""Tables too small to learn from with confidence."""

from __future__ import annotations

from modelwright.audit.context import Context
from modelwright.audit.finding import Finding

_MIN_ROWS = 100


def check(context: Context) -> list[Finding]:
    """Fewer than a hundred training rows."""
    if context.n_rows >= _MIN_ROWS:
        return []
    return [
        Finding(
            check="few_rows",
            severity="warning",
            message=f"Only {context.n_rows} rows to train on.",
            evidence={"rows": context.n_rows},
            mend="Scores will be uncertain: look at their intervals, and collect more rows if you can.",
        )
    ]
