"""Is the model better than the baseline on the same rows?

Both are scored on the same rows, so what counts is the spread of their difference: DeLong's covariance for the area
under the ROC curve, the differences of the influences of the rows for every other metric (row losses where the metric is
their mean), summed per entity or read as a series in time (`dependence.py`), and corrected for skewness. Accuracy on
independent rows is McNemar's test. `describe` says the result in one sentence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from modelwright.metrics import studentised
from modelwright.metrics.bootstrap import draws
from modelwright.metrics.dependence import Design, Units, clusters_of, design
from modelwright.metrics.influence import Influence, influence, kinds_of
from modelwright.metrics.metric import Metric
from modelwright.metrics.registry import as_read
from modelwright.metrics.shares import Estimate

_NAN = float("nan")
#: Standard errors between the difference and zero at which a two-sided 5 % test sees it in 80 % of cases.
_DETECTABLE = 1.96 + 0.84


@dataclass(frozen=True)
class PairedResult:
    """Difference of two predictions on the same rows.

    ``difference`` is in the metric's units, turned so that positive means the model is better; ``p_value`` is two-sided
    for "no difference"; ``better`` says that the model is better at the level asked for (two-sided 5 %, so a model
    that equals the baseline is called better in 2.5 % of cases).

    ``relative`` is the difference as a fraction of the baseline's score (NaN if that is 0), ``standardised`` the
    difference in standard deviations of the rows' differences. ``rows_needed`` is how many rows, dependent as these are,
    would show the observed difference in 80 % of cases; None unless the model looks better without being shown to be.
    ``equivalent`` answers two one-sided tests of "smaller than ``smallest``, either way"; ``useful`` says that the
    difference is at least ``smallest``; both are None where no smallest useful difference was given.
    """

    difference: Estimate
    p_value: float
    better: bool
    n_rows: int = 0
    relative: float = _NAN
    standardised: float = _NAN
    rows_needed: int | None = None
    smallest: float | None = None
    equivalent: bool | None = None
    useful: bool | None = None


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
    smallest: float | None = None,
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
    smallest : float, optional
        Smallest useful difference, in the units of the metric, positive.

    Returns
    -------
    PairedResult
        With too few rows for a test, the p-value is 1 and ``better`` is False.
    """
    model = as_read(metric, model_pred, threshold)
    baseline = as_read(metric, baseline_pred, baseline_threshold)
    if metric.name == "silhouette":
        weight = groups = blocks = None
    ours, theirs = influence(metric, y, model, weight), influence(metric, y, baseline, weight)
    if ours is None or theirs is None:
        return _resampled(metric, y, model, baseline, weight, clusters_of(len(y), groups, blocks), seed, level)
    plan = design(len(y), weight, groups, blocks)
    gain = ours - theirs if metric.greater_is_better else theirs - ours
    seen = plan.units(gain.psi, gain.strata, kinds_of(metric, y, model, baseline))
    if not np.isfinite(gain.value) or not np.isfinite(seen.variance) or seen.n < 2:
        return PairedResult(Estimate(gain.value, _NAN, _NAN), 1.0, False, len(y), smallest=smallest)
    size = max(abs(gain.value), 1e-300)
    flat = np.sqrt(seen.variance) <= 1e-12 * max(size, abs(ours.value), abs(theirs.value))
    units = without_spread(metric, y, gain.value, seen) if flat else seen
    if units is None:  # the two predict the same
        return _result(Estimate(0.0, 0.0, 0.0), 1.0, level, len(y), theirs.value, None, 0.0, smallest)
    p_value = studentised.p_value(gain.value, units)
    if metric.name == "accuracy" and weight is None and plan.independent:
        p_value = _mcnemar(y, model, baseline)
    low, high = studentised.limits(gain.value, units, level)
    standardised = _standardised(gain, plan)
    return _result(Estimate(gain.value, low, high), p_value, level, len(y), theirs.value, units, standardised, smallest)


def compare_influences(
    metric: Metric, ours: Influence, theirs: Influence, plan: Design, kinds: np.ndarray | None = None, level: float = 0.95
) -> PairedResult:
    """Compare two models by the influences of the same rows, where the predictions themselves are no longer at hand.

    Parameters
    ----------
    metric : Metric
    ours, theirs : Influence
        Of the model and of the other, rows in the same order.
    plan : Design
        Which rows belong together.
    kinds : ndarray of shape (n,), int, optional
        As in `Design.units`.
    level : float, default=0.95

    Returns
    -------
    PairedResult
        As of `compare`, but for accuracy, whose p-value is that of the interval and not McNemar's. A difference that all
        rows share, or none, has no interval.
    """
    gain = ours - theirs if metric.greater_is_better else theirs - ours
    n = len(gain.psi)
    seen = plan.units(gain.psi, gain.strata, kinds)
    if not np.isfinite(gain.value) or not np.isfinite(seen.variance) or seen.n < 2:
        return PairedResult(Estimate(gain.value, _NAN, _NAN), 1.0, False, n)
    if np.sqrt(seen.variance) <= 1e-12 * max(abs(gain.value), abs(ours.value), abs(theirs.value), 1e-300):
        if abs(gain.value) < 1e-12:  # the two predict the same
            return _result(Estimate(0.0, 0.0, 0.0), 1.0, level, n, theirs.value, None, 0.0, None)
        return PairedResult(Estimate(gain.value, _NAN, _NAN), 1.0, False, n)
    low, high = studentised.limits(gain.value, seen, level)
    p_value = studentised.p_value(gain.value, seen)
    standardised = _standardised(gain, plan)
    return _result(Estimate(gain.value, low, high), p_value, level, n, theirs.value, seen, standardised, None)


def describe(result: PairedResult, *, metric: str, look: int = 1, level: float = 0.95) -> str:
    """One sentence: better by how much, not shown to be better, or how many rows would tell.

    Parameters
    ----------
    result : PairedResult
    metric : str
        Name of the metric in a sentence, such as "log loss".
    look : int, default=1
        How often these rows have been looked at, this look included.
    level : float, default=0.95
        Of the interval of ``result``.

    Examples
    --------
    >>> shown = PairedResult(Estimate(0.021, 0.012, 0.030), 1e-5, True, 2000)
    >>> describe(shown, metric="log loss")
    'better by 0.021 log loss (95 % 0.012 to 0.03, 2,000 rows, look 1, p < 0.001)'
    """
    found = result.difference
    rows = f"{result.n_rows:,} rows"
    if not np.isfinite([found.value, found.low, found.high]).all():
        return f"not shown to be better: {rows} do not allow a test"
    p = "p < 0.001" if result.p_value < 0.001 else f"p = {result.p_value:.2g}"
    basis = f"{100 * level:.4g} % {_number(found.low)} to {_number(found.high)}, {rows}, look {look}, {p}"
    if result.better:
        text = f"better by {_number(found.value)} {metric} ({basis})"
    elif found.high < 0:
        text = f"worse by {_number(-found.value)} {metric} ({basis})"
    elif result.rows_needed is not None and not result.equivalent:
        seen = f"difference {_number(found.value)} {metric}"
        text = f"cannot tell: would need about {_rounded(result.rows_needed):,} rows ({seen}, {basis})"
    else:
        text = f"not shown to be better (difference {_number(found.value)} {metric}, {basis})"
    if result.smallest is None:
        return text
    if result.equivalent:
        return f"{text}; any difference is smaller than the smallest useful one, {_number(result.smallest)}"
    if result.useful:
        return f"{text}; the difference is at least the smallest useful one, {_number(result.smallest)}"
    return f"{text}; whether it reaches the smallest useful difference, {_number(result.smallest)}, is not shown"


def without_spread(metric: Metric, y: np.ndarray, value: float, units: Units) -> Units | None:
    """Units for a difference that all rows share, such as a perfect ranking against a constant.

    No spread is seen, so the number of units bounds what they can show: that of the rarer class where the metric reads
    classes. The standard error is that of a share of 1 among as many.
    """
    if abs(value) < 1e-12:
        return None
    n, size = units.n, abs(value)
    if "regression" not in metric.tasks and "clustering" not in metric.tasks:
        counts = np.bincount(y)
        n = min(n, int(counts[counts > 0].min()))
    if metric.greater_is_better:
        size = max(size, 1.0)
    return Units(np.array([size / (n + 1)]), max(float(n - 1), 1.0), units.n)


def _standardised(gain: Influence, plan: Design) -> float:
    spread = float(np.sqrt(plan.n * float(gain.psi @ gain.psi)))
    return gain.value / spread if spread > 0 else _NAN


def _mcnemar(y: np.ndarray, model: np.ndarray, baseline: np.ndarray) -> float:
    """Binomial test on the rows that only one of the two gets right, mid-p form.

    The exact form rejects too seldom (measured 2 to 4 % at 5 %); the mid-p form keeps the level in practice (Fagerland,
    Lydersen, Laake, BMC Medical Research Methodology 13, 2013).
    """
    ours = int(((model == y) & (baseline != y)).sum())
    theirs = int(((model != y) & (baseline == y)).sum())
    if ours + theirs == 0:
        return 1.0
    fewer, n = min(ours, theirs), ours + theirs
    below = special.bdtr(fewer - 1, n, 0.5) if fewer else 0.0
    return float(min(special.bdtr(fewer, n, 0.5) + below, 1.0))


def _result(
    difference: Estimate,
    p_value: float,
    level: float,
    n: int,
    baseline: float,
    units: Units | None,
    standardised: float,
    smallest: float | None,
) -> PairedResult:
    better = bool(difference.low > 0 and p_value < 1 - level)
    needed = None
    if units is not None and difference.value > 0 and not better:
        rows = n * units.variance * (_DETECTABLE / difference.value) ** 2
        # The test may be undecided although the formula holds these rows for enough; then a few more are.
        needed = max(int(np.ceil(min(rows, 1e15))), n + 1)
    equivalent = useful = None
    if smallest is not None:
        useful = bool(better and difference.low >= smallest)
        equivalent = units is None or bool(
            max(
                studentised.p_greater(difference.value, units, -smallest),
                1 - studentised.p_greater(difference.value, units, smallest),
            )
            < 1 - level
        )
    relative = difference.value / abs(baseline) if baseline else _NAN
    return PairedResult(difference, p_value, better, n, relative, standardised, needed, smallest, equivalent, useful)


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
    theirs = metric.score(y, baseline, weight)
    gain = metric.utility(metric.score(y, model, weight)) - metric.utility(theirs)
    undecided = PairedResult(Estimate(gain, _NAN, _NAN), 1.0, False, len(y))
    if not np.isfinite(gain) or len(y) < 2 or metric.tasks == ("clustering",):
        return undecided

    def statistic(rows: np.ndarray, w: np.ndarray) -> float:
        ours = metric.score(y[rows], model[rows], w)
        return metric.utility(ours) - metric.utility(metric.score(y[rows], baseline[rows], w))

    deviation = draws(statistic, len(y), weight=weight, clusters=clusters, seed=seed)
    if len(deviation) < 20:
        return undecided
    low, high = np.quantile(deviation, [0.5 - level / 2, 0.5 + level / 2])
    # Achieved significance level, with the observed difference counted once so that it is never zero.
    below, above = (int((gain + deviation <= 0).sum()), int((gain + deviation >= 0).sum()))
    p_value = min(1.0, 2 * (min(below, above) + 1) / (len(deviation) + 1))
    units = Units(np.array([float(np.std(deviation))]), float(len(y) - 1), len(y))
    difference = Estimate(gain, gain + float(low), gain + float(high))
    return _result(difference, p_value, level, len(y), theirs, units, _NAN, None)


def _number(value: float) -> str:
    return f"{value:.3g}"


def _rounded(n: int) -> int:
    """Two digits; more would promise what the estimate cannot hold."""
    digits = max(len(str(n)) - 2, 0)
    return -(-n // 10**digits) * 10**digits
