"""Metrics of classification.

Notation: n rows, K classes; y class numbers 0..K-1; ``proba`` of shape (n, K); w row weights (1 when absent).
Where a metric is undefined because a class is absent, the value is NaN: a small fold must not end a search.
"""

from __future__ import annotations

import numpy as np

#: Smallest probability that enters a logarithm, as in scikit-learn.
EPSILON = float(np.finfo(np.float64).eps)


def positive_proba(proba: np.ndarray) -> np.ndarray:
    """Probability of class 1 from an (n, 2) array; an (n,) array is returned as it is."""
    return proba if proba.ndim == 1 else proba[:, 1]


def placements(score: np.ndarray, positive: np.ndarray, weight: np.ndarray | None = None) -> tuple[float, np.ndarray]:
    """Area under the ROC curve and the placement of each row among the rows of the other class.

    The placement of a positive is the weighted share of negatives with a lower score (ties count half), that of
    a negative the share of positives with a higher one. Their spread gives the variance of DeLong [1]_.

    Parameters
    ----------
    score : ndarray of shape (n,)
    positive : ndarray of shape (n,), bool
    weight : ndarray of shape (n,), optional

    Returns
    -------
    auc : float
        NaN if a class is absent or a score is NaN.
    placement : ndarray of shape (n,)

    References
    ----------
    .. [1] Sun, Xu, "Fast Implementation of DeLong's Algorithm", IEEE Signal Processing Letters 21 (2014).
    """
    n = len(score)
    w = np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64)
    w_positive = np.where(positive, w, 0.0)
    w_negative = w - w_positive
    total_positive, total_negative = float(w_positive.sum()), float(w_negative.sum())
    if total_positive <= 0 or total_negative <= 0 or np.isnan(score).any():
        return float("nan"), np.full(n, np.nan)
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    start = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    tie = np.repeat(np.arange(len(start)), np.diff(np.append(start, n)))
    tied_negative = np.add.reduceat(w_negative[order], start)
    tied_positive = np.add.reduceat(w_positive[order], start)
    of_positive = (np.cumsum(tied_negative) - tied_negative / 2) / total_negative
    of_negative = 1 - (np.cumsum(tied_positive) - tied_positive / 2) / total_positive
    placement = np.empty(n)
    placement[order] = np.where(positive[order], of_positive[tie], of_negative[tie])
    auc = float(tied_positive @ of_positive) / total_positive
    # Rounding may carry a perfect ranking past 1 by one unit in the last place.
    return min(max(auc, 0.0), 1.0), placement


def roc_auc(y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Area under the ROC curve of class 1; NaN if only one class is present."""
    return placements(positive_proba(proba), y == 1, weight)[0]


def roc_auc_ovr(y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean over the classes present of the area under the curve of that class against all others."""
    present = np.unique(y)
    if len(present) < 2:
        return float("nan")
    return float(np.mean([placements(proba[:, k], y == k, weight)[0] for k in present]))


def average_precision(y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Precision averaged over the recall steps of class 1 (no interpolation); NaN without positives."""
    score = positive_proba(proba)
    w = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
    order = np.argsort(-score, kind="stable")
    ordered, w = score[order], w[order]
    hits = np.cumsum(np.where(y[order] == 1, w, 0.0))
    if len(y) == 0 or hits[-1] <= 0 or np.isnan(score).any():
        return float("nan")
    last = np.flatnonzero(np.concatenate([ordered[1:] != ordered[:-1], [True]]))
    hits, seen = hits[last], np.cumsum(w)[last]
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    return float(np.diff(hits, prepend=0.0) @ precision / hits[-1])


def row_log_loss(y: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """Negative log probability of the true class, natural logarithm."""
    chosen = np.where(y == 1, proba, 1 - proba) if proba.ndim == 1 else proba[np.arange(len(y)), y]
    return np.asarray(-np.log(np.clip(chosen, EPSILON, 1.0)))


def row_brier(y: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """Squared error of the probabilities: of class 1 for two classes, summed over the classes for more."""
    if proba.ndim == 1 or proba.shape[1] == 2:
        return np.asarray((positive_proba(proba) - (y == 1)) ** 2)
    chosen = proba[np.arange(len(y)), y]
    return np.asarray((proba**2).sum(axis=1) - 2 * chosen + 1)


def row_error(y: np.ndarray, label: np.ndarray) -> np.ndarray:
    """1 where the label is wrong."""
    return np.asarray(y != label, dtype=np.float64)


def log_loss(y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean negative log probability of the true class."""
    return mean(row_log_loss(y, proba), weight)


def brier(y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean squared error of the probabilities."""
    return mean(row_brier(y, proba), weight)


def accuracy(y: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Share of rows whose label is right."""
    return 1 - mean(row_error(y, label), weight)


def label_counts(y: np.ndarray, label: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right, actual and predicted weight of each class."""
    if len(y) == 0:
        return np.zeros(2), np.zeros(2), np.zeros(2)
    k = int(max(y.max(), label.max(), 1)) + 1
    hit = np.where(y == label, 1.0 if weight is None else weight, 0.0)
    right = np.bincount(y, weights=hit, minlength=k)
    actual = np.bincount(y, weights=weight, minlength=k).astype(np.float64)
    predicted = np.bincount(label, weights=weight, minlength=k).astype(np.float64)
    return right, actual, predicted


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros_like(a, dtype=np.float64), where=b > 0)


def balanced_accuracy(y: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean recall over the classes present."""
    right, actual, _ = label_counts(y, label, weight)
    present = actual > 0
    return float(np.mean(right[present] / actual[present])) if present.any() else float("nan")


def precision(y: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Share of rows labelled 1 that are 1; 0 if none is labelled 1."""
    right, _, predicted = label_counts(y, label, weight)
    return float(_ratio(right, predicted)[1])


def recall(y: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Share of rows of class 1 that are labelled 1; NaN if the class is absent."""
    right, actual, _ = label_counts(y, label, weight)
    return float(right[1] / actual[1]) if actual[1] > 0 else float("nan")


def f1(y: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Harmonic mean of precision and recall of class 1; 0 if class 1 is neither present nor predicted."""
    right, actual, predicted = label_counts(y, label, weight)
    return float(_ratio(2 * right, actual + predicted)[1])


def f1_macro(y: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> float:
    """F1 averaged over the classes that are present or predicted."""
    right, actual, predicted = label_counts(y, label, weight)
    total = actual + predicted
    seen = total > 0
    return float(np.mean(2 * right[seen] / total[seen])) if seen.any() else float("nan")


def mcc(y: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Matthews correlation coefficient, for any number of classes; 0 if labels or truth are constant."""
    right, actual, predicted = label_counts(y, label, weight)
    total = float(actual.sum())
    if total <= 0:
        return float("nan")
    actual, predicted, hit = actual / total, predicted / total, float(right.sum()) / total
    spread = (1 - float(actual @ actual)) * (1 - float(predicted @ predicted))
    # Constant labels give a spread of rounding noise, not of exactly zero.
    return (hit - float(actual @ predicted)) / float(np.sqrt(spread)) if spread > 1e-15 else 0.0


def mean(loss: np.ndarray, weight: np.ndarray | None) -> float:
    """Weighted mean; NaN of nothing."""
    if len(loss) == 0:
        return float("nan")
    return float(loss.mean()) if weight is None else float(weight @ loss / weight.sum())
