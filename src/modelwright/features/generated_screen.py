"""Which generated columns are kept, decided on training rows only.

1. On three quarters of a sample a quick boosted model ranks the columns of the table; `generated_candidates` builds on
   the best of them.
2. The statistics of all candidates are learned on one half of those rows, and a second model is fitted to the other
   half: it cannot learn from statistics what they know of its own rows. Shadows stand beside the candidates, which are
   candidates with their rows shuffled. Candidates that gain the model more than any shadow are kept, the best first.
3. A third model learns with the kept columns. Unless it predicts the last quarter clearly better than the first model,
   nothing is generated.

The statistics of the kept columns are then learned from all rows.

Notes
-----
The models draw one threshold a column and half of the columns a tree (extremely randomised boosting). Those are the
models that generated columns help: deep trees with the best thresholds find ratios and crosses by themselves, and
learn from target means, even out of fold ones, what does not hold for other rows. The bound of step 3 was read off
twelve tables of about 6,000 training rows: above 1.5 standard errors most gained (2 to 12 % of the loss of such models,
though one that drifts in time lost), below it few did. The same test with default boosting told nothing. Rows are drawn
without regard to time: what no longer holds later is for the validation of the search to find.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
import numpy as np

from modelwright.features.generated import Generator, Recipe
from modelwright.features.generated_candidates import KINDS, Kind, candidates
from modelwright.features.matrix import Matrix
from modelwright.learners.base import Learner
from modelwright.learners.lightgbm import LightGBM
from modelwright.tables.schema import Task

#: Rows that columns are ranked, screened and tried on.
_SAMPLE_ROWS = 20_000
#: Fewer rows than this tell nothing about columns made from them.
_FEWEST_ROWS = 200
#: Share of the sample that the kept columns are tried on.
_TRIED = 0.25
#: Rounds of the quick models. With K classes each round grows K trees, of which there are at most about so many.
_ROUNDS = 100
_MOST_TREES = 400
_FEWEST_ROUNDS = 20
#: Columns kept at most.
MAX_COLUMNS = 30
#: Shadows; the best of them is the bar.
_SHADOWS = 12
#: Settings of the model that ranks the columns of the table.
_RANKING = {"num_leaves": 31, "min_data_in_leaf": 20, "bagging_fraction": 0.8}
#: Settings of the other quick models.
_QUICK = {
    "extra_trees": True, "num_leaves": 31, "min_data_in_leaf": 3, "feature_fraction": 0.5, "bagging_fraction": 0.8,
}  # fmt: skip
#: The kept columns must lower the loss by this many standard errors of the paired differences.
_STANDARD_ERRORS = 1.5


def generate(
    X: Matrix,
    y: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    task: Task,
    n_classes: int,
    seed: int,
    kinds: Collection[Kind] = KINDS,
    max_columns: int = MAX_COLUMNS,
) -> tuple[Generator | None, Matrix]:
    """Choose columns to generate, learn them, and add them to the training rows.

    Parameters
    ----------
    X : Matrix of n rows
        Training rows.
    y : ndarray of shape (n,)
        Numbers in regression, class numbers otherwise.
    weight : ndarray of shape (n,), optional
        Row weights.
    task : {"binary", "multiclass", "regression", "clustering"}
    n_classes : int
        Not looked at in regression.
    seed : int
        Draws the sample, its parts, the shadows and the folds of target means.
    kinds : collection of str
        What may be generated; see `candidates`.
    max_columns : int, default=30
        Columns kept at most.

    Returns
    -------
    Generator or None
        None if nothing was found to help; always for clustering, which has no target.
    Matrix
        The rows with the generated columns, target means out of fold; ``X`` itself without a generator.
    """
    if task == "clustering" or X.n_rows < _FEWEST_ROWS or max_columns < 1:
        return None, X
    recipe = choose(X, y, weight, task=task, n_classes=n_classes, seed=seed, kinds=kinds, max_columns=max_columns)
    if recipe is None:
        return None, X
    generator, columns = Generator.learn(recipe, X, y, weight, task=task, n_classes=n_classes, seed=seed)
    return generator, generator.extend(X, columns)


def choose(
    X: Matrix,
    y: np.ndarray,
    weight: np.ndarray | None,
    *,
    task: Task,
    n_classes: int,
    seed: int,
    kinds: Collection[Kind] = KINDS,
    max_columns: int = MAX_COLUMNS,
) -> Recipe | None:
    """The recipe of the columns that help; see `generate` for the parameters."""
    rng = np.random.default_rng([seed, 83])
    order = rng.permutation(X.n_rows)[:_SAMPLE_ROWS]
    n_tried = int(len(order) * _TRIED)
    learned, tried = _part(X, y, weight, np.sort(order[n_tried:])), _part(X, y, weight, np.sort(order[:n_tried]))
    quick = _Quick(task, n_classes, seed)
    gain = quick.fit(*learned, _RANKING).importance()
    if gain is None:
        return None
    wanted = candidates(learned[0], gain, task=task, n_classes=n_classes, kinds=kinds)
    if not wanted.names:
        return None
    half = rng.permutation(learned[0].n_rows) % 2
    first, second = (_part(*learned, np.flatnonzero(half == number)) for number in (0, 1))
    generator, _ = Generator.learn(wanted, *first, task=task, n_classes=n_classes, seed=seed)
    names = _useful(quick, generator, second, rng, max_columns)
    if not names:
        return None
    recipe = wanted.only(set(names))
    generator, columns = Generator.learn(recipe, *learned, task=task, n_classes=n_classes, seed=seed)
    plain, richer = quick.fit(*learned, _QUICK), quick.fit(generator.extend(learned[0], columns), *learned[1:], _QUICK)
    saved = quick.losses(plain, *tried[:2]) - quick.losses(richer, generator.transform(tried[0]), tried[1])
    counts = np.ones(n_tried) if tried[2] is None or not tried[2].any() else tried[2]
    mean = np.average(saved, weights=counts)
    deviation = np.sqrt(np.average((saved - mean) ** 2, weights=counts))
    return recipe if mean > _STANDARD_ERRORS * deviation / np.sqrt(n_tried) else None


def _part(
    X: Matrix, y: np.ndarray, weight: np.ndarray | None, rows: np.ndarray
) -> tuple[Matrix, np.ndarray, np.ndarray | None]:
    return X.take(rows), np.asarray(y)[rows], None if weight is None else np.asarray(weight)[rows]


def _useful(
    quick: _Quick,
    generator: Generator,
    rows: tuple[Matrix, np.ndarray, np.ndarray | None],
    rng: np.random.Generator,
    most: int,
) -> list[str]:
    """Names of the candidates that gain more than any shadow, the most useful first."""
    X, y, weight = rows
    names = generator.recipe.names
    columns = generator.generate(X.numeric, X.codes)
    picked = rng.choice(len(names), min(_SHADOWS, len(names)), replace=False)
    shadows = columns[rng.permutation(X.n_rows)][:, picked]
    layout = msgspec.structs.replace(
        X.layout, numeric=(*X.layout.numeric, *names, *(f"shadow {number}" for number in range(len(picked))))
    )
    everything = Matrix(np.concatenate([X.numeric, columns, shadows], axis=1), X.codes, X.text, layout)
    gain = quick.fit(everything, y, weight, _QUICK).importance()
    if gain is None:
        return []
    start = X.numeric.shape[1]
    own, bar = gain[start : start + len(names)], gain[start + len(names) : start + len(names) + len(picked)].max()
    order = np.argsort(-own, kind="stable")[:most]
    return [names[number] for number in order if own[number] > bar]


class _Quick:
    """Small boosted models, all of one make, and the loss that they lower."""

    def __init__(self, task: Task, n_classes: int, seed: int) -> None:
        self._task, self._n_classes, self._seed = task, n_classes, seed
        rounds = _ROUNDS if task != "multiclass" else max(_FEWEST_ROUNDS, min(_ROUNDS, _MOST_TREES // max(n_classes, 1)))
        # Fewer rounds take larger steps, up to the largest that boosting bears.
        self._steps = {"n_estimators": rounds, "learning_rate": min(0.2, 15 / rounds)}

    def fit(self, X: Matrix, y: np.ndarray, weight: np.ndarray | None, settings: dict[str, Any]) -> Learner:
        learner = LightGBM(settings | self._steps, task=self._task, n_classes=self._n_classes, seed=self._seed)
        learner.fit(X, y, weight=weight)
        return learner

    def losses(self, learner: Learner, X: Matrix, y: np.ndarray) -> np.ndarray:
        """Squared errors, or minus the logarithms of the probabilities of the true classes; shape (n,)."""
        found = learner.predict(X)
        if self._task == "regression":
            return np.asarray((found - y) ** 2)
        return -np.log(np.maximum(found[np.arange(len(y)), y.astype(np.int64)], 1e-9))
