"""Can a model tell training rows from evaluation rows? After a random split it must not.

A small boosted model is cross-validated on the question which side a row is on, with copies and near copies kept in one
fold; the area under its ROC curve is given with DeLong's interval. Columns are looked at in a few bins each: the question
is whether the sides differ as a whole, and not whether an entity or a row can be recognised.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from modelwright.audit.context import Context
from modelwright.audit.finding import Finding, Severity
from modelwright.features.encoder import Encoder
from modelwright.learners import registry as learners
from modelwright.metrics import registry as metrics
from modelwright.metrics.intervals import interval
from modelwright.tables.conform import conform
from modelwright.tables.schema import Column, Schema

_MIN_ROWS = 50
#: Cells that the model sees, and rows of each side at most and at least.
_CELLS, _MOST_ROWS, _FEWEST_ROWS = 300_000, 6_000, 300
_MOST_COLUMNS = 150
_FOLDS = 3
#: Bins of a column: rows of one entity cannot be told apart in so few.
_BINS = 12
_PARAMS = {"n_estimators": 40, "learning_rate": 0.1, "num_leaves": 8, "min_data_in_leaf": 20}
#: An audit is run often: once in a thousand a random split may look like none.
_LEVEL = 0.999
#: Besides being beyond chance, the difference must be of a size that matters: a split brought along may keep together
#: entities that nobody declared, and a few of them on one side already move the area a little.
_AUC, _DIFFERENT = 0.55, 0.7


def check(context: Context) -> list[Finding]:
    """Training rows against evaluation rows."""
    if context.evaluation is None or min(context.n_rows, context.evaluation.height) < _MIN_ROWS:
        return []
    columns = tuple(c for c in context.present if c.type != "text" and c.name in context.evaluation.columns)
    columns = columns[:: max(1, -(-len(columns) // _MOST_COLUMNS))]
    if not columns:
        return []
    rows, side, units = _rows(context, len(columns))
    frame = context.row_copies.frame.select([c.name for c in columns])[rows]
    schema = Schema(tuple(Column(c.name, "number", "feature") for c in columns))
    cells = _binned(conform(frame, Schema(columns), columns=columns)[0])
    fold = np.random.default_rng(0).permutation(int(units.max()) + 1)[units] % _FOLDS
    proba, gains = np.zeros(len(side)), np.zeros(len(columns))
    for k in range(_FOLDS):
        training, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        if len(np.unique(side[training])) < 2 or not len(held):
            return []
        encoder = Encoder.fit(cells[training], schema)
        if not (encoder.layout.numeric or encoder.layout.codes):
            return []
        learner = learners.create("lightgbm", _PARAMS, task="binary", n_classes=2, seed=0)
        learner.fit(encoder.transform(cells[training]), side[training])
        answer = np.asarray(learner.predict(encoder.transform(cells[held])))
        proba[held] = answer[:, 1] if answer.ndim == 2 else answer
        gains += _lost_without(learner, encoder, cells[held], side[held], [c.name for c in columns], proba[held])
    metric = metrics.get("roc_auc", "binary")
    found = interval(metric, side, np.column_stack([1 - proba, proba]), groups=units, level=_LEVEL)
    return _finding(context, found.value, found.low, found.high, _carriers(columns, gains)) if found.low > 0.5 else []


def _rows(context: Context, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of a sample of both sides, which side each is on (1: evaluation), and its set of near copies."""
    copies = context.row_copies
    most = min(_MOST_ROWS, max(_FEWEST_ROWS, _CELLS // (2 * width)))
    rng = np.random.default_rng(0)
    sides = (np.arange(copies.n_training), np.arange(copies.n_training, copies.frame.height))
    rows = np.concatenate([np.sort(rng.choice(s, most, replace=False)) if len(s) > most else s for s in sides])
    return rows, (rows >= copies.n_training).astype(np.int64), copies.near.units[rows]


def _binned(frame: pl.DataFrame) -> pl.DataFrame:
    """Each column as the number of its bin: quantiles, or frequent levels; a gap is a bin of its own."""
    result = {}
    for name in frame.columns:
        cells = frame[name]
        if cells.dtype == pl.String:
            codes = cells.rank("dense").fill_null(0).to_numpy().astype(np.int64)
            counts = np.bincount(codes)
            frequent = np.sort(np.argsort(-counts, kind="stable")[:_BINS])
            number = np.full(len(counts), _BINS + 1)
            number[frequent] = np.arange(len(frequent))
            result[name] = number[codes].astype(np.float64)
        else:
            x = cells.to_physical().cast(pl.Float64).fill_null(float("nan")).to_numpy()
            filled = x[np.isfinite(x)]
            edges = np.unique(np.quantile(filled, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(filled) else np.zeros(0)
            result[name] = np.where(np.isnan(x), -1.0, np.searchsorted(edges, x, side="right"))
    return pl.DataFrame(result)


def _lost_without(
    learner: object, encoder: Encoder, cells: pl.DataFrame, side: np.ndarray, names: list[str], proba: np.ndarray
) -> np.ndarray:
    """Area lost when each column is shuffled; zeros where the model tells nothing anyway."""
    metric = metrics.get("roc_auc", "binary")
    whole = metrics.score(metric, side, np.column_stack([1 - proba, proba])) if len(np.unique(side)) == 2 else 0.5
    if whole < _AUC:
        return np.zeros(len(names))
    rows = np.random.default_rng(1).permutation(cells.height)
    lost = []
    for name in names:
        mixed = cells.with_columns(cells[name][rows])
        answer = np.asarray(learner.predict(encoder.transform(mixed)))  # type: ignore[attr-defined]
        shuffled = answer[:, 1] if answer.ndim == 2 else answer
        lost.append(whole - metrics.score(metric, side, np.column_stack([1 - shuffled, shuffled])))
    return np.array(lost)


def _carriers(columns: tuple[Column, ...], gains: np.ndarray) -> list[tuple[str, float]]:
    order = np.argsort(-gains)[:3]
    return [(columns[k].name, float(gains[k]) / _FOLDS) for k in order if gains[k] > 0]


def _finding(context: Context, auc: float, low: float, high: float, carriers: list[tuple[str, float]]) -> list[Finding]:
    by_role = context.time is not None or context.group is not None
    outside = context.evaluation_rows is None
    if auc < _AUC:
        return []
    severity: Severity = "info"
    if not by_role:
        severity = ("warning" if auc >= _DIFFERENT else "info") if outside else "critical" if low > _AUC else "info"
    names = ", ".join(f"{name!r}" for name, _ in carriers)
    carried = f", most of all by {names}" if carriers else ""
    why = (
        "The rows are divided by time or by entity, so some difference is to be expected."
        if by_role
        else "They come from a table of their own: is it drawn from the same cases?"
        if outside
        else "A random split would make them alike: the rows are not divided at random."
    )
    return [
        Finding(
            check="train_evaluation_difference",
            severity=severity,
            message=f"A model tells evaluation rows from training rows (AUC {auc:.3f}, {low:.3f} to {high:.3f}){carried}. "
            f"{why}",
            evidence={
                "auc": round(auc, 4),
                "low": round(low, 4),
                "high": round(high, 4),
                "carried_by": {name: round(lost, 4) for name, lost in carriers},
            },
            mend="The score is that of other cases than those trained on. If that is meant, name the time or group that "
            "divides the rows; else divide them at random.",
        )
    ]
