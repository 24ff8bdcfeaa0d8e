"""The child: joins the run that surrounds it, then runs the script or function as if it had been started by itself.

Run as ``python -m modelwright.jobs.child_main FD``; see `jobs.child`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import runpy
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from modelwright.errors import InvalidInputError
from modelwright.jobs import surrounding
from modelwright.jobs.active import ActiveRun, join
from modelwright.jobs.child_task import ChildTask
from modelwright.jobs.decorated import params_of_call
from modelwright.jobs.endings import ending, peak_memory_mb
from modelwright.jobs.log import Line
from modelwright.jobs.results import log_result
from modelwright.jobs.seeding import seed_everything
from modelwright.jobs.targets import Target, arguments_for
from modelwright.jobs.values import restored
from modelwright.provenance.secrets import remember

_INTERRUPTED = 130
_REFUSED = 2


def main(fd: int) -> None:
    """Do the task; leave as the script or function would have left."""
    pipe = os.fdopen(fd, "rb")
    task = msgspec.json.decode(pipe.readline(), type=ChildTask)
    os.set_inheritable(fd, False)
    threading.Thread(target=_leave_with_parent, args=(pipe,), daemon=True).start()
    for secret in task.secrets:
        remember(secret)
    run = join(Path(os.environ[surrounding.RUN_VARIABLE]))
    surrounding.enter(run)
    if task.seed is not None:
        seed_everything(task.seed)
    if task.autolog:
        from modelwright.jobs.autolog import autolog

        autolog()
    _stand_in(task)
    try:
        if task.target.function:
            function = function_of(task.target)
            where = f"{task.target.place}:{task.target.function}"
            given = restored(task.params) if task.typed else arguments_for(function, task.params, where)
            run._log.append(Line(time=time.time(), params=params_of_call(function, (), given)))
            log_result(run, function(**given))
        else:
            runpy.run_path(task.target.place, run_name="__main__")
    except BaseException as error:
        _tell(run, ending(error).error)
        if isinstance(error, SystemExit):
            raise
        if isinstance(error, InvalidInputError) and _is_ours(error):
            sys.stderr.write(f"error: {error}\n")
            sys.exit(_REFUSED)
        # Told from here, since the frames of this module would only hide the user's.
        error.__traceback__ = _from_user(error)
        sys.excepthook(type(error), error, error.__traceback__)
        sys.exit(_INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1)
    _tell(run, "")


def _tell(run: ActiveRun, error: str) -> None:
    run._tell_rest()
    run._log.append(Line(time=time.time(), error=error, peak_memory_mb=peak_memory_mb()))


def _leave_with_parent(pipe: Any) -> None:
    pipe.read()
    os._exit(1)


def _stand_in(task: ChildTask) -> None:
    """Make arguments and search path those of a program that was started directly."""
    place = task.target.place
    sys.argv = [place, *task.arguments]
    sys.path[0] = str(Path(place).absolute().parent) if task.target.is_file else str(Path.cwd())


def function_of(target: Target) -> Callable[..., Any]:
    """The function itself, without the run that `modelwright.job` would make of its call."""
    if target.is_file:
        name = Path(target.place).stem
        spec = importlib.util.spec_from_file_location(name, target.place)
        if spec is None or spec.loader is None:
            raise InvalidInputError(f"{target.place!r} is no Python file.", where=target.place, mend="Name a .py file.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(target.place)
    function = getattr(module, target.function, None)
    if not callable(function):
        raise InvalidInputError(
            f"There is no function {target.function!r}.",
            where=target.place,
            mend="Name one that stands at the top of the file.",
        )
    return getattr(function, "__modelwright_job__", function)


def _is_ours(error: BaseException) -> bool:
    """Whether it was raised by this module's helpers rather than in the user's code."""
    trace = error.__traceback__
    files = set()
    while trace is not None:
        files.add(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return files <= {"__main__", "modelwright.jobs.targets"} and "__main__" in files


def _from_user(error: BaseException) -> Any:
    """The traceback from the first frame that is not of this module or the import system."""
    inner = ("runpy", "importlib", "_frozen_importlib", "modelwright.jobs.child_main")
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and _module_of(trace).startswith(inner):
        trace = trace.tb_next
    return trace


def _module_of(trace: Any) -> str:
    names = trace.tb_frame.f_globals
    return names["__spec__"].name if names.get("__spec__") is not None else names.get("__name__", "")


if __name__ == "__main__":
    main(int(sys.argv[1]))
