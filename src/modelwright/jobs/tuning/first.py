"""Finding out what a job logs, where nobody said which metric decides: its first trial is run and looked at."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import msgspec

from modelwright.errors import TrainingError
from modelwright.jobs.active import ActiveRun
from modelwright.jobs.folder import JobRecord, read_record, read_status
from modelwright.jobs.tuning.children import Children
from modelwright.jobs.tuning.loop import Outcome
from modelwright.jobs.tuning.record import outcome_of
from modelwright.jobs.tuning.selector import only_one
from modelwright.jobs.tuning.settings import Settings

Finished = dict[int, tuple[JobRecord, Outcome]]
#: Trials that are run before it is given up: the first may fail by its parameters.
_MOST = 3


def with_selector(
    settings: Settings,
    run: ActiveRun,
    finished: Mapping[int, tuple[JobRecord, Outcome]],
    stop: threading.Event,
    deadline: float | None,
) -> tuple[Settings, Finished]:
    """The settings with the one metric that the job logs, and the trials that were run to know it.

    They are those that the search would begin with, and are not run again.

    Raises
    ------
    SpecError
        If the job logs several metrics, or one whose direction its name does not tell.
    TrainingError
        If no trial came through.
    """
    proposer, found, error = settings.proposer(), dict(finished), "nothing ran"
    end, over = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            if stop.is_set() or (deadline is not None and time.monotonic() >= deadline):
                end.set()

    threading.Thread(target=watch, daemon=True).start()
    try:
        for number in range(_MOST):
            point = proposer.ask()
            if point is None or end.is_set():
                break
            if number not in found:
                outcome = Children(settings, run.id, run.home, {})(number, point, lambda reported: False, end)
                found[number] = (read_record(run.home / "runs" / outcome.run), outcome)
            record, outcome = found[number]
            if outcome.state == "complete":
                selector = only_one(outcome.metrics)
                status = read_status(run.home / "runs" / record.id)
                found[number] = (record, outcome_of(record, status, selector.metric))
                return msgspec.structs.replace(settings, selector=selector), found
            error = outcome.error or outcome.state
    finally:
        over.set()
    raise TrainingError(
        f"No trial came through: {error.rstrip('.')}.", where=run.id, mend="Look at it with modelwright show, and mend the job."
    )
