"""The reference for monitoring, from training rows and the answers that members gave to rows they had not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from modelwright.artifacts.model import Model
from modelwright.artifacts.reference import MOST_COLUMNS, MOST_ROWS, Reference, packed, reference_of
from modelwright.ensembles.limits import ModelLimits
from modelwright.tables.profile import KNOTS, comparable, profile_of
from modelwright.tables.profile import MOST_ROWS as PROFILE_ROWS
from modelwright.training.prepare import Training
from modelwright.training.selection import Selection

#: Share of a size asked for that the reference may take.
SHARE = 0.1


def training_reference(model: Model, training: Training, selection: Selection, *, drawn: bool = False) -> Reference:
    """Describe the training rows, and the answers of members to rows that they were not fitted on.

    The members of the delivered model have seen every training row, so their own answers to them would look surer than
    those to later rows; out-of-fold answers do not. Clusters have none, and are described by the model's own.

    Parameters
    ----------
    model : Model
    training : Training
    selection : Selection
        With out-of-fold predictions, unless the task is clustering.
    drawn : bool, default=False
        The training rows are a sample of a larger table in which rare classes were drawn more often; their weights say
        how many rows each stands for. Later rows come as they were in the table, so rows are chosen by these weights.
    """
    frame, columns, oof = training.frame, training.schema.features, selection.out_of_fold
    weight = training.weight if drawn else None
    classes: Sequence[Any] = model.classes_.tolist()
    if weight is not None:
        frame = frame[by_weight(weight, min(frame.height, PROFILE_ROWS))]
    if oof is None:
        rows = _evenly(frame.height, MOST_ROWS)
        held = frame[rows]
        answers, y = model.raw_conformed(held), None
        made_of = f"{len(rows):,} training rows with the model's own answers"
    else:
        order = np.argsort(oof.rows, kind="stable")
        if weight is not None:
            order = order[by_weight(weight[oof.rows[order]], len(order))]
        rows, answers = oof.rows[order], oof.prediction[order]
        held = training.frame[rows]
        y = None if training.y is None else training.y[rows]
        made_of = f"{len(rows):,} training rows, answered by members that had not seen them"
    profile = profile_of(frame, columns, answers=answers, task=model.task, classes=classes)
    cells = {column.name: made for column in columns if (made := comparable(held, column)) is not None}
    return reference_of(profile, held, cells, answers, y, made_of)


def likely_bytes(n_rows: int, n_columns: int) -> int:
    """About what a reference takes, before there is one."""
    rows = min(n_rows, MOST_ROWS)
    return min(n_rows, KNOTS) * 8 * n_columns + rows * (12 + min(n_columns, MOST_COLUMNS) // 2) + 300 * n_columns


def within_size(reference: Reference, limits: ModelLimits | None) -> bool:
    """Whether it takes no more than a tenth of the size that the package may have."""
    most = None if limits is None else limits.size_bytes
    return most is None or sum(map(len, packed(reference).values())) <= SHARE * most


def by_weight(weight: np.ndarray, n: int) -> np.ndarray:
    """Places of n rows, each as often as its weight asks, in their order.

    Examples
    --------
    >>> by_weight(np.array([1.0, 2.0, 1.0]), 4).tolist()
    [0, 1, 1, 2]
    """
    ends = np.cumsum(weight)
    return np.searchsorted(ends, ends[-1] * (np.arange(n) + 0.5) / n)


def _evenly(n: int, most: int) -> np.ndarray:
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(np.int64)
