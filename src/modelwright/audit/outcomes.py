"""What statistics of the target are made of: the target itself, and indicators of its outcomes.

A mean of the target by group, or over coming rows, is a mean of numbers or the rate of a class; of a number
it may be the rate of high values.
"""

from __future__ import annotations

import numpy as np

#: Classes that are looked at; of more, the rarest and the most frequent ones.
_MOST_CLASSES = 40
_MIN_CLASS_ROWS = 10
#: What counts as a high value of a number.
_HIGH = 0.8


def outcomes(y: np.ndarray, *, classification: bool) -> np.ndarray:
    """Numbers whose means a column may hold.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Encoded target, without gaps.

    Returns
    -------
    ndarray of shape (q, n), float64
        Classes: an indicator each (one for two classes), and the class number where there are more than two.
        Numbers: the number, and whether it lies in the top fifth.
    """
    if not classification:
        high = y > np.quantile(y, _HIGH)
        return np.stack([y, high]).astype(np.float64) if high.any() else y[np.newaxis].astype(np.float64)
    codes, counts = np.unique(y, return_counts=True)
    if len(codes) <= 2:
        return np.asarray(y == codes[-1], dtype=np.float64)[np.newaxis]
    kept = codes[counts >= _MIN_CLASS_ROWS]
    if len(kept) > _MOST_CLASSES:
        by_count = codes[np.argsort(counts, kind="stable")]
        by_count = by_count[np.isin(by_count, kept)]
        kept = np.concatenate([by_count[: _MOST_CLASSES // 2], by_count[-_MOST_CLASSES // 2 :]])
    return np.concatenate([(y[np.newaxis] == kept[:, np.newaxis]).astype(np.float64), y[np.newaxis].astype(np.float64)])
