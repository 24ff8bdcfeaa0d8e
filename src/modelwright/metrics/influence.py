"""How much each row moves a metric: the one route to standard errors with weights, groups and time.

Notation: psi_i, the influence of row i, with sum(psi) = 0; the variance of the value is about sum(psi_i ** 2), and
`dependence.py` says what rows that belong together make of it. For the area under the ROC curve psi are the centred
placements, so the row form is DeLong's variance and the cluster form that of Obuchowski. Metrics of labels follow from the
derivatives of their formula in the counts (`influence_of_labels.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelwright.metrics.classification import average_precision, mean, placements, positive_proba
from modelwright.metrics.clustering import silhouette_rows
from modelwright.metrics.influence_of_labels import OF_LABELS
from modelwright.metrics.metric import Metric
from modelwright.metrics.regression import median_ae, r2, row_absolute, row_squared

#: Metrics that are the square root of the mean of their row losses.
ROOTS = ("rmse", "rmsle")


@dataclass(frozen=True)
class Influence:
    """Value of a metric and the influence of each row.

    ``strata`` separates the positives where both classes are samples of their own (two-class ROC curve).
    """

    value: float
    psi: np.ndarray
    strata: np.ndarray | None = None

    def __sub__(self, other: Influence) -> Influence:
        return Influence(self.value - other.value, self.psi - other.psi, self.strata)

    def __neg__(self) -> Influence:
        return Influence(-self.value, -self.psi, self.strata)


def influence(metric: Metric, y: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None) -> Influence | None:
    """Influence of each row, or None if the metric has no such form and must be resampled.

    Parameters
    ----------
    metric : Metric
    y : ndarray of shape (n,)
        The feature matrix for silhouette.
    prediction : ndarray
        In the form that the metric reads.
    weight : ndarray of shape (n,), optional
    """
    if metric.name == "roc_auc":
        return _of_auc(positive_proba(prediction), y == 1, weight, y == 1)
    if metric.name == "roc_auc_ovr":
        present = np.unique(y)
        if len(present) < 2:
            return Influence(float("nan"), np.full(len(y), np.nan))
        parts = [_of_auc(prediction[:, k], y == k, weight, None) for k in present]
        return Influence(float(np.mean([p.value for p in parts])), np.mean([p.psi for p in parts], axis=0))
    if metric.name == "average_precision":
        return _of_average_precision(y, prediction, weight)
    if metric.name in OF_LABELS:
        return _centred(metric.score(y, prediction, weight), OF_LABELS[metric.name](y, prediction, weight), weight)
    if metric.name == "r2":
        return _of_r2(y, prediction, weight)
    if metric.name == "median_ae":
        return _of_median(y, prediction, weight)
    if metric.name == "silhouette":
        return of_mean(silhouette_rows(y, prediction), None)
    if metric.row_loss is None:
        return None
    of_loss = of_mean(metric.row_loss(y, prediction), weight)
    if metric.name in ROOTS:
        root = float(np.sqrt(of_loss.value))
        return Influence(root, of_loss.psi / (2 * root) if root > 0 else of_loss.psi)
    if metric.name == "accuracy":
        return Influence(1 - of_loss.value, -of_loss.psi)
    return of_loss


def kinds_of(metric: Metric, y: np.ndarray, *predictions: np.ndarray) -> np.ndarray | None:
    """Number of the kind of each row: its class, with the labels predicted where the metric reads labels.

    None for metrics of numbers and clusters.
    """
    if "binary" not in metric.tasks and "multiclass" not in metric.tasks:
        return None
    kinds = y
    for label in predictions if metric.reads == "label" else ():
        kinds = np.unique(kinds * (int(label.max()) + 1) + label, return_inverse=True)[1]
    return kinds


def of_mean(loss: np.ndarray, weight: np.ndarray | None) -> Influence:
    """Of the weighted mean of row losses."""
    return _centred(mean(loss, weight), loss, weight)


def _centred(value: float, slope: np.ndarray, weight: np.ndarray | None) -> Influence:
    """From the derivative of the value in the share of each row."""
    centred = slope - mean(slope, weight)
    return Influence(value, centred / len(slope) if weight is None else weight * centred / weight.sum())


def _of_auc(score: np.ndarray, positive: np.ndarray, weight: np.ndarray | None, strata: np.ndarray | None) -> Influence:
    auc, placement = placements(score, positive, weight)
    w = np.ones(len(score)) if weight is None else np.asarray(weight, dtype=np.float64)
    total_positive = float(w[positive].sum())
    totals = np.where(positive, total_positive, float(w.sum()) - total_positive)
    return Influence(auc, w * (placement - auc) / np.where(totals > 0, totals, np.nan), strata)


def _of_r2(y: np.ndarray, value: np.ndarray, weight: np.ndarray | None) -> Influence:
    found = r2(y, value, weight)
    if not np.isfinite(found):
        return Influence(found, np.full(len(y), np.nan))
    around = (y - mean(y, weight)) ** 2
    spread = mean(around, weight)
    return _centred(found, ((1 - found) * around - row_squared(y, value)) / spread, weight)


def _of_median(y: np.ndarray, value: np.ndarray, weight: np.ndarray | None) -> Influence:
    """A row below the median pulls it down by the reciprocal of the density there (Bofinger's bandwidth)."""
    error = row_absolute(y, value)
    median = median_ae(y, value, weight)
    if not np.isfinite(median):
        return Influence(median, np.full(len(y), np.nan))
    width = min(float(4.5 * (1 / np.sqrt(2 * np.pi)) ** 4) ** 0.2 * len(y) ** -0.2, 0.25)
    low, high = quantiles(error, weight, np.array([0.5 - width, 0.5 + width]))
    sparsity = (high - low) / (2 * width)
    return _centred(median, -sparsity * (error <= median), weight)


def quantiles(values: np.ndarray, weight: np.ndarray | None, shares: np.ndarray) -> np.ndarray:
    """Smallest values below or at which the given shares of the weight lie."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(np.ones(len(values)) if weight is None else weight[order])
    at = np.searchsorted(below, shares * below[-1] * (1 - 1e-12), side="left")
    return np.asarray(values[order[np.clip(at, 0, len(values) - 1)]])


def _of_average_precision(y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None) -> Influence:
    """Derivative of sum over positives j of A_j / N_j, A and N the weight of positives and of all at s_j and above.

    A row counts by its own precision if it is positive, and by what it adds to A and N of every positive at or below it.
    """
    value = average_precision(y, proba, weight)
    n = len(y)
    if not np.isfinite(value):
        return Influence(value, np.full(n, np.nan))
    score, positive = positive_proba(proba), y == 1
    w = np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64)
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.concatenate([ordered[1:] != ordered[:-1], [True]])
    # Tied rows share the counts at the last of them.
    tie = np.cumsum(last) - last
    hit = np.where(positive[order], w[order], 0.0)
    a, seen = np.cumsum(hit)[last][tie], np.maximum(np.cumsum(w[order])[last][tie], 1e-300)
    tied = np.bincount(tie, weights=hit)
    first = np.concatenate([[True], last[:-1]])
    # Of all positives at or below the row; row of the lowest score last.
    gained = np.cumsum((tied / seen[first])[::-1])[::-1][tie]
    lost = np.cumsum((tied * a[first] / seen[first] ** 2)[::-1])[::-1][tie]
    own = np.where(positive[order], a / seen - value + gained, 0.0) - lost
    psi = np.empty(n)
    psi[order] = w[order] * own / float(hit.sum())
    return Influence(value, psi)
