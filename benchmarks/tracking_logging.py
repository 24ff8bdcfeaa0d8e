"""What it costs to log one's own training code, and whether anything is lost.

usage: python benchmarks/tracking_logging.py [--metrics 100000] [--processes 8] [--loggers 1000]

Prints a line a measurement with the goal beside it; ends with 1 if one is missed. Where the variable MLFLOW_PYTHON names a
Python that has MLflow, the same is measured there on its SQLite store, with the ratio.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import modelwright
from modelwright.jobs.opened import JobRun

IMPORT = "import time; t = time.perf_counter(); import {package}; print(time.perf_counter() - t)"
FIRST_RUN = """
import time
import modelwright
t = time.perf_counter()
with modelwright.start_run("first", params={"lr": 0.1}) as run:
    run.log_metric("loss", 1.0)
print(time.perf_counter() - t)
"""
MLFLOW = """
import json, time
t = time.perf_counter()
import mlflow
imported = time.perf_counter() - t
mlflow.set_tracking_uri("sqlite:///mlflow.db")
t = time.perf_counter()
with mlflow.start_run():
    mlflow.log_param("lr", 0.1)
    mlflow.log_metric("loss", 1.0)
first = time.perf_counter() - t
with mlflow.start_run():
    t = time.perf_counter()
    for step in range(300):
        mlflow.log_metric("loss", step / 3, step=step)
    metric = (time.perf_counter() - t) / 300
print(json.dumps({"import": imported, "first run": first, "metric": metric}))
"""


def python(code: str, folder: Path, program: str = sys.executable) -> str:
    done = subprocess.run([program, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def fresh(make: Any, times: int = 5) -> float:
    """Median over fresh folders."""
    found = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            found.append(make(Path(folder)))
    return statistics.median(found)


def seconds_a_metric(home: Path, n: int) -> float:
    """From the first metric to the end of the run, the last fsync included."""
    with modelwright.start_run("metrics", home=home) as run:
        started = time.perf_counter()
        for step in range(n):
            run.log_metric("loss", step / 3, step=step)
    return (time.perf_counter() - started) / n


def log_many(run: Any, name: str) -> None:
    for step in range(100):
        run.log_metric(name, step / 3, step=step)


def log_from_process(number: int, n_threads: int) -> None:
    with modelwright.start_run() as run:
        threads = [threading.Thread(target=log_many, args=(run, f"{number}.{i}")) for i in range(n_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def lost(home: Path, n_processes: int, n_loggers: int) -> tuple[int, float]:
    """Lines lost of ``n_loggers`` × 100, and the seconds that all of it took."""
    context = multiprocessing.get_context("spawn")
    with modelwright.start_run("many", home=home) as run:
        processes = [context.Process(target=log_from_process, args=(i, n_loggers // n_processes)) for i in range(n_processes)]
        started = time.perf_counter()
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        took = time.perf_counter() - started
    series = JobRun(run.folder).series
    return n_loggers // n_processes * n_processes * 100 - series.select("metric", "step", "value").unique().height, took


def autolog_ms(home: Path, *, on: bool) -> float:
    """Median milliseconds of one small scikit-learn fit within a run."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    X = np.random.default_rng(0).normal(size=(1000, 10))
    y = (X[:, 0] > 0).astype(int)
    modelwright.autolog(on)
    took = []
    with modelwright.start_run("fits", home=home):
        for _ in range(50):
            started = time.perf_counter()
            LogisticRegression().fit(X, y)
            took.append(time.perf_counter() - started)
    modelwright.autolog(False)
    return statistics.median(took) * 1e3


def script_s(folder: Path, *, wrapped: bool) -> float:
    (folder / "script.py").write_text("print('done')\n")
    words = ["-m", "modelwright.cli.main", "run", "-q"] if wrapped else []
    started = time.perf_counter()
    subprocess.run([sys.executable, *words, "script.py"], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metrics", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--loggers", type=int, default=1000)
    args = parser.parse_args()
    missed = []

    def tell(name: str, value: float, unit: str, goal: float | None = None) -> None:
        print(f"{name:<48} {value:>10.4g} {unit}{'' if goal is None else f'   (goal {goal:g})'}", flush=True)
        if goal is not None and value > goal:
            missed.append(name)

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        imported = fresh(lambda place: float(python(IMPORT.format(package="modelwright"), place)))
        first = fresh(lambda place: float(python(FIRST_RUN, place)))
        metric = seconds_a_metric(home, args.metrics)
        tell("import modelwright", imported, "s", 0.3)
        tell("first run in an empty folder", first, "s", 1.0)
        tell(f"a metric, of {args.metrics:,}", metric * 1e6, "us", 50.0)
        started = time.perf_counter()
        found = modelwright.open_run("metrics", home=home)
        assert isinstance(found, JobRun)
        assert found.series.height == args.metrics
        tell(f"reading {args.metrics:,} metrics back", time.perf_counter() - started, "s")
        n_lost, took = lost(home, args.processes, args.loggers)
        tell(f"lost of {args.loggers:,} loggers x 100 from {args.processes} processes", n_lost, "lines", 0)
        tell("  which took", took, "s")
        off, on = autolog_ms(home, on=False), autolog_ms(home, on=True)
        tell("a small LogisticRegression fit without autolog", off, "ms")
        tell("  with autolog", on, "ms")
        plain, wrapped = (fresh(lambda place, w=w: script_s(place, wrapped=w)) for w in (False, True))
        tell("an empty script alone", plain, "s")
        tell("  by modelwright run", wrapped, "s")
    other = os.environ.get("MLFLOW_PYTHON")
    if other:
        with tempfile.TemporaryDirectory() as folder:
            told = json.loads(python(MLFLOW, Path(folder), other))
        for name, own in (("import", imported), ("first run", first), ("metric", metric)):
            print(f"MLflow, {name:<40} {told[name]:>10.4g} s    {told[name] / own:,.0f} times as long")
    print(f"missed: {', '.join(missed)}" if missed else "every goal is reached")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
