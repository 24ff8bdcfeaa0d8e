"""Interval of a single metric on rows that were not used for training.

=====================  =========================================================================
Metric                 Method
=====================  =========================================================================
ROC AUC                DeLong on the logit scale; Wilson at the edge or with fewer than 30 rows of a class
accuracy, recall       Wilson, for weights and clusters with the effective number of rows
mean losses            t on the losses of the rows (sums per cluster)
rmse, rmsle            delta method on the logarithm
silhouette             t on the rows judged
others                 bootstrap of rows or clusters, percentile
=====================  =========================================================================

Clusters are the entities of ``groups`` or contiguous blocks of ``blocks`` (time).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from modelwright.metrics.bootstrap import draws
from modelwright.metrics.influence import ROOTS, clusters_of, influence, variance
from modelwright.metrics.metric import Metric
from modelwright.metrics.registry import as_read

#: With fewer rows in a class DeLong's variance is too uncertain for a normal interval.
_FEW = 30
_LOWEST = {"mcc": -1.0, "adjusted_rand": -1.0, "silhouette": -1.0, "r2": -np.inf}


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; ``low`` and ``high`` are NaN where the rows do not allow one."""

    value: float
    low: float
    high: float


def interval(
    metric: Metric,
    y: np.ndarray,
    pred: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    blocks: np.ndarray | None = None,
    seed: int = 0,
    level: float = 0.95,
    threshold: float | None = None,
) -> Estimate:
    """Value of a metric and its confidence interval.

    Parameters
    ----------
    metric : Metric
    y : ndarray of shape (n,)
        As the metric reads it; the feature matrix for silhouette.
    pred : ndarray
        What a learner predicts: probabilities become labels where the metric reads labels.
    weight : ndarray of shape (n,), optional
    groups : ndarray of shape (n,), optional
        Entity of each row; entities are the independent units then.
    blocks : ndarray of shape (n,), optional
        Time of each row (any sortable values); contiguous blocks are the independent units then.
    seed : int, default=0
        Of the bootstrap.
    level : float, default=0.95
    threshold : float, optional
        Probability from which class 1 is predicted, for metrics that read labels.

    Returns
    -------
    Estimate

    References
    ----------
    .. [1] DeLong, DeLong, Clarke-Pearson, Biometrics 44 (1988); Obuchowski, Biometrics 53 (1997) for clusters.
    .. [2] Wilson, J. Am. Stat. Assoc. 22 (1927).
    """
    pred = as_read(metric, pred, threshold)
    clusters = None if metric.name == "silhouette" else clusters_of(len(y), groups, blocks)
    found = influence(metric, y, pred, weight)
    if found is None:
        return _resampled(metric, y, pred, weight, clusters, seed, level)
    value = found.value
    var, n_units = variance(found.psi, clusters, found.strata)
    if not np.isfinite(value) or n_units < 2:
        return Estimate(value, float("nan"), float("nan"))
    z = float(stats.norm.ppf(0.5 + level / 2))
    if metric.name in ("roc_auc", "roc_auc_ovr"):
        counts = np.bincount(y)
        return _auc_interval(value, var, int(counts[counts > 0].min()), z)
    if metric.name == "accuracy":
        # The design effect: clusters and uneven weights leave fewer rows' worth of information.
        effective = value * (1 - value) / var * n_units / (n_units - 1) if var > 0 else n_units
        return wilson(value, min(effective, float(len(y))), z)
    t = float(stats.t.ppf(0.5 + level / 2, n_units - 1))
    if metric.name in ROOTS and value > 0:
        factor = float(np.exp(t * np.sqrt(var) / value))
        return Estimate(value, value / factor, value * factor)
    half = t * float(np.sqrt(var))
    lowest, highest = _bounds(metric)
    return Estimate(value, max(value - half, lowest), min(value + half, highest))


def _bounds(metric: Metric) -> tuple[float, float]:
    """Smallest and largest possible value."""
    if metric.greater_is_better:
        return _LOWEST.get(metric.name, 0.0), metric.best
    return metric.best, np.inf


def wilson(share: float, n: float, z: float) -> Estimate:
    """Score interval of a share of n rows, z standard errors wide to each side."""
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return Estimate(share, max(min(centre - half, share), 0.0), min(max(centre + half, share), 1.0))


def _auc_interval(auc: float, var: float, rarest: int, z: float) -> Estimate:
    spread = auc * (1 - auc)
    if rarest < _FEW or spread <= 0 or not var > 0:
        # A perfect ranking has no spread of its own; the rarer class then bounds what the rows can show.
        effective = spread / var if spread > 0 and var > 0 else float(rarest)
        return wilson(auc, effective, z)
    logit, half = float(np.log(auc / (1 - auc))), z * float(np.sqrt(var)) / spread
    return Estimate(auc, float(1 / (1 + np.exp(half - logit))), float(1 / (1 + np.exp(-half - logit))))


def _resampled(
    metric: Metric,
    y: np.ndarray,
    pred: np.ndarray,
    weight: np.ndarray | None,
    clusters: np.ndarray | None,
    seed: int,
    level: float,
) -> Estimate:
    value = metric.score(y, pred, weight)
    n_units = len(y) if clusters is None else int(clusters.max()) + 1
    # The agreement of labelings and the Davies-Bouldin index do not read weights, so they cannot be resampled.
    if not np.isfinite(value) or n_units < 2 or metric.tasks == ("clustering",):
        return Estimate(value, float("nan"), float("nan"))
    deviation = draws(lambda rows, w: metric.score(y[rows], pred[rows], w), len(y), weight=weight, clusters=clusters, seed=seed)
    if len(deviation) < 20:
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(deviation, [0.5 - level / 2, 0.5 + level / 2])
    lowest, highest = _bounds(metric)
    # Resampling a value at the edge (F1 of 1 or 0) shows no spread; Wilson says what so few rows can exclude.
    if value in (lowest, highest) and low == high == 0 and np.isfinite([lowest, highest]).all():
        bound = wilson((value - lowest) / (highest - lowest), n_units, float(stats.norm.ppf(0.5 + level / 2)))
        return Estimate(value, lowest + (highest - lowest) * bound.low, lowest + (highest - lowest) * bound.high)
    return Estimate(value, max(value + float(low), lowest), min(value + float(high), highest))
