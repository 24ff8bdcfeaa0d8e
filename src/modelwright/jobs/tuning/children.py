"""Doing a trial: the job in a process of its own, with one thread, as a run of its own."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from modelwright.jobs.child import ChildResult, run_child
from modelwright.jobs.folder import JobRecord, read_status
from modelwright.jobs.tuning.loop import Outcome, Report
from modelwright.jobs.tuning.record import TRIAL
from modelwright.jobs.tuning.settings import Settings
from modelwright.jobs.tuning.space import Point, point_key
from modelwright.jobs.tuning.trial import TrialState
from modelwright.search.executor import ONE_THREAD

#: Tells a child which job it is a trial of, so that one whose file calls for the search again does not search in turn.
TUNED_VARIABLE = "MODELWRIGHT_TUNED"
#: Exit codes above mean the end by a signal.
_SIGNALLED = 128


class Children:
    """Runs trials as children of the run of the search; safe for several threads at once.

    Parameters
    ----------
    settings : Settings
    parent : str
        Identifier of the run of the search.
    home : Path
    finished : mapping of int to (JobRecord, Outcome)
        Trials that ended although an earlier start of the search could not write it down.
    """

    def __init__(self, settings: Settings, parent: str, home: Path, finished: Mapping[int, tuple[JobRecord, Outcome]]) -> None:
        self._settings = settings
        self._parent = parent
        self._home = home
        self._finished = finished

    def __call__(self, number: int, params: Point, report: Report, stop: threading.Event) -> Outcome:
        """Run one trial to its end; see `loop.Runner`."""
        if number in self._finished and self._has(number, params):
            return self._finished[number][1]
        metric = self._settings.selector.metric
        reported: list[tuple[float, float]] = []
        cut = False

        def on_metric(name: str, value: float, step: int | None) -> bool:
            nonlocal cut
            if name == metric and step is not None:
                reported.append((float(step), value))
                cut = cut or report(reported)
            return cut

        result = run_child(
            self._settings.target,
            params,
            parent=self._parent,
            home=self._home,
            # The same for all, so that what tells two trials apart is their parameters.
            seed=self._settings.seed,
            timeout_s=self._settings.max_trial_time_s,
            on_metric=on_metric,
            stop=stop,
            details={TRIAL: number},
            environment={**ONE_THREAD, TUNED_VARIABLE: self._settings.target},
        )
        return Outcome(_state(result, cut), result.metrics, reported, result.wall_s, result.run, result.error)

    def _has(self, number: int, params: Point) -> bool:
        record, _ = self._finished[number]
        asked = read_status(self._home / "runs" / record.id).lines[0].params
        return point_key(asked) == point_key(params)


def _state(result: ChildResult, cut: bool) -> TrialState:
    if result.state == "finished":
        return "complete"
    if result.stopped == "timeout":
        return "limit"
    if result.stopped:
        return "cut" if cut else "interrupted"
    if result.state == "interrupted":
        return "failed"  # the job ended itself by an interrupt of its own
    return "killed" if (result.exit_code or 0) > _SIGNALLED else "failed"
