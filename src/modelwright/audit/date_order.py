"""Dates whose order of day and month could not be settled from the cells."""

from __future__ import annotations

from modelwright.audit.context import Context
from modelwright.audit.finding import Finding
from modelwright.tables.dates import MIXED, UNDECIDED


def check(context: Context) -> list[Finding]:
    """Date columns read month first by default, or written in both orders."""
    findings = []
    for column in context.schema.with_role("feature", "time"):
        if column.type != "datetime" or not (UNDECIDED in column.reason or MIXED in column.reason):
            continue
        doubt = "may be day first or month first" if UNDECIDED in column.reason else "are written in both orders"
        findings.append(
            Finding(
                check="date_order",
                severity="warning",
                message=f"The dates in {column.name!r} {doubt}; they are read as {', '.join(column.formats)}.",
                columns=(column.name,),
                evidence={"formats": list(column.formats)},
                mend="Write the dates as ISO 8601 (2024-01-31).",
            )
        )
    return findings
