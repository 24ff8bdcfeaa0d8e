"""Rows in an order: what a random division gains over one that predicts later rows from earlier ones, and which columns
walk along the order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy.stats import rankdata

from modelwright.audit.association import quantile_codes
from modelwright.audit.refit import Drop, cross_fitted, drop_between

if TYPE_CHECKING:
    from modelwright.audit.context import Context

_CELLS, _MOST_ROWS, _FEWEST_ROWS = 200_000, 4_000, 500
_PARTS = 3
_EARLY = 2 / 3
_LEAST_GIVEN = 0.5


def sample_rows(context: Context, most: int | None = None) -> np.ndarray:
    """Positions of rows that a quick model is fitted on, ascending; of copies one, lest they decide the score."""
    limit = most or min(_MOST_ROWS, max(_FEWEST_ROWS, _CELLS // max(1, len(context.present))))
    rows = context.row_copies.distinct
    if len(rows) <= limit:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, limit, replace=False))


def forward_drop(context: Context, order: np.ndarray) -> Drop | None:
    """Scores of the latest third of the rows: trained on as many rows of all times, and on earlier rows only.

    Parameters
    ----------
    context : Context
    order : ndarray of shape (n,)
        Numbers that sort by time; NaN is left out.
    """
    assert context.y is not None
    rows = sample_rows(context)
    rows = rows[~np.isnan(order[rows])]
    if len(rows) < 60:
        return None
    rng = np.random.default_rng(0)
    rows = rows[np.lexsort((rng.random(len(rows)), order[rows]))]
    cut = int(_EARLY * len(rows))
    # Rows of one moment belong to one side.
    cut = int(np.searchsorted(order[rows], order[rows][cut], side="left")) or cut
    if cut < 30 or len(rows) - cut < 20:
        return None
    frame, y = context.read_rows(rows), context.y[rows]
    if context.task != "regression" and len(np.unique(y[:cut])) < 2:
        return None
    n_classes = int(context.y.max()) + 1 if context.task != "regression" else 0
    late = np.arange(cut, len(rows))
    part = rng.permutation(len(late)) % _PARTS
    mixed = []
    for k in range(_PARTS):
        rest = np.setdiff1d(np.arange(len(rows)), late[part == k])
        mixed.append((np.sort(rng.choice(rest, min(cut, len(rest)), replace=False)), late[part == k]))
    as_is = cross_fitted(frame, y, context.present, mixed, context.task, n_classes)
    mended = cross_fitted(frame, y, context.present, [(np.arange(cut), late)], context.task, n_classes)
    return drop_between(y, as_is, mended, context.task)


def walking_columns(context: Context, *, least: float) -> list[str]:
    """Features whose consecutive rows in the file are alike, beyond what a file sorted by the target makes of them.

    Parameters
    ----------
    context : Context
    least : float
        Correlation of consecutive rows; half as much must be left given the target.
    """
    assert context.y is not None
    if not context.present:
        return []
    n = context.n_rows
    # Consecutive rows, so a stretch of them rather than a drawn sample.
    stride = max(1, n // 20_000)
    rows = np.arange(0, n, stride)
    frame = context.frame.select([c.name for c in context.present])[rows]
    given = quantile_codes(context.y[rows]) if context.task == "regression" else context.y[rows].astype(np.int64)
    found = []
    for column in context.present:
        if column.type == "text":
            continue
        x = _ranks(frame[column.name])
        if x is None:
            continue
        # In a file sorted by the target strong columns walk as well, but for no other reason.
        if _serial(x - x.mean()) >= least and _serial(x - _means(x, given)) >= _LEAST_GIVEN * least:
            found.append(column.name)
    return found


def _serial(x: np.ndarray) -> float:
    """Correlation of consecutive values of a series of mean zero."""
    scale = float(x @ x)
    return float(x[1:] @ x[:-1]) / scale if scale > 0 else 0.0


def _ranks(cells: pl.Series) -> np.ndarray | None:
    if cells.dtype == pl.Object:
        return None
    if cells.dtype in (pl.Categorical, pl.Enum):
        cells = cells.cast(pl.String)
    ranks = cells.rank("average").fill_null(0.0).to_numpy().astype(np.float64)
    return ranks if ranks.min() < ranks.max() else None


def _means(x: np.ndarray, codes: np.ndarray) -> np.ndarray:
    counts = np.maximum(np.bincount(codes), 1)
    return np.asarray((np.bincount(codes, weights=x) / counts)[codes])


def ranks(values: np.ndarray) -> np.ndarray:
    """Place of each value in their order, from 0 to 1."""
    return np.asarray(rankdata(values) / max(1, len(values)))
