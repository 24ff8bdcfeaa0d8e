"""Figures of merit from predictions; no system scores itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

#: Which figure decides, by task, and whether more of it is better.
DECIDES = {"binary": ("roc_auc", True), "multiclass": ("log_loss", False), "regression": ("rmse", False)}


def scores(task: str, y_train: Any, y_test: Any, predicted: np.ndarray, classes: Sequence[Any] | None) -> dict[str, float]:
    """Scores of the predictions of one system.

    Parameters
    ----------
    task : {"binary", "multiclass", "regression"}
    y_train, y_test : array-like of shape (n_rows,)
        Targets of the rows trained on and of the rows scored.
    predicted : ndarray of shape (n_test,) or (n_test, n_classes)
        Numbers, or probabilities in [0, 1]; scaled here to sum to 1.
    classes : sequence or None
        Labels of the columns; labels are compared as text, 1.0 being 1.

    Returns
    -------
    dict
        rmse and r2, or log_loss (of rows whose class occurs in training; a class the system does not know has
        probability 1e-15), accuracy (of all rows) and for two classes roc_auc.

    Raises
    ------
    ValueError
        If predictions have the wrong shape or are not finite.
    """
    predicted = np.asarray(predicted, dtype=float)
    if len(predicted) != len(y_test) or not np.isfinite(predicted).all():
        raise ValueError(f"predictions of shape {predicted.shape} for {len(y_test)} rows, or not all finite")
    if task == "regression":
        y = np.asarray(y_test, dtype=float)
        errors = (y - predicted.ravel()) ** 2
        return {"rmse": float(np.sqrt(errors.mean())), "r2": float(1 - errors.mean() / np.var(y))}
    from sklearn.metrics import log_loss, roc_auc_score

    if classes is None or predicted.ndim != 2 or predicted.shape[1] != len(classes):
        raise ValueError(f"probabilities of shape {predicted.shape} for {len(classes or ())} classes")
    truth = as_labels(y_test)
    known = sorted(set(as_labels(y_train).tolist()))
    proba = np.zeros((len(truth), len(known)))
    for column, label in zip(predicted.T, as_labels(classes).tolist(), strict=True):
        if label in known:
            proba[:, known.index(label)] = column
    proba = np.clip(proba, 1e-15, 1)
    proba /= proba.sum(axis=1, keepdims=True)
    seen = np.isin(truth, known)
    result = {
        "log_loss": float(log_loss(truth[seen], proba[seen], labels=known)),
        "accuracy": float(np.mean(np.array(known)[proba.argmax(axis=1)] == truth)),
    }
    if task == "binary":
        result["roc_auc"] = float(roc_auc_score(truth == known[1], proba[:, 1]))
    return result


def as_labels(values: Any) -> np.ndarray:
    """Labels as text; whole numbers lose their decimal point, since systems read 1 as 1.0 at times."""
    return np.array([_label(value) for value in values], dtype=str)


def _label(value: Any) -> str:
    text = str(value)
    return text[:-2] if text.endswith(".0") and text[:-2].lstrip("-").isdigit() else text
