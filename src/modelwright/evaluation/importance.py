"""Which columns a model relies on: how much worse it gets when one is shuffled."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from modelwright.metrics.metric import Metric
from modelwright.metrics.registry import score


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
) -> list[tuple[str, float]]:
    """Share of each column in what shuffling costs.

    Correlated columns stand in for one another, so each of them may look less important than they are together.

    Parameters
    ----------
    predict : callable
        From rows to predictions as a learner returns them.
    frame : DataFrame of n rows
        Rows that were not used for training.
    y : ndarray of shape (n,)
    metric : Metric
    columns : sequence of str
        Columns to shuffle.
    seed : int
    repeats : int, default=1
        Shuffles per column, averaged.
    max_rows : int, default=2000
        A seeded sample of so many rows is used.
    time_limit_s : float, optional
        Columns that are not reached in time are left out.
    weight : ndarray of shape (n,), optional

    Returns
    -------
    list of (str, float)
        Columns and shares in [0, 1], largest first, summing to 1; all 0 if no shuffle made the model worse. Empty if
        nothing could be measured.

    References
    ----------
    .. [1] Breiman, "Random Forests", Machine Learning 45 (2001); Fisher, Rudin, Dominici, JMLR 20 (2019).
    """
    started = time.monotonic()
    rng = np.random.default_rng([seed, 41])
    if frame.height > max_rows:
        rows = np.sort(rng.permutation(frame.height)[:max_rows])
        frame, y = frame[rows], y[rows]
        weight = None if weight is None else weight[rows]
    base = metric.utility(score(metric, y, predict(frame), weight))
    if not np.isfinite(base):
        return []
    longest = 0.0
    drops: dict[str, list[float]] = {}
    # Column by column within a repeat, so that a time limit costs repeats before it costs columns.
    for name in [column for _ in range(repeats) for column in columns]:
        begun = time.monotonic()
        if time_limit_s is not None and begun - started + longest > time_limit_s:
            break
        shuffled = frame.with_columns(frame[name].gather(rng.permutation(frame.height)).alias(name))
        value = metric.utility(score(metric, y, predict(shuffled), weight))
        if np.isfinite(value):
            drops.setdefault(name, []).append(base - value)
        longest = max(longest, time.monotonic() - begun)
    # A column whose shuffle helped by chance has no importance, not a negative one.
    losses = {name: max(float(np.mean(values)), 0.0) for name, values in drops.items()}
    total = sum(losses.values())
    shares = [(name, loss / total if total > 0 else 0.0) for name, loss in losses.items()]
    return sorted(shares, key=lambda item: -item[1])
