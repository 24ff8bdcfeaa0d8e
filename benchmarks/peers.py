"""This project and other AutoML systems on the same rows of the same tables, one job after another.

usage::

    python benchmarks/peers.py DATA --systems ours,autogluon-medium,flaml --budget 60 [--tables a,b] [--seed 0]
        [--results benchmarks/results/peers.jsonl] [--fresh ours] [--retry-failed] [--kill 4]
    python benchmarks/peers.py --summary --budget 60 [--systems ours,flaml] [--results FILE]

DATA is a folder with ``manifest.json``: a list of entries with name, file (CSV or Parquet), task (binary, multiclass,
regression; others are passed over), metric (roc_auc, log_loss, rmse), target, time_column, group_column, drop_columns (each
with "column"). Systems train on 75 % of the rows: the earliest where there is a time column, whole groups where there is a
group column; all are scored on the rest, and once more ("fresh") on those of the rest that repeat no training row. Each job
is a fresh process in the system's own environment, whose python is named by a variable: MODELWRIGHT_PEER_AUTOGLUON, _FLAML,
_LIGHTAUTOML, _MLJAR, _H2O. ``ours`` and ``hgb`` (scikit-learn's histogram boosting with its defaults, as a reference) run in
this one.

A job in the file of results is not run again, unless its system is named by ``--fresh``, or it failed and ``--retry-failed``
is given; the last line of a job holds. Measure alone: every line has the machine and the load before it.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from peers import results
from peers.run import run_job
from peers.split import TASKS, Entry, divide, read_table
from peers.summary import markdown
from peers.systems import SYSTEMS, System, chosen, interpreter

RESULTS = Path(__file__).resolve().parent / "results" / "peers.jsonl"


def main(words: list[str] | None = None) -> None:
    args = arguments(words)
    systems = chosen(args.systems) if args.systems else list(SYSTEMS.values())
    if not args.summary:
        pythons = {system.name: interpreter(system) for system in systems}
        fresh = {system.name for system in chosen(args.fresh)} if args.fresh else set()
        done = results.load(args.results)

        def needed(job: results.Key) -> bool:
            return job not in done or job[1] in fresh or (args.retry_failed and "error" in done[job])

        for row in run_all(args, systems, pythons, needed):
            results.append(args.results, row)
            print(told(row), flush=True)
    rows = [row for row in results.load(args.results).values() if not args.tables or row["table"] in args.tables.split(",")]
    print(markdown(rows, [system.name for system in systems], args.budget))


def arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--systems", default="", help=", ".join(SYSTEMS))
    parser.add_argument("--budget", type=float, default=60, help="seconds")
    parser.add_argument("--tables", default="", help="names, parted by commas; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--fresh", default="", help="systems to run again although they are in the results")
    parser.add_argument("--retry-failed", action="store_true")
    parser.add_argument("--kill", type=float, default=4, help="budgets after which a job is killed")
    parser.add_argument("--summary", action="store_true", help="print what the results hold, run nothing")
    args = parser.parse_args(words)
    if not args.summary and not (args.data and args.systems):
        parser.error("name DATA and --systems, or give --summary")
    return args


def run_all(
    args: argparse.Namespace, systems: list[System], pythons: dict[str, str], needed: Callable[[results.Key], bool]
) -> Iterator[dict[str, Any]]:
    """Lines of the jobs that are needed, table by table."""
    for entry in entries(args.data, args.tables):
        due = [system for system in systems if needed((entry["name"], system.name, args.budget, args.seed))]
        if not due:
            continue
        parts = divide(read_table(args.data, entry), entry, args.seed)
        for system in due:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                yield run_job(
                    system,
                    pythons[system.name],
                    entry,
                    parts,
                    Path(folder),
                    budget_s=args.budget,
                    seed=args.seed,
                    kill=args.kill,
                )


def entries(data: Path, names: str) -> list[Entry]:
    """Entries of the manifest that can be compared, in its order; SystemExit names those that are missing."""
    found = [entry for entry in json.loads((data / "manifest.json").read_text()) if entry["task"] in TASKS]
    wanted = set(filter(None, names.split(",")))
    missing = wanted - {entry["name"] for entry in found}
    if missing:
        raise SystemExit(f"{data / 'manifest.json'} has no table {', '.join(sorted(missing))} with a target to predict.")
    return [entry for entry in found if not wanted or entry["name"] in wanted]


def told(row: dict[str, Any]) -> str:
    """A line for the reader."""
    figures = [f"{name} {row[name]:.5g}" for name in ("roc_auc", "log_loss", "rmse") if name in row]
    figures += [f"ready {row['ready_s']:.1f} s"] if "ready_s" in row else []
    figures += [f"one row {row['single_ms_median']:.3g} ms"] if "single_ms_median" in row else []
    figures += [f"{row['peak_rss_mb']:.0f} MB"] if row.get("peak_rss_mb") else []
    figures = [f"FAILED: {row['error']}"] if "error" in row else figures
    figures += [f"wall {row['wall_s']:.1f} s"]
    return f"{row['table']} {row['system']} {row['budget_s']:g} s: {', '.join(figures)}"


if __name__ == "__main__":
    # An ended benchmark ends its job too, as an interrupted one does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
