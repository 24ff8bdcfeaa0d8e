"""How strongly one column goes with the target, on a scale from 0 to 1.

Notation: n rows, K classes. The effect is 2 |AUC - 0.5| averaged over one-against-rest classes, or the absolute
Spearman correlation for regression.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

#: Quantile bins of a number whose target means are compared.
_BINS = 30
_FOLDS = 5
#: Pseudo-rows with the overall mean that each bin starts with.
_SHRINKAGE = 3.0
#: Classes compared one against the rest; the most frequent ones.
_MAX_CLASSES = 10


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
    return float(np.mean([_effect(ranks, target, classification) for target in targets]))


def value_effect(codes: np.ndarray, targets: np.ndarray, folds: np.ndarray, *, classification: bool) -> float:
    """Effect of the target mean of each value, taken from the other folds.

    Parameters
    ----------
    codes : ndarray of shape (n,), int64, 0..m-1
    folds : ndarray of shape (n,), int64, 0..4
    """
    cells = codes * _FOLDS + folds
    n_codes = int(codes.max(initial=0)) + 1
    counts = np.bincount(cells, minlength=n_codes * _FOLDS).reshape(n_codes, _FOLDS)
    others = (counts.sum(axis=1, keepdims=True) - counts)[codes, folds]
    effects = []
    for target in targets:
        sums = np.bincount(cells, weights=target, minlength=n_codes * _FOLDS).reshape(n_codes, _FOLDS)
        # The overall mean must leave out the fold too: with few rows it would otherwise tell the row's own target.
        rest = (sums.sum() - sums.sum(axis=0)) / np.maximum(1, counts.sum() - counts.sum(axis=0))
        mean = ((sums.sum(axis=1, keepdims=True) - sums)[codes, folds] + _SHRINKAGE * rest[folds]) / (others + _SHRINKAGE)
        # Within one fold means are comparable; between folds the overall mean shifts against the fold's own.
        effects.append(_effect(rankdata(mean - rest[folds]), target, classification))
    return float(np.mean(effects))


def quantile_codes(x: np.ndarray) -> np.ndarray:
    """Bins of equal size, or the values themselves if there are few; NaN is a bin of its own."""
    filled = ~np.isnan(x)
    codes = np.zeros(len(x), dtype=np.int64)
    if filled.any():
        distinct = np.unique(x[filled])
        if len(distinct) > _BINS:
            distinct = np.unique(np.quantile(x[filled], np.linspace(0, 1, _BINS + 1)[1:-1]))
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


def draw_folds(n: int, groups: np.ndarray | None) -> np.ndarray:
    """Fold of each row; rows of one group share theirs."""
    rng = np.random.default_rng(0)
    if groups is None:
        return rng.integers(0, _FOLDS, size=n)
    _, codes = np.unique(groups, return_inverse=True)
    return rng.integers(0, _FOLDS, size=int(codes.max(initial=0)) + 1)[codes]


def log_odds(effect: float) -> float:
    """Logit of an effect, kept finite."""
    clipped = min(max(effect, 1e-4), 1 - 1e-4)
    return float(np.log(clipped / (1 - clipped)))


def _effect(ranks: np.ndarray, target: np.ndarray, classification: bool) -> float:
    if classification:
        positives = target.sum()
        negatives = len(target) - positives
        if positives == 0 or negatives == 0:
            return 0.0
        auc = (ranks @ target - positives * (positives + 1) / 2) / (positives * negatives)
        return abs(2.0 * float(auc) - 1.0)
    a, b = ranks - ranks.mean(), target - target.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return abs(float(a @ b / scale)) if scale > 0 else 0.0
