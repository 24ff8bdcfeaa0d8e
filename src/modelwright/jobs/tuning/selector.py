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
    """``over`` says which value counts where the job logs several: the last one, or the best.

    Without ``metric`` it is open: the first trial shows what there is (`only_one`).
    """

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
    """Read ``max:roc_auc``, ``min:loss:best``, or the name alone of a metric whose direction is known; open for None.

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
    if text is None:
        return Selector("", True)
    found = re.fullmatch(r"(?:(max|min):)?([^:]+?)(?::(last|best))?", text.strip())
    if found is None:
        raise SpecError(f"{text!r} does not select a metric.", where=where, mend=_MEND)
    direction, metric, over = found[1], found[2].strip(), "best" if found[3] == "best" else "last"
    upwards = direction == "max" if direction else _direction(metric)
    if upwards is None:
        raise SpecError(
            f"It is not known whether high or low values of {metric!r} are better.",
            where=where,
            mend=f"Write max:{metric} or min:{metric}.",
        )
    return Selector(metric, upwards, "best" if over == "best" else "last")


def only_one(metrics: Mapping[str, float]) -> Selector:
    """The selector where nobody said one: of the only metric that a job logs, if its direction is known.

    Raises
    ------
    SpecError
        If there are several, or none.
    """
    choices = ", ".join(f"{'min' if _direction(name) is False else 'max'}:{name}" for name in sorted(metrics))
    if len(metrics) != 1:
        what = f"and the job logs several: {', '.join(sorted(metrics))}" if metrics else "and the job logs none"
        raise SpecError(
            f"It is not said which metric decides, {what}.",
            where="select",
            mend=f"Select one: {choices}." if metrics else "Return it from the job: {'loss': 0.3}.",
        )
    (name,) = metrics
    return read_selector(name)


def _direction(metric: str) -> bool | None:
    """Whether high values are better; None where the name does not tell."""
    from modelwright.metrics.registry import METRICS

    if metric in METRICS:
        return METRICS[metric].greater_is_better
    if metric == "score":  # as a job that returns one number logs it
        return True
    return False if metric.lower().endswith(("loss", "error")) else None
