"""The child: trains one system on one table in this environment, predicts, and measures how long rows take.

usage: python job.py JOB.json

Runs in the environment of the system, so it needs only NumPy and pandas besides. An adapter offers ``DISTRIBUTION`` (the
installed name, for the version), ``fit(train, job)``, and ``predict(model, X, job)`` that returns numbers and None, or
probabilities and the labels of their columns. It may offer ``COMPANIONS`` (installed names that change how it works),
``prepare(model)`` for what a user would do before serving, ``predict_row(model, row, job)`` for a row as a dict, and
``close(model)``. Figures are written as soon as they are known: who is killed while single rows are timed keeps the score.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

# Nothing in this folder may stand in for an installed module of the same name.
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]

SINGLE_ROWS = 30
#: Seconds for the timing of single rows; slow systems are timed on fewer.
SINGLE_S = 10.0


def main() -> None:
    import numpy as np
    import pandas as pd

    job = json.loads(Path(sys.argv[1]).read_text())
    adapter = load_adapter(job["adapter"])
    train, test = pd.read_parquet(job["train"]), pd.read_parquet(job["test"])
    begun = time.perf_counter()
    model = adapter.fit(train, job)
    figures = {"fit_s": time.perf_counter() - begun, "ready_s": time.time() - job["started"]}
    figures |= {"version": versions(adapter), "python": sys.version.split()[0]}
    write(job, figures)
    X = test.drop(columns=[job["target"]])
    getattr(adapter, "prepare", lambda model: None)(model)
    begun = time.perf_counter()
    predicted, classes = adapter.predict(model, X, job)
    figures["batch_us_per_row"] = (time.perf_counter() - begun) / len(X) * 1e6
    figures["classes"] = None if classes is None else [str(label) for label in classes]
    np.save(job["out"] + ".npy", np.asarray(predicted, dtype=float))
    write(job, figures)
    rows = [X.iloc[[i]] for i in range(min(SINGLE_ROWS, len(X)))]
    figures |= timed("single_ms", lambda row: adapter.predict(model, row, job), rows)
    if hasattr(adapter, "predict_row"):
        records = [row.astype(object).where(row.notna(), None).to_dict("records")[0] for row in rows]
        figures |= timed("dict_ms", lambda row: adapter.predict_row(model, row, job), records)
    write(job, figures | {"peak_process_mb": largest_process_mb()})
    getattr(adapter, "close", lambda model: None)(model)


def load_adapter(path):
    """The adapter's module, under a name that no library has."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("modelwright_peer_adapter", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def timed(name, predict, rows):
    """Median and 95th percentile in milliseconds over the rows, one call each; the first call is not counted."""
    predict(rows[0])
    seconds = []
    until = time.perf_counter() + SINGLE_S
    for row in rows:
        begun = time.perf_counter()
        predict(row)
        seconds.append(time.perf_counter() - begun)
        if time.perf_counter() > until:
            break
    seconds.sort()
    middle = (seconds[(len(seconds) - 1) // 2] + seconds[len(seconds) // 2]) / 2
    return {f"{name}_median": middle * 1e3, f"{name}_p95": seconds[int(0.95 * (len(seconds) - 1))] * 1e3}


def largest_process_mb():
    """Peak resident memory of this process, or of a larger child that has ended; None where it cannot be known."""
    try:
        import resource
    except ImportError:
        return None
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak / (2**20 if sys.platform == "darwin" else 1024)


def versions(adapter):
    """Version of the system, and of the companions that are installed: "1.6.3, ray 2.58.1"."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in (adapter.DISTRIBUTION, *getattr(adapter, "COMPANIONS", ())):
        try:
            found.append(version(name) if name == adapter.DISTRIBUTION else f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found) or None


def write(job, figures):
    """Replace the file of figures at once, so that a kill leaves the one before."""
    path = Path(job["out"] + ".json")
    path.with_suffix(".part").write_text(json.dumps(figures))
    path.with_suffix(".part").replace(path)


if __name__ == "__main__":
    main()
