"""Which candidates to blend, and with what weights."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from modelwright.metrics.metric import Metric
from modelwright.metrics.registry import score

#: More rows would only slow the choice down: ranking ten candidates of so many rows takes three seconds.
_MOST_ROWS = 100_000
#: Members with less weight cost prediction time for nothing.
_LEAST_WEIGHT = 0.05
#: Share of the best candidate's distance from perfect that an ensemble must close to be worth its size.
_NOTICEABLE = 0.0005
#: Steps without improvement after which the search ends.
_PATIENCE = 6


def select(
    predictions: Sequence[np.ndarray],
    y: np.ndarray,
    metric: Metric,
    weight: np.ndarray | None,
    *,
    max_members: int = 4,
    steps: int = 25,
    allowed: Callable[[Collection[int]], bool] | None = None,
) -> list[float]:
    """Weights of an ensemble by greedy selection with replacement [1]_.

    Starting from the best candidate, each step adds the candidate (again) that improves the blend most; the blend of the
    best step is kept, small weights are dropped. The single best candidate is returned unless the ensemble
    is noticeably better.

    Parameters
    ----------
    predictions : sequence of ndarray
        Out-of-fold predictions of each candidate for the same rows: probabilities of shape (n, K), or numbers of
        shape (n,).
    y : ndarray of shape (n,)
    metric : Metric
    weight : ndarray of shape (n,), optional
    max_members : int, default=4
    steps : int, default=25
    allowed : callable, optional
        Whether the candidates at these positions may be members together; by default all may. One that is not even
        allowed alone is never chosen, unless none is.

    Returns
    -------
    list of float
        One weight per candidate, summing to 1; 0 for those left out.

    References
    ----------
    .. [1] Caruana et al., "Ensemble Selection from Libraries of Models", ICML 2004.
    """
    if len(y) > _MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).permutation(len(y))[:_MOST_ROWS])
        predictions, y = [p[rows] for p in predictions], y[rows]
        weight = None if weight is None else weight[rows]

    def utility(prediction: np.ndarray) -> float:
        value = metric.utility(score(metric, y, prediction, weight))
        return value if np.isfinite(value) else -np.inf

    alone = [utility(p) for p in predictions]
    if allowed is not None and any(allowed({i}) for i in range(len(alone))):
        alone = [value if allowed({i}) else -np.inf for i, value in enumerate(alone)]
    best_alone = int(np.argmax(alone))
    single = [float(i == best_alone) for i in range(len(predictions))]
    if len(predictions) == 1 or max_members == 1 or not np.isfinite(alone[best_alone]):
        return single
    counts = _grow(predictions, alone, utility, max_members, steps, allowed or (lambda members: True))
    shares = counts / counts.sum()
    shares[shares < _LEAST_WEIGHT] = 0.0
    shares /= shares.sum()
    gain = utility(_blend(predictions, shares)) - alone[best_alone]
    room = abs(metric.utility(metric.best) - alone[best_alone])
    return [float(share) for share in shares] if gain > _NOTICEABLE * room else single


def _grow(
    predictions: Sequence[np.ndarray],
    alone: Sequence[float],
    utility: Callable[[np.ndarray], float],
    max_members: int,
    steps: int,
    allowed: Callable[[Collection[int]], bool],
) -> np.ndarray:
    """How often each candidate was added up to the best step."""
    counts = np.zeros(len(predictions))
    start = int(np.argmax(alone))
    counts[start] = 1
    total = np.array(predictions[start], dtype=np.float64)
    best, best_counts, since = alone[start], counts.copy(), 0
    for step in range(2, steps + 1):
        chosen = counts > 0
        full = int(chosen.sum()) >= max_members
        # Members go first: at equal utility a candidate already chosen wins, which keeps the ensemble small.
        members = set(np.flatnonzero(chosen).tolist())
        tried = [
            i for i in np.argsort(~chosen, kind="stable").tolist()
            if np.isfinite(alone[i]) and (chosen[i] or (not full and allowed(members | {i})))
        ]  # fmt: skip
        values = [utility((total + predictions[i]) / step) for i in tried]
        added = int(tried[int(np.argmax(values))])
        counts[added] += 1
        total += predictions[added]
        if max(values) > best + 1e-12:
            best, best_counts, since = max(values), counts.copy(), 0
        else:
            since += 1
        if since >= _PATIENCE:
            break
    return best_counts


def _blend(predictions: Sequence[np.ndarray], shares: np.ndarray) -> np.ndarray:
    used = np.flatnonzero(shares)
    blend = np.zeros_like(predictions[int(used[0])], dtype=np.float64)
    for i in used:
        blend += shares[i] * predictions[int(i)]
    return blend
