"""The call that searches over a job: `tune`. The other calls are in `api`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.events import Event, ignore
from modelwright.interrupts import first_interrupt_stops

if TYPE_CHECKING:
    from modelwright.jobs.tuning.result import Tuning


def tune(
    job: Any = None,
    space: Mapping[str, Any] | None = None,
    *,
    select: str | None = None,
    points: Any = None,
    strategy: str | None = None,
    halving: str | None = None,
    trials: int | None = None,
    max_time: str | float | None = None,
    max_trial_time: str | float | None = None,
    max_failures: int | None = None,
    stop: str | Sequence[str] | None = None,
    workers: int | None = None,
    ahead: int | None = None,
    seed: int | None = None,
    name: str | None = None,
    home: str | Path | None = None,
    resume: str | Path | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Tuning:
    """Search for the best parameters of a job of your own; every trial is a run, in a process of its own.

    Parameters
    ----------
    job : str, Path or callable, optional
        "job.py:train", "package.module:train", a script that takes ``--name=value``, or a function that another process
        can import. It returns its metrics, or logs them.
    space : mapping, optional
        Parameter -> values: "log(1e-4,1e-1)", "uniform(0,1)", "int(1,64)", "int(1,1024,log)", "adam,sgd", a list, or a
        single value.
    select : str, optional
        The metric that decides: "max:roc_auc", "min:loss", "min:loss:best" for the best value over the steps. Need not
        be said where the job logs a single metric that is known, or is a loss or an error.
    points : str, Path or sequence of dict, optional
        Points to go through: a CSV or JSON file, or the points.
    strategy : {"tpe", "random", "grid", "list", "cmaes", "gp"}, optional
        Who says what is tried next; "tpe" by default, "list" with ``points``.
    halving : str, optional
        "epochs=1..27" raises this parameter for the best third, round by round; "1..27" stops trials early that are behind
        at these steps of the metric.
    trials : int, optional
        At most so many; 50 where no limit is given and the space has no end.
    max_time, max_trial_time : str or float, optional
        Seconds, or texts such as "10m": of the whole search, and of one trial.
    max_failures : int, optional
        Failed trials that end the search. By default it ends when the first ten all fail.
    stop : str or sequence of str, optional
        Rules that end the search: "no improvement in 20", "roc_auc > 0.95".
    workers : int, optional
        Trials that run at once, one thread each; by default one a processor. The trials do not depend on it.
    ahead : int, optional
        Trials that may be open at once where results decide on later trials; 8 by default. The trials depend on it.
    seed : int, optional
        Of the search and of every trial; 0 by default.
    name : str, optional
        Of the run of the search.
    home : str or Path, optional
        Where runs are kept; ``.modelwright`` by default.
    resume : str or Path, optional
        A search to go on with instead of ``job`` and ``space``; limits that are given replace those it had.
    on_event : callable, optional
        Receives progress (`modelwright.events`).

    Returns
    -------
    Tuning
        With ``best``, ``best_run``, ``trials``, ``run`` and ``report``.

    Raises
    ------
    InvalidInputError
        If something that is asked cannot be; or if the job logs no such metric, after its first trial.
    TrainingError
        If no trial came through.
    """
    started = time.monotonic()
    from modelwright.jobs.tuning import begin, flow
    from modelwright.jobs.tuning.settings import read_count
    from modelwright.reports.tuning_page import render

    limits = {
        "trials": trials, "max_time": max_time, "max_trial_time": max_trial_time, "max_failures": max_failures, "stop": stop,
    }  # fmt: skip
    asked = {"select": select, "points": points, "strategy": strategy, "halving": halving, "ahead": ahead, "seed": seed}
    place = Path(home) if home is not None else None
    at_once = None if workers is None else read_count("workers", workers)
    if resume is not None:
        run, settings = begin.resumed(resume, place, limits, {"job": job, "space": space, "name": name, **asked})
    else:
        run, settings = begin.begun(job, space, place, name, {**asked, **limits})
    interrupt = threading.Event()
    with first_interrupt_stops(interrupt):
        return flow.search(
            run, settings, workers=at_once, emit=on_event or ignore, stop=interrupt, started=started, render=render,
            resumed=resume is not None,
        )  # fmt: skip
