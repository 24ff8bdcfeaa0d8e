"""From which probability on class 1 is predicted."""

from __future__ import annotations

import numpy as np

from modelwright.metrics.metric import Metric

_MOST_ROWS = 50_000
_CANDIDATES = 199
#: Neighbouring thresholds averaged before the best is taken, so that one lucky row does not decide.
_SMOOTHING = 5
_NOTICEABLE = 0.005
#: Optimised alone these put every row, or next to none, into class 1.
_ONE_SIDED = ("precision", "recall")


def choose_threshold(proba: np.ndarray, y: np.ndarray, metric: Metric, weight: np.ndarray | None = None) -> float | None:
    """Threshold that is best for a metric of labels, on validation rows.

    Parameters
    ----------
    proba : ndarray of shape (n, 2)
    y : ndarray of shape (n,), values 0 or 1
    metric : Metric
    weight : ndarray of shape (n,), optional

    Returns
    -------
    float or None
        None if the metric does not read labels, is optimal at a degenerate threshold (precision, recall), or is not
        noticeably better than at 0.5; the more probable class is predicted then.
    """
    if metric.reads != "label" or metric.name in _ONE_SIDED or proba.ndim != 2 or proba.shape[1] != 2:
        return None
    if len(y) > _MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).permutation(len(y))[:_MOST_ROWS])
        proba, y = proba[rows], y[rows]
        weight = None if weight is None else weight[rows]
    positive = proba[:, 1]
    values = np.unique(positive)
    if len(values) < 2 or len(np.unique(y)) < 2:
        return None
    # Midway between two values that occur, so that rounding at prediction time flips no row.
    cuts = (values[1:] + values[:-1]) / 2
    if len(cuts) > _CANDIDATES:
        cuts = np.unique(np.quantile(positive, np.linspace(0, 1, _CANDIDATES + 2)[1:-1], method="midpoint"))
    utilities = np.array([metric.utility(metric.score(y, (positive >= cut).astype(np.int64), weight)) for cut in cuts])
    base = metric.utility(metric.score(y, proba.argmax(axis=1), weight))
    if len(cuts) >= 4 * _SMOOTHING:
        padded = np.pad(utilities, _SMOOTHING // 2, mode="edge")
        utilities = np.convolve(padded, np.full(_SMOOTHING, 1 / _SMOOTHING), mode="valid")
    if not np.nanmax(utilities) > base + _NOTICEABLE * abs(metric.utility(metric.best) - base):
        return None
    plateau = np.flatnonzero(utilities >= np.nanmax(utilities) - 1e-12)
    return float(cuts[plateau[len(plateau) // 2]])
