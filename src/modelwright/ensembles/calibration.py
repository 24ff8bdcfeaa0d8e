"""Calibrated probabilities: which map from what the members say to what happens, chosen by inner cross-validation.

Notation: p probabilities of shape (n, K), l = log p, z the log-odds of class 1.

===========  =======================================================  =======================
Method       Map                                                      Offered
===========  =======================================================  =======================
none         p
temperature  softmax(l / t)                                           always
platt        K = 2: z -> a z + b; else softmax(a l_k + b_k)           from 200 rows
isotonic     K = 2: z -> g(z), g a rising line through pooled bins    from 1,000 rows
===========  =======================================================  =======================

Every map is written as plain numbers and treats each row by itself. For two classes every map rises strictly, so the
ranking of rows, and with it the ROC curve, stays.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Literal

import msgspec
import numpy as np

from modelwright.learners.temperature import HIGH, LOW
from modelwright.metrics.classification import row_log_loss
from modelwright.metrics.dependence import clusters_of

Method = Literal["none", "temperature", "platt", "isotonic"]

_MOST_ROWS = 30_000
#: Probabilities read at most: with many classes fewer rows.
_MOST_CELLS = 200_000
_FOLDS = 5
#: Least relative improvement of log loss that is worth a change.
_LEAST_GAIN = 1e-3
#: A map must gain this many standard errors of the gain over a simpler one; with 1, chance was taken for gain on small tables.
_ERRORS = 1.64
#: Rows on the less probable side; with fewer, the loss rests on one or two of them (leaf species: 10 of 1,522, +2.8 %).
_LEAST_WRONG = 20
_LEAST_PLATT = 200
_LEAST_ISOTONIC = 1000
#: Bins hold at least this many rows and this many of the rarer class, so that the map is smooth.
_ROWS_A_BIN = 50
_RARER_A_BIN = 5.0
_MOST_BINS = 50
_RANGE = (LOW, HIGH)
_FLOOR = 1e-300


class Calibration(msgspec.Struct, frozen=True):
    """A map of probabilities as plain numbers.

    ``slopes`` and ``intercepts`` are a and b of the module's table (one of each for two classes; one slope and K
    intercepts for more); ``x`` and ``y`` are the knots of g in log-odds, both rising strictly. ``loss_before`` and
    ``loss_after`` are cross-validated log losses of validation rows.
    """

    method: Method = "none"
    temperature: float = 1.0
    slopes: list[float] = []
    intercepts: list[float] = []
    x: list[float] = []
    y: list[float] = []
    loss_before: float | None = None
    loss_after: float | None = None


NONE = Calibration()


def calibrate(proba: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Map probabilities.

    Parameters
    ----------
    proba : ndarray of shape (n, K)
    calibration : Calibration

    Returns
    -------
    ndarray of shape (n, K)
        Rows sum to 1. Each row depends on itself alone, to the bit.
    """
    if calibration.method == "none":
        return proba
    if calibration.method == "temperature":
        return apply_temperature(proba, calibration.temperature)
    if calibration.method == "platt" and len(calibration.intercepts) > 1:
        return _softmax(_log(proba) * calibration.slopes[0] + np.array(calibration.intercepts))
    z = log_odds(proba)
    if calibration.method == "platt":
        return _two_classes(z * calibration.slopes[0] + calibration.intercepts[0])
    return _two_classes(_through(z, np.array(calibration.x), np.array(calibration.y)))


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
    return proba if temperature == 1.0 else _softmax(_log(proba) / temperature)


def log_odds(proba: np.ndarray) -> np.ndarray:
    """Log-odds of class 1, finite, of shape (n,)."""
    logs = _log(proba)
    return np.asarray(logs[:, 1] - logs[:, 0])


def choose_calibration(
    proba: np.ndarray,
    y: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    when: np.ndarray | None = None,
    seed: int = 0,
) -> Calibration:
    """The map with the least cross-validated log loss on out-of-fold probabilities.

    A map replaces a simpler one only if it lowers the loss by more than 0.1 % and by more than 1.64 standard errors
    of the gain, so that chance moves nothing.

    Parameters
    ----------
    proba : ndarray of shape (n, K)
        Out-of-fold predictions: of each row by models that have not seen it.
    y : ndarray of shape (n,), int
    weight : ndarray of shape (n,), optional
    groups : ndarray of shape (n,), int, optional
        Entity of each row; its rows stay together in the inner folds and count as one.
    when : ndarray of shape (n,), optional
        Moment of each row. A map is then judged on rows later than those that it was fitted on, and neighbouring
        moments count as one: what held last month need not hold now.
    seed : int, default=0

    References
    ----------
    .. [1] Platt, "Probabilistic outputs for support vector machines", 1999, with the priors of its targets.
    .. [2] Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
    .. [3] Oron, Flournoy, "Centered Isotonic Regression", Statistics in Biopharmaceutical Research 9 (2017).
    """
    rng = np.random.default_rng([seed, 31])
    most = max(min(_MOST_ROWS, _MOST_CELLS // proba.shape[1]), 2000)
    if len(y) > most:
        rows = np.sort(rng.permutation(len(y))[:most])
        proba, y = proba[rows], y[rows]
        weight, groups, when = (None if a is None else a[rows] for a in (weight, groups, when))
    w = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
    fits = _offered(proba, y)
    few = int((proba.argmax(axis=1) != y).sum()) < _LEAST_WRONG
    if not fits or few or len(np.unique(y)) < 2 or not np.isfinite(proba).all():
        return NONE
    unit = clusters_of(len(y), groups, when)
    unit = np.arange(len(y)) if unit is None else unit
    n_units = int(unit.max()) + 1
    if n_units < 2 * _FOLDS:
        return NONE
    parts = _judged(unit, when, rng)
    judged = np.sort(np.concatenate([after for _, after in parts]))
    losses = {"none": row_log_loss(y, proba)}
    for name, fit in fits.items():
        loss = np.zeros(len(y))
        for inside, outside in parts:
            loss[outside] = row_log_loss(y[outside], calibrate(proba[outside], fit(proba[inside], y[inside], w[inside])))
        losses[name] = loss[judged]
    losses["none"] = losses["none"][judged]
    unit, of_judged = np.unique(unit[judged], return_inverse=True)[1], w[judged]
    n_units, total = int(unit.max()) + 1, float(of_judged.sum())
    best = "none"
    before = float(of_judged @ losses["none"] / total)
    for name in fits:
        gain = of_judged * (losses[best] - losses[name]) / total
        error = float(np.sqrt(n_units * np.bincount(unit, weights=gain).var()))
        if gain.sum() > max(_LEAST_GAIN * before, _ERRORS * error):
            best = name
    chosen = NONE if best == "none" else fits[best](proba, y, w)
    return msgspec.structs.replace(chosen, loss_before=before, loss_after=float(of_judged @ losses[best] / total))


def _judged(unit: np.ndarray, when: np.ndarray | None, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to fit a map on and rows to judge it on: random units, or what comes after."""
    n_units = int(unit.max()) + 1
    if when is None:
        fold = (rng.permutation(n_units) % _FOLDS)[unit]
        return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(_FOLDS)]
    order = np.argsort(np.nan_to_num(np.asarray(when, dtype=np.float64), nan=-np.inf), kind="stable")
    cuts = [len(order) * k // _FOLDS for k in range(1, _FOLDS + 1)]
    return [(np.sort(order[:low]), np.sort(order[low:high])) for low, high in itertools.pairwise(cuts)]


Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], Calibration]


def _offered(proba: np.ndarray, y: np.ndarray) -> dict[str, Fit]:
    """Maps that so many rows can carry, the simplest first."""
    fits: dict[str, Fit] = {"temperature": _fit_temperature}
    n, n_classes = proba.shape
    if n_classes == 2:
        if n >= _LEAST_PLATT:
            fits["platt"] = _fit_platt
        if n >= _LEAST_ISOTONIC:
            fits["isotonic"] = _fit_isotonic
    elif n >= max(_LEAST_PLATT, 20 * n_classes):
        fits["platt"] = _fit_vector
    return fits


def fit_temperature(proba: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Temperature in [0.1, 10] with the least log loss [2]_ (of `choose_calibration`)."""
    from scipy.optimize import minimize_scalar

    logs, w = _log(proba), np.ones(len(y)) if weight is None else weight
    chosen = logs[np.arange(len(y)), y]

    def loss(log_temperature: float) -> float:
        cold = float(np.exp(-log_temperature))
        scaled = logs * cold
        top = scaled.max(axis=1)
        return float(w @ (top + np.log(np.exp(scaled - top[:, None]).sum(axis=1)) - chosen * cold) / w.sum())

    found = minimize_scalar(loss, bounds=tuple(np.log(_RANGE)), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(found.x))


def _fit_temperature(proba: np.ndarray, y: np.ndarray, w: np.ndarray) -> Calibration:
    return Calibration("temperature", temperature=fit_temperature(proba, y, w))


def _fit_platt(proba: np.ndarray, y: np.ndarray, w: np.ndarray) -> Calibration:
    slope, intercept = logistic_line(log_odds(proba), _platt_targets(y, w), w)
    if not slope > 0:  # a ranking that fails must not be turned round
        return Calibration("temperature", temperature=_RANGE[1])
    return Calibration("platt", slopes=[slope], intercepts=[intercept])


def _platt_targets(y: np.ndarray, w: np.ndarray) -> np.ndarray:
    positive, negative = float(w[y == 1].sum()), float(w[y == 0].sum())
    return np.where(y == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))


def logistic_line(z: np.ndarray, target: np.ndarray, w: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the logistic regression of ``target`` in [0, 1] on ``z``, by damped Newton steps."""

    def loss(theta: np.ndarray) -> float:
        eta = theta[0] * z + theta[1]
        return float(w @ (np.logaddexp(0.0, eta) - target * eta))

    mean = float(np.clip(w @ target / w.sum(), 1e-9, 1 - 1e-9))
    theta = np.array([0.0, np.log(mean / (1 - mean))])
    value = loss(theta)
    for _ in range(50):
        p = _sigmoid(theta[0] * z + theta[1])
        residual, curvature = w * (target - p), w * p * (1 - p)
        a, b, c = float(curvature @ (z * z)), float(curvature @ z), float(curvature.sum())
        u, v = float(residual @ z), float(residual.sum())
        determinant = a * c - b * b + 1e-12 * a * c + 1e-300
        step = np.array([(c * u - b * v) / determinant, (a * v - b * u) / determinant])
        tried = loss(theta + step)
        while not tried <= value and float(np.abs(step).max()) > 1e-12:
            step /= 2
            tried = loss(theta + step)
        if not value - tried > 1e-10 * abs(value):
            break
        theta, value = theta + step, tried
    return float(theta[0]), float(theta[1])


def _fit_vector(proba: np.ndarray, y: np.ndarray, w: np.ndarray) -> Calibration:
    """One slope and an intercept for each class, drawn towards 0 by the weight of five rows."""
    from scipy.optimize import minimize

    logs = np.maximum(_log(proba), -30.0)
    n_classes = proba.shape[1]
    rows, total = np.arange(len(y)), float(w.sum())
    share = np.bincount(y, weights=w, minlength=n_classes) / total
    of_y = float(w @ logs[rows, y]) / total

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        a, b = theta[0], theta[1:]
        z = logs * a + b
        top = z.max(axis=1)
        z -= top[:, None]
        e = np.exp(z)
        s = e.sum(axis=1)
        value = float(w @ (top + np.log(s))) / total - a * of_y - float(share @ b) + 2.5 * float(b @ b) / total
        q = e * (w / (s * total))[:, None]
        return value, np.concatenate([[float((q * logs).sum()) - of_y], q.sum(axis=0) - share + 5 * b / total])

    start = np.concatenate([[1.0], np.zeros(n_classes)])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[_RANGE] + [(-5, 5)] * n_classes, options={"maxiter": 30})
    return Calibration("platt", slopes=[float(found.x[0])], intercepts=[float(b) for b in found.x[1:]])


def _fit_isotonic(proba: np.ndarray, y: np.ndarray, w: np.ndarray) -> Calibration:
    """Isotonic regression on bins of equal mass; its levels, at the centres of their bins, are joined by lines.

    Ties, which isotonic regression makes by itself, would spoil the ranking; lines between centres [3]_ (of
    `choose_calibration`) do not. Beyond the outer centres the map goes on with the slope of Platt's line.
    """
    from scipy.optimize import isotonic_regression

    z = log_odds(proba)
    order = np.argsort(z, kind="stable")
    z, hit, w = z[order], (y[order] == 1).astype(np.float64), w[order]
    rarer = min(hit.sum(), len(hit) - hit.sum())
    n_bins = int(np.clip(min(len(z) / _ROWS_A_BIN, rarer / _RARER_A_BIN), 2, _MOST_BINS))
    line, shift = logistic_line(z, _platt_targets(y[order], w), w)
    # Bins hold equal parts of the information p (1 - p), so that rare events get bins of their own.
    p = _sigmoid(line * z + shift)
    information = np.cumsum(w * (p * (1 - p) + 1e-6))
    edges = np.searchsorted(information, information[-1] * np.arange(1, n_bins) / n_bins)
    number = np.zeros(len(z), dtype=np.int64)
    np.add.at(number, edges[edges < len(z)], 1)
    number = np.unique(np.cumsum(number), return_inverse=True)[1]
    mass = np.bincount(number, weights=w)
    used = mass > 0
    mean = (np.bincount(number, weights=w * hit)[used] + np.bincount(number, weights=w * p)[used] / mass[used]) / (
        mass[used] + 1
    )
    centre = np.bincount(number, weights=w * z)[used] / mass[used]
    fitted = isotonic_regression(mean, weights=mass[used])
    block = np.repeat(np.arange(len(fitted.blocks) - 1), np.diff(fitted.blocks))
    weight = np.bincount(block, weights=mass[used])
    x = np.bincount(block, weights=mass[used] * centre) / weight
    level = np.clip(np.bincount(block, weights=mass[used] * mean) / weight, 1e-9, 1 - 1e-9)
    g = np.log(level / (1 - level))
    rising = np.concatenate([[True], (np.diff(x) > 1e-9) & (np.diff(g) > 1e-9)])
    x, g = x[rising], g[rising]
    if not line > 0 or len(x) < 2 or (np.diff(x) <= 0).any() or (np.diff(g) <= 0).any():
        return _fit_platt(proba[order], y[order], w)
    # A knot beyond each end carries Platt's slope.
    x = np.concatenate([[x[0] - 1], x, [x[-1] + 1]])
    g = np.concatenate([[g[0] - line], g, [g[-1] + line]])
    return Calibration("isotonic", x=x.tolist(), y=g.tolist())


def _through(z: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The line through knots, prolonged at both ends."""
    slope = np.diff(y) / np.diff(x)
    i = np.clip(np.searchsorted(x, z, side="right") - 1, 0, len(slope) - 1)
    return np.asarray(y[i] + slope[i] * (z - x[i]))


def _log(proba: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(np.ascontiguousarray(proba, dtype=np.float64), _FLOOR))


def _sigmoid(z: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1.0, small) / (1.0 + small))


def _two_classes(z: np.ndarray) -> np.ndarray:
    return np.column_stack([_sigmoid(-z), _sigmoid(z)])


def _softmax(logits: np.ndarray) -> np.ndarray:
    # Row by row in memory: numpy would sum a table that lies column by column in another order than a single row.
    scaled = np.ascontiguousarray(np.exp(logits - logits.max(axis=1, keepdims=True)))
    return np.asarray(scaled / np.add.reduce(scaled, axis=1, keepdims=True))
