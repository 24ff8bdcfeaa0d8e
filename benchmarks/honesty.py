"""The goals of honest numbers, each by the program that measures it.

Usage::

    python benchmarks/honesty.py --quick                     # minutes, needs no data
    python benchmarks/honesty.py --data FOLDER [--only leaks,coverage] [--out FOLDER]

``FOLDER`` holds tables and a ``manifest.json``. Every part is a program of its own in this folder and can be run alone with
other tables, seeds and sizes; this one runs them one after another with one thread each, and prints what they print.
Goals that are tests rather than measurements (isolation, equal serving, the contents of report and card) are listed with
the test that holds them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: Goals that a test holds: number in the list of goals, what, where.
TESTS = (
    (7, "training unchanged when evaluation rows are scrambled", "tests/training/test_isolation.py"),
    (8, "evaluation targets out of reach of everything that is fitted", "tests/training/test_isolation.py"),
    (9, "looks counted, chained, printed; a deleted line is noticed", "tests/store/test_ledger.py"),
    (13, "three baselines, a test, rows needed when undecided", "tests/training/test_flow.py, tests/reports"),
    (16, "threshold chosen away from the evaluation rows, regret reported", "tests/evaluation, tests/ensembles"),
    (17, "one by one, reversed, in a batch, in a fresh process: equal bits", "tests/artifacts/test_equal_serving.py"),
    (18, "group, time and gap declared once, used everywhere", "tests/training/test_isolation.py, tests/splits"),
    (19, "every finding has evidence, cost and mend", "tests/cli/test_cli_audit.py, tests/audit"),
    (20, "the card fills at least 18 of 32 items", "tests/reports/test_card.py"),
)


def parts(data: str | None, out: Path, quick: bool) -> dict[str, tuple[str, list[list[str]]]]:
    """Name -> (goals, commands)."""
    leaks = ["benchmarks/leaks/run.py", "--out", str(out / "leaks.jsonl")]
    summary = ["benchmarks/leaks/run.py", "summary", str(out / "leaks.jsonl")]
    uncertainty = ["benchmarks/uncertainty.py"]
    if quick:
        return {
            "leaks": ("1-4 planted leaks, built-in tables", [[*leaks, "--quick"], summary]),
            "speed": ("5 seconds and memory of the audit", [["benchmarks/audit_speed.py", "--quick"]]),
            "split": ("6 seconds and memory of the split", [["benchmarks/split_speed.py", "--rows", "200000"]]),
            "looks": ("10 optimism after many looks", [["benchmarks/looks.py", "--quick"]]),
            "uncertainty": ("11, 12 level of tests, coverage of intervals", [[*uncertainty, "--quick"]]),
            "labels": ("random labels", [["benchmarks/random_labels.py", "--quick"]]),
        }
    wanted = {
        "speed": ("5 seconds and memory of the audit", [["benchmarks/audit_speed.py"]]),
        "split": ("6 seconds and memory of the split", [["benchmarks/split_speed.py", "--near"]]),
        "looks": ("10 optimism after many looks", [["benchmarks/looks.py"]]),
        "uncertainty": ("11, 12 level of tests, coverage of intervals", [[*uncertainty, "--runs", "1000"]]),
        "labels": ("random labels", [["benchmarks/random_labels.py", *(["--data", data] if data else [])]]),
    }
    if data is None:
        return {"leaks": ("1-4 planted leaks, built-in tables", [[*leaks, "--quick"], summary]), **wanted}
    return {
        "leaks": ("1-4 planted leaks", [[*leaks, "--data", data, "--strengths", "1.0,0.7,0.4,0.2"], summary]),
        **wanted,
        "coverage": ("interval coverage on tables", [["benchmarks/coverage.py", data, "--out", str(out / "coverage.jsonl")]]),
        "decisions": ("14, 15 conformal coverage, calibration", [["benchmarks/decisions.py", data]]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", help="folder with tables and manifest.json")
    parser.add_argument("--only", default="", help="names of parts, comma separated")
    parser.add_argument("--out", type=Path, default=Path("honesty-results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    chosen = parts(arguments.data and str(Path(arguments.data).resolve()), arguments.out.resolve(), arguments.quick)
    only = {name for name in arguments.only.split(",") if name}
    if unknown := only - set(chosen):
        parser.error(f"unknown parts {', '.join(sorted(unknown))}; there are {', '.join(chosen)}")
    one_thread = os.environ | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    failed = []
    for name, (goals, commands) in chosen.items():
        if only and name not in only:
            continue
        print(f"\n## {name}: {goals}\n", flush=True)
        for command in commands:
            started = time.perf_counter()
            done = subprocess.run([sys.executable, *command], cwd=ROOT, env=one_thread)
            print(f"\n({' '.join(command)}: {time.perf_counter() - started:.0f} s, exit {done.returncode})", flush=True)
            if done.returncode:
                failed.append(name)
    print("\n## held by tests\n")
    for number, what, where in TESTS:
        print(f"{number:3d}  {what}: {where}")
    if failed:
        sys.exit(f"Parts that failed or missed a goal: {', '.join(failed)}")


if __name__ == "__main__":
    main()
