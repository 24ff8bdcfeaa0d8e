"""Fitting on rows that come in batches, for tables that do not fit in memory.

A learner that was fitted on a sample is fitted anew on all rows: it keeps what the sample settled (scaling, bin
edges, coding of the target) and learns the rest from every row. The result is an ordinary learner of its
algorithm, saved and loaded as such. One module an algorithm: `streamed_boosting`, `streamed_linear`,
`streamed_network`, `streamed_centres`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from modelwright.features.matrix import Matrix
from modelwright.learners.base import Learner

#: Algorithm -> "module:function" that fits it on batches.
STREAMED: dict[str, str] = {
    "lightgbm": "modelwright.learners.streamed_boosting:fit_boosting",
    "linear": "modelwright.learners.streamed_linear:fit_linear",
    "network": "modelwright.learners.streamed_network:fit_network",
    "kmeans": "modelwright.learners.streamed_centres:fit_centres",
    "minibatch_kmeans": "modelwright.learners.streamed_centres:fit_centres",
}


@dataclass(frozen=True)
class Batch:
    """Some encoded rows; ``sampled`` marks those of the sample that the learner was fitted on."""

    X: Matrix
    y: np.ndarray | None
    weight: np.ndarray | None
    sampled: np.ndarray | None = None


class Stream(Protocol):
    """All training rows in batches, as often as they are asked for."""

    @property
    def n_rows(self) -> int:
        """Rows of one pass."""

    def __iter__(self) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class Limits:
    """When a fit must end, and what it may use.

    ``deadline`` is on the ``time.monotonic`` clock; None is never. ``stopped`` says that the user wants an end.
    """

    deadline: float | None = None
    n_threads: int = 1
    stopped: Callable[[], bool] = lambda: False

    def left_s(self) -> float:
        """Seconds left; infinite without a clock."""
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()

    @property
    def over(self) -> bool:
        """Whether the fit must end now."""
        return self.stopped() or self.left_s() <= 0


@dataclass
class StreamedFit:
    """A learner fitted on batches, and what there is to tell; ``learner`` is None where the time did not suffice."""

    learner: Learner | None
    n_rows: int
    n_iterations: int | None = None
    params: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)


def streams(algorithm: str) -> bool:
    """Whether an algorithm can be fitted on batches."""
    return algorithm in STREAMED


def fit_streamed(learner: Learner, stream: Stream, sample: Batch, limits: Limits) -> StreamedFit:
    """Fit an algorithm on all rows of a stream.

    Parameters
    ----------
    learner : Learner
        Of an algorithm in `STREAMED`, as fitted on the sample; it is left as it is.
    stream : Stream
        Training rows, encoded as the sample.
    sample : Batch
        The rows that ``learner`` was fitted on.
    limits : Limits

    Returns
    -------
    StreamedFit
    """
    module, _, function = STREAMED[learner.algorithm.name].partition(":")
    fitted: StreamedFit = getattr(import_module(module), function)(learner, stream, sample, limits)
    return fitted
