"""The four cells of a threshold, for many thresholds at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_CANDIDATES = 199


@dataclass(frozen=True)
class Cells:
    """Weights by cell at each of C thresholds, each of shape (C,)."""

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    tn: np.ndarray


def candidate_cuts(positive: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Thresholds to try: midway between two values that occur, so that rounding at prediction time flips no row."""
    values = np.unique(positive)
    cuts = (values[1:] + values[:-1]) / 2
    if len(cuts) <= _CANDIDATES:
        return np.asarray(cuts)
    # Half of them where all rows lie, half where the rarer class lies, or a rare class would get two or three.
    share = np.linspace(0, 1, _CANDIDATES // 2 + 2)[1:-1]
    rarer = positive[y == int(2 * (y == 1).sum() < len(y))]
    wanted = np.concatenate([np.quantile(positive, share), np.quantile(rarer, share)])
    return np.unique(cuts[np.clip(np.searchsorted(cuts, wanted), 0, len(cuts) - 1)])


class Counter:
    """Counts cells again and again with other row weights, for resampling; rows are sorted into cells once.

    Parameters
    ----------
    positive : ndarray of shape (n,)
        Probability of class 1.
    y : ndarray of shape (n,), values 0 or 1
    cuts : ndarray of shape (C,), ascending
    """

    def __init__(self, positive: np.ndarray, y: np.ndarray, cuts: np.ndarray) -> None:
        self.cuts = cuts
        # Twice the number of cuts at or below, plus the class.
        self._code = 2 * np.searchsorted(cuts, positive, side="right") + y

    def cells(self, w: np.ndarray) -> Cells:
        """Cells at each cut for row weights of shape (n,)."""
        counted = np.bincount(self._code, weights=w, minlength=2 * len(self.cuts) + 2).reshape(-1, 2)
        below = np.cumsum(counted, axis=0)
        tn, fn = below[:-1].T
        return Cells(below[-1, 1] - fn, below[-1, 0] - tn, fn, tn)


def count_cells(positive: np.ndarray, y: np.ndarray, w: np.ndarray, cuts: np.ndarray) -> Cells:
    """Cells at each of some ascending thresholds."""
    return Counter(positive, y, cuts).cells(w)
