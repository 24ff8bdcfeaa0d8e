"""Successive halving: many points are tried with little, and the best third of them with three times as much.

Two forms. `Rounds` raises a budget parameter of the job (``epochs=1..27``): every round is a set of trials of its own, and
the next one begins when all of them have ended. `cutoffs` and `cut_at` stop a trial early that reports its metric step by
step (``1..27``): at each rung it is compared with the earlier trials, always the same ones, however many run at once.

References
----------
.. [1] Jamieson, Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS 2016.
.. [2] Li et al., "A System for Massively Parallel Hyperparameter Tuning" (ASHA), MLSys 2020.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

import msgspec

from modelwright.errors import SpecError
from modelwright.jobs.tuning.proposals import Proposer, Told
from modelwright.jobs.tuning.reading import read_cell
from modelwright.jobs.tuning.space import Point

#: From one rung to the next the budget grows by this, and the number of points shrinks by it.
FACTOR = 3
_MEND = "Write epochs=1..27 for a parameter of the job, or 1..27 for steps of the reported metric."


class Halving(msgspec.Struct, frozen=True):
    """Rungs from ``low`` to ``high``; of ``parameter``, or of the steps of the metric where it is empty."""

    #: Whole numbers stay whole: they are given to the job.
    low: int | float
    high: int | float
    parameter: str = ""

    @property
    def rungs(self) -> list[float]:
        """Evenly spaced on a logarithmic scale, about `FACTOR` apart, whole where both ends are.

        Examples
        --------
        >>> Halving(1, 27).rungs
        [1, 3, 9, 27]
        >>> Halving(1, 20, "epochs").rungs
        [1, 4, 20]
        """
        n = max(1, math.floor(math.log(self.high / self.low) / math.log(FACTOR) + 1e-9))
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        inner = [self.low * (self.high / self.low) ** (k / n) for k in range(1, n)]
        return [self.low, *(round(rung) if whole else float(f"{rung:.6g}") for rung in inner), self.high]


def read_halving(text: str) -> Halving:
    """Read ``epochs=1..27`` or ``1..27``.

    Raises
    ------
    SpecError
        If it is neither, or spans less than a factor of three.

    Examples
    --------
    >>> read_halving("epochs=1..27")
    Halving(low=1, high=27, parameter='epochs')
    """
    found = re.fullmatch(r"\s*(?:([A-Za-z_][\w.-]*)\s*=)?\s*(\S+?)\s*\.\.\s*(\S+)\s*", text)
    ends = [read_cell(end) for end in found.groups()[1:]] if found else []
    if found is None or not all(type(end) in (int, float) for end in ends):
        raise SpecError(f"{text!r} is not a range of budgets.", where="halving", mend=_MEND)
    low, high = ends
    if low <= 0 or high < FACTOR * low:
        raise SpecError(f"{text!r} must begin above 0 and reach at least {FACTOR} times as far.", where="halving", mend=_MEND)
    return Halving(low, high, found[1] or "")


def n_trials(first: int, n_rungs: int) -> int:
    """Trials of a bracket that begins with so many points.

    Examples
    --------
    >>> n_trials(27, 4), n_trials(9, 4)
    (40, 14)
    """
    return sum(max(1, first // FACTOR**rung) for rung in range(n_rungs))


def largest_bracket(room: float, n_rungs: int) -> int:
    """Points with which the largest bracket begins that fits; 0 where none of at least three does."""
    first = FACTOR ** (n_rungs - 1)
    while first >= FACTOR and n_trials(first, n_rungs) > room:
        first -= 1
    return first if first >= FACTOR else 0


class Rounds:
    """Bracket after bracket of new points, each trial with the budget of its round.

    Parameters
    ----------
    points : Proposer
        Of the other parameters; it learns from the first round of each bracket, where all points have the same budget.
    halving : Halving
    limit : int, optional
        Trials that may be used; a bracket that would not fit is made smaller, or not begun.
    """

    def __init__(self, points: Proposer, halving: Halving, limit: int | None) -> None:
        self.ended = ""
        self._points = points
        self._parameter = halving.parameter
        self._rungs = halving.rungs
        self._limit = math.inf if limit is None else limit
        #: The present round: its rung, its points, the number of its first trial, how many were handed out.
        self._rung, self._round, self._begin, self._out = len(self._rungs) - 1, list[Point](), 0, 0
        self._results: dict[int, float | None] = {}
        self._learned = 0

    def needs(self, number: int) -> int:
        return self._begin if self._out < len(self._round) else self._begin + len(self._round)

    def ask(self) -> Point | None:
        if self._out == len(self._round):
            following = self._promoted() or self._bracket()
            if not following:
                return None
            self._begin += len(self._round)
            self._round, self._out = following, 0
        point = self._round[self._out]
        self._out += 1
        return point | {self._parameter: self._rungs[self._rung]}

    def tell(self, number: int, result: Told) -> None:
        self._results[number] = result.utility
        if self._rung == 0:
            self._points.tell(self._learned, result)
            self._learned += 1

    def _promoted(self) -> list[Point]:
        """The best third of the round, best first; none after the last rung, or where all failed."""
        if self._rung == len(self._rungs) - 1:
            return []
        results = [(self._results[self._begin + place], place) for place in range(len(self._round))]
        ranked = sorted((-utility, place) for utility, place in results if utility is not None)
        self._rung += 1
        return [self._round[place] for _, place in ranked[: max(1, len(self._round) // FACTOR)]]

    def _bracket(self) -> list[Point]:
        """New points for the lowest rung."""
        first = largest_bracket(self._limit - self._begin - len(self._round), len(self._rungs))
        if not first:
            self.ended = "what is left of the trials does not suffice for another bracket of halving"
            return []
        self._rung = 0
        drawn = [self._points.ask() for _ in range(first)]
        self.ended = self._points.ended
        return [point for point in drawn if point is not None]


Cutoffs = tuple[tuple[float, float], ...]


def cutoffs(halving: Halving, earlier: Iterable[Told]) -> Cutoffs:
    """What a trial must reach: (step, least utility) for each rung that at least three earlier trials have reported.

    The least utility is that of the best third of them.
    """
    earlier = list(earlier)
    found = []
    for rung in halving.rungs[:-1]:
        there = sorted((u for told in earlier if (u := _at(told.at, rung)) is not None), reverse=True)
        if len(there) >= FACTOR:
            found.append((rung, there[len(there) // FACTOR - 1]))
    return tuple(found)


def cut_at(cutoffs: Cutoffs, at: Sequence[tuple[float, float]]) -> int | None:
    """Place of the report after which the trial is stopped, None if it goes on: the first one that is behind at a rung.

    Parameters
    ----------
    cutoffs : tuple
        From `cutoffs`.
    at : sequence of (step, utility)
        What the trial has reported so far, in order.
    """
    for rung, least in cutoffs:
        place = next((k for k, (step, _) in enumerate(at) if step >= rung), None)
        if place is not None and not at[place][1] >= least:
            return place
    return None


def _at(at: Sequence[tuple[float, float]], rung: float) -> float | None:
    return next((utility for step, utility in at if step >= rung), None)
