"""Near copies are found, and what merely lies close is not."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from modelwright.splits.near import near_duplicate_units, near_units


def _jittered(frame: pl.DataFrame, rows: np.ndarray, seed: int) -> pl.DataFrame:
    """Copies with noise of a thousandth of the standard deviation, or a step where numbers are whole."""
    rng = np.random.default_rng(seed)
    columns = []
    for column in frame[rows]:
        if column.dtype.is_float():
            column = column + pl.Series(rng.normal(size=len(rows)) * 1e-3 * float(frame[column.name].std() or 0))
        elif column.dtype.is_integer():
            column = column + pl.Series(rng.integers(-1, 2, len(rows)))
        columns.append(column)
    return pl.DataFrame(columns)


def _mixed(n: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    numbers = {f"x{k}": rng.normal(size=n) for k in range(4)}
    whole = {f"n{k}": rng.integers(0, 5000, n) for k in range(3)}
    words = {f"w{k}": rng.choice([f"Level {j}" for j in range(30)], n) for k in range(3)}
    return pl.DataFrame(numbers | whole | words)


@pytest.mark.parametrize("load", [load_breast_cancer, load_wine])
def test_jittered_copies_of_a_real_table_join_their_originals(load) -> None:  # type: ignore[no-untyped-def]
    frame = pl.from_pandas(load(as_frame=True).data)
    n = frame.height
    rows = np.random.default_rng(1).permutation(n)[: n // 10]
    found = near_units(pl.concat([frame, _jittered(frame, rows, 2)]), frame.columns)
    assert np.array_equal(found.units[n:], found.units[rows])
    assert found.n_near == len(rows)
    assert near_units(frame, frame.columns).n_near == 0


def test_steps_of_whole_numbers_other_case_and_a_changed_column_are_near() -> None:
    frame = _mixed(3000)
    rows = np.arange(0, 3000, 10)
    copies = _jittered(frame, rows, 3).with_columns(pl.col("w0").str.to_uppercase() + " ", x0=pl.Series(np.arange(300) * 1.0))
    both = pl.concat([frame, copies]).with_columns(key=pl.int_range(3300))
    units = near_duplicate_units(both, both.columns)
    assert (units[3000:] == units[rows]).mean() > 0.99
    assert int(units.max()) + 1 >= 3000


def test_units_are_numbered_by_first_appearance_and_refine_nothing_exact() -> None:
    frame = _mixed(500)
    both = pl.concat([frame, frame[:50], _jittered(frame, np.arange(20), 4)])
    units = near_duplicate_units(both, both.columns)
    assert np.array_equal(units[:500], np.arange(500))
    assert np.array_equal(units[500:550], np.arange(50))
    assert np.array_equal(units[550:], np.arange(20))


def test_dense_tables_are_not_glued() -> None:
    rng = np.random.default_rng(5)
    grid = pl.DataFrame(rng.integers(0, 12, (5000, 6)), schema=[f"g{k}" for k in range(6)])
    digits = pl.from_pandas(load_digits(as_frame=True).data).cast(pl.Int64)
    for frame in (grid, digits):
        sizes = np.bincount(near_duplicate_units(frame, frame.columns))
        assert sizes.max() <= max(20, 0.01 * frame.height)
        assert len(sizes) > 0.97 * frame.height


def test_a_sensor_read_each_second_is_a_chain_and_is_refused_with_a_reason() -> None:
    rng = np.random.default_rng(6)
    walk = np.cumsum(rng.normal(size=(6000, 8)) * 2e-2, axis=0)
    found = near_units(pl.DataFrame(walk, schema=[f"s{k}" for k in range(8)]), [f"s{k}" for k in range(8)])
    assert found.n_near < 60
    slow = pl.DataFrame(np.linspace(0, 1, 6000)[:, None] + np.arange(8), schema=[f"s{k}" for k in range(8)])
    found = near_units(slow, slow.columns)
    assert found.n_near == 0
    assert np.array_equal(found.units, np.arange(6000))


def test_few_possible_rows_are_no_copies() -> None:
    rng = np.random.default_rng(7)
    frame = pl.DataFrame({"smoker": rng.integers(0, 2, 1000), "region": rng.choice(["n", "s"], 1000)})
    found = near_units(frame, frame.columns)
    assert np.array_equal(found.units, np.arange(1000))
    assert "few rows are possible" in found.reason


def test_missing_infinite_nested_and_constant_cells_are_compared() -> None:
    frame = _mixed(400).with_columns(
        x0=pl.when(pl.int_range(400) % 3 == 0).then(None).otherwise(pl.col("x0")),
        x1=pl.when(pl.int_range(400) % 5 == 0).then(float("inf")).otherwise(pl.col("x1")),
        gone=pl.lit(None, dtype=pl.Float64),
        same=pl.lit(1),
        pair=pl.concat_list("n0", "n1"),
    )
    both = pl.concat([frame, frame[:40].with_columns(pl.col("x2") + 1e-4)])
    units = near_duplicate_units(both, both.columns)
    assert np.array_equal(units[400:], np.arange(40))


def test_the_same_table_gives_the_same_units() -> None:
    frame = pl.concat([_mixed(1000), _jittered(_mixed(1000), np.arange(100), 8)])
    assert np.array_equal(near_duplicate_units(frame, frame.columns), near_duplicate_units(frame, frame.columns))
