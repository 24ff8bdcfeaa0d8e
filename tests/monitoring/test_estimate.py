"""Scores without labels: right where the relation stays, with a band that holds; and told apart from rows that shifted."""

from __future__ import annotations

import numpy as np
import pytest

from modelwright.metrics.registry import METRICS, score
from modelwright.monitoring.domain import effective, told_apart
from modelwright.monitoring.estimate import expected, of_classes, of_numbers


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def classes(rng: np.random.Generator, n: int, k: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Answers of a model that is too sure of itself, and what turned out."""
    z = rng.normal(size=(n, k)) * 1.5
    z[:, 0] += shift
    chances = softmax(z)
    y = (rng.random(n)[:, None] > chances.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return softmax(2.0 * z), y


def test_the_expected_value_is_the_mean_over_draws_of_labels() -> None:
    rng = np.random.default_rng(0)
    chances = rng.dirichlet([1, 2], 400)
    for name in ("accuracy", "log_loss", "roc_auc", "f1"):
        drawn = []
        for _ in range(300):
            y = (rng.random(400) < chances[:, 1]).astype(np.int64)
            drawn.append(score(METRICS[name], y, chances))
        assert expected(METRICS[name], chances, chances) == pytest.approx(np.mean(drawn), abs=0.004)


@pytest.mark.parametrize("k", [2, 15])
@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_classes_lie_in_their_band_though_the_model_is_too_sure(k: int, metric: str) -> None:
    inside = []
    for seed in range(12):
        rng = np.random.default_rng([seed, k])
        held, held_y = classes(rng, 2000, k)
        answers, y = classes(rng, 1000, k, shift=1.0)
        (value, low, high), _ = of_classes(METRICS[metric], answers, held, held_y)
        inside.append(low <= score(METRICS[metric], y, answers) <= high)
        assert high - low < 0.4 * max(value, 0.8)
    assert sum(inside) >= 11


def test_weights_correct_what_a_shift_of_inputs_does_to_calibration() -> None:
    # The model does not know of the column that makes half of the rows hard; in the window nearly all of them are.
    rng = np.random.default_rng(3)

    def rows(n: int, hard: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        is_hard = rng.random(n) < hard
        p = np.where(is_hard, 0.6, 0.98)
        y = (rng.random(n) < p).astype(np.int64)
        codes = np.column_stack([is_hard.astype(np.uint8), rng.integers(0, 20, n)]).astype(np.uint8)
        return np.tile([0.21, 0.79], (n, 1)), y, codes

    held, held_y, held_codes = rows(2000, 0.5)
    answers, y, codes = rows(1000, 0.95)
    told = told_apart(held_codes, codes)
    assert told.p < 1e-10
    assert told.used[0] == 0
    assert 300 < effective(told.weight) < 1500
    true = score(METRICS["accuracy"], y, answers)
    plain, _ = of_classes(METRICS["accuracy"], answers, held, held_y)
    weighted, _ = of_classes(METRICS["accuracy"], answers, held, held_y, weight=told.weight)
    assert not plain[1] <= true <= plain[2]
    assert weighted[1] <= true <= weighted[2]
    assert abs(weighted[0] - true) < 0.04


@pytest.mark.parametrize("metric", ["rmse", "mae"])
def test_errors_of_numbers_are_estimated_where_rows_become_harder(metric: str) -> None:
    inside = []
    for seed in range(8):
        rng = np.random.default_rng(seed)

        def rows(n: int, most: int, rng: np.random.Generator = rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            codes = rng.integers(0, most, (n, 3)).astype(np.uint8)
            answers = codes[:, 1] * 1.0
            return answers, answers + rng.normal(size=n) * (0.5 + codes[:, 0] / 4), codes

        held, held_y, held_codes = rows(2000, 20)
        answers, y, codes = rows(1000, 20)
        keep = codes[:, 0] >= 12
        answers, y, codes = answers[keep], y[keep], codes[keep]
        weight = told_apart(held_codes, codes).weight
        carried = score(METRICS[metric], held_y, held)
        (value, low, high), _ = of_numbers(METRICS[metric], answers, codes, held, held_y, held_codes, weight=weight)
        true = score(METRICS[metric], y, answers)
        inside.append(low <= true <= high)
        assert abs(value - true) < abs(carried - true)
    assert sum(inside) >= 7


def test_rows_that_are_alike_are_not_told_apart() -> None:
    aucs = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        told = told_apart(rng.integers(0, 25, (2000, 12)).astype(np.uint8), rng.integers(0, 25, (800, 12)).astype(np.uint8))
        aucs.append(told.auc)
        assert told.p > 1e-3
    assert abs(np.mean(aucs) - 0.5) < 0.02
    assert np.std(aucs) < 0.03


def test_a_change_of_how_columns_go_together_is_seen() -> None:
    rng = np.random.default_rng(1)
    reference = rng.integers(0, 25, (2000, 6)).astype(np.uint8)
    window = rng.integers(0, 25, (1000, 6)).astype(np.uint8)
    window[:, 1] = window[:, 0]  # each column alone is as it was
    told = told_apart(reference, window)
    assert told.auc > 0.7
    assert set(told.used[:2]) == {0, 1}
