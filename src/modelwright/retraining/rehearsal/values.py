"""What was rehearsed and what came of it."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from scipy.special import stdtrit

from modelwright.retraining.policy import Policy


class Contestant(msgspec.Struct, frozen=True):
    """A way to keep a model good.

    Parameters
    ----------
    name : str
    policy : Policy or None
        None never trains again.
    every : int or None
        Trains after so many windows, whatever happens, on all rows whose labels are there, and always takes the new model.
    """

    name: str
    policy: Policy | None = None
    every: int | None = None


class Retrained(msgspec.Struct, frozen=True):
    """One retraining: after which window, why, and what the gate said of it.

    ``trained`` is False where a challenger that labels were missing for was but judged again.
    """

    window: int
    at: str
    cause: str
    reason: str
    rows: tuple[int, int]
    seconds: float
    promoted: bool
    answer: str = ""
    told: str = ""
    trained: bool = True


class Point(msgspec.Struct, frozen=True):
    """The score of one window, by the model that answered it; None where the metric has none, as for one class alone."""

    window: int
    start: str
    end: str
    n_rows: int
    score: float | None
    model: int


class Life(msgspec.Struct, frozen=True):
    """What one contestant lived through."""

    name: str
    points: tuple[Point, ...]
    retrained: tuple[Retrained, ...] = ()
    held: tuple[str, ...] = ()

    @property
    def scores(self) -> np.ndarray:
        """Score of each window, NaN where there is none."""
        return np.array([math.nan if point.score is None else point.score for point in self.points])

    @property
    def score(self) -> float:
        """Mean score of the windows."""
        return float(np.nanmean(self.scores))

    @property
    def n_trained(self) -> int:
        """How many models were trained."""
        return sum(each.trained for each in self.retrained)

    @property
    def promoted(self) -> int:
        """How many of the retrained models went live."""
        return sum(each.promoted for each in self.retrained)

    @property
    def seconds(self) -> float:
        """Seconds spent on training, the first model left out."""
        return sum(each.seconds for each in self.retrained)


class Gain(msgspec.Struct, frozen=True):
    """By how much better a contestant was than another, positive is better; mean over the windows with its 95 % interval."""

    value: float
    low: float
    high: float


class Rehearsal(msgspec.Struct, frozen=True):
    """All contestants on one history.

    Parameters
    ----------
    data, target, metric : str
    greater_is_better : bool
    n_first, n_rows : int
        Rows that the first model learned from, and all.
    lives : tuple of Life
        The first is what the others are compared with.
    dated : bool
    settings : dict
    """

    data: str
    target: str
    metric: str
    greater_is_better: bool
    n_first: int
    n_rows: int
    lives: tuple[Life, ...]
    dated: bool
    settings: dict[str, Any] = {}

    def gain(self, life: Life, over: Life | None = None) -> Gain:
        """How much better a life was than another, by default the first."""
        sign = 1.0 if self.greater_is_better else -1.0
        differences = sign * (life.scores - (over or self.lives[0]).scores)
        return mean_with_interval(differences[np.isfinite(differences)])


def mean_with_interval(values: np.ndarray, level: float = 0.95) -> Gain:
    """The mean of values in time, with an interval that allows for neighbours being alike.

    Windows follow each other, so their differences are alike; the variance of the mean is that of a series with the
    autocovariances up to the square root of its length (Newey and West, Econometrica 55, 1987), and at least that of
    independent values.
    """
    n = len(values)
    if n < 2:
        value = float(values.mean()) if n else math.nan
        return Gain(value, -math.inf, math.inf)
    mean = float(values.mean())
    centred = values - mean
    variance = float(centred @ centred) / n
    lags = int(math.sqrt(n))
    longer = variance + 2 * sum((1 - k / (lags + 1)) * float(centred[k:] @ centred[:-k]) / n for k in range(1, lags + 1))
    half = float(stdtrit(max(n // (lags + 1), 2), 0.5 + level / 2)) * math.sqrt(max(longer, variance) / (n - 1))
    return Gain(mean, mean - half, mean + half)
