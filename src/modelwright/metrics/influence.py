"""How much each row moves a metric: the one route to standard errors with weights, groups and time.

Notation: psi_i, the influence of row i, with sum(psi) = 0; the variance of the value is about sum(psi_i ** 2). Rows
that belong together (one entity, neighbouring moments) are summed before squaring, which is the cluster form; for
the area under the ROC curve psi are the centred placements, so the row form is DeLong's variance and the cluster
form that of Obuchowski.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelwright.metrics.classification import mean, placements, positive_proba
from modelwright.metrics.clustering import silhouette_rows
from modelwright.metrics.metric import Metric

#: Metrics that are the square root of the mean of their row losses.
ROOTS = ("rmse", "rmsle")
#: Below this number of time blocks the spread between blocks says nothing.
_FEWEST_BLOCKS = 8


@dataclass(frozen=True)
class Influence:
    """Value of a metric and the influence of each row.

    ``strata`` separates the positives where both classes are samples of their own (two-class ROC curve).
    """

    value: float
    psi: np.ndarray
    strata: np.ndarray | None = None

    def __sub__(self, other: Influence) -> Influence:
        return Influence(self.value - other.value, self.psi - other.psi, self.strata)

    def __neg__(self) -> Influence:
        return Influence(-self.value, -self.psi, self.strata)


def influence(metric: Metric, y: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None) -> Influence | None:
    """Influence of each row, or None if the metric has no such form and must be resampled."""
    if metric.name == "roc_auc":
        return _of_auc(positive_proba(prediction), y == 1, weight, y == 1)
    if metric.name == "roc_auc_ovr":
        present = np.unique(y)
        if len(present) < 2:
            return Influence(float("nan"), np.full(len(y), np.nan))
        parts = [_of_auc(prediction[:, k], y == k, weight, None) for k in present]
        return Influence(float(np.mean([p.value for p in parts])), np.mean([p.psi for p in parts], axis=0))
    if metric.name == "silhouette":
        values = silhouette_rows(y, prediction)
        return _of_mean(values, None)
    if metric.row_loss is None:
        return None
    of_loss = _of_mean(metric.row_loss(y, prediction), weight)
    if metric.name in ROOTS:
        root = float(np.sqrt(of_loss.value))
        return Influence(root, of_loss.psi / (2 * root) if root > 0 else of_loss.psi)
    if metric.name == "accuracy":
        return Influence(1 - of_loss.value, -of_loss.psi)
    return of_loss


def _of_mean(loss: np.ndarray, weight: np.ndarray | None) -> Influence:
    value = mean(loss, weight)
    centred = loss - value
    return Influence(value, centred / len(loss) if weight is None else weight * centred / weight.sum())


def _of_auc(score: np.ndarray, positive: np.ndarray, weight: np.ndarray | None, strata: np.ndarray | None) -> Influence:
    auc, placement = placements(score, positive, weight)
    w = np.ones(len(score)) if weight is None else np.asarray(weight, dtype=np.float64)
    total_positive = float(w[positive].sum())
    totals = np.where(positive, total_positive, float(w.sum()) - total_positive)
    return Influence(auc, w * (placement - auc) / np.where(totals > 0, totals, np.nan), strata)


def variance(psi: np.ndarray, clusters: np.ndarray | None = None, strata: np.ndarray | None = None) -> tuple[float, int]:
    """Variance of the value, and the number of independent units it rests on.

    Parameters
    ----------
    psi : ndarray of shape (n,)
    clusters : ndarray of shape (n,), int, optional
        Unit number of each row, 0 and up without gaps.
    strata : ndarray of shape (n,), bool, optional
        Read for independent rows only.
    """
    if clusters is not None:
        psi, strata = np.bincount(clusters, weights=psi), None
    n = len(psi)
    if n < 2:
        return float("nan"), n
    if strata is None:
        return float(psi @ psi) * n / (n - 1), n
    total = 0.0
    for side in (strata, ~strata):
        m = int(side.sum())
        if m < 2:
            return float("nan"), m
        total += float(psi[side] @ psi[side]) * m / (m - 1)
    return total, n


def clusters_of(n: int, groups: np.ndarray | None, blocks: np.ndarray | None) -> np.ndarray | None:
    """Unit number of each row.

    Parameters
    ----------
    n : int
        Number of rows.
    groups : ndarray of shape (n,), optional
        Entity of each row.
    blocks : ndarray of shape (n,), optional
        Time of each row, any sortable values. Neighbouring moments form contiguous blocks of T ** (1/3) moments,
        T the number of distinct ones.

    Returns
    -------
    ndarray of int64, or None if rows are independent. With both, the coarser of the two, which errs on the side
    of a wide interval.
    """
    by_group = None if groups is None else _codes(groups)
    by_time = None if blocks is None or n == 0 else _time_blocks(_codes(blocks))
    if by_group is None or by_time is None:
        return by_time if by_group is None else by_group
    return by_group if by_group.max() <= by_time.max() else by_time


def _codes(values: np.ndarray) -> np.ndarray:
    if values.dtype == object:  # may hold None, which does not sort
        seen: dict[object, int] = {}
        return np.array([seen.setdefault(v, len(seen)) for v in values], dtype=np.int64)
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _time_blocks(moment: np.ndarray) -> np.ndarray:
    n_moments = int(moment.max()) + 1
    if n_moments >= _FEWEST_BLOCKS:
        length = min(int(np.ceil(n_moments ** (1 / 3))), n_moments // _FEWEST_BLOCKS)
        return np.asarray(moment // max(length, 1))
    # Too few moments to resample: contiguous runs of rows in time order.
    n = len(moment)
    position = np.empty(n, dtype=np.int64)
    position[np.argsort(moment, kind="stable")] = np.arange(n)
    return np.asarray(position // max(int(np.ceil(n ** (1 / 3))), 1))
