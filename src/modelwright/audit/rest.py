"""How well other columns together predict the target: what a strong column must be measured against.

An honest strong column is rarely alone: what it says, others say too (carat, and length, width and depth of a
diamond). A small boosted model on the other columns, cross-fitted in the folds of the comparison, says how well.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from modelwright.audit.association import order_effect
from modelwright.features.encoder import Encoder
from modelwright.learners import registry as learners
from modelwright.tables.schema import Schema

if TYPE_CHECKING:
    from modelwright.audit.context import Context

#: Cells and rows that the model is fitted on; the gap between a column and the rest is coarse, not a score.
_CELLS, _MOST_ROWS, _FEWEST_ROWS = 150_000, 3_000, 400
_PARAMS = {"learning_rate": 0.15, "num_leaves": 15, "min_data_in_leaf": 10}
#: Trees in all; many classes share them.
_TREES, _LEAST_TREES, _MOST_TREES = 160, 10, 40
#: Parts that are predicted in turn: folds 0 and 1, 2 and 3, and 4.
_PARTS = 3
#: Columns beyond these are left out, evenly: a model of hundreds would take too long.
_MOST_COLUMNS = 150


def rest_effect(context: Context, without: Collection[str]) -> float:
    """Effect of the cross-fitted prediction from all features but some.

    Parameters
    ----------
    context : Context
    without : names of the columns to leave out

    Returns
    -------
    float
        On the scale of `association`; 0.0 if no feature is left.
    """
    compared = context.compared
    columns = tuple(column for column in context.present if column.name not in without)
    columns = columns[:: max(1, len(columns) // _MOST_COLUMNS)]
    if not columns:
        return 0.0
    most = min(_MOST_ROWS, max(_FEWEST_ROWS, _CELLS // len(columns)))
    picked = np.linspace(0, compared.n - 1, min(most, compared.n)).astype(np.int64)
    frame = context.features_and_target()[0][picked].select([column.name for column in columns])
    y, parts = compared.y[picked], compared.folds[picked] * _PARTS // 5
    targets = compared.targets[:, picked]
    n_classes = int(context.y.max()) + 1 if compared.classification and context.y is not None else 0
    n_trees = min(_MOST_TREES, max(_LEAST_TREES, _TREES // max(1, n_classes)))
    predicted = np.zeros(targets.shape)
    classes = _target_classes(compared.y) if compared.classification else []
    for part in range(_PARTS):
        training, test = np.flatnonzero(parts != part), np.flatnonzero(parts == part)
        if not len(training) or not len(test) or len(np.unique(y[training])) < 2:
            continue
        cells = frame[training]
        encoder = Encoder.fit(cells, Schema(columns))
        if not (encoder.layout.numeric or encoder.layout.codes or encoder.layout.text_terms):
            return 0.0
        learner = learners.create(
            "lightgbm", {**_PARAMS, "n_estimators": n_trees}, task=context.task, n_classes=n_classes, seed=0
        )
        learner.fit(encoder.transform(cells), y[training])
        answer = np.asarray(learner.predict(encoder.transform(frame[test])))
        if answer.ndim == 1:
            predicted[:, test] = answer
        else:
            predicted[:, test] = answer[:, classes].T
    effects = [
        order_effect(prediction, target[np.newaxis], classification=compared.classification)
        for prediction, target in zip(predicted, targets, strict=True)
    ]
    return float(np.mean(effects))


def _target_classes(y: np.ndarray) -> list[int]:
    """Class of each row of `association.indicators`."""
    codes, counts = np.unique(y, return_counts=True)
    if len(codes) <= 2:
        return [int(codes[-1])]
    return [int(code) for code in codes[np.argsort(-counts, kind="stable")[:10]]]
