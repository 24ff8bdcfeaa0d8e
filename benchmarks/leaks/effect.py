"""Effect of one column on the target: twice the distance of the AUC from a half, or the size of Spearman's correlation.

The largest over four views of the column (its order, its cross-fitted encoding, its gaps, the order of near-unique
text), averaged over one-vs-rest classes: an honest column often solves one class of many. It decides which planted
cases are fair to ask for, and belongs to the benchmark alone: no detector uses it.
"""

from __future__ import annotations

import numpy as np
import polars as pl

BINS = 30
FOLDS = 5
SHRINK = 3.0


def effect(values: pl.Series, y: np.ndarray, task: str) -> float:
    """Effect of a column, in [0, 1].

    Parameters
    ----------
    values : Series of length n
    y : ndarray of shape (n,)
        Class numbers, or the number to forecast.
    task : {"binary", "multiclass", "regression"}

    Returns
    -------
    float
    """
    goals = _goals(y, task)
    order, text = ordered(values)
    gaps = np.isnan(order)
    ranked = np.where(gaps, -1.0, order)
    views = [_association(ranked, goals)]
    if 0 < gaps.sum() < len(gaps):
        views.append(_association(gaps.astype(float), goals))
    views.append(_association(_encoded(order, gaps, goals, text), goals))
    return float(max(views))


def ordered(values: pl.Series) -> tuple[np.ndarray, bool]:
    """Cells as numbers that keep their order, NaN for gaps; text by its place in the alphabet. And whether it is text."""
    if values.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Object):
        cells = values.cast(pl.String)
        gaps = cells.is_null().to_numpy()
        _, codes = np.unique(cells.fill_null("").to_numpy().astype(str), return_inverse=True)
        return np.where(gaps, np.nan, codes.astype(float)), True
    if values.dtype.is_temporal():
        values = values.to_physical()
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(float), False


def ranks(values: np.ndarray) -> np.ndarray:
    """Mean ranks, 1 and up, of the values down the first axis of a vector."""
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[codes.reshape(-1)]


def _goals(y: np.ndarray, task: str) -> np.ndarray:
    """Targets of shape (n, k): one column a class (one for two classes), or the ranks of the number."""
    if task == "regression":
        return ranks(y)[:, None]
    codes = np.unique(y)
    codes = codes[1:] if len(codes) == 2 else codes
    return (y[:, None] == codes[None, :]).astype(float)


def _association(view: np.ndarray, goals: np.ndarray) -> float:
    """Mean over goals; a view of shape (n,) serves all goals, one of shape (n, k) has a column for each."""
    places = ranks(view)[:, None] if view.ndim == 1 else np.column_stack([ranks(column) for column in view.T])
    places = places - places.mean(0)
    if goals.shape[1] == 1 and len(np.unique(goals)) > 2:
        centred = goals - goals.mean(0)
        size = np.sqrt((places**2).sum(0) * (centred**2).sum(0))
        return float(abs((places * centred).sum(0) / np.where(size == 0, np.inf, size)).mean())
    inside = goals.sum(0)
    outside = len(goals) - inside
    shift = (places * goals).sum(0) / np.where(inside == 0, np.inf, inside)
    return float(np.mean(np.abs(2 * shift / np.where(outside == 0, np.inf, outside))))


def _encoded(order: np.ndarray, gaps: np.ndarray, goals: np.ndarray, text: bool) -> np.ndarray:
    """Each cell replaced by the mean goal of its value or bin in the other folds, shrunk towards the mean."""
    codes = np.zeros(len(order), dtype=np.int64)
    present = ~gaps
    if present.any():
        distinct, inverse = np.unique(order[present], return_inverse=True)
        if len(distinct) > BINS and not text:
            inverse = np.minimum((ranks(order[present]) - 0.5) * BINS // present.sum(), BINS - 1).astype(np.int64)
        codes[present] = inverse.reshape(-1) + 1
    fold = np.random.default_rng(0).integers(0, FOLDS, len(order))
    encoded = np.empty_like(goals)
    for k in range(FOLDS):
        fit, use = fold != k, fold == k
        mean = goals[fit].mean(0)
        count = np.bincount(codes[fit], minlength=codes.max() + 1)[:, None]
        total = np.column_stack([np.bincount(codes[fit], g, minlength=codes.max() + 1) for g in goals[fit].T])
        encoded[use] = ((total + SHRINK * mean) / (count + SHRINK))[codes[use]]
    return encoded
