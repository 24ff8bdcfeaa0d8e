"""Cross-fitted predictions of a small boosted model: how much rows tell about other rows under one rule of division.

Two rules are compared on the *same* rows, so that what differs is the rule alone; the difference carries an interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from modelwright.features.encoder import Encoder
from modelwright.learners import registry as learners
from modelwright.metrics import registry as metrics
from modelwright.metrics.paired import compare
from modelwright.tables.schema import Column, Schema, Task

_PARAMS = {"n_estimators": 50, "learning_rate": 0.12, "num_leaves": 15, "min_data_in_leaf": 10}
#: Columns beyond these are left out, evenly: a model of hundreds would take too long.
_MOST_COLUMNS = 150
_OF_LOSS, _OF_LACK = 0.02, 0.1


@dataclass(frozen=True)
class Drop:
    """Scores of one model on the same rows under two rules, and how much the first flatters.

    ``lost`` is in the units of the metric, positive where ``as_is`` looks better; ``low`` and ``high`` bound it (95 %).
    """

    metric: str
    title: str
    as_is: float
    mended: float
    lost: float
    low: float
    high: float

    @property
    def bar(self) -> float:
        """Size that counts: a share of the loss, or of what a score lacks to its best."""
        metric = metrics.METRICS[self.metric]
        return _OF_LACK * abs(metric.best - self.mended) if metric.greater_is_better else _OF_LOSS * abs(self.mended)

    @property
    def shown(self) -> bool:
        """Whether the drop is surely of a size that counts; the interval knows nothing of which rows trained."""
        return self.low > self.bar


def cross_fitted(
    frame: pl.DataFrame,
    y: np.ndarray,
    columns: Sequence[Column],
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    task: Task,
    n_classes: int,
) -> np.ndarray | None:
    """Predict each part from its own training rows.

    Parameters
    ----------
    frame : DataFrame of n rows
        Conformed features.
    y : ndarray of shape (n,)
    columns : sequence of Column
    parts : sequence of (training, predicted)
        Row positions.
    task, n_classes
        Of the model; ``n_classes`` is read for classification only.

    Returns
    -------
    ndarray of shape (n,) or (n, K), float64
        NaN for rows that no part predicts. None if nothing can be learned from the columns.
    """
    # Prose takes minutes to encode and rarely decides how rows should be divided.
    columns = [column for column in columns if column.type != "text"] or list(columns)
    columns = tuple(columns[:: max(1, -(-len(columns) // _MOST_COLUMNS))])
    if not columns:
        return None
    schema, cells = Schema(columns), frame.select([column.name for column in columns])
    result: np.ndarray | None = None
    for training, predicted in parts:
        rows = cells[training]
        encoder = Encoder.fit(rows, schema)
        if not (encoder.layout.numeric or encoder.layout.codes or encoder.layout.text_terms):
            return None
        learner = learners.create("lightgbm", _PARAMS, task=task, n_classes=n_classes, seed=0)
        learner.fit(encoder.transform(rows), y[training])
        answer = np.asarray(learner.predict(encoder.transform(cells[predicted])), dtype=np.float64)
        if result is None:
            result = np.full((len(y), *answer.shape[1:]), np.nan)
        result[predicted] = answer
    return result


def parts_of(folds: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and predicted rows of each fold number; rows of the same number are predicted together."""
    numbers = np.unique(folds)
    return [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in numbers]


def drop_between(
    y: np.ndarray,
    as_is: np.ndarray | None,
    mended: np.ndarray | None,
    task: Task,
    *,
    groups: np.ndarray | None = None,
    blocks: np.ndarray | None = None,
) -> Drop | None:
    """Compare two predictions of the same rows; rows that either lacks are left out.

    Parameters
    ----------
    y : ndarray of shape (n,)
    as_is, mended : ndarray or None
        Predictions as the table would be divided now, and with the mend.
    task : Task
    groups, blocks : ndarray of shape (n,), optional
        What makes rows dependent, for the interval: entities, or time.
    """
    if as_is is None or mended is None:
        return None
    metric = metrics.default_metric(task)
    kept = np.isfinite(as_is.reshape(len(y), -1)).all(axis=1) & np.isfinite(mended.reshape(len(y), -1)).all(axis=1)
    if not kept.any():
        return None
    y, as_is, mended = y[kept], as_is[kept], mended[kept]
    groups = None if groups is None else groups[kept]
    blocks = None if blocks is None else blocks[kept]
    found = compare(metric, y, as_is, mended, groups=groups, blocks=blocks)
    before, after = metrics.score(metric, y, as_is), metrics.score(metric, y, mended)
    if not np.isfinite([before, after, found.difference.value, found.difference.low]).all():
        return None
    d = found.difference
    return Drop(metric.name, metric.title, before, after, d.value, d.low, d.high)
