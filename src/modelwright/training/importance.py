"""Which columns the model leans on, measured on validation rows that its strongest member did not train on."""

from __future__ import annotations

import numpy as np
import polars as pl

from modelwright.evaluation.importance import Importance, permutation_importance
from modelwright.features.encoder import Encoder
from modelwright.learners import registry
from modelwright.search.search import Search
from modelwright.training.prepare import Training
from modelwright.training.selection import Selection

MAX_ROWS = 2_000


def validation_importance(search: Search, selection: Selection, training: Training, *, time_limit_s: float) -> list[Importance]:
    """Permutation importance of the member with the largest weight, as it was fitted for validation.

    The final model has seen every training row, so its own importance on them would flatter memorised columns.
    """
    if training.y is None:
        return []
    candidate, fold = selection.members[0][0], selection.fallback_fold
    encoder = Encoder.load(search.encoding.views.path(search.view_of(fold, generated=candidate.generated)) / "encoder")
    learner = registry.load(candidate.algorithm, search.folder(candidate, fold) / "model")
    rows = (search.problem.probe if fold is None else search.problem.folds[fold]).validation
    if len(rows) > MAX_ROWS:
        rows = np.sort(np.random.default_rng(search.problem.seed).choice(rows, MAX_ROWS, replace=False))

    def predict(frame: pl.DataFrame) -> np.ndarray:
        return learner.predict(encoder.transform(frame))

    return permutation_importance(
        predict,
        training.frame[rows],
        training.y[rows],
        search.problem.metric,
        [column.name for column in training.schema.features],
        seed=search.problem.seed,
        repeats=3,
        time_limit_s=time_limit_s,
    )
