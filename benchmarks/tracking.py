"""Speed of the records of runs, measured end to end: whole processes, from the command to its last line.

    python benchmarks/tracking.py                    every part that stands in PARTS
    python benchmarks/tracking.py --part listing     one of them

Part "listing": a home of 10,000 runs, of which each folder is there. Ten are trainings with all their files, the rest has
the record alone. Measured are the list, a filter and a comparison with a warm index (the median of several), and once the
first list, which reads every folder, and the index made anew.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

TELCO = Path(__file__).parents[1] / "examples" / "data" / "telco_churn.csv"
N_RUNS, N_WHOLE, REPEATS = 10_000, 10, 5
PROGRAM = [sys.executable, "-m", "modelwright.cli.main"]


def make_home_of_many_runs(home: Path, n: int = N_RUNS) -> None:
    """One real training, and as many copies of its folder under other names, times, scores and tags."""
    import modelwright
    from modelwright.tables.read import read

    rows = read(TELCO).frame.head(1000)
    run = modelwright.train(rows, target="Churn", trials=4, algorithms=["linear", "lightgbm"], home=home, name="base")
    whole = json.loads((run.folder / "run.json").read_text())
    slim = {**whole, "curves": [], "trials": [], "summary": None, "figures": None, "standings": None, "feature_set": None}
    slim["evaluation"] = {**whole["evaluation"], "plots": {}, "calibration": None, "slices": []}
    rng, begin = random.Random(0), datetime(2026, 1, 1, tzinfo=UTC)
    for k in range(n - 1):
        when = begin + timedelta(minutes=17 * k)
        name = f"run-{when:%Y%m%d-%H%M%S}"
        folder = home / "runs" / name
        if k < N_WHOLE:
            shutil.copytree(run.folder, folder)
        else:
            folder.mkdir()
        record = dict(whole if k < N_WHOLE else slim)
        score = {"value": rng.uniform(0.7, 0.9), "low": 0.65, "high": 0.95}
        record |= {"id": name, "name": f"run {k % 50}", "created": when.isoformat(timespec="seconds")}
        record["evaluation"] = {**record["evaluation"], "score": score}
        (folder / "run.json").write_text(json.dumps(record))
        labels = {"tags": {"team": rng.choice("xyz")}, "note": ""}
        (folder / "labels.json").write_text(json.dumps(labels))


def seconds_of_command(*arguments: str, expect: int = 0) -> float:
    """Wall-clock of one command as a process of its own."""
    begun = time.perf_counter()
    done = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, check=False)
    taken = time.perf_counter() - begun
    if done.returncode != expect:
        raise SystemExit(f"{arguments} ended with {done.returncode}: {done.stderr}")
    return taken


def measure_listing() -> dict[str, float]:
    """Seconds of each command over a home of 10,000 runs."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        make_home_of_many_runs(home)
        place = ("--home", str(home))
        runs = sorted(path.name for path in (home / "runs").iterdir() if path.name.startswith("run-"))
        commands: dict[str, tuple[str, ...]] = {
            "list": ("runs", *place),
            "list, all as JSON": ("runs", *place, "--limit", "0", "--json"),
            "filter": ("runs", *place, "--filter", 'metrics.roc_auc > 0.89 and tags.team == "x"'),
            "filter and sort": (
                "runs", *place, "-f", 'created > "2026-02-01" and not (name contains "7")', "--sort", "-metrics.roc_auc",
            ),
            "compare": ("compare", runs[0], runs[1], *place),
            "show": ("show", runs[2], *place),
            "help": ("--help",),
        }  # fmt: skip
        found = {"first list, reads every folder": seconds_of_command("runs", *place)}
        for title, arguments in commands.items():
            found[title] = statistics.median(seconds_of_command(*arguments) for _ in range(REPEATS))
        found["list after one run was copied in"] = _after_a_copy(home, place)
        return found


def _after_a_copy(home: Path, place: tuple[str, str]) -> float:
    source = next((home / "runs").iterdir())
    shutil.copytree(source, home / "runs" / "copied-20260101-000000")
    return seconds_of_command("runs", *place)


PARTS: dict[str, Callable[[], dict[str, Any]]] = {"listing": measure_listing}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, help="only this one")
    chosen = parser.parse_args().part
    for title, measure in PARTS.items():
        if chosen in (None, title):
            print(title)
            for name, value in measure().items():
                print(f"  {name:34} {value:8.3f} s" if isinstance(value, float) else f"  {name:34} {value}")


if __name__ == "__main__":
    main()
