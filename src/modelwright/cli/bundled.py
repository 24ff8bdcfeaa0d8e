"""What is inside a bundle, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from modelwright.artifacts.inspect import Inspected

#: Columns that are listed one by one.
_MOST_COLUMNS = 40


def print_inspected(console: Console, found: Inspected) -> None:
    """Print it."""
    from rich.table import Table
    from rich.text import Text

    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, text in _facts(found):
        if text:
            facts.add_row(name, Text(text))
    console.print(facts, highlight=False)
    columns = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("column", "type", "role"):
        columns.add_column(name)
    for column in found.columns[:_MOST_COLUMNS]:
        role = "derived by the model" if column.name in found.derived else column.role
        columns.add_row(Text(column.name), column.type, role)
    console.print()
    console.print(columns, highlight=False)
    if len(found.columns) > _MOST_COLUMNS:
        console.print(f"{len(found.columns) - _MOST_COLUMNS} more columns with --json.", style="dim", highlight=False)


def _facts(found: Inspected) -> list[tuple[str, str]]:
    lineage = found.lineage
    what = f"{found.target} ({found.task})" if found.target else found.task
    needs = [
        f"{each.name} {each.written_by or '(version not recorded)'}; here: {each.here or 'not installed'}"
        for each in found.needs
    ]
    return [
        ("predicts", what),
        ("classes", ", ".join(map(str, found.classes[:12])) + (", …" if len(found.classes) > 12 else "")),
        ("metric", found.metric),
        ("members", ", ".join(f"{each.algorithm} {each.weight:.2f}" for each in found.members)),
        ("calibration", found.calibration),
        ("threshold", "" if found.threshold is None else f"{found.threshold:.4g}"),
        ("golden rows", str(found.n_golden) if found.n_golden else "none: nothing can be replayed"),
        ("function", found.features and f"{found.features} (not inside; give it with --features)"),
        ("run", lineage.get("run", "")),
        ("data", lineage.get("data", "")),
        ("code", lineage.get("code", "")),
        ("made by", f"modelwright {found.modelwright}, bundle format {found.format_version}"),
        ("needs", "\n".join(needs)),
        ("signed by", f"{found.signed_by} (check it with: bundle verify --trusted-key)" if found.signed_by else "nobody"),
        ("size", f"{found.size_bytes:,} bytes in {len(found.files) + 1} files"),
        ("digest", found.digest),
    ]
