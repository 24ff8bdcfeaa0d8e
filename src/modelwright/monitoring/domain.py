"""Can rows of a window be told from those of the reference? All columns together, by a classifier.

What two columns do only together no test of single columns sees. The same classifier says how much likelier each reference
row would be in the window, which is what estimates of the score under changed inputs are weighed by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special, stats

#: Rows of the window that are read at most; more would only cost time beside the 2,000 of the reference.
_MOST_ROWS = 2_000
_ROUNDS = 30
_SETTINGS: dict[str, Any] = {
    "objective": "binary", "learning_rate": 0.1, "num_leaves": 8, "min_data_in_leaf": 30, "lambda_l2": 5.0,
    "num_threads": 1, "deterministic": True, "force_row_wise": True, "seed": 7, "verbosity": -1, "max_bin": 63,
    "feature_fraction": 0.7, "min_data_in_bin": 1, "enable_bundle": False,
}  # fmt: skip
#: A reference row counts for at most so many: the ratio of densities is unknown where one of them is nearly 0.
_MOST_WEIGHT = 20.0


@dataclass(frozen=True)
class Told:
    """What the classifier found.

    Attributes
    ----------
    auc, p : float
        Area under the curve on rows it was not fitted on, and the chance of so much if both were alike.
    weight : ndarray of shape (m,)
        Density of the window over that of the reference at each reference row; mean 1.
    used : tuple of int
        Places of the columns by their part in telling the rows apart, the first most; empty where nothing was learned.
    """

    auc: float
    p: float
    weight: np.ndarray
    used: tuple[int, ...]


def told_apart(reference: np.ndarray, window: np.ndarray) -> Told:
    """Tell the rows of a window from those of the reference, each by a classifier that was fitted on the others.

    Parameters
    ----------
    reference : ndarray of shape (m, n_columns), uint8
    window : ndarray of shape (n, n_columns), uint8
        As `artifacts.reference.codes_of` gives them.

    Returns
    -------
    Told
    """
    import lightgbm

    if len(window) > _MOST_ROWS:
        window = window[np.linspace(0, len(window) - 1, _MOST_ROWS).astype(np.int64)]
    m, n = len(reference), len(window)
    X = np.concatenate([reference, window]).astype(np.float32)
    y = np.repeat([0.0, 1.0], [m, n])
    # Alternating rows of each side: the same every time, and both halves cover the whole window.
    half = np.concatenate([np.arange(m) % 2, np.arange(n) % 2])
    margin, gain = np.zeros(m + n), np.zeros(X.shape[1])
    for k in (0, 1):
        inside = half != k
        data = lightgbm.Dataset(X[inside], y[inside], params=_SETTINGS)
        booster = lightgbm.train(_SETTINGS, data, num_boost_round=_ROUNDS)
        margin[~inside] = booster.predict(X[~inside], raw_score=True)
        gain += booster.feature_importance("gain")
    auc = np.mean([_auc(margin[half == k], y[half == k]) for k in (0, 1)])
    # Under equality each half is a rank sum of its own.
    error = np.sqrt((m + n) / 2 + 1) / np.sqrt(12 * (m / 2) * (n / 2)) / np.sqrt(2)
    p = float(special.ndtr(-(auc - 0.5) / error))
    ratio = np.minimum(np.exp(margin[:m]) * m / n, _MOST_WEIGHT)
    used = tuple(int(k) for k in np.argsort(-gain, kind="stable") if gain[k] > 0)
    return Told(float(auc), p, ratio / ratio.mean(), used)


def effective(weight: np.ndarray) -> float:
    """Number of rows of equal weight that would tell as much (Kish)."""
    return float(weight.sum() ** 2 / (weight @ weight))


def _auc(score: np.ndarray, y: np.ndarray) -> float:
    ranks = stats.rankdata(score)
    positive = y == 1
    n1, n0 = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - n1 * (n1 + 1) / 2) / max(n1 * n0, 1))
