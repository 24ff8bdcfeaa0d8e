"""Derivatives of metrics of labels in the share of each row.

Notation: r_k the share of rows of class k labelled k, a_k the share of class k, p_k the share labelled k. A metric
g(r, a, p) changes with the share of a row of class y labelled l by [y = l] dg/dr_y + dg/da_y + dg/dp_l.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from modelwright.metrics.classification import label_counts

Slope = Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]


def _shares(y: np.ndarray, label: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    right, actual, predicted = label_counts(y, label, weight)
    total = max(float(actual.sum()), 1e-300)
    return right / total, actual / total, predicted / total


def _over(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.zeros_like(b), where=b > 0)


def _rows(y: np.ndarray, label: np.ndarray, right: np.ndarray, actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.asarray(np.where(y == label, right[y], 0.0) + actual[y] + predicted[label])


def _balanced_accuracy(y: np.ndarray, label: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    r, a, _ = _shares(y, label, weight)
    present = np.count_nonzero(a)
    return _rows(y, label, _over(np.ones_like(a), a) / present, -_over(r, a * a) / present, np.zeros_like(a))


def _f1_macro(y: np.ndarray, label: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    r, a, p = _shares(y, label, weight)
    both = a + p
    seen = np.count_nonzero(both)
    shared = -_over(2 * r, both * both) / seen
    return _rows(y, label, _over(np.full_like(a, 2.0), both) / seen, shared, shared)


def _of_class_1(of: Callable[[float, float, float], tuple[float, float, float]]) -> Slope:
    def slope(y: np.ndarray, label: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        r, a, p = _shares(y, label, weight)
        parts = np.zeros((3, len(a)))
        parts[:, 1] = of(float(r[1]), float(a[1]), float(p[1]))
        return _rows(y, label, parts[0], parts[1], parts[2])

    return slope


def _f1(r: float, a: float, p: float) -> tuple[float, float, float]:
    both = a + p
    return (2 / both, -2 * r / both**2, -2 * r / both**2) if both > 0 else (0.0, 0.0, 0.0)


def _precision(r: float, a: float, p: float) -> tuple[float, float, float]:
    return (1 / p, 0.0, -r / p**2) if p > 0 else (0.0, 0.0, 0.0)


def _recall(r: float, a: float, p: float) -> tuple[float, float, float]:
    return (1 / a, -r / a**2, 0.0) if a > 0 else (float("nan"),) * 3


def _mcc(y: np.ndarray, label: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    r, a, p = _shares(y, label, weight)
    of_actual, of_predicted = 1 - float(a @ a), 1 - float(p @ p)
    spread = of_actual * of_predicted
    if spread <= 1e-15:
        return np.zeros(len(y))
    root = float(np.sqrt(spread))
    value = (float(r.sum()) - float(a @ p)) / root
    return _rows(y, label, np.full_like(a, 1 / root), -p / root + value * a / of_actual, -a / root + value * p / of_predicted)


#: By metric: (y, label, weight) -> derivative of each row.
OF_LABELS: dict[str, Slope] = {
    "balanced_accuracy": _balanced_accuracy,
    "f1": _of_class_1(_f1),
    "f1_macro": _f1_macro,
    "precision": _of_class_1(_precision),
    "recall": _of_class_1(_recall),
    "mcc": _mcc,
}
