"""Who is fitted on all rows next, and with what steps, when a clock runs: the best that can end in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from modelwright.learners import registry
from modelwright.search.candidate import Candidate

#: Of one algorithm, so many climb before the next of another one does.
_OF_ONE = 2
#: Share of the time left that a fit may be expected to take.
_SURE = 0.9
#: Share of it from which a fit is dear.
_DEAR = 0.25
#: How much larger the steps of boosting may become, and the largest step.
_FACTORS, _LARGEST_STEP = (2, 4), 0.21
#: Fits that may end at any round are begun with a third of the time that they would take.
_CUT_SHORT = 3.0
#: Where none of the best can be fitted on all rows: share of the time left that each of their fits may take.
_ONE_OF_FEWER = 0.3


def diverse(probed: Sequence[Candidate]) -> list[Candidate]:
    """By probe score, but no algorithm more than twice before the others had their turn.

    Parameters
    ----------
    probed : sequence of Candidate
        The best first.
    """
    seen: dict[str, int] = {}
    turns = []
    for rank, candidate in enumerate(probed):
        seen[candidate.algorithm] = seen.get(candidate.algorithm, 0) + 1
        turns.append(((seen[candidate.algorithm] - 1) // _OF_ONE, rank, candidate))
    return [candidate for _, _, candidate in sorted(turns, key=lambda turn: turn[:2])]


class Climber(NamedTuple):
    """Who goes next, and with which hyperparameters in place of its own."""

    candidate: Candidate
    params: dict[str, Any] | None = None


def next_climber(
    order: Sequence[Candidate], probed: Sequence[Candidate], seconds: Callable[[Candidate], float], left: float, *, must: bool
) -> Climber | None:
    """Who climbs next.

    Parameters
    ----------
    order : sequence of Candidate
        Those that have not climbed, in the order in which they would without a clock.
    probed : sequence of Candidate
        All by their probe, the best first. Who is dear and not in the better half waits until the cheap ones had their turn.
    seconds : callable
        What the fit of a candidate on all rows is expected to take.
    left : float
        Seconds.
    must : bool
        Whether nobody has climbed yet: then the cheapest does, however long it takes.

    Returns
    -------
    Climber or None
        The first who can end in time, boosting with larger steps if need be: half as many trees with twice the step are a
        better model than half of the trees. Else the first whose fit may be cut short.
    """
    well = {candidate.number for candidate in probed[: (len(probed) + 1) // 2]}
    order = sorted(order, key=lambda c: c.number not in well and seconds(c) > _DEAR * left)
    for candidate in order:
        for factor in (1, *_FACTORS):
            if seconds(candidate) / factor < _SURE * left and (factor == 1 or _bears(candidate, factor)):
                return Climber(candidate, with_larger_steps(candidate.params, factor) if factor > 1 else None)
    for candidate in order:
        if _iterations(candidate) and seconds(candidate) < _CUT_SHORT * left:
            return Climber(candidate)
    return Climber(min(order, key=seconds)) if must and order else None


def rows_in_time(best: Sequence[Candidate], seconds: Callable[[Candidate], float], left: float, n_rows: int) -> int:
    """Training rows on which the best can be fitted in time: all, if one of them can be on all.

    Parameters
    ----------
    best : sequence of Candidate
        Of the algorithms that are best in the probe.
    seconds : callable
        What the fit of a candidate on all ``n_rows`` is expected to take.
    left : float
        Seconds.
    n_rows : int
    """
    needed = [seconds(candidate) for candidate in best]
    if not best or next_climber(best, best, seconds, left, must=False) is not None or not np.isfinite(needed).all():
        return n_rows
    return int(n_rows * min(1.0, _ONE_OF_FEWER * left / float(np.median(needed))))


def with_larger_steps(params: dict[str, Any], factor: int) -> dict[str, Any]:
    """Hyperparameters of boosting with steps so many times as large, and fewer rounds at most.

    Parameters
    ----------
    params : dict
    factor : int
    """
    rounds = max(1, params["n_estimators"] // factor)
    return params | {"learning_rate": params["learning_rate"] * factor, "n_estimators": rounds}


def _bears(candidate: Candidate, factor: int) -> bool:
    """Whether its steps may be so much larger."""
    boosts = {"learning_rate", "n_estimators"} <= candidate.params.keys()
    return boosts and bool(candidate.params["learning_rate"] * factor <= _LARGEST_STEP)


def _iterations(candidate: Candidate) -> str:
    return registry.get(candidate.algorithm).algorithm.iterations
