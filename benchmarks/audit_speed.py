"""Time and memory of the audit on large tables.

Usage: ``python benchmarks/audit_speed.py [--rows 100000 1000000] [--columns 50] [--quick]``

The table mixes numbers (some with gaps, some skewed), integers of few and many values, categories of 5 to 500
levels, a date and a key; a tenth of the columns tells something about the target. One process a size, one thread, so
that the peak of memory belongs to that size alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time

import numpy as np
import polars as pl


def table(n_rows: int, n_columns: int) -> pl.DataFrame:
    """A table of mixed columns and a binary target."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=n_rows)
    columns: dict[str, object] = {"key": np.arange(n_rows), "day": rng.integers(18_000, 20_000, n_rows).astype("datetime64[D]")}
    for j in range(n_columns - 2):
        noise = rng.normal(size=n_rows)
        match j % 5:
            case 0:
                values = noise + (0.5 * signal if j % 10 == 0 else 0)
            case 1:
                values = np.where(rng.random(n_rows) < 0.1, np.nan, np.exp(noise))
            case 2:
                values = rng.integers(0, 10 if j % 2 else 100_000, n_rows)
            case 3:
                values = np.char.add("level", rng.integers(0, 5 if j % 2 else 500, n_rows).astype(str))
            case _:
                values = np.round(noise, 2)
        columns[f"c{j}"] = values
    frame = pl.DataFrame(columns).with_columns(pl.col(pl.Float64).fill_nan(None))
    return frame.with_columns(target=pl.Series(np.where(signal + rng.normal(size=n_rows) > 1, "yes", "no")))


def measure(n_rows: int, n_columns: int) -> None:
    """Audit one table in this process and print a line of JSON."""
    import modelwright

    frame = table(n_rows, n_columns)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.perf_counter()
    audit = modelwright.audit_table(frame, target="target")
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {severity: sum(f.severity == severity for f in audit.findings) for severity in ("critical", "warning", "info")}
    line = {
        "rows": n_rows,
        "columns": n_columns,
        "seconds": round(seconds, 2),
        "table_mb": round(before),
        "peak_mb": round(peak),
    }
    print(json.dumps(line | found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--quick", action="store_true", help="20,000 rows only")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure(arguments.one, arguments.columns)
        return
    one_thread = os.environ | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for rows in [20_000] if arguments.quick else arguments.rows:
        command = [sys.executable, __file__, "--one", str(rows), "--columns", str(arguments.columns)]
        subprocess.run(command, check=True, env=one_thread)


if __name__ == "__main__":
    main()
