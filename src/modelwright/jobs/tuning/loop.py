"""The search: ask for a point, run it, tell the result, until a limit or a rule ends it.

The loop knows no processes and no files: a `Runner` does the trial, ``on_trial`` keeps it. What is proposed, and where
the search ends, follows from the results in the order of their numbers, so that one worker and many give the same trials.
A trial beyond the one that ended the search may have run already; it is kept, and does not count.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from modelwright.errors import ModelwrightError, SpecError
from modelwright.jobs.tuning.halving import Cutoffs, Halving, cut_at, cutoffs
from modelwright.jobs.tuning.proposals import Proposer, Told
from modelwright.jobs.tuning.selector import Selector
from modelwright.jobs.tuning.space import Point, point_key
from modelwright.jobs.tuning.stopping import Judge, Reached, StopRule
from modelwright.jobs.tuning.trial import FAILURES, Ended, Trial, TrialState

#: Where the first trials all fail, so many are enough to see that the job is at fault; ``failures`` overrules it.
HOPELESS = 10
_POLL_S = 0.1


class Outcome(msgspec.Struct, frozen=True):
    """How a trial ended, as its runner saw it.

    ``metrics`` has the last value of each metric, ``reported`` the selected one as (step, value), in order.
    """

    state: TrialState
    metrics: dict[str, float] = {}
    reported: list[tuple[float, float]] = []
    seconds: float = 0.0
    run: str = ""
    error: str = ""


#: Hears all (step, value) of the selected metric so far; True ends the trial.
Report = Callable[[Sequence[tuple[float, float]]], bool]


class Runner(Protocol):
    """Does one trial, and answers with how it ended; it raises only where no further trial makes sense."""

    def __call__(self, number: int, params: Point, report: Report, stop: threading.Event) -> Outcome:
        """Run the job with these parameters until it ends, ``report`` says so, or ``stop`` is set."""


@dataclass(frozen=True)
class Limits:
    """What ends a search; ``deadline`` is on the ``time.monotonic`` clock."""

    trials: int | None = None
    deadline: float | None = None
    failures: int | None = None
    rules: Sequence[StopRule] = ()


@dataclass
class Search:
    """One search.

    Parameters
    ----------
    proposer : Proposer
    runner : Runner
    selector : Selector
    limits : Limits
    workers : int
        Trials that run at once.
    ahead : int
        Trials that may be open at once where earlier results decide on later trials.
    halving : Halving, optional
        By rounds it stands in the proposer too; by steps it is done here.
    known : mapping of int to Trial
        Results of an earlier start of the same search, which are not run again.
    stop : threading.Event
        Set from outside to end the search.
    on_trial : callable
        Receives each trial as it ends, and the best so far.
    """

    proposer: Proposer
    runner: Runner
    selector: Selector
    limits: Limits
    workers: int
    ahead: int
    halving: Halving | None = None
    known: Mapping[int, Trial] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    on_trial: Callable[[Trial, Trial | None], None] = lambda trial, best: None
    trials: dict[int, Trial] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._steps = self.halving if self.halving is not None and not self.halving.parameter else None
        self._points: list[Point] = []
        self._cutoffs: list[Cutoffs] = []
        self._told = self._judged = self._failed = 0
        self._judge = Judge(self.limits.rules, self.selector)
        self._measured = False
        #: Trials that ended well without the selected metric.
        self._lacking: set[int] = set()
        #: The trial and the reason with which the search ended, where a rule or failures ended it.
        self.last: int | None = None
        self._ended: Ended | None = None
        self._running: set[int] = set()
        self._answers: queue.Queue[tuple[int, Outcome | BaseException]] = queue.Queue()
        #: Ends the trials that run.
        self._end = threading.Event()

    def run(self) -> Ended:
        """Search until something ends it; all trials are in ``trials`` then."""
        try:
            return self._search()
        finally:
            self._end.set()
            while self._running:
                self._keep(*self._answers.get())

    def counted(self) -> list[Trial]:
        """The trials up to the one that ended the search."""
        return [self.trials[number] for number in sorted(self.trials) if self.last is None or number <= self.last]

    def _search(self) -> Ended:
        while True:
            self._judge_in_order()
            nothing_left = self._start()
            if self._ended is not None:
                return self._ended
            if self.stop.is_set():
                return Ended("interrupt", "it was interrupted")
            if self.limits.deadline is not None and time.monotonic() >= self.limits.deadline:
                return Ended("time", "the time was used up")
            if not self._running:
                assert nothing_left is not None, "a proposer waits for a result that nobody works on"
                return nothing_left
            try:
                self._keep(*self._answers.get(timeout=_POLL_S))
            except queue.Empty:
                continue

    # -- asking and telling --------------------------------------------------------------------------------

    def _start(self) -> Ended | None:
        """Begin trials while there is room; why there is no further one, None while there may be."""
        while len(self._running) < self.workers and self._ended is None:
            number = len(self._points)
            if self.limits.trials is not None and number >= self.limits.trials:
                return Ended("trials", "the one trial was run" if number == 1 else f"all {number:,} trials were run")
            if not self._tell(self._needs(number)):
                return None
            point = self.proposer.ask()
            if point is None:
                return Ended("exhausted", self.proposer.ended)
            self._points.append(point)
            self._cutoffs.append(self._cutoffs_now())
            known = self.known.get(number)
            if known is None:
                self._begin(number, point)
            elif point_key(known.params) != point_key(point):
                raise ModelwrightError(
                    f"Trial {number} of the run had other parameters than are proposed now.",
                    where=known.run,
                    mend="Resume with the version of optuna that the run was begun with; its record names it.",
                )
            else:
                self.trials[number] = known
                self._judge_in_order()  # it may end the search before another one begins
        return None

    def _needs(self, number: int) -> int:
        own = self.proposer.needs(number)
        return own if self._steps is None else max(own, number - self.ahead + 1)

    def _tell(self, needed: int) -> bool:
        """Tell exactly so many results; False where they are not known yet."""
        while self._told < needed:
            trial = self.trials.get(self._told)
            if trial is None:
                return False
            self.proposer.tell(self._told, self._as_told(trial))
            self._told += 1
        return True

    def _as_told(self, trial: Trial) -> Told:
        usable = trial.state in ("complete", "cut") and trial.value is not None
        return Told(
            self.selector.utility(trial.value) if usable and trial.value is not None else None,
            cut=trial.state == "cut",
            at=self.selector.utilities(trial.reported),
        )

    def _cutoffs_now(self) -> Cutoffs:
        """What the next trial must reach, by the results told so far."""
        if self._steps is None:
            return ()
        return cutoffs(self._steps, (self._as_told(self.trials[number]) for number in range(self._told)))

    # -- running -------------------------------------------------------------------------------------------

    def _begin(self, number: int, point: Point) -> None:
        must_reach = self._cutoffs[number]

        def report(reported: Sequence[tuple[float, float]]) -> bool:
            return bool(must_reach) and cut_at(must_reach, self.selector.utilities(reported)) is not None

        def work() -> None:
            try:
                answer: Outcome | BaseException = self.runner(number, point, report, self._end)
            except BaseException as error:  # raised where the loop waits
                answer = error
            self._answers.put((number, answer))

        self._running.add(number)
        threading.Thread(target=work, daemon=True).start()

    def _keep(self, number: int, answer: Outcome | BaseException) -> None:
        self._running.discard(number)
        if isinstance(answer, BaseException):
            if self._end.is_set():
                return  # the search is ending already, perhaps by the same error
            raise answer
        self.trials[number] = self._trial(number, answer)
        self.on_trial(self.trials[number], best_of(self.trials.values(), self.selector, self.halving))

    def _trial(self, number: int, outcome: Outcome) -> Trial:
        finite = {name: value for name, value in outcome.metrics.items() if math.isfinite(value)}  # JSON knows no other
        trial = Trial(number, self._points[number], outcome.state, None, outcome.seconds, outcome.run, outcome.error, finite)
        if self._steps is not None:
            utilities = self.selector.utilities(outcome.reported)
            reported = [(step, self.selector.utility(utility) + 0.0) for step, utility in utilities]
            place = cut_at(self._cutoffs[number], utilities)
            if place is not None:
                # Also where it was quicker than the order to stop: the outcome must not depend on that.
                step, last = reported[place]
                return msgspec.structs.replace(
                    trial, state="cut", value=last, error="", metrics={self.selector.metric: last},
                    reported=reported[: place + 1], step=step,
                )  # fmt: skip
            trial = msgspec.structs.replace(trial, reported=reported)
        if outcome.state == "cut":  # by a report that did not come through whole
            return msgspec.structs.replace(trial, state="failed", error="it was stopped early without a reason")
        if outcome.state != "complete":
            return trial
        value = self.selector.value(outcome.metrics, outcome.reported)
        if value is None:
            self._lacking.add(number)
            return msgspec.structs.replace(trial, state="failed", error=f"the job logged no {self.selector.metric!r}")
        if not math.isfinite(value):
            return msgspec.structs.replace(trial, state="failed", error=f"{self.selector.metric} is {value}")
        return msgspec.structs.replace(trial, value=value)

    # -- ending --------------------------------------------------------------------------------------------

    def _judge_in_order(self) -> None:
        """Look at what has ended, in the order of numbers; set ``_ended`` where a trial ends the search."""
        while self._ended is None and (trial := self.trials.get(self._judged)) is not None:
            self._judged += 1
            if trial.state in ("complete", "cut") or trial.number in self._lacking:
                self._require_metrics(trial)
            self._failed += trial.state in FAILURES
            if self._too_many_failed():
                self._ended = Ended("failures", f"{self._failed:,} of {self._judged:,} trials failed; the last: {trial.error}")
            elif rule := self._judge.stops(trial):
                self._ended = Ended("stop", f"“{rule}” came true with trial {trial.number}")
            if self._ended is not None:
                self.last = trial.number

    def _too_many_failed(self) -> bool:
        if self.limits.failures is None:
            return self._failed == self._judged == HOPELESS
        return self._failed >= self.limits.failures

    def _require_metrics(self, trial: Trial) -> None:
        """Refuse metrics that the first job to come through does not log: no further one would."""
        if self._measured:
            return
        self._measured = True
        logged = ", ".join(sorted(trial.metrics)) or "no metric at all"
        if trial.number in self._lacking:
            mend = "Select one of these." if trial.metrics else f"Return it from the job: {{{self.selector.metric!r}: 0.3}}."
            raise SpecError(
                f"The job logs no {self.selector.metric!r}; trial {trial.number} logged {logged}.", where="select", mend=mend
            )
        for rule in self.limits.rules:
            for comparison in rule.rule.comparisons if isinstance(rule.rule, Reached) else ():
                if comparison.metric not in trial.metrics:
                    raise SpecError(
                        f"The job logs no {comparison.metric!r}; trial {trial.number} logged {logged}.",
                        where=f"stop {rule.text!r}",
                        mend="Compare one of these.",
                    )
        if self._steps is not None and not trial.reported:
            name = self.selector.metric
            raise SpecError(
                f"The job does not report {name!r} step by step, so it cannot be stopped early.",
                where="halving",
                mend=f"Log it with a step: run.log({name}=..., step=...); or halve by a parameter: epochs=1..27.",
            )


def best_of(trials: Iterable[Trial], selector: Selector, halving: Halving | None) -> Trial | None:
    """The best complete trial, the earlier of equal ones; with rounds, of those with the largest budget."""
    complete = [trial for trial in trials if trial.state == "complete"]
    if halving is not None and halving.parameter and complete:
        most = max(trial.params[halving.parameter] for trial in complete)
        complete = [trial for trial in complete if trial.params[halving.parameter] == most]

    def rank(trial: Trial) -> tuple[float, int]:
        assert trial.value is not None, "a complete trial has a value"
        return selector.utility(trial.value), -trial.number

    return max(complete, key=rank, default=None)
