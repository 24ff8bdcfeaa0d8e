"""Running a script or function in a process of its own, as a run.

This process makes the run and owns it; the child (`jobs.child_main`) joins it, and everything that it logs is there at
once. The child gets its task through a pipe that stays open: when this process dies, however it dies, the pipe closes and
the child ends too, so nothing goes on unseen.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from modelwright.jobs.active import ActiveRun, begin
from modelwright.jobs.capture import Capture
from modelwright.jobs.child_task import ChildTask
from modelwright.jobs.folder import read_status
from modelwright.jobs.log import End, Line, Tail
from modelwright.jobs.seeding import hash_seed, seed_of
from modelwright.jobs.surrounding import RUN_VARIABLE
from modelwright.jobs.targets import Target, arguments_of, params_of, target_of, texts_of
from modelwright.jobs.values import described, name_of, plain, read_number, shown, writable
from modelwright.provenance.command import shown_command
from modelwright.provenance.labels import Labels
from modelwright.provenance.secrets import secret_values
from modelwright.runs.entry import State
from modelwright.runs.folder import LOG

#: How often the log of a running child is looked at; also how late a stop may come.
_POLL_S = 0.05
#: What a child that was asked to end may still take.
_GRACE_S = 5.0
_INTERRUPTED = 130
_SIGNALLED = 128

#: Called with name, value and step of each metric as it comes; True ends the child.
OnMetric = Callable[[str, float, int | None], bool | None]


class ChildResult(msgspec.Struct, frozen=True):
    """What became of a child.

    ``stopped`` is "asked" or "timeout" where it was ended from here; then there is no ``exit_code``. Where signal N ended it,
    that is 128 + N, as shells have it.
    """

    run: str
    folder: Path
    state: State
    metrics: dict[str, float]
    params: dict[str, Any]
    error: str = ""
    exit_code: int | None = None
    wall_s: float = 0.0
    stopped: str = ""


def run_child(
    target: str,
    params: Mapping[str, Any],
    *,
    parent: str,
    home: Path,
    seed: int | None,
    timeout_s: float | None,
    on_metric: OnMetric | None = None,
    stop: threading.Event | None = None,
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    details: dict[str, Any] | None = None,
    autolog: bool = False,
    environment: Mapping[str, str] | None = None,
) -> ChildResult:
    """Run a script or function once with these params, and wait for it. Safe to call from several threads at once.

    Parameters
    ----------
    target : str
        "script.py", "job.py:train" or "package.module:train". A script gets the params as ``--name=value``.
    params : mapping
        Plain values. A function gets them as they are.
    parent : str
        Identifier of the surrounding run, or empty.
    home : Path
    seed : int or None
        Seeds the child.
    timeout_s : float or None
        Then the child is ended and has failed.
    on_metric : callable, optional
        Gets each metric (name, value, step) while the child runs, in this thread; ends the child by returning True.
    stop : threading.Event, optional
        Ends the child once set.
    name : str, optional
        Of the run; by default that of the target.
    tags : mapping, optional
    details : dict, optional
        Kept in the record.
    autolog : bool, default=False
        Switch `autolog` on in the child.
    environment : mapping, optional
        Variables to set in the child, such as limits of threads.

    Returns
    -------
    ChildResult

    Raises
    ------
    InvalidInputError
        If there is no such target. An error within the child is no exception, but the state "failed".
    """
    found = target_of(target)
    given = {name_of(key, "param"): plain(key, value) for key, value in params.items()}
    return _run(
        found,
        target,
        arguments=[] if found.function else arguments_of(params),
        given=given,
        recorded=shown(given),
        name=name,
        labels=Labels(tags=dict(tags or {})),
        parent=parent,
        home=home,
        seed=seed_of(seed),
        timeout_s=timeout_s,
        on_metric=on_metric,
        stop=stop,
        details=details,
        autolog=autolog,
        environment=environment,
        command=None,
        foreground=False,
    )


def run_command(
    target: str,
    arguments: Sequence[str],
    *,
    name: str | None = None,
    labels: Labels | None = None,
    home: Path | None = None,
    seed: int | None = None,
    timeout_s: float | None = None,
    autolog: bool = False,
    quiet: bool = False,
) -> ChildResult:
    """Run a script or function with the arguments of a command line, in the foreground.

    What it prints goes to the terminal and is kept; Ctrl-C reaches it as usual.

    Parameters
    ----------
    target : str
        As for `run_child`.
    arguments : sequence of str
        A script gets them as they are.
    name, labels, home, seed, timeout_s, autolog
        As for `run_child`; the surrounding run, if there is one, is the parent.
    quiet : bool, default=False
        Keep the output off the terminal.
    """
    found = target_of(target)
    texts = texts_of(arguments)
    shown(texts)  # what is a secret by its name is one from here on
    asked = params_of(shown_command(list(arguments)))
    return _run(
        found,
        target,
        arguments=list(arguments),
        given=texts,
        recorded=shown({writable(key, "argument"): described(key, value) for key, value in asked.items()}),
        name=name,
        labels=labels or Labels(),
        parent=None,
        home=home,
        seed=seed_of(seed),
        timeout_s=timeout_s,
        on_metric=None,
        stop=None,
        details=None,
        autolog=autolog,
        environment=None,
        command=[target, *arguments],
        foreground=True,
        quiet=quiet,
    )


def _run(
    target: Target,
    source: str,
    *,
    arguments: list[str],
    given: dict[str, Any],
    recorded: dict[str, Any],
    name: str | None,
    labels: Labels,
    parent: str | None,
    home: Path | None,
    seed: int | None,
    timeout_s: float | None,
    on_metric: OnMetric | None,
    stop: threading.Event | None,
    details: dict[str, Any] | None,
    autolog: bool,
    environment: Mapping[str, str] | None,
    command: list[str] | None,
    foreground: bool,
    quiet: bool = True,
) -> ChildResult:
    run = begin(
        name or target.name, params=recorded, labels=labels, home=home, seed=seed, parent=parent, source=source,
        details=details, enter=False, command=command,
    )  # fmt: skip
    task = ChildTask(
        target, arguments, given, typed=not foreground, seed=seed, autolog=autolog, secrets=sorted(secret_values())
    )
    variables = {**os.environ, **(environment or {}), RUN_VARIABLE: str(run.folder), "PYTHONUNBUFFERED": "1"}
    if seed is not None:
        variables["PYTHONHASHSEED"] = hash_seed(seed)
    started = time.monotonic()
    end, stopped = End("failed", error="it was never started"), ""
    try:
        with _started(task, variables, own_session=not foreground) as process, Capture(run, process, echo=not quiet):
            stopped = _wait(process, run, started, timeout_s, on_metric, stop, foreground=foreground)
        end = _end(process.returncode, stopped, timeout_s, run.folder)
    except KeyboardInterrupt:
        end = End("interrupted")
        raise
    except OSError as error:
        end = End("failed", error=f"the process could not be started: {error}")
        raise
    finally:
        run.end_as(end)
    status = read_status(run.folder)
    return ChildResult(
        run=run.id,
        folder=run.folder,
        state=end.state,
        metrics=status.metrics,
        params=status.params,
        error=end.error,
        exit_code=end.exit_code,
        wall_s=time.monotonic() - started,
        stopped=stopped,
    )


@contextlib.contextmanager
def _started(task: ChildTask, variables: dict[str, str], *, own_session: bool) -> Any:
    """The process, which is gone when the block is left, and its pipe."""
    ours, theirs = None, None
    theirs, ours = os.pipe()
    process = None
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "modelwright.jobs.child_main", str(theirs)],
            stdin=subprocess.DEVNULL if own_session else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=variables,
            pass_fds=[theirs],
            start_new_session=own_session,  # Ctrl-C at the terminal then reaches this process only
        )
        os.close(theirs)
        theirs = -1
        with contextlib.suppress(BrokenPipeError):  # a child that died at once says so by its exit code
            _write_all(ours, msgspec.json.encode(task) + b"\n")
        yield process
    finally:
        if process is not None and process.poll() is None:
            _end_process(process, own_session)
        if theirs >= 0:
            os.close(theirs)
        os.close(ours)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _wait(
    process: subprocess.Popen[bytes],
    run: ActiveRun,
    started: float,
    timeout_s: float | None,
    on_metric: OnMetric | None,
    stop: threading.Event | None,
    *,
    foreground: bool,
) -> str:
    """Wait for the end; tell metrics meanwhile. Says why the child was ended, if it was."""
    tail = Tail(run.folder / LOG)
    while True:
        # Before the log is read: what a child logged just before its end is told too.
        over = process.poll() is not None
        if on_metric is not None and _told(tail.read(), on_metric) and not over:
            reason = "asked"
        elif over:
            return ""
        elif stop is not None and stop.is_set():
            reason = "asked"
        elif timeout_s is not None and time.monotonic() - started > timeout_s:
            reason = "timeout"
        else:
            try:
                process.wait(_POLL_S if on_metric is not None or stop is not None or timeout_s is not None else None)
            except subprocess.TimeoutExpired:
                pass
            except KeyboardInterrupt:
                if not foreground:
                    raise
                # The terminal told the child too, which may want to tidy up; a second Ctrl-C ends it.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_GRACE_S)
            continue
        _end_process(process, own_session=not foreground)
        return reason


def _told(lines: list[Line], on_metric: OnMetric) -> bool:
    wanted = False
    for line in lines:
        for name, value in line.metrics.items():
            wanted = bool(on_metric(name, read_number(value), line.step)) or wanted
    return wanted


def _end_process(process: subprocess.Popen[bytes], own_session: bool) -> None:
    """End the child, politely first; in a session of its own together with what it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            if own_session:
                os.killpg(process.pid, sign)
            else:
                process.send_signal(sign)
        try:
            process.wait(_GRACE_S)
            return
        except subprocess.TimeoutExpired:
            continue


def _end(code: int, stopped: str, timeout_s: float | None, folder: Path) -> End:
    if stopped == "timeout":
        return End("failed", error=f"it exceeded its time limit of {timeout_s:g} s")
    if stopped:
        return End("interrupted")
    if code == 0:
        return End("finished", exit_code=0)
    if code in (-signal.SIGINT, _INTERRUPTED):
        return End("interrupted", exit_code=_INTERRUPTED)
    said = read_status(folder).error
    if code < 0:
        reason = ", perhaps for want of memory" if code == -signal.SIGKILL else ""
        return End("failed", error=said or f"the process was ended by signal {-code}{reason}", exit_code=_SIGNALLED - code)
    return End("failed", error=said or f"exit code {code}", exit_code=code)
