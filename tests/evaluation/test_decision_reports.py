"""Reports of calibration, threshold and coverage say what was simulated."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from modelwright.ensembles.conformal import fit_intervals, fit_sets
from modelwright.ensembles.threshold import choose
from modelwright.evaluation.calibration_report import report_calibration
from modelwright.evaluation.conformal_report import report_conformal
from modelwright.evaluation.threshold_report import report_threshold
from modelwright.metrics.registry import METRICS


def _two(z):
    p = 1 / (1 + np.exp(-z))
    return np.column_stack([1 - p, p])


def _drawn(n, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n) * 1.5
    return z, (rng.random(n) < 1 / (1 + np.exp(-z))).astype(np.int64)


def test_slope_and_intercept_tell_how_probabilities_were_bent():
    z, y = _drawn(20_000)
    bent = report_calibration(y, _two(2 * z), _two(2 * z), ["no", "yes"], "none")
    assert bent.slope.low < 0.5 < bent.slope.high
    assert "too sure" in bent.sentence
    moved = report_calibration(y, _two(z + 1), _two(z + 1), ["no", "yes"], "none")
    assert moved.intercept.low < -1 < moved.intercept.high
    assert moved.slope.low < 1 < moved.slope.high


def test_slope_interval_covers_one_for_honest_probabilities_in_95_of_100_cases():
    inside = 0
    for seed in range(200):
        z, y = _drawn(800, seed)
        slope = report_calibration(y, _two(z), _two(z), [0, 1], "none").slope
        inside += slope.low <= 1 <= slope.high
    assert 181 <= inside <= 199


def test_gap_is_freed_from_chance_but_not_from_truth():
    plain, corrected = [], []
    for seed in range(50):
        z, y = _drawn(1000, seed)
        found = report_calibration(y, _two(z), _two(z), [0, 1], "none")
        plain.append(found.ece)
        corrected.append(found.ece_corrected)
    assert np.mean(plain) > 0.025
    assert np.mean(corrected) < 0.6 * np.mean(plain)
    z, y = _drawn(20_000)
    bent = report_calibration(y, _two(3 * z), _two(3 * z), [0, 1], "none")
    true = np.mean(np.abs(_two(3 * z)[:, 1] - _two(z)[:, 1]))
    assert bent.ece_corrected == pytest.approx(true, rel=0.1)


def test_parts_of_the_brier_score_add_up():
    z, y = _drawn(20_000)
    found = report_calibration(y, _two(2 * z), _two(2 * z), [0, 1], "none")
    assert found.reliability - found.resolution + found.uncertainty == pytest.approx(found.brier, abs=0.002)
    assert found.uncertainty == pytest.approx(y.mean() * (1 - y.mean()), abs=1e-3)
    honest = report_calibration(y, _two(z), _two(z), [0, 1], "none")
    assert abs(honest.reliability) < 0.0005 < found.reliability


def test_many_classes_are_told_one_by_one():
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(3), 5000)
    y = (proba.cumsum(axis=1) < rng.random((5000, 1))).sum(axis=1)
    found = report_calibration(y, proba, proba, ["a", "b", "c"], "none")
    assert set(found.classes) == {"a", "b", "c"}
    assert all(abs(c["bias"]) < 0.02 and c["ece"] < 0.02 for c in found.classes.values())
    assert msgspec.json.decode(msgspec.json.encode(found))["event"] == "the most probable class"


def test_rows_without_one_class_or_separable_ones_leave_the_slope_open():
    assert report_calibration(np.zeros(50, dtype=int), _two(np.ones(50)), _two(np.ones(50)), [0, 1], "none").slope is None
    z = np.linspace(-1, 1, 60)
    assert report_calibration((z > 0).astype(int), _two(z), _two(z), [0, 1], "none").slope is None


def test_threshold_report_counts_costs_and_regret():
    z, y = _drawn(5000)
    cost = {"fp": 1.0, "fn": 5.0}
    choice = choose(_two(z), y, METRICS["roc_auc"], cost=cost)
    new, y_new = _drawn(5000, seed=1)
    found = report_threshold(y_new, _two(new), choice, METRICS["roc_auc"])
    acted = _two(new)[:, 1] >= choice.threshold
    assert found.counts["fp"] == int((acted & (y_new == 0)).sum())
    assert sum(found.counts.values()) == 5000
    assert found.cost.value == pytest.approx((found.counts["fp"] + 5 * found.counts["fn"]) / 5000)
    assert found.cost_nobody.value == pytest.approx(5 * y_new.mean())
    assert found.cost_everybody.value == pytest.approx(1 - y_new.mean())
    assert found.saved.low > 0
    assert 0 <= found.regret < 0.05 * found.cost.value
    assert "saves" in found.sentence


def test_threshold_that_saves_nothing_says_so():
    rng = np.random.default_rng(0)
    y = (rng.random(2000) < 0.5).astype(np.int64)
    noise = _two(rng.normal(size=2000) * 0.01)
    choice = choose(noise, y, METRICS["roc_auc"], cost={"fp": 1.0, "fn": 1.0})
    found = report_threshold(y[::-1], noise, choice, METRICS["roc_auc"])
    assert "not shown" in found.sentence


def test_floor_on_evaluation_rows_is_held_or_said_not_to_be():
    z, y = _drawn(4000)
    choice = choose(_two(z), y, METRICS["roc_auc"], floor={"recall": 0.9})
    new, y_new = _drawn(4000, seed=1)
    assert report_threshold(y_new, _two(new), choice, METRICS["roc_auc"]).held == {"recall": True}
    failed = report_threshold(y_new, _two(new - 3), choice, METRICS["roc_auc"])
    assert failed.held == {"recall": False}
    assert "is NOT held" in failed.sentence


def test_coverage_report_names_the_worst_part_and_the_promise():
    rng = np.random.default_rng(0)
    f = rng.uniform(0, 10, 3000)
    made = fit_intervals(f, f + rng.normal(size=3000))
    new = rng.uniform(0, 10, 2000)
    entity = np.repeat(np.arange(20), 100)
    wide = np.where(entity == 7, 4.0, 1.0)
    found = report_conformal(made, new + wide * rng.normal(size=2000), new, groups=entity)
    worst = {w.kind: w for w in found.worst}
    assert worst["group"].name == "7"
    assert worst["group"].coverage.value < 0.5
    assert found.coverage_dependent.high - found.coverage_dependent.low > found.coverage.high - found.coverage.low
    assert found.promised[0] < 0.9 < found.promised[1]
    assert "90%" in found.sentence


def test_coverage_of_sets_is_told_by_class():
    z, y = _drawn(3000)
    found = report_conformal(fit_sets(_two(z), y), y, _two(z), labels=["no", "yes"])
    assert [w.kind for w in found.worst] == ["class"]
    assert 1 <= found.size <= 2
    assert found.coverage.value >= 0.88
