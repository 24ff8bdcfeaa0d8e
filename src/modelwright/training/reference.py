"""The reference for monitoring, from training rows and the answers that members gave to rows they had not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from modelwright.artifacts.model import Model
from modelwright.artifacts.reference import MOST_COLUMNS, MOST_ROWS, Reference, packed, reference_of
from modelwright.ensembles.limits import ModelLimits
from modelwright.tables.profile import KNOTS, comparable, profile_of
from modelwright.training.prepare import Training
from modelwright.training.selection import Selection

#: Share of a size asked for that the reference may take.
SHARE = 0.1


def training_reference(model: Model, training: Training, selection: Selection) -> Reference:
    """Describe the training rows, and the answers of members to rows that they were not fitted on.

    The members of the delivered model have seen every training row, so their own answers to them would look surer than
    those to later rows; out-of-fold answers do not. Clusters have none, and are described by the model's own.

    Parameters
    ----------
    model : Model
    training : Training
    selection : Selection
        With out-of-fold predictions, unless the task is clustering.
    """
    frame, columns, oof = training.frame, training.schema.features, selection.out_of_fold
    classes: Sequence[Any] = model.classes_.tolist()
    if oof is None:
        rows = _evenly(frame.height, MOST_ROWS)
        answers, y = model.raw_conformed(frame[rows]), None
        made_of = f"{len(rows):,} training rows with the model's own answers"
    else:
        order = np.argsort(oof.rows, kind="stable")
        rows, answers = oof.rows[order], oof.prediction[order]
        y = None if training.y is None else training.y[rows]
        made_of = f"{len(rows):,} training rows, answered by members that had not seen them"
    profile = profile_of(frame, columns, answers=answers, task=model.task, classes=classes)
    held = frame[rows]
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


def _evenly(n: int, most: int) -> np.ndarray:
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(np.int64)
