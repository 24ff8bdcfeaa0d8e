"""Train on every table of a folder with a manifest, and print score, baseline, wall-clock, memory and failures.

usage: python benchmarks/all_tables.py DATA_DIR RESULTS.jsonl [--budget 60] [--tables a,b]

Each table is trained by the command line in a process of its own, one after another, with the manifest's target,
metric, roles and ``drop_columns``. A table that is already in RESULTS is not run again. At the end the results are
printed as a Markdown table for docs/benchmarks.md. The exit status is the number of failures.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def command(entry: dict, data: Path, home: str, budget: float) -> list[str]:
    """The command a user would type for one table."""
    clustering = entry["task"] == "clustering"
    words = [sys.executable, "-m", "modelwright.cli.main", "train", str(data / entry["file"])]
    words += ["--budget", f"{budget:g}s", "--home", home, "--name", entry["name"], "--json"]
    dropped = [c["column"] for c in entry.get("drop_columns") or []]
    if clustering:
        dropped += [entry["target"]] if entry["target"] else []
    else:
        words += ["--target", entry["target"], "--metric", entry["metric"]]
        words += ["--task", entry["task"]] if entry["task"] in ("binary", "multiclass", "regression") else []
    for role in ("time", "group"):
        if entry.get(f"{role}_column"):
            words += [f"--{role}", entry[f"{role}_column"]]
    # A role column that the manifest drops is no feature anyway, but must stay in the table to serve its role.
    roles = {entry.get("time_column"), entry.get("group_column"), entry["target"] if not clustering else None}
    dropped = [name for name in dropped if name not in roles]
    return words + [word for name in dropped for word in ("--exclude", name)]


def run(entry: dict, data: Path, budget: float) -> dict:
    """One table; the figures of its run record, or the error."""
    with tempfile.TemporaryDirectory() as home:
        started = time.monotonic()
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        process = subprocess.run(command(entry, data, home, budget), capture_output=True, text=True, timeout=budget * 5 + 120)
        result = {
            "table": entry["name"],
            "task": entry["task"],
            "budget_s": budget,
            "wall_s": round(time.monotonic() - started, 2),
        }
        if process.returncode:
            return result | {"error": process.stderr.strip()[-600:], "exit": process.returncode}
        [path] = Path(home, "runs").glob("*/run.json")
        record = json.loads(path.read_text())
        evaluation = record["evaluation"]
        comparison = evaluation["comparison"]
        return result | {
            "rows": record["n_rows"],
            "columns": record["n_columns"],
            "metric": record["metric"],
            "score": evaluation["score"],
            "baseline": comparison and comparison["baseline"],
            "baseline_score": comparison and comparison["baseline_score"]["value"],
            "better": comparison and comparison["better"],
            "members": [f"{m['algorithm']} {m['weight']:.2f}" for m in record["plan"]["members"]],
            "refit": all(m["refit"] for m in record["plan"]["members"]),
            "trials": len(record["trials"]),
            "failed": [f"{t['algorithm']}: {t['error']}" for t in record["trials"] if t["state"] == "failed"],
            "peak_memory_mb": record["peak_memory_mb"],
            "timings_s": record["timings_s"],
            "children_peak_mb": max(before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024,
        }


def table(results: list[dict]) -> str:
    """The results as Markdown."""
    lines = [
        "| table | rows × columns | metric | sealed score (95 % interval) | baseline | better | wall s | peak MB | model |",
        "|---|---:|---|---|---|---|---:|---:|---|",
    ]
    for r in results:
        if "error" in r:
            why = r["error"].splitlines()[-1] if r["error"] else f"exit code {r['exit']}"
            lines.append(f"| {r['table']} | | | FAILED: {why} | | | {r['wall_s']} | | |")
            continue
        s = r["score"]
        cells = [
            r["table"],
            f"{r['rows']:,} × {r['columns']}",
            r["metric"],
            f"{s['value']:.4g} ({s['low']:.4g} to {s['high']:.4g})",
            f"{r['baseline']} {r['baseline_score']:.4g}" if r["baseline"] else "none",
            "yes" if r["better"] else "no",
            f"{r['wall_s']:.1f}",
            f"{r['peak_memory_mb']:.0f}",
            ", ".join(r["members"]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--budget", type=float, default=60)
    parser.add_argument("--tables", default="")
    arguments = parser.parse_args()
    entries = json.loads((arguments.data / "manifest.json").read_text())
    wanted = set(filter(None, arguments.tables.split(",")))
    done = [json.loads(line) for line in arguments.results.read_text().splitlines()] if arguments.results.exists() else []
    for entry in entries:
        if (wanted and entry["name"] not in wanted) or any(r["table"] == entry["name"] for r in done):
            continue
        result = run(entry, arguments.data, arguments.budget)
        with arguments.results.open("a") as stream:
            stream.write(json.dumps(result) + "\n")
        done.append(result)
        shown = result.get("error") or f"{result['metric']} {result['score']['value']:.4g}, {', '.join(result['members'])}"
        print(f"{result['table']}: {result['wall_s']:.1f} s, {shown}", flush=True)
    print(table(done))
    failures = sum("error" in r for r in done)
    late = [r["table"] for r in done if r["wall_s"] > r["budget_s"] * 1.05 + 2]
    print(f"\n{len(done)} tables, failures: {failures}, over budget x 1.05 + 2 s: {', '.join(late) or 'none'}")
    return failures


if __name__ == "__main__":
    sys.exit(main())
