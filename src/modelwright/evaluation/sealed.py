"""Points of the diagnostic plots, drawn down to what a page can show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from modelwright.metrics.registry import labels_from
from modelwright.tables.schema import Task

Plot = dict[str, list[Any]]

MAX_POINTS = 200
MAX_CLASSES = 12
_BINS = 10
#: Name of the classes that the confusion matrix does not show one by one.
OTHER = "other"


def diagnostics(
    task: Task, y: np.ndarray, pred: np.ndarray, labels: Sequence[Any], *, threshold: float | None = None
) -> dict[str, Plot]:
    """Points of every diagnostic plot that fits the task.

    Parameters
    ----------
    task : {"binary", "multiclass", "regression", "clustering"}
    y : ndarray
        Class numbers or numbers of shape (n,); for clustering the (n, p) numbers in which clusters were sought.
    pred : ndarray
        Probabilities of shape (n, K), numbers of shape (n,), or cluster numbers of shape (n,).
    labels : sequence
        Labels of the classes by number.
    threshold : float, optional
        Probability from which class 1 is predicted.

    Returns
    -------
    dict
        As `training.record.Evaluation.plots` documents; plots that the rows do not allow are left out. With more than 12
        classes the confusion matrix shows the 12 most frequent and "other".
    """
    if len(pred) == 0:
        return {}
    if task == "regression":
        return {"residuals": _residuals(y, pred)}
    if task == "clustering":
        return {"clusters": _clusters(y, pred)}
    predicted = labels_from(pred, threshold)
    plots: dict[str, Plot] = {}
    if task == "binary" and 0 < int((y == 1).sum()) < len(y):
        plots["roc"], plots["pr"] = _curves(y == 1, pred[:, 1])
    if task == "binary":
        plots["calibration"] = _calibration(pred[:, 1], y == 1)
    else:
        # Of many classes: how sure the model was of its choice, and how often it was right.
        plots["calibration"] = _calibration(pred.max(axis=1), pred.argmax(axis=1) == y)
    plots["confusion"] = _confusion(y, predicted, labels)
    return plots


def _curves(positive: np.ndarray, score: np.ndarray) -> tuple[Plot, Plot]:
    """ROC and precision-recall curve, one point per distinct score."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    hits = np.cumsum(positive[order])[last].astype(np.float64)
    flagged = last + 1.0
    false = flagged - hits
    fpr, tpr = np.append(0.0, false / false[-1]), np.append(0.0, hits / hits[-1])
    recall, precision = np.append(0.0, hits / hits[-1]), np.append(hits[0] / flagged[0], hits / flagged)
    # Recall alone measures the second curve: its jagged start would use up all points.
    roc, pr = _thinned(fpr + tpr), _thinned(recall)
    return {"fpr": _list(fpr[roc]), "tpr": _list(tpr[roc])}, {"recall": _list(recall[pr]), "precision": _list(precision[pr])}


def _thinned(way: np.ndarray) -> np.ndarray:
    """Positions of at most `MAX_POINTS` points, evenly spaced on a way that never falls, both ends kept."""
    if len(way) <= MAX_POINTS:
        return np.arange(len(way))
    chosen = np.searchsorted(way, np.linspace(way[0], way[-1], MAX_POINTS), side="left")
    chosen[0], chosen[-1] = 0, len(way) - 1
    return np.unique(chosen)


def _calibration(predicted: np.ndarray, happened: np.ndarray) -> Plot:
    """Mean prediction and observed frequency in ten groups of about equal size."""
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, _BINS + 1)[1:-1]))
    group = np.searchsorted(edges, predicted, side="right")
    count = np.bincount(group)
    used = count > 0
    mean = np.bincount(group, weights=predicted)[used] / count[used]
    observed = np.bincount(group, weights=happened)[used] / count[used]
    return {"predicted": _list(mean), "observed": _list(observed), "count": count[used].tolist()}


def _confusion(y: np.ndarray, predicted: np.ndarray, labels: Sequence[Any]) -> Plot:
    k = max(len(labels), int(y.max()) + 1, int(predicted.max()) + 1)
    names = [str(labels[i]) if i < len(labels) else str(i) for i in range(k)]
    if k > MAX_CLASSES:
        kept = np.sort(np.argsort(-np.bincount(y, minlength=k), kind="stable")[:MAX_CLASSES])
        number = np.full(k, MAX_CLASSES)
        number[kept] = np.arange(MAX_CLASSES)
        y, predicted, names, k = number[y], number[predicted], [names[i] for i in kept] + [OTHER], MAX_CLASSES + 1
    counts = np.bincount(y * k + predicted, minlength=k * k).reshape(k, k)
    return {"labels": names, "counts": counts.tolist()}


def _residuals(y: np.ndarray, predicted: np.ndarray) -> Plot:
    rows = _spread(np.argsort(predicted, kind="stable"))
    return {"predicted": _list(predicted[rows]), "actual": _list(y[rows])}


def _clusters(X: np.ndarray, cluster: np.ndarray) -> Plot:
    """Rows along the two principal directions, rows of each cluster in proportion."""
    X = np.asarray(X, dtype=np.float64).reshape(len(cluster), -1)
    centred = X - X.mean(axis=0)
    if centred.shape[1] > 1:
        # The small covariance matrix costs less than the decomposition of all rows.
        _, directions = np.linalg.eigh(centred.T @ centred)
        flat = centred @ directions[:, ::-1][:, :2]
    else:
        flat = np.column_stack([centred, np.zeros(len(cluster))])
    rows = _spread(np.argsort(cluster, kind="stable"))
    return {"x": _list(flat[rows, 0]), "y": _list(flat[rows, 1]), "cluster": [int(c) for c in cluster[rows]]}


def _spread(order: np.ndarray) -> np.ndarray:
    """At most `MAX_POINTS` positions, evenly spaced, first and last kept."""
    if len(order) <= MAX_POINTS:
        return order
    return order[np.linspace(0, len(order) - 1, MAX_POINTS).round().astype(np.int64)]


def _list(values: np.ndarray) -> list[float]:
    """Plain numbers with the digits that a plot can show."""
    return [float(f"{value:.6g}") for value in values]
