"""Cuts in time: what lies before, what is embargoed, and whether entities may stand on both sides."""

from __future__ import annotations

import numpy as np

from modelwright.splits.draw import draw_rows

#: From this share on, rows of entities seen on the other side make a panel: the same stations or shops, day after day.
PANEL = 0.5
#: Of a standard deviation of time: copies nearer to each other than this are one event entered twice.
_ONE_EVENT = 4e-3


def cut_values(moment: np.ndarray, shares: tuple[float, ...]) -> list[float]:
    """Moments that begin the last rows of given shares; each cut lies between two distinct moments.

    Parameters
    ----------
    moment : ndarray of shape (n,)
        NaN for rows without a time; at least two distinct others.
    shares : tuple of float
        Shares of the timed rows at or after each cut.
    """
    values, counts = np.unique(moment[~np.isnan(moment)], return_counts=True)
    total = int(counts.sum())
    later = total - np.cumsum(counts)[:-1]
    return [float(values[1 + int(np.argmin(np.abs(later - share * total)))]) for share in shares]


def before(moment: np.ndarray, cut: float, gap: float) -> np.ndarray:
    """Rows at least ``gap`` before the cut, and rows without a time."""
    with np.errstate(invalid="ignore"):
        return np.isnan(moment) | ((moment < cut) & (moment <= cut - gap))


def is_panel(early: np.ndarray, late: np.ndarray, groups: np.ndarray) -> bool:
    """Whether the entities go on through the cut, so that keeping them apart would leave little on either side.

    Parameters
    ----------
    early, late : ndarray of shape (n,), bool
    groups : ndarray of shape (n,), int
        Entity of each row.
    """
    seen_early, seen_late = _seen(groups, early), _seen(groups, late)
    known = seen_early[groups[late]].mean() if late.any() else 1.0
    going_on = seen_late[groups[early]].mean() if early.any() else 1.0
    return bool(max(known, going_on) > PANEL)


def entities_apart(
    early: np.ndarray, late: np.ndarray, groups: np.ndarray, *, drawn_share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Training and evaluation rows such that no entity is on both sides.

    Where few entities go on through the cut, their earlier rows do not train. In a panel entities are drawn: the late
    rows of those drawn evaluate, the early rows of the others train.

    Parameters
    ----------
    early, late : ndarray of shape (n,), bool
        Rows before and after the cut.
    groups : ndarray of shape (n,), int
    drawn_share : float
        Share of the rows whose entities are drawn in a panel.
    seed : int

    Returns
    -------
    tuple of ndarray of shape (n,), bool
        Parts of ``early`` and of ``late``.
    """
    if not is_panel(early, late, groups):
        return early & ~_seen(groups, late)[groups], late
    drawn = draw_rows(None, groups, drawn_share, seed)
    return early & ~drawn, late & drawn


def earlier_copies(units: np.ndarray, moment: np.ndarray, early: np.ndarray, late: np.ndarray) -> np.ndarray:
    """Early rows whose exact or near copy of nearly the same moment is late: one event entered twice.

    A row that comes back after a longer time is what will also happen in production, and stays.
    """
    found = np.zeros(len(units), dtype=bool)
    if int(units.max()) + 1 == len(units) or not late.any():
        return found
    first_late = np.full(int(units.max()) + 1, np.inf)
    np.minimum.at(first_late, units[late], moment[late])
    reach = _ONE_EVENT * float(np.nanstd(moment))
    rows = np.flatnonzero(early & ~np.isnan(moment))
    found[rows] = first_late[units[rows]] - moment[rows] <= reach
    return found


def _seen(groups: np.ndarray, rows: np.ndarray) -> np.ndarray:
    seen = np.zeros(int(groups.max()) + 1, dtype=bool)
    seen[groups[rows]] = True
    return seen
