"""How strongly one column goes with the target, on a scale from 0 to 1.

Notation: n rows, K targets (one row of 0 and 1 for each class, or one row of ranks for regression), m codes, F folds.
The effect is 2 |AUC - 0.5| averaged over one-against-rest classes, or the absolute Spearman correlation for regression.
Averaging matters: a good honest column tells one class of many, a copy of the target tells all of them.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

#: Quantile bins of a number whose target means are compared.
BINS = 30
FOLDS = 5
#: Pseudo-rows with the overall mean that each bin starts with.
_SHRINKAGE = 3.0
#: Classes compared one against the rest; the most frequent ones.
_MAX_CLASSES = 10
#: Permutations of the target from which mean and spread of chance are taken (research: enough for a normal tail).
_PERMUTATIONS = 60


def indicators(y: np.ndarray, *, classification: bool) -> np.ndarray:
    """What a column is compared with: one row of 0 and 1 for each class, or one row of target ranks.

    Returns
    -------
    ndarray of shape (K, n) or (1, n), float64
        Two classes give one row.
    """
    if not classification:
        return np.asarray(rankdata(y))[np.newaxis]
    codes, counts = np.unique(y, return_counts=True)
    if len(codes) <= 2:
        return np.asarray(y == codes[-1], dtype=np.float64)[np.newaxis]
    kept = codes[np.argsort(-counts, kind="stable")[:_MAX_CLASSES]]
    return np.asarray(y[np.newaxis] == kept[:, np.newaxis], dtype=np.float64)


def order_effect(x: np.ndarray, targets: np.ndarray, *, classification: bool) -> float:
    """Effect of the order of x; NaN counts as smaller than every number."""
    ranks = rankdata(np.where(np.isnan(x), -np.inf, x))
    return float(_rank_effects(ranks, targets, classification).mean())


def value_effect(codes: np.ndarray, targets: np.ndarray, folds: np.ndarray, *, classification: bool) -> float:
    """Effect of the target mean of each code, taken from the other folds.

    Parameters
    ----------
    codes : ndarray of shape (n,), int64, 0..m-1
    targets : ndarray of shape (K, n)
    folds : ndarray of shape (n,), int64, 0..F-1

    Notes
    -----
    Rows of one code and fold share their value, so effects are computed from counts of m x F cells; only one pass
    over the rows is needed.
    """
    n_codes = int(codes.max(initial=0)) + 1
    cells = codes * FOLDS + folds
    counts = np.bincount(cells, minlength=n_codes * FOLDS).reshape(n_codes, FOLDS).astype(np.float64)
    others = counts.sum(axis=1, keepdims=True) - counts
    n_others = np.maximum(1.0, counts.sum() - counts.sum(axis=0))
    used = counts.ravel() > 0
    sizes = counts.ravel()[used]
    effects = []
    for target in targets:
        sums = np.bincount(cells, weights=target, minlength=n_codes * FOLDS).reshape(n_codes, FOLDS)
        # The overall mean must leave out the fold too: with few rows it would otherwise tell the row's own target.
        rest = (sums.sum() - sums.sum(axis=0)) / n_others
        mean = (sums.sum(axis=1, keepdims=True) - sums + _SHRINKAGE * rest) / (others + _SHRINKAGE)
        # Within one fold means are comparable; between folds the overall mean shifts against the fold's own.
        ranks = _weighted_ranks((mean - rest).ravel()[used], sizes)
        effects.append(_cell_effect(ranks, sizes, sums.ravel()[used], target, classification))
    return float(np.mean(effects))


def quantile_codes(x: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Bins of equal size, or the values themselves if there are few; NaN is a bin of its own, number 0."""
    filled = ~np.isnan(x)
    codes = np.zeros(len(x), dtype=np.int64)
    if filled.any():
        distinct = np.unique(x[filled])
        if len(distinct) > bins:
            distinct = np.unique(np.quantile(x[filled], np.linspace(0, 1, bins + 1)[1:-1]))
        codes[filled] = np.searchsorted(distinct, x[filled], side="right") + 1
    return codes


def noise(targets: np.ndarray, *, classification: bool) -> float:
    """Standard deviation of the effect of a column that has none (Hanley, McNeil; 1/sqrt(n-1) for Spearman)."""
    n = targets.shape[1]
    if not classification:
        return float(1.0 / np.sqrt(max(1, n - 1)))
    positives = targets.sum(axis=1)
    both = np.maximum(positives * (n - positives), 1.0)
    return float(np.mean(2.0 * np.sqrt((n + 1) / (12.0 * both))))


def chance(
    views: list[np.ndarray], targets: np.ndarray, folds: np.ndarray, *, classification: bool, seed: int = 0
) -> tuple[float, float]:
    """Mean and standard deviation of the effect of a column under permuted targets.

    Parameters
    ----------
    views : list of ndarray of shape (n,)
        What the effect was taken over: float64 for an order, int64 for codes.
    targets : ndarray of shape (K, n)
    folds : ndarray of shape (n,)
    seed : int

    Notes
    -----
    The largest of several views, and target means of codes, vary more than the formula of `noise` says.
    """
    rng = np.random.default_rng(seed)
    ranked = [rankdata(np.where(np.isnan(v), -np.inf, v)) if v.dtype.kind == "f" else v for v in views]
    drawn = []
    for _ in range(_PERMUTATIONS):
        shuffled = targets[:, rng.permutation(targets.shape[1])]
        found = []
        for view in ranked:
            if view.dtype.kind == "f":
                found.append(float(_rank_effects(view, shuffled, classification).mean()))
            else:
                found.append(value_effect(view, shuffled, folds, classification=classification))
        drawn.append(max(found))
    return float(np.mean(drawn)), float(np.std(drawn, ddof=1))


def draw_folds(n: int, groups: np.ndarray | None = None, time: np.ndarray | None = None) -> np.ndarray:
    """Fold of each row; rows of one group share theirs, and with a time the folds are stretches of it.

    Parameters
    ----------
    n : int
    groups : ndarray of shape (n,), optional
        Number of the entity of each row.
    time : ndarray of shape (n,), optional
        When each row happened, NaN where unknown. Groups, if given too, have precedence.
    """
    rng = np.random.default_rng(0)
    if groups is not None:
        _, codes = np.unique(groups, return_inverse=True)
        n_groups = int(codes.max(initial=0)) + 1
        return (rng.permutation(n_groups) % FOLDS)[codes]
    if time is not None:
        # Rows of one moment stay together; rows without a moment come last.
        places = rankdata(np.where(np.isnan(time), np.inf, time), method="min") - 1
        return np.asarray(np.minimum(places * FOLDS // max(1, n), FOLDS - 1), dtype=np.int64)
    return rng.integers(0, FOLDS, size=n)


def log_odds(effect: float) -> float:
    """Logit of an effect, kept finite."""
    clipped = min(max(effect, 1e-4), 1 - 1e-4)
    return float(np.log(clipped / (1 - clipped)))


def _rank_effects(ranks: np.ndarray, targets: np.ndarray, classification: bool) -> np.ndarray:
    """Effect on each target of ranks over the rows, shape (K,)."""
    n = len(ranks)
    products = targets @ ranks
    if classification:
        positives = targets.sum(axis=1)
        both = positives * (n - positives)
        auc = (products - positives * (positives + 1) / 2) / np.maximum(both, 1.0)
        return np.asarray(np.where(both > 0, np.abs(2.0 * auc - 1.0), 0.0))
    centre = ranks.mean()
    spread = targets - targets.mean(axis=1, keepdims=True)
    scale = np.sqrt(np.sum((ranks - centre) ** 2) * np.sum(spread**2, axis=1))
    # abs() because a column may run against the target.
    return np.abs(spread @ (ranks - centre)) / np.where(scale > 0, scale, np.inf)


def _weighted_ranks(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Mid-ranks that rows would get if each value stood for ``sizes`` rows; equal up to rounding counts as a tie."""
    _, inverse = np.unique(np.round(values, 9), return_inverse=True)
    totals = np.bincount(inverse, weights=sizes)
    ends = np.cumsum(totals)
    return np.asarray((ends - (totals - 1) / 2)[inverse])


def _cell_effect(ranks: np.ndarray, sizes: np.ndarray, sums: np.ndarray, target: np.ndarray, classification: bool) -> float:
    n = float(sizes.sum())
    total = float(sums.sum())
    if classification:
        both = total * (n - total)
        return abs(2.0 * (float(ranks @ sums) - total * (total + 1) / 2) / both - 1.0) if both > 0 else 0.0
    centre = (n + 1) / 2
    scale = np.sqrt(float(sizes @ (ranks - centre) ** 2) * float(np.sum((target - total / n) ** 2)))
    return abs(float((ranks - centre) @ sums)) / scale if scale > 0 else 0.0
