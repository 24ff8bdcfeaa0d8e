"""Which columns a model relies on: how much worse it gets when they are shuffled.

Columns that tell the same thing are shuffled together: alone, each would be replaced by the other and look useless [1]_.

References
----------
.. [1] Breiman, "Random Forests", Machine Learning 45 (2001); Fisher, Rudin, Dominici, JMLR 20 (2019).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import polars as pl

from modelwright.metrics.metric import Metric
from modelwright.metrics.paired import compare
from modelwright.metrics.registry import score

#: Absolute rank correlation from which two columns tell the same thing.
_SAME = 0.9
#: Columns compared with each other; the pairs of more would cost more than the shuffling.
_MOST_COMPARED = 300
#: One entry with more than this share of all importance is a case for the leak review.
DOMINANT = 0.6


class Importance(msgspec.Struct, frozen=True):
    """What shuffling some columns together costs.

    ``drop`` is by how much the metric gets worse (positive) with its 95 % interval ``low`` to ``high``; ``share`` its part
    of all drops, in [0, 1]; ``dominant`` says that it is most of them.
    """

    columns: tuple[str, ...]
    share: float
    drop: float
    low: float
    high: float
    dominant: bool = False

    @property
    def name(self) -> str:
        """The columns in one line."""
        return " + ".join(self.columns)


def permutation_importance(
    predict: Callable[[pl.DataFrame], np.ndarray],
    frame: pl.DataFrame,
    y: np.ndarray,
    metric: Metric,
    columns: Sequence[str],
    *,
    seed: int,
    repeats: int = 1,
    max_rows: int = 2000,
    time_limit_s: float | None = None,
    weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    blocks: np.ndarray | None = None,
) -> list[Importance]:
    """Cost of shuffling columns.

    Parameters
    ----------
    predict : callable
        From rows to predictions as a learner returns them.
    frame : DataFrame of n rows
        Rows that were not used for training.
    y : ndarray of shape (n,)
    metric : Metric
    columns : sequence of str
        Columns to shuffle; those that tell the same thing are shuffled together.
    seed : int
    repeats : int, default=1
        Shuffles per entry, averaged.
    max_rows : int, default=2000
        A seeded sample of so many rows is used.
    time_limit_s : float, optional
        Columns that are not reached in time are left out.
    weight, groups, blocks : ndarray of shape (n,), optional
        Row weights; entity and moment of each row, for the interval.

    Returns
    -------
    list of Importance
        Largest first, shares summing to 1; all 0 if no shuffle made the model worse. Empty if nothing could be measured.
    """
    started = time.monotonic()
    rng = np.random.default_rng([seed, 41])
    if frame.height > max_rows:
        rows = np.sort(rng.permutation(frame.height)[:max_rows])
        frame, y = frame[rows], y[rows]
        weight, groups, blocks = (None if each is None else each[rows] for each in (weight, groups, blocks))
    prediction = predict(frame)
    if not np.isfinite(score(metric, y, prediction, weight)):
        return []
    together = correlated(frame, columns)
    longest = 0.0
    found: dict[tuple[str, ...], list[tuple[float, float, float]]] = {}
    # Entry by entry within a repeat, so that a time limit costs repeats before it costs columns.
    for names in [entry for _ in range(repeats) for entry in together]:
        begun = time.monotonic()
        if time_limit_s is not None and begun - started + longest > time_limit_s:
            break
        order = rng.permutation(frame.height)
        shuffled = frame.with_columns(frame[name].gather(order).alias(name) for name in names)
        drop = compare(
            metric, y, prediction, predict(shuffled), weight=weight, groups=groups, blocks=blocks, seed=seed
        ).difference
        if np.isfinite(drop.value):
            low, high = (bound if np.isfinite(bound) else drop.value for bound in (drop.low, drop.high))
            found.setdefault(names, []).append((drop.value, low, high))
        longest = max(longest, time.monotonic() - begun)
    means = {names: np.mean(values, axis=0) for names, values in found.items()}
    # A column whose shuffle helped by chance has no importance, not a negative one.
    total = sum(max(float(mean[0]), 0.0) for mean in means.values())
    entries = []
    for names, (value, low, high) in means.items():
        share = max(float(value), 0.0) / total if total > 0 else 0.0
        dominant = share > DOMINANT and len(means) > 1
        entries.append(Importance(names, share, float(value), float(low), float(high), dominant))
    return sorted(entries, key=lambda entry: -entry.share)


def correlated(frame: pl.DataFrame, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Columns in groups that tell the same thing, in the order of their first member.

    Parameters
    ----------
    frame : DataFrame of n rows
        Conformed rows.
    columns : sequence of str
        Beyond the first 300 each stands alone.

    Returns
    -------
    list of tuple of str
        Every column once.
    """
    compared = [name for name in columns[:_MOST_COMPARED] if frame[name].dtype != pl.Object]
    numbers = [name for name in compared if frame[name].dtype.is_numeric() or frame[name].dtype.is_temporal()]
    parent = {name: name for name in columns}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    if len(numbers) > 1 and frame.height > 2:
        ranks = np.column_stack([_ranks(frame[name]) for name in numbers])
        ranks -= ranks.mean(axis=0)
        size = np.sqrt((ranks**2).sum(axis=0))
        alike = np.abs(ranks.T @ ranks) > _SAME * np.outer(size, size) + 1e-12
        for i, j in zip(*np.nonzero(np.triu(alike, 1)), strict=True):
            parent[root(numbers[j])] = root(numbers[i])
    # Words that stand for one another: as many pairs as either has levels.
    words = [name for name in compared if frame[name].dtype == pl.String]
    levels = {name: frame[name].n_unique() for name in words}
    for i, left in enumerate(words):
        for right in words[i + 1 :]:
            if levels[left] == levels[right] > 1 and levels[left] < frame.height / 2:
                pairs = frame.select(left, right).n_unique()
                if pairs == levels[left]:
                    parent[root(right)] = root(left)
    gathered: dict[str, list[str]] = {}
    for name in columns:
        gathered.setdefault(root(name), []).append(name)
    return [tuple(names) for names in gathered.values()]


def _ranks(cells: pl.Series) -> np.ndarray:
    values = cells.to_physical().cast(pl.Float64).fill_null(float("nan")).to_numpy()
    from scipy.stats import rankdata  # slow to import, and records of importances are read without it

    return np.asarray(rankdata(np.where(np.isnan(values), -np.inf, values)), dtype=np.float64)
