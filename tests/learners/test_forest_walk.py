"""Native walks reach the leaves that NumPy reaches."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, RandomForestRegressor

from modelwright.learners import forest_walk
from modelwright.learners.forest_walk import TreeWalker, lightgbm_texts
from modelwright.learners.trees import StackedTrees


def forest(task: str, n_trees: int = 7) -> tuple[StackedTrees, np.ndarray]:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(400, 5)).astype(np.float32)
    X[:, 1] = np.round(X[:, 1])
    X[rng.random(X.shape) < 0.1] = np.nan
    signal = np.nan_to_num(X[:, 0]) + np.nan_to_num(X[:, 1]) ** 2
    if task == "regression":
        model = RandomForestRegressor(n_trees, random_state=0).fit(X, signal)
    else:
        model = ExtraTreesClassifier(n_trees, random_state=0).fit(X, np.digitize(signal, [0.0, 1.0]))
    return StackedTrees.from_sklearn([tree.tree_ for tree in model.estimators_]), X


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_native_walk_equals_numpy_to_the_bit(task: str) -> None:
    trees, X = forest(task)
    thresholds = np.unique(trees.threshold[np.isfinite(trees.threshold)]).astype(np.float32)
    # On a threshold, and one step beside it, is where rounding would show.
    edges = np.concatenate([thresholds, np.nextafter(thresholds, np.float32(np.inf))])[:300]
    rows = np.concatenate([X, np.tile(edges[:, None], 5), np.full((1, 5), 3e38), np.full((1, 5), np.nan)]).astype(np.float32)
    walker = TreeWalker(trees)
    walker.prepare(5)
    expected = trees.mean(rows)
    np.testing.assert_array_equal(walker.mean(rows), expected)
    np.testing.assert_array_equal(np.concatenate([walker.mean(rows[k : k + 1]) for k in range(100)]), expected[:100])


def test_the_switch_to_native_walks_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    trees, X = forest("multiclass")
    monkeypatch.setattr(forest_walk, "_ALONE", 1)
    walker = TreeWalker(trees)
    before = walker.mean(X[:1])
    assert walker._scores is None
    for _ in range(len(trees.feature) // forest_walk._NODES_A_ROW + 1):
        walker.mean(X[:1])
    assert walker._scores is not None
    np.testing.assert_array_equal(walker.mean(X[:1]), before)


def test_a_tree_without_a_split_and_blocks_of_one_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest_walk, "_BLOCK_NODES", 1)
    X = np.arange(20, dtype=np.float32)[:, None]
    model = RandomForestRegressor(5, min_samples_leaf=8, random_state=1).fit(X, np.arange(20.0))
    trees = StackedTrees.from_sklearn([tree.tree_ for tree in model.estimators_])
    constant = RandomForestRegressor(2, random_state=1).fit(X, np.ones(20))
    stump = StackedTrees.from_sklearn([tree.tree_ for tree in constant.estimators_])
    for some in (trees, stump):
        walker = TreeWalker(some)
        walker.prepare(1)
        np.testing.assert_array_equal(walker.mean(X), some.mean(X))
    assert len(list(lightgbm_texts(trees, 1, 2)[0])) == 3
