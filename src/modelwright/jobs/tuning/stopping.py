"""Rules that end a search, read from texts such as "no improvement in 20" and "roc_auc > 0.95"; never run as code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from modelwright.errors import SpecError
from modelwright.jobs.tuning.selector import Selector
from modelwright.jobs.tuning.trial import Trial

_MEND = 'Write "no improvement in 20", "no improvement of 0.001 in 20" or "roc_auc > 0.95 and loss < 0.3".'
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_STALE = re.compile(rf"no\s+improvement(?:\s+of\s+({_NUMBER}))?\s+in\s+(\d+)(?:\s+trials?)?", re.IGNORECASE)
_COMPARISON = re.compile(rf"(.+?)\s*(>=|<=|>|<)\s*({_NUMBER})")


class NoImprovement(msgspec.Struct, frozen=True, tag="no_improvement"):
    """So many trials in a row without a new best, or without one that is better by ``least``."""

    trials: int
    least: float = 0.0


class Comparison(msgspec.Struct, frozen=True):
    """A metric of a trial against a number."""

    metric: str
    sign: Literal[">", ">=", "<", "<="]
    number: float

    def holds(self, value: float) -> bool:
        if self.sign == ">":
            return value > self.number
        if self.sign == ">=":
            return value >= self.number
        return value < self.number if self.sign == "<" else value <= self.number


class Reached(msgspec.Struct, frozen=True, tag="reached"):
    """One complete trial for which all comparisons hold."""

    comparisons: tuple[Comparison, ...]


class StopRule(msgspec.Struct, frozen=True):
    """A rule with the words in which it was given."""

    text: str
    rule: NoImprovement | Reached


def read_stop(text: str) -> StopRule:
    """Read one rule.

    Raises
    ------
    SpecError
        If it is none.

    Examples
    --------
    >>> read_stop("no improvement in 20").rule
    NoImprovement(trials=20, least=0.0)
    >>> read_stop("loss < 0.1").rule.comparisons
    (Comparison(metric='loss', sign='<', number=0.1),)
    """
    words = " ".join(text.split())
    if stale := _STALE.fullmatch(words):
        least, trials = float(stale[1] or 0.0), int(stale[2])
        if trials < 1 or least < 0:
            raise SpecError(f"{text!r} would end the search before it begins.", where="stop", mend=_MEND)
        return StopRule(words, NoImprovement(trials, least))
    comparisons = []
    for part in re.split(r"\s+and\s+", words):
        found = _COMPARISON.fullmatch(part)
        if found is None:
            raise SpecError(f"{part!r} is no rule to stop by.", where="stop", mend=_MEND)
        metric = found[1].removeprefix("metrics.")
        if not re.fullmatch(r"[^<>=!()]+", metric):
            raise SpecError(f"{metric!r} names no metric.", where="stop", mend=_MEND)
        comparisons.append(Comparison(metric, found[2], float(found[3])))  # type: ignore[arg-type]
    return StopRule(words, Reached(tuple(comparisons)))


class Judge:
    """Looks at the trials in the order of their numbers, and says after which one the search ends.

    Parameters
    ----------
    rules : sequence of StopRule
    selector : Selector
    """

    def __init__(self, rules: Sequence[StopRule], selector: Selector) -> None:
        self._rules = rules
        self._selector = selector
        self._best: dict[int, float] = {}
        self._since: dict[int, int] = {}

    def stops(self, trial: Trial) -> str:
        """The rule by which the search ends with this trial, "" if it goes on."""
        met = [rule.text for place, rule in enumerate(self._rules) if self._met(place, rule.rule, trial)]
        return met[0] if met else ""

    def _met(self, place: int, rule: NoImprovement | Reached, trial: Trial) -> bool:
        if isinstance(rule, Reached):
            metrics = trial.metrics if trial.value is None else trial.metrics | {self._selector.metric: trial.value}
            return trial.state == "complete" and all(
                c.metric in metrics and c.holds(metrics[c.metric]) for c in rule.comparisons
            )
        utility = self._selector.utility(trial.value) if trial.state == "complete" and trial.value is not None else None
        best = self._best.get(place)
        if utility is not None and (best is None or utility > best + rule.least):
            self._best[place], self._since[place] = utility, 0
        else:
            self._since[place] = self._since.get(place, 0) + 1
        return self._since[place] >= rule.trials and place in self._best
