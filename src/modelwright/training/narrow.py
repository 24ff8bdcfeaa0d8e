"""Feature selection as a step of training: the same training rows with fewer columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from modelwright.features.selection import choose_columns
from modelwright.spec import Spec
from modelwright.splits.inside import training_folds
from modelwright.splits.near import NearUnits
from modelwright.splits.partition import Fold
from modelwright.training.prepare import Facts, Training


def narrowed(
    training: Training,
    table: Facts,
    spec: Spec,
    copies: NearUnits,
    *,
    groups: np.ndarray | None = None,
    when: np.ndarray | None = None,
) -> tuple[Training, list[str], str]:
    """Leave out columns that do not help on the validation rows of the fold that the search begins with.

    Parameters
    ----------
    training : Training
    table : Facts
    spec : Spec
    copies : NearUnits
        Rows that folds keep together.
    groups, when : ndarray of shape (n,), optional
        What makes training rows dependent: entities, or time.

    Returns
    -------
    tuple of Training, list of str, str
        Training rows whose schema ignores the columns left out; their names; and what was done, as a note.
    """
    folds = training_folds(
        training.raw,
        training.split,
        features=[column.name for column in training.schema.features],
        y=training.y,
        task=table.task,
        time=spec.time,
        group=spec.group,
        gap=spec.gap,
        seed=spec.seed,
        units=copies,
    )
    return select_columns(training, table, folds[0], groups=groups, when=when, seed=spec.seed)


def select_columns(
    training: Training,
    table: Facts,
    fold: Fold,
    *,
    groups: np.ndarray | None = None,
    when: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[Training, list[str], str]:
    """Leave out columns that do not help on the validation rows of a fold.

    Parameters
    ----------
    training : Training
    table : Facts
    fold : Fold
        Rows that train and validate; positions among the training rows.
    groups, when : ndarray of shape (n,), optional
        What makes training rows dependent: entities, or time.
    seed : int, default=0

    Returns
    -------
    tuple of Training, list of str, str
        As `narrowed`.
    """
    choice = choose_columns(
        training.frame,
        training.schema,
        training.y,
        fold.training,
        fold.validation,
        table.task,
        len(table.classes),
        weight=training.weight,
        groups=groups,
        blocks=when,
        seed=seed,
    )
    return replace(training, schema=choice.schema), choice.left_out, choice.sentence
