"""Drift of columns: silent on rows like those of training, found where it matters, said in words."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from modelwright.monitoring.drift import Drift, drift_of, holm, judged
from modelwright.tables.profile import KNOTS, PREDICTION, Labels, Numbers, Profile, comparable, profile_of
from modelwright.tables.schema import Column


def rows(rng: np.random.Generator, n: int, shift: float = 0.0) -> pl.DataFrame:
    made = {f"normal{k}": rng.normal(size=n) + (shift if k == 0 else 0) for k in range(7)}
    made |= {f"skewed{k}": rng.lognormal(size=n) for k in range(5)}
    made |= {f"heavy{k}": rng.standard_t(2, size=n) for k in range(4)}
    made |= {f"count{k}": rng.poisson(0.3, size=n).astype(float) for k in range(3)}
    made |= {f"sparse{k}": rng.zipf(1.6, size=n).clip(1, 400 + k).astype(str) for k in range(6)}
    return pl.DataFrame(made)


NAMES = rows(np.random.default_rng(0), 2).columns
COLUMNS = [Column(name, "category" if name.startswith("sparse") else "number", "feature") for name in NAMES]


def looked_at(profile: Profile, frame: pl.DataFrame, before: list[frozenset[str]]) -> list[Drift]:
    drifts = [drift_of(p, comparable(frame, c)) for p, c in zip(profile.columns, COLUMNS, strict=True)]
    found = judged(drifts, before)
    before.append(frozenset(drift.name for drift in found if drift.exceeds))
    return found


@pytest.mark.parametrize("m", [800, 5000])
@pytest.mark.parametrize("n", [200, 500, 5000])
def test_unchanged_columns_do_not_alarm(m: int, n: int) -> None:
    rng = np.random.default_rng(m + n)
    profile, before = profile_of(rows(rng, m), COLUMNS), []
    states = [drift.state for _ in range(20) for drift in looked_at(profile, rows(rng, n), before)]
    assert states.count("alarm") == 0
    assert states.count("warning") <= 0.01 * len(states)


def test_a_shift_of_a_third_of_a_deviation_is_found_and_trifles_are_not() -> None:
    rng = np.random.default_rng(3)
    profile = profile_of(rows(rng, 5000), COLUMNS)
    found = 0
    for _ in range(20):
        before: list[frozenset[str]] = []
        looked_at(profile, rows(rng, 1000, 0.3), before)
        second = looked_at(profile, rows(rng, 1000, 0.3), before)
        found += [drift.name for drift in second if drift.state == "alarm"] == ["normal0"]
    assert found >= 18
    assert {drift.state for drift in looked_at(profile, rows(rng, 100_000, 0.02), [])} == {"ok"}


def test_few_rows_are_not_ok_but_not_enough() -> None:
    rng = np.random.default_rng(4)
    profile = profile_of(rows(rng, 5000), COLUMNS)
    assert {drift.state for drift in looked_at(profile, rows(rng, 50, 3.0), [])} == {"not enough data"}


def test_an_alarm_needs_two_of_three_windows() -> None:
    rng = np.random.default_rng(5)
    profile = profile_of(rows(rng, 5000), COLUMNS)
    before: list[frozenset[str]] = []
    states = []
    for shift in (1.0, 0.0, 1.0, 0.0, 0.0, 1.0):
        states += [drift.state for drift in looked_at(profile, rows(rng, 1000, shift), before) if drift.name == "normal0"]
    assert states == ["warning", "ok", "alarm", "ok", "ok", "warning"]


def test_distance_and_p_are_those_of_the_two_sample_test_where_values_are_few() -> None:
    rng = np.random.default_rng(6)
    then, now = rng.poisson(4, 3000).astype(float), rng.poisson(4.3, 900).astype(float)
    reference = profile_of(pl.DataFrame({"x": then}), [Column("x", "number", "feature")]).columns[0]
    drift = drift_of(reference, pl.Series(now))
    theirs = stats.ks_2samp(then, now, method="asymp")
    assert drift.distance == pytest.approx(theirs.statistic, abs=1e-12)
    assert drift.p == pytest.approx(theirs.pvalue, rel=0.15)
    kinds = (then % 6).astype(int).astype(str), (now % 6).astype(int).astype(str)
    reference = profile_of(pl.DataFrame({"x": kinds[0]}), [Column("x", "category", "feature")]).columns[0]
    counts = [[int((kind == str(level)).sum()) for level in range(6)] for kind in kinds]
    expected = stats.chi2_contingency(counts, correction=False).pvalue
    assert drift_of(reference, pl.Series(kinds[1])).p == pytest.approx(expected, rel=1e-9)


def test_profiles_stay_small_and_say_what_moved() -> None:
    rng = np.random.default_rng(7)
    frame = pl.DataFrame({"x": rng.normal(size=50_000), "city": rng.choice(["Bonn", "Köln"], 50_000), "note": ["abc"] * 50_000})
    columns = [Column("x", "number", "feature"), Column("city", "category", "feature"), Column("note", "text", "text")]
    answers = np.column_stack([1 - frame["x"].to_numpy() ** 0, frame["x"].to_numpy() ** 0])
    profile = profile_of(frame, columns, answers=answers, task="binary", classes=["no", "yes"])
    x, city, note, prediction = profile.columns
    assert isinstance(x, Numbers)
    assert len(x.values) <= KNOTS
    assert (x.shares[-1], x.n_most) == (1.0, 1)
    assert isinstance(city, Labels)
    assert sum(city.counts) == city.n == 50_000
    assert isinstance(note, Numbers)
    assert (note.values, prediction.name) == ([3.0], PREDICTION)
    moved = drift_of(city, pl.Series(["Köln"] * 500))
    assert (moved.kind, moved.n) == ("labels", 500)
    assert "→ 100.0%" in moved.moved or "→ 0.0%" in moved.moved
    assert "median" in drift_of(x, pl.Series(np.ones(500))).moved


def test_empty_windows_and_empty_references_are_no_drift() -> None:
    column = Column("x", "number", "feature")
    full = profile_of(pl.DataFrame({"x": [1.0, 2.0]}), [column]).columns[0]
    empty = profile_of(pl.DataFrame({"x": pl.Series([None, None], dtype=pl.Float64)}), [column]).columns[0]
    for reference in (full, empty):
        drift = judged([drift_of(reference, pl.Series([None] * 300, dtype=pl.Float64))])[0]
        assert (drift.state, drift.p, drift.n) == ("not enough data", 1.0, 0)


def test_important_columns_come_first() -> None:
    drifts = [Drift(name, "numbers", 500, distance, 1e-9) for name, distance in (("a", 0.5), ("b", 0.3))]
    assert [d.name for d in judged(drifts, [frozenset("ab")], importance={"a": 0.1, "b": 1.0})] == ["b", "a"]


def test_holm_is_the_known_one() -> None:
    assert holm([]) == []
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_numbers_that_move_by_less_than_the_slack_lie_where_they_were() -> None:
    rng = np.random.default_rng(8)
    then, now = rng.beta(1, 400, 4000), rng.beta(1, 200, 1000)  # nearly 0, and twice as much
    reference = profile_of(pl.DataFrame({"x": then}), [Column("x", "number", "feature")]).columns[0]
    assert drift_of(reference, pl.Series(now)).distance > 0.2
    assert drift_of(reference, pl.Series(now), slack=0.01).distance < 0.1
    assert drift_of(reference, pl.Series(now + 0.3), slack=0.01).distance > 0.9
    assert drift_of(reference, pl.Series(rng.beta(1, 400, 1000)), slack=0.01).distance == 0.0
