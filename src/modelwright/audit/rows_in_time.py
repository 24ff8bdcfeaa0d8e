"""The rows in the order of time, entity by entity: what comes before and after each of them.

Evaluation rows keep their places, empty, where they come from the same table: otherwise the row after next would pass for
the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from modelwright.audit.context import Context
from modelwright.splits.units import group_units

#: Places of the stretch that is looked at.
_MOST_PLACES = 20_000


@dataclass(frozen=True)
class Sequence:
    """L places one after another.

    ``rows`` holds the training row at each place, -1 for none; ``entity`` the group; ``y`` the target, NaN for none.
    """

    rows: np.ndarray
    entity: np.ndarray
    y: np.ndarray

    def lay(self, values: np.ndarray) -> np.ndarray:
        """Values of the training rows in ``rows[rows >= 0]`` order, put in their places."""
        placed = np.full(len(self.rows), np.nan)
        placed[self.rows >= 0] = values
        return placed

    def shifted(self, values: np.ndarray, step: int) -> np.ndarray:
        """The value ``step`` places later (earlier if negative) of the same entity, NaN where there is none."""
        moved = np.full(len(values), np.nan)
        n = len(values)
        if abs(step) >= n:
            return moved
        here, there = slice(max(0, -step), n - max(0, step)), slice(max(0, step), n + min(0, step))
        moved[here] = np.where(self.entity[here] == self.entity[there], values[there], np.nan)
        return moved


def in_time(context: Context) -> Sequence:
    """The rows by entity and time; in the order of the file where no time is declared.

    Of a long table a stretch from the middle is taken, which leaves neighbours neighbours.
    """
    assert context.y is not None
    n = context.n_rows
    numbers, time, group = context.rows, context.time, context.group
    rows = np.arange(n)
    if context.evaluation is not None and context.evaluation_rows is not None:
        sealed = len(context.evaluation_rows)
        numbers = np.concatenate([numbers, context.evaluation_rows])
        rows = np.concatenate([rows, np.full(sealed, -1)])
        if time is not None:
            later = context.evaluation_time
            time = np.concatenate([time, np.full(sealed, np.nan) if later is None else later])
        name = context.group_name
        if name is not None and name in context.evaluation.columns:
            both = pl.concat([context.frame.select(name), context.evaluation.select(name)], how="vertical_relaxed")
            group = group_units(both[name])
        elif group is not None:
            group = np.concatenate([group, group.max() + 1 + np.arange(sealed)])
    entity = np.zeros(len(rows), dtype=np.int64) if group is None else group
    if time is None:
        order = np.lexsort((numbers, entity))
        if group is None:
            # A gap in the numbering is a row that was left out.
            entity = np.empty_like(entity)
            entity[order] = np.cumsum(np.diff(numbers[order], prepend=numbers[order[0]]) > 1)
    else:
        order = np.lexsort((numbers, time, entity))
        order = order[~np.isnan(time[order])]
    entity_in_order = entity[order]
    if len(order) > _MOST_PLACES:
        start = (len(order) - _MOST_PLACES) // 2
        if time is not None and group is None:
            # A split by time seals the latest rows, and their places are empty.
            start = min(start, max(0, int((rows >= 0).sum()) - _MOST_PLACES))
        part = slice(start, start + _MOST_PLACES)
        order, entity_in_order = order[part], entity_in_order[part]
    placed = rows[order]
    y = np.where(placed >= 0, context.y[np.maximum(placed, 0)].astype(np.float64), np.nan)
    return Sequence(placed, entity_in_order, y)
