"""Hits, false alarms and natural alarms of a case, which cases are fair to ask for, and the table of all of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from leaks.case import Truth

CLASSES = {
    "association": ("exact_copy", "coded_copy", "noisy_copy", "post_outcome_code", "missingness", "id_ordering"),
    "relation": ("pair", "group_target_aggregate", "future_aggregate", "row_order"),
    "structural": ("future_timestamp", "duplicate_rows", "near_duplicate_rows", "group_overlap", "time_overlap"),
}
_CLASS_OF = {kind: name for name, kinds in CLASSES.items() for kind in kinds}
#: What a finding must be about to find a kind of rows; kinds of columns ask for a planted column by name.
_ABOUT = {
    "row_order": "order",
    "duplicate_rows": "duplicate",
    "near_duplicate_rows": "duplicate",
    "group_overlap": "entity",
    "time_overlap": "time",
}
Finding = dict[str, Any]
Row = dict[str, Any]


def hits(findings: Sequence[Finding], truth: Truth) -> str | None:
    """The highest severity, "critical" or "warning", of the findings that say what was planted; None if none does."""
    about = _ABOUT.get(truth.kind)

    def says(finding: Finding) -> bool:
        named = finding["kind"] != "split" and bool(set(finding["columns"]) & set(truth.columns))
        if truth.kind == "group_overlap":
            return finding["kind"] == "entity" and named
        return named if about is None else finding["kind"] == about

    found = {finding["severity"] for finding in findings if says(finding)}
    return next((severity for severity in ("critical", "warning") if severity in found), None)


def natural_alarms(findings: Sequence[Finding], natural: Iterable[str]) -> dict[str, str]:
    """Columns of the table as it was that a finding names, with the highest severity.

    A finding of kind "split" says that the two sides differ, and which columns show it; it accuses none of them.
    """
    named: dict[str, str] = {}
    for severity in ("warning", "critical"):
        for finding in findings:
            if finding["severity"] == severity and finding["kind"] != "split":
                named.update({column: severity for column in finding["columns"]})
    return {column: named[column] for column in natural if column in named}


def is_fair(row: Row) -> bool:
    """Whether the case counts: an association weaker than honest columns cannot and should not be called a leak."""
    kind, strength = row["kind"], row["strength"]
    if kind in CLASSES["association"]:
        return row["effect"] >= 0.9 or (row["effect"] >= 0.5 and row["effect"] >= row["natural_effect"] + 0.25)
    return kind in CLASSES["structural"] or strength >= 0.7


def load_reviewed() -> dict[str, dict[str, list[str]]]:
    """Table -> column -> ["leak" | "key" | "honest", reason]."""
    return json.loads(Path(__file__).with_name("reviewed.json").read_text())


def summary(rows: Sequence[Row], reviewed: dict[str, dict[str, list[str]]]) -> dict[str, Any]:
    """All measures of the benchmark for one detector.

    Parameters
    ----------
    rows : list of dict
        Lines of results.
    reviewed : dict
        See `load_reviewed`; columns that are leaks or keys do not count as natural alarms.

    Returns
    -------
    dict
        Counts as ``[hits, cases]``; errors and time-outs are misses.
    """
    planted = [row for row in rows if not row["control"]]
    controls = [row for row in rows if row["control"]]
    fair = [row for row in planted if is_fair(row)]
    strong = [r for r in fair if r["hit"] and r["kind"] not in _ABOUT and (r["effect"] or 0) >= 0.97]
    out: dict[str, Any] = {
        "fair": _found(fair),
        "fair_critical": _found(fair, critical=True),
        "classes": {name: _found(r for r in fair if _CLASS_OF[r["kind"]] == name) for name in CLASSES},
        "relation_by_strength": {
            str(s): _found(r for r in fair if _CLASS_OF[r["kind"]] == "relation" and r["strength"] == s)
            for s in sorted({r["strength"] for r in fair}, reverse=True)
            if s >= 0.7
        },
        "kinds": {kind: _by_strength(planted, controls, kind) for kind in _CLASS_OF},
        "critical_of_strong_hits": _found(strong, critical=True),
        "control_alarms": {"any": _found(controls), "critical": _found(controls, critical=True)},
        "errors": sum(1 for row in rows if row["error"]),
        "cases": len(rows),
        "seconds": {
            "total": round(sum(row["seconds"] for row in rows), 1),
            "median": sorted(row["seconds"] for row in rows)[len(rows) // 2] if rows else 0.0,
            "most": max((row["seconds"] for row in rows), default=0.0),
        },
    }
    return out | {"natural": _natural(controls, reviewed)}


def _natural(controls: Sequence[Row], reviewed: dict[str, dict[str, list[str]]]) -> dict[str, Any]:
    """Alarms per column and control case, and per column named in any; which columns, and how often."""
    cases = {"columns": 0, "any": 0, "critical": 0}
    columns: dict[tuple[str, str], set[str]] = defaultdict(set)
    judged = 0
    times: dict[str, int] = defaultdict(int)
    for row in controls:
        if row["error"]:
            continue
        verdicts = reviewed.get(row["table"], {})
        counted = [c for c in row["natural_columns"] if verdicts.get(c, ["honest"])[0] == "honest"]
        cases["columns"] += len(counted)
        for column in counted:
            columns[row["table"], column] |= set()
            severity = row["natural"].get(column)
            if severity:
                cases["any"] += 1
                cases["critical"] += severity == "critical"
                columns[row["table"], column].add(severity)
                times[f"{row['table']}.{column}"] += 1
        judged += sum(1 for c in row["natural"] if c not in counted)
    distinct = {
        "columns": len(columns),
        "any": sum(1 for severities in columns.values() if severities),
        "critical": sum(1 for severities in columns.values() if "critical" in severities),
    }
    return {"column_cases": cases, "columns": distinct, "reviewed_alarms": judged, "named": dict(times)}


def _found(rows: Iterable[Row], *, critical: bool = False) -> list[int]:
    listed = list(rows)
    good: Callable[[Row], bool] = (lambda r: r["hit"] == "critical") if critical else (lambda r: bool(r["hit"]))
    return [sum(map(good, listed)), len(listed)]


def _by_strength(planted: Sequence[Row], controls: Sequence[Row], kind: str) -> dict[str, list[int]]:
    mine = [row for row in planted if row["kind"] == kind]
    strengths = sorted({row["strength"] for row in mine}, reverse=True)
    found = {str(s): _found(row for row in mine if row["strength"] == s) for s in strengths}
    found["fair"] = _found(row for row in mine if is_fair(row))
    found["critical"] = _found(mine, critical=True)
    found["control"] = _found(row for row in controls if row["kind"] == kind)
    return found


def markdown(name: str, s: dict[str, Any]) -> str:
    """The summary as text: the pass levels first, then each kind, then the natural columns that were named."""

    def share(pair: Sequence[int]) -> str:
        return f"{pair[0]}/{pair[1]} ({pair[0] / pair[1]:.3f})" if pair[1] else "–"

    cases, columns = s["natural"]["column_cases"], s["natural"]["columns"]
    lines = [
        f"## {name}",
        "",
        "| measure | must | measured |",
        "|---|---|---|",
        f"| fair recall, all | >= 0.95 | {share(s['fair'])} |",
        f"| fair recall at critical | >= 0.80 | {share(s['fair_critical'])} |",
        *[f"| {c} kinds together | {must} | {share(s['classes'][c])} |" for c, must in _MUST.items()],
        *[f"| relation kinds at {k} | {_RELATION.get(k, '')} | {share(v)} |" for k, v in s["relation_by_strength"].items()],
        f"| criticals among hits of column kinds with effect >= 0.97 | >= 0.90 | {share(s['critical_of_strong_hits'])} |",
        f"| false alarms on controls, critical | <= 0.005 | {share(s['control_alarms']['critical'])} |",
        f"| false alarms on controls, any | <= 0.02 | {share(s['control_alarms']['any'])} |",
        f"| natural column-cases, critical | <= 0.005 | {share([cases['critical'], cases['columns']])} |",
        f"| natural column-cases, any | <= 0.015 | {share([cases['any'], cases['columns']])} |",
        f"| natural columns ever named, critical | | {share([columns['critical'], columns['columns']])} |",
        f"| natural columns ever named, any | | {share([columns['any'], columns['columns']])} |",
        f"| errors and time-outs | 0 | {s['errors']}/{s['cases']} |",
        f"| seconds a case, median / most | | {s['seconds']['median']:.2f} / {s['seconds']['most']:.2f} |",
        "",
    ]
    strengths = list(dict.fromkeys(k for found in s["kinds"].values() for k in found if k[0].isdigit()))
    lines += [f"| kind | {' | '.join(strengths)} | fair | critical | control |", "|---|" + "---|" * (len(strengths) + 3)]
    for kind, found in s["kinds"].items():
        cells = ["{}/{}".format(*found.get(k, [0, 0])) for k in (*strengths, "fair", "critical", "control")]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    named = sorted(s["natural"]["named"].items(), key=lambda item: -item[1])
    lines += ["", "natural columns named: " + (", ".join(f"{c} x{n}" for c, n in named) or "none"), ""]
    return "\n".join(lines)


_MUST = {"association": ">= 0.93", "relation": "", "structural": ">= 0.99 each"}
_RELATION = {"1.0": ">= 0.92", "0.7": ">= 0.80"}
