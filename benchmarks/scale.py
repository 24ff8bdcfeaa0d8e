"""Time for each row and peak memory of training on tables that do not fit in memory.

Tables of 20 columns (numbers, categories of 3 to 2,000 levels, a target of two classes) are written to a folder in
pieces, and a fresh process trains on each as if it had 4 GB. The peak is that of the whole process tree, sampled from
the system ten times a second (proportional set size, so that pages shared between processes count once)::

    python benchmarks/scale.py                         # 10^5, 10^6, 10^7 and 3 * 10^7 rows
    python benchmarks/scale.py --rows 300000           # that size only, for a quick look
    python benchmarks/scale.py --task clustering --algorithms minibatch_kmeans

Printed are seconds for a million rows of the scan (two passes: types and fingerprint; sides, sample and sealed rows) and of
the fit, reading and binning included (for a million of the rows fitted; those of the sealed fifth are not). A budget that is
too short takes fewer rows, so none is set: the search stops after ``--trials``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SIZES = (100_000, 1_000_000, 10_000_000, 30_000_000)
PIECE = 500_000
LEVELS = (3, 8, 30, 200, 2_000)
MEMORY_BYTES = 4_000_000_000


def write_piece(folder: Path, number: int, n_rows: int) -> None:
    """One file of the table; the same for the same number."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(number)
    x = rng.normal(size=(n_rows, 12))
    columns = {f"x{j}": x[:, j] for j in range(12)}
    for levels in LEVELS:
        names = pl.Series([f"level {k}" for k in range(levels)])
        columns[f"kind_{levels}"] = names[rng.integers(0, levels, n_rows)]
    columns["age"] = rng.integers(18, 90, n_rows)
    columns["count"] = rng.poisson(3, n_rows)
    score = x[:, 0] - 0.7 * x[:, 1] * x[:, 2] + np.sin(2 * x[:, 3]) + 0.02 * (columns["age"] - 50)
    columns["target"] = (rng.random(n_rows) < 1 / (1 + np.exp(-score))).astype(np.int8)
    pl.DataFrame(columns).write_parquet(folder / f"part-{number:04d}.parquet")


def train(data: str, home: str, task: str, algorithms: tuple[str, ...], trials: int, budget: float | None, rounds: int) -> None:
    """In a process of its own: train, and print the record's figures as one line of JSON."""
    started = time.monotonic()
    from modelwright.reports.report import render
    from modelwright.spec import resolve_spec
    from modelwright.training import flow

    # The sample may ask for thousands of rounds, which say no more of the cost of a row than some hundred.
    fixed = {"lightgbm": {"n_estimators": rounds}} if algorithms == ("lightgbm",) and rounds else {}
    asked = {
        "data": data,
        "home": home,
        "algorithms": algorithms or None,
        "trials": trials,
        "budget": budget,
        "hyperparams": fixed,
    }
    spec = resolve_spec(None, asked | ({"target": "target"} if task == "binary" else {"exclude": ("target",)}))
    record, _ = flow.train(
        spec,
        started=started,
        emit=lambda event: None,
        stop=threading.Event(),
        render=render,
        # As if 4 GB were all there is, and small tables were large, so that every size goes the same way.
        memory_bytes=min(MEMORY_BYTES, 1_000_000.0 if budget is None else MEMORY_BYTES),
    )
    score = record.evaluation.score.value if record.evaluation is not None else None
    members = [(m.algorithm, m.n_rows, m.n_iterations, m.fit_s) for m in record.plan.members]
    print(json.dumps({"timings": record.timings_s, "wall": record.wall_s, "score": score, "members": members,
                      "notes": record.notes}))  # fmt: skip


def tree_bytes(root: int) -> int:
    """Proportional set size of a process and all its descendants; 0 for those that have ended meanwhile."""
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except (OSError, ValueError):
            continue  # it ended between two looks
    return total


def measured(arguments: list[str], folder: Path) -> dict[str, object]:
    """Run the training in a fresh process and watch its memory."""
    out = folder / "out.json"
    with out.open("wb") as file:
        process = subprocess.Popen([sys.executable, __file__, *arguments], stdout=file)
        peak = 0
        while process.poll() is None:
            peak = max(peak, tree_bytes(process.pid))
            time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"the training ended with {process.returncode}")
    found: dict[str, object] = json.loads(out.read_text().splitlines()[-1])
    return found | {"peak": peak}


def main() -> None:
    """Print one line a size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--rows", type=lambda text: int(float(text)), action="append", help="Rows; may be given more than once."
    )
    parser.add_argument("--task", choices=("binary", "clustering"), default="binary")
    parser.add_argument("--algorithms", default="lightgbm")
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=200, help="Rounds of LightGBM; 0 leaves them to the search.")
    parser.add_argument("--budget", type=float, help="Seconds, instead of trials alone.")
    parser.add_argument("--folder", help="Where tables and runs are written; by default a temporary folder.")
    parser.add_argument("--train", help=argparse.SUPPRESS)
    given = parser.parse_args()
    algorithms = tuple(name for name in given.algorithms.split(",") if name)
    if given.train:
        train(given.train, given.folder, given.task, algorithms, given.trials, given.budget, given.rounds)
        return
    print(
        f"{'rows':>11} {'scan s/M':>9} {'fit s/M':>9} {'wall s':>8} {'peak MB':>8} {'score':>8}  members: rows, rounds, seconds"
    )
    with tempfile.TemporaryDirectory(dir=given.folder) as temporary:
        table = Path(temporary) / "table"
        table.mkdir()
        written = 0
        for n_rows in sorted(given.rows or SIZES):
            # Sizes grow, so each table is the one before with more files.
            while written < n_rows:
                size = min(PIECE, n_rows - written)
                write_piece(table, written // PIECE, size)
                written += size - size % PIECE if n_rows - written < PIECE else size
                if size < PIECE:
                    break
            options = ["--train", str(table), "--folder", str(Path(temporary) / "home"), "--task", given.task]
            options += ["--algorithms", given.algorithms, "--trials", str(given.trials)]
            options += ["--rounds", str(given.rounds)]
            options += [] if given.budget is None else ["--budget", str(given.budget)]
            found = measured(options, Path(temporary))
            timings, millions = found["timings"], n_rows / 1e6
            assert isinstance(timings, dict)
            fitted = sum(1e6 * seconds / rows for _, rows, _, seconds in found["members"])  # type: ignore[attr-defined]
            print(
                f"{n_rows:>11,} {timings['read'] / millions:>9.2f} {fitted:>9.2f} {found['wall']:>8.0f} "
                f"{found['peak'] / 1e6:>8.0f} {found['score'] or 0:>8.4f}  {found['members']}",  # type: ignore[operator]
                flush=True,
            )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    main()
