"""Metrics of regression: y and ``value`` are numbers of shape (n,)."""

from __future__ import annotations

import numpy as np

from modelwright.metrics.classification import EPSILON, mean


def row_squared(y: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Squared error."""
    return np.asarray((y - value) ** 2)


def row_absolute(y: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Absolute error."""
    return np.abs(y - value)


def row_relative(y: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Absolute error as a fraction of the actual size; rows of actual 0 give huge values, as in scikit-learn."""
    return np.asarray(np.abs(y - value) / np.maximum(np.abs(y), EPSILON))


def row_squared_log(y: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Squared error of log(1 + value); negative predictions count as 0, actuals below -1 give NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((np.log1p(y) - np.log1p(np.maximum(value, 0.0))) ** 2)


def rmse(y: np.ndarray, value: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Root of the mean squared error, in the units of the target."""
    return float(np.sqrt(mean(row_squared(y, value), weight)))


def mae(y: np.ndarray, value: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean absolute error, in the units of the target."""
    return mean(row_absolute(y, value), weight)


def mape(y: np.ndarray, value: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean absolute error relative to the actual, as a fraction."""
    return mean(row_relative(y, value), weight)


def rmsle(y: np.ndarray, value: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Root of the mean squared error of log(1 + value)."""
    return float(np.sqrt(mean(row_squared_log(y, value), weight)))


def r2(y: np.ndarray, value: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Share of the variance explained; NaN where the target does not vary."""
    if len(y) < 2:
        return float("nan")
    spread = mean((y - mean(y, weight)) ** 2, weight)
    return 1 - mean(row_squared(y, value), weight) / spread if spread > 0 else float("nan")


def median_ae(y: np.ndarray, value: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Median absolute error; with weights the median of the rows repeated as often as they weigh."""
    error = row_absolute(y, value)
    if len(error) == 0 or np.isnan(error).any():
        return float("nan")
    if weight is None:
        return float(np.median(error))
    order = np.argsort(error, kind="stable")
    below = np.cumsum(weight[order])
    half = below[-1] / 2
    # At exactly one half the median lies midway between two rows, as it does without weights.
    left, right = (
        np.searchsorted(below, half * (1 - 1e-12), side="left"),
        np.searchsorted(below, half * (1 + 1e-12), side="left"),
    )
    return float((error[order[left]] + error[order[min(right, len(order) - 1)]]) / 2)
