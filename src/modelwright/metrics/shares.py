"""Intervals of shares of rows, and of metrics that are functions of shares: no normal approximation at 0, 1 or few rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from modelwright.metrics.classification import label_counts
from modelwright.metrics.dependence import Design, Units
from modelwright.metrics.influence import Influence

#: Metrics that this module has an interval for.
SHARES = ("accuracy", "precision", "recall", "f1", "balanced_accuracy")


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; ``low`` and ``high`` are NaN where the rows do not allow one."""

    value: float
    low: float
    high: float


def wilson(share: float, n: float, z: float) -> Estimate:
    """Score interval of a share of n rows, z standard errors wide to each side."""
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return Estimate(share, max(min(centre - half, share), 0.0), min(max(centre + half, share), 1.0))


def of_shares(
    name: str, y: np.ndarray, label: np.ndarray, found: Influence, units: Units, plan: Design, level: float
) -> Estimate:
    """Interval of a metric of `SHARES`.

    Parameters
    ----------
    name : str
    y, label : ndarray of shape (n,), class numbers
    found : Influence
        Of the metric.
    units : Units
        Of ``found``.
    plan : Design
    level : float

    Returns
    -------
    Estimate

    References
    ----------
    .. [1] Wilson, J. Am. Stat. Assoc. 22 (1927); Newcombe, Statistics in Medicine 17 (1998), square-and-add.
    """
    right, actual, predicted = label_counts(y, label, None)
    high = 0.5 + level / 2
    q = float(special.ndtri(high) if plan.independent and plan.weight is None else special.stdtrit(units.df, high))
    deff = _design_effect(found, units, plan)
    if name == "balanced_accuracy":
        return _balanced(found.value, right, actual, deff, q)
    if name == "f1":
        # TP among TP + FP + FN rows is a share; F1 = 2 share / (1 + share).
        n, share = float(actual[1] + predicted[1] - right[1]), found.value / (2 - found.value)
    else:
        n, share = float({"accuracy": len(y), "precision": predicted[1], "recall": actual[1]}[name]), found.value
    if n <= 0:
        return Estimate(found.value, 0.0, 1.0)
    bound = wilson(share, n / deff, q)
    if name == "f1":
        return Estimate(found.value, 2 * bound.low / (1 + bound.low), 2 * bound.high / (1 + bound.high))
    return Estimate(found.value, bound.low, bound.high)


def _design_effect(found: Influence, units: Units, plan: Design) -> float:
    """How many dependent or unevenly weighted rows count as one."""
    if plan.independent and plan.weight is None:
        return 1.0
    weight = plan.weight
    kish = 1.0 if weight is None else plan.n * float(weight @ weight) / float(weight.sum()) ** 2
    # The influence of a row carries its weight; without it the spread is that of as many rows of weight 1.
    even = found.psi if weight is None else found.psi / (weight * plan.n / weight.sum())
    of_rows = Design(plan.n).units(even).variance
    if of_rows <= 0 or units.variance <= 0:
        return max(plan.n / units.n, kish)  # at 0 or 1 no spread is seen, and whole entities may be alike
    return max(units.variance / of_rows, 1.0)


def _balanced(value: float, right: np.ndarray, actual: np.ndarray, deff: float, q: float) -> Estimate:
    present = actual > 0
    n = actual[present] / deff
    parts = [wilson(float(r / a), max(float(m), 1e-9), q) for r, a, m in zip(right[present], actual[present], n, strict=True)]
    below = float(np.sqrt(sum((p.value - p.low) ** 2 for p in parts))) / len(parts)
    above = float(np.sqrt(sum((p.high - p.value) ** 2 for p in parts))) / len(parts)
    return Estimate(value, max(value - below, 0.0), min(value + above, 1.0))
