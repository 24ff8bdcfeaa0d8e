"""One job: a table, a system, a budget, a seed."""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from peers.scores import DECIDES, scores
from peers.split import Entry, roles
from peers.systems import System
from peers.watch import watch

CHILD = Path(__file__).resolve().parent / "job.py"
#: A job has the machine to itself: thread limits of the caller are no limits of the systems.
_CALLERS = re.compile(r"(OMP|MKL|OPENBLAS|NUMEXPR|POLARS|NUMBA|VECLIB).*THREADS|PYTHONPATH|PYTHONHOME|VIRTUAL_ENV")
#: The code of the checkout that this file lies in, whatever is installed.
_OURS = Path(__file__).resolve().parents[2] / "src"


def environment(system: str, caller: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The caller's environment without what would slow a system down or mix environments; ``ours`` runs this checkout."""
    kept = {name: value for name, value in caller.items() if not _CALLERS.fullmatch(name)}
    return kept | {"PYTHONPATH": str(_OURS)} if system == "ours" else kept


def run_job(
    system: System,
    python: str,
    entry: Entry,
    parts: tuple[pd.DataFrame, pd.DataFrame],
    folder: Path,
    *,
    budget_s: float,
    seed: int,
    kill: float = 4.0,
) -> dict[str, Any]:
    """Train and predict in a fresh process, then score.

    Parameters
    ----------
    system : System
    python : str
        Interpreter of the system's environment.
    entry : mapping
        The table's entry of the manifest.
    parts : tuple of DataFrame
        Rows to train on and rows to score.
    folder : Path
        Empty; files of the job lie there.
    budget_s : float
    seed : int
    kill : float, default=4.0
        Budgets after which the process and all that it started are killed.

    Returns
    -------
    dict
        The line of the results. ``wall_s`` runs from the start of the process to its end, ``ready_s`` to the trained
        model. A failure has ``error`` and no score; ``killed`` says in what: training, prediction or timing.
    """
    train, test = (part.reset_index(drop=True) for part in parts)
    train.to_parquet(folder / "train.parquet")
    test.to_parquet(folder / "test.parquet")
    time_column, group_column = roles(train, entry)
    out = folder / "out"
    row: dict[str, Any] = {"table": entry["name"], "task": entry["task"], "metric": entry["metric"], "system": system.name}
    row |= {"budget_s": float(budget_s), "seed": seed, "train_rows": len(train), "test_rows": len(test)}
    row |= {"columns": train.shape[1], "table_mb": float(train.memory_usage(deep=True).sum() / 2**20)}
    row |= {"machine": machine(), "date": datetime.now(UTC).date().isoformat(), "load_before": round(_load(), 2)}
    job = {
        "adapter": str(system.path),
        "preset": system.preset,
        "train": str(folder / "train.parquet"),
        "test": str(folder / "test.parquet"),
        "out": str(out),
        "target": entry["target"],
        "task": entry["task"],
        "metric": entry["metric"],
        "budget_s": int(budget_s) if float(budget_s).is_integer() else budget_s,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "seed": seed,
        "time": time_column,
        "group": group_column,
        "started": time.time(),
    }
    (folder / "job.json").write_text(json.dumps(job))
    seen = watch(
        [python, str(CHILD), str(folder / "job.json")],
        limit_s=kill * budget_s,
        cwd=folder,
        log=folder / "log",
        env=environment(system.name),
    )
    row |= {"wall_s": seen.wall_s, "peak_rss_mb": seen.peak_rss_mb, "peak_pss_mb": seen.peak_pss_mb}
    figures = json.loads(Path(f"{out}.json").read_text()) if Path(f"{out}.json").exists() else {}
    classes = figures.pop("classes", None)
    row |= figures
    predicted = Path(f"{out}.npy")
    if seen.killed:
        row["killed"] = "timing" if "batch_us_per_row" in figures else "prediction" if figures else "training"
    if seen.exit and "batch_us_per_row" in figures:
        row["failed_later"] = _last_words(folder / "log")
    if "batch_us_per_row" not in figures:
        stopped = f"killed in {row.get('killed')} after {seen.wall_s:.0f} s"
        return row | {"error": stopped if seen.killed else _last_words(folder / "log")}
    y_train, y_test, predictions = train[entry["target"]], test[entry["target"]], np.load(predicted)
    repeated = repeats(train.drop(columns=entry["target"]), test.drop(columns=entry["target"]))
    try:
        row |= scores(entry["task"], y_train, y_test, predictions, classes)
        if repeated.any() and not repeated.all():
            fresh = scores(entry["task"], y_train, y_test[~repeated], predictions[~repeated], classes)
            row |= {"repeated": float(repeated.mean()), "fresh": fresh[DECIDES[entry["task"]][0]]}
    except ValueError as error:
        row |= {"error": f"cannot be scored: {error}"}
    return row


def repeats(train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    """Which scored rows are equal in every feature to a row trained on.

    Where such copies are many, whoever has memorised the training rows is ahead; "fresh" is the score without them.

    Parameters
    ----------
    train, test : DataFrame
        Without the target.

    Returns
    -------
    ndarray of bool, shape (n_test,)
    """
    hashed = [pd.util.hash_pandas_object(part, index=False).to_numpy() for part in (train, test)]
    return np.isin(hashed[1], hashed[0])


def machine() -> str:
    """Kind of machine, for comparing only what was measured on the same kind."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.M)
        name = found[1] if found else name
    return f"{os.cpu_count()} cores, {name}"


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def _last_words(log: Path) -> str:
    """The last error in the output, or its last line, without the paths of this machine."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Exit|Interrupt)\b", line)]
    words = [*lines, *errors] or ["ended without a word"]
    return re.sub(r"(?<![\w.])(/[\w.+-]+){2,}", "(path)", words[-1])[:300]
