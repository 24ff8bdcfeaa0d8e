"""The temperature of a classifier: what its outputs are divided by, so that validation rows are least surprising.

Notation: n rows, k classes, z outputs (logarithms of probabilities up to a constant a row), T the temperature, s = 1 / T.

Networks and boosting grow sure of themselves before they have learned all that they will: the log loss rises while what they
tell apart still improves. Compared at the temperature that suits each best, epochs and rounds are told apart by what they
know, and how sure the learner may be is settled by one number [1]_ [2]_. It is at least 1: an early epoch or round that is made
surer looks best where validation rows are few or unlike later rows, and is not. `ensembles.calibration` does the same to a
blend, once, in either direction and without a prior; here it is done while a learner trains.

References
----------
.. [1] Berta, Holzmueller, Jordan, Bach, "Rethinking Early Stopping: Refine, Then Calibrate", 2025.
.. [2] Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
"""

from __future__ import annotations

import math

import numpy as np

#: Least and largest temperature that a model may have, and the least that a learner finds.
LOW, HIGH = 0.1, 10.0
LEAST_LEARNED = 1.0
#: Rows from which the temperature is learned.
_MOST_ROWS = 10_000
#: Before any row was seen log T is taken to be normal with this standard deviation: one wrong row of few would make the
#: learner unsure of everything.
_SPREAD = 0.5
_STEPS, _LONGEST_STEP, _SHORTEST_STEP = 8, 0.7, 1e-3


def best_temperature(
    output: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None, *, start: float = 1.0
) -> tuple[float, float]:
    """Temperature with the least log loss, and that loss.

    Parameters
    ----------
    output : ndarray of shape (n, k)
        Finite.
    target : ndarray of shape (n,), int
        Class numbers 0..k-1.
    weight : ndarray of shape (n,), optional
    start : float, default=1.0
        Where the search begins, such as the temperature of the epoch or round before.

    Returns
    -------
    temperature : float
        From 1 to 10; nearer to 1 than the least loss where rows are few.
    loss : float
        Mean log loss of all rows at that temperature.
    """
    z = output.astype(np.float64)
    z -= z.max(axis=1, keepdims=True)
    right = z[np.arange(len(z)), target]
    shares = np.full(len(z), 1.0 / len(z)) if weight is None else weight / weight.sum()
    some = slice(None, None, -(-len(z) // _MOST_ROWS))
    u = _log_sharpness(z[some], right[some], shares[some], -math.log(start))
    temperature = min(max(math.exp(-u), LEAST_LEARNED), HIGH)
    z, right = z / temperature, right / temperature
    return temperature, float(shares @ (np.log(np.exp(z).sum(axis=1)) - right))


def _log_sharpness(z: np.ndarray, right: np.ndarray, shares: np.ndarray, u: float) -> float:
    """Minimise loss + prior over u = log s by Newton's method; the loss is convex in s."""
    shares = shares / shares.sum()
    prior = 1.0 / (len(z) * _SPREAD**2)
    for _ in range(_STEPS):
        s = math.exp(u)
        p = np.exp(s * z)
        p /= p.sum(axis=1, keepdims=True)
        mean = (p * z).sum(axis=1)
        slope = s * float(shares @ (mean - right)) + prior * u
        # Without the term of the slope, so that it stays positive.
        bend = s * s * float(shares @ ((p * z * z).sum(axis=1) - mean**2)) + prior
        step = min(max(slope / bend, -_LONGEST_STEP), _LONGEST_STEP)
        u = min(max(u - step, -math.log(HIGH)), -math.log(LEAST_LEARNED))
        if abs(step) < _SHORTEST_STEP:
            break
    return u
