"""Where the model is wrong: slices found on validation rows and confirmed on sealed ones, and metrics by group."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from modelwright.evaluation.groupwise import Groupwise, groupwise
from modelwright.evaluation.slices import Slice, confirm_slices, find_slices
from modelwright.metrics import registry as metrics
from modelwright.metrics.metric import Metric
from modelwright.tables.schema import Schema, Task

#: Metrics told by group besides the chosen one: who is missed, and who is wrongly picked.
_BY_GROUP: dict[str, tuple[str, ...]] = {
    "binary": ("recall", "precision", "accuracy"),
    "multiclass": ("accuracy",),
    "regression": ("mae",),
}


def loss_of_rows(metric: Metric, task: Task) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Loss of each row by which slices are ranked: the metric's own where it has one."""
    if metric.row_loss is not None and metric.reads != "label":
        return metric.row_loss
    chosen = metrics.get("rmse" if task == "regression" else "log_loss", task).row_loss
    assert chosen is not None
    return chosen


def weak_slices(
    metric: Metric,
    task: Task,
    schema: Schema,
    *,
    validation: tuple[pl.DataFrame, np.ndarray, np.ndarray],
    sealed: tuple[pl.DataFrame, np.ndarray, np.ndarray],
    threshold: float | None,
    clusters: np.ndarray | None,
    seed: int,
) -> list[Slice]:
    """Slices of high loss.

    Parameters
    ----------
    metric : Metric
    task : {"binary", "multiclass", "regression"}
    schema : Schema
    validation, sealed : tuple of DataFrame, ndarray, ndarray
        Conformed rows, their targets, and predictions by models that did not train on them.
    threshold : float or None
    clusters : ndarray of int or None
        Unit of each sealed row, where rows are not independent.
    seed : int
    """
    loss = loss_of_rows(metric, task)
    of_validation, of_sealed = loss(validation[1], validation[2]), loss(sealed[1], sealed[2])
    found = find_slices(validation[0], of_validation, schema.features, seed=seed)
    return confirm_slices(
        found,
        validation=(validation[0], of_validation),
        sealed=(sealed[0], of_sealed),
        y=sealed[1],
        prediction=sealed[2],
        metric=metric,
        threshold=threshold,
        clusters=clusters,
    )


def by_group(
    columns: list[pl.Series],
    metric: Metric,
    task: Task,
    y: np.ndarray,
    prediction: np.ndarray,
    *,
    threshold: float | None,
    clusters: np.ndarray | None,
) -> list[Groupwise]:
    """Metrics of sealed rows, told apart by the values of each column."""
    names = dict.fromkeys([metric.name, *_BY_GROUP.get(task, ())])
    wanted = [metrics.get(name, task) for name in names]
    return [groupwise(cells, y, prediction, wanted, threshold=threshold, clusters=clusters) for cells in columns]
