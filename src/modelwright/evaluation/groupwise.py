"""Metrics told apart by the values of a column: who the model serves worse."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
import polars as pl

from modelwright.metrics.estimate import Interval
from modelwright.metrics.intervals import interval
from modelwright.metrics.metric import Metric

#: A group of fewer rows is shown as unknown: its interval would mislead more than inform.
FEWEST_ROWS = 50
_MOST_GROUPS = 12
_BINS = 4


class GroupScore(msgspec.Struct, frozen=True):
    """Metrics of one group; ``metrics`` is empty if it has too few rows."""

    group: str
    n_rows: int
    metrics: dict[str, Interval]


class Groupwise(msgspec.Struct, frozen=True):
    """Metrics by the values of one column.

    ``gaps`` holds, for each metric, the largest difference between two groups, and whether the intervals of those
    two are apart.
    """

    column: str
    groups: list[GroupScore]
    gaps: dict[str, float]
    apart: dict[str, bool]


def groupwise(
    cells: pl.Series,
    y: np.ndarray,
    prediction: np.ndarray,
    metrics: list[Metric],
    *,
    threshold: float | None = None,
    clusters: np.ndarray | None = None,
) -> Groupwise:
    """Metrics within each value of a column.

    Parameters
    ----------
    cells : Series of n rows
        Numbers with many values are cut into quarters; rare values are counted together as "other".
    y, prediction : ndarray of n rows
    metrics : list of Metric
    threshold : float, optional
    clusters : ndarray of shape (n,), int, optional
        Unit of each row, where rows are not independent.

    Returns
    -------
    Groupwise
        Largest groups first.
    """
    names = _names(cells)
    sizes = names.value_counts(name="n").sort(["n", names.name], descending=[True, False])
    groups = []
    for name in sizes[names.name].to_list():
        rows = (names == name).to_numpy()
        scores: dict[str, Interval] = {}
        for metric in metrics if rows.sum() >= FEWEST_ROWS else ():
            units = None if clusters is None else clusters[rows]
            found = interval(metric, y[rows], prediction[rows], groups=units, threshold=threshold)
            if np.isfinite([found.value, found.low, found.high]).all():
                scores[metric.name] = Interval(found.value, found.low, found.high)
        groups.append(GroupScore(name, int(rows.sum()), scores))
    gaps, apart = {}, {}
    for metric in metrics:
        known = [g.metrics[metric.name] for g in groups if metric.name in g.metrics]
        if len(known) > 1:
            least, most = min(known, key=lambda i: i.value), max(known, key=lambda i: i.value)
            gaps[metric.name] = most.value - least.value
            apart[metric.name] = least.high < most.low
    return Groupwise(str(cells.name), groups, gaps, apart)


def _names(cells: pl.Series) -> pl.Series:
    """Group of each row as text."""
    if cells.dtype.is_numeric() and cells.n_unique() > _MOST_GROUPS:
        numbers = cells.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        filled = numbers[np.isfinite(numbers)]
        edges = np.unique(np.quantile(filled, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(filled) else np.zeros(0)
        bounds = [filled.min(), *edges, filled.max()] if len(filled) else [0.0, 0.0]
        words = np.array([f"{low:.6g} to {high:.6g}" for low, high in pairwise(bounds)])
        named = words[np.minimum(np.searchsorted(edges, numbers, side="right"), len(words) - 1)]
        return pl.Series("group", np.where(np.isfinite(numbers), named, "missing"))
    if cells.dtype == pl.Object:
        cells = pl.Series(cells.name, [None if v is None else str(v) for v in cells.to_list()])
    texts = cells.cast(pl.String).fill_null("missing").alias("group")
    kept = texts.value_counts(name="n").sort(["n", "group"], descending=[True, False]).head(_MOST_GROUPS)["group"]
    return texts.to_frame().select(pl.when(pl.col("group").is_in(kept.to_list())).then("group").otherwise(pl.lit("other")))[
        "group"
    ]
