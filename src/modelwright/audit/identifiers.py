"""Columns that name rows instead of describing them."""

from __future__ import annotations

from modelwright.audit.context import Context
from modelwright.audit.finding import Finding


def check(context: Context) -> list[Finding]:
    """Identifiers, which are not learned from."""
    found = context.schema.with_role("id")
    if not found:
        return []
    names = tuple(column.name for column in found)
    shown = ", ".join(f"{column.name!r} ({column.reason.split(';')[0]})" for column in found[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return [
        Finding(
            check="identifier",
            severity="info",
            message=f"Taken for identifiers and not learned from: {shown}{more}.",
            columns=names,
            mend="If one is a measure, set its type under types; if rows of one identifier belong together, name it as group.",
        )
    ]
