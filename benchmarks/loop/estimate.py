"""Does the score lie in the band that was estimated without labels, when inputs shift?

usage: python benchmarks/loop/estimate.py [DATA_DIR] [--tables a,b] [--windows 8] [--rows 1000]

Of each table 4,000 rows train a small boosted model, with out-of-fold answers as a training makes them. Windows are drawn
from the other rows with covariate shift: a row is the likelier, the larger the sum of half of its columns, chosen at random for
each window and standardised; the draw moves that sum by so many standard deviations. The relation of columns to target stays.
Synthetic rows move half of ten columns by so many deviations. For each window the score on its labels is compared with the
band, for CBPE, weighted CBPE, and what a check tells (weighted only where the classifier sees a shift). Goal: accuracy in its
band in at least 95 %.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl

from modelwright.artifacts.reference import Reference, codes_of, reference_of
from modelwright.metrics.registry import METRICS, score
from modelwright.monitoring.domain import effective, told_apart
from modelwright.monitoring.estimate import of_classes, of_numbers
from modelwright.tables.conform import conform
from modelwright.tables.profile import comparable, profile_of
from modelwright.tables.read import read
from modelwright.tables.roles import encode_target, infer_task
from modelwright.tables.types import infer_schema

TRAIN = 4000
SHIFTS = (0.0, 0.7, 1.2)
TABLES = {
    "adult_income": "income", "bank_marketing": "y", "credit_default": "default.payment.next.month",
    "give_me_some_credit": "SeriousDlqin2yrs", "hotel_bookings": "is_canceled", "electricity_nsw": "class",
    "letter_recognition": "lettr", "diamonds": "price", "protein_casp": "RMSD",
}  # fmt: skip
_SETTINGS = {"learning_rate": 0.06, "num_leaves": 16, "min_data_in_leaf": 20, "num_threads": 1, "verbosity": -1, "seed": 1}
#: Draws a window's rows by shift, with their truth.
Draw = Callable[[np.random.Generator, int, float], tuple[pl.DataFrame, np.ndarray]]


@dataclass(frozen=True)
class Case:
    """A model with its reference, and rows to come."""

    name: str
    task: Any
    columns: list[Any]
    reference: Reference
    answer: Callable[[pl.DataFrame], np.ndarray]
    draw: Draw


def encoded(frame: pl.DataFrame, columns: list[Any]) -> np.ndarray:
    """Columns as numbers for the model: labels by a hash of their text."""
    parts = []
    for column in columns:
        cells = frame[column.name]
        if cells.dtype == pl.String:
            codes = {text: zlib.crc32(text.encode()) % 9973 for text in cells.drop_nulls().unique().to_list()}
            cells = cells.replace_strict(codes, default=None, return_dtype=pl.Float64)
        parts.append(cells.cast(pl.Float64).fill_null(float("nan")).to_numpy())
    return np.column_stack(parts)


def fitted(X: np.ndarray, y: np.ndarray, task: str, k: int) -> Any:
    """A small boosted model; answers probabilities or numbers."""
    goal = {"binary": {"objective": "binary"}, "multiclass": {"objective": "multiclass", "num_class": k}}
    booster = lightgbm.train(_SETTINGS | goal.get(task, {"objective": "regression"}), lightgbm.Dataset(X, y), 80)

    def answer(rows: np.ndarray) -> np.ndarray:
        found = np.asarray(booster.predict(rows))
        return np.column_stack([1 - found, found]) if task == "binary" else found

    return answer


def case_of(name: str, frame: pl.DataFrame, y: np.ndarray, task: Any, columns: list[Any], draw: Draw) -> Case:
    """Train with out-of-fold answers."""
    k = int(y.max()) + 1 if task != "regression" else 0
    X, fold = encoded(frame, columns), np.arange(len(y)) % 4
    parts = [(np.flatnonzero(fold == f), fitted(X[fold != f], y[fold != f], task, k)) for f in range(4)]
    held = np.zeros((len(y), k) if k else len(y))
    for rows, model in parts:
        held[rows] = model(X[rows])
    final = fitted(X, y, task, k)
    profile = profile_of(frame, columns, answers=held, task=task, classes=[str(c) for c in range(k)])
    reference = reference_of(profile, frame, cells_of(frame, columns), held, y, name)
    return Case(name, task, columns, reference, lambda rows: final(encoded(rows, columns)), draw)


def cells_of(frame: pl.DataFrame, columns: list[Any]) -> dict[str, pl.Series]:
    """Cells by column."""
    return {c.name: cells for c in columns if (cells := comparable(frame, c)) is not None}


def of_table(data: Path, name: str, target: str) -> Case:
    """A real table, its rows in random order."""
    path = next(path for path in (data / f"{name}.parquet", data / f"{name}.csv") if path.exists())
    raw = read(path).frame.sample(fraction=1.0, shuffle=True, seed=3).head(60_000)
    task, _ = infer_task(raw[target], None)
    y, _ = encode_target(raw[target], task, None)
    schema = infer_schema(raw.head(TRAIN), target=target, task=task)
    columns = [column for column in schema.features if column.type in ("number", "category", "boolean")]
    frame, _ = conform(raw, schema, columns=tuple(columns))
    rest, truth = frame[TRAIN:], y[TRAIN:]
    codes = np.nan_to_num(encoded(rest, columns))
    ranks = codes.argsort(axis=0).argsort(axis=0) / len(codes) - 0.5

    def draw(rng: np.random.Generator, n: int, shift: float) -> tuple[pl.DataFrame, np.ndarray]:
        sign = rng.choice([-1.0, 1.0], ranks.shape[1]) * (rng.random(ranks.shape[1]) < 0.5)
        along = ranks @ sign
        along = (along - along.mean()) / (along.std() or 1.0)
        share = np.exp(shift * along)
        rows = rng.choice(len(along), n, replace=False, p=share / share.sum())
        return rest[rows], truth[rows]

    return case_of(name, frame[:TRAIN], y[:TRAIN], task, columns, draw)


def synthetic(seed: int) -> Case:
    """Ten normal columns, a relation that is not straight."""
    from modelwright.tables.schema import Column

    columns = [Column(f"x{k}", "number", "feature") for k in range(10)]
    of = np.random.default_rng(seed)
    a, b, c = of.normal(size=10), of.normal(size=10), of.normal(size=10)

    def draw(rng: np.random.Generator, n: int, shift: float) -> tuple[pl.DataFrame, np.ndarray]:
        X = rng.normal(size=(n, 10))
        X[:, rng.permutation(10)[:5]] += shift * rng.choice([-1.0, 1.0], 5)
        z = X @ a * 0.5 + np.sin(X @ b) * 1.2 + 0.4 * X[:, 0] * X[:, 1] + np.abs(X @ c) * 0.2 - 0.4
        return pl.DataFrame(X, schema=[column.name for column in columns]), (rng.random(n) < 1 / (1 + np.exp(-z))).astype(
            np.int64
        )

    frame, y = draw(np.random.default_rng(seed + 1), TRAIN, 0.0)
    return case_of(f"synthetic {seed}", frame, y, "binary", columns, draw)


Told = dict[tuple[str, str, float], list[tuple[bool, float]]]


def run(case: Case, windows: int, n: int, found: Told) -> None:
    """All windows of a case."""
    held = case.reference.held_out
    by_name = {column.name: column for column in case.reference.profile.columns}
    metrics = ["rmse", "mae"] if case.task == "regression" else ["accuracy", "roc_auc" if case.task == "binary" else "log_loss"]
    begun, first = time.process_time(), dict[str, list[bool]]()
    for shift in SHIFTS:
        for k in range(windows):
            rng = np.random.default_rng([zlib.crc32(case.name.encode()), int(10 * shift), k])
            frame, y = case.draw(rng, n, shift)
            answers, cells = case.answer(frame), cells_of(frame, case.columns)
            codes = np.column_stack([codes_of(by_name[name], cells[name]) for name in held.columns])
            told = told_apart(held.codes, codes)
            weighted = told.p < 0.005
            for metric in metrics:
                true = score(METRICS[metric], y, answers, None, 0.5 if case.task == "binary" else None)
                bands = {}
                for method, weight in (("plain", None), ("weighted", told.weight)):
                    if case.task == "regression":
                        bands[method], _ = of_numbers(
                            METRICS[metric], answers, codes, held.answers, held.y, held.codes, weight=weight
                        )
                    else:
                        threshold = 0.5 if case.task == "binary" else None
                        held_y = held.y.astype(np.int64)
                        bands[method], _ = of_classes(
                            METRICS[metric], answers, held.answers, held_y, weight=weight, threshold=threshold
                        )
                enough = not weighted or effective(told.weight) >= 100
                if enough:
                    bands["told"] = bands["weighted" if weighted else "plain"]
                reference = score(
                    METRICS[metric], held.y.astype(y.dtype), held.answers, None, 0.5 if case.task == "binary" else None
                )
                for method, (value, low, high) in bands.items():
                    inside = low <= true <= high
                    found[metric, method, shift].append((inside, abs(value - true)))
                    if method == "told":
                        first.setdefault(metric, []).append(inside)
                found[metric, "carried", shift].append((False, abs(reference - true)))
    inside_of = ", ".join(f"{metric} in band {np.mean(each):.0%}" for metric, each in first.items())
    print(f"  {case.name:<22} {inside_of}  ({time.process_time() - begun:.0f} s)", flush=True)


def main() -> None:
    """Run all tables and synthetic rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--synthetic", type=int, default=3)
    given = parser.parse_args()
    found: Told = defaultdict(list)
    for seed in range(given.synthetic):
        run(synthetic(seed), given.windows, given.rows, found)
    for name in filter(None, given.tables.split(",")) if given.data else ():
        run(of_table(given.data, name, TABLES[name]), given.windows, given.rows, found)
    print(f"{'metric':<10} {'shift':>5}  " + "  ".join(f"{m:>18}" for m in ("plain", "weighted", "told", "carried forward")))
    for metric in dict.fromkeys(key[0] for key in found):
        for shift in SHIFTS:
            cells = []
            for method in ("plain", "weighted", "told", "carried"):
                each = found[metric, method, shift]
                inside, off = np.mean([i for i, _ in each]), np.mean([e for _, e in each])
                cells.append(f"{inside:>8.0%} ±{off:<8.3g}" if method != "carried" else f"{'':>8} ±{off:<8.3g}")
            print(f"{metric:<10} {shift:>5.1f}  " + "  ".join(cells))
    shifted = [inside for shift in SHIFTS[1:] for inside, _ in found["accuracy", "told", shift]]
    share = float(np.mean(shifted))
    print(f"{'ok  ' if share >= 0.95 else 'MISS'} accuracy in its band under covariate shift: {share:.4g} (goal at least 0.95)")


if __name__ == "__main__":
    main()
