"""Ensembles help or are left out; calibration and threshold change nothing without need."""

from __future__ import annotations

import numpy as np
import pytest

from modelwright.ensembles.calibration import apply_temperature, fit_temperature
from modelwright.ensembles.greedy import select
from modelwright.ensembles.threshold import choose_threshold
from modelwright.metrics.registry import METRICS, score


def _binary(n=3000, seed=0):
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n, 2))
    y = (rng.random(n) < 1 / (1 + np.exp(-signal.sum(axis=1) * 1.5))).astype(np.int64)
    return rng, signal, y


def _proba(logit):
    p = 1 / (1 + np.exp(-logit))
    return np.column_stack([1 - p, p])


@pytest.mark.parametrize("name", ["roc_auc", "log_loss", "accuracy"])
def test_candidates_that_know_different_things_are_blended(name):
    _, signal, y = _binary()
    candidates = [_proba(signal[:, 0] * 2), _proba(signal[:, 1] * 2), np.full((3000, 2), 0.5)]
    weights = select(candidates, y, METRICS[name], None)
    assert sum(weights) == pytest.approx(1)
    assert weights[0] > 0.3
    assert weights[1] > 0.3
    blend = sum(w * p for w, p in zip(weights, candidates, strict=True))
    better = METRICS[name].better
    assert all(better(score(METRICS[name], y, blend), score(METRICS[name], y, p)) for p in candidates)


def test_the_single_best_is_returned_when_blending_brings_nothing():
    rng, signal, y = _binary()
    best = _proba(signal.sum(axis=1) * 1.5)
    noise = _proba(rng.normal(size=3000))
    assert select([noise, best, best.copy()], y, METRICS["log_loss"], None) == [0.0, 1.0, 0.0]


def test_numbers_are_blended_and_members_are_few_and_not_tiny():
    rng = np.random.default_rng(1)
    y = rng.normal(size=2000)
    candidates = [y + rng.normal(0, 1, 2000) for _ in range(8)]
    weights = select(candidates, y, METRICS["rmse"], None, max_members=4)
    used = [w for w in weights if w > 0]
    assert len(used) == 4
    assert min(used) >= 0.05
    assert select(candidates, y, METRICS["rmse"], None, max_members=1).count(1.0) == 1


def test_row_weights_decide_whom_to_trust():
    y = np.arange(100.0)
    weight = np.where(np.arange(100) < 50, 1.0, 0.001)
    first = np.where(np.arange(100) < 50, y, y + 3)
    last = np.where(np.arange(100) < 50, y + 2, y)
    assert select([first, last], y, METRICS["mae"], weight)[0] > 0.9


def test_a_candidate_without_a_score_is_not_chosen():
    y = np.arange(50) % 2
    good = _proba(np.where(y == 1, 1.0, -1.0))
    assert select([np.full((50, 2), np.nan), good], y, METRICS["log_loss"], None) == [0.0, 1.0]


def test_temperature_undoes_overconfidence():
    _, signal, y = _binary(20_000)
    honest = signal.sum(axis=1) * 1.5
    assert fit_temperature(_proba(3 * honest), y) == pytest.approx(3, rel=0.1)
    assert fit_temperature(_proba(honest / 2), y) == pytest.approx(0.5, rel=0.1)
    assert fit_temperature(_proba(honest), y) == 1.0


def test_temperature_keeps_order_sums_and_rows_apart():
    rng = np.random.default_rng(2)
    proba = rng.dirichlet(np.ones(4), 50)
    proba[0] = [1, 0, 0, 0]
    scaled = apply_temperature(proba, 1.7)
    assert scaled.sum(axis=1) == pytest.approx(np.ones(50))
    assert np.array_equal(scaled.argmax(axis=1), proba.argmax(axis=1))
    assert np.array_equal(apply_temperature(proba[3:4], 1.7), scaled[3:4])
    assert apply_temperature(proba, 1.0) is proba


def test_few_rows_do_not_move_the_temperature_by_chance():
    _, signal, y = _binary(30, seed=4)
    assert fit_temperature(_proba(signal.sum(axis=1) * 1.5), y) == 1.0


def test_threshold_serves_f1_of_a_rare_class_near_its_optimum():
    rng = np.random.default_rng(3)
    p = rng.beta(0.5, 6, 20_000)
    y = (rng.random(20_000) < p).astype(np.int64)
    proba = np.column_stack([1 - p, p])
    metric = METRICS["f1"]
    chosen = choose_threshold(proba, y, metric)
    best = max(score(metric, y, proba, threshold=t) for t in np.linspace(0.02, 0.6, 100))
    assert 0.05 < chosen < 0.4
    assert score(metric, y, proba, threshold=chosen) > best - 0.005


def test_threshold_is_left_alone_where_it_has_no_say_or_brings_nothing():
    rng = np.random.default_rng(4)
    p = rng.random(5000)
    y = (rng.random(5000) < p).astype(np.int64)
    proba = np.column_stack([1 - p, p])
    for name in ("roc_auc", "log_loss", "precision", "recall", "accuracy"):
        assert choose_threshold(proba, y, METRICS[name]) is None, name
    assert choose_threshold(np.full((10, 2), 0.5), y[:10], METRICS["f1"]) is None
