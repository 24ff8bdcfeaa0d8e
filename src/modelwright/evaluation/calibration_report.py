"""How honest probabilities are on rows that nothing was decided on.

Notation: n rows, p predicted probability of an event, o whether it happened, z log-odds of p. For two classes the event is
class 1; for more it is "the most probable class is right", and each class is measured besides.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from scipy import special

from modelwright.ensembles.calibration import log_odds, logistic_line
from modelwright.metrics.classification import log_loss
from modelwright.metrics.dependence import Design, design
from modelwright.metrics.estimate import Interval
from modelwright.metrics.influence import Influence, of_mean

_BINS = 10
_LEAST_A_BIN = 20
_MOST_CLASSES = 30
#: Beyond these log-odds a single row would rule the slope.
_MOST_ODDS = 15.0
#: A steeper line means that right and wrong are (nearly) separable, and the rows leave the slope open.
_STEEPEST = 20.0


class CurvePoint(msgspec.Struct, frozen=True):
    """Rows of one bin of equal mass: mean prediction, and observed share with its 95 % interval."""

    predicted: float
    observed: Interval
    count: int


class CalibrationReport(msgspec.Struct, frozen=True):
    """Calibration of a classifier on evaluation rows.

    ``slope`` is b of o ~ a + b z: 1 is right, below 1 too sure. ``intercept`` is a with b held at 1 (calibration in the
    large): below 0 the predictions are too high. ``brier`` = reliability - resolution + uncertainty + what bins hide; the
    parts are freed from the bias of few rows [1]_. ``ece`` is the mean gap over bins of equal mass as it comes,
    ``ece_corrected`` less what chance adds. ``event`` says what is predicted. ``classes`` maps each class to its corrected
    gap ("ece") and its mean prediction less its share ("bias").

    References
    ----------
    .. [1] Ferro, Fricker, "A bias-corrected decomposition of the Brier score", Q. J. R. Meteorol. Soc. 138 (2012).
    .. [2] Cox, "Two further applications of a model for binary regression", Biometrika 45 (1958), for slope and intercept.
    """

    method: str
    event: str
    n_rows: int
    log_loss_before: float
    log_loss_after: float
    slope: Interval | None
    intercept: Interval | None
    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    ece: float
    ece_corrected: float
    curve: list[CurvePoint]
    classes: dict[str, dict[str, float]] = {}
    sentence: str = ""


def report_calibration(
    y: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    labels: list[Any],
    method: str,
    *,
    weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    when: np.ndarray | None = None,
) -> CalibrationReport:
    """Measure calibration.

    Parameters
    ----------
    y : ndarray of shape (n,), int
    before, after : ndarray of shape (n, K)
        Probabilities as the members gave them, and as delivered.
    labels : list
        Of the classes by number.
    method : str
        How they were calibrated.
    weight, groups, when : ndarray of shape (n,), optional
        Row weights; entity and moment of each row, which widen the intervals of slope and intercept.

    Returns
    -------
    CalibrationReport
    """
    w = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
    if after.shape[1] == 2:
        event, p, o = f"{labels[1]}", after[:, 1], (y == 1).astype(np.float64)
        z = log_odds(after)
    else:
        event, p = "the most probable class", after.max(axis=1)
        o = (after.argmax(axis=1) == y).astype(np.float64)
        z = log_odds(np.column_stack([1 - p, p]))
    slope, intercept = _recalibration(np.clip(z, -_MOST_ODDS, _MOST_ODDS), o, w, design(len(y), w, groups, when))
    number, gaps, noise, share = _bins(p, o, w)
    classes = {}
    if after.shape[1] > 2:
        for k in np.argsort(-np.bincount(y, minlength=after.shape[1]), kind="stable")[:_MOST_CLASSES]:
            of_class = (y == k).astype(np.float64)
            _, gap, sd, mass = _bins(after[:, k], of_class, w)
            classes[str(labels[k])] = {
                "ece": corrected_ece(gap, sd, mass),
                "bias": float(w @ (after[:, k] - of_class) / w.sum()),
            }
    reliability, resolution, uncertainty = _brier_parts(p, o, w, number)
    found = CalibrationReport(
        method=method,
        event=event,
        n_rows=len(y),
        log_loss_before=log_loss(y, before, weight),
        log_loss_after=log_loss(y, after, weight),
        slope=slope,
        intercept=intercept,
        brier=float(w @ (p - o) ** 2 / w.sum()),
        reliability=reliability,
        resolution=resolution,
        uncertainty=uncertainty,
        ece=float(share @ np.abs(gaps)),
        ece_corrected=corrected_ece(gaps, noise, share),
        curve=_curve(p, o, w, number),
        classes=classes,
    )
    return msgspec.structs.replace(found, sentence=_sentence(found))


def calibration_gap(y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None = None) -> tuple[float, Influence]:
    """Mean gap between predicted and observed frequency less what chance adds, and the plain gap with its influences.

    Parameters
    ----------
    y : ndarray of shape (n,), int
    proba : ndarray of shape (n, K)
    weight : ndarray of shape (n,), optional
    """
    w = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
    if proba.shape[1] == 2:
        p, o = proba[:, 1], (y == 1).astype(np.float64)
    else:
        p, o = proba.max(axis=1), (proba.argmax(axis=1) == y).astype(np.float64)
    number, gaps, noise, share = _bins(p, o, w)
    return corrected_ece(gaps, noise, share), of_mean(np.sign(gaps)[number] * (p - o), weight)


def corrected_ece(gaps: np.ndarray, noise: np.ndarray, share: np.ndarray) -> float:
    """Mean absolute gap without what chance adds to it.

    The gaps of perfect predictions scatter with standard deviation ``noise``, so their mean size is above 0. Found is the
    factor l in [0, 1] for which true gaps l g would be expected to show the mean size seen; l times that is returned: near 0
    for perfect predictions, near the plain figure where gaps are large.

    Parameters
    ----------
    gaps, noise, share : ndarray of shape (bins,)
        Gap of each bin, standard deviation of its chance, its share of the rows.
    """
    seen = float(share @ np.abs(gaps))

    def expected(factor: float) -> float:
        mean, sd = factor * np.abs(gaps), np.maximum(noise, 1e-12)
        folded = sd * np.sqrt(2 / np.pi) * np.exp(-0.5 * (mean / sd) ** 2) + mean * (1 - 2 * special.ndtr(-mean / sd))
        return float(share @ folded)

    if expected(0.0) >= seen:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if expected(middle) < seen else (low, middle)
    return low * seen


def _bins(p: np.ndarray, o: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Bin of each row, and gap, chance and share of each bin; rows with equal predictions stay together."""
    n_bins = int(np.clip(len(p) // _LEAST_A_BIN, 1, _BINS))
    edges = np.unique(np.quantile(p, np.linspace(0, 1, n_bins + 1)[1:-1]))
    number = np.unique(np.searchsorted(edges, p, side="right"), return_inverse=True)[1]
    mass = np.bincount(number, weights=w)
    gaps = np.bincount(number, weights=w * (p - o)) / mass
    noise = np.sqrt(np.bincount(number, weights=w * w * p * (1 - p))) / mass
    return number, gaps, noise, mass / mass.sum()


def _curve(p: np.ndarray, o: np.ndarray, w: np.ndarray, number: np.ndarray) -> list[CurvePoint]:
    from modelwright.metrics.intervals import wilson

    points = []
    for k in range(int(number.max()) + 1):
        rows = number == k
        total = float(w[rows].sum())
        share = float(np.clip(w[rows] @ o[rows] / total, 0.0, 1.0))
        found = wilson(share, total**2 / float((w[rows] ** 2).sum()), 1.96)
        points.append(CurvePoint(float(w[rows] @ p[rows] / total), Interval(share, found.low, found.high), int(rows.sum())))
    return points


def _brier_parts(p: np.ndarray, o: np.ndarray, w: np.ndarray, number: np.ndarray) -> tuple[float, float, float]:
    """Reliability, resolution and uncertainty, corrected for the number of rows in each bin."""
    mass, count = np.bincount(number, weights=w), np.bincount(number)
    share = mass / mass.sum()
    forecast, happened = np.bincount(number, weights=w * p) / mass, np.bincount(number, weights=w * o) / mass
    base = float(share @ happened)
    chance = float(share @ np.where(count > 1, happened * (1 - happened) / np.maximum(count - 1, 1), 0.0))
    whole = base * (1 - base) / max(len(p) - 1, 1)
    reliability = float(share @ (forecast - happened) ** 2) - chance
    resolution = float(share @ (happened - base) ** 2) - chance + whole
    return reliability, resolution, base * (1 - base) + whole


def _recalibration(z: np.ndarray, o: np.ndarray, w: np.ndarray, shape: Design) -> tuple[Interval | None, Interval | None]:
    """Slope, and intercept at slope 1, with sandwich intervals for dependent rows."""
    from scipy.stats import t

    if not 0 < float(w @ o) < float(w.sum()) or float(np.ptp(z)) < 1e-9:
        return None, None
    b, a = logistic_line(z, o, w)
    if abs(b) > _STEEPEST:
        return None, None
    X = np.column_stack([z, np.ones(len(z))])
    p = 1 / (1 + np.exp(-(b * z + a)))
    bread = np.linalg.pinv(X.T @ (X * (w * p * (1 - p))[:, None]))
    units = shape.units((X * (w * (o - p))[:, None]) @ bread)
    slope = _interval(b, float((units.u[:, 0] ** 2).sum()), float(t.ppf(0.975, units.df)))
    shift = 0.0
    for _ in range(50):
        p = 1 / (1 + np.exp(-(z + shift)))
        step = float(w @ (o - p)) / max(float(w @ (p * (1 - p))), 1e-12)
        shift += float(np.clip(step, -2, 2))
        if abs(step) < 1e-9:
            break
    p = 1 / (1 + np.exp(-(z + shift)))
    units = shape.units(w * (o - p) / max(float(w @ (p * (1 - p))), 1e-12))
    intercept = _interval(shift, units.variance, float(t.ppf(0.975, units.df)))
    return slope, intercept


def _interval(value: float, variance: float, t: float) -> Interval | None:
    half = t * float(np.sqrt(variance)) if np.isfinite(variance) else float("nan")
    return Interval(value, value - half, value + half) if np.isfinite([value, half]).all() else None


def _sentence(found: CalibrationReport) -> str:
    change = found.log_loss_after / found.log_loss_before - 1 if found.log_loss_before > 0 else 0.0
    parts = [f"Mean gap between predicted and observed frequency {found.ece_corrected:.1%} ({found.n_rows:,} rows)."]
    if found.slope is not None:
        right = found.slope.low <= 1 <= found.slope.high
        kind = "as sure as it should be" if right else ("too sure" if found.slope.value < 1 else "not sure enough")
        slope = f"slope {found.slope.value:.2f}, 95 % interval {found.slope.low:.2f} to {found.slope.high:.2f}"
        parts.insert(0, f"The model is {kind} ({slope}).")
    if found.method != "none":
        parts.append(f"Calibration by {found.method} changed the log loss by {change:+.1%}.")
    return " ".join(parts)
