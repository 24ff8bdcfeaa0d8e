"""What every check looks at: training rows as read, their schema, and the encoded target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from modelwright.audit.compared import Compared, compare
from modelwright.audit.row_copies import RowCopies, row_copies
from modelwright.audit.standing import Standing, standings
from modelwright.audit.ties import Ties
from modelwright.splits.order import time_values
from modelwright.splits.units import group_units
from modelwright.tables.conform import conform
from modelwright.tables.schema import Column, Schema, Task

#: Rows of the sample on which distributions are looked at; counts of gaps and duplicates use all rows.
SAMPLE_ROWS = 50_000
#: Cells of the sample on which columns are compared with the target, and the rows it has at most and at least.
_TARGET_CELLS = 600_000
_TARGET_ROWS = 20_000
_MIN_TARGET_ROWS = 2_000


@dataclass(frozen=True)
class Context:
    """Input of every check.

    Parameters
    ----------
    frame : DataFrame of n rows
        Training rows as read.
    schema : Schema
    y : ndarray of shape (n,) or None
        Encoded target; None for clustering.
    task : {"binary", "multiclass", "regression", "clustering"}
    rows : ndarray of shape (n,)
        Number of each row in the table as read.
    classes : tuple
        Labels of the classes, for messages; empty if unknown.
    evaluation : DataFrame, optional
        Evaluation rows as read, *without their target*: for what crosses the split.
    evaluation_rows : ndarray, optional
        Their numbers in the table as read; None if they come from a table of their own.
    known : tuple of str
        Time columns whose moments are known beforehand.
    available : dict
        Column -> the column that holds when its value became known.
    """

    frame: pl.DataFrame
    schema: Schema
    y: np.ndarray | None
    task: Task
    rows: np.ndarray
    classes: tuple[Any, ...] = ()
    evaluation: pl.DataFrame | None = None
    evaluation_rows: np.ndarray | None = None
    known: tuple[str, ...] = ()
    available: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def time(self) -> np.ndarray | None:
        """When each row happened, NaN where unknown; None without a time column."""
        return self._time_of(self.frame)

    @cached_property
    def evaluation_time(self) -> np.ndarray | None:
        """The same for the evaluation rows."""
        return None if self.evaluation is None else self._time_of(self.evaluation)

    @cached_property
    def group_name(self) -> str | None:
        """The declared group column, if the frame holds it."""
        return next((c.name for c in self.schema.with_role("group") if c.name in self.frame.columns), None)

    @cached_property
    def group(self) -> np.ndarray | None:
        """Number of the entity of each row, 0 and up; None without a group column."""
        return None if self.group_name is None else group_units(self.frame[self.group_name])

    def _time_of(self, frame: pl.DataFrame) -> np.ndarray | None:
        name = next((c.name for c in self.schema.with_role("time") if c.name in frame.columns), None)
        return None if name is None else time_values(frame[name])

    @cached_property
    def row_copies(self) -> RowCopies:
        """Exact and near copies among training and evaluation rows."""
        return row_copies(self)

    @property
    def n_rows(self) -> int:
        return self.frame.height

    @property
    def present(self) -> tuple[Column, ...]:
        """Features that the frame holds."""
        names = set(self.frame.columns)
        return tuple(column for column in self.schema.features if column.name in names)

    @cached_property
    def sample(self) -> np.ndarray:
        """Positions of at most `SAMPLE_ROWS` rows, ascending."""
        return _draw(self.n_rows, SAMPLE_ROWS)

    @cached_property
    def sampled(self) -> pl.DataFrame:
        """Raw cells of the sample."""
        return self.frame if len(self.sample) == self.n_rows else self.frame[self.sample]

    @cached_property
    def read(self) -> tuple[pl.DataFrame, list[str]]:
        """Conformed features of the sample, and the messages of reading them."""
        return conform(self.sampled, self.schema, columns=self.present)

    @cached_property
    def target_sample(self) -> np.ndarray:
        """Positions inside the sample of the rows that are compared with the target."""
        limit = min(_TARGET_ROWS, max(_MIN_TARGET_ROWS, _TARGET_CELLS // max(1, len(self.present))))
        return _draw(len(self.sample), limit)

    def features_and_target(self) -> tuple[pl.DataFrame, np.ndarray]:
        """Conformed features and target of the rows that columns are compared with the target on."""
        if self.y is None:
            raise ValueError("clustering has no target")
        features = self.read[0][self.target_sample] if self.present else pl.DataFrame()
        return features, self.y[self.sample][self.target_sample]

    def read_rows(self, rows: np.ndarray) -> pl.DataFrame:
        """Conformed features of some rows."""
        return conform(self.frame[rows], self.schema, columns=self.present)[0]

    def label(self, code: int) -> str:
        """The label of a class in words."""
        return repr(self.classes[code]) if code < len(self.classes) else f"number {code}"

    def numbers_of(self, positions: np.ndarray) -> tuple[int, ...]:
        """Row numbers in the table as read, the first ten."""
        return tuple(int(row) for row in self.rows[positions[:10]])

    @cached_property
    def compared(self) -> Compared:
        """Features and identifiers beside the target, on the rows of `target_sample`."""
        if self.y is None:
            raise ValueError("clustering has no target")
        rows = self.sample[self.target_sample]
        features, y = self.features_and_target()
        keys = [column for column in self.schema.with_role("id") if column.name in self.frame.columns]
        return compare(
            features,
            self.present,
            {column: self.frame[column.name][rows] for column in keys},
            y,
            classification=self.task != "regression",
            rows=rows,
            group=None if self.group is None else self.group[rows],
            time=None if self.time is None else self.time[rows],
        )

    @cached_property
    def ties(self) -> Ties:
        """What columns have to do with each other once the target is known."""
        return Ties(self.compared)

    @cached_property
    def standings(self) -> tuple[Standing, ...]:
        """Effect, ties and lead of each column and each pattern of gaps, the strongest first."""
        return tuple(standings(self))


def _draw(n: int, limit: int) -> np.ndarray:
    """All positions, or a fixed random part: an audit must say the same thing twice."""
    if n <= limit:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, size=limit, replace=False))
