"""Is the challenger better than the champion, not worse by more than a margin, or worse: one-sided tests on the same rows.

Notation: g, the gain, positive where the challenger is better; d, the margin, how much worse still counts as not worse.
Three hypotheses are tested: g <= 0 (rejected: better), g <= -d (rejected: not worse), g >= 0 (rejected: worse).

Accuracy on rows of equal weight is judged by the rows that only one of the two gets right: McNemar's exact test for 0,
Tango's score test for the margin [1]_. Every other metric is judged by the differences of the influences of the rows
(`influence.py`), with and without correction for their skewness, which is DeLong's test for the area under the ROC curve
and the paired t test for means of losses. Rows that have a time are a series and may remember (`dependence.py`); accuracy
then needs both tests, and the larger p-value holds.

References
----------
.. [1] Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample design",
   Statistics in Medicine 17 (1998).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from modelwright.metrics import studentised
from modelwright.metrics.dependence import Design, Units, design
from modelwright.metrics.influence import influence, kinds_of
from modelwright.metrics.metric import Metric
from modelwright.metrics.paired import without_spread
from modelwright.metrics.registry import as_read

_NAN = float("nan")
#: Chance with which the rows that are said to be needed show the difference.
POWER = 0.8


@dataclass(frozen=True)
class Superiority:
    """What the rows say of a challenger.

    ``gain`` is in the metric's units, turned so that positive means better; ``low`` and ``high`` hold it in 95 % of cases.
    ``deviation`` is the standard deviation that one row brings: that of the gain is deviation / sqrt(n). ``test`` says in
    words which test it was. All p-values are 1 where nothing can be tested. ``unit`` is what margins are shares of: 1, and of
    a loss three times that of the champion (`Metric.unit`).
    """

    champion: float
    challenger: float
    gain: float
    low: float
    high: float
    p_better: float
    p_not_worse: float
    p_worse: float
    n: int
    n_units: int
    deviation: float
    test: str
    unit: float = 1.0

    def rows_needed(self, effect: float, level: float) -> int:
        """Rows, as dependent as these, that show an effect with 80 % chance at a one-sided level."""
        z = float(special.ndtri(1 - level) + special.ndtri(POWER))
        if not (np.isfinite(self.deviation) and effect > 0):
            return 0
        return int(np.ceil(min((z * self.deviation / effect) ** 2, 1e12)))


def superiority(
    metric: Metric,
    y: np.ndarray,
    champion: np.ndarray,
    challenger: np.ndarray,
    *,
    margin: float,
    weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    when: np.ndarray | None = None,
    thresholds: tuple[float | None, float | None] = (None, None),
) -> Superiority:
    """Compare a challenger with the champion.

    Parameters
    ----------
    metric : Metric
    y : ndarray of shape (n,)
    champion, challenger : ndarray
        Predictions for the same rows, as models return them.
    margin : float
        In the metric's units, positive.
    weight, groups, when : ndarray of shape (n,), optional
        Row weights; entity and time of each row, where rows depend on each other.
    thresholds : tuple of two floats or None
        Of champion and challenger: probability from which class 1 is predicted, for metrics that read labels.

    Returns
    -------
    Superiority
    """
    theirs = as_read(metric, champion, thresholds[0])
    ours = as_read(metric, challenger, thresholds[1])
    plan = design(len(y), weight, groups, when)
    of_ours, of_theirs = influence(metric, y, ours, weight), influence(metric, y, theirs, weight)
    if of_ours is None or of_theirs is None:
        return _untestable(_NAN, _NAN, len(y), f"{metric.title} has no test for single rows")
    gained = of_ours - of_theirs if metric.greater_is_better else of_theirs - of_ours
    scores = (of_theirs.value, of_ours.value)
    unit = metric.unit(of_theirs.value)
    seen = plan.units(gained.psi, gained.strata, kinds_of(metric, y, ours, theirs))
    if not np.isfinite([gained.value, seen.variance]).all() or seen.n < 2:
        return _untestable(*scores, len(y), "too few rows of each kind")
    exact = metric.name == "accuracy" and weight is None and groups is None
    p = (1.0, 0.0, 1.0) if exact else None
    if exact:
        only_ours, only_theirs = int(((ours == y) & (theirs != y)).sum()), int(((ours != y) & (theirs == y)).sum())
        p = (
            mcnemar(only_ours, only_theirs),
            tango(only_ours, only_theirs, len(y), margin),
            mcnemar(only_theirs, only_ours),
        )
    if exact and plan.independent:
        by_rows, test = None, "McNemar's exact test"
    else:
        by_rows = _by_units(gained.value, scores, seen, metric, y, margin * unit)
        test = _test_named(metric, plan, exact=exact)
    found = [max(pair) for pair in zip(p or (0.0,) * 3, by_rows or (0.0,) * 3, strict=True)]
    low, high = studentised.limits(gained.value, seen, 0.95) if seen.variance > 0 else (gained.value, gained.value)
    return Superiority(
        *scores, gained.value, low, high, found[0], found[1], found[2], len(y), seen.n,
        float(np.sqrt(seen.variance * len(y))), test, unit,
    )  # fmt: skip


def mcnemar(wins: int, losses: int) -> float:
    """One-sided exact p-value of "wins are no more likely than losses".

    Parameters
    ----------
    wins, losses : int
        Rows that only the one, and only the other, gets right.

    Examples
    --------
    >>> mcnemar(5, 0)
    0.03125
    """
    return float(special.bdtrc(wins - 1, wins + losses, 0.5)) if wins else 1.0


def tango(wins: int, losses: int, n: int, margin: float) -> float:
    """One-sided p-value of "the share of wins lies at least ``margin`` below that of losses", by the score test.

    Parameters
    ----------
    wins, losses, n : int
        Of n rows.
    margin : float
        In (0, 1).
    """
    # The share of losses that is likeliest where the difference is exactly the margin: root of a quadratic.
    b = -wins - losses - (2 * n - wins + losses) * margin
    root = (np.sqrt(b * b - 8 * n * losses * margin * (margin + 1)) - b) / (4 * n)
    variance = n * (2 * root - margin * (margin + 1))
    if variance <= 0:
        return 1.0
    return float(special.ndtr(-(wins - losses + n * margin) / np.sqrt(variance)))


def _by_units(
    gain: float, scores: tuple[float, float], seen: Units, metric: Metric, y: np.ndarray, margin: float
) -> tuple[float, float, float]:
    size = max(abs(gain), abs(scores[0]), abs(scores[1]), 1e-300)
    units: Units | None = seen
    if np.sqrt(seen.variance) <= 1e-12 * size:
        units = without_spread(metric, y, gain, seen)
    if units is None:  # the two predict the same
        return 1.0, 1 / (len(y) + 1), 1.0
    # The skewness seen may only make a test harder: of symmetric gains it is chance, and the corrected test would reject
    # 5.2 % instead of 5 % (300 rows, root mean squared error), which adds up over attempts.
    plain = Units(units.u, units.df, units.n)
    better, not_worse = ([studentised.p_greater(gain, each, -d) for each in (units, plain)] for d in (0.0, margin))
    return max(better), max(not_worse), 1 - min(better)


def _test_named(metric: Metric, plan: Design, *, exact: bool) -> str:
    name = "DeLong's test" if metric.name.startswith("roc_auc") else "the paired t test on influences of rows"
    if plan.group is not None:
        name += ", summed per entity"
    if plan.moment is not None:
        name += ", read as a series in time"
    return f"McNemar's exact test and {name}" if exact else name


def _untestable(champion: float, challenger: float, n: int, why: str) -> Superiority:
    return Superiority(champion, challenger, _NAN, _NAN, _NAN, 1.0, 1.0, 1.0, n, n, _NAN, f"no test: {why}")
