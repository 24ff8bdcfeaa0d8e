"""Drawing whole units at random, close to a share of the rows and to the class shares."""

from __future__ import annotations

import numpy as np

#: Good enough: the drawn share and the class shares lie within a hundredth of what was asked.
_CLOSE = 0.01
_MOST_TRIALS = 40


def draw_rows(y: np.ndarray | None, units: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Draw whole units that hold about ``share`` of the rows and of each class.

    Every class keeps at least one row that is not drawn. A class too rare for its share stays undrawn.

    Parameters
    ----------
    y : ndarray of shape (n,), int, optional
        Class numbers; None draws without strata.
    units : ndarray of shape (n,), int
        Unit of each row, 0 and up without gaps.
    share : float, in (0, 1)
    seed : int

    Returns
    -------
    ndarray of shape (n,), bool
        The rows drawn; may be none if there are very few units.
    """
    n = len(units)
    sizes = np.bincount(units)
    strata = None if y is None else unit_strata(y, units)
    best, least = np.zeros(n, dtype=bool), np.inf
    for trial in range(_MOST_TRIALS):
        rng = np.random.default_rng([seed, trial])
        # With few large units strata hold one unit each and nothing could be drawn: every other trial does without.
        drawn = _choose(sizes, strata if trial % 2 == 0 else None, share, rng)[units]
        if y is not None:
            _return_lost_classes(drawn, y, units)
        badness = _badness(drawn, y, share)
        if badness < least:
            best, least = drawn, badness
        if least < _CLOSE:
            break
    return best


def rarest_rows(y: np.ndarray, units: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Which rows are of the rarest class of their unit, for the strata of `unit_strata`."""
    return np.asarray(_frequency_ranks(y)[y] == strata[units])


def unit_strata(y: np.ndarray, units: np.ndarray) -> np.ndarray:
    """The rarest class in each unit, as the rank of its frequency."""
    rank = _frequency_ranks(y)
    strata = np.full(int(units.max()) + 1, len(rank), dtype=np.int64)
    np.minimum.at(strata, units, rank[y])
    return strata


def _frequency_ranks(y: np.ndarray) -> np.ndarray:
    """Rank of each class, the rarest first."""
    counts = np.bincount(y)
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    return rank


def position_in_stratum(
    sizes: np.ndarray, strata: np.ndarray | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Place of each unit's middle row in a random order within its stratum, and the rows of that stratum."""
    key = rng.random(len(sizes))
    if strata is None:
        order = np.argsort(key)
        middle, total = np.cumsum(sizes[order]) - sizes[order] / 2, np.full(len(sizes), float(sizes.sum()))
    else:
        order = np.lexsort((key, strata))
        totals = np.bincount(strata, weights=sizes)
        offset = np.cumsum(totals) - totals
        middle = np.cumsum(sizes[order]) - sizes[order] / 2 - offset[strata[order]]
        total = totals[strata]
    place = np.empty(len(sizes))
    place[order] = middle
    return place, total


def _choose(sizes: np.ndarray, strata: np.ndarray | None, share: float, rng: np.random.Generator) -> np.ndarray:
    place, total = position_in_stratum(sizes, strata, rng)
    return np.asarray(place <= share * total)


def _return_lost_classes(drawn: np.ndarray, y: np.ndarray, units: np.ndarray) -> None:
    """Give one unit back, in place, for each class whose rows were all drawn."""
    counts = np.bincount(y)
    left = counts - np.bincount(y[drawn], minlength=len(counts))
    for k in np.flatnonzero((counts > 0) & (left == 0)):
        rows = np.flatnonzero(y == k)
        if drawn[rows].all():
            drawn[units == units[rows[0]]] = False


def _badness(drawn: np.ndarray, y: np.ndarray | None, share: float) -> float:
    off = abs(float(drawn.mean()) - share)
    if not drawn.any() or drawn.all():
        off += 10
    if y is None:
        return off
    counts = np.bincount(y)
    taken = np.bincount(y[drawn], minlength=len(counts))
    present = counts > 0
    # Rounding to whole rows is no fault of the draw.
    gap = np.maximum(np.abs(taken[present] - share * counts[present]) - 0.5, 0)
    missing = (taken[present] == 0) & (share * counts[present] >= 1)
    return off + float(gap.sum()) / len(y) + float(missing.mean())
