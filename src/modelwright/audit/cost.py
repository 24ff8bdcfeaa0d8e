"""What a finding costs: the score of a quick refit as the table stands, and with the mend.

The quick model is a small boosted ensemble, cross-validated on a sample of the training rows, with folds that follow
the declared roles. Its score is no promise about the final model; the *gap* shows what a score owes to a leak.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import msgspec
import numpy as np

from modelwright.audit.context import Context
from modelwright.audit.finding import Cost, Finding
from modelwright.features.encoder import Encoder
from modelwright.learners import registry as learners
from modelwright.metrics import registry as metrics
from modelwright.splits.folds import folds as make_folds
from modelwright.splits.partition import Fold
from modelwright.splits.units import group_units
from modelwright.tables.schema import Column, Schema

_CELLS, _MOST_ROWS, _FEWEST_ROWS = 400_000, 4_000, 500
_FOLDS = 3
_PARAMS = {"n_estimators": 50, "learning_rate": 0.12, "num_leaves": 15, "min_data_in_leaf": 10}
#: A sample of so few rows scores nothing.
_MIN_ROWS = 60


def costed(findings: Sequence[Finding], context: Context, *, most: int) -> list[Finding]:
    """The findings, each critical one or warning that has a mend with the cost of leaving it unmended.

    Parameters
    ----------
    findings : sequence of Finding
        The most severe first; the first ``most`` that can be mended by leaving columns out, or by keeping the rows of
        an entity together, are refitted.
    context : Context
        Training rows and target.
    most : int

    Returns
    -------
    list of Finding
        In the same order. Those that carry a cost already keep it.
    """
    if context.y is None or context.n_rows < _MIN_ROWS:
        return list(findings)
    quick = _Quick(context)
    result, left = [], most
    for finding in findings:
        fix = finding.fix
        wanted = finding.cost is None and finding.severity != "info" and fix is not None and left > 0
        cost = None
        if wanted and fix is not None and fix.exclude:
            cost = quick.without(fix.exclude)
        elif wanted and fix is not None and fix.group:
            cost = quick.by_group(fix.group)
        if cost is not None:
            left -= 1
            finding = msgspec.structs.replace(finding, cost=cost)
        result.append(finding)
    return result


class _Quick:
    """Cross-validated scores of the quick model on one sample of rows."""

    def __init__(self, context: Context) -> None:
        assert context.y is not None
        self.context = context
        n_rows = min(_MOST_ROWS, max(_FEWEST_ROWS, _CELLS // max(1, len(context.present))))
        self.rows = _sample(context, n_rows)
        self.frame = context.read_rows(self.rows)
        self.y = context.y[self.rows]
        self.n_classes = int(context.y.max()) + 1 if context.task != "regression" else 0
        self.metric = metrics.default_metric(context.task)

    def without(self, names: Sequence[str]) -> Cost | None:
        """Cost of columns; None if they are no features, or nothing else is left."""
        kept = tuple(column for column in self.context.present if column.name not in names)
        before = self.as_is
        if not kept or len(kept) == len(self.context.present) or before is None:
            return None
        after = self._score(kept, self._folds(None))
        if after is None:
            return None
        what = f"without {names[0]!r}" if len(names) == 1 else f"without these {len(names)} columns"
        return self._cost(before, after, f"with {'it' if len(names) == 1 else 'them'}", what)

    def by_group(self, name: str) -> Cost | None:
        """Cost of rows of one entity on both sides."""
        if name not in self.context.frame.columns:
            return None
        units = group_units(self.context.frame[name][self.rows])
        columns = tuple(column for column in self.context.present if column.name != name)
        if not columns:
            return None
        before, after = self._score(columns, self._folds(None)), self._score(columns, self._folds(units))
        if before is None or after is None:
            return None
        return self._cost(before, after, "in random folds", f"in folds that keep each {name!r} whole")

    def _cost(self, before: float, after: float, how: str, mended: str) -> Cost:
        title = self.metric.title
        sentence = f"{title} {before:.4g} {how}, {after:.4g} {mended} (quick refit on {len(self.rows):,} rows)."
        return Cost(metric=self.metric.name, as_is=before, mended=after, sentence=sentence)

    @cached_property
    def as_is(self) -> float | None:
        """Score of all columns in folds that follow the declared roles."""
        return self._score(self.context.present, self._folds(None))

    def _folds(self, units: np.ndarray | None) -> list[Fold]:
        context = self.context
        when = None if context.time is None else context.time[self.rows]
        if units is None and context.group is not None:
            units = context.group[self.rows]
        return make_folds(len(self.rows), y=self.y, task=context.task, units=units, time_rank=when, n_folds=_FOLDS, seed=0)

    def _score(self, columns: tuple[Column, ...], folds: list[Fold]) -> float | None:
        """Mean score over the folds, or None if no fold could be scored."""
        schema = Schema(columns)
        frame = self.frame.select([column.name for column in columns])
        scores = []
        for fold in folds:
            training = frame[fold.training]
            encoder = Encoder.fit(training, schema)
            layout = encoder.layout
            if not layout.numeric and not layout.codes and not layout.text_terms:
                continue
            learner = learners.create("lightgbm", _PARAMS, task=self.context.task, n_classes=self.n_classes, seed=0)
            learner.fit(encoder.transform(training), self.y[fold.training])
            prediction = learner.predict(encoder.transform(frame[fold.validation]))
            value = metrics.score(self.metric, self.y[fold.validation], prediction)
            if np.isfinite(value):
                scores.append(value)
        return float(np.mean(scores)) if scores else None


def _sample(context: Context, n_rows: int) -> np.ndarray:
    """Rows of the sample; whole entities where a group is declared, so that folds by group have something to keep."""
    n = context.n_rows
    if n <= n_rows:
        return np.arange(n)
    rng = np.random.default_rng(0)
    if context.group is None:
        return np.sort(rng.choice(n, n_rows, replace=False))
    order = rng.permutation(int(context.group.max()) + 1)[context.group]
    return np.sort(np.argsort(order, kind="stable")[:n_rows])
