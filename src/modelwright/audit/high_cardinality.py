"""Categories with so many levels that most are hardly ever seen."""

from __future__ import annotations

from modelwright.audit.context import Context
from modelwright.audit.finding import Finding

_MIN_LEVELS = 50
#: Mean rows by level below which most levels are too rare to learn from.
_MIN_ROWS_PER_LEVEL = 5


def check(context: Context) -> list[Finding]:
    """Categories with fewer than five rows a level on average."""
    features = context.read[0]
    findings = []
    for column in context.present:
        if column.type != "category":
            continue
        cells = features[column.name].drop_nulls()
        n_levels = cells.n_unique()
        if n_levels > _MIN_LEVELS and len(cells) < _MIN_ROWS_PER_LEVEL * n_levels:
            findings.append(
                Finding(
                    check="high_cardinality",
                    severity="info",
                    message=f"{column.name!r} has {n_levels} levels in {len(cells)} rows; most are too rare to learn from.",
                    columns=(column.name,),
                    evidence={"levels": n_levels, "rows": len(cells)},
                    mend="Group rare levels, split the text into parts, or list the column under exclude.",
                )
            )
    return findings
