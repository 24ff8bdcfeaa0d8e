"""Which columns can be left out: those that a quick model finds no better than shuffled copies of columns.

Every column gets a shadow, itself in another order of the rows [1]_. A boosted model learns from both; what it gains
from shadows it gains by chance. Columns that gain no more than chance are left out if a model without them predicts
validation rows no worse, by a paired comparison; otherwise all stay.

References
----------
.. [1] Kursa, Rudnicki, "Feature Selection with the Boruta Package", Journal of Statistical Software 36 (2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import polars as pl

from modelwright.features.encoder import Encoder
from modelwright.learners import registry as learners
from modelwright.learners.base import Learner
from modelwright.metrics import registry as metrics
from modelwright.metrics.paired import compare
from modelwright.tables.schema import Column, Schema, Task

_MOST_ROWS, _MOST_VALIDATION = 20_000, 10_000
#: Rows times columns: hundreds of columns are looked at on fewer rows.
_MOST_CELLS = 1_500_000
_FEWEST_ROWS = 200
_QUICK: dict[str, Any] = {"n_estimators": 80, "learning_rate": 0.1, "num_leaves": 15, "min_data_in_leaf": 20}
#: Half of the columns a tree, so that a column is not hidden for good behind its likes.
_RANKING: dict[str, Any] = {**_QUICK, "feature_fraction": 0.5}
#: A column of many values gains much by chance, so each is held against its own shadow. Columns of noise added to a
#: table mostly gained up to 1.5 times as much as their shadow, columns of the table itself mostly above twice as much.
_CLEARLY = 1.5
_DRAWS = 2
#: How much worse the fewer columns may look: a share of the loss, or of what the score lacks to its best.
_MARGIN = 0.005
_SHADOW = "shadow of "


@dataclass(frozen=True)
class Choice:
    """Columns that stay and those that go.

    ``schema`` has the columns left out as ignored, with the reason; ``sentence`` says what was done.
    """

    schema: Schema
    left_out: list[str]
    sentence: str


def choose_columns(
    frame: pl.DataFrame,
    schema: Schema,
    y: np.ndarray | None,
    training: np.ndarray,
    validation: np.ndarray,
    task: Task,
    n_classes: int,
    *,
    weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    blocks: np.ndarray | None = None,
    seed: int = 0,
) -> Choice:
    """Leave out columns that do not help on validation rows.

    Parameters
    ----------
    frame : DataFrame of n rows
        Conformed training rows.
    schema : Schema
    y : ndarray of shape (n,) or None
        Without a target nothing is left out.
    training, validation : ndarray of int
        Row positions of one fold; at most 20,000 and 10,000 of them are looked at.
    task : Task
    n_classes : int
        Read for classification only.
    weight : ndarray of shape (n,), optional
    groups, blocks : ndarray of shape (n,), optional
        What makes rows dependent, for the interval of the comparison: entities, or time.
    seed : int, default=0

    Returns
    -------
    Choice
        The same for the same arguments. Texts and the time column always stay.
    """
    asked = tuple(column for column in schema.features if column.type != "text")
    if y is None or len(asked) < 2 or min(len(training), len(validation)) < _FEWEST_ROWS:
        why = "there is no target" if y is None else "there are too few columns or rows to tell"
        return Choice(schema, [], f"No column was left out: {why}.")
    rng = np.random.default_rng([seed, 67])
    rows = _sample(rng, training, min(_MOST_ROWS, max(1_000, _MOST_CELLS // len(asked))))
    judged = _sample(rng, validation, _MOST_VALIDATION)
    quick = _Quick(frame, y, weight, rows, task, n_classes, seed)
    drawn = [quick.gains(asked, rng) for _ in range(_DRAWS)]
    gain, chance = (np.mean([draw[side] for draw in drawn], axis=0) for side in (0, 1))
    metric = metrics.default_metric(task)
    whole: np.ndarray | None = None
    tried: list[Column] = []
    # Few columns of a table without noise are of no use at all, so that the high bar has to be shown to do no harm; the
    # low one takes only what is no better than its own shadow.
    for bar, to_be_shown in ((_CLEARLY * np.maximum(chance, np.median(chance)), True), (chance, False)):
        gone = [column for column, gained, least in zip(asked, gain, bar, strict=True) if gained <= least]
        if not gone or gone == tried or len(gone) == len(asked):
            continue
        tried = gone
        if whole is None:
            whole = quick.predict(asked, judged)
        fewer = quick.predict([column for column in asked if column not in gone], judged)
        found = compare(
            metric,
            y[judged],
            fewer,
            whole,
            weight=None if weight is None else weight[judged],
            groups=None if groups is None else groups[judged],
            blocks=None if blocks is None else blocks[judged],
            seed=seed,
        ).difference
        score = metrics.score(metric, y[judged], whole)
        margin = _MARGIN * abs(metric.best - score if metric.greater_is_better else score)
        if found.low >= -margin or (not to_be_shown and found.value >= 0):
            return _without(schema, [column.name for column in gone], len(asked), metric.title, found.value, len(judged))
    return Choice(schema, [], f"No column was left out: all {len(asked)} help on validation rows, or cannot be told from it.")


class _Quick:
    """A small boosted model on one sample of the training rows."""

    def __init__(
        self,
        frame: pl.DataFrame,
        y: np.ndarray,
        weight: np.ndarray | None,
        rows: np.ndarray,
        task: Task,
        n_classes: int,
        seed: int,
    ) -> None:
        self.frame = frame
        self.rows = rows
        self.y = y[rows]
        self.weight = None if weight is None else weight[rows]
        self.task: Task = task
        self.n_classes = n_classes
        self.seed = seed

    def gains(self, columns: Sequence[Column], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """What the model gains from columns and from their shadows, each of shape (len(columns),)."""
        real = self.frame.select([column.name for column in columns])[self.rows]
        cells = real.with_columns(real[name][rng.permutation(real.height)].alias(_SHADOW + name) for name in real.columns)
        shadows = tuple(msgspec.structs.replace(column, name=_SHADOW + column.name) for column in columns)
        encoder, learner = self._fit(cells, (*columns, *shadows), _RANKING)
        gained = dict.fromkeys((column.name for column in (*columns, *shadows)), 0.0)
        importance = learner.importance()
        names = (*encoder.layout.numeric, *encoder.layout.codes)
        for name, value in zip(names, np.zeros(len(names)) if importance is None else importance, strict=True):
            gained[encoder.origin[name]] += float(value)
        found = np.array([[gained[column.name], gained[_SHADOW + column.name]] for column in columns])
        return found[:, 0], found[:, 1]

    def predict(self, columns: Sequence[Column], judged: np.ndarray) -> np.ndarray:
        """Predictions for rows of a model that reads these columns only."""
        cells = self.frame.select([column.name for column in columns])
        encoder, learner = self._fit(cells[self.rows], tuple(columns), _QUICK)
        return np.asarray(learner.predict(encoder.transform(cells[judged])), dtype=np.float64)

    def _fit(self, cells: pl.DataFrame, columns: tuple[Column, ...], params: dict[str, Any]) -> tuple[Encoder, Learner]:
        encoder = Encoder.fit(cells, Schema(columns), seed=self.seed)
        learner = learners.create("lightgbm", params, task=self.task, n_classes=self.n_classes, seed=self.seed)
        learner.fit(encoder.transform(cells), self.y, weight=self.weight)
        return encoder, learner


def _sample(rng: np.random.Generator, rows: np.ndarray, most: int) -> np.ndarray:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _without(schema: Schema, gone: list[str], n: int, title: str, difference: float, n_rows: int) -> Choice:
    said = "left out by feature selection: no better than a shuffled column"
    columns = tuple(
        msgspec.structs.replace(column, role="ignored", reason=f"{column.reason}; {said}") if column.name in gone else column
        for column in schema.columns
    )
    shown = ", ".join(map(repr, gone[:8])) + (f" and {len(gone) - 8} more" if len(gone) > 8 else "")
    one = len(gone) == 1
    spoken = title if title.isupper() or " AUC" in title else title.lower()
    sentence = (
        f"{len(gone)} of {n} columns {'is' if one else 'are'} left out, for a quick model gains no more from"
        f" {'it' if one else 'them'} than from shuffled columns: {shown}. Without {'it' if one else 'them'} its {spoken} on"
        f" {n_rows:,} validation rows is {'better' if difference > 0 else 'no worse'} ({difference:+.3g})."
    )
    return Choice(Schema(columns), gone, sentence)
