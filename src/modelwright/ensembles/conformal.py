"""Prediction intervals and prediction sets that hold what they promise, from out-of-fold predictions.

Notation: n calibration rows, f prediction, e = (y - f) / s(f) signed score, 1 - a the coverage asked for.

Regression: the interval is f - q s(f) to f + q s(f), q the score of rank ceil((n + 1)(1 - a)) among |e|, so that new rows
like these lie inside with at least the coverage asked for [1]_. The scale s is constant, or the mean of |y - f| over ten
bins of f, joined by lines; tails may be apart, a / 2 each. Of these the one with the least cross-validated interval score is
taken [2]_. The members were refitted on all rows after these predictions were made (cross-conformal with refit), for which
no exact guarantee holds. Measured over 15 tables at 0.9: within two binomial standard deviations on all 6 with independent
rows and on 4 of 9 with groups or time; 0.86 to 0.87 on three whose last rows drifted, 0.81 on 42 patients of 140 rows each.

Classes: class k is in the set unless its probability lies below all but a share a of those that rows of class k were given
[3]_. Quantiles by class hold for each class, where one quantile for all left rare classes out of nearly every set (coverage
0.01 to 0.3 on tables of fraud, crashes and bank customers). Adaptive sets (APS) were measured too: without random
numbers, which serving must not draw, they hold up to twelve times as many classes for the same promise.

Rows that belong together tell less: n is then the effective number of rows, by the design effect of misses.

References
----------
.. [1] Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World", 2005; Lei et al., "Distribution-free predictive
   inference for regression", J. Am. Stat. Assoc. 113 (2018).
.. [2] Gneiting, Raftery, "Strictly proper scoring rules", J. Am. Stat. Assoc. 102 (2007), section 6.2.
.. [3] Sadinle, Lei, Wasserman, "Least ambiguous set-valued classifiers", J. Am. Stat. Assoc. 114 (2019).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from modelwright.errors import InvalidInputError
from modelwright.metrics.dependence import Design, clusters_of, design

Kind = Literal["interval", "set"]

#: Coverage at which the form of the interval is chosen and rows are counted as effective.
_TUNED_AT = 0.9
_FOLDS = 5
_BINS = 10
_ROWS_A_BIN = 50
#: Rows of the global mean that each bin's mean is drawn towards.
_SHRINKAGE = 20.0
_LEAST_SCALE = 0.05
_LEAST_ROWS = 10
#: Order statistics kept; more would only make the bundle large.
_MOST_SCORES = 20_000
#: Classes with fewer rows share the scores of all rows.
_LEAST_OF_CLASS = 30


@dataclass(frozen=True)
class Conformal:
    """Scores of calibration rows, and how they become intervals or sets.

    Parameters
    ----------
    kind : {"interval", "set"}
    method : {"constant", "local", "local tails", "by class"}
    scores : ndarray of shape (m,), float64
        Ascending: signed scores e, or for sets the negative probability of the true class, class after class.
    starts : ndarray of int64
        Where the scores of each class start, and the end; two numbers for an interval.
    x, scale : ndarray of shape (bins,), float64
        Knots of s; one for a constant.
    n_rows : int
        Calibration rows.
    n_effective : float
        What they are worth as independent rows.
    rolling : tuple of float
        Coverage at 0.9 of each block in time by the rows before it; empty without time.
    """

    kind: Kind
    method: str
    scores: np.ndarray
    starts: np.ndarray
    x: np.ndarray
    scale: np.ndarray
    n_rows: int
    n_effective: float
    rolling: tuple[float, ...] = ()

    @property
    def tails(self) -> bool:
        """Whether both ends have quantiles of their own."""
        return self.method.endswith("tails")


def fit_intervals(
    prediction: np.ndarray,
    y: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    when: np.ndarray | None = None,
    seed: int = 0,
) -> Conformal | None:
    """Learn intervals from out-of-fold predictions.

    Parameters
    ----------
    prediction, y : ndarray of shape (n,)
    groups : ndarray of shape (n,), optional
        Entity of each row; entities stay together when forms are compared.
    when : ndarray of shape (n,), optional
        Moment of each row; forms are then compared on later rows, and tails are not told apart, for a drift shifts one
        against the other.
    seed : int, default=0

    Returns
    -------
    Conformal or None
        None with fewer than 10 rows.
    """
    finite = np.isfinite(prediction) & np.isfinite(y)
    prediction, y = prediction[finite], y[finite]
    groups, when = (None if a is None else a[finite] for a in (groups, when))
    if len(y) < _LEAST_ROWS:
        return None
    shape = design(len(y), groups=groups, blocks=when)
    forms = ["constant", "local", *(["local tails"] if when is None else [])]
    parts = _parts(len(y), groups, when, seed)
    tested = np.concatenate([after for _, after in parts])
    losses: dict[str, np.ndarray] = {}
    misses: dict[str, np.ndarray] = {}
    for form in forms:
        loss, miss = np.zeros(len(y)), np.zeros(len(y))
        for inside, outside in parts:
            found = _intervals_of(form, prediction[inside], y[inside])
            low, high = intervals(found, prediction[outside], _TUNED_AT, strict=False).T
            beyond = np.maximum(low - y[outside], 0) + np.maximum(y[outside] - high, 0)
            loss[outside] = high - low + 2 / (1 - _TUNED_AT) * beyond
            miss[outside] = beyond > 0
        losses[form], misses[form] = loss, miss
    best = forms[0]
    for form in forms[1:]:
        gain = np.zeros(len(y))
        gain[tested] = losses[best][tested] - losses[form][tested]
        mean = float(gain[tested].mean())
        centred = np.where(_marked(tested, len(y)), gain - mean, 0.0) / len(tested)
        # The local scale serves every row better at equal loss, so it need not prove itself; two tails must.
        bar = 0.0 if form == "local" else np.sqrt(np.nan_to_num(shape.units(centred).variance, nan=np.inf))
        if mean > bar:
            best = form
    found = _intervals_of(best, prediction, y)
    rolling = tuple(1 - float(misses[best][after].mean()) for _, after in parts) if when is not None else ()
    return replace(found, n_effective=_effective(misses[best], tested, shape), rolling=rolling)


def fit_sets(
    proba: np.ndarray,
    y: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    when: np.ndarray | None = None,
    seed: int = 0,
) -> Conformal | None:
    """Learn prediction sets from out-of-fold (calibrated) probabilities; parameters as for `fit_intervals`."""
    if len(y) < _LEAST_ROWS or not np.isfinite(proba).all():
        return None
    shape = design(len(y), groups=groups, blocks=when)
    parts = _parts(len(y), groups, when, seed)
    tested = np.concatenate([after for _, after in parts])
    miss = np.zeros(len(y))
    for inside, outside in parts:
        held = sets(_sets_of(proba[inside], y[inside]), proba[outside], _TUNED_AT, strict=False)
        miss[outside] = ~held[np.arange(len(outside)), y[outside]]
    rolling = tuple(1 - float(miss[after].mean()) for _, after in parts) if when is not None else ()
    return replace(_sets_of(proba, y), n_effective=_effective(miss, tested, shape), rolling=rolling)


def intervals(conformal: Conformal, prediction: np.ndarray, coverage: float, *, strict: bool = True) -> np.ndarray:
    """Lower and upper ends.

    Parameters
    ----------
    conformal : Conformal
        Of kind "interval".
    prediction : ndarray of shape (n,)
    coverage : float, in (0, 1)
    strict : bool, default=True
        Refuse a coverage that so few rows cannot promise; otherwise the widest score is used.

    Returns
    -------
    ndarray of shape (n, 2)
        Each row depends on its prediction alone.

    Raises
    ------
    InvalidInputError
        If the coverage lies outside (0, 1), or needs more calibration rows than there are.
    """
    worth = conformal.n_effective
    if conformal.tails:
        low = -_quantile(np.sort(-conformal.scores), (1 + coverage) / 2, worth, strict, coverage)
        high = _quantile(conformal.scores, (1 + coverage) / 2, worth, strict, coverage)
    else:
        high = _quantile(np.sort(np.abs(conformal.scores)), coverage, worth, strict, coverage)
        low = -high
    s = _scale_at(prediction, conformal.x, conformal.scale)
    return np.column_stack([prediction + low * s, prediction + high * s])


def sets(conformal: Conformal, proba: np.ndarray, coverage: float, *, strict: bool = True) -> np.ndarray:
    """Which classes are in the set of each row.

    Parameters
    ----------
    conformal : Conformal
        Of kind "set".
    proba : ndarray of shape (n, K)
        Calibrated probabilities.
    coverage : float, in (0, 1)
    strict : bool, default=True
        As for `intervals`.

    Returns
    -------
    ndarray of shape (n, K), bool
        The most probable class is always in; each row depends on its probabilities alone.

    Raises
    ------
    InvalidInputError
        As for `intervals`.
    """
    deff = conformal.n_rows / conformal.n_effective
    bar = np.empty(proba.shape[1])
    everything = np.sort(conformal.scores)
    for k, (start, end) in enumerate(itertools.pairwise(conformal.starts)):
        own = conformal.scores[start:end]
        # Too few rows of a class to promise so much of it: all rows speak for it.
        enough = len(own) >= max(_LEAST_OF_CLASS, deff / (1 - coverage) if 0 < coverage < 1 else 0)
        used = own if enough else everything
        bar[k] = _quantile(used, coverage, len(used) / deff, strict, coverage)
    held = -proba <= bar
    held[np.arange(len(proba)), proba.argmax(axis=1)] = True
    return np.asarray(held)


def promised(conformal: Conformal, coverage: float) -> tuple[float, float]:
    """Range in which the true coverage of these calibration rows lies with probability 0.95.

    A calibration set of n rows gives coverage that is Beta(n + 1 - l, l) distributed, l = floor((n + 1) a).
    """
    from scipy.stats import beta

    n = conformal.n_effective
    left = max(np.floor((n + 1) * (1 - coverage) + 1e-9), 1e-3)
    low, high = beta.ppf([0.025, 0.975], max(n + 1 - left, 1e-3), left)
    return float(low), float(high)


def _intervals_of(form: str, prediction: np.ndarray, y: np.ndarray) -> Conformal:
    residual = y - prediction
    x, scale = _scale(prediction, np.abs(residual)) if form != "constant" else (np.zeros(1), np.ones(1))
    scores = _kept(np.sort(residual / _scale_at(prediction, x, scale)))
    return Conformal("interval", form, scores, np.array([0, len(scores)]), x, scale, len(y), float(len(y)))


def _sets_of(proba: np.ndarray, y: np.ndarray) -> Conformal:
    n_classes = proba.shape[1]
    own = -proba[np.arange(len(y)), y]
    most = max(_MOST_SCORES // n_classes, 500)
    parts = [_kept(np.sort(own[y == k]), most) for k in range(n_classes)]
    starts = np.cumsum([0, *(len(part) for part in parts)])
    nothing = np.zeros(0)
    return Conformal("set", "by class", np.concatenate(parts), starts, nothing, nothing, len(y), float(len(y)))


def _scale(prediction: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean size of the error by bins of the prediction, drawn towards the mean of all."""
    mean = float(size.mean())
    n_bins = int(np.clip(len(size) // _ROWS_A_BIN, 1, _BINS))
    if mean <= 0 or n_bins < 2:
        return np.zeros(1), np.ones(1)
    bins = np.array_split(np.argsort(prediction, kind="stable"), n_bins)
    x = np.array([prediction[rows].mean() for rows in bins])
    s = np.array([(size[rows].sum() + _SHRINKAGE * mean) / (len(rows) + _SHRINKAGE) for rows in bins])
    apart = np.concatenate([[True], np.diff(x) > 1e-9 * (1e-300 + np.abs(x).max())])
    return x[apart], np.maximum(s[apart], _LEAST_SCALE * mean)


def _scale_at(prediction: np.ndarray, x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """s at each prediction, constant beyond the outer knots; one row gives the same bits as many."""
    if len(x) < 2:
        return np.full(len(prediction), scale[0])
    slope = np.diff(scale) / np.diff(x)
    z = np.clip(prediction, x[0], x[-1])
    i = np.clip(np.searchsorted(x, z, side="right") - 1, 0, len(slope) - 1)
    return np.asarray(scale[i] + slope[i] * (z - x[i]))


def _kept(ascending: np.ndarray, most: int = _MOST_SCORES) -> np.ndarray:
    """Evenly spaced order statistics, rounded up in rank, so that no quantile becomes smaller."""
    n = len(ascending)
    return ascending if n <= most else ascending[np.ceil(n * np.arange(1, most + 1) / most).astype(np.int64) - 1]


def _quantile(ascending: np.ndarray, level: float, worth: float, strict: bool, coverage: float) -> float:
    if not 0 < coverage < 1:
        raise InvalidInputError(
            f"{coverage!r} is not a coverage.", where="coverage", mend="Give a share between 0 and 1, such as 0.9."
        )
    m = len(ascending)
    rank = int(np.ceil(level * (1 + 1 / worth) * m - 1e-9))
    if rank > m:
        if strict:
            raise InvalidInputError(
                f"The model was calibrated on rows worth {worth:.0f} independent ones, which cannot promise {coverage:.4g}.",
                where="coverage",
                mend=f"Ask for at most {_most(worth, level, coverage):.3g}, or train on more rows.",
            )
        rank = m
    return float(ascending[max(rank, 1) - 1])


def _most(worth: float, level: float, coverage: float) -> float:
    """Highest coverage that can be promised, rounded down to three digits."""
    best = worth / (worth + 1)
    return float(np.floor((2 * best - 1 if level > coverage else best) * 1000) / 1000)


def _effective(miss: np.ndarray, tested: np.ndarray, shape: Design) -> float:
    """Independent rows that the rows are worth, by the spread of misses against that of as many coins."""
    n = shape.n
    if shape.independent:
        return float(n)
    share = float(miss[tested].mean())
    marked = _marked(tested, n)
    variance = shape.units(np.where(marked, miss - share, 0.0) / len(tested)).variance
    coins = max(share * (1 - share), 1e-9) / len(tested)
    inflation = max(variance / coins, 1.0) if np.isfinite(variance) else 1.0
    n_units = int(shape.group.max()) + 1 if shape.group is not None else 1
    # Never below the number of entities, each of which is one independent row at least.
    return float(max(n / inflation, min(n_units, n), 1.0))


def _parts(n: int, groups: np.ndarray | None, when: np.ndarray | None, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to calibrate on and rows to test: random units, or blocks in time with what came before."""
    if when is not None:
        order = np.argsort(np.nan_to_num(np.asarray(when, dtype=np.float64), nan=-np.inf), kind="stable")
        cuts = [n * k // _FOLDS for k in range(1, _FOLDS + 1)]
        return [(np.sort(order[:low]), np.sort(order[low:high])) for low, high in itertools.pairwise(cuts)]
    unit = clusters_of(n, groups, None)
    unit = np.arange(n) if unit is None else unit
    n_units = int(unit.max()) + 1
    if n_units < 2:
        unit, n_units = np.arange(n), n
    fold = (np.random.default_rng([seed, 37]).permutation(n_units) % min(_FOLDS, n_units))[unit]
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(int(fold.max()) + 1)]


def _marked(rows: np.ndarray, n: int) -> np.ndarray:
    marked = np.zeros(n, dtype=bool)
    marked[rows] = True
    return marked
