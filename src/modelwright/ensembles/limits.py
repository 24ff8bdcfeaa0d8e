"""Which candidates may be members of a model that has to stay fast and small.

Notation: m candidates; candidate i adds ``costs[i]`` to what every model costs, ``shared``: reading and encoding a row,
the encoder's files. Costs are estimates; the packaged model is measured, and where it breaks a limit `keep` says
which of its members stay.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

#: Share of a limit that an estimate may fill: estimates come from fits on fewer rows.
HEADROOM = 0.9


@dataclass(frozen=True)
class ModelLimits:
    """The most that a packaged model may cost; None is no limit.

    ``latency_s`` are seconds for one row (median), ``size_bytes`` those of the model folder.
    """

    latency_s: float | None = None
    size_bytes: float | None = None

    @property
    def given(self) -> bool:
        """Whether there is any limit."""
        return self.latency_s is not None or self.size_bytes is not None

    def excess(self, cost: Cost) -> float:
        """The largest ratio of a cost to its limit: above 1 a limit is broken; 0 without limits."""
        latency = 0.0 if self.latency_s is None else cost.row_s / self.latency_s
        size = 0.0 if self.size_bytes is None else cost.size_bytes / self.size_bytes
        return max(latency, size)

    def broken(self, cost: Cost) -> list[str]:
        """Names of the limits that a cost breaks: "latency", "size"."""
        found = []
        if self.latency_s is not None and cost.row_s > self.latency_s:
            found.append("latency")
        if self.size_bytes is not None and cost.size_bytes > self.size_bytes:
            found.append("size")
        return found


@dataclass(frozen=True)
class Cost:
    """Seconds that one row takes, and bytes on the disk."""

    row_s: float = 0.0
    size_bytes: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.row_s + other.row_s, self.size_bytes + other.size_bytes)

    def scaled(self, row: float, size: float) -> Cost:
        """Seconds and bytes, each times a factor."""
        return Cost(self.row_s * row, self.size_bytes * size)


def total(costs: Sequence[Cost], shared: Cost, chosen: Iterable[int]) -> Cost:
    """What a model of the chosen candidates costs."""
    cost = shared
    for i in chosen:
        cost = cost + costs[i]
    return cost


def allowed(costs: Sequence[Cost], shared: Cost, limits: ModelLimits) -> Callable[[Collection[int]], bool]:
    """Whether candidates may be members together; what contains a forbidden set is forbidden as well.

    Examples
    --------
    >>> fits = allowed([Cost(0.2), Cost(0.5), Cost(0.9)], Cost(0.1), ModelLimits(latency_s=1.0))
    >>> fits({0, 1}), fits({0, 2}), fits({2})
    (True, False, False)
    """
    return lambda chosen: limits.excess(total(costs, shared, chosen)) <= HEADROOM


def nearest(costs: Sequence[Cost], shared: Cost, limits: ModelLimits) -> int:
    """The candidate that alone breaks the limits least; the first of equals.

    Raises
    ------
    ValueError
        If there is no candidate.
    """
    return min(range(len(costs)), key=lambda i: limits.excess(total(costs, shared, (i,))))


def corrected(costs: Sequence[Cost], shared: Cost, members: Collection[int], measured: Cost) -> tuple[list[Cost], Cost]:
    """Estimates scaled such that those of the members add up to what was measured on their packaged model."""
    estimate = total(costs, shared, members)
    row = measured.row_s / estimate.row_s if estimate.row_s > 0 else 1.0
    size = measured.size_bytes / estimate.size_bytes if estimate.size_bytes > 0 else 1.0
    return [cost.scaled(row, size) for cost in costs], shared.scaled(row, size)


def keep(
    members: Sequence[int],
    costs: Sequence[Cost],
    shared: Cost,
    limits: ModelLimits,
    utility: Callable[[tuple[int, ...]], float],
) -> tuple[int, ...]:
    """Members that stay where the packaged model breaks a limit: of all smaller sets that fit, the best one.

    Parameters
    ----------
    members : sequence of int
        At most ten; all of their smaller sets are looked at.
    costs : sequence of Cost
        Of every candidate, `corrected` by the measurement.
    shared : Cost
    limits : ModelLimits
    utility : callable
        Of a set of members, higher is better; asked only for sets that fit.

    Returns
    -------
    tuple of int
        In the order of ``members``; empty if none of the members fits alone.
    """
    if len(members) > 10:
        raise ValueError(f"{len(members)} members have too many subsets to look at all of them.")
    sets = [chosen for size in range(len(members) - 1, 0, -1) for chosen in combinations(members, size)]
    fitting = [chosen for chosen in sets if limits.excess(total(costs, shared, chosen)) <= 1.0]
    if not fitting:
        return ()
    values = np.array([utility(chosen) for chosen in fitting])
    return fitting[int(np.argmax(np.where(np.isfinite(values), values, -np.inf)))]
