"""How a search begins, and how an earlier one is taken up again."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from modelwright.errors import InvalidInputError, SpecError
from modelwright.jobs.active import ActiveRun, begin, ending
from modelwright.jobs.folder import begin_line, read_record
from modelwright.jobs.log import Log
from modelwright.jobs.targets import target_of
from modelwright.jobs.tuning.functions import address_of, check_parameters
from modelwright.jobs.tuning.record import DETAILS, TuningRecord, read_tuning, write_tuning
from modelwright.jobs.tuning.settings import Settings, read_settings, with_limits
from modelwright.masking import MASK
from modelwright.runs.folder import JOB, LOG
from modelwright.spec import DEFAULT_HOME
from modelwright.store.folders import find_run


def begun(
    job: Any, space: Mapping[str, Any] | None, home: Path | None, name: str | None, options: Mapping[str, Any]
) -> tuple[ActiveRun, Settings]:
    """The run of a new search, with its settings written down.

    Parameters
    ----------
    job : str, Path or callable
    space : mapping or None
    home : Path or None
    name : str or None
    options : mapping
        As for `read_settings`.

    Raises
    ------
    InvalidInputError
        If something that is asked cannot be; nothing is written then.
    """
    if job is None:
        raise SpecError("There is no job to search over.", where="job", mend="Give one, such as job.py:train.")
    settings = read_settings(address_of(job), space or {}, **options)
    check_parameters(settings.target, settings.parameters)
    recorded = settings.recorded
    run = begin(
        name or f"tune-{target_of(settings.target).name}",
        kind="tuning",
        params=recorded.asked,
        home=home,
        source=settings.target,
        seed=settings.seed,
        metric=settings.selector.metric,
        greater_is_better=settings.selector.greater_is_better if settings.selector.metric else None,
        details={DETAILS: msgspec.to_builtins(recorded)},
        enter=False,
    )
    return run, settings


def resumed(
    reference: str | Path, home: Path | None, limits: Mapping[str, Any], others: Mapping[str, Any]
) -> tuple[ActiveRun, Settings]:
    """The run of an earlier search, owned by this process from now on, and its settings with the limits that are given.

    Parameters
    ----------
    reference : str or Path
    home : Path or None
    limits : mapping
        As for `with_limits`.
    others : mapping
        What stands in the run already, and may not be given again.

    Raises
    ------
    InvalidInputError
        If there is no such search, another process works on it, or the finished trials would become those of another search.
    """
    for name, value in others.items():
        if value is not None:
            raise SpecError(
                "A resumed search keeps what it was begun with.", where=name, mend="Leave it out, or begin a new search."
            )
    folder = find_run(reference, home or Path(DEFAULT_HOME), records=(JOB,)).absolute()
    if read_record(folder).kind != "tuning":
        raise InvalidInputError(
            f"The run {folder.name!r} is no search.", where=str(folder), mend="Name a run that modelwright tune has made."
        )
    run = _reopened(folder)
    try:
        before = read_tuning(folder).settings
        if MASK in msgspec.json.encode(before.space).decode():
            raise InvalidInputError(
                "The search was given a secret, which is not written down.",
                where=folder.name,
                mend="Let the job read it from the environment, and begin a new search.",
            )
        settings = with_limits(before, **limits)
        if before.rounds and settings.trials != before.trials:
            raise InvalidInputError(
                "The number of trials decides on the rounds of halving and stays as it was.",
                where="trials",
                mend="Resume without it, or begin a new search.",
            )
        if settings != before:
            changed = [f"{name} {value}" for name, value in settings.asked.items() if before.asked.get(name) != value]
            run.note(f"resumed with {', '.join(changed) or 'other limits'}")
        write_tuning(folder, TuningRecord(settings))
    except BaseException as error:
        run.end_as(ending(error))
        raise
    return run, settings


def _reopened(folder: Path) -> ActiveRun:
    record, log = read_record(folder), Log(folder / LOG)
    if not log.lock():
        log.close()
        raise InvalidInputError("The search is still running.", where=folder.name, mend="Wait for it, or end its process.")
    log.append(begin_line(time.time(), os.getpid(), socket.gethostname()))
    return ActiveRun(folder, record, log, owner=True)
