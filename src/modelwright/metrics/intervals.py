"""Interval of a single metric on rows that were not used for training.

==========================  ====================================================================
Metric                      Method
==========================  ====================================================================
ROC AUC                     DeLong on the logit scale; Newcombe's score interval with fewer than 30 rows of a class
accuracy, precision,        Wilson with the effective number of rows
recall
F1                          Wilson on TP / (TP + FP + FN), of which F1 is a function
balanced accuracy           Wilson for each class, combined by Newcombe's square-and-add (`shares.py`)
mean losses, silhouette     t, corrected for skewness (`studentised.py`); no narrower than on the logarithm
rmse, rmsle                 the same for the mean square, and its root
average precision, mean F1  t on the logit scale
Matthews correlation        t on Fisher's z scale
R squared                   t on the logarithm of the unexplained share
median absolute error       order statistics
others                      bootstrap of rows or clusters, percentile
==========================  ====================================================================

Every method reads the spread from the influence of the rows, for which `dependence.py` sums entities and reads the
memory of a series; coverage is measured by ``benchmarks/uncertainty.py``.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from modelwright.metrics import studentised
from modelwright.metrics.bootstrap import draws
from modelwright.metrics.dependence import Design, Units, clusters_of, design
from modelwright.metrics.influence import ROOTS, Influence, influence, kinds_of, of_mean, quantiles
from modelwright.metrics.metric import Metric
from modelwright.metrics.registry import as_read
from modelwright.metrics.regression import row_absolute
from modelwright.metrics.shares import SHARES, Estimate, of_shares, wilson

__all__ = ["Estimate", "bounds", "interval", "wilson"]

#: With fewer rows in a class DeLong's variance is too uncertain for a normal interval.
_FEW = 30
_LOWEST = {"mcc": -1.0, "adjusted_rand": -1.0, "silhouette": -1.0, "r2": -np.inf}
#: Metrics whose spread vanishes with a rare pair of class and label.
_SMOOTHED = ("mcc", "f1_macro")
_NAN = float("nan")


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
        Time of each row (any sortable values); neighbouring moments are then allowed to be alike.
    seed : int, default=0
        Of the bootstrap, which only metrics without a formula need.
    level : float, default=0.95
    threshold : float, optional
        Probability from which class 1 is predicted, for metrics that read labels.

    Returns
    -------
    Estimate
        With NaN limits where the rows do not allow an interval.

    References
    ----------
    .. [1] DeLong, DeLong, Clarke-Pearson, Biometrics 44 (1988); Obuchowski, Biometrics 53 (1997) for clusters.
    .. [2] Wilson, J. Am. Stat. Assoc. 22 (1927).
    .. [3] Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2",
       Statistics in Medicine 25 (2006), method 5.
    """
    pred = as_read(metric, pred, threshold)
    if metric.name == "silhouette":
        weight = groups = blocks = None
    plan = design(len(y), weight, groups, blocks)
    found = influence(metric, y, pred, weight)
    if found is None:
        return _resampled(metric, y, pred, weight, clusters_of(len(y), groups, blocks), seed, level)
    units = plan.units(found.psi, found.strata, kinds_of(metric, y, pred))
    if not np.isfinite(found.value) or not np.isfinite(units.variance) or units.n < 2:
        return Estimate(found.value, _NAN, _NAN)
    if metric.name in ("roc_auc", "roc_auc_ovr"):
        return _of_auc(found, units, y, plan, level)
    if metric.name in SHARES:
        return of_shares(metric.name, y, pred, found, units, plan, level)
    if metric.name == "median_ae":
        return _of_median(found.value, row_absolute(y, pred), plan, level)
    if metric.name in ROOTS and metric.row_loss is not None:
        square = of_mean(metric.row_loss(y, pred), weight)
        low, high = studentised.positive_limits(square.value, plan.units(square.psi), level)
        return Estimate(found.value, float(np.sqrt(low)), float(np.sqrt(high)))
    if metric.name in _SMOOTHED:
        plain, near = _on_scale(metric, found.value, units, level), _smoothed(metric, y, pred, plan, level)
        return Estimate(found.value, min(plain.low, near.low), max(plain.high, near.high))
    return _on_scale(metric, found.value, units, level)


def bounds(metric: Metric) -> tuple[float, float]:
    """Smallest and largest possible value."""
    if metric.greater_is_better:
        return _LOWEST.get(metric.name, 0.0), metric.best
    return metric.best, np.inf


def _on_scale(metric: Metric, value: float, units: Units, level: float) -> Estimate:
    """On the scale on which the values of the metric are nearest to normal, and back; within its bounds."""
    lowest, highest = bounds(metric)
    half = float(special.stdtrit(units.df, 0.5 + level / 2)) * float(np.sqrt(units.variance))
    if half == 0 and value in (lowest, highest) and np.isfinite([lowest, highest]).all():
        # No spread is seen at the edge; Wilson says what so few units can exclude.
        bound = wilson((value - lowest) / (highest - lowest), units.n, float(special.ndtri(0.5 + level / 2)))
        return Estimate(value, lowest + (highest - lowest) * bound.low, lowest + (highest - lowest) * bound.high)
    if metric.name == "mcc" and abs(value) < 1:
        half /= 1 - value * value
        return Estimate(value, float(np.tanh(np.arctanh(value) - half)), float(np.tanh(np.arctanh(value) + half)))
    if metric.name in ("average_precision", "f1_macro") and 0 < value < 1:
        return _on_logit(value, half)
    if metric.name == "r2" and value < 1:
        factor = float(np.exp(half / (1 - value)))
        return Estimate(value, 1 - (1 - value) * factor, 1 - (1 - value) / factor)
    of = studentised.positive_limits if metric.row_loss is not None and not metric.greater_is_better else studentised.limits
    low, high = of(value, units, level)
    return Estimate(value, max(low, lowest), min(high, highest))


def _smoothed(metric: Metric, y: np.ndarray, label: np.ndarray, plan: Design, level: float) -> Estimate:
    """With 1 / K of a row added to each pair of class and label, so that a pair not seen is not taken for impossible.

    Simulated with 3 % positives and 200 rows: the Matthews correlation is covered in 94 % instead of 41 %.
    """
    n = len(y)
    weight = np.ones(n) if plan.weight is None else plan.weight
    # Classes neither seen nor predicted have no part in the value.
    classes = np.unique(np.concatenate([y, label]))
    k = len(classes)
    pairs = np.arange(k * k)
    found = influence(
        metric,
        np.concatenate([y, classes[pairs // k]]),
        np.concatenate([label, classes[pairs % k]]),
        np.concatenate([weight, np.full(k * k, float(weight.mean()) / k)]),
    )
    assert found is not None
    return _on_scale(metric, found.value, plan.units(found.psi[:n], None, kinds_of(metric, y, label)), level)


def _on_logit(value: float, half: float) -> Estimate:
    logit, half = float(np.log(value / (1 - value))), half / (value * (1 - value))
    return Estimate(value, float(1 / (1 + np.exp(half - logit))), float(1 / (1 + np.exp(-half - logit))))


def _of_auc(found: Influence, units: Units, y: np.ndarray, plan: Design, level: float) -> Estimate:
    auc = found.value
    counts = np.bincount(y)
    rarest = int(counts[counts > 0].min())
    # Placements converge to the normal fast; sums of few entities or moments need the t.
    q = float(special.ndtri(0.5 + level / 2) if plan.independent else special.stdtrit(units.df, 0.5 + level / 2))
    # The mean over several classes rests on more than its rarest one.
    enough = rarest >= _FEW or np.count_nonzero(counts) > 2
    if enough and 0 < auc < 1 and units.variance > 0:
        return _on_logit(auc, q * float(np.sqrt(units.variance)))
    # Dependent rows and uneven weights count as fewer rows.
    of_rows = Design(plan.n).units(found.psi, found.strata).variance
    deff = max(units.variance / of_rows, 1.0) if units.variance > 0 and of_rows > 0 else 1.0
    if plan.weight is not None:
        deff *= max(len(y) * float(plan.weight @ plan.weight) / float(plan.weight.sum()) ** 2, 1.0)
    return _newcombe(auc, max(rarest / deff, 1.0), max((len(y) - rarest) / deff, 1.0), q)


def _newcombe(auc: float, m: float, n: float, z: float) -> Estimate:
    """Score interval from the variance that the area implies by itself, for which few rows and a perfect ranking suffice."""
    from scipy import optimize  # a tenth of a second that lists of runs need not wait for

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


def _of_median(value: float, error: np.ndarray, plan: Design, level: float) -> Estimate:
    """The errors between which the share below one half plausibly lies (Woodruff, J. Am. Stat. Assoc. 47, 1952)."""
    units = plan.units(of_mean((error <= value).astype(np.float64), plan.weight).psi)
    half = float(special.stdtrit(units.df, 0.5 + level / 2)) * float(np.sqrt(units.variance))
    low, high = quantiles(error, plan.weight, np.clip([0.5 - half, 0.5 + half + 1 / len(error)], 0.0, 1.0))
    return Estimate(value, min(float(low), value), max(float(high), value))


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
        return Estimate(value, _NAN, _NAN)
    deviation = draws(lambda rows, w: metric.score(y[rows], pred[rows], w), len(y), weight=weight, clusters=clusters, seed=seed)
    if len(deviation) < 20:
        return Estimate(value, _NAN, _NAN)
    low, high = np.quantile(deviation, [0.5 - level / 2, 0.5 + level / 2])
    lowest, highest = bounds(metric)
    return Estimate(value, max(value + float(low), lowest), min(value + float(high), highest))
