"""Seconds and memory of sealing a large table, exact and near copies included.

    python benchmarks/split_speed.py [--rows 10000000] [--columns 20] [--near]

Half of the columns are numbers, a quarter whole numbers, a quarter categories; 1 % of the rows repeat another exactly
and 1 % nearly. The table itself is part of the memory that is printed.
"""

from __future__ import annotations

import argparse
import os
import resource
import time

os.environ.setdefault("POLARS_MAX_THREADS", "2")

import numpy as np
import polars as pl

from modelwright.splits.near import near_units
from modelwright.splits.seal import seal


def table(n: int, k: int, seed: int = 0) -> pl.DataFrame:
    """``n`` rows; the last 2 % copy the first, half of them with noise."""
    rng = np.random.default_rng(seed)
    columns = []
    for j in range(k):
        name = f"c{j}"
        if j % 4 < 2:
            column = pl.Series(name, rng.standard_normal(n, dtype=np.float32).astype(np.float64))
        elif j % 4 == 2:
            column = pl.Series(name, rng.integers(0, 2000, n, dtype=np.int32))
        else:
            levels = pl.Series([f"level {i}" for i in range(50)], dtype=pl.Categorical)
            column = levels.gather(rng.integers(0, 50, n, dtype=np.uint32)).alias(name)
        columns.append(_copied(column, n // 100, rng))
    return pl.DataFrame(columns)


def _copied(column: pl.Series, m: int, rng: np.random.Generator) -> pl.Series:
    near = column.head(m)
    if near.dtype.is_float():
        near = near + pl.Series(rng.normal(size=m) * 1e-3)
    return pl.concat([column.head(len(column) - 2 * m), column.slice(m, m), near])


def main() -> None:
    """Print one line a step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--near", action="store_true", help="the full search for near copies as well")
    asked = parser.parse_args()
    frame = table(asked.rows, asked.columns)
    y = (np.random.default_rng(1).random(asked.rows) < 0.3).astype(np.int64)
    print(
        f"table: {asked.rows:,} x {asked.columns}, {frame.estimated_size() / 1e9:.2f} GB, peak {_peak_gb():.2f} GB", flush=True
    )
    started = time.perf_counter(), time.process_time()
    split = seal(frame, y=y, task="binary", time=None, group=None, features=frame.columns)
    print(f"seal: {_spent(started)}, peak {_peak_gb():.2f} GB. {split.sentence}", flush=True)
    sides = np.zeros(asked.rows, dtype=bool)
    sides[split.evaluation] = True
    m = asked.rows // 100
    apart = [int((sides[-2 * m : -m] != sides[m : 2 * m]).sum()), int((sides[-m:] != sides[:m]).sum())]
    print(f"copies apart: exact {apart[0]}, near {apart[1]}")
    if asked.near:
        started = time.perf_counter(), time.process_time()
        found = near_units(frame, frame.columns)
        hit = (found.units[-m:] == found.units[:m]).mean()
        print(
            f"near: {_spent(started)}, peak {_peak_gb():.2f} GB; {found.n_exact:,} exact,"
            f" {found.n_near:,} near, {hit:.3f} of the planted found"
        )


def _spent(started: tuple[float, float]) -> str:
    """Wall time, and processor time for a machine that also does other things."""
    return f"{time.perf_counter() - started[0]:.1f} s ({time.process_time() - started[1]:.1f} s of processor)"


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
