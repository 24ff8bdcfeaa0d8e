"""Which run surrounds this place: the one whose ``with`` block it is in, or that of the process which started this one."""

from __future__ import annotations

import os
import threading
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright.runs.folder import JOB

if TYPE_CHECKING:
    from modelwright.jobs.active import ActiveRun

#: Folder of the run, for processes that are started within it.
RUN_VARIABLE = "MODELWRIGHT_RUN"

#: Runs of this thread or task, the innermost last.
_own: ContextVar[tuple[ActiveRun, ...]] = ContextVar("modelwright_runs", default=())
#: Runs of the main thread, which surround what its helper threads do.
_main: list[ActiveRun] = []
#: What the variable said before the first run of this process.
_inherited: list[str | None] = []
#: The run that the variable names, opened once.
_outer: dict[str, ActiveRun] = {}


def current() -> ActiveRun | None:
    """The innermost run that goes on here, if there is one."""
    for run in [*reversed(_own.get()), *reversed(_main)]:
        if not run._ended:
            return run
    folder = os.environ.get(RUN_VARIABLE)
    if not folder or not (Path(folder) / JOB).is_file():
        return None
    if folder not in _outer:
        from modelwright.jobs.active import join

        _outer[folder] = join(Path(folder))
    return _outer[folder]


def enter(run: ActiveRun) -> None:
    """From now on this run surrounds."""
    _own.set((*(each for each in _own.get() if not each._ended), run))
    if threading.current_thread() is threading.main_thread():
        if not _main:
            _inherited[:] = [os.environ.get(RUN_VARIABLE)]
        _main.append(run)
        os.environ[RUN_VARIABLE] = str(run.folder)


def leave(run: ActiveRun) -> None:
    """This run has ended."""
    _own.set(tuple(each for each in _own.get() if each is not run))
    if run not in _main:
        return
    _main.remove(run)
    before = str(_main[-1].folder) if _main else _inherited[0]
    if before is None:
        os.environ.pop(RUN_VARIABLE, None)
    else:
        os.environ[RUN_VARIABLE] = before
