"""Forests: the same predictions as the library's own trees, bounded size, and trees that stop in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import ExtraTreesClassifier, RandomForestRegressor

from modelwright.errors import BundleError
from modelwright.features.matrix import Layout, Matrix
from modelwright.learners import forest
from modelwright.learners.forest import ExtraTrees, RandomForest
from modelwright.learners.trees import StackedTrees, coded_columns


def matrix(values: np.ndarray) -> Matrix:
    layout = Layout(tuple(f"x{j}" for j in range(values.shape[1])), (), ())
    return Matrix(values.astype(np.float32), np.zeros((len(values), 0), dtype=np.int32), None, layout)


def with_gaps(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[np.random.default_rng(0).random(values.shape) < 0.1] = np.nan
    return values


def test_stacked_trees_walk_like_the_reference_with_missing_cells() -> None:
    X, y = load_diabetes(return_X_y=True)
    X = with_gaps(X).astype(np.float32)
    reference = RandomForestRegressor(n_estimators=15, random_state=0).fit(X[::2], y[::2])
    reached = StackedTrees.from_sklearn([tree.tree_ for tree in reference.estimators_]).mean(X)[:, 0]

    assert reached == pytest.approx(reference.predict(X), rel=1e-6)


def test_stacked_class_frequencies_equal_the_reference() -> None:
    X, y = load_digits(return_X_y=True)
    X = X.astype(np.float32)
    reference = ExtraTreesClassifier(n_estimators=10, random_state=0).fit(X[:600], y[:600])
    reached = StackedTrees.from_sklearn([tree.tree_ for tree in reference.estimators_]).mean(X[600:])

    assert reached == pytest.approx(reference.predict_proba(X[600:]), abs=1e-6)


@pytest.mark.parametrize("kind", [RandomForest, ExtraTrees])
def test_no_class_has_probability_zero(kind: type[RandomForest] | type[ExtraTrees]) -> None:
    X, y = load_breast_cancer(return_X_y=True)
    learner = kind(task="binary", n_classes=2)
    learner.fit(matrix(X[::2]), y[::2].astype(np.int64))

    proba = learner.predict(matrix(X[1::2]))

    assert proba.min() > 0.001
    assert (proba.argmax(axis=1) == y[1::2]).mean() > 0.92


def test_trees_grown_in_steps_equal_trees_grown_at_once() -> None:
    X, y = load_diabetes(return_X_y=True)
    learner = RandomForest({"n_estimators": 40}, task="regression", seed=5)

    result = learner.fit(matrix(X), y)

    at_once = RandomForestRegressor(n_estimators=40, max_features=0.5, min_samples_leaf=2, random_state=5).fit(
        X.astype(np.float32), y
    )
    assert result.n_iterations == 40
    assert learner.predict(matrix(X)) == pytest.approx(at_once.predict(X.astype(np.float32)), rel=1e-6)


def test_time_limit_keeps_the_trees_grown_so_far() -> None:
    X, y = load_digits(return_X_y=True)
    learner = ExtraTrees({"n_estimators": 500}, task="multiclass", n_classes=10)

    result = learner.fit(matrix(X), y.astype(np.int64), time_limit_s=0.05)

    assert result.stopped == "time"
    assert result.n_iterations is not None
    assert 1 <= result.n_iterations < 500
    assert f"after {result.n_iterations} of 500 trees" in result.notes[0]


def test_leaves_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest, "_MAX_LEAVES", 20)
    X, y = load_diabetes(return_X_y=True)
    learner = RandomForest({"n_estimators": 5, "min_samples_leaf": 1}, task="regression")
    learner.fit(matrix(X), y)

    assert len(learner.trees_.values) <= 5 * 20


def test_saved_trees_that_point_outside_are_refused() -> None:
    X, y = load_diabetes(return_X_y=True)
    reference = RandomForestRegressor(n_estimators=2, max_depth=2, random_state=0).fit(X, y)
    trees = StackedTrees.from_sklearn([tree.tree_ for tree in reference.estimators_])
    broken = replace(trees, children=trees.children + len(trees.feature))

    with pytest.raises(BundleError, match="point outside"):
        StackedTrees.from_arrays(broken.to_arrays())


def test_missing_codes_are_missing_numbers() -> None:
    X = Matrix(np.zeros((2, 0), dtype=np.float32), np.array([[-1], [3]], dtype=np.int32), None, Layout((), ("c",), (4,)))

    assert np.array_equal(coded_columns(X), np.array([[np.nan], [3.0]], dtype=np.float32), equal_nan=True)
