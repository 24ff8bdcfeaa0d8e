"""How the time of a run is shared out."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

#: Shares of the time that is left to the search when a generation begins.
PROBE_SHARE = 0.50
#: Where the probe is the whole first fold nothing needs to climb.
WHOLE_PROBE_SHARE = 0.75
CLIMB_SHARE = 0.90
TUNE_SHARE = 0.60
#: Shares of the time left to the search that a single probe, and a baseline on all rows, may take.
ONE_PROBE = 0.20
ONE_BASELINE = 0.10
#: The final fit is reserved at least and at most these shares of the budget; what it is predicted to take is
#: reserved with a margin, and time for encoding all rows.
REFIT_SHARES = (0.08, 0.25)
#: Share of a long budget that may be reserved besides for fits of networks with other seeds. With 60 s it brought nothing on
#: six tables.
_SEEDS_SHARE = 0.15
REFIT_MARGIN = 1.1
REFIT_AROUND_S = 1.0
#: Tables of so many times the subset are used whole: a subset would save little, but where hardly anything can be fitted.
_WHOLE, _WHOLE_HURRIED = 2.5, 1.0
HURRIED_S = 20.0
#: A fit without which there would be no model gets this share of the budget, and these seconds at least.
_RESCUE_SHARE, _RESCUE_S = 0.85, 2.0
#: Validated rows that tell candidates apart well enough, with little time and with more: further folds wait until tuning
#: has had its turn.
_ENOUGH_ROWS, _ENOUGH_ROWS_LONG = 6_000, 10_000
_SHORT_S = 90.0


@dataclass(frozen=True)
class Budget:
    """Wall-clock for a whole run, from the call to the written report.

    Parameters
    ----------
    total_s : float or None
        None: no clock; the run is limited by its number of trials.
    started : float
        Moment of the call on the ``time.monotonic`` clock.
    """

    total_s: float | None
    started: float

    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def left(self) -> float:
        """Seconds left, ``inf`` without a clock."""
        return math.inf if self.total_s is None else self.total_s - self.elapsed()

    @property
    def tail_s(self) -> float:
        """Kept for the sealed evaluation, the bundle and the report.

        These took 2 to 4 s on the tables of the benchmark, more on tables with many rows to score.
        """
        return 0.0 if self.total_s is None else min(max(4.5, 0.08 * self.total_s), 20.0, 0.3 * self.total_s)

    @property
    def fit_deadline(self) -> float | None:
        """When the final fit must be done, on the ``time.monotonic`` clock."""
        return None if self.total_s is None else self.started + self.total_s - self.tail_s

    @property
    def rescue_deadline(self) -> float | None:
        """When a fit without which there would be no model must be done; it may use what evaluation seldom needs."""
        if self.total_s is None:
            return None
        return max(self.started + _RESCUE_SHARE * self.total_s, time.monotonic() + _RESCUE_S)

    @property
    def seeds_s(self) -> float:
        """The most that is kept for fits of networks with other seeds."""
        return 0.0 if self.total_s is None or self.total_s <= _SHORT_S else _SEEDS_SHARE * self.total_s

    def search_deadline(self, refit_s: float) -> float | None:
        """When the search must end so that the final fit, predicted to take ``refit_s``, still fits in."""
        if self.total_s is None or self.fit_deadline is None:
            return None
        low, high = REFIT_SHARES
        return self.fit_deadline - min(max(refit_s, low * self.total_s), high * self.total_s)


def enough_rows(total_s: float | None) -> int:
    """Validated rows after which the race pauses."""
    return _ENOUGH_ROWS if total_s is not None and total_s <= _SHORT_S else _ENOUGH_ROWS_LONG


def until(deadline: float | None) -> float:
    """Seconds from now to a moment of the ``time.monotonic`` clock; ``inf`` for None."""
    return math.inf if deadline is None else deadline - time.monotonic()


def after(share: float, deadline: float | None) -> float | None:
    """The moment when ``share`` of the time from now to ``deadline`` has passed."""
    return None if deadline is None else time.monotonic() + share * max(0.0, until(deadline))


def probe_rows(n_rows: int, n_features: int, total_s: float | None) -> int:
    """Rows of the subset on which candidates are compared and tuned.

    Small tables are used whole. Above that the subset grows with the budget and shrinks with the width, so that
    the portfolio is through after a third of the budget and its best can climb.
    """
    size = 10_000 if total_s is None else 5_000 if total_s <= _SHORT_S else 10_000 if total_s <= 300 else 20_000
    size = min(size, max(2_000, size * 60 // max(n_features, 1))) if n_features > 60 else size
    whole = _WHOLE_HURRIED if total_s is not None and total_s <= HURRIED_S else _WHOLE
    return n_rows if n_rows <= whole * size else size
