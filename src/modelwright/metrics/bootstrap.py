"""Resampling, for metrics whose spread has no formula: F1, average precision, R squared, medians.

Rows are not copied: a draw is a row weight (how often the unit of the row was drawn), and every metric reads weights.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

#: Row visits that fit in about two seconds; the number of draws follows from it, so equal seeds give equal results.
_VISITS = 12_000_000
_MOST_DRAWS = 2000
_FEWEST_DRAWS = 200
#: Beyond this many rows a part is drawn from and the spread is scaled down by the root of the share.
_MOST_ROWS = 20_000


def draws(
    statistic: Callable[[np.ndarray, np.ndarray], float],
    n: int,
    *,
    weight: np.ndarray | None,
    clusters: np.ndarray | None,
    seed: int,
) -> np.ndarray:
    """Bootstrap deviations of a statistic from its value, NaN draws left out.

    Parameters
    ----------
    statistic : callable
        From (row positions, row weights) to a value.
    n : int
        Number of rows.
    weight : ndarray of shape (n,), optional
    clusters : ndarray of shape (n,), int, optional
        Units to draw instead of rows.
    seed : int

    Returns
    -------
    ndarray
        Drawn value minus the value on the rows drawn from, at the scale of all n rows.
    """
    rng = np.random.default_rng(seed)
    unit = np.arange(n) if clusters is None else clusters
    n_units = n if clusters is None else int(clusters.max()) + 1
    rows, scale = np.arange(n), 1.0
    if n > _MOST_ROWS:
        kept = np.sort(rng.permutation(n_units)[: max(int(n_units * _MOST_ROWS / n), min(n_units, 2))])
        number = np.full(n_units, -1)
        number[kept] = np.arange(len(kept))
        rows = np.flatnonzero(number[unit] >= 0)
        unit = number[unit[rows]]
        scale = float(np.sqrt(len(kept) / n_units))
        n_units = len(kept)
    base = np.ones(len(rows)) if weight is None else np.asarray(weight, dtype=np.float64)[rows]
    centre = statistic(rows, base)
    n_draws = int(np.clip(_VISITS // max(len(rows), 1), _FEWEST_DRAWS, _MOST_DRAWS))
    values = np.empty(n_draws)
    for i in range(n_draws):
        times = np.bincount(rng.integers(0, n_units, n_units), minlength=n_units)[unit]
        drawn = times > 0
        # Leaving undrawn rows out is a third less work; a unit drawn twice weighs twice.
        values[i] = statistic(rows[drawn], base[drawn] * times[drawn])
    return np.asarray((values[np.isfinite(values)] - centre) * scale)
