"""Temperature scaling: one number that makes probabilities honest without changing their order.

With temperature t, p becomes softmax(log(p) / t): above 1 flattens probabilities that were too sure.
"""

from __future__ import annotations

import numpy as np

from modelwright.metrics.classification import log_loss

_MOST_ROWS = 200_000
#: Least relative improvement of log loss that is worth a change.
_LEAST_GAIN = 1e-3
#: Twice the gain in log likelihood that chance exceeds in 5 of 100 cases (chi squared, one degree of freedom).
_CHANCE = 3.841
_RANGE = (0.1, 10.0)


def apply_temperature(proba: np.ndarray, temperature: float) -> np.ndarray:
    """Rescaled probabilities.

    Parameters
    ----------
    proba : ndarray of shape (n, K)
    temperature : float
        Above 0; at 1 the probabilities are returned as they are.

    Returns
    -------
    ndarray of shape (n, K)
        Rows sum to 1; the order within a row is unchanged. Each row depends on itself alone.
    """
    if temperature == 1.0:
        return proba
    logits = np.log(np.clip(proba, 1e-300, None)) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    scaled = np.exp(logits)
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def fit_temperature(proba: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Temperature that minimises the log loss of out-of-fold probabilities [1]_.

    Parameters
    ----------
    proba : ndarray of shape (n, K)
    y : ndarray of shape (n,), int
    weight : ndarray of shape (n,), optional

    Returns
    -------
    float
        In [0.1, 10]; 1.0 unless log loss falls by more than 0.1 % and by more than chance would give.

    References
    ----------
    .. [1] Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
    """
    from scipy.optimize import minimize_scalar

    if len(y) > _MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).permutation(len(y))[:_MOST_ROWS])
        proba, y = proba[rows], y[rows]
        weight = None if weight is None else weight[rows]
    before = log_loss(y, proba, weight)
    if not np.isfinite(before) or before <= 0:
        return 1.0

    def loss(log_temperature: float) -> float:
        return log_loss(y, apply_temperature(proba, float(np.exp(log_temperature))), weight)

    found = minimize_scalar(loss, bounds=tuple(np.log(_RANGE)), method="bounded", options={"xatol": 1e-3})
    gain = before - float(found.fun)
    if not gain > max(_LEAST_GAIN * before, _CHANCE / (2 * len(y))):
        return 1.0
    return float(np.exp(found.x))
