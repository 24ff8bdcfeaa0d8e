"""What a column has to do with the other columns once the target is known.

A column that was made from the target (a copy, a code, a field filled in after the outcome) tells about the target
and about nothing else: given the target, it is independent of every other column. An honest cause is not, for it
goes with other causes. So the absence of ties is evidence of a leak, where strength alone is not.

Measured on 37 real tables: of 70 honest columns with an effect above 0.4, 67 had a tie (share of variance 0.04 to
0.99), and of 37 noisy copies of the target none.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from modelwright.audit.association import quantile_codes
from modelwright.audit.compared import Cells, Compared

#: A tie is a share of variance above this, and this many standard deviations of chance (for the largest of hundreds).
_MIN_SHARE, _MIN_Z = 0.01, 6.0
#: A test that would overlook this share of variance cannot say that there is no tie; nor can fewer other columns.
_MUST_SEE, MIN_OTHERS = 0.06, 3
#: Bins of a number whose ties are sought: few, because each costs power.
_BINS = 10
#: Strata of a numeric target; within each a line takes out what is left of the target.
_STRATA = 20
#: Levels of a category that are compared, if they are neither rarer nor more frequent than these shares allow.
_LEVELS, _MIN_LEVEL, _MIN_GAPS = 6, 0.04, 0.02
#: Views of the other columns that are compared at most; wide tables are thinned evenly.
_MAX_VIEWS = 400


@dataclass(frozen=True)
class Tie:
    """The strongest tie of a column: a share of variance, and the other column; or none.

    ``judged`` is False where rows or columns are too few to say that there is none.
    """

    share: float
    other: str
    judged: bool

    @property
    def missing(self) -> bool:
        """Whether the column is known to have nothing to do with the others."""
        return self.judged and not self.other


UNKNOWN = Tie(0.0, "", judged=False)


class Ties:
    """Views of all columns with the target taken out."""

    def __init__(self, compared: Compared) -> None:
        self.compared = compared
        self.n = compared.n
        stride = max(1, 3 * len(compared.cells) // _MAX_VIEWS)
        names: list[str] = []
        views: list[np.ndarray] = []
        for name in list(compared.cells)[::stride]:
            for view in _views(compared.cells[name]):
                names.append(name)
                views.append(view)
        residuals = _without_target(np.stack(views) if views else np.zeros((0, self.n)), compared)
        scale = np.sqrt((residuals**2).sum(axis=1))
        kept = scale > 1e-9 * np.sqrt(self.n)
        self.names = np.asarray(names, dtype=object)[kept]
        self.residuals = residuals[kept] / scale[kept, np.newaxis]

    def codes_of(self, name: str) -> np.ndarray:
        """Codes of the values of a column, few enough to have power."""
        cells = self.compared.cells[name]
        if cells.order is None or (cells.words and not cells.near_unique):
            return cells.codes
        return quantile_codes(cells.order, _BINS)

    def of_codes(self, codes: np.ndarray, others: Collection[str]) -> Tie:
        """The strongest tie of codes with other columns, given the target.

        Parameters
        ----------
        codes : ndarray of shape (n,), int64
        others : names of the columns to compare with
        """
        shares = self.shares(codes, others)
        if shares:
            name = max(shares, key=lambda other: shares[other])
            return Tie(shares[name], name, judged=True)
        return Tie(0.0, "", judged=self._bar(codes) <= _MUST_SEE and len(set(self.names) & set(others)) >= MIN_OTHERS)

    def shares(self, codes: np.ndarray, others: Collection[str]) -> dict[str, float]:
        """Each column that the codes are tied to, given the target, with the share of variance.

        Notes
        -----
        The share of variance of a residual view that means by code explain, less what chance explains. The residuals
        of the others suffice: if the codes depend on the target alone, these means are zero.
        """
        counts = np.bincount(codes).astype(np.float64)
        used = counts > 0
        if used.sum() < 2:
            return {}
        bar, expected = self._bar(codes), float(used.sum() - 1) / (self.n - 1)
        found: dict[str, float] = {}
        for view in np.flatnonzero(np.isin(self.names, list(others))):
            sums = np.bincount(codes, weights=self.residuals[view])
            share = float(np.sum(sums[used] ** 2 / counts[used]) - expected)
            name = str(self.names[view])
            if share > max(bar, found.get(name, 0.0)):
                found[name] = share
        return found

    def _bar(self, codes: np.ndarray) -> float:
        """Share of variance that codes of that many values do not reach by chance."""
        freedom = max(1, len(np.unique(codes)) - 1)
        return float(max(_MIN_SHARE, _MIN_Z * np.sqrt(2.0 * freedom) / max(1, self.n - 1)))


def _views(cells: Cells) -> list[np.ndarray]:
    """Order, distance from the middle, gaps, and frequent levels."""
    n = len(cells.missing)
    views = []
    if not cells.words and cells.order is not None and cells.n_distinct > 2:
        ranks = rankdata(np.where(np.isnan(cells.order), np.nanmedian(cells.order), cells.order)) / n - 0.5
        views += [ranks, ranks**2]
    else:
        counts = np.bincount(cells.exact)
        for code in np.argsort(-counts, kind="stable")[:_LEVELS]:
            if _MIN_LEVEL * n <= counts[code] <= (1 - _MIN_LEVEL) * n:
                views.append((cells.exact == code).astype(np.float64))
        if cells.words and cells.order is not None and cells.near_unique:
            views.append(rankdata(np.nan_to_num(cells.order, nan=-1.0)) / n)
    if _MIN_GAPS * n <= cells.missing.sum() <= (1 - _MIN_GAPS) * n:
        views.append(cells.missing.astype(np.float64))
    return views


def _without_target(views: np.ndarray, compared: Compared) -> np.ndarray:
    """Residuals of each view, shape (q, n): class means taken out, or a line in each of many strata of a number."""
    strata = np.unique(compared.y, return_inverse=True)[1] if compared.classification else quantile_codes(compared.y, _STRATA)
    counts = np.maximum(np.bincount(strata), 1).astype(np.float64)

    def centred(view: np.ndarray) -> np.ndarray:
        return np.asarray(view - (np.bincount(strata, weights=view) / counts)[strata])

    slope = np.zeros(compared.n) if compared.classification else centred(compared.targets[0])
    within = np.bincount(strata, weights=slope**2)
    within = np.where(within > 0, within, np.inf)
    result = np.empty_like(views)
    for i, view in enumerate(views):
        rest = centred(view)
        result[i] = rest - (np.bincount(strata, weights=rest * slope) / within)[strata] * slope
    return result
