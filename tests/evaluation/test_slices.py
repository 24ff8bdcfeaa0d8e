"""Weak slices are found where they are, and not where they are not; groups are told apart."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from modelwright.evaluation.groupwise import groupwise
from modelwright.evaluation.slices import Slice, confirm_slices, find_slices
from modelwright.metrics.registry import METRICS
from modelwright.tables.schema import Column

COLUMNS = (Column("age", "number", "feature"), Column("city", "category", "feature"), Column("member", "boolean", "feature"))


def _rows(n: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    city = np.where(rng.random(n) < 0.05, None, rng.choice(list("abcdef"), n))
    return pl.DataFrame({"age": rng.integers(18, 90, n), "city": pl.Series(city.tolist()), "member": rng.random(n) < 0.5})


def _slices(frame: pl.DataFrame, error: np.ndarray, clusters: np.ndarray | None = None) -> list[Slice]:
    half = frame.height // 2
    loss = error**2
    found = find_slices(frame[:half], loss[:half], COLUMNS)
    return confirm_slices(
        found,
        validation=(frame[:half], loss[:half]),
        sealed=(frame[half:], loss[half:]),
        y=np.zeros(frame.height - half),
        prediction=error[half:],
        metric=METRICS["rmse"],
        clusters=None if clusters is None else clusters[half:],
    )


def test_a_bad_corner_of_two_columns_is_found_and_confirmed() -> None:
    frame = _rows(8000, 0)
    bad = ((frame["age"] > 70) & (frame["city"] == "c").fill_null(False)).to_numpy()
    error = np.random.default_rng(1).normal(size=8000) * np.where(bad, 4, 1)
    worst = _slices(frame, error)[0]
    assert worst.confirmed
    assert any("city = 'c'" in words for words in worst.conditions)
    assert any("age" in words for words in worst.conditions)
    assert worst.excess is not None
    assert worst.excess > 5
    assert worst.score is not None
    assert worst.score.low < worst.score.value < worst.score.high


def test_a_gap_may_be_the_condition() -> None:
    frame = _rows(6000, 2)
    error = np.random.default_rng(3).normal(size=6000) * np.where(frame["city"].is_null().to_numpy(), 3, 1)
    assert _slices(frame, error)[0].conditions == ["city is missing"]


def test_noise_is_hardly_ever_confirmed() -> None:
    confirmed = 0
    for seed in range(40):
        error = np.random.default_rng(100 + seed).normal(size=3000)
        confirmed += any(s.confirmed for s in _slices(_rows(3000, seed), error))
    # The false discovery rate is held at 5 %: of 40 tables two are expected at most.
    assert confirmed <= 6


def test_one_bad_entity_proves_nothing_about_its_city() -> None:
    frame = _rows(4000, 5)
    entity = np.random.default_rng(6).integers(0, 12, 4000)
    error = np.random.default_rng(7).normal(size=4000) * np.where(entity == 3, 2.0, 1.0)
    frame = frame.with_columns(city=pl.Series(np.where(entity == 3, "x", "y").tolist()))
    alone, clustered = _slices(frame, error)[0], _slices(frame, error, entity)[0]
    assert alone.confirmed
    assert clustered.conditions == alone.conditions
    assert clustered.p_value is None
    assert not clustered.confirmed


def test_groups_are_told_apart_and_small_ones_are_unknown() -> None:
    rng = np.random.default_rng(0)
    sex = pl.Series("sex", ["f"] * 300 + ["m"] * 300 + ["x"] * 20)
    error = rng.normal(size=620) * np.where((sex == "m").to_numpy(), 3, 1)
    found = groupwise(sex, np.zeros(620), error, [METRICS["rmse"]])
    assert [(g.group, g.n_rows) for g in found.groups] == [("f", 300), ("m", 300), ("x", 20)]
    assert found.groups[2].metrics == {}
    assert found.apart["rmse"]
    assert found.gaps["rmse"] == pytest.approx(2, abs=0.4)


def test_numbers_are_cut_into_quarters_and_gaps_named() -> None:
    age = pl.Series("age", [None] * 60 + list(range(400)))
    found = groupwise(age, np.zeros(460), np.ones(460), [METRICS["mae"]])
    assert {g.group for g in found.groups} == {"0 to 99.75", "99.75 to 199.5", "199.5 to 299.25", "299.25 to 399", "missing"}
