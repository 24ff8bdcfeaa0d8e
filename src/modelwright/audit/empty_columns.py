"""Columns with nothing, or next to nothing, in them."""

from __future__ import annotations

from modelwright.audit.context import Context
from modelwright.audit.finding import Finding

#: A column with fewer filled cells than this share is nearly empty.
_MIN_FILLED = 0.05


def check(context: Context) -> list[Finding]:
    """Constant, all-missing and nearly empty columns."""
    ignored = context.schema.with_role("ignored")
    findings = []
    constant = tuple(c.name for c in ignored if c.type == "constant" and "excluded" not in c.reason)
    empty = tuple(c.name for c in ignored if c.type == "empty" and "excluded" not in c.reason)
    if constant:
        findings.append(
            Finding(
                check="constant_column",
                severity="info",
                message=f"{_named(constant)} holds one value only and is left out.",
                columns=constant,
                mend="Remove it, or see whether the export lost something.",
            )
        )
    if empty:
        findings.append(
            Finding(
                check="empty_column",
                severity="info",
                message=f"{_named(empty)} has no filled cell and is left out.",
                columns=empty,
                mend="Remove it, or see whether the export lost something.",
            )
        )
    features = context.read[0]
    n_rows = features.height
    filled = {name: 1 - features[name].null_count() / n_rows for name in features.columns} if n_rows else {}
    sparse = tuple(name for name, share in filled.items() if share < _MIN_FILLED)
    if sparse:
        findings.append(
            Finding(
                check="nearly_empty_column",
                severity="info",
                message=f"{_named(sparse)} is missing in more than {100 * (1 - _MIN_FILLED):.0f} % of the rows.",
                columns=sparse,
                evidence={"share_filled": {name: round(filled[name], 4) for name in sparse[:10]}},
                mend="Keep it if being filled means something; otherwise list it under exclude.",
            )
        )
    return findings


def _named(names: tuple[str, ...]) -> str:
    if len(names) == 1:
        return f"Column {names[0]!r}"
    shown = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"Each of {len(names)} columns ({shown})"
