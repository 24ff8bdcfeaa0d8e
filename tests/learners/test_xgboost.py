"""XGBoost; the contract itself is in test_contract.py."""

from __future__ import annotations

import numpy as np
import pytest

from modelwright.features.matrix import Matrix
from modelwright.learners.base import Validation
from modelwright.learners.xgboost import XGBoost
from modelwright.testing.learners import example

pytest.importorskip("xgboost")


def test_level_past_the_largest_code_of_training_is_predicted():
    X, y = example("regression", 200)
    learner = XGBoost({"n_estimators": 10}, task="regression")
    learner.fit(X, y)
    beyond = Matrix(X.numeric, X.codes + 1_000, None, X.layout)

    assert np.isfinite(learner.predict(beyond)).all()


def test_best_trees_only_are_kept():
    X, y = example("binary", 400)
    train, valid = np.arange(250), np.arange(250, 400)
    learner = XGBoost({"learning_rate": 0.2}, task="binary", n_classes=2)

    result = learner.fit(X.take(train), y[train], validation=Validation(X.take(valid), y[valid]))

    assert result.stopped == "early"
    assert learner._booster.num_boosted_rounds() == result.n_iterations <= result.curve.iterations[-1]


def test_leaf_wise_growth_is_bounded_by_leaves_not_by_depth():
    X, y = example("regression", 400)
    params = {"n_estimators": 3, "grow_policy": "lossguide", "max_leaves": 8, "max_depth": 12, "min_child_weight": 1.0}
    learner = XGBoost(params, task="regression")
    learner.fit(X, y)

    assert all(tree.count("leaf=") <= 8 for tree in learner._booster.get_dump())


def test_two_classes_present_of_four_are_learned_as_two():
    X, y = example("multiclass", 300)
    rows = np.flatnonzero(y % 2 == 1)
    learner = XGBoost({"n_estimators": 10}, task="multiclass", n_classes=4)
    learner.fit(X.take(rows), y[rows])

    proba = learner.predict(X)
    assert set(proba.argmax(axis=1)) <= {1, 3}
    assert np.allclose(proba[:, [0, 2]], 1 / (len(rows) + 4))
