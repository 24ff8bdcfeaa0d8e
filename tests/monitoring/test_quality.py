"""Data quality of windows: what broke is named, what is like training is silent."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from modelwright.monitoring.quality import QualityAlarm, _p_of_rise, _Share, quality_of
from modelwright.tables.profile import comparable, profile_of
from modelwright.tables.schema import Column

COLUMNS = [
    Column("x", "number", "feature"),
    Column("rare", "number", "feature"),
    Column("city", "category", "feature"),
    Column("gap", "number", "feature"),
]


def rows(n: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    gap = np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n))
    return pl.DataFrame({
        "x": rng.normal(10, 2, n),
        "rare": (rng.random(n) < 0.001).astype(float),
        "city": rng.zipf(2.0, n).clip(1, 60).astype(str),
        "gap": pl.Series(gap).fill_nan(None),
    })  # fmt: skip


def alarms(frame: pl.DataFrame, unreadable: dict[str, int] | None = None) -> list[QualityAlarm]:
    profile = profile_of(rows(5000, 0), COLUMNS)
    cells = {c.name: comparable(frame, c) for c in COLUMNS if c.name in frame.columns}
    return quality_of(profile.columns, {k: v for k, v in cells.items() if v is not None}, unreadable=unreadable)


@pytest.mark.parametrize("n", [20, 50, 200, 2000])
def test_rows_like_those_of_training_are_silent(n: int) -> None:
    assert [alarm for seed in range(1, 41) for alarm in alarms(rows(n, seed))] == []


@pytest.mark.parametrize("name", ["x", "city", "gap"])
@pytest.mark.parametrize("n", [50, 2000])
def test_emptied_frozen_and_vanished_columns_are_named(name: str, n: int) -> None:
    whole = rows(n, 1)
    empty = whole.with_columns(pl.lit(None, dtype=whole[name].dtype).alias(name))
    assert [(a.name, a.fault) for a in alarms(empty)] == [(name, "empty")]
    value = whole[name].drop_nulls()[0]
    frozen = whole.with_columns(pl.when(pl.col(name).is_null()).then(None).otherwise(pl.lit(value)).alias(name))
    assert [(a.name, a.fault) for a in alarms(frozen)] == [(name, "frozen")]
    assert [(a.name, a.fault) for a in alarms(whole.drop(name))] == [(name, "absent")]


def test_a_column_that_is_nearly_constant_in_training_may_be_constant() -> None:
    assert alarms(rows(100, 1).with_columns(rare=pl.lit(0.0))) == []


def test_gaps_new_labels_other_units_and_unreadable_cells_are_told_with_their_shares() -> None:
    whole = rows(400, 2)
    half = pl.int_range(400) % 2 == 0
    told = alarms(whole.with_columns(x=pl.when(half).then(None).otherwise("x")))
    assert [(a.name, a.fault, a.share, a.was) for a in told] == [("x", "missing", 0.5, 0.0)]
    told = alarms(whole.with_columns(city=pl.when(half).then(pl.lit("Ulm")).otherwise("city")))
    assert [(a.name, a.fault) for a in told] == [("city", "unseen")]
    told = alarms(whole.with_columns(x=pl.col("x") * 1000))
    assert [(a.name, a.fault, a.share) for a in told] == [("x", "range", 1.0)]
    told = alarms(whole.with_columns(x=pl.when(half).then(None).otherwise("x")), {"x": 200})
    assert [(a.name, a.fault, a.share) for a in told] == [("x", "unreadable", 0.5)]
    assert all(a.message.endswith(".") and a.mend for a in told)


def test_the_chance_of_a_rise_is_that_of_fishers_test() -> None:
    for count, n, was, of in ((9, 100, 20, 1000), (30, 60, 5, 500), (1, 50, 0, 5000)):
        table = [[count, n - count], [was, of - was]]
        expected = stats.fisher_exact(table, alternative="greater").pvalue
        assert _p_of_rise(_Share("x", "missing", count, n, was, of, "")) == pytest.approx(expected, rel=1e-6)
