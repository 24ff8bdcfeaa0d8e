"""Exact and near copies among training and evaluation rows, and how many would cross a split by chance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from modelwright.splits.near import NearUnits, near_units
from modelwright.splits.units import equal_rows
from modelwright.tables.conform import conform

if TYPE_CHECKING:
    from modelwright.audit.context import Context

#: Rows whose near copies are looked for: more would take longer than the rest of the audit.
_MAX_NEAR = 1_500_000
#: From so many rows on, so many grids are enough: the audit asks how many rows cross, not for each of them.
_MANY, _PASSES = 50_000, 5


@dataclass(frozen=True)
class RowCopies:
    """Copies among training rows and, below them, evaluation rows.

    Parameters
    ----------
    frame : DataFrame of n + m rows
        Features of both.
    n_training : int
    when, entity : ndarray of shape (n,), optional
        Time and entity of the training rows, for what would cross by chance.
    """

    frame: pl.DataFrame
    n_training: int
    when: np.ndarray | None
    entity: np.ndarray | None

    @cached_property
    def exact(self) -> np.ndarray:
        """Number of the set of equal rows of each row."""
        if not self.frame.width:
            return np.arange(self.n_training)
        return equal_rows(self.frame, self.frame.columns)

    @cached_property
    def near(self) -> NearUnits:
        """Units of near copies; of a table too long for the search those of exact ones."""
        if not self.frame.width:
            return NearUnits(self.exact, 0, 0, len(self.exact), "there is nothing to compare")
        n = self.frame.height
        passes = None if n <= _MANY else _PASSES if n <= _MAX_NEAR else 0
        return near_units(self.frame, self.frame.columns, passes=passes)

    def crossing(self, units: np.ndarray) -> np.ndarray:
        """Which evaluation rows share a unit with a training row."""
        return shared(units[: self.n_training], units[self.n_training :])

    def by_chance(self, units: np.ndarray) -> float:
        """Share that would cross if part of the training rows were the evaluation rows.

        The part is divided off as the roles would: the latest rows, whole entities, or each row by itself.
        """
        return self._by_chance(units, np.arange(self.n_training))

    @cached_property
    def near_by_chance(self) -> float:
        """The same for near copies, among distinct rows."""
        return self._by_chance(self.near.units, np.sort(np.unique(self.exact[: self.n_training], return_index=True)[1]))

    @cached_property
    def distinct(self) -> np.ndarray:
        """Positions of training rows of which no other is a copy or near copy, the first of each set."""
        return np.sort(np.unique(self.near.units[: self.n_training], return_index=True)[1])

    def _by_chance(self, units: np.ndarray, rows: np.ndarray) -> float:
        n = len(rows)
        m = max(1, min(self.frame.height - self.n_training, n // 3))
        if self.when is not None:
            order = np.argsort(np.nan_to_num(self.when[rows], nan=-np.inf), kind="stable")
        elif self.entity is not None:
            mixed = np.random.default_rng(0).permutation(int(self.entity.max(initial=0)) + 1)
            order = np.argsort(mixed[self.entity[rows]], kind="stable")
        else:
            # One row at a time against all others, for fewer rows would share less.
            among = units[rows]
            return float((np.bincount(among)[among] > 1).mean())
        units = units[rows[order]]
        return float(shared(units[: n - m], units[n - m :]).mean())


def row_copies(context: Context) -> RowCopies:
    """Compare the features that training and evaluation rows have in common."""
    names = [c.name for c in context.present if context.evaluation is None or c.name in context.evaluation.columns]
    frame, n_training = joined(context, names)
    return RowCopies(frame, n_training, context.time, context.group)


def joined(context: Context, names: list[str]) -> tuple[pl.DataFrame, int]:
    """Columns of training rows and, below them, of evaluation rows, and how many are training rows.

    Where the two differ in the type of a column (evaluation rows of another file), both are read by the schema.
    """
    training = context.frame.select(names)
    if context.evaluation is None or not names:
        return training, context.n_rows
    evaluation = context.evaluation.select(names)
    if training.schema != evaluation.schema:
        read = tuple(context.schema[name] for name in names)
        training = conform(context.frame, context.schema, columns=read)[0]
        evaluation = conform(context.evaluation, context.schema, columns=read)[0]
    return pl.concat([training, evaluation]), training.height


def shared(units: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of ``others`` occur in ``units``; both hold numbers from 0."""
    seen = np.zeros(int(max(units.max(initial=0), others.max(initial=0))) + 1, dtype=bool)
    seen[units] = True
    return np.asarray(seen[others])
