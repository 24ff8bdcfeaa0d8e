"""Where the time of a run goes beside the fits: one run on a generated table of 50,000 rows and 30 columns.

usage: python benchmarks/overhead.py [--rows 50000] [--columns 30] [--budget 60]

"Fits" are seconds inside the learners, as the workers measured them. Two shares are printed: of the run's wall-clock, the
seconds in which no worker was fitting; and of the workers' seconds (workers × wall-clock), those not spent in fits, idle
workers included.
"""

from __future__ import annotations

import argparse
import tempfile

import numpy as np
import polars as pl

import modelwright
from modelwright.events import Event, TrialFinished


def table(n_rows: int, n_columns: int, seed: int = 0) -> pl.DataFrame:
    """Half numbers, a third categories, some missing cells; a target of two classes that depends on a few of them."""
    rng = np.random.default_rng(seed)
    n_kinds = n_columns // 3
    x = rng.normal(size=(n_rows, n_columns - n_kinds))
    kinds = rng.integers(0, rng.integers(3, 60, n_kinds), (n_rows, n_kinds))
    score = x[:, 0] + x[:, 1] * x[:, 2] + np.sin(2 * x[:, 3]) + 0.4 * (kinds[:, 0] % 3) - 0.4
    columns = {f"x{j}": np.where(rng.random(n_rows) < 0.02 * (j % 3), np.nan, x[:, j]) for j in range(x.shape[1])}
    columns |= {f"kind{j}": np.array([f"level {k}" for k in kinds[:, j]]) for j in range(n_kinds)}
    target = np.where(rng.random(n_rows) < 1 / (1 + np.exp(-score)), "yes", "no")
    return pl.DataFrame(columns | {"target": target})


def covered(spans: list[tuple[float, float]]) -> float:
    """Length of the union of intervals."""
    total, end = 0.0, -np.inf
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--columns", type=int, default=30)
    parser.add_argument("--budget", type=float, default=60)
    args = parser.parse_args()
    spans: list[tuple[float, float]] = []

    def listen(event: Event) -> None:
        if isinstance(event, TrialFinished):
            spans.append((event.elapsed_s - event.fit_s, event.elapsed_s))

    with tempfile.TemporaryDirectory() as home:
        frame = table(args.rows, args.columns)
        run = modelwright.train(frame, target="target", budget=f"{args.budget:g}s", home=home, on_event=listen)
        record = run.record
    workers = record.environment.get("workers", 2)
    final = [member.fit_s for member in record.plan.members]
    searching = sum(stop - start for start, stop in spans)
    # The final fits are told by no event; side by side they take at least this long.
    fitting = max(sum(final) / workers, max(final, default=0.0))
    no_fit = record.wall_s - covered(spans) - fitting
    idle = 1 - (searching + sum(final)) / (workers * record.wall_s)
    print(f"wall-clock {record.wall_s:.1f} s of {args.budget:g} s, {len(spans)} fits in the search, {len(final)} final fits")
    print("steps:", ", ".join(f"{step} {seconds:.1f} s" for step, seconds in record.timings_s.items()))
    print(f"no worker fitting: {no_fit:.1f} s, {100 * no_fit / record.wall_s:.1f} % of the run")
    print(f"worker seconds outside fits: {100 * idle:.1f} %")


if __name__ == "__main__":
    main()
