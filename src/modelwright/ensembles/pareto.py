"""Which of several things no other beats in every respect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pareto_front(costs: Sequence[Sequence[float]]) -> list[bool]:
    """Whether each point is on the front: no other is at least as good in all respects and better in one.

    Parameters
    ----------
    costs : sequence of n points of d numbers
        Lower is better. A point with a missing number (NaN) is not on the front and keeps no other off it.

    Returns
    -------
    list of bool, n of them
        Equal points are on the front together.

    Examples
    --------
    >>> pareto_front([(0.3, 1.0), (0.2, 2.0), (0.4, 2.0), (0.3, 1.0)])
    [True, True, False, True]
    """
    if not costs:
        return []
    points = np.asarray(costs, dtype=np.float64)
    others = points[~np.isnan(points).any(axis=1)]
    front = []
    for point in points:
        beaten = ((others <= point).all(axis=1) & (others < point).any(axis=1)).any()
        front.append(not bool(np.isnan(point).any() or beaten))
    return front
