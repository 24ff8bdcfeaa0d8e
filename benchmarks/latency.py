"""How long one row takes on one thread, and how many rows a second a batch is on one core and on all.

    python benchmarks/latency.py [--calls 2000] [--rows 100000]

Two tables: the customers in ``examples/data`` and generated rows of numbers, categories, booleans and dates. On each two
models: one booster, and an ensemble of four (LightGBM, CatBoost where it is installed, extra trees, linear). Rows are
asked for in turn, so that no cache holds the answer. "library" is LightGBM's own ``Booster.predict`` on a matrix that is
already there, with one thread: the time below which only another library or another model could go.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import numpy as np
import polars as pl

from modelwright.artifacts.model import PART_ROWS, Member, Model
from modelwright.features.encoder import Encoder
from modelwright.learners import registry
from modelwright.learners.boosting import joined
from modelwright.provenance.machine import available_cpus
from modelwright.tables.conform import conform
from modelwright.tables.read import read
from modelwright.tables.types import infer_schema

TELCO = Path(__file__).parents[1] / "examples" / "data" / "telco_churn.csv"
BOOSTER = ("lightgbm", {"n_estimators": 300})
ENSEMBLE = (
    BOOSTER,
    ("catboost", {"n_estimators": 300}) if find_spec("catboost") else ("lightgbm", {"n_estimators": 300, "extra_trees": True}),
    ("extra_trees", {"n_estimators": 100}),
    ("linear", {}),
)


def generated(n: int = 10_000, seed: int = 0) -> pl.DataFrame:
    """Twelve columns of all kinds but text, and whether a row is positive."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    plan = rng.integers(0, 4, n)
    columns: dict[str, Any] = {f"measure_{j}": np.where(rng.random(n) < 0.03, np.nan, x[:, j]) for j in range(6)}
    columns |= {
        "visits": rng.integers(0, 400, n),
        "plan": [f"plan {k}" for k in plan],
        "town": [f"town {k}" for k in rng.integers(0, 60, n)],
        "source": rng.choice(["web", "shop", "phone"], n),
        "member": rng.random(n) < 0.4,
        "since": [datetime(2022, 1, 1) + timedelta(hours=int(h)) for h in rng.integers(0, 20_000, n)],
        "y": np.where(x[:, 0] + x[:, 1] * x[:, 2] + (plan == 2) + rng.normal(size=n) > 0.5, "yes", "no"),
    }
    return pl.DataFrame(columns, nan_to_null=True)


def trained(frame: pl.DataFrame, target: str, parts: tuple[tuple[str, dict[str, Any]], ...]) -> Model:
    """Equal shares of the given learners, fitted on all rows."""
    schema = infer_schema(frame, target=target)
    conformed, _ = conform(frame, schema)
    encoder = Encoder.fit(conformed, schema)
    X, y = encoder.transform(conformed), (frame[target].cast(pl.String).str.to_lowercase() == "yes").to_numpy().astype(np.int64)
    members = []
    for seed, (name, params) in enumerate(parts):
        learner = registry.get(name)(params, task="binary", n_classes=2, seed=seed)
        learner.fit(X, y)
        members.append(Member(learner, 1 / len(parts), 0))
    return Model(task="binary", target=target, classes=["no", "yes"], schema=schema, encoders=[encoder], members=members)


def percentiles(call: Callable[[Any], Any], given: Iterator[Any], calls: int) -> tuple[float, float, float]:
    """Median, 95th and 99th percentile of one call, in milliseconds."""
    for _ in range(20):
        call(next(given))
    seconds = []
    for _ in range(calls):
        item = next(given)
        started = time.perf_counter()
        call(item)
        seconds.append(time.perf_counter() - started)
    p50, p95, p99 = (1e3 * float(np.percentile(seconds, share)) for share in (50, 95, 99))
    return p50, p95, p99


def main() -> None:
    """Print a line for each table, model and way of asking."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=100_000)
    asked = parser.parse_args()
    print(f"{'table':<10} {'model':<10} {'asked for':<22} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'to library':>11}")
    for table, frame, target in (("customers", read(TELCO).frame, "Churn"), ("generated", generated(), "y")):
        rows = frame.drop(target)
        for title, parts in (("booster", (BOOSTER,)), ("ensemble", ENSEMBLE)):
            model = trained(frame, target, parts)
            score = model.compile()
            ones = [rows[k : k + 1] for k in range(500)]
            encoded = model.encoders[0].transform(conform(rows[:500], model.schema)[0])
            singles = [joined(encoded.take(np.array([k]))) for k in range(500)]
            booster = model.members[0].learner._booster  # type: ignore[attr-defined]

            def library(single: np.ndarray, booster: Any = booster) -> Any:
                return booster.predict(single, num_threads=1)

            ways: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
                "library, ready matrix": (library, singles),
                "dict": (score.predict_proba, rows[:500].to_dicts()),
                "polars, one row": (model.predict_proba, ones),
            }
            if find_spec("pandas"):
                ways["pandas, one row"] = (model.predict_proba, [one.to_pandas() for one in ones])
            base = 0.0
            for way, (call, given) in ways.items():
                p50, p95, p99 = percentiles(call, cycle(given), asked.calls)
                base = base or p50
                print(f"{table:<10} {title:<10} {way:<22} {p50:8.3f} {p95:8.3f} {p99:8.3f} {p50 / base:10.2f}x", flush=True)
            many = pl.concat([rows] * (asked.rows // rows.height + 1))[: asked.rows]
            model.predict_proba(many[:PART_ROWS])  # libraries make ready at their first call
            started, began = time.process_time(), time.perf_counter()
            answers = model.predict_proba(many)
            ours, wall = time.process_time() - started, time.perf_counter() - began
            matrix = joined(model.encoders[0].transform(conform(many, model.schema)[0]))
            started = time.process_time()
            booster.predict(matrix, num_threads=1)
            theirs = time.process_time() - started
            alone = np.array([score.predict_proba(row) for row in rows[:500].iter_rows(named=True)])
            equal = "equal bits" if np.array_equal(alone, answers[:500]) else "OTHER BITS"
            print(
                f"{table:<10} {title:<10} batch of {asked.rows:,} rows: {asked.rows / wall:,.0f} rows/s on {available_cpus()} "
                f"cores, {asked.rows / ours:,.0f} a processor second (LightGBM's own predict on a ready matrix: "
                f"{asked.rows / theirs:,.0f}); alone and in the batch: {equal}",
                flush=True,
            )


if __name__ == "__main__":
    main()
