"""Is the model better than the baseline on the same rows?

Both are scored on the same rows, so what counts is the spread of their difference: DeLong's covariance for the area
under the ROC curve, t on the differences of row losses (sums per entity or time block), a paired bootstrap otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from modelwright.metrics.bootstrap import draws
from modelwright.metrics.influence import clusters_of, influence, variance
from modelwright.metrics.intervals import Estimate, wilson
from modelwright.metrics.metric import Metric
from modelwright.metrics.registry import as_read

_NAN = float("nan")


@dataclass(frozen=True)
class PairedResult:
    """Difference of two predictions on the same rows.

    ``difference`` is in the metric's units, turned so that positive means the model is better; ``p_value`` is two-sided
    for "no difference"; ``better`` says that the model is better at the 5 % level.
    """

    difference: Estimate
    p_value: float
    better: bool


def compare(
    metric: Metric,
    y: np.ndarray,
    model_pred: np.ndarray,
    baseline_pred: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    blocks: np.ndarray | None = None,
    seed: int = 0,
    level: float = 0.95,
    threshold: float | None = None,
    baseline_threshold: float | None = None,
) -> PairedResult:
    """Compare a model with a baseline.

    Parameters
    ----------
    metric : Metric
    y : ndarray of shape (n,)
    model_pred, baseline_pred : ndarray
        Predictions for the same rows, as learners return them.
    weight, groups, blocks, seed, level
        As in `intervals.interval`.
    threshold, baseline_threshold : float, optional
        Probability from which class 1 is predicted, for metrics that read labels.

    Returns
    -------
    PairedResult
        With too few rows for a test, the p-value is 1 and ``better`` is False.
    """
    model = as_read(metric, model_pred, threshold)
    baseline = as_read(metric, baseline_pred, baseline_threshold)
    clusters = None if metric.name == "silhouette" else clusters_of(len(y), groups, blocks)
    ours, theirs = influence(metric, y, model, weight), influence(metric, y, baseline, weight)
    if ours is None or theirs is None:
        return _resampled(metric, y, model, baseline, weight, clusters, seed, level)
    gain = ours - theirs if metric.greater_is_better else theirs - ours
    var, n_units = variance(gain.psi, clusters, gain.strata)
    if not np.isfinite(gain.value) or not np.isfinite(var) or n_units < 2:
        return _undecided(gain.value)
    se = float(np.sqrt(var))
    if se == 0 and abs(gain.value) > 1e-12 and metric.name.startswith("roc_auc"):
        # A perfect ranking against a constant: neither has a spread, and the rarer class bounds what the rows can show.
        counts = np.bincount(y)
        se = 1 - wilson(1.0, float(counts[counts > 0].min()), 1.0).low
    # Placements converge to the normal fast; means of losses from few rows or entities need the t.
    spread = stats.norm if metric.name.startswith("roc_auc") and clusters is None else stats.t(n_units - 1)
    half = float(spread.ppf(0.5 + level / 2)) * se
    # Without spread every row differs by the same amount, or none does.
    certain = 1.0 if abs(gain.value) < 1e-12 else 0.0
    p_value = float(2 * spread.sf(abs(gain.value) / se)) if se > 0 else certain
    if metric.name == "accuracy" and weight is None and clusters is None:
        p_value = _mcnemar(y, model, baseline)
    return _result(Estimate(gain.value, gain.value - half, gain.value + half), p_value, level)


def _mcnemar(y: np.ndarray, model: np.ndarray, baseline: np.ndarray) -> float:
    """Exact binomial test on the rows that only one of the two gets right."""
    ours = int(((model == y) & (baseline != y)).sum())
    theirs = int(((model != y) & (baseline == y)).sum())
    return float(stats.binomtest(ours, ours + theirs).pvalue) if ours + theirs else 1.0


def _resampled(
    metric: Metric,
    y: np.ndarray,
    model: np.ndarray,
    baseline: np.ndarray,
    weight: np.ndarray | None,
    clusters: np.ndarray | None,
    seed: int,
    level: float,
) -> PairedResult:
    gain = metric.utility(metric.score(y, model, weight)) - metric.utility(metric.score(y, baseline, weight))
    if not np.isfinite(gain) or len(y) < 2 or metric.tasks == ("clustering",):
        return _undecided(gain)

    def statistic(rows: np.ndarray, w: np.ndarray) -> float:
        ours = metric.score(y[rows], model[rows], w)
        return metric.utility(ours) - metric.utility(metric.score(y[rows], baseline[rows], w))

    deviation = draws(statistic, len(y), weight=weight, clusters=clusters, seed=seed)
    if len(deviation) < 20:
        return _undecided(gain)
    low, high = np.quantile(deviation, [0.5 - level / 2, 0.5 + level / 2])
    # Achieved significance level, with the observed difference counted once so that it is never zero.
    below, above = (int((gain + deviation <= 0).sum()), int((gain + deviation >= 0).sum()))
    p_value = min(1.0, 2 * (min(below, above) + 1) / (len(deviation) + 1))
    return _result(Estimate(gain, gain + float(low), gain + float(high)), p_value, level)


def _result(difference: Estimate, p_value: float, level: float) -> PairedResult:
    return PairedResult(difference, p_value, bool(difference.low > 0 and p_value < 1 - level))


def _undecided(value: float) -> PairedResult:
    return PairedResult(Estimate(value, _NAN, _NAN), 1.0, False)
