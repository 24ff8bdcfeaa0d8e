"""Whether runs repeat byte for byte: every table is trained by trials and reproduced in a fresh process.

Usage::

    python benchmarks/reproduce.py FOLDER [--rows 50000] [--trials 8] [--budget 60s] [--only NAME,NAME] [--environment]

``FOLDER`` holds tables and a ``manifest.json``; tables of more rows than ``--rows`` are left out. With ``--budget`` a clock
decides instead of a count. With ``--environment`` the recorded environment is rebuilt even though nothing differs, which
needs a package index and takes minutes the first time. A line for each table: equal, or the first step that differs with the
first culprit. Exit code 1 if one differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import modelwright
from modelwright.runs.reproducing.child import reproduce_in_child
from modelwright.runs.reproducing.environment import rebuild, variables, wanted
from modelwright.runs.reproducing.values import Reproduction
from modelwright.runs.run import Run


def train(folder: Path, entry: dict[str, Any], home: Path, limit: dict[str, Any]) -> Run:
    """One run with the roles of the manifest."""
    target = None if entry["task"] == "clustering" else entry["target"]
    roles = {target, entry.get("time_column"), entry.get("group_column")}
    dropped = [each["column"] for each in entry.get("drop_columns") or []]
    dropped += [entry["target"]] if target is None and entry["target"] else []
    return modelwright.train(
        folder / entry["file"],
        target=target,
        metric=entry["metric"] if target else None,
        task=entry["task"] if entry["task"] in ("binary", "multiclass", "regression") else None,
        time=entry.get("time_column"),
        group=entry.get("group_column"),
        # A role column that the manifest drops is no feature anyway, but must stay to serve its role.
        exclude=[name for name in dropped if name not in roles],
        name=entry["name"],
        home=home,
        **limit,
    )


def reproduced(run: Run, home: Path, rebuilt: bool) -> Reproduction:
    """The run again, in a fresh process, or in one with rebuilt packages."""
    if not rebuilt:
        return run.reproduce()
    python, _ = rebuild(wanted(run.record), home, lambda sentence: print(f"    {sentence}", flush=True))
    return reproduce_in_child(run.folder, python=python, variables=variables())


def verdict(found: Reproduction) -> str:
    """Equal, or the first difference."""
    if found.equal:
        open_steps = [step.name for step in found.steps if step.state == "not compared"]
        return f"equal (not compared: {'; '.join(open_steps)})"
    first = next((step for step in found.steps if step.state == "different"), None)
    if first is None:
        return "not equal: a member could not be compared"
    return f"DIFFERENT in {first.name}: {first.detail} | {found.culprit}"


def main() -> None:
    """Print a line a table."""
    parser = argparse.ArgumentParser(description="Train and reproduce every table.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--budget", help="a clock instead of a number of trials, such as 60s")
    parser.add_argument("--only", help="names of tables, comma separated")
    parser.add_argument("--environment", action="store_true", help="reproduce with rebuilt packages")
    asked = parser.parse_args()
    limit = {"budget": asked.budget} if asked.budget else {"trials": asked.trials}
    entries = [e for e in json.loads((asked.data / "manifest.json").read_text()) if e["rows"] <= asked.rows]
    if asked.only:
        entries = [entry for entry in entries if entry["name"] in asked.only.split(",")]
    n_equal = 0
    with TemporaryDirectory(prefix="modelwright-") as name:
        home = Path(name)
        for entry in sorted(entries, key=lambda entry: entry["rows"]):
            started = time.perf_counter()
            run = train(asked.data, entry, home, limit)
            trained = time.perf_counter()
            found = reproduced(run, home, asked.environment)
            ended = time.perf_counter()
            n_equal += found.equal
            members = ", ".join(member.algorithm for member in run.record.plan.members)
            times = f"trained {trained - started:5.1f} s, again {ended - trained:5.1f} s"
            print(f"{entry['name']:<28} {entry['rows']:>7,} rows  {times}  [{members}]  {verdict(found)}", flush=True)
    print(f"{n_equal} of {len(entries)} tables came out equal.")
    sys.exit(0 if n_equal == len(entries) else 1)


if __name__ == "__main__":
    main()
