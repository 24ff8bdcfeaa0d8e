"""LightGBM, and what the boosted trees share; the contract itself is in test_contract.py."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from modelwright.errors import BundleError, DataError
from modelwright.features.matrix import Layout, Matrix
from modelwright.learners.base import Validation
from modelwright.learners.boosting import Watch, joined, patience
from modelwright.learners.lightgbm import LightGBM
from modelwright.testing.learners import example


def matrix(numeric):
    numeric = np.asarray(numeric, dtype=np.float32)
    names = tuple(f"x{j}" for j in range(numeric.shape[1]))
    return Matrix(numeric, np.zeros((len(numeric), 0), dtype=np.int32), None, Layout(names, (), ()))


def halves(n, seed=0):
    order = np.random.default_rng(seed).permutation(n)
    return order[: n // 2], order[n // 2 :]


def test_joined_table_holds_codes_as_numbers_and_missing_codes_as_nan():
    X = Matrix(
        np.array([[1.5], [np.nan]], dtype=np.float32),
        np.array([[-1, 3], [0, 7]], dtype=np.int32),
        None,
        Layout(("x",), ("a", "b"), (4, 8)),
    )

    assert np.array_equal(joined(X), np.array([[1.5, np.nan, 3], [np.nan, 0, 7]], dtype=np.float32), equal_nan=True)


@pytest.mark.parametrize(
    ("best", "n_rows", "rate", "rounds"),
    [(0, 1_000, 0.05, 100), (0, 1_000, 0.1, 50), (0, 1_000, 0.005, 300), (0, 100_000, 0.05, 20), (1_000, 1_000, 0.05, 210)],
)
def test_patience_follows_step_rows_and_best_round(best, n_rows, rate, rounds):
    assert patience(best, n_rows, rate) == rounds


def test_watch_keeps_the_best_round_and_stops_when_patience_ends():
    watch = Watch("rmse", n_rows=100_000, learning_rate=0.1, deadline=None, scale=2.0)

    ended = next(k for k in range(1, 100) if watch.stop(k, 1.0, abs(k - 10) + 1.0))

    assert (watch.best, ended, watch.stopped) == (10, 30, "early")
    assert watch.validation[9] == 2.0


def test_curve_of_ten_thousand_rounds_has_at_most_200_points():
    watch = Watch("rmse", n_rows=10, learning_rate=0.1, deadline=None)
    for k in range(1, 10_001):
        watch.stop(k, 1.0 / k, None)

    curve = watch.result().curve
    assert len(curve.iterations) <= 200
    assert curve.iterations[:3] == [1, 2, 3]


def test_early_stopping_keeps_the_best_trees_only(tmp_path):
    data = load_breast_cancer()
    X, y = matrix(data.data), data.target.astype(np.int64)
    train, valid = halves(len(y))
    learner = LightGBM({"learning_rate": 0.1}, task="binary", n_classes=2)

    result = learner.fit(X.take(train), y[train], validation=Validation(X.take(valid), y[valid]))
    learner.save(tmp_path)

    assert result.stopped == "early"
    assert (tmp_path / "model.txt").read_text().count("\nTree=") == result.n_iterations
    assert result.n_iterations in result.curve.iterations
    assert np.mean(learner.predict(X.take(valid)).argmax(axis=1) == y[valid]) > 0.93


def test_refit_by_count_repeats_the_watched_fit(tmp_path):
    X, y = example("binary", 300)
    train, valid = halves(300)
    watched = LightGBM(task="binary", n_classes=2, seed=5)
    result = watched.fit(X.take(train), y[train], validation=Validation(X.take(valid), y[valid]))

    params = {"n_estimators": result.n_iterations, **result.learned}
    again = LightGBM(params, task="binary", n_classes=2, seed=5)
    again.fit(X.take(train), y[train])

    assert np.array_equal(again.predict(X), watched.predict(X))


def test_without_validation_exactly_the_named_number_of_trees_is_grown(tmp_path):
    data = load_diabetes()
    learner = LightGBM({"n_estimators": 37}, task="regression")

    result = learner.fit(matrix(data.data), data.target)
    learner.save(tmp_path)

    assert (result.n_iterations, result.stopped) == (37, "complete")
    assert (tmp_path / "model.txt").read_text().count("\nTree=") == 37
    assert result.curve.validation == []


def test_regression_does_not_depend_on_the_units_of_the_target():
    data = load_diabetes()
    X, y = matrix(data.data), data.target
    small, large = LightGBM({"lambda_l1": 0.5}, task="regression"), LightGBM({"lambda_l1": 0.5}, task="regression")
    small.fit(X, y)
    large.fit(X, y * 1e6 + 1e9)

    assert np.allclose((large.predict(X) - 1e9) / 1e6, small.predict(X), rtol=1e-4)


def test_ten_rows_are_split_although_a_leaf_should_hold_forty():
    y = np.repeat([0, 1], 5).astype(np.int64)
    learner = LightGBM({"n_estimators": 50}, task="binary", n_classes=2)
    learner.fit(matrix(np.arange(10.0)[:, None]), y)

    assert np.array_equal(learner.predict(matrix([[0.0], [9.0]])).argmax(axis=1), [0, 1])


def test_extra_trees_grow_other_trees():
    data = load_wine()
    X, y = matrix(data.data), data.target.astype(np.int64)
    plain = LightGBM({"n_estimators": 20}, task="multiclass", n_classes=3)
    extra = LightGBM({"n_estimators": 20, "extra_trees": True}, task="multiclass", n_classes=3)
    plain.fit(X, y)
    extra.fit(X, y)

    assert not np.array_equal(plain.predict(X), extra.predict(X))
    assert np.mean(extra.predict(X).argmax(axis=1) == y) > 0.95


def test_importance_finds_the_only_column_that_matters():
    rng = np.random.default_rng(0)
    numeric = rng.normal(size=(400, 4))
    learner = LightGBM({"n_estimators": 30}, task="regression")
    learner.fit(matrix(numeric), numeric[:, 2] ** 2)

    assert learner.importance().argmax() == 2
    assert learner.importance()[2] > 0.9


def test_all_weights_zero_is_refused():
    X, y = example("regression", 30)
    with pytest.raises(DataError, match="weight 0"):
        LightGBM(task="regression").fit(X, y, weight=np.zeros(30))


def test_damaged_file_is_a_bundle_error(tmp_path):
    X, y = example("regression", 60)
    learner = LightGBM({"n_estimators": 3}, task="regression")
    learner.fit(X, y)
    learner.save(tmp_path)
    (tmp_path / "meta.json").write_text('{"task": "regression"')

    with pytest.raises(BundleError, match="cannot be read"):
        LightGBM.load(tmp_path)


def test_class_can_be_described_without_importing_its_library():
    code = "import sys; from modelwright.learners import lightgbm, catboost, xgboost, network; "
    code += "assert not {'lightgbm', 'catboost', 'xgboost', 'torch', 'safetensors'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_model_keeps_the_blocks_that_it_was_saved_with(tmp_path):
    """What it answers to the last bit depends on them, and golden rows are held against that."""
    X, y = example("regression")
    learner = LightGBM({"n_estimators": 400, "num_leaves": 4}, task="regression", n_classes=0)
    learner.fit(X, y)
    assert learner._block_trees > 100
    learner.save(tmp_path)
    loaded = LightGBM.load(tmp_path)
    assert loaded._block_trees == learner._block_trees
    assert np.array_equal(loaded.predict(X), learner.predict(X))

    meta = json.loads((tmp_path / "meta.json").read_text())
    assert meta.pop("block_trees") == learner._block_trees
    (tmp_path / "meta.json").write_text(json.dumps(meta))  # as it was written before there was a choice
    older = LightGBM.load(tmp_path)
    assert older._block_trees == 25
    assert len(older._scores._blocks) == 16
