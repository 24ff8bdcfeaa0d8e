"""The score of a window before its labels come.

Classes, CBPE [1]_: a calibrated probability is the chance of being right, so any metric can be expected from the answers
alone: each row counts once for every class, with its probability as the weight. The probabilities are calibrated anew on
held-out rows: the members together are often less sure than they could be. Weighted CBPE [2]_ weighs these rows by how much
likelier they are in the window. Numbers, direct loss estimation: a second model learns
from held-out rows how large the error is where; what it misses on them, weighed likewise, corrects its mean.

All of them assume that the relation of columns to target is what it was; they are blind to its change. The band is that of
the score of these very rows: it has the chance of their labels, and what the held-out rows leave open, three deviations wide.

Notation: m held-out rows with weight w, mean 1; n rows of the window; l the logarithms of K probabilities; theta = (a, b) the
map softmax(a l + b), b of the first class 0.

References
----------
.. [1] NannyML, confidence-based performance estimation; Guo et al., ICML 2017, for the map.
.. [2] Białek et al., "Estimating Model Performance Under Covariate Shift Without Labels", 2024, arXiv:2401.08348.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modelwright.metrics.intervals import bounds
from modelwright.metrics.metric import Metric
from modelwright.metrics.registry import as_read, score

ASSUMPTION = "assumes that the relation of columns to target is as it was in training"
#: Half the width of the band, in deviations.
_WIDE = 3.0
_DRAWS = 40
#: Weight, in rows, that draws the map towards the identity.
_PRIOR = 5.0
#: Classes from which on the map has no shift of its own for each.
_MANY = 12
_FLOOR = 1e-12
_SETTINGS: dict[str, Any] = {
    "objective": "regression", "learning_rate": 0.1, "num_leaves": 8, "min_data_in_leaf": 30, "lambda_l2": 5.0,
    "num_threads": 1, "deterministic": True, "force_row_wise": True, "seed": 7, "verbosity": -1, "max_bin": 63,
    "min_data_in_bin": 1, "enable_bundle": False,
}  # fmt: skip
_ROUNDS = 30

Band = tuple[float, float, float]


def of_classes(
    metric: Metric,
    answers: np.ndarray,
    held_answers: np.ndarray,
    held_y: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    threshold: float | None = None,
    seed: int = 0,
) -> tuple[Band, np.ndarray]:
    """Expected score of probabilities.

    Parameters
    ----------
    metric : Metric
        One that reads probabilities or labels.
    answers : ndarray of shape (n, K)
    held_answers : ndarray of shape (m, K)
    held_y : ndarray of shape (m,), int
    weight : ndarray of shape (m,), optional
        Weighted CBPE; without it all held-out rows count alike.
    threshold : float, optional
    seed : int, default=0
        Of the draws behind the band.

    Returns
    -------
    tuple of three floats
        Value, lower and upper end of the band.
    ndarray of shape (n, K)
        The probabilities that were expected from.
    """
    w = np.ones(len(held_y)) if weight is None else weight
    theta = _fitted(held_answers, held_y, w)
    spread = _spread(held_answers, held_y, w, theta)
    logs = _logs(answers)
    chances = _mapped(logs, theta)
    value = expected(metric, answers, chances, threshold)
    rng = np.random.default_rng([seed, 83])
    thetas = theta + rng.standard_normal((_DRAWS, len(theta))) @ spread.T
    thetas[:, 0] = np.maximum(thetas[:, 0], 0.05)
    drawn = []
    read = as_read(metric, answers, threshold)
    for one in thetas:
        y = _drawn(rng, _mapped(logs, one))
        found = metric.score(y, read, None)
        if np.isfinite(found):
            drawn.append(found)
    half = _WIDE * float(np.std(drawn)) if len(drawn) > 1 else float("nan")
    lowest, highest = bounds(metric)
    return (value, max(value - half, lowest), min(value + half, highest)), chances


def expected(metric: Metric, answers: np.ndarray, chances: np.ndarray, threshold: float | None = None) -> float:
    """A metric where row i is of class k with ``chances[i, k]``.

    Examples
    --------
    >>> from modelwright.metrics.registry import METRICS
    >>> sure = np.array([[0.1, 0.9], [0.6, 0.4]])
    >>> round(expected(METRICS["accuracy"], sure, sure), 3)
    0.75
    """
    n, k = chances.shape
    y = np.tile(np.arange(k), n)
    return float(score(metric, y, np.repeat(answers, k, axis=0), np.maximum(chances.ravel(), 0.0), threshold))


def of_numbers(
    metric: Metric,
    answers: np.ndarray,
    codes: np.ndarray,
    held_answers: np.ndarray,
    held_y: np.ndarray,
    held_codes: np.ndarray,
    *,
    weight: np.ndarray | None = None,
) -> tuple[Band, np.ndarray]:
    """Expected score of numbers; only of metrics that are a mean of losses, or its root.

    Parameters
    ----------
    metric : Metric
        With ``row_loss``.
    answers, held_answers : ndarray of shape (n,), (m,)
    codes, held_codes : ndarray of shape (n, n_columns), (m, n_columns)
    held_y : ndarray of shape (m,)
    weight : ndarray of shape (m,), optional

    Returns
    -------
    tuple of three floats
        Value, lower and upper end of the band.
    ndarray of shape (n,)
        Expected absolute error of each row.
    """
    import lightgbm

    assert metric.row_loss is not None
    w = np.ones(len(held_y)) if weight is None else weight
    loss = metric.row_loss(held_y, held_answers)
    # Learned on the scale on which losses are even; a few large ones would rule everything else.
    size = np.sqrt(np.abs(held_y - held_answers))
    X, window = np.column_stack([held_codes, held_answers]), np.column_stack([codes, answers])
    half = np.arange(len(X)) % 2
    of_held, of_window = np.zeros(len(X)), np.zeros(len(window))
    for k in (0, 1):
        inside = half != k
        booster = lightgbm.train(
            _SETTINGS, lightgbm.Dataset(X[inside], size[inside], params=_SETTINGS), num_boost_round=_ROUNDS
        )
        of_held[~inside] = np.maximum(booster.predict(X[~inside]), 0.0)
        of_window += np.maximum(booster.predict(window), 0.0) / 2
    # From the learned size to the loss by one factor, fitted on the weighed held-out rows.
    power = 4.0 if metric.name in ("rmse", "rmsle") else 2.0
    shape, shape_window = of_held**power + 1e-12, of_window**power + 1e-12
    factor = float(w @ loss / (w @ shape))
    guess, guess_window = factor * shape, factor * shape_window
    rest = w * (loss - guess)
    mean = float(guess_window.mean())
    # Spread of a single loss around its guess grows with the guess.
    relative = float(np.sqrt(w @ ((loss - guess) / np.maximum(guess, 1e-12)) ** 2 / w.sum()))
    of_labels = min(relative, 5.0) ** 2 * float((guess_window**2).mean()) / len(answers)
    of_held_out = float(rest.var()) / len(rest) * (mean / max(float((w * guess).mean()), 1e-12)) ** 2
    half_width = _WIDE * float(np.sqrt(of_labels + of_held_out))
    low, high = mean * np.exp(-half_width / max(mean, 1e-12)), mean * np.exp(half_width / max(mean, 1e-12))
    absolute = np.square(of_window) * float(w @ np.abs(held_y - held_answers) / (w @ (of_held**2 + 1e-12)))
    if metric.name in ("rmse", "rmsle"):
        return (float(np.sqrt(mean)), float(np.sqrt(low)), float(np.sqrt(high))), absolute
    return (mean, float(low), float(high)), absolute


def _identity(k: int) -> np.ndarray:
    return np.concatenate([[1.0], np.zeros(k - 1 if k < _MANY else 0)])


def _logs(proba: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(proba, _FLOOR))


def _mapped(logs: np.ndarray, theta: np.ndarray) -> np.ndarray:
    z = theta[0] * logs
    if len(theta) > 1:
        z[:, 1:] += theta[1:]
    z -= z.max(axis=1, keepdims=True)
    np.exp(z, out=z)
    return z / z.sum(axis=1, keepdims=True)


def _slopes(logs: np.ndarray, chances: np.ndarray, y: np.ndarray, n_theta: int) -> np.ndarray:
    """Gradient of each row's log loss in theta, of shape (m, n_theta)."""
    rows = np.arange(len(y))
    of_a = (chances * logs).sum(axis=1) - logs[rows, y]
    if n_theta == 1:
        return of_a[:, None]
    of_b = chances.copy()
    of_b[rows, y] -= 1.0
    return np.column_stack([of_a, of_b[:, 1:]])


def _curvature(logs: np.ndarray, chances: np.ndarray, w: np.ndarray, n_theta: int) -> np.ndarray:
    """Second derivative of the weighed log loss with its prior, of shape (n_theta, n_theta)."""
    mean = (chances * logs).sum(axis=1)
    found = np.zeros((n_theta, n_theta))
    found[0, 0] = float(w @ ((chances * logs**2).sum(axis=1) - mean**2))
    if n_theta > 1:
        q = chances[:, 1:]
        found[0, 1:] = found[1:, 0] = w @ (q * (logs[:, 1:] - mean[:, None]))
        found[1:, 1:] = np.diag(w @ q) - (q * w[:, None]).T @ q
    return found + _PRIOR * np.eye(n_theta)


def _fitted(held_answers: np.ndarray, held_y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The map with the least weighed log loss, by Newton's steps that are halved where they overshoot."""
    theta = start = _identity(held_answers.shape[1])
    logs, y = np.maximum(_logs(held_answers), -30.0), held_y.astype(np.int64)
    rows = np.arange(len(y))

    def loss(at: np.ndarray) -> float:
        chances = _mapped(logs, at)
        return float(-(w @ np.log(np.maximum(chances[rows, y], _FLOOR))) + _PRIOR / 2 * ((at - start) ** 2).sum())

    value = loss(theta)
    for _ in range(20):
        chances = _mapped(logs, theta)
        slope = w @ _slopes(logs, chances, y, len(theta)) + _PRIOR * (theta - start)
        step = np.linalg.solve(_curvature(logs, chances, w, len(theta)), slope)
        tried = loss(theta - step)
        while not tried <= value and float(np.abs(step).max()) > 1e-9:
            step /= 2
            tried = loss(theta - step)
        if not value - tried > 1e-8 * abs(value):
            break
        theta, value = theta - step, tried
    return theta


def _spread(held_answers: np.ndarray, held_y: np.ndarray, w: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Square root of the covariance of theta (White's sandwich), of shape (n_theta, n_theta)."""
    logs, y = np.maximum(_logs(held_answers), -30.0), held_y.astype(np.int64)
    chances = _mapped(logs, theta)
    slopes = w[:, None] * _slopes(logs, chances, y, len(theta))
    bread = np.linalg.inv(_curvature(logs, chances, w, len(theta)))
    values, vectors = np.linalg.eigh(bread @ (slopes.T @ slopes) @ bread)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _drawn(rng: np.random.Generator, chances: np.ndarray) -> np.ndarray:
    """A class for each row, by its chances."""
    ends = chances.cumsum(axis=1)
    return np.asarray((rng.random(len(chances))[:, None] > ends[:, :-1]).sum(axis=1))
