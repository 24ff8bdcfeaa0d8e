"""Which metric of a job decides, in which direction, and which of its values over the steps counts."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from modelwright.errors import SpecError

_MEND = "Write max:roc_auc or min:loss; min:loss:best takes the best value over the steps."


class Selector(msgspec.Struct, frozen=True):
    """``over`` says which value counts where the job logs several: the last one, or the best."""

    metric: str
    greater_is_better: bool
    over: Literal["last", "best"] = "last"

    def utility(self, value: float) -> float:
        """The value, turned so that higher is better."""
        return value if self.greater_is_better else -value

    def value(self, metrics: Mapping[str, float], reported: Sequence[tuple[float, float]]) -> float | None:
        """The value of a trial, None if it logged none.

        Parameters
        ----------
        metrics : mapping
            The last value of each metric.
        reported : sequence of (step, value)
            The values of this metric that came with a step, in order.
        """
        last = metrics.get(self.metric)
        if self.over == "last" or not reported:
            return last if last is not None or not reported else reported[-1][1]
        values = [value for _, value in reported if not math.isnan(value)] + ([] if last is None else [last])
        return max(values, key=self.utility, default=last)

    def utilities(self, reported: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
        """(step, utility) for each report: of its value, or of the best one so far. What is no number is the worst."""
        found: list[tuple[float, float]] = []
        for step, value in reported:
            utility = self.utility(value) if math.isfinite(value) else -sys.float_info.max
            if self.over == "best" and found and not utility > found[-1][1]:
                utility = found[-1][1]
            found.append((step, utility))
        return tuple(found)


def read_selector(text: str | None) -> Selector:
    """Read ``max:roc_auc``, ``min:loss:best``, or the name alone of a metric whose direction is known.

    Raises
    ------
    SpecError
        If the direction is not known, or the text is none of these.

    Examples
    --------
    >>> read_selector("min:loss:best")
    Selector(metric='loss', greater_is_better=False, over='best')
    >>> read_selector("roc_auc").greater_is_better
    True
    """
    where = "select"
    if not text or not text.strip():
        raise SpecError("It is not said which metric of the job decides.", where=where, mend=_MEND)
    found = re.fullmatch(r"(?:(max|min):)?([^:]+?)(?::(last|best))?", text.strip())
    if found is None:
        raise SpecError(f"{text!r} does not select a metric.", where=where, mend=_MEND)
    direction, metric, over = found[1], found[2].strip(), found[3] or "last"
    if direction is None:
        from modelwright.metrics.registry import METRICS

        if metric not in METRICS:
            raise SpecError(
                f"It is not known whether high or low values of {metric!r} are better.",
                where=where,
                mend=f"Write max:{metric} or min:{metric}.",
            )
        return Selector(metric, METRICS[metric].greater_is_better, "best" if over == "best" else "last")
    return Selector(metric, direction == "max", "best" if over == "best" else "last")
