"""A search from its settings to its folder: the run around it, the loop within it, what is written and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from modelwright.errors import TrainingError
from modelwright.events import Emit, Finished, Noted, StepStarted, TrialFinished
from modelwright.jobs.active import ActiveRun, ending
from modelwright.jobs.folder import JobRecord
from modelwright.jobs.log import End
from modelwright.jobs.tuning.children import Children
from modelwright.jobs.tuning.first import with_selector
from modelwright.jobs.tuning.loop import Limits, Outcome, Search, best_of
from modelwright.jobs.tuning.record import REPORT, TrialLog, TuningRecord, left_behind, read_trials, write_tuning
from modelwright.jobs.tuning.result import Tuning
from modelwright.jobs.tuning.settings import Settings
from modelwright.jobs.tuning.space import Point
from modelwright.jobs.tuning.trial import Trial
from modelwright.provenance.machine import available_cpus

Render = Callable[[Tuning], str]


def search(
    run: ActiveRun,
    settings: Settings,
    *,
    workers: int | None,
    emit: Emit,
    stop: threading.Event,
    started: float,
    render: Render,
    resumed: bool = False,
) -> Tuning:
    """Search until something ends it; keep everything, write the report.

    Parameters
    ----------
    run : ActiveRun
        From `begin`; ended here.
    settings : Settings
    workers : int or None
        Trials that run at once; by default one a processor.
    emit : callable
        Receives progress.
    stop : threading.Event
        Ends the search once set.
    started : float
        When the time began to count, on the ``time.monotonic`` clock.
    render : callable
        Makes the report.
    resumed : bool, default=False
        Whether trials of an earlier start count.

    Raises
    ------
    TrainingError
        If no trial came through.
    """
    try:
        found = _search(run, settings, workers or available_cpus(), emit, stop, started, resumed)
        result = Tuning(run.folder)
        (run.folder / REPORT).write_text(render(result), encoding="utf-8")
        if found.best is None:
            raise _nothing_came_through(result)
    except BaseException as error:
        run.end_as(ending(error))
        raise
    run.end_as(End("interrupted" if found.ended is not None and found.ended.kind == "interrupt" else "finished"))
    emit(Finished(time.monotonic() - started, run.id, str(run.folder)))
    return Tuning(run.folder)


def _nothing_came_through(result: Tuning) -> TrainingError:
    failed = next((trial for trial in result.counted if trial.error), None)
    why = failed.error if failed is not None else result.ended.reason if result.ended is not None else "nothing ran"
    mend = f"Look at it: modelwright show {failed.run}" if failed is not None and failed.run else "Give it more time or trials."
    return TrainingError(f"No trial came through: {why.rstrip('.')}.", where=result.run.id, mend=mend)


def _search(
    run: ActiveRun,
    settings: Settings,
    workers: int,
    emit: Emit,
    stop: threading.Event,
    started: float,
    resumed: bool,
) -> TuningRecord:
    def elapsed() -> float:
        return time.monotonic() - started

    deadline = None if settings.max_time_s is None else started + settings.max_time_s
    emit(StepStarted(elapsed(), "search", f"{settings.strategy} over {_space_words(settings)}"))
    known, finished = _earlier(run.folder, settings.selector.metric) if resumed else ({}, {})
    if resumed:
        emit(Noted(elapsed(), f"{len(known) + len(finished):,} trials had ended before and are not run again."))
    if not settings.selector.metric:
        settings, finished = with_selector(settings, run, finished, stop, deadline)
        write_tuning(run.folder, TuningRecord(settings))
        direction = "high" if settings.selector.greater_is_better else "low"
        emit(Noted(elapsed(), f"The job logs one metric, {settings.selector.metric}; {direction} values are better."))
    metric = settings.selector.metric
    if workers > settings.ahead and not settings.rounds and settings.learns:
        emit(Noted(elapsed(), f"At most {settings.ahead} trials run at once: later proposals wait for their results."))
    log = TrialLog(run.folder)

    def keep(trial: Trial, best: Trial | None) -> None:
        log.append(trial)
        if best is not None and best.value is not None:
            run.log(metrics={metric: best.value}, step=trial.number)
        varied = {name: value for name, value in trial.params.items() if name not in settings.space.fixed}
        emit(
            TrialFinished(
                elapsed(),
                trial.number,
                point_text(varied or trial.params),
                trial.state,
                trial.value,
                None if best is None else best.value,
                metric,
                trial.seconds,
                error=trial.error,
                time_left_s=None if deadline is None else deadline - time.monotonic(),
            )
        )

    loop = Search(
        settings.proposer(),
        Children(settings, run.id, run.home, finished),
        settings.selector,
        Limits(settings.trials, deadline, settings.max_failures, settings.stop),
        workers,
        settings.ahead,
        settings.halving,
        known,
        stop,
        keep,
    )
    try:
        ended = loop.run()
    finally:
        log.close()
    counted = loop.counted()
    best = best_of(counted, settings.selector, settings.halving)
    record = TuningRecord(settings, ended, loop.last, None if best is None else best.number)
    write_tuning(run.folder, record)
    if best is not None and best.value is not None:
        # A trial beyond the end may have been better for a while.
        run.log(metrics={metric: best.value}, step=counted[-1].number)
    emit(Noted(elapsed(), f"The search ended: {ended.reason}."))
    return record


def _earlier(folder: Path, metric: str) -> tuple[dict[int, Trial], dict[int, tuple[JobRecord, Outcome]]]:
    """Trials of earlier starts: those written down, and those that finished when nobody could."""
    known = {number: trial for number, trial in read_trials(folder).items() if trial.state != "interrupted"}
    finished = left_behind(folder, metric, {trial.run for trial in known.values()})
    return known, {number: found for number, found in finished.items() if number not in known}


def point_text(point: Point) -> str:
    """Parameters on one line, floats short.

    Examples
    --------
    >>> point_text({"lr": 0.000123456789, "depth": 3, "kind": "a"})
    'lr=0.0001235 depth=3 kind=a'
    """
    return " ".join(f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in point.items())


def _space_words(settings: Settings) -> str:
    size = settings.space.size
    if size is not None:
        return f"{size:,} {'point' if size == 1 else 'points'}"
    names = ", ".join(settings.space.open)
    return f"{len(settings.space.open)} {'parameter' if len(settings.space.open) == 1 else 'parameters'}: {names}"
