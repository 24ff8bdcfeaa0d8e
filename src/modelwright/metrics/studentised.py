"""Limits and p-values of a value with a standard error, corrected for skewness.

The plain t interval of a skewed mean covers too little, and all its errors lie on one side: with 200 rows of log loss at
3 % positives it covers 91 %. Hall's transformation uses the skewness of the contributions to make the t statistic
symmetric [1]_.

References
----------
.. [1] Hall, "On the removal of skewness by transformation", J. R. Stat. Soc. B 54 (1992).
"""

from __future__ import annotations

import numpy as np
from scipy import special

from modelwright.metrics.dependence import Units

#: Fewer degrees of freedom do not tell the skewness.
_FEWEST = 50
_MOST_SKEW = 0.6


def limits(value: float, units: Units, level: float) -> tuple[float, float]:
    """Confidence limits of a value.

    Parameters
    ----------
    value : float
    units : Units
        Contributions of independent units.
    level : float
        Such as 0.95.
    """
    se = float(np.sqrt(units.variance))
    q = float(special.stdtrit(units.df, 0.5 + level / 2))
    a = _skew(units)
    return value - se * _back(q, a), value - se * _back(-q, a)


def positive_limits(value: float, units: Units, level: float) -> tuple[float, float]:
    """Confidence limits of a mean of losses that are never negative.

    Such means lean to the right, so that a few units tell little of the largest losses: the limits are the wider of the t
    on the logarithm and of the correction by the skewness seen, here also of few units. Simulated with 20 units of
    log-normal losses (sd 0.7): the plain t covers 91 %, the logarithm 92.9 %, both together 94.5 %.
    """
    se = float(np.sqrt(units.variance))
    q = float(special.stdtrit(units.df, 0.5 + level / 2))
    a = float(np.clip(units.skew, -_MOST_SKEW, _MOST_SKEW))
    low, high = value - se * _back(q, a), value - se * _back(-q, a)
    if value <= 0 or se == 0:
        return max(low, 0.0), max(high, 0.0)
    factor = float(np.exp(min(q * se / value, 700.0)))
    # A limit below zero says nothing of a mean of losses; the logarithm does.
    return min(low, value / factor) if low > 0 else value / factor, max(high, value * factor)


def p_value(value: float, units: Units, against: float = 0.0) -> float:
    """Two-sided p-value of "the true value is ``against``"; the same decision as `limits` gives."""
    return float(min(2 * special.stdtr(units.df, -abs(_forth(value, units, against))), 1.0))


def p_greater(value: float, units: Units, against: float = 0.0) -> float:
    """One-sided p-value of "the true value is not greater than ``against``"."""
    return float(special.stdtr(units.df, -_forth(value, units, against)))


def _forth(value: float, units: Units, against: float) -> float:
    t = (value - against) / float(np.sqrt(units.variance))
    a = _skew(units)
    return t + a * t * t / 3 + a * a * t**3 / 27 + a / 6


def _back(q: float, a: float) -> float:
    return q if abs(a) < 1e-9 else float(3 / a * (np.cbrt(1 + a * (q - a / 6)) - 1))


def _skew(units: Units) -> float:
    """Held where the cube root is well away from its pole."""
    return float(np.clip(units.skew, -_MOST_SKEW, _MOST_SKEW)) if _tells_skew(units) else 0.0


def _tells_skew(units: Units) -> bool:
    return units.one_by_one and min(units.n, units.df) >= _FEWEST
