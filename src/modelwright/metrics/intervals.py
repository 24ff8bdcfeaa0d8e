"""Interval of a single metric on rows that were not used for training.

=====================  =========================================================================
Metric                 Method
=====================  =========================================================================
ROC AUC                DeLong on the logit scale; Newcombe's score interval with fewer than 30 rows of a class
accuracy               Wilson, for weights and clusters with the effective number of rows
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
from scipy import optimize, stats

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
    .. [3] Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2",
       Statistics in Medicine 25 (2006), method 5.
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
        var_of_rows, _ = variance(found.psi, None, found.strata)
        return _auc_interval(value, var, y, weight, z, clusters, var_of_rows)
    if metric.name == "accuracy":
        # The design effect: clusters and uneven weights leave fewer rows' worth of information.
        effective = value * (1 - value) / var * n_units / (n_units - 1) if var > 0 else n_units
        return wilson(value, min(effective, float(len(y))), z)
    t = float(stats.t.ppf(0.5 + level / 2, n_units - 1))
    if metric.name in ROOTS and value > 0:
        factor = float(np.exp(t * np.sqrt(var) / value))
        return Estimate(value, value / factor, value * factor)
    half = t * float(np.sqrt(var))
    lowest, highest = bounds(metric)
    return Estimate(value, max(value - half, lowest), min(value + half, highest))


def bounds(metric: Metric) -> tuple[float, float]:
    """Smallest and largest possible value."""
    if metric.greater_is_better:
        return _LOWEST.get(metric.name, 0.0), metric.best
    return metric.best, np.inf


def wilson(share: float, n: float, z: float) -> Estimate:
    """Score interval of a share of n rows, z standard errors wide to each side."""
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return Estimate(share, max(min(centre - half, share), 0.0), min(max(centre + half, share), 1.0))


def _auc_interval(
    auc: float, var: float, y: np.ndarray, weight: np.ndarray | None, z: float, clusters: np.ndarray | None, var_of_rows: float
) -> Estimate:
    counts = np.bincount(y)
    rarest = int(counts[counts > 0].min())
    spread = auc * (1 - auc)
    # The mean over several classes rests on more than its rarest one.
    enough = rarest >= _FEW or np.count_nonzero(counts) > 2
    if enough and spread > 0 and var > 0:
        logit, half = float(np.log(auc / (1 - auc))), z * float(np.sqrt(var)) / spread
        return Estimate(auc, float(1 / (1 + np.exp(half - logit))), float(1 / (1 + np.exp(-half - logit))))
    # Dependent rows and uneven weights count as fewer rows.
    design = max(var / var_of_rows, 1.0) if clusters is not None and var > 0 and var_of_rows > 0 else 1.0
    if weight is not None:
        design *= max(len(y) * float(weight @ weight) / float(weight.sum()) ** 2, 1.0)
    return _newcombe(auc, max(rarest / design, 1.0), max((len(y) - rarest) / design, 1.0), z)


def _newcombe(auc: float, m: float, n: float, z: float) -> Estimate:
    """Score interval from the variance that the area implies by itself, for which few rows and a perfect ranking suffice."""
    size = max((m + n) / 2 - 1, 0.0)

    def beyond(t: float) -> float:
        var = t * (1 - t) / (m * n) * (1 + size * ((1 - t) / (2 - t) + t / (1 + t)))
        return abs(auc - t) - z * float(np.sqrt(var))

    tiny = 1e-9
    low = high = auc
    if auc > tiny and beyond(tiny) > 0:
        low = float(optimize.brentq(beyond, tiny, max(auc - tiny, tiny)))
    elif auc > tiny:
        low = 0.0
    if auc < 1 - tiny and beyond(1 - tiny) > 0:
        high = float(optimize.brentq(beyond, min(auc + tiny, 1 - tiny), 1 - tiny))
    elif auc < 1 - tiny:
        high = 1.0
    return Estimate(auc, low, high)


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
    lowest, highest = bounds(metric)
    # Resampling a value at the edge (F1 of 1 or 0) shows no spread; Wilson says what so few rows can exclude.
    if value in (lowest, highest) and low == high == 0 and np.isfinite([lowest, highest]).all():
        bound = wilson((value - lowest) / (highest - lowest), n_units, float(stats.norm.ppf(0.5 + level / 2)))
        return Estimate(value, lowest + (highest - lowest) * bound.low, lowest + (highest - lowest) * bound.high)
    return Estimate(value, max(value + float(low), lowest), min(value + float(high), highest))
