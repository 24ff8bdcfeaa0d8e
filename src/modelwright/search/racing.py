"""Which candidates are worth another fold: paired differences on the same validation rows.

Ranking by scores alone would drop a candidate for noise. Two candidates are scored on the same rows, so the noise
that they share cancels: what counts is the spread of the difference of their influences (`metrics.influence`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modelwright.metrics.influence import influence
from modelwright.metrics.metric import Metric
from modelwright.metrics.registry import as_read

#: Standard errors behind the best from which a candidate is out of the race.
BEHIND = 1.5
#: Rows that a race reads; more would only slow it down.
MOST_ROWS = 10_000
#: Rank correlation of subset and complete rows from which the subset's ranks are trusted.
AGREEMENT = 0.5


def behind(
    metric: Metric, y: np.ndarray, predictions: Sequence[np.ndarray], weight: np.ndarray | None, *, seed: int = 0
) -> np.ndarray:
    """How many standard errors each prediction lies behind the best one, on the same rows.

    Parameters
    ----------
    metric : Metric
    y : ndarray of shape (n,)
    predictions : sequence of ndarray
        Of each candidate, as learners return them.
    weight : ndarray of shape (n,), optional
    seed : int, default=0
        Draws the rows that are read.

    Returns
    -------
    ndarray of shape (n_candidates,)
        0 for the best one; 0 too where the metric has no row form, so that nobody is dropped by it.
    """
    if len(y) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(seed).permutation(len(y))[:MOST_ROWS])
        y, predictions = y[rows], [p[rows] for p in predictions]
        weight = None if weight is None else weight[rows]
    seen = [influence(metric, y, as_read(metric, p), weight) for p in predictions]
    values = np.array([np.nan if each is None else metric.utility(each.value) for each in seen])
    if not np.isfinite(values).any():
        return np.zeros(len(predictions))
    best = seen[int(np.nanargmax(values))]
    assert best is not None
    distance = np.zeros(len(predictions))
    for position, each in enumerate(seen):
        if each is None or not np.isfinite(values[position]):
            continue
        error = float(np.sqrt(np.sum((each.psi - best.psi) ** 2)))
        gap = float(np.nanmax(values)) - values[position]
        distance[position] = gap / error if error > 0 else (np.inf if gap > 0 else 0.0)
    return distance


def ranks_agree(small: Sequence[float], large: Sequence[float]) -> bool:
    """Whether scores on the subset order candidates as scores on the complete rows do.

    Parameters
    ----------
    small, large : sequence of float
        Utilities of the same candidates on the subset and on the complete rows.

    Returns
    -------
    bool
        True for fewer than four candidates, where a rank correlation says nothing.
    """
    if len(small) < 4:
        return True
    a, b = (np.argsort(np.argsort(values)).astype(np.float64) for values in (small, large))
    if a.std() == 0 or b.std() == 0:
        return True
    return float(np.corrcoef(a, b)[0, 1]) >= AGREEMENT
