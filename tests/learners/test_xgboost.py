"""XGBoost; the contract itself is in test_contract.py."""

from __future__ import annotations

import numpy as np
import pytest

from modelwright.features.matrix import Matrix
from modelwright.learners.base import Validation
from modelwright.learners.boosting import joined
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


def test_a_chance_that_rounds_to_one_is_still_made_less_sure():
    X, _ = example("binary", 400)
    y = (np.nan_to_num(X.numeric[:, 0]) > 0).astype(np.int64)
    params = {"n_estimators": 400, "learning_rate": 0.2, "min_child_weight": 1e-6, "temperature": 2.0}
    learner = XGBoost(params, task="binary", n_classes=2)
    learner.fit(X, y)
    odds = learner._booster.inplace_predict(joined(X), predict_type="margin").astype(np.float64)

    predicted = learner.predict(X)

    assert learner._booster.inplace_predict(joined(X)).max() == 1.0
    np.testing.assert_allclose(predicted[:, 0], 1 / (1 + np.exp(odds / 2)), rtol=1e-6)
    assert np.array_equal(np.concatenate([learner.predict(X.take(np.array([row]))) for row in range(40)]), predicted[:40])


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
