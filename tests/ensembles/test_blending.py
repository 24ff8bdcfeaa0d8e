"""Ensembles help or are left out."""

from __future__ import annotations

import numpy as np
import pytest

from modelwright.ensembles.greedy import select
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
