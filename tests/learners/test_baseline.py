"""Baselines: what they predict, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from modelwright.errors import DataError
from modelwright.features.matrix import Layout, Matrix
from modelwright.learners.baseline import Constant, MedianSplit, ShallowTree, seasonal_naive


def matrix(values: list[float]) -> Matrix:
    numbers = np.array(values, dtype=np.float32)[:, None]
    return Matrix(numbers, np.zeros((len(numbers), 0), dtype=np.int32), None, Layout(("x",), (), ()))


def days(*text: str) -> np.ndarray:
    return np.array(text, dtype="datetime64[us]")


def test_constant_is_the_weighted_mean() -> None:
    learner = Constant(task="regression")
    learner.fit(matrix([0, 0]), np.array([1.0, 4.0]), weight=np.array([1.0, 2.0]))

    assert learner.predict(matrix([7])).tolist() == [3.0]


def test_constant_is_the_frequency_of_each_class() -> None:
    learner = Constant(task="multiclass", n_classes=3)
    learner.fit(matrix([0] * 4), np.array([0, 1, 1, 2]))

    assert learner.predict(matrix([7])).tolist() == [[0.25, 0.5, 0.25]]


def test_class_absent_from_training_keeps_a_small_probability() -> None:
    learner = Constant(task="multiclass", n_classes=3)
    learner.fit(matrix([0] * 7), np.array([0, 1, 1, 0, 0, 0, 0]))

    assert learner.predict(matrix([7]))[0].tolist() == pytest.approx([5 / 7 * 0.9, 2 / 7 * 0.9, 0.1])


def test_shallow_tree_finds_a_step() -> None:
    learner = ShallowTree({"max_depth": 1}, task="regression")
    learner.fit(matrix(list(range(40))), np.repeat([1.0, 5.0], 20))

    assert learner.predict(matrix([3, 30])).tolist() == [1.0, 5.0]


def test_pure_leaf_does_not_claim_certainty() -> None:
    learner = ShallowTree({"max_depth": 1}, task="binary", n_classes=2)
    learner.fit(matrix(list(range(40))), np.repeat([0, 1], 20))

    assert learner.predict(matrix([3]))[0].tolist() == pytest.approx([20.5 / 21, 0.5 / 21])


def test_median_split_makes_halves() -> None:
    learner = MedianSplit(task="clustering")
    X = matrix([1, 2, 3, 4])
    learner.fit(X, None)

    assert learner.predict(X).tolist() == [0, 0, 1, 1]


def test_without_a_target_the_message_names_the_algorithm() -> None:
    with pytest.raises(DataError, match="algorithm 'constant': A target is needed"):
        Constant(task="regression").fit(matrix([1.0]), None)


def test_daily_rows_repeat_the_last_same_weekday() -> None:
    time = np.arange("2024-01-01", "2024-01-15", dtype="datetime64[D]").astype("datetime64[us]")
    y = np.arange(14.0)

    # 2024-01-15 is a Monday, as are January 1 and 8.
    assert seasonal_naive(time, y, None, days("2024-01-15", "2024-01-20"), None).tolist() == [7.0, 12.0]


def test_hourly_rows_repeat_the_last_same_hour_of_the_week() -> None:
    time = np.arange("2024-01-01T00", "2024-01-15T00", dtype="datetime64[h]").astype("datetime64[us]")
    y = np.arange(336.0)

    assert seasonal_naive(time, y, None, days("2024-01-16T05:30"), None).tolist() == [168.0 + 24 + 5]


def test_monthly_rows_repeat_the_last_same_month() -> None:
    time = np.arange("2022-01", "2024-01", dtype="datetime64[M]").astype("datetime64[us]")
    y = np.arange(24.0)

    assert seasonal_naive(time, y, None, days("2024-03-01", "2025-12-01"), None).tolist() == [14.0, 23.0]


def test_each_group_has_its_own_seasons_and_falls_back_to_means() -> None:
    time = days("2024-01-01", "2024-01-02", "2024-01-01", "2024-01-02")
    group = np.array(["a", "a", "b", "b"])
    y = np.array([1.0, 3.0, 10.0, 30.0])
    new = days("2024-01-08", "2024-01-08", "2024-01-10", "2024-01-08", "NaT")

    predicted = seasonal_naive(time, y, group, new, np.array(["a", "b", "a", "c", "b"]))

    assert predicted.tolist() == [1.0, 10.0, 2.0, 11.0, 20.0]


def test_order_of_rows_does_not_matter() -> None:
    time = days("2024-01-08", "2024-01-01", "2024-01-02", "2024-01-03")

    assert seasonal_naive(time, np.array([8.0, 1.0, 2.0, 3.0]), None, days("2024-01-15"), None).tolist() == [8.0]


def test_numeric_time_repeats_the_last_value() -> None:
    time = np.array([3.0, 1.0, 2.0])

    assert seasonal_naive(time, np.array([30.0, 10.0, 20.0]), None, np.array([9.0, np.nan]), None).tolist() == [30.0, 20.0]
