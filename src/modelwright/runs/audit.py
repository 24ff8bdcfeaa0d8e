"""The audit of a table, as Python and notebooks show it."""

from __future__ import annotations

import html
from dataclasses import dataclass

import polars as pl

from modelwright.audit.finding import Finding
from modelwright.training.auditing import AuditRecord


@dataclass(frozen=True, repr=False)
class Audit:
    """What the audit of a table found; made by `modelwright.audit_table`.

    Attributes
    ----------
    record : AuditRecord
    """

    record: AuditRecord

    @property
    def findings(self) -> list[Finding]:
        """All findings, the most severe first."""
        return self.record.findings

    @property
    def critical(self) -> list[Finding]:
        """Critical findings that nobody waived."""
        return self.record.critical

    @property
    def table(self) -> pl.DataFrame:
        """One row a finding: severity, name, message, cost, mend."""
        columns = ("severity", "finding", "message", "cost", "mend")
        rows = [(f.severity, f.name, f.message, f.cost.sentence if f.cost else None, f.mend) for f in self.record.findings]
        return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")

    def __repr__(self) -> str:
        counts = {s: sum(f.severity == s for f in self.findings) for s in ("critical", "warning", "info")}
        listed = ", ".join(f"{n} {severity}" for severity, n in counts.items())
        return f"<modelwright.Audit of {self.record.source}: {listed}>"

    def _repr_html_(self) -> str:
        cells = [(f.severity, " ".join([f.message, *([f.cost.sentence] if f.cost else [])]), f.mend) for f in self.findings]
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in cells)
        head = "<tr><th>severity</th><th>finding</th><th>mend</th></tr>"
        return (
            f"<div><p>{html.escape(self.record.source)}: {self.record.n_rows:,} rows, {self.record.n_columns} columns. "
            f"{html.escape(self.record.split_sentence)}</p><table><thead>{head}</thead><tbody>{body}</tbody></table></div>"
        )
