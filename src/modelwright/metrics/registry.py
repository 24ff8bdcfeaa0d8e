"""Metrics by name: which exist, which fit a task, and how a prediction is scored."""

from __future__ import annotations

from difflib import get_close_matches

import numpy as np

from modelwright.errors import SpecError
from modelwright.metrics import classification as c
from modelwright.metrics import clustering as k
from modelwright.metrics import regression as r
from modelwright.metrics.metric import Metric
from modelwright.tables.schema import Task

_BINARY: tuple[Task, ...] = ("binary",)
_CLASSES: tuple[Task, ...] = ("binary", "multiclass")
_NUMBER: tuple[Task, ...] = ("regression",)
_CLUSTERS: tuple[Task, ...] = ("clustering",)

_ALL = (
    Metric("roc_auc", "ROC AUC", _BINARY, True, 1.0, "proba", c.roc_auc),
    Metric("roc_auc_ovr", "ROC AUC, mean of one against the rest", ("multiclass",), True, 1.0, "proba", c.roc_auc_ovr),
    Metric("log_loss", "Log loss", _CLASSES, False, 0.0, "proba", c.log_loss, c.row_log_loss),
    Metric("brier", "Brier score", _CLASSES, False, 0.0, "proba", c.brier, c.row_brier),
    Metric("average_precision", "Average precision", _BINARY, True, 1.0, "proba", c.average_precision),
    Metric("accuracy", "Accuracy", _CLASSES, True, 1.0, "label", c.accuracy, c.row_error),
    Metric("balanced_accuracy", "Balanced accuracy", _CLASSES, True, 1.0, "label", c.balanced_accuracy),
    Metric("f1", "F1", _BINARY, True, 1.0, "label", c.f1),
    Metric("f1_macro", "F1, mean over classes", _CLASSES, True, 1.0, "label", c.f1_macro),
    Metric("precision", "Precision", _BINARY, True, 1.0, "label", c.precision),
    Metric("recall", "Recall", _BINARY, True, 1.0, "label", c.recall),
    Metric("mcc", "Matthews correlation", _CLASSES, True, 1.0, "label", c.mcc),
    Metric("rmse", "Root mean squared error", _NUMBER, False, 0.0, "value", r.rmse, r.row_squared),
    Metric("mae", "Mean absolute error", _NUMBER, False, 0.0, "value", r.mae, r.row_absolute),
    Metric("r2", "R squared", _NUMBER, True, 1.0, "value", r.r2),
    Metric("median_ae", "Median absolute error", _NUMBER, False, 0.0, "value", r.median_ae),
    Metric("mape", "Mean absolute percentage error", _NUMBER, False, 0.0, "value", r.mape, r.row_relative),
    Metric("rmsle", "Root mean squared log error", _NUMBER, False, 0.0, "value", r.rmsle, r.row_squared_log),
    Metric("silhouette", "Silhouette", _CLUSTERS, True, 1.0, "label", k.silhouette),
    Metric("davies_bouldin", "Davies-Bouldin index", _CLUSTERS, False, 0.0, "label", k.davies_bouldin),
    Metric("adjusted_rand", "Adjusted Rand index", _CLUSTERS, True, 1.0, "label", k.adjusted_rand),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}

_DEFAULTS: dict[Task, str] = {
    "binary": "roc_auc",
    "multiclass": "log_loss",
    "regression": "rmse",
    "clustering": "silhouette",
}

_COMPANIONS: dict[Task, tuple[str, ...]] = {
    "binary": ("roc_auc", "average_precision", "log_loss", "brier", "accuracy", "balanced_accuracy", "f1", "mcc"),
    "multiclass": ("log_loss", "roc_auc_ovr", "brier", "accuracy", "balanced_accuracy", "f1_macro", "mcc"),
    "regression": ("rmse", "mae", "r2", "median_ae"),
    "clustering": ("silhouette", "davies_bouldin"),
}

ALIASES: dict[str, str] = {
    "auc": "roc_auc",
    "auroc": "roc_auc",
    "rocauc": "roc_auc",
    "roc": "roc_auc",
    "roc_auc_score": "roc_auc",
    "auc_ovr": "roc_auc_ovr",
    "roc_auc_macro": "roc_auc_ovr",
    "logloss": "log_loss",
    "neg_log_loss": "log_loss",
    "cross_entropy": "log_loss",
    "crossentropy": "log_loss",
    "brier_score": "brier",
    "brier_score_loss": "brier",
    "neg_brier_score": "brier",
    "ap": "average_precision",
    "pr_auc": "average_precision",
    "auprc": "average_precision",
    "acc": "accuracy",
    "bal_acc": "balanced_accuracy",
    "bacc": "balanced_accuracy",
    "f1_score": "f1",
    "macro_f1": "f1_macro",
    "f1macro": "f1_macro",
    "matthews": "mcc",
    "matthews_corrcoef": "mcc",
    "root_mean_squared_error": "rmse",
    "neg_root_mean_squared_error": "rmse",
    "mean_absolute_error": "mae",
    "neg_mean_absolute_error": "mae",
    "r_squared": "r2",
    "r2_score": "r2",
    "median_absolute_error": "median_ae",
    "medae": "median_ae",
    "mean_absolute_percentage_error": "mape",
    "root_mean_squared_log_error": "rmsle",
    "silhouette_score": "silhouette",
    "ari": "adjusted_rand",
    "adjusted_rand_score": "adjusted_rand",
}

#: Names that mean another metric when there are more than two classes.
_MULTICLASS = {"roc_auc": "roc_auc_ovr"}


def names(task: Task) -> list[str]:
    """Names of the metrics that fit a task."""
    return [metric.name for metric in _ALL if task in metric.tasks]


def get(name: str, task: Task) -> Metric:
    """The metric of that name, for that task.

    Case, hyphens and spaces do not matter, common other names are understood ("auc", "logloss"), and "roc_auc"
    means "roc_auc_ovr" for more than two classes.

    Raises
    ------
    SpecError
        If there is no such metric (the nearest is named), or it does not fit the task (those that fit are).
    """
    key = name.strip().lower().replace("-", "_").replace(" ", "_")
    key = ALIASES.get(key, key)
    if task == "multiclass":
        key = _MULTICLASS.get(key, key)
    metric = METRICS.get(key)
    valid = ", ".join(names(task))
    if metric is None:
        near = get_close_matches(key, [*names(task), *METRICS, *ALIASES], n=1, cutoff=0.5)
        found = ALIASES.get(near[0], near[0]) if near else ""
        hint = f"Did you mean {found!r}? " if found else ""
        raise SpecError(f"{name!r} is not a metric.", where="metric", mend=f"{hint}Metrics for {task}: {valid}.")
    if task not in metric.tasks:
        raise SpecError(f"{name!r} does not score a {task} task.", where="metric", mend=f"Metrics for {task}: {valid}.")
    return metric


def default_metric(task: Task) -> Metric:
    """The metric of a run that names none."""
    return METRICS[_DEFAULTS[task]]


def companions(task: Task) -> list[str]:
    """Metrics reported besides the chosen one, which may be among them."""
    return list(_COMPANIONS[task])


def labels_from(proba: np.ndarray, threshold: float | None = None) -> np.ndarray:
    """Class numbers from probabilities.

    Parameters
    ----------
    proba : ndarray of shape (n, K)
    threshold : float, optional
        For two classes: class 1 from this probability on. Without it, the most probable class.
    """
    if threshold is not None and proba.shape[1] == 2:
        return (proba[:, 1] >= threshold).astype(np.int64)
    return np.argmax(proba, axis=1).astype(np.int64)


def as_read(metric: Metric, prediction: np.ndarray, threshold: float | None = None) -> np.ndarray:
    """The prediction in the form that the metric reads: probabilities become labels where it reads labels."""
    if metric.reads == "label" and prediction.ndim == 2:
        return labels_from(prediction, threshold)
    return prediction


def score(
    metric: Metric,
    y: np.ndarray,
    prediction: np.ndarray,
    weight: np.ndarray | None = None,
    threshold: float | None = None,
) -> float:
    """Value of a metric, deriving labels from probabilities where the metric reads labels."""
    return metric.score(y, as_read(metric, prediction, threshold), weight)
