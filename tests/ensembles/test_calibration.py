"""Calibration helps or is left alone, keeps the ranking, and treats each row by itself."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from modelwright.ensembles.calibration import (
    Calibration,
    apply_temperature,
    calibrate,
    choose_calibration,
    fit_temperature,
    logistic_line,
)
from modelwright.metrics.classification import log_loss, roc_auc


def _two(logit):
    p = 1 / (1 + np.exp(-logit))
    return np.column_stack([1 - p, p])


def _drawn(n, seed=0, spread=1.5):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n) * spread
    return z, (rng.random(n) < 1 / (1 + np.exp(-z))).astype(np.int64)


def _many(n, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 4)) * 1.5
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return logits, (proba.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)


def _kinked(z):
    """Too sure below 0 only: neither a temperature nor a line mends it."""
    return np.where(z < 0, 4 * z, 0.4 * z)


def test_temperature_undoes_overconfidence():
    z, y = _drawn(20_000)
    assert fit_temperature(_two(3 * z), y) == pytest.approx(3, rel=0.1)
    assert fit_temperature(_two(z / 2), y) == pytest.approx(0.5, rel=0.1)
    assert choose_calibration(_two(3 * z), y).method == "temperature"


def test_honest_probabilities_are_left_as_they_are():
    z, y = _drawn(20_000)
    assert choose_calibration(_two(z), y).method == "none"
    assert calibrate(_two(z), choose_calibration(_two(z), y)) is not None


def test_shift_needs_a_line_and_a_kink_needs_steps():
    z, y = _drawn(20_000)
    shifted = choose_calibration(_two(2 * z + 2), y)
    assert shifted.method == "platt"
    assert calibrate(_two(2 * z + 2), shifted) == pytest.approx(_two(z), abs=0.03)
    assert choose_calibration(_two(_kinked(z)), y).method == "isotonic"


def test_classes_that_are_predicted_too_often_are_brought_down():
    logits, y = _many(10_000)
    raised = np.exp(2 * logits + np.array([3.0, 0, 0, 0]))
    proba = raised / raised.sum(axis=1, keepdims=True)
    found = choose_calibration(proba, y)
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert found.method == "platt"
    assert log_loss(y, calibrate(proba, found)) < log_loss(y, honest) + 0.003


@pytest.mark.parametrize("wrong", [lambda z: 3 * z, lambda z: 2 * z + 2, _kinked])
def test_new_rows_profit_and_no_rank_changes(wrong):
    z, y = _drawn(6000)
    new, y_new = _drawn(6000, seed=1)
    found = choose_calibration(_two(wrong(z)), y)
    before, after = _two(wrong(new)), calibrate(_two(wrong(new)), found)
    assert log_loss(y_new, after) < log_loss(y_new, before)
    assert roc_auc(y_new, after) == pytest.approx(roc_auc(y_new, before), abs=1e-9)
    assert np.unique(after[:, 1]).size == np.unique(before[:, 1]).size


def test_few_rows_and_bare_chance_move_nothing():
    for seed in range(20):
        z, y = _drawn(40, seed=seed)
        assert choose_calibration(_two(z), y, seed=seed).method == "none"
    assert choose_calibration(_two(np.zeros(5)), np.array([0, 1, 0, 1, 0])).method == "none"


def test_rows_of_one_entity_count_once():
    z, y = _drawn(60, seed=3)
    proba = np.repeat(_two(1.3 * z), 100, axis=0)
    many = np.repeat(y, 100)
    assert choose_calibration(proba, many, groups=np.repeat(np.arange(60), 100)).method == "none"


def test_map_that_held_only_once_is_not_taken_over():
    """Too sure in the first fifth, honest ever after: judged on later rows a temperature does harm."""
    z, y = _drawn(10_000)
    sure = np.where(np.arange(10_000) < 2000, 6 * z, z)
    assert choose_calibration(_two(sure), y, when=np.arange(10_000)).method == "none"


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic", "vector"])
def test_row_alone_equals_row_among_many_to_the_bit_and_through_json(method):
    rng = np.random.default_rng(5)
    if method == "vector":
        proba = rng.dirichlet(np.ones(7), 500)
        made = Calibration("platt", slopes=[0.7], intercepts=rng.normal(size=7).tolist())
    else:
        proba = _two(rng.normal(size=500) * 4)
        made = {
            "temperature": Calibration("temperature", 1.7),
            "platt": Calibration("platt", slopes=[0.7], intercepts=[0.3]),
            "isotonic": Calibration("isotonic", x=[-2.0, 0.1, 3.0], y=[-1.0, 0.2, 2.7]),
        }[method]
    proba[0] = np.eye(proba.shape[1])[0]
    read = msgspec.json.decode(msgspec.json.encode(made), type=Calibration)
    whole = calibrate(proba, read)
    assert np.isfinite(whole).all()
    assert whole.sum(axis=1) == pytest.approx(np.ones(500))
    assert np.array_equal(np.vstack([calibrate(proba[i : i + 1], made) for i in range(500)]), whole)
    assert np.array_equal(calibrate(proba[::-1], made)[::-1], whole)


def test_temperature_keeps_the_order_within_rows():
    proba = np.random.default_rng(2).dirichlet(np.ones(4), 50)
    scaled = apply_temperature(proba, 1.7)
    assert np.array_equal(scaled.argmax(axis=1), proba.argmax(axis=1))
    assert apply_temperature(proba, 1.0) is proba


def test_logistic_line_is_found_from_far_away():
    z, y = _drawn(50_000)
    slope, intercept = logistic_line(40 * z - 80, y.astype(float), np.ones(len(y)))
    assert slope * 40 == pytest.approx(1, abs=0.03)
    assert intercept - 80 * slope == pytest.approx(0, abs=0.03)
