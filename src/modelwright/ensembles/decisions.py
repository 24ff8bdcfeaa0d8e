"""What is decided on out-of-fold predictions besides weights: calibration, threshold, intervals and sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelwright.ensembles.calibration import NONE, Calibration, calibrate, choose_calibration
from modelwright.ensembles.conformal import Conformal, fit_intervals, fit_sets
from modelwright.ensembles.threshold import ThresholdChoice, choose
from modelwright.metrics.metric import Metric
from modelwright.tables.schema import Task

#: Rows that the latest windows must hold to stand alone.
_LATEST_ROWS = 500


@dataclass(frozen=True)
class Decisions:
    """Calibration of probabilities, threshold of a binary task, intervals or sets."""

    calibration: Calibration
    threshold: ThresholdChoice | None
    conformal: Conformal | None


def decide(
    task: Task,
    prediction: np.ndarray,
    y: np.ndarray,
    metric: Metric,
    *,
    weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    when: np.ndarray | None = None,
    fold: np.ndarray | None = None,
    cost: dict[str, float] | None = None,
    floor: dict[str, float] | None = None,
    seed: int = 0,
) -> Decisions:
    """Decide on out-of-fold predictions of the blend; evaluation rows have no part in it.

    Parameters
    ----------
    task : {"binary", "multiclass", "regression"}
    prediction : ndarray of shape (n, K) or (n,)
    y : ndarray of shape (n,)
    metric : Metric
    weight : ndarray of shape (n,), optional
        Read for calibration and threshold; coverage counts rows.
    groups, when : ndarray of shape (n,), optional
        Entity (or set of equal rows) and moment of each row.
    fold : ndarray of shape (n,), int, optional
        Number of the fold that validated each row. With ``when``, only the latest windows decide: their models are most
        like the final one. Measured on half-hourly electricity prices, the best temperature falls from 3.6 in the first
        window to 1.6 in the last and 1.5 on the rows after it; seven timed tables come 2.0 points near their
        coverage on average, against 2.6 with all windows.
    cost, floor : dict, optional
        As in the spec.
    seed : int, default=0

    Raises
    ------
    SpecError
        If no threshold holds the floor.
    """
    if groups is not None and len(np.unique(groups)) == len(groups):
        groups = None  # every row is an entity of its own
    if when is not None and fold is not None:
        rows = latest(fold)
        prediction, y, when = prediction[rows], y[rows], when[rows]
        weight, groups = (None if a is None else a[rows] for a in (weight, groups))
    if task == "regression":
        return Decisions(NONE, None, fit_intervals(prediction, y, groups=groups, when=when, seed=seed))
    calibration = choose_calibration(prediction, y, weight=weight, groups=groups, when=when, seed=seed)
    proba = calibrate(prediction, calibration)
    threshold = None
    if task == "binary":
        threshold = choose(proba, y, metric, cost=cost, floor=floor, weight=weight, groups=groups, when=when, seed=seed)
    return Decisions(calibration, threshold, fit_sets(proba, y, groups=groups, when=when, seed=seed))


def latest(fold: np.ndarray) -> np.ndarray:
    """Positions of the rows of the last windows, as many windows as hold 500 rows."""
    first = int(fold.max())
    while first > int(fold.min()) and int((fold >= first).sum()) < _LATEST_ROWS:
        first -= 1
    return np.flatnonzero(fold >= first)
