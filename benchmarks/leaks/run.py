"""Planted-leak benchmark: which leaks a detector finds, and what it wrongly alarms about.

usage::

    python benchmarks/leaks/run.py --quick --detector ours --out quick.jsonl
    python benchmarks/leaks/run.py --data FOLDER --tables development --strengths 1.0 --seeds 0 --out ours.jsonl
    python benchmarks/leaks/run.py --data FOLDER --tables a,b --kinds pair,missingness --strengths 1.0,0.7 \
        --seeds 0,1 --detector targetleak --python VENV/bin/python --out peer.jsonl
    python benchmarks/leaks/run.py summary ours.jsonl [peer.jsonl ...]

``--tables``: names parted by commas, or the sets ``development``, ``held_out``, ``quick``. Each case (table, kind,
strength, seed) is one line of the results, a control is added for each (table, kind, seed); cases that are in the file
already are not run again. ``--quick`` is three built-in tables, seed 0, strengths 1.0 and 0.7, controls: 135 cases.

A detector is a function ``check(frame, target, task, roles, split)`` that returns a list of ``{"severity": "critical" |
"warning" | "info", "kind": "column" | "duplicate" | "order" | "entity" | "time" | "split", "columns": [...]}``; info
never counts. ``ours`` is ``ours.py``, the others are in ``peers.py``; a peer runs in an environment of its own, which needs
the peer, polars and numpy (and scikit-learn for ``--quick``). Seeds 0 to 99 and the tables of ``development`` are for
developing; others stay unused until a claim is checked.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from leaks.generate import KINDS, NotApplicable, make_case
from leaks.score import hits, load_reviewed, markdown, natural_alarms, summary
from leaks.tables import Table, load, names_of

DETECTORS = ("ours", "deepchecks", "targetleak", "leakcheck", "cleanlab", "skore")


def main() -> None:
    if sys.argv[1:2] == ["summary"]:
        return print_summary([Path(p) for p in sys.argv[2:]])
    args = arguments()
    if args.python and Path(args.python).absolute() != Path(sys.executable).absolute():
        words = [w for i, w in enumerate(sys.argv) if w != "--python" and sys.argv[i - 1] != "--python"]
        os.execv(args.python, [args.python, *words])
    done = {_key(json.loads(line)) for line in args.out.read_text().splitlines()} if args.out.exists() else set()
    wanted = [case for case in cases(args) if case not in done]
    by_table = [(name, [c for c in wanted if c[0] == name]) for name in names_of(args.tables)]
    jobs = [(name, listed, args.data, args.max_rows, args.detector) for name, listed in by_table if listed]
    with args.out.open("a") as out:
        for row in _rows(jobs, args.jobs):
            out.write(json.dumps(row) + "\n")
            out.flush()
    return print_summary([args.out])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Planted-leak benchmark", epilog=__doc__.split("usage::")[0])
    parser.add_argument("--data", type=Path, help="folder with manifest.json and the tables")
    parser.add_argument("--tables", default="development")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--strengths", default="1.0,0.7")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--detector", choices=DETECTORS, default="ours")
    parser.add_argument("--python", help="interpreter of the environment the detector is installed in")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--max-rows", type=int, default=4000, help="0 for all")
    parser.add_argument("--no-controls", action="store_true")
    parser.add_argument("--quick", action="store_true", help="built-in tables, seed 0, strengths 1.0 and 0.7")
    args = parser.parse_args()
    if args.quick:
        args.tables, args.strengths, args.seeds = "quick", "1.0,0.7", "0"
    args.max_rows = args.max_rows or 10**12
    return args


Key = tuple[str, str, float, int, bool]


def cases(args: argparse.Namespace) -> list[Key]:
    """(table, kind, strength, seed, control) of every case."""
    strengths = [float(s) for s in args.strengths.split(",")]
    levels = [(s, False) for s in strengths] + ([] if args.no_controls else [(1.0, True)])
    return [
        (table, kind, strength, int(seed), control)
        for table in names_of(args.tables)
        for kind in args.kinds.split(",")
        for seed in args.seeds.split(",")
        for strength, control in levels
    ]


def _key(row: dict[str, Any]) -> Key:
    return row["table"], row["kind"], row["strength"], row["seed"], row["control"]


def _rows(jobs: list[tuple[Any, ...]], n_jobs: int) -> Iterator[dict[str, Any]]:
    if n_jobs <= 1:
        for job in jobs:
            yield from run_table(*job)
        return
    with multiprocessing.get_context("spawn").Pool(n_jobs) as pool:
        for rows in pool.imap_unordered(_all_of, jobs):
            yield from rows


def _all_of(job: tuple[Any, ...]) -> list[dict[str, Any]]:
    return list(run_table(*job))


def run_table(name: str, wanted: list[Key], data: Path | None, max_rows: int, detector: str) -> Iterator[dict[str, Any]]:
    """One line for each case that the table can host, or that it cannot."""
    module = importlib.import_module("leaks.ours" if detector == "ours" else "leaks.peers")
    check = module.check if detector == "ours" else getattr(module, detector)
    table = load(name, data, max_rows)
    for _, kind, strength, seed, control in wanted:
        print(f"{detector} {name} {kind} {strength} {seed}{' control' if control else ''}", file=sys.stderr, flush=True)
        yield run_case(table, kind, strength, seed, control, check, detector)


def run_case(
    table: Table, kind: str, strength: float, seed: int, control: bool, check: Callable[..., Any], detector: str
) -> dict[str, Any]:
    """Plant, detect, compare."""
    row: dict[str, Any] = {
        "detector": detector,
        "table": table.name,
        "kind": kind,
        "strength": strength,
        "seed": seed,
        "control": control,
    }
    try:
        case = make_case(table.frame, table.target, table.task, kind, strength, seed, control=control, roles=table.roles)
        split = case.split
    except NotApplicable as reason:
        return row | {"applicable": False, "reason": str(reason)}
    truth, frame = case.truth, case.features_and_target
    assert truth is not None
    # Roles are not features: naming the time column because the split crosses it is no alarm about a column.
    natural = [c for c in table.frame.columns if c != table.target and c not in (*table.roles.values(), *truth.roles.values())]
    findings: list[dict[str, Any]] = []
    error = None
    limit = max(60.0, 60.0 * frame.height / 10_000 * frame.width / 50)
    started = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _limited(limit)
            findings = check(frame, case.target, case.task, dict(truth.roles), split)
    except Exception as caught:  # a detector that fails is a detector that finds nothing, and the line says why
        error = f"{type(caught).__name__}: {str(caught)[:300]}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return row | {
        "applicable": True,
        "form": truth.form,
        "rows": frame.height,
        "columns": frame.width,
        "effect": truth.effect,
        "natural_effect": truth.natural_effect,
        "planted": list(truth.columns),
        "hit": hits(findings, truth),
        "natural": natural_alarms(findings, natural),
        "natural_columns": natural,
        "findings": [f for f in findings if f["severity"] != "info"],
        "seconds": round(time.perf_counter() - started, 3),
        "error": error,
    }


def _limited(seconds: float) -> None:
    """Let the detector run so long, in time of the processor: other programs of the machine are not its fault."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"longer than {seconds:.0f} s")

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)


def print_summary(paths: list[Path]) -> None:
    for path in paths:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        absent = sum(1 for row in rows if not row["applicable"])
        rows = [row for row in rows if row["applicable"]]
        names = sorted({row["table"] for row in rows})
        print(markdown(f"{path.stem}: {len(rows)} cases of {len(names)} tables, {absent} n/a", summary(rows, load_reviewed())))


if __name__ == "__main__":
    main()
