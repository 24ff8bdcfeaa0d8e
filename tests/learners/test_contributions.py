"""Contributions add up to the prediction, and those of trees are Shapley values."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np
import pytest

from modelwright.features.matrix import MISSING, Layout, Matrix
from modelwright.learners import registry
from modelwright.learners.contributions import contributions
from modelwright.learners.trees import StackedTrees

SETTINGS = {"lightgbm": 20, "catboost": 20, "xgboost": 20, "random_forest": 8, "extra_trees": 8, "linear": None}
TARGETS = {"binary": 2, "multiclass": 4, "regression": 0}


def _rows(n: int = 400, seed: int = 0) -> tuple[Matrix, np.ndarray]:
    rng = np.random.default_rng(seed)
    numeric = rng.normal(size=(n, 3)).astype(np.float32)
    numeric[rng.random((n, 3)) < 0.1] = np.nan
    codes = rng.integers(MISSING, 16, size=(n, 2)).astype(np.int32)
    signal = np.nan_to_num(numeric[:, 0]) + 0.3 * codes[:, 0] - np.nan_to_num(numeric[:, 1]) * (codes[:, 1] > 7)
    layout = Layout(("a", "b", "c"), ("d", "e"), (16, 16))
    return Matrix(numeric, codes, None, layout), signal + rng.normal(scale=0.5, size=n)


def _target(task: str, signal: np.ndarray) -> np.ndarray:
    if task == "regression":
        return 100 + 10 * signal
    if task == "binary":
        return (signal > 1).astype(np.int64)
    # Class 3 of four never occurs in training.
    return np.digitize(signal, np.quantile(signal, [0.4, 0.8])).astype(np.int64)


def _add_up(algorithm: str, task: str, params: dict[str, float]) -> None:
    pytest.importorskip(registry.get(algorithm).algorithm.requires or "numpy")
    X, signal = _rows()
    n_trees = SETTINGS[algorithm]
    params = params if n_trees is None else params | {"n_estimators": n_trees}
    learner = registry.create(algorithm, params, task=task, n_classes=TARGETS[task], seed=0)
    learner.fit(X, _target(task, signal))
    rows = X.take(np.arange(30))
    found = contributions(learner, rows)
    prediction = learner.predict(rows).reshape(30, -1)
    assert found is not None
    assert np.abs(found.columns).max() > 0
    np.testing.assert_allclose(found.base + found.columns.sum(axis=1), prediction, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("algorithm", SETTINGS)
@pytest.mark.parametrize("task", TARGETS)
def test_base_and_columns_add_up_to_the_prediction(algorithm: str, task: str) -> None:
    _add_up(algorithm, task, {})


@pytest.mark.parametrize("algorithm", ["lightgbm", "catboost", "xgboost"])
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_they_add_up_to_what_a_temperature_makes_of_it(algorithm: str, task: str) -> None:
    _add_up(algorithm, task, {"temperature": 1.7})


def test_a_learner_without_an_additive_form_says_so() -> None:
    X, signal = _rows(100)
    learner = registry.create("svm", {}, task="regression", n_classes=0, seed=0)
    learner.fit(X, signal)
    assert contributions(learner, X) is None


def _expectation(trees: StackedTrees, node: int, row: np.ndarray, known: set[int]) -> float:
    """Value of a tree where only some columns are known; other splits are averaged by their covers."""
    if trees.leaf[node] >= 0:
        return float(trees.values[trees.leaf[node], 0])
    left, right = int(trees.children[2 * node]), int(trees.children[2 * node + 1])
    column = int(trees.feature[node])
    if column in known:
        value = row[column]
        goes_left = bool(trees.missing_left[node]) if np.isnan(value) else value <= trees.threshold[node]
        return _expectation(trees, left if goes_left else right, row, known)
    total = trees.cover[left] + trees.cover[right]
    parts = [(left, trees.cover[left]), (right, trees.cover[right])]
    return float(sum(cover * _expectation(trees, child, row, known) for child, cover in parts) / total)


def test_forest_contributions_are_the_shapley_values_of_the_definition() -> None:
    X, signal = _rows(200)
    X = Matrix(X.numeric, X.codes % 3, None, Layout(("a", "b", "c"), ("d", "e"), (3, 3)))
    learner = registry.create(
        "random_forest",
        {"n_estimators": 3, "min_samples_leaf": 15, "max_features": 1.0},
        task="regression",
        n_classes=0,
        seed=1,
    )
    learner.fit(X, signal)
    found = contributions(learner, X.take(np.arange(6)))
    assert found is not None
    columns, trees, n = learner.read_columns(X), learner.trees_, 5
    for i in range(6):
        for j in range(n):
            rest = [c for c in range(n) if c != j]
            value = 0.0
            for size in range(n):
                weight = factorial(size) * factorial(n - size - 1) / factorial(n)
                for chosen in combinations(rest, size):
                    for root in trees.roots:
                        with_it = _expectation(trees, int(root), columns[i], {*chosen, j})
                        value += weight * (with_it - _expectation(trees, int(root), columns[i], set(chosen)))
            assert found.columns[i, j, 0] == pytest.approx(value / len(trees.roots), abs=1e-6)
