"""The file of results: one JSON line a job; where a job has several lines, the last holds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]
#: table, system, budget in seconds, seed
Key = tuple[str, str, float, int]


def key(row: Row) -> Key:
    return row["table"], row["system"], float(row["budget_s"]), row["seed"]


def load(path: Path) -> dict[Key, Row]:
    """The line that holds for each job; a line cut off by a crash is passed over."""
    rows = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        rows[key(row)] = row
    return rows


def append(path: Path, row: Row) -> None:
    """Add a line, after ending one that was cut off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cut = path.exists() and path.stat().st_size > 0 and path.read_bytes()[-1:] != b"\n"
    with path.open("a") as stream:
        stream.write(("\n" if cut else "") + json.dumps(row) + "\n")


def from_earlier_trial(lines: Iterable[str], tasks: dict[str, tuple[str, str]]) -> list[Row]:
    """Rows of the trial that came before this benchmark, with today's names.

    Its figures are kept as they are. Memory there is the peak of the largest process, not of all at once; AutoGluon
    loaded its models anew for each call.
    """
    names = {"ag": "autogluon"}
    rows = []
    for line in lines:
        old = json.loads(line)
        first, _, rest = old.pop("system").partition("-")
        table = old.pop("set")
        task, metric = tasks[table]
        head = {
            "table": table,
            "task": task,
            "metric": metric,
            "system": "-".join(filter(None, (names.get(first, first), rest))),
        }
        head |= {"budget_s": float(old.pop("budget")), "seed": old.pop("seed"), "train_rows": old.pop("rows")}
        if "peak_rss_mb" in old:
            old["peak_process_mb"] = old.pop("peak_rss_mb")
        rows.append(head | old | {"measured_by": "earlier trial"})
    return rows
