"""The seasonal-naive forecast as a baseline of time-ordered regression: the last value of the same season."""

from __future__ import annotations

import numpy as np
import polars as pl

from modelwright.learners.baseline import seasonal_naive
from modelwright.metrics import registry as metrics
from modelwright.search.candidate import Candidate
from modelwright.search.jobs import Done
from modelwright.search.search import Search
from modelwright.training.prepare import Training

NAME = "seasonal_naive"


class NaiveForecast:
    """Forecasts from the training rows' time, group and target; it reads no features.

    Parameters
    ----------
    training : Training
    time, group : str or None
        Role columns.
    """

    def __init__(self, training: Training, time: str, group: str | None) -> None:
        self._time = time
        self._training = training
        self._when = as_numbers(training.frame[time])
        self._groups = labels(training.raw[group]) if group else None

    def predict(self, rows: np.ndarray, when: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
        """Forecast for ``when`` and ``groups`` from the given training rows."""
        assert self._training.y is not None
        past_groups = None if self._groups is None else self._groups[rows]
        return seasonal_naive(
            self._when[rows], self._training.y[rows], past_groups, when, groups if past_groups is not None else None
        )

    def add_to(self, search: Search) -> None:
        """Enter the forecast as a baseline with a score on every fold."""
        assert self._training.y is not None
        candidate = Candidate(len(search.candidates), NAME, {}, "baseline", baseline=True)
        for number, fold in enumerate(search.problem.folds):
            groups = None if self._groups is None else self._groups[fold.validation]
            prediction = self.predict(fold.training, self._when[fold.validation], groups)
            score = metrics.score(search.problem.metric, self._training.y[fold.validation], prediction, None)
            candidate.folds[number] = Done(score=float(score))
        search.candidates.append(candidate)


def as_numbers(time: pl.Series) -> np.ndarray:
    """Times as datetime64, or as numbers where the column holds numbers."""
    return time.to_numpy()


def labels(group: pl.Series) -> np.ndarray:
    """Group labels as text; a missing one is a group of its own."""
    return group.cast(pl.String).fill_null("").to_numpy()
