"""Kill a small training at random moments and at every write, fsync, rename and commit, resume it, and compare.

    python benchmarks/kills.py                  # 200 kills
    python benchmarks/kills.py --kills 20 --seed 3
    python benchmarks/kills.py --kills 0 --full 10    # a full disk instead, at ten moments

After each kill: nothing half-written under ``runs/``; the store opens, and the ledger is sound; every trial that was told
finished is told again by the resumed run with the very seconds that its fit took, so it was not done twice; and the
resumed run equals one that was not killed, in the bytes of its members, its trials, its evaluation and the rest of its
record, times left out. One kill in three takes the worker processes along.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FAULTS = ROOT / "tests" / "faults"
TABLE = ROOT / "examples" / "data" / "telco_churn.csv"
ROWS = 400
#: What may differ between two runs that are the same: times, places, and what names the run.
_TIMES = {
    "": (
        "id",
        "created",
        "timings_s",
        "wall_s",
        "peak_memory_mb",
        "step_memory_mb",
        "figures",
        "resumed",
        "environment",
        "provenance",
    ),
    "spec": ("home",),
    "trials": ("fit_s", "predict_us_per_row", "peak_memory_mb"),
    "members": ("fit_s", "peak_memory_mb"),
    "look": ("run", "at", "hash", "best_run"),
}
_FILES = {
    "run.json", "plan.json", "partition.parquet", "trials.parquet", "curves.parquet", "findings.json", "evaluation.json",
    "environment.json", "report.html", "model", "vault",
}  # fmt: skip


@dataclass
class Outcome:
    """What was seen of one kill."""

    how: str
    trials: int = 0
    state: str = ""
    wrong: list[str] = field(default_factory=list)


def train_words(table: Path, home: Path) -> list[str]:
    """The training that is killed."""
    words = ["train", str(table), "--target", "Churn", "--trials", "3", "--algorithms", "linear,lightgbm"]
    return [*words, "--name", "churn", "--home", str(home), "--json"]


def command(words: Sequence[str], fault: str = "", log: Path | None = None) -> subprocess.Popen[str]:
    """Start the program, perhaps with a fault to come."""
    paths = [str(FAULTS), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    settings = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "MODELWRIGHT_FAULT": fault}
    if log is not None:
        settings["MODELWRIGHT_FAULT_LOG"] = str(log)
    return subprocess.Popen(
        [sys.executable, "-m", "modelwright.cli.main", *words],
        env=os.environ | settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def trials_told(output: str) -> set[tuple[Any, ...]]:
    """The finished trials that a run told, each with the seconds that its fit took."""
    found = set()
    for line in output.splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue  # torn by the kill
        if event.get("type") == "TrialFinished" and event["state"] == "complete":
            found.add((event["number"], event["algorithm"], event["stage"], event["score"], event["fit_s"]))
    return found


def published(home: Path) -> Path | None:
    """The one run folder, if it is there."""
    found = sorted((home / "runs").glob("*")) if (home / "runs").is_dir() else []
    assert len(found) <= 1, found
    return found[0] if found else None


def what_is_broken(home: Path) -> list[str]:
    """Half-written runs, and a damaged store."""
    from modelwright.artifacts.bundle import verify_bundle
    from modelwright.runs.run import Run
    from modelwright.store.database import Database
    from modelwright.store.ledger import Ledger

    wrong = []
    folder = published(home)
    if folder is not None:
        missing = _FILES - {path.name for path in folder.iterdir()}
        wrong += [f"published without {', '.join(sorted(missing))}"] if missing else []
        verify_bundle(folder / "model")
        assert Run(folder).record.id == folder.name
    store = home / "store.db"
    if store.exists():
        with sqlite3.connect(store) as connection:
            said = connection.execute("PRAGMA integrity_check").fetchone()[0]
            wrong += [] if said == "ok" else [f"store: {said}"]
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
            vaults = [row[0] for row in connection.execute("SELECT vault FROM vaults")] if "vaults" in tables else []
        connection.close()
        ledger = Ledger(Database.of(home))
        for vault in vaults:
            wrong += ledger.verify(vault)
    return wrong


def comparable(folder: Path) -> dict[str, Any]:
    """Everything of a run that two equal runs share."""
    record = json.loads((folder / "run.json").read_text())
    for name in _TIMES[""]:
        del record[name]
    for name in _TIMES["spec"]:
        del record["spec"][name]
    for trial in record["trials"]:
        for name in _TIMES["trials"]:
            del trial[name]
    for member in record["plan"]["members"]:
        for name in _TIMES["members"]:
            del member[name]
    for name in _TIMES["look"]:
        del record["evaluation"]["look"][name]
    described = json.loads((folder / "model" / "model.json").read_text())
    del described["run"]
    found: dict[str, Any] = {"record": record, "model.json": described}
    for path in sorted([*folder.rglob("model/*/**/*"), *folder.glob("model/*.npz"), *folder.glob("partition.parquet")]):
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    found["sealed"] = (folder / "vault" / "evaluation.arrow").read_bytes()
    return found


def differences(folder: Path, expected: dict[str, Any]) -> list[str]:
    """Parts of a run that are not as in the uninterrupted one."""
    ours = comparable(folder)
    wrong = [f"{name} differs" for name in sorted(ours.keys() | expected.keys()) if ours.get(name) != expected.get(name)]
    if "record differs" in wrong:
        theirs = expected["record"]
        wrong += [f"record.{name} differs" for name in theirs if theirs[name] != ours["record"].get(name)]
    return wrong


def after(home: Path, words: list[str], told: set[tuple[Any, ...]], expected: dict[str, Any], outcome: Outcome) -> None:
    """Look at what a kill left, resume, and compare."""
    from modelwright.store.folders import unfinished

    outcome.wrong += what_is_broken(home)
    left, folder = unfinished(home), published(home)
    outcome.trials = left[0].n_trials if left else len({trial[0] for trial in told})
    if folder is not None:
        outcome.state = "published"
    elif left:
        outcome.state = "resumed"
        process = command(["resume", "--home", str(home), "--json"])
        output, errors = process.communicate(timeout=300)
        if process.returncode != 0:
            outcome.wrong.append(f"resume failed: {errors.strip()[-600:]}")
            return
        lost = told - trials_told(output)
        outcome.wrong += [f"trials lost or done twice: {sorted(lost)}"] if lost else []
        outcome.wrong += what_is_broken(home)
    else:
        outcome.state = "not begun"
        if told:
            outcome.wrong.append("trials were told, and nothing is left to resume")
        command(words).communicate(timeout=300)
    folder = published(home)
    if folder is None:
        outcome.wrong.append("no run was published")
        return
    outcome.wrong += differences(folder, expected)
    if unfinished(home):
        outcome.wrong.append("something unfinished is left")


def kill_at(fault: str, table: Path, home: Path, expected: dict[str, Any]) -> Outcome:
    """One kill at an operation."""
    outcome, words = Outcome(fault), train_words(table, home)
    output, errors = (process := command(words, fault)).communicate(timeout=300)
    if process.returncode not in (-signal.SIGKILL, 128 + signal.SIGKILL):
        outcome.wrong.append(f"was not killed: {process.returncode} {errors[-300:]}")
    after(home, words, trials_told(output), expected, outcome)
    return outcome


def kill_in(seconds: float, tree: bool, table: Path, home: Path, expected: dict[str, Any]) -> Outcome:
    """One kill at a moment."""
    outcome, words = Outcome(f"{'tree' if tree else 'kill'} after {seconds:.2f} s"), train_words(table, home)
    process = command(words)
    time.sleep(seconds)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
    for pid in map(int, children.stdout.split() if tree else ()):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.kill()
    output, _ = process.communicate(timeout=300)
    after(home, words, trials_told(output), expected, outcome)
    return outcome


def full_at(number: int, table: Path, home: Path, expected: dict[str, Any]) -> Outcome:
    """The disk is full from an operation on, then there is space again."""
    outcome, words = Outcome(f"full@any:{number}"), train_words(table, home)
    output, errors = (process := command(words, outcome.how)).communicate(timeout=300)
    if process.returncode == 0 and published(home) is None:
        outcome.wrong.append("ended well, and nothing was published")
    if process.returncode not in (0, 2) or (process.returncode and ("No space" not in errors or "mend:" not in errors)):
        outcome.wrong.append(f"no clear error: {process.returncode} {errors[-400:]}")
    after(home, words, trials_told(output), expected, outcome)
    return outcome


def main() -> None:
    """Run the kills and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="half at random moments, half at operations in turn")
    parser.add_argument("--full", type=int, default=0, help="moments at which the disk is full")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    draw = random.Random(asked.seed)
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        place = Path(name)
        table = place / "churn.csv"
        table.write_text("".join(TABLE.read_text().splitlines(keepends=True)[: ROWS + 1]))
        log, begun = place / "operations.log", time.monotonic()
        process = command(train_words(table, place / "whole"), "count@any:0", log)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        duration = time.monotonic() - begun
        folder = published(place / "whole")
        assert folder is not None
        expected = comparable(folder)
        operations = [line.split()[1] for line in log.read_text().splitlines()]
        counts = {kind: operations.count(kind) for kind in dict.fromkeys(operations)}
        print(f"uninterrupted: {duration:.1f} s, {len(operations)} operations {counts}", flush=True)
        outcomes = []
        n_turns = asked.kills // 2
        # Each operation in turn; with fewer kills than operations, evenly spread with a place drawn in each stretch.
        stretch = len(operations) / max(1, n_turns)
        for k in range(asked.kills):
            home = place / str(k)
            if k < n_turns:
                number = 1 + int(min(len(operations) - 1, (k + draw.random()) * stretch))
                action = "tree" if k % 3 == 0 else "torn" if operations[number - 1] == "write" and k % 2 else "kill"
                outcomes.append(kill_at(f"{action}@any:{number}", table, home, expected))
                outcomes[-1].how += f" {operations[number - 1]}"
            else:
                outcomes.append(kill_in(draw.uniform(1.0, duration), k % 3 == 0, table, home, expected))
            _print(outcomes[-1])
        for k in range(asked.full):
            number = 1 + int((k + draw.random()) * len(operations) / asked.full)
            outcomes.append(full_at(number, table, place / f"full{k}", expected))
            _print(outcomes[-1])
    good = [outcome for outcome in outcomes if not outcome.wrong]
    states = {state: sum(o.state == state for o in outcomes) for state in ("resumed", "published", "not begun")}
    print(f"{len(good)} of {len(outcomes)} as promised; {', '.join(f'{n} {state}' for state, n in states.items())}")
    sys.exit(len(good) != len(outcomes))


def _print(outcome: Outcome) -> None:
    print(f"{outcome.how:<28} {outcome.state:<10} {outcome.trials:>2} trials  {'; '.join(outcome.wrong) or 'ok'}", flush=True)


if __name__ == "__main__":
    main()
