"""Where a run comes from, as lines for people: command, code, data, machine."""

from __future__ import annotations

import shlex

from modelwright.provenance.record import Provenance
from modelwright.reports.format import size


def origin_facts(provenance: Provenance | None) -> list[tuple[str, str]]:
    """Names and texts; nothing for records of before provenance was kept."""
    if provenance is None:
        return []
    code, source, machine = provenance.code, provenance.source, provenance.hardware
    commit = ""
    if code is not None:
        changes = "with uncommitted changes (code.diff)" if code.diff else "with files that are not in it" if code.dirty else ""
        commit = ", ".join(filter(None, [code.commit[:12], code.branch, changes]))
    state = "" if source is None else ", ".join(
        filter(None, [
            "" if source.size_bytes is None else size(source.size_bytes),
            f"changed {source.modified[:19]}" if source.modified else "",
            f"version {source.version}" if source.version else "",
        ])
    )  # fmt: skip
    cards = ", ".join(machine.gpus)
    facts = [
        ("Command", shlex.join(provenance.command)),
        ("By", provenance.user),
        ("Commit", commit),
        ("State of the source", state),
        ("Processor", ", ".join(filter(None, [machine.cpu, f"{machine.cores} cores", cards]))),
        ("Memory", size(machine.memory_bytes) if machine.memory_bytes else ""),
        ("Thread settings", ", ".join(f"{name}={value}" for name, value in provenance.threads.items())),
    ]
    return [(name, text) for name, text in facts if text]
