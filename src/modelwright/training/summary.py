"""What the training rows look like, in the few numbers that a model card asks for."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import polars as pl

#: Columns whose share of missing cells is listed; the rest is counted.
_MOST_COLUMNS = 30


class DataSummary(msgspec.Struct, frozen=True):
    """Training rows in numbers.

    ``target`` holds the rows of each class, or quantiles of a numeric target; ``missing`` the share of missing cells
    of the columns that have any, most first; ``missing_by_class`` the share of missing cells over all features.
    """

    n_rows: int
    target: dict[str, float]
    missing: dict[str, float]
    n_columns_with_missing: int
    missing_by_class: dict[str, float]


def summarise(frame: pl.DataFrame, y: np.ndarray | None, classes: list[Any]) -> DataSummary:
    """Count targets and gaps.

    Parameters
    ----------
    frame : DataFrame of n rows
        Conformed training rows.
    y : ndarray of shape (n,) or None
    classes : list
        Labels of the classes; empty for regression and clustering.
    """
    target: dict[str, float] = {}
    by_class: dict[str, float] = {}
    if y is not None and classes:
        counts = np.bincount(y, minlength=len(classes))
        target = {str(label): float(n) for label, n in zip(classes, counts, strict=True)}
    elif y is not None:
        points = {"minimum": 0.0, "lower quartile": 0.25, "median": 0.5, "upper quartile": 0.75, "maximum": 1.0}
        target = {name: float(np.quantile(y, q)) for name, q in points.items()}
        target |= {"mean": float(np.mean(y)), "standard deviation": float(np.std(y))}
    shares = {name: frame[name].null_count() / max(1, frame.height) for name in frame.columns}
    gaps = sorted(((name, share) for name, share in shares.items() if share > 0), key=lambda item: -item[1])
    if y is not None and gaps and 0 < len(classes) <= _MOST_COLUMNS:
        missing = frame.select(pl.mean_horizontal(pl.col(name).is_null() for name, _ in gaps)).to_series().to_numpy()
        scale = len(gaps) / max(1, frame.width)
        means = np.bincount(y, weights=missing, minlength=len(classes)) / np.maximum(1, np.bincount(y, minlength=len(classes)))
        by_class = {str(label): float(mean * scale) for label, mean in zip(classes, means, strict=True)}
    return DataSummary(frame.height, target, dict(gaps[:_MOST_COLUMNS]), len(gaps), by_class)
