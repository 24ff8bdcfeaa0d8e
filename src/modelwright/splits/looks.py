"""Looks: what may be shown of a sealed score that is not the first one.

Every score of the same sealed rows tells whoever reads it something about them, and the next model is chosen with that
knowledge. Three rules keep the shown scores honest; the ledger of `modelwright.store.ledger` applies them.

- **Ladder** [1]_: the best score shown is kept. A new model takes its place only if it is better by more than a step;
  otherwise the old score is shown again. Up to the tenth look the step is one standard error of the paired difference;
  from the eleventh on it is the quantile of the corrected level, because an analyst who changes a few predictions at a
  time climbs the fixed step as well (``benchmarks/looks.py``: up to 10.1 points after 500 looks, against 1.4 at most).
- **Corrected interval**: look k has an interval of level 1 - 0.05 / (k (k + 1)); over all looks together they miss with
  a probability of at most 0.05.
- **Budget**: after ten looks the rows are worn, and a reserve may be opened.

Nothing here reads a file or a clock.

References
----------
.. [1] Blum, Hardt, "The Ladder: A Reliable Leaderboard for Machine Learning Competitions", ICML 2015.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from modelwright.metrics.estimate import Interval

#: Looks that one set of sealed rows bears.
BUDGET = 10
#: Of the intervals of all looks together, at most this share misses.
ALPHA = 0.05

Part = Literal["evaluation", "reserve"]


class Look(msgspec.Struct, frozen=True):
    """One look at sealed rows, as far as it may be shown; the raw score stays in the ledger.

    Parameters
    ----------
    vault : str
        Identity of the sealed rows.
    part : {"evaluation", "reserve"}
    count : int
        1 for the first look at these rows.
    run, purpose, at, by : str
        Whose look, what for, when (ISO 8601), and by whom.
    metric : str
    score : Interval
        What may be shown: the new score with its 95 % interval, or those of the best model shown so far.
    corrected : Interval or None
        The same score at the corrected level; None at a first look.
    level : float
        The level of ``corrected``.
    better_than_shown : bool or None
        Whether the model is better than the best shown so far; None where there was nothing to compare with.
    best_run : str
        Run whose score is shown.
    best_count : int
        Look at which it was first shown.
    beats_baseline : bool or None
        Whether the model is better than the baseline by a paired test at the corrected level.
    repeated : bool
        Whether its predictions are those of the best model shown, so that its numbers tell nothing new.
    elsewhere : int
        Looks at other sealed rows of the same table and target (other shares, other seeds).
    sound : bool
        Whether the ledger's last line was there when this look was entered.
    hash : str
        Hash of the ledger's line, which holds the hash of the line before.
    """

    vault: str
    part: Part
    count: int
    run: str
    purpose: str
    at: str
    by: str
    metric: str
    score: Interval
    corrected: Interval | None
    level: float
    better_than_shown: bool | None
    best_run: str
    best_count: int
    beats_baseline: bool | None = None
    repeated: bool = False
    elsewhere: int = 0
    sound: bool = True
    hash: str = ""

    @property
    def reveals(self) -> bool:
        """Whether this model's own numbers may be shown: the score, other metrics, curves, slices."""
        return self.repeated or self.better_than_shown is not False

    @property
    def worn(self) -> bool:
        """Whether the budget of looks is used up."""
        return self.count > BUDGET


def corrected_level(count: int) -> float:
    """Level of the interval of a look; all looks together miss with a probability of at most 0.05.

    Parameters
    ----------
    count : int
        1 for the first look.

    Examples
    --------
    >>> [round(corrected_level(k), 4) for k in (1, 2, 10)]
    [0.975, 0.9917, 0.9995]
    """
    return 1 - ALPHA / (count * (count + 1))


def step_level(count: int) -> float:
    """Two-sided level of the paired interval of the gain whose lower end must exceed zero for a new best.

    Parameters
    ----------
    count : int
        The look that is being entered, 2 or more.

    Returns
    -------
    float
        Up to `BUDGET` the level at which the interval is one standard error to each side, the Ladder's s / sqrt(m) [1]_;
        beyond it, the corrected level.

    References
    ----------
    .. [1] Blum, Hardt, "The Ladder", ICML 2015, section 4.

    Examples
    --------
    >>> round(step_level(2), 4), round(step_level(11), 5)
    (0.6827, 0.99962)
    """
    return math.erf(1 / math.sqrt(2)) if count <= BUDGET else corrected_level(count)


def rounded(score: Interval, n_rows: int, *, bounded: bool) -> Interval:
    """The score on a grid of 1 / n_rows where its losses are bounded: what is finer tells of single rows.

    Parameters
    ----------
    score : Interval
    n_rows : int
    bounded : bool
        Whether the metric has a smallest and a largest value.
    """
    if not bounded:
        return score
    # Outward, so that the interval keeps its level.
    low, value, high = (x * n_rows if math.isfinite(x) else 0.0 for x in (score.low, score.value, score.high))
    return Interval(
        round(value) / n_rows if math.isfinite(score.value) else score.value,
        math.floor(low) / n_rows if math.isfinite(score.low) else score.low,
        math.ceil(high) / n_rows if math.isfinite(score.high) else score.high,
    )
