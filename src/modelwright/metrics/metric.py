"""What a metric is: a name, a direction, and a function of arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from modelwright.tables.schema import Task

#: y_true, y_pred, weight -> value in the metric's own units
Score = Callable[[np.ndarray, np.ndarray, np.ndarray | None], float]


@dataclass(frozen=True)
class Metric:
    """One metric; its sign and best value are settled here once.

    ``reads`` says what the second argument of ``score`` is: "proba" an (n, K) array, "label" class numbers,
    "value" numbers. ``y_true`` is class numbers 0..K-1 for classification (1 is the positive class).
    """

    name: str
    title: str
    tasks: tuple[Task, ...]
    greater_is_better: bool
    best: float
    reads: Literal["proba", "label", "value"]
    score: Score
    #: Loss of each row, where the metric is a mean of such losses (or a function of that mean); for intervals.
    row_loss: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None

    def better(self, a: float, b: float) -> bool:
        """Whether ``a`` is a better value than ``b``."""
        return a > b if self.greater_is_better else a < b

    def unit(self, value: float) -> float:
        """What a margin is a share of, near a value: 1 where 1 is the best value, else, of a loss, three times the value.

        A hundredth of it is a point of accuracy or AUC, or 3 % of an RMSE or log loss.
        """
        return 1.0 if self.greater_is_better else 3.0 * abs(value)

    def utility(self, value: float) -> float:
        """The value with its sign turned so that greater is better."""
        return value if self.greater_is_better else -value
