"""Candidates are called different from the best only where the rows show it, and seeds are told apart from rows."""

from __future__ import annotations

import numpy as np
import pytest

from modelwright.errors import InvalidInputError
from modelwright.evaluation.multiple import against_best
from modelwright.evaluation.repeats import seed_spread
from modelwright.metrics.registry import METRICS

RMSE = METRICS["rmse"]


def test_a_clearly_worse_candidate_is_distinguished_and_a_near_one_is_not():
    rng = np.random.default_rng(0)
    y = rng.normal(size=500)
    shared = rng.normal(0, 0.5, 500)
    predictions = {
        "poor": y + shared + rng.normal(0, 1.0, 500),
        "first": y + shared + rng.normal(0, 0.1, 500),
        "near": y + shared + rng.normal(0, 0.1, 500),
    }
    board = against_best(RMSE, y, predictions)
    named = {c.name: c for c in board.candidates}
    assert board.best == board.candidates[0].name
    assert board.best in ("first", "near")
    assert named["poor"].distinguishable
    assert named["poor"].low > 0
    assert named["poor"].p_value < 0.001
    assert sum(c.distinguishable for c in board.candidates) == 1
    assert "not distinguishable" in board.sentence


def test_equal_candidates_are_rarely_called_different():
    rng = np.random.default_rng(1)
    named = 0
    for _ in range(200):
        board = against_best(RMSE, np.zeros(200), {str(k): rng.normal(size=200) for k in range(8)})
        named += any(c.distinguishable for c in board.candidates)
    assert named / 200 <= 0.095


def test_copies_of_a_candidate_change_nothing_for_the_others():
    rng = np.random.default_rng(2)
    y, a, b = rng.normal(size=(3, 300))
    two = against_best(RMSE, y, {"a": y + 0.3 * a, "b": y + 0.4 * b})
    many = against_best(RMSE, y, {"a": y + 0.3 * a, "b": y + 0.4 * b, "c": y + 0.4 * b, "d": y + 0.3 * a})
    assert many.candidates[-1].p_value == pytest.approx(two.candidates[-1].p_value, abs=0.01)
    copy = next(c for c in many.candidates if c.name == "d")
    assert (copy.behind, copy.p_value, copy.distinguishable) == (0.0, 1.0, False)


def test_folds_widen_the_interval_by_the_overlap_of_their_training_rows():
    rng = np.random.default_rng(3)
    y, a, b = rng.normal(size=(3, 1000))
    candidates = {"a": y + 0.3 * a, "b": y + 0.35 * b}
    plain = against_best(RMSE, y, candidates).candidates[1]
    board = against_best(RMSE, y, candidates, folds=np.arange(1000) % 5)
    found = board.candidates[1]
    assert board.inflation == pytest.approx(1 + 5 / 4)
    assert (found.high - found.low) / (plain.high - plain.low) == pytest.approx(1.5, rel=0.03)


def test_entities_are_the_units_of_the_comparison():
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(50), 20)
    a, b = (rng.normal(1, 0.3, 50)[groups] for _ in range(2))
    alone = against_best(METRICS["mae"], np.zeros(1000), {"a": a, "b": b}).candidates[1]
    whole = against_best(METRICS["mae"], np.zeros(1000), {"a": a, "b": b}, groups=groups).candidates[1]
    assert whole.high - whole.low > 3 * (alone.high - alone.low)


def test_classification_candidates_are_compared_by_any_metric():
    rng = np.random.default_rng(5)
    y = rng.integers(0, 2, 400)
    good = np.clip(0.5 + 0.3 * (y - 0.5) + rng.normal(0, 0.2, 400), 0.01, 0.99)
    predictions = {"good": np.column_stack([1 - good, good]), "coin": np.full((400, 2), 0.5)}
    for name in ("roc_auc", "log_loss", "f1", "average_precision"):
        board = against_best(METRICS[name], y, predictions, folds=np.arange(400) % 4)
        assert board.best == "good", name
        assert board.candidates[1].distinguishable, name


def test_one_candidate_none_and_wrong_lengths():
    y = np.zeros(10)
    board = against_best(RMSE, y, {"a": np.arange(10.0)})
    assert board.sentence == "'a' is the only candidate."
    assert (board.candidates[0].low, board.candidates[0].high) == (0.0, 0.0)
    with pytest.raises(InvalidInputError, match="no candidates"):
        against_best(RMSE, y, {})
    with pytest.raises(InvalidInputError, match="'b' predicts 9 rows"):
        against_best(RMSE, y, {"a": y, "b": np.zeros(9)})


def test_seed_spread_tells_mean_and_range():
    found = seed_spread([0.80, 0.82, 0.84])
    assert (found.mean, found.sd, found.low, found.high) == pytest.approx((0.82, 0.02, 0.80, 0.84))
    assert found.sentence == "3 seeds score 0.82 on average, from 0.8 to 0.84; the seed alone moves the score by 0.02 (sd)."
    assert np.isnan(seed_spread([0.5]).sd)
    assert seed_spread([0.5, 0.5]).sentence == "2 seeds give the same score, 0.5."
    with pytest.raises(InvalidInputError, match="repeat 2 is nan"):
        seed_spread([0.5, float("nan")])
    with pytest.raises(InvalidInputError, match="no scores"):
        seed_spread([])
