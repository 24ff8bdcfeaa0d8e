"""A comparison of runs as text and JSON."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

import msgspec

from modelwright.reports.compare_page import score_rows, short_names, shown
from modelwright.reports.format import metric_title, number, shortened, words
from modelwright.runs.compare import Compared, SeedGroup

_WIDTH = 160


def comparison_lines(compared: Compared) -> list[str]:
    """Scores, tests and seeds first, then what differs, a section each."""
    names = short_names(compared.runs)
    lines = []
    rows = score_rows(compared)
    if rows:
        cells = []
        for row in rows:
            texts = [c["value"] + (f" ({c['interval']})" if c["interval"] and row["decides"] else "") for c in row["cells"]]
            cells.append([row["name"] + (" *" if row["decides"] else ""), *texts])
        decides = any(row["decides"] for row in rows)
        lines += [
            "scores" + (" (* decides; 95 % interval in parentheses)" if decides else ""),
            *_table(["", *names], cells),
            "",
        ]
    for entry in compared.runs:
        if entry.withheld:
            lines.append(f"{entry.id}: its score is withheld, {entry.withheld}")
    for test in compared.tests:
        lines.append(f"{test.run} against {test.other}: {test.sentence}")
    for group in compared.groups:
        lines += _group_lines(group)
    if lines and lines[-1]:
        lines.append("")
    for section in compared.sections:
        if section.differences:
            head = section.title + (f" ({section.n_same} more equal)" if section.n_same else "")
            titles = {d.name: words(d.name) if section.title == "cost" else d.name for d in section.differences}
            cells = [[titles[d.name], *(shown(d.name, value) for value in d.values)] for d in section.differences]
            lines += [head, *_table(["", *names], cells), ""]
    equal = [section.title for section in compared.sections if not section.differences]
    if equal:
        lines.append(f"equal: {', '.join(equal)}")
    return lines


def _group_lines(group: SeedGroup) -> list[str]:
    figures = {**group.metrics, **({"validation": group.validation} if group.validation else {})}
    means = "; ".join(
        f"{metric_title(name)} {number(each.mean)} ± {number(each.sd, 2)} ({number(each.low)} to {number(each.high)})"
        for name, each in list(figures.items())[:4]
    )
    runs = ", ".join(f"{run} (seed {seed})" for run, seed in zip(group.runs, group.seeds, strict=True))
    return [f"mean ± standard deviation (from, to) over {runs}: {means}"]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    terminal = shutil.get_terminal_size((_WIDTH, 24)).columns if sys.stdout.isatty() else _WIDTH
    # The first column keeps its width; the others share what is left.
    first = min(max(len(row[0]) for row in rows), 40)
    most = max(12, (terminal - first - 4) // max(len(heads) - 1, 1) - 2)
    cut = [[shortened(row[0], first), *(shortened(" ".join(cell.split()), most) for cell in row[1:])] for row in [heads, *rows]]
    widths = [max(len(row[k]) for row in cut) for k in range(len(heads))]
    return ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cut]


def comparison_json(compared: Compared) -> str:
    """Everything, as one line."""
    plain = msgspec.to_builtins(compared)
    plain["sections"] = [section for section in plain["sections"] if section["differences"]]
    return msgspec.json.encode({"type": "Comparison", **plain}).decode()
