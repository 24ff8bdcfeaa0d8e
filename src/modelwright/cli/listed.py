"""A list of runs as text, CSV and JSON."""

from __future__ import annotations

import csv
import io
import shutil
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from modelwright.reports.format import duration, number, quantity, shortened
from modelwright.runs.entry import RunEntry
from modelwright.runs.fields import FAMILIES, Field, field_of
from modelwright.runs.filter import parse_filter
from modelwright.runs.table import RunList, metrics_of

#: Columns of a terminal that does not tell.
_WIDTH = 160
_WIDEST = 48


def list_lines(
    shown: Sequence[RunEntry], matching: int, total: int, filter_: str | None, sort: str | None, home: Path
) -> list[str]:
    """The list as lines: a head, a line a run, and what is left out."""
    if not total:
        return [f"There are no runs in {home} yet."]
    if not matching:
        return [f"None of {total:,} runs matches."]
    columns = _columns(shown, filter_, sort)
    # Identifiers stay whole: they are copied into the next command.
    rows = [
        [_plain(read(entry)) if k == 0 else shortened(_plain(read(entry)), _WIDEST) for k, (_, read, _) in enumerate(columns)]
        for entry in shown
    ]
    used = [k for k in range(len(columns)) if any(row[k] for row in rows)]
    heads = [columns[k][0] for k in used]
    right = [columns[k][2] for k in used]
    cells = [[row[k] for k in used] for row in rows]
    widths = [max(len(head), *(len(row[k]) for row in cells)) for k, head in enumerate(heads)]
    terminal = shutil.get_terminal_size((_WIDTH, 24)).columns if sys.stdout.isatty() else None

    def line(values: list[str]) -> str:
        text = "  ".join(v.rjust(w) if r else v.ljust(w) for v, w, r in zip(values, widths, right, strict=True)).rstrip()
        return text if terminal is None else shortened(text, terminal)

    lines = [line(heads), *map(line, cells)]
    if len(shown) < matching:
        lines.append(f"{matching - len(shown):,} more; see them with --limit 0, or narrow the list with --filter.")
    elif filter_ is not None:
        lines.append(f"{matching:,} of {total:,} runs.")
    return lines


Column = tuple[str, Callable[[RunEntry], str], bool]


def _columns(shown: Sequence[RunEntry], filter_: str | None, sort: str | None) -> list[Column]:
    """Head, text of a run, and whether it stands to the right; columns that are empty throughout fall away."""
    kinds = {entry.kind for entry in shown}
    states = {entry.state for entry in shown}
    base: list[Column] = [
        ("run", lambda e: e.id, False),
        ("kind", lambda e: e.kind if kinds != {"training"} else "", False),
        ("state", lambda e: e.state if states != {"finished"} else "", False),
        ("started", lambda e: _moment(e.created), False),
        ("took", lambda e: "" if e.wall_s is None else duration(e.wall_s), True),
        ("target", lambda e: e.target, False),
        ("metric", lambda e: e.metric or next(iter(e.metrics), ""), False),
        ("score", _score, False),
        ("validation", lambda e: "" if e.validation is None else number(e.validation), True),
    ]
    asked: list[Column] = []
    seen = {"id", "kind", "state", "created", "wall_s", "target", "metric", "score", "validation", "tags", "note"}
    for field in _asked(shown, filter_, sort):
        if field.name not in seen and not field.name.startswith("tags."):
            seen.add(field.name)
            asked.append((field.name, _reader(field), field.type == "number"))
    tags: Column = ("tags", lambda e: " ".join(f"{k}={v}" for k, v in sorted(e.tags.items())), False)
    return [*base, *asked, tags, ("note", lambda e: e.note.split("\n")[0], False)]


def _asked(shown: Sequence[RunEntry], filter_: str | None, sort: str | None) -> list[Field]:
    """Fields that the user named: whoever filters or sorts by one wants to see it."""
    metrics = metrics_of(shown)
    fields = list(parse_filter(filter_, metrics=metrics).fields) if filter_ else []
    if sort and (found := field_of(tuple(sort.removeprefix("-").split(".")), metrics)):
        fields.append(found)
    return fields


def _reader(field: Field) -> Callable[[RunEntry], str]:
    def read(entry: RunEntry) -> str:
        value = field.read(entry)
        if value is None:
            return ""
        if isinstance(value, bool):
            return "yes" if value else "no"
        # A setting is shown as it was given, a figure with four digits.
        if field.name.startswith("params."):
            return quantity("", value)
        return number(value) if isinstance(value, (int, float)) else str(value)

    return read


def _score(entry: RunEntry) -> str:
    metric = entry.metric or next(iter(entry.metrics), "")
    value = entry.metrics.get(metric)
    if value is None:
        return "withheld" if entry.withheld else ""
    ends = entry.intervals.get(metric)
    return number(value) + (f" ({number(ends[0])} to {number(ends[1])})" if ends else "")


def _moment(text: str) -> str:
    """To the minute, in the time of this machine."""
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return text


def _plain(text: str) -> str:
    """Without signs that steer a terminal: names and notes come from anywhere."""
    return "".join(c if c.isprintable() else "�" for c in text)


def remarks(entries: Sequence[RunEntry], filter_: str | None) -> list[str]:
    """Names in a filter that no run has: more often a slip than a wish."""
    if filter_ is None or not entries:
        return []
    said = []
    for field in parse_filter(filter_, metrics=metrics_of(entries)).fields:
        family, _, name = field.name.partition(".")
        if name and family in FAMILIES and all(field.read(entry) is None for entry in entries):
            known = sorted({each for entry in entries for each in getattr(entry, family)})
            said.append(f"No run has {field.name}; there are {', '.join(known[:12]) or 'none'}.")
    return list(dict.fromkeys(said))


def list_json(entries: Sequence[RunEntry], matching: int) -> str:
    """All fields of the runs as one line."""
    return msgspec.json.encode({"type": "Runs", "matching": matching, "runs": list(entries)}).decode()


def csv_text(runs: RunList) -> str:
    """All fields of the runs, a line each; what is no number or text stands as JSON."""
    columns = runs.columns()
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in zip(*columns.values(), strict=True))
    return out.getvalue()


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, (int, float, str)) and not isinstance(value, bool)):
        return value
    return msgspec.json.encode(value).decode()
