"""Feature selection: columns of noise go, columns that tell something stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from modelwright.features.selection import Choice, choose_columns
from modelwright.tables.conform import conform
from modelwright.tables.schema import Column, Schema
from modelwright.tables.types import infer_schema

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


def _table(n_noise: int) -> tuple[pl.DataFrame, Schema, np.ndarray]:
    """Numbers of which five make the target, and noise: numbers, and labels of many levels."""
    rng = np.random.default_rng(3)
    n = 2_400
    useful = rng.normal(size=(n, 5))
    signal = useful @ np.array([2.0, -1.5, 1.0, 0.8, 0.6]) + 2.0 * (useful[:, 0] * useful[:, 1] > 0)
    y = (signal + rng.logistic(size=n) > 0.5).astype(np.int64)
    cells: dict[str, Any] = {f"useful{k}": useful[:, k] for k in range(5)}
    columns = [Column(f"useful{k}", "number", "feature") for k in range(5)]
    for k in range(n_noise):
        labels = k % 3 == 0
        cells[f"noise{k}"] = [f"l{v}" for v in rng.integers(0, 60, n)] if labels else rng.normal(size=n)
        columns.append(Column(f"noise{k}", "category" if labels else "number", "feature"))
    return pl.DataFrame(cells), Schema(tuple(columns)), y


def _choose(table: tuple[pl.DataFrame, Schema, np.ndarray], seed: int = 0) -> Choice:
    frame, schema, y = table
    rows = np.random.default_rng(1).permutation(len(y))
    return choose_columns(frame, schema, y, rows[:1600], rows[1600:], "binary", 2, seed=seed)


def test_noise_is_left_out_and_what_tells_something_stays() -> None:
    choice = _choose(_table(12))
    assert all(name.startswith("noise") for name in choice.left_out)
    assert len(choice.left_out) >= 5
    kept = [column.name for column in choice.schema.features]
    assert kept[:5] == [f"useful{k}" for k in range(5)]
    assert "left out by feature selection" in choice.schema[choice.left_out[0]].reason
    assert choice.sentence.startswith(f"{len(choice.left_out)} of 17 columns are left out")


def test_nothing_is_left_out_where_all_columns_help() -> None:
    choice = _choose(_table(0))
    assert choice.left_out == []
    assert len(choice.schema.features) == 5


def test_same_seed_same_choice() -> None:
    table = _table(6)
    assert _choose(table, seed=4) == _choose(table, seed=4)


def test_texts_stay_and_tables_without_a_target_are_left_alone() -> None:
    frame, schema, y = _table(9)
    frame = frame.with_columns(note=pl.Series([f"word{k % 90} and more of it {k}" for k in range(frame.height)]))
    schema = Schema((*schema.columns, Column("note", "text", "text")))
    assert "note" in [column.name for column in _choose((frame, schema, y)).schema.features]
    rows = np.arange(frame.height)
    untouched = choose_columns(frame, schema, None, rows[:1000], rows[1000:], "clustering", 0)
    assert (untouched.schema, untouched.left_out) == (schema, [])


def test_columns_that_count_survive_noise_added_to_a_real_table() -> None:
    rows = pl.read_csv(TELCO).drop("customerID")
    rng = np.random.default_rng(0)
    for k in range(8):
        noise = pl.Series(
            f"noise{k}", [f"l{v}" for v in rng.integers(0, 80, rows.height)] if k % 2 else rng.random(rows.height)
        )
        rows = rows.with_columns(noise)
    schema = infer_schema(rows, target="Churn")
    frame, _ = conform(rows, schema)
    y = (rows["Churn"] == "Yes").to_numpy().astype(np.int64)
    order = rng.permutation(rows.height)
    choice = choose_columns(frame, schema, y, order[:4500], order[4500:], "binary", 2)
    assert sum(name.startswith("noise") for name in choice.left_out) >= 4
    assert not set(choice.left_out) & {"tenure", "Contract", "InternetService", "OnlineSecurity", "TotalCharges"}
