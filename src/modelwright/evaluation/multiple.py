"""Which candidates of a leaderboard are distinguishable from the best, on out-of-fold predictions for the same rows.

The best is chosen by the same rows, so every pair could have come first: the critical value is that of the largest of all
pairwise differences (max-T [1]_), drawn from the joint distribution of the candidates' values. It needs no
assumption on how the candidates agree: near copies of one another cost nothing.

Models of different folds share most of their training rows, so their errors move together and a test on the pooled rows
calls equal algorithms different too often. With folds the variance is multiplied by 1 + J n_test / n_train, J folds [2]_.

References
----------
.. [1] Hsu, "Multiple Comparisons: Theory and Methods", 1996; Hothorn, Bretz, Westfall, Biometrical Journal 50 (2008).
.. [2] Nadeau, Bengio, "Inference for the generalization error", Machine Learning 52 (2003).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from modelwright.errors import InvalidInputError
from modelwright.metrics.dependence import Units, design
from modelwright.metrics.influence import Influence, influence
from modelwright.metrics.metric import Metric
from modelwright.metrics.registry import as_read

_DRAWS = 10_000
#: Cells of one batch of draws of all pairs.
_BATCH = 4_000_000


class Standing(msgspec.Struct, frozen=True):
    """One candidate against the best.

    ``behind`` is how far it lies behind the best in the metric's units, never negative but for rounding; ``low`` and
    ``high`` hold for all candidates at once. ``p_value`` is corrected for the number of candidates; 1 for the best.
    """

    name: str
    score: float
    behind: float
    low: float
    high: float
    p_value: float
    distinguishable: bool


class Leaderboard(msgspec.Struct, frozen=True):
    """Candidates, best first; ``inflation`` is the factor on the variance for training sets that overlap."""

    best: str
    candidates: list[Standing]
    n_rows: int
    n_folds: int
    inflation: float
    level: float
    sentence: str


def against_best(
    metric: Metric,
    y: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    *,
    weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    blocks: np.ndarray | None = None,
    folds: np.ndarray | None = None,
    test_share: float | None = None,
    thresholds: Mapping[str, float | None] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Leaderboard:
    """Compare every candidate with the best of them.

    Parameters
    ----------
    metric : Metric
        With an influence of its own; all but the Davies-Bouldin and the adjusted Rand index have one.
    y : ndarray of shape (n,)
    predictions : mapping of name to ndarray of n rows
        Out-of-fold (or validation) predictions, the same rows in the same order.
    weight, groups, blocks : ndarray of shape (n,), optional
        As in `metrics.intervals.interval`.
    folds : ndarray of shape (n,), int, optional
        Fold in which each row was predicted. Values are then means over folds, by rows, and the variance is corrected.
        None for one validation part: the statement is then about the fitted models.
    test_share : float, optional
        Rows predicted per fold as a fraction of the rows of its training; 1 / (J - 1) by default, as in
        cross-validation. Forward folds in time have more.
    thresholds : mapping of name to float, optional
        Probability from which class 1 is predicted, for metrics that read labels.
    level : float, default=0.95
    seed : int, default=0
        Of the draws.

    Returns
    -------
    Leaderboard

    Raises
    ------
    InvalidInputError
        Without candidates, with predictions of unequal length, or with a metric that has no influence.
    """
    _check(y, predictions)
    names = list(predictions)
    number, n_folds = (None, 1) if folds is None else _numbered(folds)
    found = []
    for name in names:
        read = as_read(metric, predictions[name], (thresholds or {}).get(name))
        found.append(_by_fold(metric, y, read, weight, number, n_folds))
    utility = np.array([metric.utility(f.value) for f in found])
    ratio = 1 / (n_folds - 1) if test_share is None and n_folds > 1 else (test_share or 0.0)
    inflation = 1 + n_folds * ratio if n_folds > 1 else 1.0
    if metric.name == "silhouette":
        weight = groups = blocks = None
    units = design(len(y), weight, groups, blocks).units(np.stack([f.psi for f in found], axis=1))
    order = np.argsort(-np.where(np.isfinite(utility), utility, -np.inf), kind="stable")
    best = int(order[0])
    se, critical, p_values = _simultaneous(units, utility, best, inflation, level, seed)
    standings = []
    for k in order.tolist():
        behind = float(utility[best] - utility[k])
        half = critical * float(se[k])
        standings.append(
            Standing(
                names[k],
                found[k].value,
                behind,
                behind - half,
                behind + half,
                float(p_values[k]),
                bool(p_values[k] < 1 - level),
            )
        )
    sentence = _sentence(standings, len(y), n_folds, level)
    return Leaderboard(names[best], standings, len(y), n_folds, inflation, level, sentence)


def _check(y: np.ndarray, predictions: Mapping[str, np.ndarray]) -> None:
    if not predictions:
        raise InvalidInputError(
            "There are no candidates to compare.", where="the predictions", mend="Give the predictions of one at least."
        )
    for name, prediction in predictions.items():
        if len(prediction) != len(y):
            raise InvalidInputError(
                f"Candidate {name!r} predicts {len(prediction):,} rows, but there are {len(y):,}.",
                where="the predictions",
                mend="Give every candidate's predictions for the same rows in the same order.",
            )


def _numbered(folds: np.ndarray) -> tuple[np.ndarray, int]:
    number = np.unique(folds, return_inverse=True)[1]
    return number, int(number.max()) + 1


def _by_fold(
    metric: Metric, y: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None, fold: np.ndarray | None, n_folds: int
) -> Influence:
    """Of the mean over folds, each weighted by its rows: the scores of models that differ are not pooled into one curve."""
    if fold is None:
        return _influence(metric, y, prediction, weight)
    psi = np.empty(len(y))
    value = 0.0
    for k in range(n_folds):
        rows = np.flatnonzero(fold == k)
        part = _influence(metric, y[rows], prediction[rows], None if weight is None else weight[rows])
        psi[rows] = part.psi * len(rows) / len(y)
        value += part.value * len(rows) / len(y)
    return Influence(value, psi)


def _influence(metric: Metric, y: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None) -> Influence:
    found = influence(metric, y, prediction, weight)
    if found is None:
        raise InvalidInputError(
            f"Candidates cannot be compared by {metric.title}, for which rows have no share in the value.",
            where="the metric",
            mend="Choose another metric.",
        )
    return found


def _simultaneous(
    units: Units, utility: np.ndarray, best: int, inflation: float, level: float, seed: int
) -> tuple[np.ndarray, float, np.ndarray]:
    """Standard error against the best, critical value, and corrected p-value of each candidate."""
    k = len(utility)
    u = units.u
    if k == 1 or not np.isfinite(u).all() or not np.isfinite(utility).all():
        return np.full(k, np.nan if k > 1 else 0.0), np.nan if k > 1 else 0.0, np.ones(k)
    covariance = u.T @ u
    variances = np.diag(covariance)[:, None] + np.diag(covariance)[None, :] - 2 * covariance
    # Candidates that predict the same have no spread; the rest of a difference is rounding.
    scale = max(float(np.diag(covariance).max()), 1e-300)
    differ = variances > 1e-12 * scale
    se = np.sqrt(np.where(differ, variances, 0.0) * inflation)
    left, right = np.nonzero(np.triu(differ, 1))
    largest = _largest(covariance, left, right, units.df, seed)
    critical = float(np.quantile(largest, level))
    t = np.divide(utility[best] - utility, se[best], out=np.zeros(k), where=se[best] > 0)
    beyond = len(largest) - np.searchsorted(np.sort(largest), t, side="left")
    p_values = np.where(se[best] > 0, (beyond + 1) / (len(largest) + 1), 1.0)
    p_values[best] = 1.0
    return se[best], critical, np.minimum(p_values, 1.0)


def _largest(covariance: np.ndarray, left: np.ndarray, right: np.ndarray, df: float, seed: int) -> np.ndarray:
    """Draws of the largest studentised difference of all pairs of equal candidates."""
    if not len(left):
        return np.zeros(_DRAWS)
    rng = np.random.default_rng(seed)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    spread = np.sqrt(covariance[left, left] + covariance[right, right] - 2 * covariance[left, right])
    batch = max(_BATCH // len(left), 1)
    parts = []
    for start in range(0, _DRAWS, batch):
        z = rng.standard_normal((min(batch, _DRAWS - start), len(covariance))) @ root.T
        parts.append((np.abs(z[:, left] - z[:, right]) / spread).max(axis=1))
    # One estimate of the variance serves all pairs.
    return np.concatenate(parts) / np.sqrt(rng.chisquare(df, _DRAWS) / df)


def _sentence(standings: list[Standing], n: int, n_folds: int, level: float) -> str:
    best = standings[0]
    alike = [s.name for s in standings[1:] if not s.distinguishable]
    basis = f"{n:,} rows" + (f" in {n_folds} folds" if n_folds > 1 else "")
    if len(standings) == 1:
        return f"{best.name!r} is the only candidate."
    if not alike:
        return f"{best.name!r} is better than all {len(standings) - 1} others ({basis}, {100 * level:.4g} % for all at once)."
    named = ", ".join(repr(name) for name in alike[:3]) + (f" and {len(alike) - 3} more" if len(alike) > 3 else "")
    verb = "is" if len(alike) == 1 else "are"
    return f"{named} {verb} not distinguishable from {best.name!r}, the first ({basis}, {100 * level:.4g} % for all at once)."
