"""``modelwright audit``: the findings as text, as JSON, and as changes of modelwright.toml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.audit.finding import Finding
from modelwright.reports.format import count
from modelwright.training.auditing import AuditRecord, mend_spec

if TYPE_CHECKING:
    from rich.console import Console

    from modelwright.spec import Spec

#: Exit code of a command told to be strict about critical findings.
STRICT_EXIT = 3
_STYLES = {"critical": "bold red", "warning": "yellow", "info": "dim"}


def print_audit(console: Console, record: AuditRecord, *, everything: bool) -> None:
    """Print the findings; remarks (info) only if ``everything``."""
    from rich.padding import Padding
    from rich.text import Text

    title = f"{record.source}: {count(record.n_rows)} rows, {count(record.n_columns)} columns; {record.task}."
    console.print(Text(title, style="bold"), highlight=False)
    console.print(Text(record.split_sentence), highlight=False)
    shown = [f for f in record.findings if everything or f.severity != "info"]
    for finding in shown:
        console.print(
            Text.assemble("\n", (finding.severity, _STYLES[finding.severity]), "  ", finding.message), highlight=False
        )
        for line in _lines(finding):
            console.print(Padding(Text(line, style="dim"), (0, 0, 0, 4), expand=False), highlight=False)
    remarks = len(record.findings) - len(shown)
    if not record.findings:
        console.print("\nNothing to report.", highlight=False)
    elif remarks:
        noun = "remark" if remarks == 1 else "remarks"
        console.print(Text(f"\n{remarks} {noun} more with --all.", style="dim"), highlight=False)
    bars = record.critical
    if bars:
        noun = "finding" if len(bars) == 1 else "findings"
        text = f"\n{len(bars)} critical {noun}: mend with --fix, or accept by name with [[waive]] and a reason."
        console.print(Text(text, style="bold red"), highlight=False)


def _lines(finding: Finding) -> list[str]:
    lines = [finding.cost.sentence] if finding.cost else []
    if finding.mend:
        lines.append(finding.mend)
    if finding.waiver:
        lines.append(f"Waived by {finding.waiver.by} on {finding.waiver.at[:10]}: {finding.waiver.reason}")
    if finding.severity != "info" and len(finding.columns) < 6:
        lines.append(f"name: {finding.name}")
    return lines


def audit_json(record: AuditRecord) -> dict[str, Any]:
    """The audit for machines."""
    plain = msgspec.to_builtins(msgspec.structs.replace(record))
    plain.pop("schema")
    names = [finding.name for finding in record.findings]
    plain["findings"] = [{"name": name, **finding} for name, finding in zip(names, plain["findings"], strict=True)]
    return {"type": "Audit", **plain, "critical": len(record.critical)}


def write_mends(record: AuditRecord, spec: Spec, file: Path) -> list[str]:
    """Write what mends the findings into modelwright.toml, which is made if absent; the lines written."""
    from modelwright.spec_file import merge
    from modelwright.spec_template import write_template

    mends = mend_spec(record)
    if not mends:
        return []
    if not file.exists():
        write_template(file, spec)
    roles: dict[str, str] = {key: mends[key] for key in ("group", "time") if key in mends}
    return merge(file, exclude=mends.get("exclude", ()), values=roles, missing_values=mends.get("missing_values"))
