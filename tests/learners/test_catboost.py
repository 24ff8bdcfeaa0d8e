"""CatBoost; the contract itself is in test_contract.py."""

from __future__ import annotations

import numpy as np
import pytest

from modelwright.features.matrix import Layout, Matrix
from modelwright.learners.base import Validation
from modelwright.learners.catboost import CatBoost
from modelwright.testing.learners import example

pytest.importorskip("catboost")


def coded(codes):
    codes = np.asarray(codes, dtype=np.int32)
    empty = np.zeros((len(codes), 0), dtype=np.float32)
    return Matrix(empty, codes, None, Layout((), tuple(f"c{j}" for j in range(codes.shape[1])), (200,) * codes.shape[1]))


def test_category_of_many_levels_is_learned_from_its_statistics():
    rng = np.random.default_rng(0)
    codes = rng.integers(1, 150, size=(1500, 1))
    effect = rng.normal(size=150)
    y = effect[codes[:, 0]] + 0.1 * rng.normal(size=1500)
    learner = CatBoost({"n_estimators": 150}, task="regression")
    learner.fit(coded(codes[:1000]), y[:1000])

    assert np.mean((learner.predict(coded(codes[1000:])) - y[1000:]) ** 2) < 0.3 * y.var()


def test_best_trees_only_are_kept_and_the_curve_shows_both_losses():
    X, y = example("multiclass", 400)
    train, valid = np.arange(250), np.arange(250, 400)
    learner = CatBoost({"learning_rate": 0.3, "n_estimators": 500}, task="multiclass", n_classes=4)

    result = learner.fit(X.take(train), y[train], validation=Validation(X.take(valid), y[valid]))

    assert result.stopped == "early"
    assert learner._model.tree_count_ == result.n_iterations < result.curve.iterations[-1]
    assert len(result.curve.validation) == len(result.curve.training) == len(result.curve.iterations)


def test_missing_number_in_validation_only_is_no_error():
    X, y = example("binary", 200)
    complete = Matrix(np.nan_to_num(X.numeric), X.codes, None, X.layout)
    learner = CatBoost({"n_estimators": 5}, task="binary", n_classes=2)

    learner.fit(complete, y, validation=Validation(X, y))

    assert np.isfinite(learner.predict(X)).all()


def test_fit_leaves_no_files_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, y = example("binary", 80)
    CatBoost({"n_estimators": 3}, task="binary", n_classes=2).fit(X, y)

    assert list(tmp_path.iterdir()) == []
