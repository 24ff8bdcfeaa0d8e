"""Scores in blocks of trees are those of the booster, for one row and many, whoever else asks."""

from __future__ import annotations

import threading

import lightgbm
import numpy as np
import pytest

from modelwright.learners import lightgbm_scores
from modelwright.learners.lightgbm_scores import Scores, trees_per_block


def booster(n_classes: int, n_trees: int = 60) -> tuple[lightgbm.Booster, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 6)).astype(np.float32)
    X[:, 5] = rng.integers(0, 8, 3000)
    X[rng.random(X.shape) < 0.05] = np.nan
    signal = np.nan_to_num(X[:, 0]) * np.nan_to_num(X[:, 1]) + rng.normal(size=3000)
    settings = {"verbose": -1, "num_threads": 1, "objective": "regression"}
    if n_classes:
        signal = np.digitize(signal, [-0.5, 0.5])
        settings |= {"objective": "multiclass", "num_class": n_classes}
    return lightgbm.train(settings, lightgbm.Dataset(X, signal, categorical_feature=[5]), n_trees), X


@pytest.mark.parametrize("n_classes", [0, 3])
def test_rows_alone_equal_the_batch_and_the_library(n_classes: int) -> None:
    model, X = booster(n_classes)
    scores = Scores(model, 6)
    early = scores.table(X[:50])
    whole = scores.table(X)
    np.testing.assert_array_equal(whole[:50], early)
    scores.prepare()
    np.testing.assert_array_equal(scores.table(X), whole)
    np.testing.assert_array_equal(scores.table(X[:7]), whole[:7])
    np.testing.assert_array_equal(np.array([scores.row(row) for row in X[:200]]).reshape(whole[:200].shape), whole[:200])
    np.testing.assert_allclose(whole, model.predict(X, raw_score=True), rtol=0, atol=1e-13)


def test_small_trees_are_summed_in_larger_blocks_and_give_the_same_bits_alone() -> None:
    model, X = booster(0, n_trees=300)
    stumps = lightgbm.train(
        {"verbose": -1, "num_threads": 1, "num_leaves": 3}, lightgbm.Dataset(X[:, :5], np.nan_to_num(X[:, 0])), 900
    )
    assert trees_per_block(model.model_to_string()) < 60
    many = trees_per_block(stumps.model_to_string())
    assert 150 < many < 400
    scores = Scores(stumps, 5, block_trees=many)
    whole = scores.table(X[:500, :5])
    np.testing.assert_array_equal([scores.row(row)[0] for row in X[:500, :5]], whole)
    np.testing.assert_allclose(whole, stumps.predict(X[:500, :5], raw_score=True), rtol=0, atol=1e-12)


def test_leaves_are_those_of_the_library() -> None:
    model, X = booster(0)
    scores = Scores(model, 6, "leaf")
    expected = model.predict(X, pred_leaf=True)
    np.testing.assert_array_equal(scores.table(X), expected)
    np.testing.assert_array_equal([scores.row(row) for row in X[:40]], expected[:40])


def test_without_the_fast_call_rows_go_through_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    model, X = booster(0)
    expected = Scores(model, 6).table(X)
    monkeypatch.setattr(lightgbm_scores, "_has_fast_call", lambda booster: False)
    slow = Scores(model, 6)
    np.testing.assert_array_equal([slow.row(row)[0] for row in X[:20]], expected[:20])


def test_threads_that_ask_for_rows_and_batches_at_once_get_their_own_answers() -> None:
    model, X = booster(0)
    expected = Scores(model, 6).table(X)
    scores = Scores(model, 6)
    wrong: list[str] = []

    def batches() -> None:
        for start in range(0, 3000, 300):
            if not np.array_equal(scores.table(X[start : start + 300]), expected[start : start + 300]):
                wrong.append("batch")

    def rows() -> None:
        for k in range(500):
            if scores.row(X[k])[0] != expected[k]:
                wrong.append("row")

    threads = [threading.Thread(target=work) for work in (batches, rows, batches, rows)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
