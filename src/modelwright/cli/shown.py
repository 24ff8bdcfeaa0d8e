"""A run that is no finished training as text and JSON: a job, a tuning, or a training under way or killed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from modelwright.cli.render import shown_path
from modelwright.reports.format import duration, moment, number, quantity, size
from modelwright.reports.origin import origin_facts
from modelwright.runs.entry import RunEntry
from modelwright.training.record import RunRecord


def label_lines(entry: RunEntry) -> list[str]:
    """Tags and note, as `modelwright show` adds them below a training."""
    tags = ", ".join(f"{key}={value}" for key, value in sorted(entry.tags.items()))
    lines = ["", "Labels", *([f"  {tags}"] if tags else []), *(f"  {line}" for line in entry.note.splitlines())]
    return lines if len(lines) > 2 else []


def origin_lines(record: RunRecord) -> list[str]:
    """Where a training comes from, as `modelwright show` adds it; nothing for records of before that was kept."""
    facts = origin_facts(record.provenance)
    return ["", "Where it comes from", *_aligned(facts)] if facts else []


def entry_lines(entry: RunEntry, folder: Path | None, program: str = "modelwright") -> list[str]:
    """What is known of a run."""
    lines = [f"Run {entry.id}", f"  {entry.kind}, {entry.state}"]
    facts = [
        ("started", moment(entry.created)),
        ("took", "" if entry.wall_s is None else duration(entry.wall_s)),
        ("by", entry.user),
        ("part of", entry.parent),
        ("source", entry.source),
        ("commit", ", ".join(filter(None, [entry.commit[:12], "uncommitted changes" if entry.dirty else ""]))),
        ("seed", "" if entry.seed is None else str(entry.seed)),
        ("peak memory", "" if entry.peak_memory_mb is None else size(entry.peak_memory_mb * 1e6)),
    ]
    lines += _aligned([(name, value) for name, value in facts if value])
    if entry.error:
        lines += ["", "Error", *(f"  {line}" for line in entry.error.splitlines()[-12:])]
    for title, pairs in (
        ("Metrics", [(name, number(value)) for name, value in entry.metrics.items()]),
        ("Parameters", [(name, quantity(name, value)) for name, value in entry.params.items()]),
    ):
        if pairs:
            lines += ["", title, *_aligned(pairs)]
    lines += label_lines(entry)
    if folder is not None:
        lines += ["", "Where it is", f"  {shown_path(folder)}", *_artifacts(folder)]
        lines += ["", "Next", f"  {program} report {entry.id}"]
    elif entry.state == "killed":
        lines += ["", "Next", f"  {program} resume {entry.id}"]
    return lines


def _artifacts(folder: Path) -> list[str]:
    from modelwright.runs.folder import ARTIFACTS

    files = sorted(path for path in (folder / ARTIFACTS).rglob("*") if path.is_file()) if (folder / ARTIFACTS).is_dir() else []
    return [f"    {path.relative_to(folder)}  {size(path.stat().st_size)}" for path in files[:30]]


def _aligned(pairs: list[tuple[str, str]]) -> list[str]:
    width = max((len(name) for name, _ in pairs), default=0)
    return [f"  {name.ljust(width)}  {value}" for name, value in pairs]


def entry_json(entry: RunEntry, folder: Path | None) -> str:
    """The entry for machines."""
    place = None if folder is None else str(folder.resolve())
    return msgspec.json.encode({"type": "Run", "folder": place, **msgspec.to_builtins(entry)}).decode()
